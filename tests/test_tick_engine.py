"""The backtest on recorded events: lazy as if it were not, no future seen, bars decided and events filled."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.tick_engine import TickBacktestEngine
from core.bars import Bars
from core.chance import uniform
from core.contracts import FillEvent, OrderIntent, Side, sign
from core.errors import DataError
from execution.config import ExecutionConfig, FillConfig, TwapConfig
from execution.contracts import ExecutionReport
from execution.intake import Intake
from execution.run_files import RunResult
from execution.slippage import SquareRootSlippageModel
from execution.ticks.desk import TickDesk
from execution.ticks.feed import TickFeed
from execution.ticks.market import TickMarket
from execution.ticks.rows import SHOWS, TRADE, Content
from execution.ticks.venue import TickVenue, queue_of, tick_venue
from strategies.base import Account, AnyStrategy, TickStrategy
from tests.backtests import NoParams, Scripted, Wish
from tests.naive_ticks import Row
from tests.ticks import INSTRUMENT, MS, feed_of, feeds, quote, trade

CAPITAL = 1e6
FILLS = FillConfig(max_participation=0.25)
SLOW = replace(FILLS, feed_latency_ms=2, order_latency_ms=3, cancel_latency_ms=1, response_latency_ms=4)
Seen = tuple[int, float, float, Side | None]


class Eager(TickStrategy[NoParams]):
    """Looks at its account now and then, and asks for parents now and then, by chance and by what it holds."""

    strategy_id = "eager"
    params_type = NoParams

    def __init__(self, seed: int, often: float = 0.4) -> None:
        super().__init__("X/Y", NoParams(), seed=seed)
        self.often = often
        self.seen: list[Seen] = []
        self.accounts: dict[int, Account] = {}
        self.asked: list[tuple[int, OrderIntent]] = []

    def on_trade(
        self, ts_ns: int, price: float, qty: float, side: Side | None, account: Callable[[], Account]
    ) -> Sequence[OrderIntent]:
        n = len(self.seen)
        self.seen.append((ts_ns, price, qty, side))
        if uniform(self.seed, "look", n) < self.often:
            self.accounts[n] = account()
        if uniform(self.seed, "ask", n) > self.often:
            return ()
        known = account()
        buys = uniform(self.seed, "side", n) < (0.3 if known.position_qty + known.working_qty > 0 else 0.7)
        limit = price if uniform(self.seed, "limit", n) < 0.4 else None
        lots = 1 + int(uniform(self.seed, "lots", n) * 20) - (0.7 if uniform(self.seed, "dust", n) < 0.2 else 0)
        asked = [self.parent(known, "buy" if buys else "sell", lots, limit_price=limit, duration_seconds=1)]
        self.asked += [(n, intent) for intent in asked]
        return asked


def twap(fills: FillConfig = FILLS, order_type: Any = "limit_then_cross") -> ExecutionConfig:
    return ExecutionConfig(algorithms=(TwapConfig(default_slices=3, order_type=order_type),), fills=fills)


def place_of(feed: TickFeed, fills: FillConfig = FILLS, impact: float | None = 0.5) -> TickVenue:
    return tick_venue(feed, INSTRUMENT, None if impact is None else SquareRootSlippageModel(impact), fills=fills)


def run(place: TickVenue, strategy: AnyStrategy, execution: ExecutionConfig | None, **more: Any) -> RunResult:
    told: dict[str, Any] = {"gate": None, "capital": CAPITAL, **more}
    return TickBacktestEngine(place, strategy, execution=execution, **told).run()


@dataclass
class Naive:
    """The same run, eagerly: plain Python plays the market to every event, and everybody is told at once."""

    place: TickVenue
    strategy: Eager
    execution: ExecutionConfig | None

    def play(self) -> tuple[list[ExecutionReport], list[FillEvent]]:
        place = self.place
        self.fills: list[FillEvent] = []
        self.reports: list[ExecutionReport] = []
        self.waiting: dict[str, Fraction] = {}
        market = TickMarket(
            place.feed, INSTRUMENT, half_spread=0.0 if place.spread is None else place.spread.half,
            pressure=place.pressure(), bars=place.bars, fills=place.fills, queue=queue_of(place.fills),
            latency=place.latency, compiled=False,
        )  # fmt: skip
        desk = TickDesk(market, place.tape, None, place.settings, self._fill, self._report)
        intake = Intake(instrument=INSTRUMENT, config=self.execution, volumes=place.volumes)
        rows = list(zip(*(column.tolist() for column in place.feed.rows), strict=True))
        trades = [row for row in rows if row[0] == TRADE]
        delay = place.latency.feed_ns
        for moment in sorted({row[1] for row in rows}):
            now_ns = moment + delay
            desk.run(now_ns - 1)
            made = []
            for _, _, ticks, lots, side in (row for row in trades if row[1] == moment):
                price = INSTRUMENT.price(ticks)
                words: Side | None = "buy" if side > 0 else "sell" if side < 0 else None
                look = partial(self._account, now_ns, price)
                intents = self.strategy.on_trade(moment, price, lots, words, look)
                for intent in intents:
                    if intent.qty < 1:
                        self.reports.append(intake.refusal(intent, now_ns, price, "below a lot", place.settings))
                        continue
                    made.append(intake.work(intake.request(intent, now_ns, price)))
                    self.waiting[made[-1].report().execution_id] = Fraction(sign(intent.side) * int(intent.qty))
            for parent in made:
                desk.start(parent, now_ns)
        desk.run(place.feed.end_ns + place.latency.response_ns)
        desk.finish(market.now_ns)
        return sorted(self.reports, key=lambda one: (one.start_ts_ns, one.execution_id)), self.fills

    def _fill(self, fill: FillEvent, _at: int) -> None:
        self.fills.append(fill)
        self.waiting[fill.meta["execution_id"]] -= sign(fill.side) * Fraction(fill.qty)

    def _report(self, report: ExecutionReport) -> None:
        self.reports.append(report)
        del self.waiting[report.execution_id]

    def _account(self, now_ns: int, price: float) -> Account:
        held = sum(sign(fill.side) * fill.qty for fill in self.fills)
        cash = CAPITAL
        for fill in self.fills:
            cash -= sign(fill.side) * fill.qty * fill.price + fill.fee
        return Account("X/Y", now_ns, price, held, float(sum(self.waiting.values())), cash + held * price, cash)


def told(reports: Sequence[ExecutionReport]) -> list[str]:
    """All that reports say but for the words of a refusal, as text: NaN equals NaN there."""
    return [str(replace(one, unfilled_reason="" if one.unfilled_reason else None).to_dict()) for one in reports]


@settings(max_examples=40)
@given(st.data(), st.integers(0, 10**6), st.sampled_from((FILLS, SLOW)), st.booleans())
@pytest.mark.parametrize("content", ["trades", "quotes and trades", "book and trades"])
def test_playing_only_when_somebody_looks_changes_nothing(
    content: Content, data: st.DataObject, seed: int, fills: FillConfig, whole: bool
) -> None:
    rows = [(TRADE, 5 * MS, 100, 3.0, 1), *data.draw(feeds(content, most=40))]
    if SHOWS[content] == 1:
        rows[:0] = quote(4, 99, 101)
    place, execution = place_of(feed_of(content, stretched(rows)), fills), None if whole else twap(fills)
    lazy, eager = Eager(seed), Eager(seed)
    try:
        reports, filled = Naive(place, eager, execution).play()
    except DataError as error:  # so much in so thin a market that its price would fall below zero
        with pytest.raises(DataError, match=re.escape(str(error))):
            run(place, lazy, execution)
        return
    result = run(place, lazy, execution)
    assert lazy.seen == eager.seen
    assert lazy.accounts == eager.accounts
    assert lazy.asked == eager.asked
    assert result.fills == filled
    assert told(result.reports) == told(reports)


def stretched(rows: Sequence[Row], by: int = 40) -> list[Row]:
    """The same events further apart, so that a parent of a second sees some of them."""
    return [(kind, ts_ns * by, ticks, lots, side) for kind, ts_ns, ticks, lots, side in rows]


def orders(rows: Sequence[Row], strategy: AnyStrategy, fills: FillConfig = FILLS) -> RunResult:
    """Without impact, which charges a share of the minute's volume, and that is not over when an order fills."""
    return run(place_of(feed_of("trades", rows), fills, None), strategy, twap(fills, "market"))


