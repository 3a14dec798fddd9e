"""Columns of a batch, put together when they are read, and the volume that the bars of its tables allow."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.instrument import Instrument
from execution.batch_log import CHILDREN, FILLS, Columns, Kinds, Rows
from execution.batch_pack import ground
from execution.config import FillConfig
from execution.fills import volume_budget
from execution.spread import Spread
from execution.venue import venue
from tests import batches


def part(kinds: Kinds, parents: list[int], seed: int) -> Columns:
    values = np.arange(seed, seed + len(parents))
    return {name: np.array(parents if name == "parent" else values, kind) for name, kind in kinds.items()}


@given(st.lists(st.lists(st.integers(0, 5), max_size=6).map(sorted), max_size=5))
def test_rows_are_in_the_order_of_parents_and_those_of_each_as_they_were_written(parents: list[list[int]]) -> None:
    parts = [part(FILLS, some, 100 * number) for number, some in enumerate(parents)]
    wanted = sorted(
        ((one, 100 * number + at) for number, some in enumerate(parents) for at, one in enumerate(some)),
        key=lambda row: row[0],
    )
    rows = Rows(parts, FILLS)
    assert rows["lots"].tolist() == [value for _, value in wanted]
    assert rows["parent"].tolist() == [one for one, _ in wanted]
    assert rows["price"].dtype == np.float64
    assert {rows[name].dtype.kind for name in ("parent", "child", "bar", "lots")} == {"i"}
    assert all(rows[name].itemsize == 8 for name in rows if name != "maker")


def test_a_cancel_is_an_action_and_nothing_else() -> None:
    rows = Rows([part(CHILDREN, [0, 1, 1], 0)], CHILDREN)
    assert rows["action"].tolist() == ["new", "cancel", "cancel"]
    assert rows["action"] is rows["action"]
    with pytest.raises(KeyError):
        rows["cancel"]
    assert len(rows) == len(list(rows)) == len(CHILDREN)


def test_rows_that_nobody_holds_are_gone_at_once() -> None:
    gc.disable()
    try:
        rows = Rows([part(CHILDREN, [0, 1], 0)], CHILDREN)
        rows["lots"], rows["action"]
        watched = weakref.ref(rows)
        del rows
        assert watched() is None
    finally:
        gc.enable()


@given(st.integers(0, 50), st.floats(0.01, 1.0), st.sampled_from(("1", "0.1", "0.03", "0.00001", "7")))
def test_the_budget_of_a_bar_is_that_of_every_market(seed: int, part_of_volume: float, lot: str) -> None:
    bars = batches.wild_bars(seed, 40)
    market = venue(
        bars,
        Instrument(batches.SYMBOL, tick="0.01", lot=lot),
        None,
        spread=Spread(np.full(40, 0.02), "test"),
        fills=FillConfig(max_participation=part_of_volume),
    )
    table = ground(market).bars["budget"][:-1]
    assert table.tolist() == [volume_budget(float(v), part_of_volume, market.instrument.qty(1)) for v in bars.volume]
