"""IS: the trajectory of Almgren and Chriss in whole lots, how steep it is, and what its machine does with it."""

from __future__ import annotations

import inspect
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.chance import generator
from core.clock import ManualClock
from core.instrument import Instrument
from execution.adapters import SyncExecutionWrapper
from execution.conditions import Conditions
from execution.contracts import ExecutionAlgorithm
from execution.events import Amend
from execution.plan import Curve, Plan, View
from execution.pretrade.forecast import Forecaster, Impact, Market
from execution.pretrade.volume_outlook import VolumeOutlook
from execution.profile import VolumeHistory, volume_profile
from execution.shortfall import ISExecutor, due, trajectory
from execution.slippage import SquareRootSlippageModel
from execution.twap import due as twap_due
from tests import golden
from tests.naive import MINUTE_NS, START_NS
from tests.parents import SYMBOL, Play, filled_at_once, is_sorted, parent_of, past_bars, play_out

lots = st.integers(1, 10**6)
counts = st.integers(1, 200)
steepnesses = st.one_of(st.just(0.0), st.floats(1e-12, 50), st.floats(50, 1e7))


# ---------------------------------------------------------------- the trajectory


@pytest.mark.parametrize(
    "row",
    [
        row
        for row in golden.rows("science_trajectories.csv")
        if float(row["risk_aversion"]) >= 0 and row["drift"] == "0"
    ],
    ids=lambda row: row["risk_aversion"],
)
def test_the_trajectory_is_that_of_the_paper(row: dict[str, str]) -> None:
    """G15: a million shares in five days; one lot is one share, one hour stands for a day."""
    kappa = float(row["kappa"])
    params: dict[str, Any] = {"half_life_seconds": 3600 / kappa} if kappa else {"risk_aversion": 0.0}
    made = parent_of("IS", 1_000_000, 5 * 3600, slice_count=5, **params)
    held = [1_000_000 - target for target in made.curve.targets]
    expected = [float(row[f"x{k}"]) for k in range(1, 5)]
    assert held[:4] == pytest.approx(expected, abs=5)  # kappa is printed to five digits
    assert held[4] == 0


@given(lots, counts, steepnesses)
def test_targets_rise_to_the_quantity_and_are_convex_within_a_lot(quantity: int, slices: int, steepness: float) -> None:
    targets = trajectory(quantity, slices, steepness)
    assert len(targets) == slices
    assert targets[-1] == quantity
    assert is_sorted((0, *targets))
    steps = [after - before for before, after in pairwise((0, *targets))]
    assert all(later <= earlier + 1 for earlier, later in pairwise(steps))


@given(lots, counts, steepnesses)
def test_no_target_is_a_lot_off_the_curve(quantity: int, slices: int, steepness: float) -> None:
    assume(1e-6 < steepness < 500)
    for k, target in enumerate(trajectory(quantity, slices, steepness), 1):
        held = quantity * math.sinh(steepness * (slices - k) / slices) / math.sinh(steepness)
        assert -1e-3 < quantity - held - target < 1 + 1e-3


@given(lots, counts)
def test_without_risk_aversion_it_is_twap(quantity: int, slices: int) -> None:
    plan = Plan(side=1, quantity=quantity, horizon_ms=60_000, slices=slices)
    curve = Curve(targets=trajectory(quantity, slices, 0.0))
    for now_ms in (-1, 0, 1, 29_999, 30_000, 59_999, 60_000, 10**7):
        view = View(now_ms=now_ms)
        assert due(plan, curve, view) == twap_due(plan, Curve(), view)


