"""Executions and their fills as two tables, in batches: how a file that does not fit into memory is measured.

A batch holds whole executions with all of their fills, in the same order. On disk a batch is a pair of Parquet files:

    {folder}/executions/part-00000.parquet     columns EXECUTIONS, one row per execution
    {folder}/fills/part-00000.parquet          columns FILLS, one row per fill

so whatever reads part by part needs the memory of one. What nobody knows is null, not zero. `fills` of an execution is
how many fills it has, `settings` is JSON, see `ExecutionReport`. `half_spread`, `impact` and `mid` are what a fill's
meta says, NaN where that is no number; `sent_ts_ns` is when its order went out; `venue` its own, else its report's.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from core.errors import DataError

if TYPE_CHECKING:
    import polars as pl

BATCH_FILLS: Final = 250_000
"""A batch ends with the execution that brings it to so many fills: about 100 MB at work."""

TEXTS: Final = ("execution_id", "parent_intent_id", "strategy_id", "symbol", "venue", "algo_type", "side", "status")
NUMBERS: Final = (
    *("total_quantity", "filled_quantity", "avg_fill_price", "total_fees"),
    *("decision_price", "arrival_price", "end_price"),
    *("benchmark_vwap", "benchmark_vwap_own", "benchmark_twap", "spread_bps", "market_volume"),
)
EXECUTIONS: Final = {
    **dict.fromkeys(TEXTS, "String"),
    **dict.fromkeys(("start_ts_ns", "end_ts_ns"), "Int64"),
    **dict.fromkeys(NUMBERS, "Float64"),
    "unfilled_reason": "String",
    "denials": "Int64",
    "fills": "Int64",
    "settings": "String",
}
FILLS: Final = {
    **dict.fromkeys(("execution_id", "fill_id", "order_id", "venue"), "String"),
    **dict.fromkeys(("qty", "price"), "Float64"),
    "ts_fill_ns": "Int64",
    "fee": "Float64",
    "liquidity": "String",
    **dict.fromkeys(("half_spread", "impact", "mid"), "Float64"),
    "sent_ts_ns": "Int64",
}
REQUIRED: Final = {
    "executions": ("execution_id", "symbol", "side", "total_quantity", "filled_quantity", "start_ts_ns"),
    "fills": ("execution_id", "qty", "price", "ts_fill_ns"),
}


class Tables(NamedTuple):
    """A batch: whole executions and their fills."""

    executions: pl.DataFrame
    fills: pl.DataFrame


def write_tables(folder: Path, batches: Iterable[Tables]) -> int:
    """Writes the batches to a new folder and returns how many there were; all of them appear, or nothing does.

    Raises DataError where the folder exists or cannot be written.
    """
    if folder.exists():
        raise DataError(f"{folder} is there already: name a new folder for the tables")
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    count = 0
    try:
        for name in Tables._fields:
            (partial / name).mkdir(parents=True)
        for number, batch in enumerate(batches):
            for name, frame in zip(Tables._fields, batch, strict=True):
                frame.write_parquet(partial / name / f"part-{number:05d}.parquet")
            count += 1
        partial.rename(folder)
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return count


def read_tables(folder: Path, *, ids: bool = True) -> Iterator[Tables]:
    """The batches below a folder, in order; without `ids` the fills' own ids and orders are not read, but null.

    Raises DataError where there are none, or a half of one is missing.
    """
    import polars as pl

    parts = {name: {path.name: path for path in (folder / name).glob("part-*.parquet")} for name in Tables._fields}
    if odd := sorted(set(parts["executions"]) ^ set(parts["fills"])):
        raise DataError(f"{folder} is incomplete: {odd[0]} is there for executions or for fills, but not for both")
    if not parts["executions"]:
        raise DataError(f"{folder} holds no tables of executions: executions/part-00000.parquet is expected there")
    for name in sorted(parts["executions"]):
        frames = {kind: pl.scan_parquet(parts[kind][name]) for kind in Tables._fields}
        if not ids:
            frames["fills"] = frames["fills"].drop("fill_id", "order_id", strict=False)
        yield Tables(*(arranged(frames[kind].collect(), kind) for kind in Tables._fields))


def arranged(frame: pl.DataFrame, kind: str) -> pl.DataFrame:
    """A table of "executions" or "fills" with all its columns, in order and of the right types; others are dropped.

    Columns that are not there are null. Raises DataError where one is missing that nothing can do without.
    """
    import polars as pl

    schema = {"executions": EXECUTIONS, "fills": FILLS}[kind]
    if missing := [name for name in REQUIRED[kind] if name not in frame.columns]:
        raise DataError(f"the table of {kind} has no column {missing[0]!r}: it has {', '.join(frame.columns)}")
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(getattr(pl, word)).alias(name)
        for name, word in schema.items()
    )
