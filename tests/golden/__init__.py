"""Answers worked out by hand or elsewhere, one table a file; every row says where it comes from in `source`."""

from __future__ import annotations

import csv
from pathlib import Path


def rows(name: str) -> list[dict[str, str]]:
    """The rows of a table beside this file."""
    with (Path(__file__).parent / name).open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert all(row["source"] for row in found), f"{name}: a row without its source"
    return found
