"""The simulator takes whichever data it is given, and says in the report which they were."""

from __future__ import annotations

from typing import Any

import pandas as pd
import polars as pl
import pytest

from core.errors import DataError
from core.instrument import Instrument
from execution.config import DEFAULT_FILLS, FillConfig
from execution.contracts import ExecutionAlgorithm, ExecutionReport
from execution.market_data import MarketData
from execution.simulator import ExecutionSimulator
from execution.slippage import SquareRootSlippageModel
from execution.ticks.feed import TickFeed
from execution.ticks.venue import fill_statement, latency_of, minute_bars, queue_of
from tests.markets import flat
from tests.test_execution_simulator import frame
from tests.test_ticks_desk import history, lively

SYMBOL = "ATOM/USDT"
INSTRUMENT = Instrument(SYMBOL, tick="0.01", lot="1", spread_bps=2.0)
_, (TRADES, QUOTES) = lively(11)


def depth() -> pl.DataFrame:
    """The quotes as changes of levels: the best ones move, and what stood there before goes."""
    rows: list[dict[str, Any]] = []
    standing: dict[str, float] = {}
    for at, quote in enumerate(QUOTES.iter_rows(named=True)):
        for side in ("bid", "ask"):
            if standing.get(side) not in (None, quote[side]):
                rows.append({"ts_ns": quote["ts_ns"], "side": side, "price": standing[side], "qty": 0.0, "seq": at})
            rows.append(
                {"ts_ns": quote["ts_ns"], "side": side, "price": quote[side], "qty": quote[f"{side}_qty"], "seq": at}
            )
            standing[side] = quote[side]
    return pl.DataFrame(rows)


def simulated(data: Any, fills: FillConfig = DEFAULT_FILLS, **params: Any) -> ExecutionReport:
    simulator = ExecutionSimulator(SquareRootSlippageModel(0.5), None, instrument=INSTRUMENT, fills=fills)
    algo = ExecutionAlgorithm("TWAP", SYMBOL, "buy", 100, 600, {"order_type": "market", **params})
    return simulator.simulate_execution(algo, data)


@pytest.mark.parametrize(
    ("data", "statement"),
    [
        (frame(flat(20)), "bars: takers at the open"),
        (MarketData(bars=frame(flat(20))), "bars: takers at the open"),
        (TRADES, "trades: takers at the last trade"),
        (MarketData(trades=TRADES), "trades: takers at the last trade"),
        (MarketData(trades=TRADES, quotes=QUOTES), "quotes and trades: takers walk what is displayed at the best"),
        (MarketData(trades=TRADES, depth=depth()), "book and trades: takers walk the displayed book"),
    ],
    ids=["frame of bars", "bars", "frame of trades", "trades", "quotes and trades", "book and trades"],
)
def test_whatever_is_given_fills_the_orders_and_the_report_says_so(data: Any, statement: str) -> None:
    report = simulated(data)
    assert report.settings["fill_model"].startswith(statement)
    assert (report.status, report.filled_quantity) == ("completed", 100)
    assert report.notes["twin"]["impact_bps"] >= 0


def test_a_pandas_frame_of_trades_is_as_good_as_a_polars_one() -> None:
    told = pd.DataFrame({name: TRADES[name].to_list() for name in TRADES.columns})
    assert simulated(told) == simulated(TRADES)


def test_quotes_and_a_book_that_shows_the_same_fill_alike() -> None:
    quoted, book = (
        simulated(MarketData(trades=TRADES, quotes=QUOTES)),
        simulated(MarketData(trades=TRADES, depth=depth())),
    )
    assert [(f.ts_fill_ns, f.qty) for f in quoted.fills] == [(f.ts_fill_ns, f.qty) for f in book.fills]


def test_bars_of_the_days_before_tell_volatility_and_volume() -> None:
    """Without them the model's bare formula holds, which is far dearer: docs/simulation.md."""
    past = frame(history())
    known = simulated(MarketData(trades=TRADES, quotes=QUOTES, bars=past))
    bare = simulated(MarketData(trades=TRADES, quotes=QUOTES))
    assert 0 < known.notes["twin"]["impact"] < bare.notes["twin"]["impact"]


def test_bars_that_come_later_tell_nothing() -> None:  # pitfall 24
    past = history()
    late = frame(flat(40))
    late["high"] += 50.0
    both = pd.concat([frame(past), late])
    assert simulated(MarketData(trades=TRADES, bars=both)) == simulated(MarketData(trades=TRADES, bars=frame(past)))


def test_the_same_call_gives_the_same_report() -> None:
    data = MarketData(trades=TRADES, quotes=QUOTES)
    assert simulated(data, order_type="limit_then_cross") == simulated(data, order_type="limit_then_cross")


def test_a_start_inside_the_data() -> None:
    start_ns = int(TRADES["ts_ns"][200])
    report = simulated(TRADES, start_ts_ns=start_ns)
    assert report.start_ts_ns == start_ns
    assert all(fill.ts_fill_ns > start_ns for fill in report.fills)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (dict, "need trades, quotes, depth or bars"),
        (lambda: {"trades": TRADES.drop("qty")}, "trades need the columns price, qty, ts_ns; missing: qty"),
        (lambda: {"quotes": QUOTES[:0]}, "quotes have no rows"),
        (lambda: {"bars": TRADES}, "bars need the columns .* missing: close, high"),
    ],
)
def test_data_that_are_none_are_refused_in_one_line(made: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        MarketData(**made())


def test_quotes_alone_are_no_market_to_work_in() -> None:
    with pytest.raises(DataError, match="have no trades"):
        simulated(MarketData(quotes=QUOTES))


def test_the_settings_of_ticks_reach_the_market_and_the_report() -> None:
    fills = FillConfig(
        queue="power", queue_exponent=3.0, queue_ahead=7.0, feed_latency_ms=1, order_latency_ms=2,
        cancel_latency_ms=3, response_latency_ms=4,
    )  # fmt: skip
    queue, latency = queue_of(fills), latency_of(fills)
    assert (queue.model, queue.exponent, queue.queue_ahead) == ("power", 3.0, 7.0)
    assert (latency.feed_ms, latency.order_ms, latency.cancel_ms, latency.response_ms) == (1, 2, 3, 4)
    quoted = fill_statement(TickFeed.of(INSTRUMENT, trades=TRADES, quotes=QUOTES), fills)
    assert quoted.endswith("resting orders queue (power 3), latency 1/2/3/4 ms (feed/order/cancel/response)")
    assert "resting orders behind 7 lots" in fill_statement(TickFeed.of(INSTRUMENT, trades=TRADES), fills)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("queue", "fifo"), ("queue_exponent", 0.0), ("queue_ahead", -1.0), ("order_latency_ms", -1)),
        *(("feed_latency_ms", 60_001), ("cancel_latency_ms", -5), ("response_latency_ms", 10**9)),
    ],
)
def test_settings_out_of_range_name_their_field(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        FillConfig(**{field: value})


def test_latency_makes_takers_later_and_never_earlier() -> None:
    data = MarketData(trades=TRADES, quotes=QUOTES)
    now, later = simulated(data), simulated(data, FillConfig(order_latency_ms=500))
    firsts = [min(f.ts_fill_ns for f in report.fills) for report in (now, later)]
    assert firsts[1] - firsts[0] == 500_000_000


def test_minute_bars_of_the_trades_are_the_bars_that_they_are() -> None:
    bars = minute_bars(TickFeed.of(INSTRUMENT, trades=TRADES), INSTRUMENT)
    assert bars.volume.sum() == TRADES["qty"].sum()
    bars.check()
