"""Parents at work on ticks: the bar desk's decisions where both must agree, times kept, no future seen, two sides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.bars import Bars
from core.chance import generator
from core.contracts import FillEvent, OrderClosed, OrderIntent, RiskDecision, Side
from core.errors import DataError
from core.instrument import Instrument
from execution.benchmarks import Tape
from execution.config import FillConfig
from execution.contracts import ALGO_TYPES, AlgoType, ExecutionAlgorithm, ExecutionReport
from execution.desk import Desk
from execution.events import Event, Market
from execution.executors import executor
from execution.market import BarMarket
from execution.parent import ParentOrder
from execution.profile import VolumeHistory
from execution.seats import Gate
from execution.slippage import SquareRootSlippageModel
from execution.spread import Spread
from execution.ticks.desk import TickDesk
from execution.ticks.feed import TickFeed
from execution.ticks.venue import TickVenue, minute_bars, tick_venue
from execution.venue import venue
from tests.naive import MINUTE_NS, START_NS

MS = 1_000_000
SYMBOL = "ATOM/USDT"
INSTRUMENT = Instrument(SYMBOL, tick="0.01", lot="1", spread_bps=0.0, taker_fee_bps=5.0)
TENTH = FillConfig(max_participation=0.1)


def parent(
    algo_type: AlgoType,
    qty: float = 100,
    *,
    side: Side = "buy",
    seconds: int = 600,
    start_ns: int = START_NS,
    history: Bars | None = None,
    instrument: Instrument = INSTRUMENT,
    **params: Any,
) -> ParentOrder:
    volumes = None if history is None else VolumeHistory(history)
    worker = executor(algo_type, "tester", instrument=instrument, least_interval_ms=60_000, volumes=volumes)
    algo = ExecutionAlgorithm(algo_type, SYMBOL, side, qty, seconds, params)
    return worker.start(algo, start_ns=start_ns, execution_id="x-1", price=100.0)


@dataclass
class Recorder:
    """A gate that allows everything and keeps what it hears."""

    orders: list[tuple[OrderIntent, int]] = field(default_factory=list)
    heard: list[FillEvent | OrderClosed] = field(default_factory=list)
    prices: list[tuple[float, float, int]] = field(default_factory=list)
    refuses: str = "none"

    def check(self, intent: OrderIntent, now_ns: int) -> RiskDecision:
        self.orders.append((intent, now_ns))
        allowed = not intent.intent_id.endswith(self.refuses)
        return RiskDecision(intent.intent_id, allowed, None if allowed else "not today")

    def on_fill(self, fill: FillEvent) -> None:
        self.heard.append(fill)

    def on_closed(self, closed: OrderClosed) -> None:
        self.heard.append(closed)

    def on_parent(self, execution_id: str, symbol: str, side: Side, qty: float) -> None: ...

    def on_price(self, symbol: str, bid: float, ask: float, ts_ns: int) -> None:
        self.prices.append((bid, ask, ts_ns))

    def decisions(self) -> list[tuple[str, str, float, float | None, int]]:
        """Every command, with the minute in which it was given."""
        return [
            (intent.action, intent.intent_id, intent.qty, intent.limit_price, now_ns // MINUTE_NS)
            for intent, now_ns in self.orders
        ]


@dataclass
class Played:
    reports: list[ExecutionReport] = field(default_factory=list)
    fills: list[FillEvent] = field(default_factory=list)

    @property
    def report(self) -> ExecutionReport:
        return self.reports[0]


def on_ticks(place: TickVenue, one: ParentOrder, gate: Gate | None = None, **more: Any) -> Played:
    played = Played()
    desk = TickDesk(
        place.market(), place.tape, gate, place.settings, lambda fill, _: played.fills.append(fill),
        played.reports.append, **more,
    )  # fmt: skip
    desk.start(one, one.parent.start_ns)
    desk.run(place.feed.end_ns + place.latency.response_ns)
    desk.finish(place.feed.end_ns)
    assert not desk.working
    return played


def on_bars(market: BarMarket, one: ParentOrder, gate: Gate | None = None) -> Played:
    played = Played()
    desk = Desk(
        market, Tape(market.bars), gate, {}, lambda fill, _: played.fills.append(fill), played.reports.append
    )  # fmt: skip
    desk.start(one, one.parent.start_ns, -1)
    k = desk.next_bar(-1)
    while k is not None:
        desk.play(k)
        k = desk.next_bar(k)
    desk.finish(len(market.bars) - 1)
    return played


def trades_at(
    prices: list[float], volumes: list[float], *, offset_ms: int = 1, sides: list[str | None] | None = None
) -> pl.DataFrame:
    """One trade a minute, just after it begins."""
    return pl.DataFrame(
        {
            "ts_ns": [START_NS + k * MINUTE_NS + offset_ms * MS for k in range(len(prices))],
            "price": prices,
            "qty": volumes,
            "side": pl.Series(sides or [None] * len(prices), dtype=pl.String),
        }
    )


def place_of(
    trades: pl.DataFrame,
    quotes: pl.DataFrame | None = None,
    *,
    fills: FillConfig = TENTH,
    impact: float | None = None,
    before: Bars | None = None,
    instrument: Instrument = INSTRUMENT,
) -> TickVenue:
    feed = TickFeed.of(instrument, trades=trades, quotes=quotes)
    model = None if impact is None else SquareRootSlippageModel(impact)
    return tick_venue(feed, instrument, model, fills=fills, before=before)


def history(volume: float = 1000.0) -> Bars:
    """Seven days of quiet before the first minute: what volatility and volume curve are known from."""
    n = 7 * 1440
    opens = START_NS - np.arange(n, 0, -1) * MINUTE_NS
    prices = np.where(np.arange(n) % 2 == 0, 100.0, 100.1)
    return Bars(SYMBOL, opens, opens + MINUTE_NS, prices, prices, prices, prices, np.full(n, volume))


# ---------------------------------------------------------------- the bar desk's decisions


def bars_like(trades: pl.DataFrame) -> Bars:
    return minute_bars(TickFeed.of(INSTRUMENT, trades=trades), INSTRUMENT)


STYLES: dict[AlgoType, dict[str, Any]] = {
    "TWAP": {"order_type": "market"},
    "VWAP": {"order_type": "market"},
    "POV": {"target_pov": 0.05},
    "Iceberg": {"limit_price": 100.0, "visible_ratio": 0.2, "seconds": 1800},
    "IS": {"order_type": "market"},
}


@pytest.mark.parametrize("algo_type", ALGO_TYPES)
def test_the_same_parents_decide_alike_on_bars_and_on_ticks(algo_type: AlgoType) -> None:
    """One trade a minute just after it begins: a bar says all that a tick says, and all drivers must do the same."""

    @settings(max_examples=12)
    @given(
        prices=st.lists(st.integers(9_800, 10_200), min_size=15, max_size=15),
        volumes=st.lists(st.integers(1, 40), min_size=15, max_size=15),
        qty=st.integers(10, 400),
        side=st.sampled_from(("buy", "sell")),
    )
    def alike(prices: list[int], volumes: list[int], qty: int, side: Side) -> None:
        if algo_type == "Iceberg":  # fills whole clips or none, at its limit: a bar cannot tell more
            prices = [9_900 if price < 10_000 else 10_100 for price in prices]
            volumes = [1000] * len(volumes)
        trades = trades_at([price / 100 for price in prices], [100.0 * volume for volume in volumes])
        past = history()
        place = place_of(trades, before=past)
        bars = bars_like(trades)
        zero = Spread(np.zeros(len(bars)), "none")
        market = venue(bars, INSTRUMENT, None, spread=zero, fills=TENTH, before=past).market()
        told = Recorder(), Recorder()
        made = [parent(algo_type, qty, side=side, history=past, **STYLES[algo_type]) for _ in told]
        ticks, played = on_ticks(place, made[0], told[0]), on_bars(market, made[1], told[1])
        if algo_type == "Iceberg":  # a bar tells of a resting order's fill when it closes, a tick at once
            assert [one[:-1] for one in told[0].decisions()] == [one[:-1] for one in told[1].decisions()]
        else:
            assert told[0].decisions() == told[1].decisions()
        assert [(f.order_id, f.qty) for f in ticks.fills] == [(f.order_id, f.qty) for f in played.fills]
        assert ticks.report.status == played.report.status
        if algo_type != "Iceberg":  # on bars it fills better where the market opens beyond its limit
            assert [f.price for f in ticks.fills] == pytest.approx([f.price for f in played.fills], rel=1e-12)

    alike()


class Listening:
    """A parent that writes down what it was told and what it answered."""

    def __init__(self, inner: ParentOrder) -> None:
        self.inner = inner
        self.script: list[tuple[Event, int]] = []
        self.answers: list[tuple[OrderIntent, ...]] = []

    ended = property(lambda self: self.inner.ended)
    listens = property(lambda self: self.inner.listens)
    parent = property(lambda self: self.inner.parent)

    def on(self, event: Event, now_ns: int) -> Any:
        step = self.inner.on(event, now_ns)
        self.script.append((event, now_ns))
        self.answers.append(step.commands)
        return step

    def report(self) -> ExecutionReport:
        return self.inner.report()


@pytest.mark.parametrize("algo_type", ALGO_TYPES)
def test_the_desk_decides_nothing_itself(algo_type: AlgoType) -> None:
    """What it told a parent, told to a fresh one by nobody in particular, gives the same commands."""
    place, _ = lively(3, impact=0.5)
    params: dict[str, Any] = {"order_type": "limit_then_cross"} if algo_type not in ("Iceberg", "POV") else {}
    one = Listening(parent(algo_type, 300, seconds=900, **params))
    on_ticks(place, one)  # type: ignore[arg-type]
    twin = parent(algo_type, 300, seconds=900, **params)
    assert [twin.on(event, now_ns).commands for event, now_ns in one.script] == one.answers
    assert any(one.answers)


# ---------------------------------------------------------------- time


def lively(
    seed: int, *, minutes: int = 20, impact: float | None = None, fills: FillConfig = TENTH, quoted: bool = True
) -> tuple[TickVenue, tuple[pl.DataFrame, pl.DataFrame]]:
    """A market of random trades and quotes with a spread of two ticks, and its frames."""
    draw = generator(seed, "lively")
    n = minutes * 120
    ts_ns = START_NS + np.sort(draw.integers(0, minutes * MINUTE_NS // MS, n)) * MS
    ts_ns[0] = START_NS
    mids = 10_000 + np.cumsum(draw.integers(-1, 2, n))
    quotes = pl.DataFrame(
        {
            "ts_ns": ts_ns,
            "bid": (mids - 1) / 100,
            "ask": (mids + 1) / 100,
            "bid_qty": draw.integers(5, 60, n) * 1.0,
            "ask_qty": draw.integers(5, 60, n) * 1.0,
        }
    )
    buys = draw.random(n) < 0.5
    trades = pl.DataFrame(
        {
            "ts_ns": ts_ns + draw.integers(0, 400, n) * MS,
            "price": np.where(buys, mids + 1, mids - 1) / 100,
            "qty": draw.integers(1, 30, n) * 1.0,
            "side": np.where(buys, "buy", "sell"),
        }
    ).sort("ts_ns", maintain_order=True)
    return place_of(trades, quotes if quoted else None, impact=impact, fills=fills, before=history()), (trades, quotes)


def test_slices_trade_at_their_own_times_and_never_before() -> None:  # pitfall 20
    place, _ = lively(1)
    played = on_ticks(place, parent("TWAP", 100, order_type="market"))
    assert played.report.status == "completed"
    for fill in played.fills:
        assert fill.ts_fill_ns >= int(fill.meta["scheduled_ts_ns"])
    minutes = {(fill.ts_fill_ns - START_NS) // MINUTE_NS for fill in played.fills}
    assert minutes == set(range(10))


def test_what_is_left_at_the_end_of_the_horizon_is_cancelled_there() -> None:  # pitfall 16
    place, _ = lively(1)
    played = on_ticks(place, parent("TWAP", 100, order_type="limit", limit_price=50.0))
    assert (played.report.status, played.report.end_ts_ns) == ("cancelled", START_NS + 10 * MINUTE_NS)
    assert played.report.filled_quantity == 0


def test_a_market_order_gets_no_more_than_there_is_and_not_at_the_close() -> None:  # pitfall 21
    place, _ = lively(1, quoted=False)
    played = on_ticks(place, parent("TWAP", 5000, order_type="market", slice_count=1, seconds=60))
    volume = place.tape.volume(START_NS, START_NS + MINUTE_NS)
    assert 0 < played.report.filled_quantity <= 0.1 * volume + 1
    assert len({fill.ts_fill_ns for fill in played.fills}) > 10


def test_a_parent_that_starts_in_the_middle_sees_what_was_known_then() -> None:
    place, (_, quotes) = lively(1)
    start_ns = START_NS + 3 * MINUTE_NS + 500 * MS
    gate = Recorder()
    played = on_ticks(place, parent("TWAP", 100, start_ns=start_ns, order_type="market"), gate)
    last = quotes.filter(pl.col("ts_ns") <= start_ns)[-1]
    assert played.report.arrival_price == pytest.approx((last["bid"][0] + last["ask"][0]) / 2)
    assert gate.prices[0][:2] == pytest.approx((last["bid"][0], last["ask"][0]))


class Watched(Listening):
    """A parent that listens, whatever it is."""

    listens = property(lambda self: True)

    def seen(self) -> list[int]:
        return [now_ns for event, now_ns in self.script if isinstance(event, Market)]


def test_listeners_look_at_most_once_every_so_often_and_at_set_times() -> None:
    place, _ = lively(1, minutes=5)
    one = Watched(parent("TWAP", 10, seconds=240, order_type="limit", limit_price=50.0))
    on_ticks(place, one, view_ms=2000)  # type: ignore[arg-type]
    looks = [now_ns for now_ns in one.seen() if now_ns % (2000 * MS) == 0]
    assert looks == sorted(set(looks))
    assert len(looks) >= 115
    assert len(one.seen()) - len(looks) <= 25  # beside wake-ups and answers


def test_with_latency_fills_are_heard_later_than_they_happen() -> None:
    slow = FillConfig(order_latency_ms=70, response_latency_ms=30, cancel_latency_ms=10, feed_latency_ms=20)
    place, _ = lively(1, fills=slow)
    heard: list[tuple[int, int]] = []
    desk = TickDesk(place.market(), place.tape, None, place.settings, lambda f, at: heard.append((f.ts_fill_ns, at)))
    desk.start(parent("TWAP", 100, order_type="market"), START_NS)
    desk.run(place.feed.end_ns)
    assert heard
    assert all(at - happened == 30 * MS for happened, at in heard)
    assert all((happened - START_NS) % MINUTE_NS >= 70 * MS for happened, _ in heard)


# ---------------------------------------------------------------- no future, two sides


@pytest.mark.parametrize("algo_type", ALGO_TYPES)
@pytest.mark.parametrize("quoted", [True, False], ids=["quotes", "trades"])
def test_what_comes_after_the_cut_changes_nothing_before_it(algo_type: AlgoType, *, quoted: bool) -> None:
    # pitfall 24. Cut where a minute ends: a fill pays for its share of the volume of its whole minute.
    place, (trades, quotes) = lively(5, impact=0.5, quoted=quoted)
    cut = START_NS + 7 * MINUTE_NS
    shown = [frame.filter(pl.col("ts_ns") < cut) for frame in (trades, quotes)]
    short = place_of(shown[0], shown[1] if quoted else None, impact=0.5, before=history())
    params: dict[str, Any] = {} if algo_type == "Iceberg" else {"order_type": "limit_then_cross"}
    whole, part = (on_ticks(where, parent(algo_type, 400, seconds=900, **params)).fills for where in (place, short))
    assert part == [fill for fill in whole if fill.ts_fill_ns < cut]
    assert part


@pytest.mark.parametrize("algo_type", ALGO_TYPES)
@pytest.mark.parametrize("quoted", [True, False], ids=["quotes", "trades"])
def test_selling_is_buying_in_a_mirror(algo_type: AlgoType, *, quoted: bool) -> None:  # pitfall 30
    place, (trades, quotes) = lively(6, quoted=quoted)
    other = {"buy": "sell", "sell": "buy"}
    flipped = trades.with_columns(
        price=((20_000 - trades["price"] * 100).round() / 100), side=trades["side"].replace(other)
    )
    turned = quotes.select(
        "ts_ns",
        bid=((20_000 - pl.col("ask") * 100).round() / 100),
        ask=((20_000 - pl.col("bid") * 100).round() / 100),
        bid_qty="ask_qty",
        ask_qty="bid_qty",
    )
    mirror = place_of(flipped, turned if quoted else None, before=history())
    params: dict[str, Any] = {} if algo_type == "Iceberg" else {"order_type": "limit_then_cross"}
    buys = on_ticks(place, parent(algo_type, 300, seconds=900, **params)).fills
    sells = on_ticks(mirror, parent(algo_type, 300, side="sell", seconds=900, **params)).fills
    assert [(f.ts_fill_ns, f.qty, f.liquidity) for f in buys] == [(f.ts_fill_ns, f.qty, f.liquidity) for f in sells]
    np.testing.assert_allclose([f.price for f in buys], [200 - f.price for f in sells], atol=1e-9)
    assert buys


# ---------------------------------------------------------------- the gate, and what reports say


def test_nothing_reaches_the_market_that_the_gate_has_not_seen() -> None:
    gate = Recorder()
    place, _ = lively(2)
    played = on_ticks(place, parent("TWAP", 100, order_type="limit_then_cross"), gate)
    assert {fill.order_id for fill in played.fills} <= {intent.intent_id for intent, _ in gate.orders}
    assert [event for event in gate.heard if isinstance(event, FillEvent)] == played.fills


def test_a_refused_child_stands_in_the_report_and_never_trades() -> None:
    gate = Recorder(refuses="-0")
    place, _ = lively(2)
    played = on_ticks(place, parent("TWAP", 100, order_type="market"), gate)
    assert played.report.denials == ("x-1-0: not today",)
    assert "x-1-0" not in {fill.order_id for fill in played.fills}


def test_reports_have_the_benchmarks_of_their_own_interval() -> None:
    place, (trades, quotes) = lively(4)
    played = on_ticks(place, parent("TWAP", 100, order_type="market"))
    report = played.report
    end_ns = max(fill.ts_fill_ns for fill in played.fills)
    inside = trades.filter((pl.col("ts_ns") > START_NS) & (pl.col("ts_ns") <= end_ns))
    prices, quantities = inside["price"].to_numpy(), inside["qty"].to_numpy()
    vwap = float(prices @ quantities / quantities.sum())
    assert report.market_volume == inside["qty"].sum()
    assert report.benchmark_vwap == pytest.approx(vwap)
    assert report.spread_bps == pytest.approx(2.0, rel=0.02)
    assert report.benchmark_twap == pytest.approx(
        float(np.mean((quotes["bid"] + quotes["ask"]).to_numpy() / 2)), rel=1e-2
    )
    own = (vwap * report.market_volume + 100 * report.avg_fill_price) / (report.market_volume + 100)
    assert report.benchmark_vwap_own == pytest.approx(own)
    assert report.settings["spread_source"] == "quotes of the feed"
    assert report.settings["fill_model"].startswith("quotes and trades: takers walk")


def test_data_that_end_first_leave_the_parent_running() -> None:
    place, _ = lively(1, minutes=5)
    report = on_ticks(place, parent("TWAP", 100, order_type="market")).report
    assert (report.status, report.end_ts_ns) == ("running", None)
    assert 0 < report.filled_quantity < 100


def test_a_feed_without_trades_is_no_market_to_work_in() -> None:
    _, (_, quotes) = lively(1, minutes=2)
    with pytest.raises(DataError, match="have no trades"):
        tick_venue(TickFeed.of(INSTRUMENT, quotes=quotes), INSTRUMENT, None)


def test_minutes_without_a_trade_have_no_bar() -> None:
    trades = trades_at([100.0, 101.0, 102.0], [10.0, 20.0, 30.0])[[0, 2]]
    bars = bars_like(trades)
    assert bars.ts_open_ns.tolist() == [START_NS, START_NS + 2 * MINUTE_NS]
    assert (bars.volume.tolist(), bars.close.tolist()) == ([10, 30], [100, 102])
    assert bars.quote_volume is not None
    assert bars.quote_volume.tolist() == [1000, 3060]
