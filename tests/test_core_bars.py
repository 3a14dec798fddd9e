"""Bars as columns: checked once, cut without copying."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from core.bars import COLUMNS, Bars
from core.contracts import OHLCVBar
from core.errors import DataError

MINUTE = 60_000_000_000


def columns(**changes: Any) -> dict[str, list[Any]]:
    rows = {
        "ts_open_ns": [0, MINUTE, 3 * MINUTE],  # a gap is allowed
        "ts_close_ns": [MINUTE, 2 * MINUTE, 4 * MINUTE],
        "open": [10.0, 11.0, 12.0],
        "high": [11.0, 12.0, 13.0],
        "low": [9.0, 10.0, 11.0],
        "close": [10.5, 11.5, 12.5],
        "volume": [100.0, 0.0, 50.0],
    }
    return {**rows, **changes}


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_bars_come_from_either_kind_of_frame(frame: Any) -> None:
    bars = Bars.from_frame("X", frame({**columns(), "trades": [1, 2, 3]}))
    assert len(bars) == 3
    assert bars.ts_open_ns.dtype == np.int64
    assert bars.close.dtype == np.float64
    assert bars.bar(1) == OHLCVBar("X", MINUTE, 2 * MINUTE, 11.0, 12.0, 10.0, 11.5, 0.0)


def test_a_part_is_a_view_on_the_same_bars() -> None:
    bars = Bars.from_frame("X", pl.DataFrame(columns()))
    part = bars[1:]
    assert len(part) == 2
    assert part.bar(0) == bars.bar(1)
    assert np.shares_memory(part.close, bars.close)
    assert len(bars[3:]) == 0


def test_no_bars_are_bars() -> None:
    assert len(Bars.from_frame("X", pl.DataFrame(columns()).clear())) == 0


def test_missing_columns_are_named() -> None:
    with pytest.raises(DataError, match=f"need the columns {', '.join(COLUMNS)}; missing: high, volume"):
        Bars.from_frame("X", pl.DataFrame(columns()).drop("high", "volume"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"low": [9.0, 11.2, 11.0]}, r"X bar 1 \(ts_open_ns 60000000000\): low <= open"),
        ({"high": [11.0, 12.0, 12.2]}, r"X bar 2 .*close <= high"),
        ({"low": [0.0, 10.0, 11.0]}, r"X bar 0 .*low > 0"),
        ({"close": [10.5, float("nan"), 12.5]}, r"X bar 1 .*must hold"),
        ({"open": [float("nan"), 11.0, 12.0]}, r"X bar 0 .*must hold"),
        ({"high": [11.0, float("inf"), 13.0]}, r"X bar 1 .*must hold"),
        ({"volume": [100.0, -1.0, 50.0]}, r"X bar 1 .*volume must be a finite number of at least 0"),
        ({"volume": [100.0, 1.0, float("nan")]}, r"X bar 2 .*volume must be"),
        ({"ts_close_ns": [MINUTE, MINUTE, 4 * MINUTE]}, r"X bar 1 .*ts_close_ns must be after ts_open_ns"),
        ({"ts_open_ns": [0, MINUTE - 1, 3 * MINUTE]}, r"X bar 1 .*in order of time and not overlap"),
        ({"ts_open_ns": [0, 0, 3 * MINUTE]}, r"X bar 1 .*in order of time and not overlap"),
    ],
)
def test_the_first_row_that_is_no_bar_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Bars.from_frame("X", pl.DataFrame(columns(**changes)))
