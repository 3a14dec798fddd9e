"""What fills in a bar and at what price: answers from tables, buys and sells mirrored, laws that hold for any bar."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from execution.fills import maker_price, maker_share, takes, volume_budget
from tests import golden

SIDES = {"buy": 1, "sell": -1}
TICKS = st.integers(50, 150)
TOUCH = st.booleans()


@pytest.mark.parametrize("row", golden.rows("maker_fills.csv"), ids=lambda row: f"{row['side']} {row['source']}")
def test_resting_orders_fill_as_the_table_says(row: dict[str, str]) -> None:
    side, limit = SIDES[row["side"]], float(row["limit"])
    share = maker_share(side, limit, float(row["high"]), float(row["low"]), float(row["tick"]), row["rule"] == "touch")
    assert share == pytest.approx(float(row["share"]), rel=1e-12)
    price = maker_price(side, limit, float(row["open"]), rested=row["rested"] == "yes")
    assert price == float(row["price"])


@pytest.mark.parametrize("row", golden.rows("taker_fills.csv"), ids=lambda row: f"{row['side']} {row['source']}")
def test_takers_meet_the_other_side_as_the_table_says(row: dict[str, str]) -> None:
    limit = float(row["limit"]) if row["limit"] else None
    got = takes(SIDES[row["side"]], limit, float(row["open"]), float(row["half_spread"]))
    assert got == (row["takes"] == "yes")


@pytest.mark.parametrize("row", golden.rows("volume_budget.csv"), ids=lambda row: row["source"])
def test_the_budget_of_a_bar_is_that_of_the_table(row: dict[str, str]) -> None:
    # pitfall 21, pitfall 31
    assert volume_budget(float(row["volume"]), float(row["max_participation"]), float(row["lot"])) == int(row["lots"])


@given(TICKS, TICKS, TICKS, TOUCH)
def test_a_sell_fills_as_its_mirror_image_buys(limit: int, one: int, other: int, touch: bool) -> None:
    low, high = sorted((one, other))
    bought = maker_share(1, limit, high, low, 1, touch)
    assert bought == maker_share(-1, 200 - limit, 200 - low, 200 - high, 1, touch)
    assert maker_price(1, limit, one, rested=True) == 200 - maker_price(-1, 200 - limit, 200 - one, rested=True)


@given(TICKS, TICKS, TICKS, st.sampled_from([1, -1]))
def test_through_never_fills_more_than_touch_and_needs_a_trade_beyond(
    limit: int, one: int, other: int, side: int
) -> None:
    low, high = sorted((one, other))
    through, at = (maker_share(side, limit, high, low, 1, touch) for touch in (False, True))
    assert 0 <= through <= at <= 1
    assert (through > 0) == (low < limit if side > 0 else high > limit)
    assert (at > 0) == (low <= limit if side > 0 else high >= limit)


@given(TICKS, TICKS, TICKS, st.integers(0, 20), st.sampled_from([1, -1]), TOUCH)
def test_a_more_aggressive_limit_never_fills_less(
    limit: int, one: int, other: int, more: int, side: int, touch: bool
) -> None:
    low, high = sorted((one, other))
    assert maker_share(side, limit + side * more, high, low, 1, touch) >= maker_share(side, limit, high, low, 1, touch)


@given(TICKS, TICKS, TICKS, st.integers(0, 20), st.sampled_from([1, -1]), TOUCH)
def test_a_bar_that_goes_further_never_fills_less(
    limit: int, one: int, other: int, further: int, side: int, touch: bool
) -> None:
    low, high = sorted((one, other))
    wider = (high, low - further) if side > 0 else (high + further, low)
    assert maker_share(side, limit, *wider, 1, touch) >= maker_share(side, limit, high, low, 1, touch)


@given(TICKS, TICKS, st.sampled_from([1, -1]), st.booleans())
def test_a_maker_never_pays_more_than_the_limit_and_improves_only_on_a_gap(
    limit: int, open_price: int, side: int, rested: bool
) -> None:
    price = maker_price(side, limit, open_price, rested=rested)
    assert side * (limit - price) >= 0
    gap = rested and side * (limit - open_price) > 0
    assert price == (open_price if gap else limit)


@given(st.floats(1, 1e3), st.floats(0, 10), st.floats(0, 10), st.floats(-20, 20), st.sampled_from([1, -1]))
def test_who_takes_at_a_limit_takes_at_any_better_one(
    open_price: float, half_spread: float, more: float, distance: float, side: int
) -> None:
    limit = open_price + distance
    assume(takes(side, limit, open_price, half_spread))
    assert takes(side, limit + side * more, open_price, half_spread)
    assert takes(side, None, open_price, half_spread)
    assert takes(side, limit, open_price, half_spread / 2)


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1), st.floats(0, 1), st.sampled_from([0.001, 0.1, 1.0, 7.0]))
def test_more_volume_and_a_higher_cap_never_lower_the_budget(
    volume: float, more: float, cap: float, higher: float, lot: float
) -> None:
    budget = volume_budget(volume, cap, lot)
    assert budget * lot <= cap * volume * (1 + 1e-9)
    assert volume_budget(volume + more, cap, lot) >= budget
    assert volume_budget(volume, max(cap, higher), lot) >= budget
    assert volume_budget(0, cap, lot) == volume_budget(volume, 0, lot) == 0


@pytest.mark.parametrize("row", golden.rows("touch_bias.csv"), ids=lambda row: f"{row['steps']} steps")
def test_on_a_random_walk_touch_fills_far_more_often_than_through(row: dict[str, str]) -> None:
    """A bar made of a walk of single ticks: the chance that its rule fills a bid so many ticks below the open."""
    start, ticks = 1_000, int(row["ticks"])
    chances = {(start, start): 1.0}  # by where it is, and its low
    for _ in range(int(row["steps"])):
        before, chances = chances, defaultdict(float)
        for (at, low), chance in before.items():
            for to in (at - 1, at + 1):
                chances[to, min(low, to)] += chance / 2
    for rule in ("touch", "through"):
        filled = sum(
            chance
            for (_, low), chance in chances.items()
            if maker_share(1, start - ticks, start, low, 1, rule == "touch") > 0
        )
        assert filled == pytest.approx(float(row[rule]), abs=5e-6)
