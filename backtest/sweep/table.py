"""The results of a sweep as one table: a row for each task, its settings in columns, its figures, or why it failed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from backtest.sweep.plan import Plan, columns_of
from core.codec import to_json
from core.errors import DataError
from core.folders import sync

if TYPE_CHECKING:
    import polars as pl

RESULTS: Final = "results.parquet"
_INTEGERS: Final = ("executions", "completed", "failed_executions", "trades", "denials")


def table_of(plan: Plan, figures: Mapping[int, Mapping[str, Any]], failures: Mapping[int, str]) -> pl.DataFrame:
    """One row per task, in the plan's order. `figures` and `failures` by the task's place in it.

    Columns: setting, label, what was tried (`algorithm.order_type`), symbol, venue, start_ns, end_ns, seed, task (the
    hash), status, error, figures; null where a setting has no such value and NaN where a figure has no answer.
    """
    import polars as pl

    rows: list[dict[str, Any]] = []
    tried = dict.fromkeys(name for one in plan.settings for name in one.tried)
    names = dict.fromkeys(name for one in figures.values() for name in one)
    for place, task in enumerate(plan.tasks):
        settings = columns_of(plan.settings[task.setting], plan.conditions[task.condition])
        rows.append(
            {
                "setting": task.setting,
                "label": settings["label"],
                **{name: settings.get(name) for name in tried},
                **{name: settings[name] for name in ("symbol", "venue", "start_ns", "end_ns", "seed")},
                "task": task.key,
                "status": "failed" if place in failures else "done",
                "error": failures.get(place),
                **{name: figures.get(place, {}).get(name) for name in names},
            }
        )
    known: dict[str, Any] = dict.fromkeys(("setting", "start_ns", "end_ns", "seed", *_INTEGERS), pl.Int64)
    known |= dict.fromkeys(("label", "symbol", "venue", "task", "status", "error"), pl.String)
    known |= {name: pl.Float64 for name in names if name not in known}
    columns = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        kind = known.get(name) or _kind(values)
        if kind == pl.String:
            values = [value if value is None or isinstance(value, str) else str(value) for value in values]
        columns[name] = pl.Series(name, values, dtype=kind)
    return pl.DataFrame(columns)


def _kind(values: Sequence[Any]) -> Any:
    """The type of a column of what was tried; text where settings differ in it."""
    import polars as pl

    types = {type(value) for value in values if value is not None}
    if types == {bool}:
        return pl.Boolean
    if types == {int}:
        return pl.Int64
    return pl.Float64 if types and types <= {int, float} else pl.String


def write_table(frame: pl.DataFrame, file: Path, provenance: Mapping[str, Any]) -> None:
    """All of it or nothing; the same table gives the same bytes. Raises DataError where it cannot be written."""
    partial = file.with_suffix(f".{os.getpid()}.partial")
    try:
        try:
            frame.write_parquet(
                partial, compression="zstd", compression_level=1, metadata={"fillwright": to_json(provenance).decode()}
            )
            sync(partial)
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"{file} cannot be written: {error.strerror or error}") from error
