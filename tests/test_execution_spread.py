"""Where the spread of a market of bars comes from, and what an estimate of it is worth on real markets."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.bars import Bars
from core.chance import generator
from core.instrument import Instrument
from execution.conditions import DAY_NS
from execution.spread import bar_spread, edge_bps, estimated_bps
from tests.naive import MINUTE_NS, START_NS
from tests.real_data import real

INSTRUMENT = Instrument("X", tick="0.0001")
MIDNIGHT = -(-START_NS // DAY_NS) * DAY_NS


def bounced(days: int, spread_bps: float, *, seed: int = 0, per_day: int = 1440, trades: int = 20) -> Bars:
    """Minute bars of trades that bounce between bid and ask around a random walk of 2 % a day."""
    draw = generator(seed, "bounce")
    n = days * per_day
    mids = 100 * np.exp(np.cumsum(draw.normal(0, 0.02 / math.sqrt(per_day * trades), n * trades)))
    prices = mids * (1 + draw.choice([-1, 1], n * trades) * spread_bps / 2e4)
    table = prices.reshape(n, trades)
    opens = MIDNIGHT + np.arange(n) * MINUTE_NS
    columns = table[:, 0], table.max(1), table.min(1), table[:, -1], np.full(n, 1000.0)
    return Bars("X", opens, opens + MINUTE_NS, *map(np.ascontiguousarray, columns))


@pytest.mark.parametrize("planted", [8.0, 20.0, 60.0])
def test_a_planted_spread_is_found(planted: float) -> None:
    assert edge_bps(bounced(2, planted)) == pytest.approx(planted, rel=0.15)


def test_no_spread_is_told_from_noise_where_there_is_none() -> None:
    found = [edge_bps(bounced(1, 0.0, seed=seed)) for seed in range(20)]
    assert sum(map(math.isfinite, found)) <= 1


def test_too_few_bars_and_absurd_ones_tell_nothing() -> None:
    assert math.isnan(edge_bps(bounced(1, 20.0)[:99]))
    assert math.isnan(edge_bps(bounced(1, 1500.0)))


def test_a_day_is_estimated_from_the_days_before_it_alone() -> None:  # pitfall 24
    bars = bounced(4, 20.0)
    whole = estimated_bps(bars)
    assert np.isnan(whole[:1440]).all()
    assert np.isfinite(whole[1440:]).all()
    for day in range(1, 4):
        assert len(set(whole[day * 1440 : (day + 1) * 1440].tolist())) == 1


@given(cut=st.integers(1, 3 * 1440))
@settings(max_examples=8)
def test_what_comes_later_changes_no_estimate(cut: int) -> None:  # pitfall 24
    bars = bounced(3, 20.0)
    np.testing.assert_array_equal(estimated_bps(bars[:cut]), estimated_bps(bars)[:cut])


def test_the_days_before_the_first_bar_count() -> None:
    bars = bounced(3, 20.0)
    np.testing.assert_array_equal(estimated_bps(bars[2880:], bars[:2880]), estimated_bps(bars)[2880:])


def test_the_instrument_is_believed_before_any_estimate() -> None:
    told = bar_spread(bounced(2, 20.0), Instrument("X", spread_bps=3.0), None, 5.0)
    assert told.source == "instrument, 3 bps"


def test_days_without_an_estimate_take_the_assumed_spread_and_the_report_says_so() -> None:
    bars = bounced(3, 20.0)
    found = bar_spread(bars, INSTRUMENT, None, 5.0)
    bps = 2e4 * found.half / bars.open
    np.testing.assert_allclose(bps[:1440], 5.0)
    np.testing.assert_allclose(bps[1440:], 20.0, rtol=0.15)
    assert found.source.startswith("estimated from the bars of the 7 days before (EDGE), ")
    assert found.source.endswith("; assumed, 5 bps, for 33% of the bars, where that is lost in noise")


def test_where_nothing_tells_it_is_assumed() -> None:
    assert bar_spread(bounced(1, 20.0), INSTRUMENT, None, 5.0).source == (
        "assumed: neither quotes nor the instrument tell, 5 bps"
    )


def test_an_estimate_is_no_less_than_a_tick() -> None:
    bars = bounced(2, 20.0)
    coarse = bar_spread(bars, Instrument("X", tick="1"), None, 5.0)
    np.testing.assert_allclose(coarse.half[1440:], 0.5)


# ---------------------------------------------------------------- real markets whose spread is known


def session_bars(path: Path, symbol: str) -> Bars:
    trades = pl.read_parquet(path).filter(
        (pl.col("symbol") == symbol) & pl.col("ms_ny").is_between(34_200_000, 57_600_000, closed="left")
    )
    minute = (pl.col("ms_ny") // 60_000).cast(pl.Int64).alias("minute")
    made = (
        trades.group_by("date", minute)
        .agg(
            open=pl.col("price").first(),
            high=pl.col("price").max(),
            low=pl.col("price").min(),
            close=pl.col("price").last(),
            volume=pl.col("size").sum().cast(pl.Float64),
        )
        .sort("date", "minute")
    )
    opens = made["date"].to_physical().to_numpy().astype(np.int64) * DAY_NS + made["minute"].to_numpy() * MINUTE_NS
    columns = [made[name].to_numpy() for name in ("open", "high", "low", "close", "volume")]
    return Bars(symbol, opens, opens + MINUTE_NS, *columns)


@pytest.mark.parametrize(("symbol", "quoted", "rel"), [("IBM", (2.10, 3.27), 0.25), ("BAC", (7.19, 7.24), 0.15)])
def test_on_stocks_the_estimate_lies_near_the_quoted_spread(
    symbol: str, quoted: tuple[float, float], rel: float
) -> None:
    """Time-weighted quoted spreads of the three days lie between these; BAC's is one tick."""
    found = edge_bps(session_bars(real("us_equity_trades_20131007_09.parquet"), symbol))
    assert quoted[0] * (1 - rel) <= found <= quoted[1] * (1 + rel)


def test_where_the_spread_is_tiny_the_estimate_says_nothing_rather_than_something() -> None:
    """SPY (0.6 bps) on trades, and BTC perpetuals (0.01 bps) on mids, which do not bounce at all."""
    assert math.isnan(edge_bps(session_bars(real("us_equity_trades_20131007_09.parquet"), "SPY")))
    mids = pl.read_parquet(real("bybit_btcusdt_perp_midbars_1m_202512.parquet"))
    assert float((mids["spread_mean"] / mids["mid_close"]).mean()) * 1e4 < 0.02  # type: ignore[arg-type]
    opens = START_NS + np.arange(len(mids)) * MINUTE_NS
    names = ("mid_open", "mid_high", "mid_low", "mid_close", "volume")
    bars = Bars("BTC", opens, opens + MINUTE_NS, *(mids[name].to_numpy() for name in names))
    assert math.isnan(edge_bps(bars))