@given(lots, counts, st.floats(0, 1e-7))
def test_towards_no_risk_aversion_it_becomes_twap(quantity: int, slices: int, steepness: float) -> None:
    equal = [quantity * k // slices for k in range(1, slices + 1)]
    assert list(trajectory(quantity, slices, steepness)) == equal


@given(lots, counts, steepnesses, st.floats(1, 10))
def test_more_risk_aversion_is_never_later(quantity: int, slices: int, steepness: float, factor: float) -> None:
    calm = trajectory(quantity, slices, steepness)
    hasty = trajectory(quantity, slices, steepness * factor)
    assert all(late <= early for late, early in zip(calm, hasty, strict=True))


@given(st.integers(1, 10**5), st.integers(2, 60), st.floats(0, 20), st.data())
def test_whoever_plans_again_on_the_way_goes_on_as_planned(
    quantity: int, slices: int, steepness: float, data: st.DataObject
) -> None:
    """Time consistency: what is left at t_k, planned anew with the same kappa, is the tail, up to a lot."""
    k = data.draw(st.integers(1, slices - 1))
    whole = trajectory(quantity, slices, steepness)
    left = quantity - whole[k - 1]
    assume(left > 0)
    tail = trajectory(left, slices - k, steepness * (slices - k) / slices)
    for again, first in zip(tail, whole[k:], strict=True):
        assert abs(whole[k - 1] + again - first) <= 1


@pytest.mark.parametrize(
    ("quantity", "slices", "steepness", "targets"),
    [
        (10, 5, 1e9, (10, 10, 10, 10, 10)),  # all at once
        (1, 1, 3.0, (1,)),
        (1, 4, 2.0, (0, 0, 0, 1)),
        (3, 3, 3.0, (1, 2, 3)),
    ],
)
def test_trajectories_at_the_edges(quantity: int, slices: int, steepness: float, targets: tuple[int, ...]) -> None:
    assert trajectory(quantity, slices, steepness) == targets


def test_the_largest_quantity_and_the_most_slices_stay_exact() -> None:
    targets = trajectory(10**11, 100_000, 3.0)
    assert targets[-1] == 10**11
    assert is_sorted(targets)
    assert trajectory(10**11, 99_999, 0.0)[12_344] == 10**11 * 12_345 // 99_999


# ---------------------------------------------------------------- how steep


def test_the_default_is_a_half_life_of_half_the_horizon_and_urgency_changes_it() -> None:
    assert parent_of("IS", 10**6, 7200).curve.targets == trajectory(10**6, 24, 2.0)
    for urgency, steepness in (("low", 1.0), ("medium", 2.0), ("high", 4.0)):
        made = parent_of("IS", 10**6, 7200, urgency=urgency)
        assert made.curve.targets == trajectory(10**6, 24, steepness)
        part = {"low": "all of", "medium": "half of", "high": "a quarter of"}[urgency]
        assert made.notes["trajectory"] == f"half-life {7200 / steepness:,.0f} s, {part} the horizon"


def test_a_half_life_that_is_told_wins_over_the_urgency() -> None:
    made = parent_of("IS", 10**6, 7200, urgency="high", half_life_seconds=1800)
    assert made.curve.targets == trajectory(10**6, 24, 4.0)
    assert made.notes["trajectory"] == "half-life 1,800 s, as told"


def days(seed: int = 1, count: int = 9) -> Any:
    """Days of minutes before the start that move and trade."""
    draws = generator(seed, "is days")
    bars = past_bars(draws.lognormal(4, 0.5, count * 1440))
    close = 10 * np.exp(np.cumsum(draws.normal(0, 0.0008, len(bars))))
    opened = np.concatenate(([10.0], close[:-1]))
    return type(bars)(
        SYMBOL, bars.ts_open_ns, bars.ts_close_ns, opened, np.maximum(opened, close), np.minimum(opened, close), close,
        bars.volume,
    )  # fmt: skip


HISTORY = VolumeHistory(days())


def test_a_risk_aversion_is_weighed_against_what_was_known_before_the_start() -> None:
    made = parent_of("IS", 5_000, 14_400, volumes=HISTORY, risk_aversion=1e-4)
    volatility, daily_volume = HISTORY.conditions(START_NS)
    market = Market(
        price=10.0, volatility=volatility, outlook=VolumeOutlook(daily_volume, HISTORY, START_NS), spread_bps=0.0
    )
    trader = Forecaster(quantity=5_000, market=market, impact=Impact(model=SquareRootSlippageModel(0.5))).trader(14_400)
    assert trader is not None
    held = trader.holdings(1e-4)
    assert [5_000 - target for target in made.curve.targets] == pytest.approx(list(held[1:]), abs=1)
    assert "by risk aversion 0.0001 at a volatility of" in made.notes["trajectory"]


@given(st.floats(1e-7, 1), st.floats(1.01, 100))
def test_a_larger_risk_aversion_trades_earlier(risk_aversion: float, factor: float) -> None:
    one, other = (
        parent_of("IS", 5_000, 14_400, volumes=HISTORY, risk_aversion=value).curve.targets
        for value in (risk_aversion, risk_aversion * factor)
    )
    assert all(late <= early for late, early in zip(one, other, strict=True))


@pytest.mark.parametrize("volumes", [None, VolumeHistory(past_bars(np.ones(5))), VolumeHistory(past_bars([]))])
def test_a_risk_aversion_without_a_past_falls_back_to_the_urgency_and_says_so(volumes: VolumeHistory | None) -> None:
    made = parent_of("IS", 5_000, 14_400, volumes=volumes, risk_aversion=1e-4, urgency="high")
    assert made.curve.targets == trajectory(5_000, 24, 4.0)
    assert made.notes["trajectory"] == (
        "half-life 3,600 s, a quarter of the horizon: risk_aversion was not used, "
        "nothing is known of volatility and volume"
    )


@pytest.mark.parametrize("risk_aversion", [0.0, 1e-300])
def test_no_risk_aversion_makes_equal_slices(risk_aversion: float) -> None:
    made = parent_of("IS", 240, 14_400, volumes=HISTORY, risk_aversion=risk_aversion)
    assert made.curve.targets == tuple(range(10, 241, 10))
    assert made.notes["trajectory"] == f"equal slices: risk aversion {risk_aversion:g}"


def test_nothing_after_the_start_is_looked_at() -> None:
    # pitfall 24
    bars = days(count=9)
    cut = int(np.searchsorted(bars.ts_close_ns, START_NS - 2 * 86_400 * 10**9, side="right"))
    start_ns = int(bars.ts_close_ns[cut - 1])
    made = [
        parent_of("IS", 5_000, 3_600, start_ns=start_ns, volumes=VolumeHistory(known), risk_aversion=1e-4)
        for known in (bars[:cut], bars)
    ]
    assert made[0].curve.targets == made[1].curve.targets
    assert made[0].notes == made[1].notes


def test_what_is_known_before_a_moment_is_what_a_market_charges_by() -> None:
    bars = days()
    conditions, history = Conditions.of(bars), VolumeHistory(bars)
    for k in (5, 700, 1439, 1440, 5 * 1440 + 3, len(bars) - 1):
        volatility, volume = history.conditions(int(bars.ts_open_ns[k]))
        expected = conditions.volatility[k], conditions.daily_volume[k]
        assert (volatility, volume) == pytest.approx(expected, rel=1e-12, nan_ok=True)
    assert all(math.isnan(value) for value in VolumeHistory(past_bars([])).conditions(START_NS))


def test_in_volume_time_it_runs_by_the_usual_volume() -> None:
    shares = volume_profile(HISTORY, START_NS, 4 * 3600 * 10**9, 24, 7).weights
    made = parent_of("IS", 10**6, 14_400, volumes=HISTORY, volume_time=True, half_life_seconds=3_600)
    assert made.curve.targets == trajectory(10**6, 24, 4.0, shares)
    assert "weekday days" in made.notes["profile_source"]
    flat = trajectory(10**6, 24, 0.0, shares)
    assert flat == pytest.approx(np.cumsum(shares) * 10**6, abs=1.01)  # the plan of VWAP


# ---------------------------------------------------------------- as a parent


def test_two_lots_over_five_slices_are_two_children() -> None:
    # pitfall 1
    play = play_out(parent_of("IS", 2, 100, slice_count=5, order_type="market"), filled_at_once)
    assert [intent.qty for intent in play.commands] == [1, 1]


@given(st.integers(1, 400), st.integers(1, 40), st.integers(1, 30), st.sampled_from([0.01, 5.0, 40.0, 1e9]))
def test_children_sum_to_the_parent_and_none_is_below_the_venues_minimum(
    quantity: int, slices: int, least: int, half_life: float
) -> None:
    # pitfall 4
    assume(quantity >= least)
    made = parent_of(
        "IS", quantity, 100, min_qty=least, slice_count=slices, order_type="market", half_life_seconds=half_life
    )
    sizes = [intent.qty for intent in play_out(made, filled_at_once).commands]
    assert sum(sizes) == quantity
    assert min(sizes) >= least


@given(st.integers(1, 10**6), st.floats(0.5, 1e5), st.integers(1, 50))
def test_buys_and_sells_have_the_same_schedule(quantity: int, half_life: float, slices: int) -> None:
    made = [
        parent_of("IS", quantity, 600, side=side, slice_count=slices, half_life_seconds=half_life).curve
        for side in ("buy", "sell")
    ]
    assert made[0] == made[1]


@pytest.mark.parametrize("params", [{"half_life_seconds": 40.0}, {"urgency": "high"}, {"risk_aversion": 1e-3}])
def test_an_amendment_that_changes_nothing_goes_on_along_the_same_curve(params: dict[str, Any]) -> None:
    terms = {"interval_seconds": 10, "order_type": "market", "volumes": HISTORY, **params}
    plain = Play(parent_of("IS", 1_000, 100, **terms))
    amended = Play(parent_of("IS", 1_000, 100, **terms))
    for play in (plain, amended):
        for second in range(0, 40, 10):
            play.at(second)
            play.fill(len(play.sent) - 1)
    amended.now_ns = START_NS + 40 * 10**9
    amended.on(Amend(quantity=1_000))
    plain.at(40)
    for second in range(50, 110, 10):
        for play in (plain, amended):
            play.fill(len(play.sent) - 1)
            play.at(second)
        done = [sum(play.sizes) for play in (plain, amended)]
        assert abs(done[0] - done[1]) <= 1
    assert sum(amended.sizes) == 1_000


def test_an_amended_quantity_is_spread_over_the_rest_of_the_time() -> None:
    play = Play(parent_of("IS", 100, 100, interval_seconds=10, order_type="market", half_life_seconds=30))
    play.fill(0)
    play.at(50)
    play.fill(1)
    play.on(Amend(quantity=300))
    while not play.parent.ended:
        play.fill(len(play.sent) - 1)
        assert play.wake_ns is not None or play.parent.ended
        if play.wake_ns is not None:
            play.at((play.wake_ns - START_NS) / 1e9)
    assert sum(play.sizes) == 300
    assert is_sorted(play.times)


def test_the_plan_is_one_intent_per_slice_from_the_largest_to_the_smallest() -> None:
    made = ISExecutor(
        "tester", None, slice_count=6, half_life_seconds=1200, clock=ManualClock(START_NS),
        instrument=Instrument(SYMBOL, tick="0.01", lot="1"), quotes=lambda _symbol: 10.0,
    )  # fmt: skip
    algo = ExecutionAlgorithm("IS", SYMBOL, "sell", 6_000.0, 3600)
    intents = SyncExecutionWrapper(made).plan_execution_sync(algo)
    sizes = [intent.qty for intent in intents]
    assert sum(sizes) == 6_000
    assert sizes == sorted(sizes, reverse=True)
    assert [(intent.meta["scheduled_ts_ns"] - START_NS) // MINUTE_NS for intent in intents] == [0, 10, 20, 30, 40, 50]


def test_the_reader_of_market_data_may_be_left_out() -> None:
    assert list(inspect.signature(ISExecutor.__init__).parameters)[:3] == ["self", "strategy_id", "data_reader"]
    assert ISExecutor("tester").algo_type == "IS"
