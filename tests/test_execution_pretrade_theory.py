"""Optimal trading on paper: Almgren-Chriss, Almgren's power law, impact that wears off; the papers' own numbers."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import integrate, optimize  # type: ignore[import-untyped]

from execution.pretrade.almgren_chriss import AlmgrenChriss, serial_correlation_gain
from execution.pretrade.power_law_impact import PowerLawLiquidation
from execution.pretrade.transient import (
    block_book_cost,
    cheapest_trades,
    displacement,
    exponential_kernel,
    power_kernel,
    steady_book_cost,
    trading_cost,
)
from tests import golden

EXACT = 0.3 / math.sqrt(250) * 50  # table 1's 30 % a year in price units per square root of a day; rounded: 0.95
NAMES = ("x1", "x2", "x3", "x4")


def paper(volatility: float = EXACT, *, drift: float = 0.0, periods: int = 5) -> AlmgrenChriss:
    """Table 1 of Almgren and Chriss (2000)."""
    return AlmgrenChriss(
        quantity=1e6,
        horizon=5,
        periods=periods,
        volatility=volatility,
        half_spread=0.0625,
        permanent=2.5e-7,
        temporary=2.5e-6,
        drift=drift,
    )


MARKETS = st.builds(
    AlmgrenChriss,
    quantity=st.floats(1, 1e6),
    horizon=st.floats(0.01, 10),
    periods=st.integers(2, 40),
    volatility=st.floats(0.01, 10),
    half_spread=st.floats(0, 1),
    permanent=st.floats(0, 1e-7),
    temporary=st.floats(1e-6, 1e-2),
)
STEEPNESS = st.floats(0.01, 30)  # kappa * T


def closed_form(market: AlmgrenChriss, risk_aversion: float) -> tuple[float, float]:
    """E and V by eq. 20, in complex numbers so that it holds for sin and sinh alike."""
    k: complex = market.kappa(risk_aversion)
    if risk_aversion < 0:
        k *= 1j
    tau, t, x = market.period, market.horizon, market.quantity
    sinh, cosh, tanh = cmath.sinh, cmath.cosh, cmath.tanh
    cost = tanh(k * tau / 2) * (tau * sinh(2 * k * t) + 2 * t * sinh(k * tau)) / (2 * tau**2 * sinh(k * t) ** 2)
    risk = (tau * sinh(k * t) * cosh(k * (t - tau)) - t * sinh(k * tau)) / (sinh(k * t) ** 2 * sinh(k * tau)) / 2
    fixed = market.permanent * x**2 / 2 + market.half_spread * x
    return fixed + market.effective * x**2 * cost.real, (market.volatility * x) ** 2 * risk.real


# ---------------------------------------------------------------- the paper's numbers


@pytest.mark.parametrize("row", golden.rows("science_trajectories.csv"), ids=lambda row: row["source"])
def test_the_trajectories_are_those_of_the_paper(row: dict[str, str]) -> None:
    market = paper(float(row["volatility"]), drift=float(row["drift"]))
    risk_aversion = float(row["risk_aversion"])
    holdings = market.holdings(risk_aversion)
    assert (holdings[0], holdings[-1]) == (1e6, 0)
    assert holdings[1:5] == pytest.approx([float(row[name]) for name in NAMES], abs=0.1)
    assert market.kappa(risk_aversion) == pytest.approx(float(row["kappa"]), abs=5e-6)
    if row["cost"]:
        point = market.point(risk_aversion)
        assert point.expected_cost == pytest.approx(float(row["cost"]), abs=0.1)
        assert point.sd == pytest.approx(float(row["sd"]), abs=0.1)


@pytest.mark.parametrize("row", golden.rows("science_frontier.csv"), ids=lambda row: row["risk_aversion"])
def test_the_efficient_frontier_is_that_of_the_paper(row: dict[str, str]) -> None:
    point = paper(0.95).point(float(row["risk_aversion"]))
    assert point.expected_cost / 1e6 == pytest.approx(float(row["cost_millions"]), abs=1e-4)
    assert point.sd**2 / 1e12 == pytest.approx(float(row["variance_millions_squared"]), abs=1e-4)
    assert point.half_life == pytest.approx(float(row["half_life"]), abs=0.005)


def test_the_papers_single_numbers_hold() -> None:
    rounded, drifting = paper(0.95), paper(0.95, drift=0.02)
    at_once = AlmgrenChriss(
        quantity=1e6, horizon=1, periods=1, volatility=EXACT, half_spread=0.0625, permanent=2.5e-7, temporary=2.5e-6
    )
    optimum = paper().at_risk(1.645)
    naive_sd = rounded.point(0).sd
    found = {
        "immediate_cost": at_once.expected_cost([1e6, 0]),
        "naive_sd": naive_sd,
        "untraded_over_naive_sd": 0.95 * 1e6 * math.sqrt(5) / naive_sd,
        "at_risk_risk_aversion": optimum.risk_aversion,
        "at_risk_cost": optimum.expected_cost,
        "at_risk_sd": optimum.sd,
        "at_risk_total": optimum.expected_cost + 1.645 * optimum.sd,
        "drift_target": 0.02 / (2 * 1e-6 * 0.95**2),
        "drift_bound": drifting.drift_gain(1e-6),
    }
    rows = golden.rows("science_almgren_chriss.csv")
    assert {row["quantity"] for row in rows} == set(found)
    for row in rows:
        assert found[row["quantity"]] == pytest.approx(float(row["value"]), abs=float(row["tolerance"])), row
    assert optimum.risk_aversion == pytest.approx(1.645 / (2 * optimum.sd), rel=1e-9)


def test_the_ratio_of_untraded_to_naive_risk_tends_to_the_square_root_of_three() -> None:
    many = paper(periods=5000)
    assert EXACT * 1e6 * math.sqrt(5) / many.point(0).sd == pytest.approx(math.sqrt(3), abs=1e-3)


def test_knowing_the_drift_improves_the_objective_by_half_of_the_papers_gain() -> None:
    """Eq. 27 is what the drift pays on the shares held longer; impact and risk of holding them take half of it."""
    market = paper(0.95, drift=0.02)
    risk_aversion = 1e-6

    def objective(holdings: NDArray[np.float64]) -> float:
        return market.expected_cost(holdings) + risk_aversion * market.variance(holdings)

    gain = objective(paper(0.95).holdings(risk_aversion)) - objective(market.holdings(risk_aversion))
    assert gain == pytest.approx(market.drift_gain(risk_aversion) / 2, rel=1e-9)


@pytest.mark.parametrize("row", golden.rows("science_serial_correlation.csv"), ids=lambda row: str(list(row.values())))
def test_the_gain_from_serial_correlation_is_that_of_table_2(row: dict[str, str]) -> None:
    gain = serial_correlation_gain(
        float(row["correlation"]), volatility=0.95, period=1 / 39, temporary=float(row["temporary"])
    )
    assert gain == pytest.approx(float(row["gain_per_day"]), abs=1)  # the paper prints 192 where it is 191.25


@pytest.mark.parametrize("row", golden.rows("science_power_law.csv"), ids=lambda row: str(list(row.values())[:2]))
def test_power_law_impact_has_the_times_and_costs_of_the_paper(row: dict[str, str]) -> None:
    k = float(row["exponent"])
    order = PowerLawLiquidation(
        quantity=1e5, volatility=1, temporary=0.5 / 1e5**k, exponent=k, risk_aversion=1 / float(row["risk_tolerance"])
    )
    assert order.time_scale == pytest.approx(float(row["time"]), abs=0.0051)
    assert order.expected_cost / 1e3 == pytest.approx(float(row["cost_thousands"]), abs=0.51)
    assert math.sqrt(order.variance) / 1e3 == pytest.approx(float(row["sd_thousands"]), abs=0.51)


@pytest.mark.parametrize("row", golden.rows("science_obizhaeva_wang.csv"), ids=lambda row: row["resilience_time"])
def test_obizhaeva_and_wangs_costs_are_those_of_a_quadratic_program(row: dict[str, str]) -> None:
    x = float(row["resilience_time"])
    best, steady = block_book_cost(x), steady_book_cost(x)
    assert best == pytest.approx(float(row["best"]), abs=1e-6)
    assert steady == pytest.approx(float(row["steady"]), abs=1e-6)
    assert 100 * (1 - best / steady) == pytest.approx(float(row["saving_percent"]), abs=0.005)
    times, kernel = np.linspace(0, 1, 2001), exponential_kernel(x)
    trades = cheapest_trades(1.0, times, kernel)
    assert trading_cost(trades, times, kernel) == pytest.approx(best, abs=1e-6)
    assert trades[0] == pytest.approx(1 / (x + 2), abs=1e-3)  # a block at either end
    assert trades[-1] == pytest.approx(1 / (x + 2), abs=1e-3)
    assert trading_cost(np.full(2001, 1 / 2001), times, kernel) == pytest.approx(steady, abs=5e-4)


@pytest.mark.parametrize("row", golden.rows("science_propagator.csv"), ids=lambda row: row["trades"])
def test_linear_propagators_cost_what_they_should(row: dict[str, str]) -> None:
    trades, times, kernel = [float(q) for q in row["trades"].split()], np.arange(4.0), power_kernel(0.5)
    assert trading_cost(trades, times, kernel) == pytest.approx(float(row["cost"]), abs=1e-6)
    for lag in (1, 10, 100):
        if row[f"lag{lag}"]:
            left = displacement(trades, times, kernel, 3.0 + lag)
            assert left == pytest.approx(float(row[f"lag{lag}"]), abs=1e-6)


def test_the_cheapest_four_trades_of_the_propagator_are_those_of_the_table() -> None:
    cheapest = golden.rows("science_propagator.csv")[2]
    found = cheapest_trades(4.0, np.arange(4.0), power_kernel(0.5))
    assert found == pytest.approx([float(q) for q in cheapest["trades"].split()], abs=1e-6)


def test_displacement_after_each_of_four_equal_trades_is_that_of_the_table() -> None:
    steps = [displacement([1, 1, 1, 1], np.arange(4.0), power_kernel(0.5), at) for at in range(4)]
    assert steps == pytest.approx([1, 1.707107, 2.284457, 2.784457], abs=1e-6)  # execution science G22


# ---------------------------------------------------------------- what must hold in any market


@given(MARKETS, STEEPNESS)
def test_sums_over_the_schedule_are_the_closed_forms(market: AlmgrenChriss, steepness: float) -> None:
    risk_aversion = market.risk_aversion(market.horizon / steepness)
    point = market.point(risk_aversion)
    cost, variance = closed_form(market, risk_aversion)
    assert point.expected_cost == pytest.approx(cost, rel=1e-9)
    assert point.sd**2 == pytest.approx(variance, rel=1e-5)  # the closed form subtracts what is nearly equal


def test_the_closed_forms_hold_for_a_love_of_risk_too() -> None:
    point = paper().point(-2e-7)
    cost, variance = closed_form(paper(), -2e-7)
    assert point.expected_cost == pytest.approx(cost, rel=1e-12)
    assert point.sd**2 == pytest.approx(variance, rel=1e-12)


@given(MARKETS, STEEPNESS, st.integers(1, 38))
def test_whoever_plans_again_on_the_way_goes_on_as_planned(market: AlmgrenChriss, steepness: float, k: int) -> None:
    k = min(k, market.periods - 1)
    risk_aversion = market.risk_aversion(market.horizon / steepness)
    planned = market.holdings(risk_aversion)
    if planned[k] < 1e-9 * market.quantity:
        return  # nothing is left to plan
    rest = AlmgrenChriss(
        quantity=float(planned[k]),
        horizon=market.period * (market.periods - k),
        periods=market.periods - k,
        volatility=market.volatility,
        half_spread=market.half_spread,
        permanent=market.permanent,
        temporary=market.temporary,
    )
    assert rest.holdings(risk_aversion) == pytest.approx(planned[k:], rel=1e-6, abs=1e-9 * market.quantity)


@given(MARKETS)
def test_whoever_does_not_mind_risk_trades_equal_slices(market: AlmgrenChriss) -> None:
    equal = np.linspace(market.quantity, 0, market.periods + 1)
    assert market.holdings(0.0) == pytest.approx(equal, rel=1e-9, abs=1e-9)
    nearly = market.risk_aversion(1e5 * market.horizon)
    assert market.holdings(nearly) == pytest.approx(equal, rel=1e-6, abs=1e-6 * market.quantity)


@given(MARKETS, st.floats(0.05, 15), st.floats(1.05, 2))
def test_more_risk_aversion_costs_more_and_risks_less(market: AlmgrenChriss, steepness: float, factor: float) -> None:
    slow, fast = market.frontier([steepness, steepness * factor])
    assert fast.risk_aversion > slow.risk_aversion
    assert fast.expected_cost >= slow.expected_cost
    assert fast.sd <= slow.sd
    assert fast.half_life < slow.half_life


@given(MARKETS, STEEPNESS)
def test_the_half_life_of_a_risk_aversion_is_the_one_it_was_made_for(market: AlmgrenChriss, steepness: float) -> None:
    half_life = market.horizon / steepness
    assert market.point(market.risk_aversion(half_life)).half_life == pytest.approx(half_life, rel=1e-9)


def test_in_continuous_time_lambda_is_eta_over_sigma_squared_theta_squared() -> None:
    market = paper(periods=20_000)
    assert market.risk_aversion(1.5) == pytest.approx(2.5e-6 / (EXACT * 1.5) ** 2, rel=1e-4)


@pytest.mark.parametrize("risk_aversion", [0.0, 3e-7, 1e-6, 5e-6])
def test_no_other_schedule_is_better(risk_aversion: float) -> None:
    """The quadratic program, solved as linear equations for the inner holdings, and by a search."""
    market = paper(periods=8)
    inner = market.periods - 1
    a = market.effective / market.period
    b = risk_aversion * market.volatility**2 * market.period
    matrix = np.diag(np.full(inner, 4 * a + 2 * b)) - 2 * a * (np.eye(inner, k=1) + np.eye(inner, k=-1))
    right = np.zeros(inner)
    right[0] = 2 * a * market.quantity
    solved = np.linalg.solve(matrix, right)
    planned = market.holdings(risk_aversion)
    assert planned[1:-1] == pytest.approx(solved, rel=1e-9)

    def objective(part: NDArray[np.float64]) -> float:
        holdings = np.concatenate(([1.0], part, [0.0])) * market.quantity
        return market.expected_cost(holdings) + risk_aversion * market.variance(holdings)

    found = optimize.minimize(objective, np.linspace(1, 0, 9)[1:-1], method="BFGS")
    assert objective(planned[1:-1] / market.quantity) <= found.fun * (1 + 1e-9)


@given(MARKETS, st.floats(0.2, 4))
def test_the_optimum_at_risk_beats_the_frontier_around_it(market: AlmgrenChriss, deviations: float) -> None:
    best = market.at_risk(deviations)
    least = best.expected_cost + deviations * best.sd
    for point in market.frontier((0.0, 0.3, 1.0, 3.0, 10.0, 30.0)):
        assert least <= (point.expected_cost + deviations * point.sd) * (1 + 1e-9)


def test_a_schedule_far_too_steep_for_sinh_is_still_a_schedule() -> None:
    market = paper()
    holdings = market.holdings(1e6)
    assert holdings[0] == 1e6
    assert np.isfinite(holdings).all()
    assert holdings[1] < 1e-3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quantity": 0.0}, "quantity must be"),
        ({"periods": 0}, "periods must be between 1"),
        ({"volatility": -1.0}, "volatility must be"),
        ({"temporary": 1e-8}, r"temporary must be above permanent \* period / 2 = 1.25e-07, was 1e-08"),
        ({"drift": math.nan}, "drift must be"),
    ],
)
def test_markets_that_cannot_be_are_refused(change: dict[str, float], message: str) -> None:
    settings = {
        "quantity": 1e6, "horizon": 5, "periods": 5, "volatility": 0.95,
        "half_spread": 0.0625, "permanent": 2.5e-7, "temporary": 2.5e-6,
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        AlmgrenChriss(**{**settings, **change})  # type: ignore[arg-type]


def test_a_love_of_risk_without_bounds_and_holdings_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="risk_aversion must leave kappa"):
        paper().holdings(-1e-5)
    with pytest.raises(ValueError, match=r"holdings must have shape \(6,\), was \(3,\)"):
        paper().variance([3, 2, 1])
    with pytest.raises(ValueError, match="correlation must be between -1 and 1"):
        serial_correlation_gain(1.0, volatility=1, period=1, temporary=1)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_cost_and_variance_of_the_power_law_are_integrals_over_its_schedule(exponent: float) -> None:
    order = PowerLawLiquidation(quantity=10, volatility=2, temporary=0.3, exponent=exponent, risk_aversion=0.05)
    end = min(order.end, 4000 * order.time_scale)
    times = np.concatenate(([0.0], np.geomspace(1e-6, end, 400_001)))
    holdings = order.holdings(times)
    assert holdings[0] == 10
    assert holdings[-1] < 0.01
    rate = -np.diff(holdings) / np.diff(times)
    cost = 0.3 * float(np.sum(np.maximum(rate, 0) ** (exponent + 1) * np.diff(times)))
    assert cost == pytest.approx(order.expected_cost, rel=1e-3)
    assert 4 * float(integrate.trapezoid(holdings**2, times)) == pytest.approx(order.variance, rel=1e-3)
    assert math.isinf(order.end) == (exponent <= 1)


@given(
    st.lists(st.floats(-1, 1), min_size=2, max_size=8),
    st.sampled_from([exponential_kernel(2.0), power_kernel(0.5), power_kernel(0.25)]),
)
def test_round_trips_in_a_linear_market_with_a_convex_kernel_never_earn(trades: list[float], kernel: object) -> None:
    trip = [*trades, -math.fsum(trades)]
    assert callable(kernel)
    assert trading_cost(trip, np.arange(float(len(trip))), kernel) >= -1e-12


def test_a_book_that_never_refills_costs_half_whatever_the_schedule() -> None:
    assert block_book_cost(0.0) == steady_book_cost(0.0) == 0.5
    assert steady_book_cost(9.99e-4) == pytest.approx(steady_book_cost(1.001e-3), rel=1e-6)
