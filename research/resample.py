"""Longer bars out of shorter ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from research.dataset import Dataset
from research.schema import Kind, kind_of

if TYPE_CHECKING:
    import polars as pl


def shorter_bars(known: list[Dataset], wanted: Kind) -> str | None:
    """The longest stored kind of bars that divides the wanted one; None where the wanted one itself is stored."""
    kinds = [kind_of(one.kind) for one in known if one.kind.startswith("ohlcv_")]
    if any(kind.name == wanted.name for kind in kinds):
        return None
    fitting = [kind for kind in kinds if wanted.timeframe_ns % kind.timeframe_ns == 0]
    return max(fitting, key=lambda kind: kind.timeframe_ns).name if fitting else None


def put_together(bars: pl.DataFrame, kind: Kind) -> pl.DataFrame:
    """Bars of the kind's length, aligned to the epoch: first open, highest high, lowest low, last close, sums.

    A bar that misses some of its parts (an outage, or the end of the data) is made of those that are there; one that
    misses all of them is absent.
    """
    import polars as pl

    start = pl.col("ts_open_ns") // kind.timeframe_ns * kind.timeframe_ns
    sums = [name for name in ("volume", *kind.optional) if name in bars.columns]
    return (
        bars.group_by(start.alias("start"), maintain_order=True)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            *(pl.col(name).sum() for name in sums),
        )
        .select(
            pl.col("start").alias("ts_open_ns"),
            (pl.col("start") + kind.timeframe_ns).alias("ts_close_ns"),
            *("open", "high", "low", "close", *sums),
        )
    )
