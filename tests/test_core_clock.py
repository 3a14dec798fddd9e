"""Clocks never go backwards."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import Clock, ManualClock, WallClock


def test_the_wall_clock_is_the_machines_and_stands_still_when_that_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([1_000, 900, 950, 1_001])
    clock: Clock = WallClock()
    with monkeypatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: next(readings))
        assert [clock.now_ns() for _ in range(4)] == [1_000, 1_000, 1_000, 1_001]
    assert clock.now_ns() > 1_600_000_000_000_000_000


@given(st.integers(0, 2**62), st.lists(st.integers(0, 10**12)))
def test_a_manual_clock_adds_up_its_steps(start_ns: int, steps: list[int]) -> None:
    clock = ManualClock(start_ns)
    for done, step in enumerate(steps):
        assert clock.advance(step) == clock.now_ns() == start_ns + sum(steps[: done + 1])


def test_a_manual_clock_cannot_go_back() -> None:
    clock = ManualClock(100)
    clock.set(100)
    clock.set(150)
    with pytest.raises(ValueError, match="by_ns must be at least 0, was -1"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="now_ns must not be before 150, was 149"):
        clock.set(149)
    assert clock.now_ns() == 150


def test_a_manual_clock_calls_back_when_it_reaches_a_time_in_order_and_once() -> None:
    clock = ManualClock(100)
    called: list[tuple[str, int]] = []
    for name, ts_ns in (("late", 130), ("first", 110), ("second", 110), ("far", 500)):
        clock.call_at(ts_ns, lambda name=name: called.append((name, clock.now_ns())))  # type: ignore[misc]
    assert clock.next_call_ns == 110
    clock.set(109)
    assert called == []
    clock.advance(40)
    assert called == [("first", 149), ("second", 149), ("late", 149)]
    assert clock.next_call_ns == 500
    clock.set(200)
    assert len(called) == 3


def test_a_call_that_is_undone_does_not_come_even_in_the_same_step() -> None:
    clock = ManualClock()
    called: list[str] = []
    undo = clock.call_at(20, lambda: called.append("undone"))
    clock.call_at(10, undo)
    clock.set(30)
    assert called == []
    assert clock.next_call_ns is None
    undo()
