"""Benchmarks from trades and quotes: exact to the trade, with the worked numbers of the literature's conventions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution.ticks.benchmarks import Steps, TickTape

SECOND = 1_000_000_000


def tape(times: list[int], prices: list[float], quantities: list[float]) -> TickTape:
    ts_ns = np.array(times, np.int64) * SECOND
    mids = Steps(ts_ns, np.array(prices))
    return TickTape(ts_ns, np.array(prices), np.array(quantities), mids, Steps(ts_ns[:1], np.array([0.02])))


WORKED = tape([0, 10, 20, 30, 40, 50], [100, 100.1, 100.2, 100, 99.9, 100.3], [200, 300, 100, 400, 500, 100])


def test_vwap_and_twap_of_the_worked_tape() -> None:
    """EXECUTION_SCIENCE 1.3, G7: the tape over [0, 60), which is (before 0, before 60] here."""
    assert WORKED.volume(-1, 60 * SECOND) == 1600
    assert WORKED.vwap(-1, 60 * SECOND) == pytest.approx(100.01875, abs=1e-12)
    assert WORKED.twap(0, 60 * SECOND) == pytest.approx(100.0833333333, abs=1e-9)


def test_what_traded_at_the_start_is_over_and_what_trades_at_the_end_counts() -> None:
    assert WORKED.volume(10 * SECOND, 20 * SECOND) == 100
    assert WORKED.vwap(10 * SECOND, 20 * SECOND) == pytest.approx(100.2)


def test_without_trades_there_is_no_vwap_but_a_twap() -> None:
    assert math.isnan(WORKED.vwap(11 * SECOND, 19 * SECOND))
    assert WORKED.twap(11 * SECOND, 19 * SECOND) == pytest.approx(100.1)


def test_nothing_is_prorated() -> None:
    """Bars would give half a bar half of its volume; trades are there or not."""
    assert WORKED.volume(0, 15 * SECOND) == 300


def test_an_interval_of_no_length_has_the_mid_of_its_moment() -> None:
    assert WORKED.twap(20 * SECOND, 20 * SECOND) == 100.2
    assert WORKED.volume(20 * SECOND, 20 * SECOND) == 0


def test_before_the_first_quote_the_first_one_holds() -> None:
    assert WORKED.mids.at(-5 * SECOND) == 100
    assert WORKED.twap(-10 * SECOND, 0) == pytest.approx(100)


def test_steps_need_a_value() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        Steps(np.array([], np.int64), np.array([]))


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(90, 110), st.integers(1, 9)), min_size=1, max_size=30),
    st.integers(-10, 510),
    st.integers(0, 200),
)
def test_tape_agrees_with_adding_up(rows: list[tuple[int, int, int]], start: int, length: int) -> None:
    rows.sort(key=lambda row: row[0])
    made = tape([t for t, _, _ in rows], [float(p) for _, p, _ in rows], [float(q) for _, _, q in rows])
    end = start + length
    inside = [(p, q) for t, p, q in rows if start < t <= end]
    assert made.volume(start * SECOND, end * SECOND) == sum(q for _, q in inside)
    if inside:
        money = sum(p * q for p, q in inside)
        assert made.vwap(start * SECOND, end * SECOND) == pytest.approx(money / sum(q for _, q in inside))
    if length:
        held = [([p for t, p, _ in rows if t <= second] or [rows[0][1]])[-1] for second in range(start, end)]
        assert made.twap(start * SECOND, end * SECOND) == pytest.approx(sum(held) / length, abs=1e-9)