@given(feeds("trades", most=40), st.integers(0, 10**6), st.integers(1, 40), st.sampled_from((FILLS, SLOW)))
def test_what_a_handler_sees_does_not_depend_on_later_trades_even_of_the_same_moment(
    rows: list[Row], seed: int, known: int, fills: FillConfig
) -> None:  # pitfall 19
    """Cut off behind any trade, whether or not others have the same time, the strategy has seen and done the same."""
    rows = stretched(rows)
    whole, cut = Eager(seed), Eager(seed)
    orders(rows, whole, fills)
    orders(rows[:known], cut, fills)
    assert cut.seen == whole.seen[:known]
    assert cut.asked == [one for one in whole.asked if one[0] < known]
    earlier = {n: account for n, account in whole.accounts.items() if n < known}
    assert {n: replace(one, ts_ns=0) for n, one in cut.accounts.items()} == {
        n: replace(one, ts_ns=0) for n, one in earlier.items()
    }


WHOLE: dict[str, Any] = {"duration_seconds": 1, "params": {"slice_count": 1}}


class Once(TickStrategy[NoParams]):
    """Buys at one trade, and looks at every one."""

    strategy_id = "once"
    params_type = NoParams

    def __init__(self, at: int, qty: float = 1.0, **meta: Any) -> None:
        super().__init__("X/Y", NoParams())
        self.at, self.qty, self.meta = at, qty, meta
        self.accounts: list[Account] = []

    def on_trade(
        self, ts_ns: int, price: float, qty: float, side: Side | None, account: Callable[[], Account]
    ) -> Sequence[OrderIntent]:
        self.accounts.append(account())
        if len(self.accounts) - 1 == self.at:
            return [self.parent(self.accounts[-1], "buy", self.qty, **self.meta)]
        return ()


