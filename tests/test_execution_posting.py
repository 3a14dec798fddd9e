"""When resting pays: worked by hand, and by comparing the two expected costs themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution.posting import break_even_fill_probability

bps = st.floats(0.01, 50)


def test_the_worked_example() -> None:
    # G29: h 1, f .5, r .2, AS 1.2, D 1.5 -> .5 (execution science, section 5)
    assert break_even_fill_probability(1, 0.5, 0.2, 1.2, 1.5) == pytest.approx(0.5, rel=1e-12)


@given(bps, bps, st.floats(-10, 10), bps, bps, st.floats(0, 1))
def test_above_it_resting_is_cheaper_and_below_it_taking_is(
    half: float, fee: float, rebate: float, adverse: float, drift: float, chance: float
) -> None:
    even = break_even_fill_probability(half, fee, rebate, adverse, drift)
    assert 0 <= even <= 1
    rest = chance * (-half - rebate + adverse) + (1 - chance) * (half + fee + drift)
    take = half + fee
    if abs(chance - even) > 1e-9 and even < 1:
        assert (rest < take) == (chance > even)


def test_where_resting_saves_nothing_never_post_and_where_waiting_is_free_always() -> None:
    assert break_even_fill_probability(1, 0, -1, 3, 1) == 1
    assert break_even_fill_probability(1, 0.5, 0.2, 1.2, 0) == 0


@pytest.mark.parametrize(
    ("numbers", "name"),
    [
        ((-1, 0, 0, 0, 1), "half_spread_bps"),
        ((1, float("nan"), 0, 0, 1), "taker_fee_bps"),
        ((1, 0, float("inf"), 0, 1), "maker_rebate_bps"),
        ((1, 0, 0, float("nan"), 1), "adverse_selection_bps"),
        ((1, 0, 0, 0, -1), "drift_bps"),
    ],
)
def test_what_cannot_be_is_named(numbers: tuple[float, float, float, float, float], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        break_even_fill_probability(*numbers)
