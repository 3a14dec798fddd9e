"""Simulated markets for tests: small bars, orders that are submitted as told, and everything that came of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.bars import Bars
from core.contracts import FillEvent, OrderClosed, OrderIntent, Side, sign
from core.instrument import Instrument
from execution.conditions import Conditions, running
from execution.config import FillConfig
from execution.market import BarMarket, VenueEvent
from execution.pressure import Pressure
from execution.slippage import SlippageModel, SquareRootSlippageModel
from tests.naive import MINUTE_NS, START_NS

SYMBOL = "ATOM/USDT"
INSTRUMENT = Instrument(SYMBOL, tick="0.01", lot="1", maker_fee_bps=1.0, taker_fee_bps=5.0)
IMPACT = SquareRootSlippageModel(0.5)
ALL = FillConfig(max_participation=1.0)

Row = tuple[float, float, float, float, float]
"""Open, high, low, close, volume."""


def bars_of(rows: Sequence[Row], *, pauses: Sequence[int] = ()) -> Bars:
    """One-minute bars; `pauses[k]` minutes pass without a bar before bar k."""
    table = np.array(rows, np.float64).reshape(-1, 5)
    waits = np.zeros(len(table), np.int64)
    waits[: len(pauses)] = pauses
    opens = START_NS + (np.arange(len(table)) + np.cumsum(waits)) * MINUTE_NS
    columns = [np.ascontiguousarray(column) for column in table.T]
    bars = Bars(SYMBOL, opens, opens + MINUTE_NS, *columns)
    bars.check()
    return bars


def flat(n: int, price: float = 100.0, volume: float = 1000.0, reach: float = 0.0) -> Bars:
    """Bars that open and close at one price, `reach` up and down in between."""
    return bars_of([(price, price + reach, price - reach, price, volume)] * n)


def known(bars: Bars, volatility: float = 0.04, daily_volume: float = 1_440_000.0) -> Conditions:
    """Conditions that are the same before every bar."""
    n = len(bars)
    spent = running(bars.volume / daily_volume)
    return Conditions(np.full(n, volatility), np.full(n, daily_volume), spent)


def market_of(
    bars: Bars,
    *,
    slippage: SlippageModel | None = None,
    half: float = 0.0,
    fills: FillConfig = ALL,
    permanent_share: float = 1 / 3,
    conditions: Conditions | None = None,
    instrument: Instrument = INSTRUMENT,
) -> BarMarket:
    """A market without spread and impact in which we may trade all of the volume, unless told otherwise."""
    pressure = Pressure(bars, slippage, permanent_share, conditions or known(bars))
    return BarMarket(bars, instrument, np.full(len(bars), half), pressure, fills)


@dataclass(frozen=True, slots=True)
class Order:
    """Submitted as bar `bar` opens. `minutes`: its life; None: for ever."""

    bar: int
    side: Side
    qty: float
    limit: float | None = None
    minutes: float | None = None

    def intent(self, name: str, now_ns: int) -> OrderIntent:
        expires = None if self.minutes is None else now_ns + round(self.minutes * MINUTE_NS)
        kind: Any = "market" if self.limit is None else "limit"
        return OrderIntent(
            name, now_ns, "tester", SYMBOL, self.side, kind, self.qty, self.limit, {"k": name}, expires_ts_ns=expires
        )


@dataclass
class Outcome:
    """What came of orders `o0`, `o1`, ... in the order in which they were given."""

    intents: dict[str, OrderIntent] = field(default_factory=dict)
    fills: list[tuple[int, FillEvent]] = field(default_factory=list)  # with their bars
    closes: dict[str, OrderClosed] = field(default_factory=dict)

    def of(self, number: int) -> list[FillEvent]:
        return [fill for _, fill in self.fills if fill.order_id == f"o{number}"]

    def filled(self, number: int | None = None) -> float:
        return sum(fill.qty for _, fill in self.fills if number is None or fill.order_id == f"o{number}")

    def by_bar(self) -> dict[int, float]:
        found: dict[int, float] = defaultdict(float)
        for k, fill in self.fills:
            found[k] += fill.qty
        return found

    def cash(self) -> float:
        """Money in less money out, without fees."""
        return -sum(sign(fill.side) * fill.qty * fill.price for _, fill in self.fills)


def play(market: BarMarket, orders: Iterable[Order]) -> Outcome:
    """Submits the orders, plays every bar and keeps what the market says."""
    outcome = Outcome()
    waiting = [(order, f"o{number}") for number, order in enumerate(orders)]

    def hear(k: int, events: Iterable[VenueEvent]) -> None:
        for event in events:
            if isinstance(event, FillEvent):
                outcome.fills.append((k, event))
            else:
                outcome.closes[event.intent_id] = event

    for k, open_ns in enumerate(market.bars.ts_open_ns.tolist()):
        for order, name in waiting:
            if order.bar == k:
                intent = outcome.intents[name] = order.intent(name, open_ns)
                refused = market.submit(intent, open_ns)
                if refused is not None:
                    hear(k, [refused])
        hear(k, market.open(k))
        hear(k, market.close(k))
    return outcome


def cents(ticks: int) -> float:
    return INSTRUMENT.price(ticks)


@st.composite
def tapes(draw: st.DrawFn, *, longest: int = 12, pauses: bool = True) -> Bars:
    """Bars around 100.00 with jumps, empty bars and outages."""
    rows: list[Row] = []
    waits = []
    price = 10_000
    step = st.tuples(*[st.integers(-40, 40)] * 2, *[st.integers(0, 30)] * 2, st.sampled_from((0, 1, 7, 100, 1000)))
    for jump, move, up, down, volume in draw(st.lists(step, min_size=2, max_size=longest)):
        opens, closes = price + jump, price + jump + move
        high, low = max(opens, closes) + up, min(opens, closes) - down
        rows.append((cents(opens), cents(high), cents(low), cents(closes), float(volume)))
        waits.append(draw(st.sampled_from((0, 0, 0, 0, 3))) if pauses else 0)
        price = closes
    return bars_of(rows, pauses=waits)


def limits() -> st.SearchStrategy[float | None]:
    return st.none() | st.integers(9_900, 10_100).map(cents)


@st.composite
def orders(draw: st.DrawFn, *, most: int = 5, ends: bool = True) -> list[Order]:
    one = st.builds(
        Order,
        bar=st.integers(0, 4),
        side=st.sampled_from(("buy", "sell")),
        qty=st.integers(1, 600).map(float),
        limit=limits(),
        minutes=st.sampled_from((None, None, 1, 2.5, 4)) if ends else st.none(),
    )
    return draw(st.lists(one, min_size=1, max_size=most))


def mirrored(bars: Bars, around: float = 100.0) -> Bars:
    """The same market upside down: every price p becomes 2 * around - p."""

    def turned(column: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.round(2 * around - column, 10)

    return replace(bars, open=turned(bars.open), high=turned(bars.low), low=turned(bars.high), close=turned(bars.close))
