"""The cost of an execution before it is traded: parts, quantiles, the chance to be done, and the recommendation."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.bars import Bars
from core.chance import generator
from execution.conditions import DAY_NS, Conditions, running
from execution.contracts import ALGO_TYPES
from execution.params import STEEPNESS, Urgency
from execution.pressure import Pressure
from execution.pretrade.forecast import (
    DAY_S,
    PLANNED,
    UNSURE_IMPACT,
    CostForecast,
    Forecaster,
    Impact,
    Market,
    Planned,
    quantile,
)
from execution.pretrade.recommend import (
    COMFORT,
    LIKELY,
    Situation,
    comfortable,
    first_rule,
    ranked,
    score,
    why_so_long,
)
from execution.pretrade.volume_outlook import ASSUMED_LOG_SD, BINS, VolumeOutlook
from execution.profile import VolumeHistory
from execution.slippage import (
    AlmgrenSlippageModel,
    FixedBpsSlippageModel,
    LinearSlippageModel,
    SlippageModel,
    SquareRootSlippageModel,
)
from tests import golden
from tests.naive import START_NS

HOUR_S = 3600
URGENCIES: tuple[Urgency, ...] = get_args(Urgency)
LAW = Impact(model=SquareRootSlippageModel(0.8), permanent_share=0.0)


def market(spread_bps: float = 4.0, daily_volume: float = 1e6) -> Market:
    return Market(
        price=50.0,
        volatility=0.02,
        outlook=VolumeOutlook(daily_volume),
        spread_bps=spread_bps,
        maker_fee_bps=1.0,
        taker_fee_bps=5.0,
    )


def forecaster(quantity: float = 1e4, impact: Impact = LAW, urgency: Urgency = "high") -> Forecaster:
    return Forecaster(quantity=quantity, market=market(), impact=impact, urgency=urgency)


def history(days: list[float], shape: list[float] | None = None, seed: int = 0) -> VolumeHistory:
    """Hourly bars over whole days with these daily volumes; the day's shape, or chance where there is none."""
    draw = generator(seed, "volume history")
    hours = []
    for total in days:
        weights = np.array(shape) if shape is not None else draw.lognormal(0, 0.8, 24)
        hours.append(total * weights / weights.sum())
    volume = np.concatenate(hours)
    opens = START_NS + np.arange(len(volume), dtype=np.int64) * (DAY_NS // 24)
    price = np.full(len(volume), 50.0)
    return VolumeHistory(Bars("X/USD", opens, opens + DAY_NS // 24, price, price, price, price, volume))


def after(days: int) -> int:
    return START_NS + days * DAY_NS


# ---------------------------------------------------------------- mean


@pytest.mark.parametrize("algo", ["TWAP", "VWAP", "POV", "Iceberg"])
@pytest.mark.parametrize("duration_s", [900, HOUR_S, DAY_S])
def test_an_even_schedule_pays_two_thirds_of_the_square_root_law_over_any_duration(
    algo: Planned, duration_s: int
) -> None:
    found = forecaster().forecast(algo, duration_s)
    assert found.impact_bps == pytest.approx(1e4 * 2 / 3 * 0.8 * 0.02 * math.sqrt(0.01), rel=1e-5)
    assert found.mean_bps == pytest.approx(found.spread_bps + found.fees_bps + found.impact_bps, rel=1e-12)
    assert found.cost == pytest.approx(found.mean_bps / 1e4 * 1e4 * 50.0, rel=1e-12)


def test_the_almgren_model_forecasts_its_own_cost() -> None:
    model = AlmgrenSlippageModel()
    found = forecaster(impact=Impact(model=model)).forecast("VWAP", DAY_S // 2)
    expected = 0.142 * 0.02 * (0.01 / 0.5) ** 0.6 + model.standing() * 0.02 * 0.01 / 2
    assert found.impact_bps == pytest.approx(1e4 * expected, rel=1e-9)


def test_a_model_without_a_memory_is_asked_slice_by_slice() -> None:
    assert forecaster(impact=Impact(model=FixedBpsSlippageModel(7))).forecast("TWAP", 900).impact_bps == pytest.approx(
        7
    )
    assert forecaster(impact=Impact(model=None)).forecast("TWAP", 900).impact_bps == 0


@pytest.mark.parametrize("model", [SquareRootSlippageModel(0.5), LinearSlippageModel(0.3), AlmgrenSlippageModel()])
def test_the_forecast_is_what_the_simulated_market_charges(model: SlippageModel) -> None:
    """One cost formula, two information sets: where the forecast of the volume is right, so is that of the impact."""
    volumes = generator(3, "forecast and market").lognormal(6, 0.5, BINS)
    shares = np.linspace(2, 1, BINS) / np.linspace(2, 1, BINS).sum()
    quantity, n = 500.0, BINS
    ts = START_NS + np.arange(n, dtype=np.int64) * 60_000_000_000
    price = np.full(n, 50.0)
    bars = Bars("X/USD", ts, ts + 60_000_000_000, price, price, price, price, volumes)
    conditions = Conditions(np.full(n, 0.02), np.full(n, 1e6), running(volumes / 1e6))
    pressure = Pressure(bars, model, 1 / 3, conditions)
    charged = 0.0
    for k, share in enumerate(shares.tolist()):
        charged += share * pressure.charge(k, share * quantity)
        pressure.traded(k, share * quantity)
    assert Impact(model=model).paid(shares, volumes, quantity, market()) == pytest.approx(charged, rel=1e-9)


def test_spread_and_fees_follow_the_part_that_fills_without_crossing() -> None:
    takes, rests = forecaster(urgency="high"), forecaster(urgency="low")
    taking, resting = takes.forecast("TWAP", HOUR_S), rests.forecast("TWAP", HOUR_S)
    assert (taking.passive_share, taking.spread_bps, taking.fees_bps) == (0.0, 2.0, 5.0)
    assert resting.passive_share == 0.8
    assert resting.spread_bps == pytest.approx(0.4)
    assert resting.fees_bps == pytest.approx(0.8 * 1 + 0.2 * 5)
    told = Forecaster(quantity=1e4, market=market(), impact=LAW, passive=0.25).forecast("Iceberg", HOUR_S)
    assert told.passive_share == 0.25


def test_vwap_costs_less_than_twap_where_volume_is_uneven_and_impact_is_not_concave() -> None:
    shape = [1.0, 4.0] * 12
    outlook = VolumeOutlook(1e6, history([1e6] * 10, shape), after(10), 30, HOUR_S)
    uneven = Market(price=50, volatility=0.02, outlook=outlook, spread_bps=4)
    both = Forecaster(quantity=1e4, market=uneven, impact=Impact(model=AlmgrenSlippageModel()), urgency="high")
    assert both.forecast("VWAP", DAY_S).impact_bps < both.forecast("TWAP", DAY_S).impact_bps


# ---------------------------------------------------------------- sd and quantiles


@pytest.mark.parametrize("algo", ["TWAP", "VWAP", "Iceberg"])
def test_an_even_schedule_has_the_risk_of_a_third_of_its_time(algo: Planned) -> None:
    found = forecaster(impact=Impact(model=None)).forecast(algo, HOUR_S)
    assert found.sd_bps == pytest.approx(200 * math.sqrt(HOUR_S / DAY_S / 3), rel=1e-12)


def test_what_is_not_known_of_the_impact_adds_to_the_sd_in_quadrature() -> None:
    with_impact, without = forecaster().forecast("TWAP", HOUR_S), forecaster(impact=Impact(model=None))
    market_sd = without.forecast("TWAP", HOUR_S).sd_bps
    assert with_impact.sd_bps == pytest.approx(math.hypot(market_sd, UNSURE_IMPACT * with_impact.impact_bps))


def test_front_loading_risks_less_the_more_urgent_it_is() -> None:
    risks = [forecaster(urgency=urgency).forecast("IS", HOUR_S).sd_bps for urgency in URGENCIES]
    even = forecaster().forecast("TWAP", HOUR_S).sd_bps
    assert even > risks[0] > risks[1] > risks[2]


def test_front_loading_risks_what_almgren_and_chriss_say() -> None:
    steep = forecaster(impact=LAW, urgency="medium")
    found = steep.forecast("IS", HOUR_S)
    time, kappa = HOUR_S / DAY_S, STEEPNESS["medium"] / (HOUR_S / DAY_S)
    t = np.linspace(0, time, 20_001)
    left = np.sinh(kappa * (time - t)) / math.sinh(kappa * time)
    integral = float(((left[1:] ** 2 + left[:-1] ** 2) / 2).sum() * (t[1] - t[0]))
    exact = math.hypot(200 * math.sqrt(integral), UNSURE_IMPACT * found.impact_bps)
    assert found.sd_bps == pytest.approx(exact, rel=3e-3)  # 24 periods stand for continuous time


@pytest.mark.parametrize("row", golden.rows("science_quantiles.csv"), ids=lambda row: row["level"])
def test_normal_quantiles_are_those_of_the_table(row: dict[str, str]) -> None:
    found = quantile(float(row["mean"]), float(row["sd"]), float(row["level"]), math.inf)
    assert found == pytest.approx(float(row["quantile"]), abs=0.05)


def test_student_quantiles_have_the_sd_that_they_are_given() -> None:
    draws = np.array([quantile(12, 45, level, 5.0) for level in (np.arange(20_000) + 0.5) / 20_000])
    assert draws.mean() == pytest.approx(12, abs=1e-6)
    assert draws.std() == pytest.approx(45, rel=0.01)


def test_the_quantiles_of_a_forecast_lie_about_its_mean() -> None:
    found = forecaster().forecast("TWAP", HOUR_S)
    assert found.p5_bps < found.p50_bps < found.p95_bps
    assert found.p50_bps == pytest.approx(found.mean_bps)
    assert found.p95_bps - found.mean_bps == pytest.approx(found.mean_bps - found.p5_bps)


# ---------------------------------------------------------------- time and volume


def test_pov_ends_when_its_part_of_the_volume_is_the_quantity() -> None:
    found = forecaster(quantity=1e4).forecast("POV", DAY_S)
    assert found.participation == pytest.approx(0.1)
    assert found.expected_s == pytest.approx(0.09 * DAY_S, rel=1e-6)  # 90,000 of others' volume
    assert forecaster(quantity=1e6).forecast("POV", HOUR_S).expected_s == HOUR_S


def test_the_chance_to_be_done_is_one_half_where_the_usual_volume_is_just_enough() -> None:
    told = VolumeOutlook(2.4e6)
    assert told.chance_of(1e4, HOUR_S, 0.1) == pytest.approx(0.5)
    more = told.chance_of(1e4 * math.exp(-ASSUMED_LOG_SD), HOUR_S, 0.1)
    assert more == pytest.approx(0.8413447, rel=1e-6)
    known = VolumeOutlook(1e6, history([1e6, 2e6, 5e5, 4e6, 2.5e5]), after(5), 30, HOUR_S)
    assert known.chance_of(1e5, DAY_S, 0.1) == pytest.approx(0.5)


def test_the_chance_to_be_done_counts_days_as_often_as_they_came() -> None:
    """Against the share of many simulated days on which the volume was enough."""
    draw = generator(5, "chance of completion")
    days = (1e6 * draw.lognormal(0, 0.4, 400)).tolist()
    outlook = VolumeOutlook(1e6, history(days), after(400), 400, HOUR_S)
    for wanted in (5e4, 1e5, 1.6e5):
        share = float(np.mean([0.1 * day >= wanted for day in days]))
        assert outlook.chance_of(wanted, DAY_S, 0.1) == pytest.approx(share, abs=0.04)


@given(st.floats(1, 1e7), st.floats(1.01, 10), st.integers(60, DAY_S // 2), st.floats(0.01, 0.5))
def test_less_quantity_more_time_and_a_larger_share_never_make_completion_less_likely(
    quantity: float, factor: float, seconds: int, share: float
) -> None:
    outlook = VolumeOutlook(1e6)
    one = outlook.chance_of(quantity, seconds, share)
    assert 0 <= one <= 1
    assert outlook.chance_of(quantity / factor, seconds, share) >= one
    assert outlook.chance_of(quantity, 2 * seconds, share) >= one
    assert outlook.chance_of(quantity, seconds, min(1.0, share * factor)) >= one


def test_a_market_that_never_trades_at_this_time_of_day_leaves_no_hope() -> None:
    idle = [0.0] * 12 + [1.0] * 12
    outlook = VolumeOutlook(1e6, history([1e6] * 5, idle), after(5), 30, HOUR_S)
    assert outlook.chance_of(10, 6 * HOUR_S, 0.1) == 0.0
    assert outlook.chance_of(10, 18 * HOUR_S, 0.1) == pytest.approx(1.0)
    assert (outlook.expected(6 * HOUR_S) > 0).all()


def test_days_that_are_all_alike_are_a_certainty() -> None:
    outlook = VolumeOutlook(1e6, history([1e6] * 5, [1.0] * 24), after(5), 30, HOUR_S)
    assert outlook.chance_of(0.99e5, DAY_S, 0.1) == pytest.approx(1.0)
    assert outlook.chance_of(1.01e5, DAY_S, 0.1) == pytest.approx(0.0, abs=1e-12)


def test_expected_volume_is_that_of_the_same_hours_and_adds_up() -> None:
    shape = [1.0] * 12 + [3.0] * 12
    outlook = VolumeOutlook(1e6, history([4.8e5] * 8, shape), after(8), 30, HOUR_S)
    assert outlook.expected(6 * HOUR_S).sum() == pytest.approx(6 * 1e4)
    assert outlook.expected(DAY_S).sum() == pytest.approx(4.8e5)
    assert VolumeOutlook(1e6).expected(DAY_S).tolist() == pytest.approx([1e6 / BINS] * BINS)


def test_a_regular_day_can_be_foreseen_and_a_random_one_cannot() -> None:
    shape = [1.0] * 8 + [5.0] * 8 + [2.0] * 8
    assert VolumeOutlook(1e6, history([1e6, 2e6, 3e6], shape), after(3), 30, HOUR_S).regularity() == pytest.approx(1.0)
    assert VolumeOutlook(1e6, history([1e6] * 30), after(30), 30, HOUR_S).regularity() < 0.2
    assert math.isnan(VolumeOutlook(1e6, history([1e6, 1e6], shape), after(2), 30, HOUR_S).regularity())
    assert math.isnan(VolumeOutlook(1e6).regularity())


# ---------------------------------------------------------------- frontier


def test_the_frontier_begins_with_what_a_twap_that_takes_costs() -> None:
    for impact in (LAW, Impact(model=SquareRootSlippageModel(0.5)), Impact(model=AlmgrenSlippageModel())):
        one = forecaster(impact=impact)
        twap, first = one.forecast("TWAP", 4 * HOUR_S), one.frontier(4 * HOUR_S)[0]
        assert first.expected_cost == pytest.approx(twap.cost, rel=1e-9)
        assert math.isinf(first.half_life)


def test_along_the_frontier_cost_rises_and_risk_falls() -> None:
    points = forecaster().frontier(HOUR_S)
    assert all(b.expected_cost > a.expected_cost and b.sd < a.sd for a, b in pairwise(points))
    marked = forecaster().urgencies(HOUR_S)
    assert list(marked) == list(URGENCIES)
    assert marked["low"].sd > marked["medium"].sd > marked["high"].sd


def test_without_impact_there_is_no_frontier_and_no_reason_to_wait() -> None:
    for impact in (Impact(model=None), Impact(model=FixedBpsSlippageModel(5))):
        one = forecaster(impact=impact)
        assert one.frontier(HOUR_S) == []
        assert one.urgencies(HOUR_S) == {}
        assert one.schedule("IS", np.full(BINS, 100.0), HOUR_S).tolist() == [1.0] + [0.0] * (BINS - 1)


@pytest.mark.parametrize("algo", PLANNED)
@given(volumes=st.lists(st.floats(1, 1e4), min_size=BINS, max_size=BINS))
def test_every_schedule_is_the_whole_order_and_never_goes_back(algo: Planned, volumes: list[float]) -> None:
    shares = forecaster().schedule(algo, np.array(volumes), HOUR_S)
    assert shares.sum() == pytest.approx(1.0)
    assert (shares >= -1e-12).all()


def test_all_algorithms_that_can_run_can_be_planned() -> None:
    assert set(ALGO_TYPES) <= set(PLANNED)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quantity": 0.0}, "quantity must be"),
        ({"urgency": "now"}, "urgency must be one of low, medium, high"),
        ({"max_participation": 0.0}, "max_participation must be above 0"),
        ({"pov_rate": 1.5}, "pov_rate must be above 0 and at most 1, was 1.5"),
        ({"passive": 2.0}, "passive must be between 0 and 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(change: dict[str, object], message: str) -> None:
    settings: dict[str, object] = {"quantity": 1.0, "market": market(), "impact": LAW}
    with pytest.raises(ValueError, match=message):
        Forecaster(**{**settings, **change})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="duration_s must be between 1 and 86400, was 86401"):
        forecaster().forecast("TWAP", 86_401)


# ---------------------------------------------------------------- recommendation


@pytest.mark.parametrize(
    ("facts", "algo", "reason"),
    [
        ({"alpha_half_life_s": 1800}, "IS", "half of the alpha is gone"),
        ({"alpha_half_life_s": 7200}, "TWAP", "nothing is known"),
        ({"urgency": "high", "at_a_level": True}, "IS", "urgent"),
        ({"at_a_level": True, "regularity": 0.9}, "Iceberg", "rests at the price that was named"),
        (
            {"size": 0.0005, "half_spread_bps": 3.0, "impact_bps": 1.0},
            "TWAP",
            r"0.050% of daily volume.*3.0 bps.*cross",
        ),
        ({"size": 0.0005, "half_spread_bps": 0.5, "impact_bps": 1.0}, "TWAP", "nothing is known"),
        ({"partial": True, "binding": True, "regularity": 0.9}, "POV", "may end unfinished"),
        ({"partial": False, "binding": True, "regularity": 0.9}, "VWAP", r"can be foreseen \(R\^2 0.90\)"),
        ({"regularity": 0.2}, "TWAP", r"cannot be foreseen \(R\^2 0.20\)"),
    ],
)
def test_the_first_rule_that_holds_names_the_algorithm(facts: dict[str, object], algo: str, reason: str) -> None:
    usual: dict[str, object] = {
        "size": 0.02, "half_spread_bps": 2.0, "impact_bps": 5.0, "urgency": "medium", "duration_s": 3600,
    }  # fmt: skip
    found, words = first_rule(Situation(**{**usual, **facts}))  # type: ignore[arg-type]
    assert found == algo
    assert re.search(reason, words)


def all_forecasts(quantity: float, urgency: Urgency = "medium") -> list[CostForecast]:
    one = forecaster(quantity, urgency=urgency)
    return [one.forecast(algo, seconds) for seconds in (900, HOUR_S, DAY_S) for algo in PLANNED]


def test_the_list_begins_with_the_choice_and_goes_on_by_likelihood_and_score() -> None:
    forecasts = all_forecasts(5e3)
    choices = ranked(forecasts, market(), "medium", "VWAP", DAY_S, "because")
    first = choices[0]
    assert (first.forecast.algo, first.forecast.duration_s, first.reason) == ("VWAP", DAY_S, "because")
    assert [choice.rank for choice in choices] == list(range(1, len(forecasts) + 1))
    rest = [(choice.forecast.completion < LIKELY, choice.score_bps) for choice in choices[1:]]
    assert rest == sorted(rest)
    assert any(unlikely for unlikely, _ in rest)
    assert choices[-1].reason == "volume may lack"


def test_the_score_prices_risk_by_urgency_and_what_would_be_left() -> None:
    sure = forecaster(10.0).forecast("TWAP", HOUR_S)
    assert score(sure, market(), "high") == pytest.approx(sure.mean_bps + sure.sd_bps, rel=1e-6)
    assert score(sure, market(), "low") == pytest.approx(sure.mean_bps + 0.25 * sure.sd_bps, rel=1e-6)
    hopeless = forecaster(1e7).forecast("TWAP", HOUR_S)
    missed = 4 + 200 * math.sqrt(1 / 24)
    assert score(hopeless, market(), "high") == pytest.approx(hopeless.mean_bps + hopeless.sd_bps + missed, rel=1e-6)


@pytest.mark.parametrize(
    ("quantity", "urgency", "duration_s"),
    [(10.0, "medium", 900), (1e3, "medium", HOUR_S), (1e3, "low", DAY_S), (1e6, "high", DAY_S)],
)
def test_the_duration_is_the_shortest_that_the_market_takes_quietly(
    quantity: float, urgency: Urgency, duration_s: int
) -> None:
    even = [one for one in all_forecasts(quantity, urgency) if one.algo == "VWAP"]
    assert comfortable(even, urgency) == duration_s
    chosen = next(one for one in even if one.duration_s == duration_s)
    quiet = chosen.participation <= COMFORT[urgency] and chosen.completion >= LIKELY
    assert why_so_long(chosen, urgency).startswith("the shortest" if quiet else "the longest")
