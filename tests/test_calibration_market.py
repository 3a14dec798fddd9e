"""Public trades and quotes: signs, intervals, planted slopes, spreads by hand, and two real markets."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from core.chance import generator
from core.errors import DataError
from research.calibration.flow import Quotes, flow_of
from research.calibration.market import (
    MarketCalibration,
    calibrate_market,
    forecasts,
    quoted_spread_bps,
    volume_curve,
)
from research.calibration.proxies import merged, proxies, proxy_orders
from research.calibration.public import Public, read_public
from research.calibration.regression import slope
from research.calibration.result import market_document, plain
from research.calibration.signs import Mids, Trades, lee_ready
from research.columns import Layout
from research.data_reader import DataReader
from research.importers import import_file
from research.store import Store
from tests.calibrations import SECOND_NS, START_NS, book_market, flow_market
from tests.golden import rows
from tests.real_data import real

MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS


def test_trades_are_signed_by_quotes_and_then_by_ticks() -> None:
    table = rows("calibration_signs.csv")
    price = np.array([float(row["price"]) for row in table])
    mid = np.array([float(row["mid"] or "nan") for row in table])

    assert lee_ready(price, mid).tolist() == [int(row["sign"]) for row in table]


def test_the_imbalance_of_a_book_by_hand() -> None:
    table = rows("calibration_imbalance.csv")
    columns = (np.array([float(row[name]) for row in table]) for name in ("bid", "ask", "bid_qty", "ask_qty"))
    quotes = Quotes(np.arange(len(table), dtype=np.int64), *columns)

    assert quotes.imbalance().tolist() == [float(row["imbalance"]) for row in table]


def test_a_planted_lambda_comes_back() -> None:
    flow = flow_of(*flow_market(1, kyle=1e-3), MINUTE_NS)
    found = slope(flow.change, flow.flow)

    assert len(flow) > 1_900
    assert found.interval.low < 1e-3 < found.interval.high
    assert found.se < 5e-5


def test_a_planted_book_moves_by_half_a_tick_for_each_depth() -> None:
    """Cont, Kukanov, Stoikov: the slope on imbalance is tick / (2 * depth) in their stylised book."""
    quotes = book_market(2)
    trades, _ = flow_market(2, minutes=700)
    flow = flow_of(trades, quotes.mids, 5 * MINUTE_NS, quotes)
    found = slope(flow.change, flow.imbalance)

    assert found.value == pytest.approx(0.01 / (2 * 50), rel=0.1)
    assert found.r2 > 0.8


def test_no_interval_reaches_across_a_night() -> None:
    trades, mids = flow_market(3, minutes=60)
    later = START_NS + 10 * HOUR_NS
    night = Trades(
        np.concatenate((trades.ts_ns, trades.ts_ns + 10 * HOUR_NS)),
        np.tile(trades.price, 2),
        np.tile(trades.qty, 2),
        np.tile(trades.sign, 2),
    )
    both = Mids(np.concatenate((mids.ts_ns, mids.ts_ns + 10 * HOUR_NS)), np.concatenate((mids.mid, mids.mid + 50)))
    flow = flow_of(night, both, MINUTE_NS)

    assert np.abs(flow.change).max() < 5
    assert not ((flow.start_ns > START_NS + HOUR_NS) & (flow.start_ns < later)).any()
    assert len(flow) == pytest.approx(120, abs=5)


def test_a_price_counts_from_just_before_an_interval() -> None:
    """A quote stamped exactly at an edge belongs to the interval that begins there, not to the one that ends."""
    mids = Mids(np.array([0, 60, 120]), np.array([100.0, 101.0, 103.0]))

    assert mids.before(np.array([0, 60, 61, 200])).tolist()[1:] == [100.0, 101.0, 103.0]
    assert math.isnan(mids.before(np.array([0]))[0])


def test_the_quoted_spread_is_weighted_by_time() -> None:
    ts = np.array([0, 10, 40], dtype=np.int64) * SECOND_NS
    one = np.ones(3)
    quotes = Quotes(ts, np.array([99.0, 99.5, 99.9]), np.array([101.0, 100.5, 100.1]), one, one)

    assert quoted_spread_bps(quotes) == pytest.approx((200 * 10 + 100 * 30) / 40)


def test_the_volume_curve_takes_whole_days_only() -> None:
    hours = np.arange(24 * 3) * HOUR_NS
    qty = np.where(np.arange(72) % 24 == 14, 5.0, 1.0)

    assert volume_curve(hours, qty)[14] == pytest.approx(5 / 28)
    assert volume_curve(hours[:60], qty[:60])[14] == pytest.approx(5 / 28)  # the third day is cut, and left out
    assert volume_curve(hours[:30], qty[:30]) == ()


def test_forecasts_come_from_earlier_intervals() -> None:
    flow = flow_of(*flow_market(4), MINUTE_NS)
    early = forecasts(flow, with_book=False)
    k = len(flow) * 4 // 5
    change = flow.change.copy()
    change[k + 1 :] *= -1
    late = forecasts(replace(flow, change=change), with_book=False)

    assert early.skill["kyle"] > 0.1
    assert early.skill["constant"] == 0
    assert late.skill["kyle"] < early.skill["kyle"]


def test_prints_of_one_order_are_one() -> None:
    trades = Trades(
        np.array([1, 1, 1, 1, 2]), np.array([10.0, 11.0, 12.0, 9.0, 9.0]),
        np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([1, 1, 1, -1, -1], np.int8),
    )  # fmt: skip
    found = merged(trades)

    assert found.qty.tolist() == [6, 4, 5]
    assert found.price.tolist() == [12, 9, 9]
    assert found.sign.tolist() == [1, -1, -1]


def test_runs_of_synthetic_traders_hold_what_the_trades_say() -> None:
    trades, mids = flow_market(5, minutes=500)
    runs = proxy_orders(trades, mids, traders=7, volatility=0.02, daily_volume=1_000.0)

    owner = generator(0, "proxy traders", 7).integers(7, size=len(trades))
    total = 0.0
    for trader in range(7):  # the slow way: trade by trade
        held: list[int] = []
        for k in [*np.flatnonzero(owner == trader), -1]:
            if held and (k == -1 or trades.sign[k] != trades.sign[held[-1]]):
                first_mid = mids.before(trades.ts_ns[held[:1]])[0]
                total += trades.qty[held].sum() if len(held) >= 2 and math.isfinite(first_mid) else 0.0
                held = []
            held.append(int(k))
    assert runs.size.sum() * 1_000 == pytest.approx(total)
    assert np.all(np.diff(runs.cluster) >= 0)


def test_a_market_without_impact_has_proxies_that_are_not_used() -> None:
    trades, mids = flow_market(6, kyle=0.0)
    found = proxies(trades, mids, volatility=0.02, daily_volume=1e6, resamples=200)

    assert not found.useful


def test_reading_from_the_store_signs_and_chooses_mids(tmp_path: Path) -> None:
    write_market(tmp_path, sides=False)
    public = read_public(DataReader(tmp_path), "X/Y")

    assert public.mid_source == "quotes"
    assert public.signed_by.get("quotes", 0) > 0.9
    with_trades = read_public(DataReader(tmp_path), "X/Y", mid="trades")
    assert with_trades.mid_source == "trades"
    with pytest.raises(DataError, match="no trades data for X/Y at venue 'other'"):
        read_public(DataReader(tmp_path), "X/Y", venue="other")
    with pytest.raises(DataError, match="trades of X/Y are too few"):
        read_public(DataReader(tmp_path), "X/Y", end_ns=START_NS + MINUTE_NS)


def write_market(folder: Path, *, sides: bool) -> None:
    """Two hours of trades at a touch of one tick around a mid that follows the flow."""
    trades, mids = flow_market(7, minutes=120)
    mid = np.round(mids.mid, 2)
    at = np.searchsorted(mids.ts_ns, trades.ts_ns) - 1
    price = mid[at] + 0.01 * trades.sign
    table = pl.DataFrame({"ts_ns": trades.ts_ns, "price": price, "qty": trades.qty})
    if sides:
        table = table.with_columns(pl.Series("side", np.where(trades.sign > 0, "buy", "sell")))
    size = np.full(len(mid), 5.0)
    quotes = pl.DataFrame({"ts_ns": mids.ts_ns, "bid": mid - 0.01, "ask": mid + 0.01, "bid_qty": size, "ask_qty": size})
    store = Store(folder)
    store.commit(table, venue="v", symbol="X/Y", kind="trades", source="test")
    store.commit(quotes, venue="v", symbol="X/Y", kind="quotes", source="test")


def test_spreads_and_signs_agree_with_the_planted_touch(tmp_path: Path) -> None:
    write_market(tmp_path, sides=True)
    found = calibrate_market(read_public(DataReader(tmp_path), "X/Y"), resamples=200)

    assert found.quoted_bps == pytest.approx(2, abs=0.05)
    assert found.effective_bps == pytest.approx(2, abs=0.05)
    assert found.signed_by == {"venue": 1.0}
    assert found.proxies is not None
    document = plain(market_document(found))
    assert document["kind"] == "market"
    assert document["kyle"]["value"] == pytest.approx(found.kyle.value, rel=1e-5)


def test_too_little_is_refused_in_one_line() -> None:
    trades, mids = flow_market(8, minutes=120)
    volume = (trades.ts_ns, trades.qty)
    public = Public("X/Y", trades, mids, mids, None, "bars", volume, {"venue": 1.0}, 0, [])

    with pytest.raises(DataError, match=r"intervals of 600 s .* too few: at least 30"):
        calibrate_market(public, interval_s=600)
    unsigned = replace(trades, sign=np.zeros(len(trades), np.int8))
    with pytest.raises(DataError, match="no trade could be signed"):
        calibrate_market(replace(public, trades=unsigned))
    still = Mids(mids.ts_ns, np.full(len(mids.mid), 100.0))
    with pytest.raises(DataError, match="the mid never moves"):
        calibrate_market(replace(public, mids=still))


def real_market(folder: Path, market: str) -> MarketCalibration:
    trades = Layout({"ts": "recv_ts_ns"})
    quotes = Layout({"ts": "recv_ts_ns", "bid": "bid_px", "ask": "ask_px"})
    for file, kind, layout in (("trades", "trades", trades), ("bbo", "quotes", quotes)):
        path = real(f"binance_btc_3markets_20240808_{file}.parquet")
        where = {"market": market}
        import_file(folder, path, kind=kind, layout=layout, where=where, symbol="BTC/USDT", venue=market)
    public = read_public(DataReader(folder), "BTC/USDT", venue=market)
    return calibrate_market(public, interval_s=5, resamples=200)


def test_real_quotes_of_binance_explain_its_prices(tmp_path: Path) -> None:
    found = real_market(tmp_path, "binance_coinm")

    assert found.kyle.interval.low > 0
    assert found.imbalance is not None
    assert found.imbalance.r2 > 0.3
    assert found.quoted_bps == pytest.approx(0.018, abs=0.005)
    assert found.forecasts.skill["imbalance"] > 0
    assert found.use == "constant"  # six minutes do not tell what a parent costs


def test_real_trades_of_bybit_push_its_mid(tmp_path: Path) -> None:
    mids = {name: f"mid_{name}" for name in ("open", "high", "low", "close")}
    bars = Layout({"ts_open": "timestamp", **mids}, bar_stamp="close")
    for file, kind, layout in (
        ("bybit_btcusdt_perp_trades_20251204", "trades", Layout()),
        ("bybit_btcusdt_perp_midbars_1m_202512", "ohlcv_1m", bars),
    ):
        import_file(tmp_path, real(f"{file}.parquet"), kind=kind, layout=layout, symbol="BTC/USDT", venue="bybit")
    found = calibrate_market(read_public(DataReader(tmp_path), "BTC/USDT"), resamples=200)

    assert found.mid_source == "bars"
    assert found.intervals == 140
    assert 1.0 < found.kyle.value < 2.0  # USDT for each BTC of a minute's net flow
    assert found.kyle.interval.low > 0.5
    assert found.volatility == pytest.approx(0.0225, abs=0.002)
    assert found.curve[14] == max(found.curve)  # of the four days of bars
    assert sum(found.curve) == pytest.approx(1)