def prints(*moments_ms: int, lots: float = 100.0) -> list[Row]:
    return [trade(ms, 100, lots, 1) for ms in moments_ms]


@pytest.mark.parametrize(
    ("latency", "arrives_ms"),
    [({}, 20), ({"feed_latency_ms": 15}, 25), ({"order_latency_ms": 25}, 35)],
)
def test_an_order_meets_only_trades_behind_the_one_that_it_answers_and_behind_its_latency(
    latency: dict[str, int], arrives_ms: int
) -> None:  # pitfall 20
    rows = prints(10, 10, 20, 30, 40, 50)
    result = orders(rows, Once(0, qty=30.0, **WHOLE), replace(FILLS, **latency))  # type: ignore[arg-type]
    after = [row[1] for row in rows if row[1] >= arrives_ms * MS]
    assert [fill.ts_fill_ns for fill in result.fills] == after[: len(result.fills)]
    assert result.fills[0].qty == 25.0  # a quarter of the print


def test_a_fill_is_known_to_the_handler_once_the_response_has_come() -> None:
    strategy = Once(0, qty=10.0, **WHOLE)
    orders(prints(10, 20, 30, 40, 50), strategy, replace(FILLS, response_latency_ms=15))
    assert [one.position_qty for one in strategy.accounts] == [0, 0, 0, 10, 10]  # filled at 20, heard at 35
    assert [one.working_qty for one in strategy.accounts] == [0, 10, 10, 0, 0]


def test_what_has_been_asked_for_in_a_moment_counts_as_working_at_once() -> None:
    strategy = Once(0, qty=10.0, **WHOLE)
    orders(prints(10, 10, 10), strategy)
    assert [one.working_qty for one in strategy.accounts] == [0, 10, 10]


