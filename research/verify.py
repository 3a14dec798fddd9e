"""Stored data looked at again: do the files hold what the metadata says, and is every row still good?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.errors import DataError
from research.dataset import Dataset, month_of
from research.quality import checked
from research.schema import kind_of
from research.store import Store
from research.tables import ROW


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check of one dataset found; no problems: the data is sound. Gaps and quiet minutes are no problems."""

    dataset: Dataset
    problems: tuple[str, ...]

    def summary(self) -> dict[str, Any]:
        return {**self.dataset.summary(), "ok": not self.problems, "problems": list(self.problems)}


def verify(store: Store, dataset: Dataset) -> Finding:
    """Reads every file again, compares rows and content hash, and repeats the checks of the import."""
    import polars as pl

    kind = kind_of(dataset.kind)
    problems = []
    for _, month in sorted(dataset.months.items()):
        path = store.source(dataset, month)
        try:
            rows = pl.read_parquet(path, glob=False, hive_partitioning=False)
            if month_of(rows, kind, month.file) != month:
                problems.append(f"{path} is not what was stored: rows, times or content differ")
            checked(rows.with_row_index(ROW, 1), kind, "fail", str(path))
        except (OSError, pl.exceptions.PolarsError) as error:
            problems.append(f"{path} is not readable: {str(error).strip().splitlines()[0]}")
        except DataError as error:
            problems.append(str(error))
    return Finding(dataset, tuple(problems))
