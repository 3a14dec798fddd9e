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