def test_the_account_is_exact_and_its_equity_is_told_at_the_minutes() -> None:
    rows = [trade(10, 100, 100.0, 1), trade(20, 102, 100.0, 1), trade(70_000, 110, 5.0, 1)]
    result = orders(rows, Once(0, qty=10.0, **WHOLE))
    (fill,) = result.fills
    assert (fill.qty, fill.ts_fill_ns) == (10.0, 20 * MS)
    cash = CAPITAL - 10 * fill.price - fill.fee
    assert result.position.tolist() == [0, 10, 10]
    assert result.cash.tolist() == pytest.approx([CAPITAL, cash, cash], abs=1e-8)
    assert result.equity.tolist() == pytest.approx([CAPITAL, cash + 10 * 1.02, cash + 10 * 1.10])


def test_a_quantity_below_a_lot_fails_at_once_and_the_rest_goes_on() -> None:
    result = orders(prints(10, 20, 30), Once(0, qty=0.5))
    assert [report.status for report in result.reports] == ["failed"]
    assert "less than one lot" in (result.reports[0].unfilled_reason or "")


@pytest.mark.parametrize("content", ["trades", "quotes and trades", "book and trades"])
def test_reports_say_which_data_filled_them(content: Content) -> None:
    rows = prints(10, 20, 30)
    if content == "quotes and trades":
        rows = [*quote(5, 99, 101), *rows]
    elif content == "book and trades":
        rows = [(3, 5 * MS, 99, 9.0, 0), (4, 5 * MS, 101, 9.0, 0), *rows]
    result = run(place_of(feed_of(content, rows)), Once(0), twap())
    assert result.reports[0].settings["fill_model"].startswith(content)


# ---- bars decide, events fill


def minutes(count: int) -> tuple[Bars, TickVenue]:
    """Bars of a second source, and prints ten seconds apart in the same minutes."""
    rows = [trade(10_000 * k, 100 + k % 3, 40.0, 1 - 2 * (k % 2)) for k in range(1, 6 * count)]
    place = place_of(feed_of("trades", rows))
    opens = np.arange(count) * 60_000 * MS
    flat = np.full(count, 1.0)
    return Bars("X/Y", opens, opens + 60_000 * MS, flat, flat, flat, flat, flat * 100), place


def test_bars_decide_at_their_close_and_events_fill_afterwards() -> None:
    bars, place = minutes(6)
    strategy = Scripted(Wish(1, "buy", 12, seconds=120, slices=3), Wish(3, "sell", 5, seconds=60, slices=1))
    result = run(place, strategy, twap(order_type="market"), bars=bars)
    assert [one.ts_ns for one in strategy.accounts] == bars.ts_close_ns.tolist()
    assert {one.price for one in strategy.accounts} == {1.0}
    assert [one.position_qty for one in strategy.accounts] == [0, 0, 8, 12, 7, 7]
    first = next(report for report in result.reports if report.side == "buy")
    assert first.start_ts_ns == bars.ts_close_ns[1]
    assert [fill.ts_fill_ns // (10_000 * MS) for fill in first.fills] == [13, 17, 21]
    assert first.settings["fill_model"].startswith("trades")
    assert len(result.equity) == len(bars) + 1


def test_nobody_knows_more_at_a_bar_than_it_had_closed() -> None:  # pitfall 19
    bars, place = minutes(6)
    wishes = (Wish(0, "buy", 12, seconds=180, slices=3), Wish(2, "sell", 5, seconds=60, slices=1))
    whole, cut = Scripted(*wishes), Scripted(*wishes)
    run(place, whole, twap(), bars=bars)
    end_ns = int(bars.ts_close_ns[3])
    run(place_of(place.feed.until(end_ns)), cut, twap(), bars=bars[:4])
    assert cut.accounts == whole.accounts[:4]


def test_capital_must_be_a_finite_number_above_zero() -> None:
    with pytest.raises(ValueError, match="capital must be a finite number above 0, was nan"):
        TickBacktestEngine(minutes(2)[1], Once(0), execution=None, gate=None, capital=float("nan"))
