"""Fills of a strategy, from the folder of a backtest or from the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import DataError, nearest
from research.schema import kind_of
from research.store import Store

if TYPE_CHECKING:
    import polars as pl


def written_fills(path: Path) -> pl.LazyFrame:
    """The fills of a run: its output folder, or the Parquet file itself. Raises DataError where that is not so."""
    import polars as pl

    file = path / "fills.parquet" if path.is_dir() else path
    if not file.is_file():
        raise DataError(f"{file} does not exist: name the output folder of a backtest, or its fills.parquet")
    rows = pl.scan_parquet(file, glob=False, hive_partitioning=False)
    try:
        columns = rows.collect_schema().names()
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{file} is not a Parquet file: {str(error).splitlines()[0]}") from error
    missing = [name for name in kind_of("fills").required if name not in columns]
    if missing:
        raise DataError(f"{file} holds no fills: the columns {', '.join(missing)} are missing")
    return rows


def stored_fills(store: Store) -> pl.LazyFrame:
    """All fills in the store. Raises DataError where there are none."""
    import polars as pl

    kept = [dataset for dataset in store.datasets() if dataset.kind == "fills"]
    if not kept:
        raise DataError(f"no fills are stored in {store.data_dir}: name the output folder of a backtest with path=")
    return pl.concat([store.scan(dataset) for dataset in kept], how="diagonal")


def select_fills(fills: pl.LazyFrame, strategy_id: str, start_ns: int | None, end_ns: int | None) -> pl.DataFrame:
    """The fills of the strategy with start_ns <= ts_fill_ns < end_ns, in order of time; maybe none.

    Raises DataError for a strategy that has no fill at any time, naming those that have.
    """
    import polars as pl

    mine = fills.filter(pl.col("strategy_id") == strategy_id).sort("ts_fill_ns", maintain_order=True).collect()
    if mine.is_empty():
        known = fills.select(pl.col("strategy_id").unique()).collect()["strategy_id"].to_list()
        raise DataError(f"no fills of strategy {strategy_id!r}: {nearest(strategy_id, known)}")
    start_ns = 0 if start_ns is None else start_ns
    end_ns = 2**63 - 1 if end_ns is None else end_ns
    return mine.filter((pl.col("ts_fill_ns") >= start_ns) & (pl.col("ts_fill_ns") < end_ns))
