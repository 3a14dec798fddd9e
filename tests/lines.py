"""A journal in memory that may die at any of its lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from core import codec
from core.contracts import OrderIntent


class KilledError(Exception):
    """The process dies here."""


@dataclass
class Lines:
    """A journal in memory, as bytes on disk would have it; it may die with, or right after, the n-th line."""

    dies_at: int | None = None
    torn: bool = False  # the line that it dies at is not there afterwards
    written: list[bytes] = field(default_factory=list)

    def append(self, entry: dict[str, Any]) -> None:
        if self.dies_at == len(self.written) and self.torn:
            raise KilledError
        self.written.append(codec.to_json(entry))
        if self.dies_at is not None and len(self.written) > self.dies_at:
            raise KilledError

    def sync(self) -> None: ...

    def read(self) -> list[dict[str, Any]]:
        return [codec.from_json(line) for line in self.written]

    def orders(self) -> list[tuple[OrderIntent, int, bool]]:
        """Every child and cancel that was wanted, when, and whether the gate let it pass."""
        return [(OrderIntent.from_dict(one["i"]), one["t"], one["ok"]) for one in self.read() if one["k"] == "order"]
