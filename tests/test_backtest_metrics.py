"""Figures of a run: worked out by hand, against plain versions, and against pandas where it knows the figure."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtest import metrics
from core.chance import generator
from core.contracts import SIDES, FillEvent, Side
from tests import naive

DAY_NS = metrics.DAY_NS
HOUR_NS = DAY_NS // 24
START = naive.START_NS


def fill(side: Side, qty: float, price: float, at: int = 0, fee: float = 0.0, symbol: str = "ATOM/USDT") -> FillEvent:
    return FillEvent(f"f{at}", "o1", symbol, side, qty, price, at, fee)


def fills_of(*rows: tuple[Side, float, float]) -> list[FillEvent]:
    return [fill(side, qty, price, at) for at, (side, qty, price) in enumerate(rows)]


some_fills = st.lists(
    st.tuples(
        st.sampled_from(SIDES),
        st.integers(1, 30).map(lambda lots: lots / 10),
        st.integers(50, 150).map(lambda ticks: ticks / 10),
    ),
    max_size=25,
).map(lambda rows: fills_of(*rows))
curves = st.lists(st.integers(1, 1000).map(float), min_size=1, max_size=40)

# ---------------------------------------------------------------- return


@pytest.mark.parametrize(
    ("equity", "expected"),
    [([100, 150, 110], 0.1), ([100, 100], 0.0), ([100, 0], -1.0), ([100, -50], -1.5)],
)
def test_total_return_by_hand(equity: list[float], expected: float) -> None:
    assert metrics.total_return(equity) == pytest.approx(expected)


@pytest.mark.parametrize("equity", [[], [100], [0, 100], [-1, 100], [100, math.nan, 100], [100, math.inf]])
def test_a_return_that_nobody_can_know_is_nan(equity: list[float]) -> None:
    assert math.isnan(metrics.total_return(equity))


# ---------------------------------------------------------------- daily returns and Sharpe


def test_days_run_from_midnight_to_midnight_and_part_days_are_left_out() -> None:
    # 18:00 | 00:00 (110, exactly on it) | 23:00 121 | [00:00 takes 121] | 12:00 60
    ts = [START - 6 * HOUR_NS, START, START + 23 * HOUR_NS, START + 36 * HOUR_NS]
    assert metrics.daily_returns(ts, [100, 110, 121, 60]) == pytest.approx([0.1])


def test_a_day_without_values_returns_zero() -> None:
    ts = [START, START + DAY_NS, START + 4 * DAY_NS]
    assert metrics.daily_returns(ts, [100, 110, 121]) == pytest.approx([0.1, 0, 0, 0.1])


def test_a_day_that_starts_without_equity_is_nan() -> None:
    ts = START + np.arange(4) * DAY_NS
    assert metrics.daily_returns(ts, [100, 0, 50, 100]) == pytest.approx([-1, math.nan, 1], nan_ok=True)


def test_sharpe_by_hand() -> None:
    # Returns 10 %, -10 %, 10 %: mean 1/30, deviation sqrt(0.04 / 3); sqrt(365) / (30 * 0.11547) = 5.51513
    ts = START + np.arange(4) * DAY_NS
    assert metrics.sharpe(ts, [100, 110, 99, 108.9]) == pytest.approx(5.51513, abs=1e-5)


def test_sharpe_agrees_with_pandas() -> None:
    draws = generator(3, "equity").standard_normal(5000)
    equity = 1000 * np.exp(np.cumsum(draws * 1e-3))
    ts = START + 17 * 60_000_000_000 + np.arange(5000) * 7 * 60_000_000_000
    series = pd.Series(equity, index=pd.to_datetime(ts, unit="ns", utc=True))
    days = series.resample("1D", closed="right", label="right").last().iloc[:-1].pct_change().dropna()
    assert metrics.daily_returns(ts, equity) == pytest.approx(days.to_numpy(), rel=1e-12)
    assert metrics.sharpe(ts, equity) == pytest.approx(days.mean() / days.std() * math.sqrt(365), rel=1e-12)


@given(curves, st.integers(1, 30))
def test_sharpe_is_that_of_the_plain_version(equity: list[float], step_hours: int) -> None:
    ts = [HOUR_NS * (5 + k * step_hours) for k in range(len(equity))]
    expected = naive.sharpe(ts, equity)
    assert metrics.sharpe(ts, equity) == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize(
    "equity",
    [[], [100], [100, 110], [100, 100, 100, 100], [100 * 1.01**k for k in range(50)], [100, math.nan, 110, 120]],
    ids=["none", "one", "one day", "flat", "same return each day", "nan"],
)
def test_a_sharpe_that_nobody_can_know_is_nan(equity: list[float]) -> None:
    assert math.isnan(metrics.sharpe(START + np.arange(len(equity)) * DAY_NS, equity))


# ---------------------------------------------------------------- drawdown


def test_drawdown_by_hand_with_its_times() -> None:
    # 120 at 1 and again at 2, down to 90 at 4: a quarter; the second low of 90 is later and does not count.
    assert metrics.max_drawdown(range(7), [100, 120, 120, 95, 90, 90, 130]) == (0.25, 2, 4)


def test_a_curve_that_never_falls_has_a_drawdown_of_zero_without_times() -> None:
    assert metrics.max_drawdown(range(3), [100, 100, 120]) == (0.0, None, None)


def test_losing_more_than_everything_is_a_drawdown_above_one() -> None:
    assert metrics.max_drawdown(range(2), [100, -50]).fraction == pytest.approx(1.5)


@pytest.mark.parametrize("equity", [[], [0, 100], [100, math.nan]])
def test_a_drawdown_that_nobody_can_know_is_nan_without_times(equity: list[float]) -> None:
    fraction, peak, trough = metrics.max_drawdown(range(len(equity)), equity)
    assert math.isnan(fraction)
    assert (peak, trough) == (None, None)


@given(curves)
def test_drawdown_is_that_of_every_pair_of_points(equity: list[float]) -> None:
    drawdown = metrics.max_drawdown(range(len(equity)), equity)
    assert drawdown.fraction == pytest.approx(naive.max_drawdown(equity))
    if drawdown.peak_ts_ns is not None and drawdown.trough_ts_ns is not None:
        assert drawdown.peak_ts_ns < drawdown.trough_ts_ns
        peak, trough = equity[drawdown.peak_ts_ns], equity[drawdown.trough_ts_ns]
        assert 1 - trough / peak == pytest.approx(drawdown.fraction)


@given(curves)
def test_drawdown_agrees_with_pandas(equity: list[float]) -> None:
    series = pd.Series(equity)
    assert metrics.max_drawdown(range(len(equity)), equity).fraction == pytest.approx(
        (1 - series / series.cummax()).max()
    )


@pytest.mark.parametrize(
    ("ts", "equity", "message"),
    [([1, 2], [100], "of one shape"), ([2, 1], [100, 100], "in order of time"), ([[1]], [[100]], "of one shape")],
)
def test_a_curve_that_is_none_is_refused(ts: list[int], equity: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metrics.max_drawdown(ts, equity)


# ---------------------------------------------------------------- round trips


def test_a_long_trip_by_hand() -> None:
    # In: 1 at 10, 3 at 12 (average 11.5, fees 0.5); out: 4 at 13: (13 - 11.5) * 4 - 1.0 of fees = 5
    fills = [fill("buy", 1, 10, 0, 0.25), fill("buy", 3, 12, 5, 0.25), fill("sell", 4, 13, 9, 0.5)]
    assert metrics.round_trips(fills) == [metrics.RoundTrip("long", 0, 9, 4.0, 11.5, 13.0, 1.0, 5.0)]


def test_a_short_trip_earns_when_the_price_falls() -> None:
    (trip,) = metrics.round_trips(fills_of(("sell", 2, 10), ("buy", 2, 7)))
    assert (trip.side, trip.entry_price, trip.exit_price, trip.pnl) == ("short", 10.0, 7.0, 6.0)


def test_a_fill_that_turns_the_position_over_closes_one_trip_and_opens_the_next() -> None:
    fills = [fill("buy", 2, 10, 0), fill("sell", 5, 12, 1, fee=1.0), fill("buy", 3, 11, 2)]
    long, short = metrics.round_trips(fills)
    assert (long.side, short.side) == ("long", "short")
    assert [long.qty, long.fees, long.pnl] == pytest.approx([2.0, 0.4, 3.6])
    assert [short.qty, short.fees, short.pnl] == pytest.approx([3.0, 0.6, 2.4])
    assert (long.closed_ts_ns, short.opened_ts_ns) == (1, 1)


def test_a_trip_still_open_has_no_pnl_yet() -> None:
    (trip,) = metrics.round_trips(fills_of(("buy", 2, 10), ("sell", 1, 12)))
    assert (trip.closed_ts_ns, trip.qty, trip.exit_price) == (None, 2.0, 12.0)
    assert math.isnan(trip.pnl)
    (unsold,) = metrics.round_trips(fills_of(("buy", 2, 10)))
    assert math.isnan(unsold.exit_price)


def test_tenths_that_add_up_leave_no_residue() -> None:  # pitfall 7
    (trip,) = metrics.round_trips(fills_of(("buy", 0.1, 10), ("buy", 0.2, 10), ("sell", 0.3, 11)))
    assert trip.closed_ts_ns == 2


def test_the_contract_size_multiplies_pnl_and_not_fees() -> None:
    fills = [fill("buy", 1, 10, 0, fee=1.0), fill("sell", 1, 12, 1, fee=1.0)]
    assert metrics.round_trips(fills, multiplier=100)[0].pnl == 198


@given(some_fills)
def test_trips_earn_what_first_in_first_out_earns(fills: list[FillEvent]) -> None:
    trips = [trip for trip in metrics.round_trips(fills) if trip.closed_ts_ns is not None]
    expected = [float(result) for result in naive.fifo_results(fills)]
    assert [trip.pnl for trip in trips] == pytest.approx(expected, abs=1e-9)


@given(some_fills)
def test_pnl_follows_from_the_prices_and_fees_of_the_trip(fills: list[FillEvent]) -> None:
    for trip in metrics.round_trips(fills):
        if trip.closed_ts_ns is not None:
            direction = 1 if trip.side == "long" else -1
            gain = direction * (trip.exit_price - trip.entry_price) * trip.qty
            assert trip.pnl == pytest.approx(gain - trip.fees, abs=1e-9)


@pytest.mark.parametrize(
    "second", [fill("sell", 1, 10, 4), fill("sell", 1, 10, 6, symbol="BTC/USDT")], ids=["earlier", "another symbol"]
)
def test_fills_out_of_order_or_of_two_symbols_are_refused(second: FillEvent) -> None:
    with pytest.raises(ValueError, match="of one symbol and in order of time"):
        metrics.round_trips([fill("buy", 1, 10, 5), second])


# ---------------------------------------------------------------- win rate, exposure, turnover


def test_win_rate_counts_closed_trips_after_fees() -> None:
    won = fills_of(("buy", 1, 10), ("sell", 1, 11))
    lost_to_fees = [fill("buy", 1, 10, 2, fee=0.6), fill("sell", 1, 11, 3, fee=0.6)]
    still_open = [fill("buy", 1, 10, 4)]
    assert metrics.win_rate(metrics.round_trips(won + lost_to_fees + still_open)) == 0.5


def test_without_closed_trips_there_is_no_win_rate() -> None:
    assert math.isnan(metrics.win_rate([]))
    assert math.isnan(metrics.win_rate(metrics.round_trips([fill("buy", 1, 10)])))


def test_exposure_by_hand() -> None:
    # Held in [2, 5) and from 8 on; of [4, 12) that is 1 + 4 of 8.
    fills = [fill("buy", 1, 10, 2), fill("sell", 1, 10, 5), fill("sell", 1, 10, 8)]
    assert metrics.exposure(metrics.round_trips(fills), 4, 12) == 5 / 8


@given(some_fills, st.integers(0, 10), st.integers(1, 20))
def test_exposure_is_that_of_every_nanosecond(fills: list[FillEvent], start: int, length: int) -> None:
    trips = metrics.round_trips(fills)
    expected = naive.time_in_market(fills, start, start + length)
    assert metrics.exposure(trips, start, start + length) == pytest.approx(float(expected))


def test_no_trips_are_no_exposure_but_no_time_is_no_answer() -> None:
    assert metrics.exposure([], 0, 10) == 0.0
    assert math.isnan(metrics.exposure([], 10, 10))


def test_turnover_counts_both_sides_over_mean_equity() -> None:
    fills = fills_of(("buy", 10, 10), ("sell", 10, 20))
    assert metrics.turnover(fills, [100, 200]) == pytest.approx(2.0)
    assert metrics.turnover(fills, [100, 200], multiplier=10) == pytest.approx(20.0)
    assert metrics.turnover([], [100, 200]) == 0.0


@pytest.mark.parametrize("equity", [[], [math.nan], [100, -100], [0]])
def test_a_turnover_over_nothing_is_nan(equity: list[float]) -> None:
    assert math.isnan(metrics.turnover(fills_of(("buy", 10, 10)), equity))


# ---------------------------------------------------------------- all at once


def test_performance_is_the_figures_of_its_parts() -> None:
    ts = START + np.arange(4) * DAY_NS
    equity = [100.0, 110.0, 99.0, 108.9]
    fills = [fill("buy", 1, 10, START, 0.5), fill("sell", 1, 12, START + DAY_NS, 0.25)]
    figures = metrics.performance(ts, equity, fills).to_dict()
    assert figures == pytest.approx(
        {
            "total_return": 0.089,
            "sharpe": 5.51513,
            "max_drawdown": 0.1,
            "drawdown_peak_ts_ns": START + DAY_NS,
            "drawdown_trough_ts_ns": START + 2 * DAY_NS,
            "trades": 1,
            "win_rate": 1.0,
            "exposure": 1 / 3,
            "turnover": 22 / 104.475,
            "fees": 0.75,
        },
        rel=1e-5,
    )


def test_performance_of_nothing_is_nan_and_not_zero() -> None:
    figures = metrics.performance([], [], [])
    unknown = (figures.total_return, figures.sharpe, figures.max_drawdown, figures.win_rate)
    assert all(math.isnan(figure) for figure in (*unknown, figures.exposure, figures.turnover))
    assert (figures.trades, figures.fees, figures.drawdown_peak_ts_ns) == (0, 0.0, None)
