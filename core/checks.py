"""Small checks with one voice: every refusal names the field, the value and what would be right."""

from __future__ import annotations

import math
from collections.abc import Iterable


def finite(field: str, value: float) -> None:
    if not math.isfinite(value):
        raise ValueError(f"{field} must be a finite number, was {value}")


def positive(field: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{field} must be a finite number above 0, was {value}")


def not_negative(field: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{field} must be a finite number of at least 0, was {value}")


def between(field: str, value: float, low: float, high: float) -> None:
    """low <= value <= high."""
    if not low <= value <= high:
        raise ValueError(f"{field} must be between {low} and {high}, was {value}")


def one_of(field: str, value: object, words: Iterable[object]) -> None:
    allowed = tuple(words)
    if value not in allowed:
        raise ValueError(f"{field} must be one of {', '.join(map(str, allowed))}, was {value!r}")


def named(field: str, value: str) -> None:
    if not value or value != value.strip():
        raise ValueError(f"{field} must be a name without surrounding blanks, was {value!r}")
