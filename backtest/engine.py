"""The backtest: a strategy over historical bars, its parents at work on a desk, its account exact to the fill.

Bars in which nothing is in flight and the strategy has no opinion are not visited: work follows orders, not bars.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backtest.vetting import KillWatch, is_vettable, may_trade
from core.bars import each_bar
from core.bulk import made
from core.contracts import FillEvent, OrderIntent, sign
from execution.batch_reports import told
from execution.batch_run import LoopRun
from execution.config import ExecutionConfig
from execution.contracts import ExecutionReport
from execution.desk import Desk, Gate
from execution.intake import Intake
from execution.routing.chooser import Chooser
from execution.routing.intake import RoutedIntake
from execution.routing.ledger import NOWHERE, Ledger
from execution.routing.markets import VenueMarkets
from execution.run_files import RunResult, result_of, run_result
from execution.venue import Venue
from strategies.base import Account, SignalStrategy, Strategy
from strategies.books import Books

BacktestResult = RunResult
_TOLD: Final = 512  # visits between two reports of progress
_FEW: Final = 16  # accounts that are made one by one


def _never_silent() -> int:
    return 0


@dataclass(slots=True)
class _Played:
    """A run of the machine so far: the account, what is on its way, and every fill with its bar."""

    books: Books
    working_lots: int = 0
    bars: list[int] = field(default_factory=list)
    fills: list[FillEvent] = field(default_factory=list)


class BacktestEngine:
    """One strategy on one venue. `execution` None: a parent is one market order. `gate` None: nothing is checked.

    `ledger`: where the router's decisions and their outcomes go, where `execution.routing.router` has one choose.
    """

    def __init__(
        self,
        venue: Venue,
        strategy: Strategy[Any],
        *,
        execution: ExecutionConfig | None,
        gate: Gate | None,
        capital: float,
        seed: int = 0,
        ledger: Ledger = NOWHERE,
        on_progress: Callable[[int], None] = lambda _bar: None,
    ) -> None:
        if not (math.isfinite(capital) and capital > 0):
            raise ValueError(f"capital must be a finite number above 0, was {capital}")
        self._venue = venue
        self._strategy = strategy
        self._gate = gate
        self._capital = capital
        self._on_progress = on_progress
        self._instrument = venue.instrument
        intake = Intake(
            instrument=venue.instrument,
            config=execution,
            volumes=venue.volumes,
            arguments=venue.executor_arguments,
            seed=seed,
        )
        self._intake: Intake | RoutedIntake = intake
        if execution is not None and execution.routing.router is not None:
            algorithms = [one.type for one in execution.algorithms]
            chooser = Chooser(execution, execution.routing.router, algorithms=algorithms, seed=seed, ledger=ledger)
            self._intake = RoutedIntake(intake, chooser, VenueMarkets(venue))

    def run(self) -> BacktestResult:
        """Plays all bars in order of time. The same inputs give the same result to the last byte.

        The compiled loop works the parents where it covers them all and the gate would have passed every order; else,
        and without numba, the whole run is played by the machine (docs/simulation.md).
        """
        return self._by_loop() or self._by_desk()

    # ---- the compiled loop

    def _by_loop(self) -> BacktestResult | None:
        """The run, worked by the compiled loop; None, and the strategy as it was, where that does not do."""
        gate, venue, strategy = self._gate, self._venue, self._strategy
        if isinstance(self._intake, RoutedIntake) or not is_vettable(gate):
            return None
        loop = LoopRun.of(venue, self._capital)
        if loop is None:
            return None
        try:
            before = deepcopy(vars(strategy))
        except TypeError:  # it holds what cannot be copied, and so can be asked only once
            return None
        watch = KillWatch(gate, loop)
        refused = self._ask(loop, watch)
        if refused is not None:
            loop.play(len(venue.bars) - 1)
            watch.look()
            if not (loop.left or watch.tripped):
                loop.finish()
                if may_trade(gate, loop, venue):
                    return result_of(venue.bars, self._instrument, self._capital, *told(loop, venue, refused))
        if watch.tripped and may_trade(gate, loop, venue):
            self._gate = watch.replayed()
        vars(strategy).clear()
        vars(strategy).update(before)
        return None

    def _ask(self, loop: LoopRun, watch: KillWatch) -> list[ExecutionReport] | None:
        """Asks the strategy and starts what it wants; reports of what cannot be worked. None: not for the loop."""
        refused: list[ExecutionReport] = []
        closes_ns, closes = self._venue.bars.ts_close_ns, self._venue.bars.close
        for k, intents in self._wishes(loop, watch):
            now_ns, price = int(closes_ns[k]), float(closes[k])
            for intent in intents:
                try:
                    parent = self._intake.work(self._intake.request(intent, now_ns, price))
                except ValueError as error:
                    refused.append(self._intake.refusal(intent, now_ns, price, str(error), self._venue.settings))
                    continue
                if not loop.takes(parent):
                    return None
                loop.start(parent, now_ns, k, self._instrument.lots(intent.qty))
        return None if loop.left or watch.tripped else refused

    def _wishes(self, loop: LoopRun, watch: KillWatch) -> Iterator[tuple[int, Sequence[OrderIntent]]]:
        """The bars at whose close the strategy wants something, and what; play has come that far."""
        bars, strategy = self._venue.bars, self._strategy
        if isinstance(strategy, SignalStrategy):
            signals = strategy.signals(bars)
            for k, account in self._accounts(loop, watch, np.flatnonzero(signals), strategy.silent_until_ns):
                intents = strategy.on_signal(int(signals[k]), account)
                if intents:
                    yield k, intents
        else:
            for bar, (k, account) in zip(
                each_bar(bars), self._accounts(loop, watch, np.arange(len(bars)), _never_silent), strict=False
            ):
                intents = strategy.on_bar(bar, account)
                if intents:
                    yield k, intents

    def _accounts(
        self, loop: LoopRun, watch: KillWatch, at: NDArray[np.int64], silent_until_ns: Callable[[], int]
    ) -> Iterator[tuple[int, Account]]:
        """The account at the close of each of these bars, which are played; ends where the loop cannot go on.

        Bars that close before `silent_until_ns()` are left out. Accounts are made some at a time, as if the strategy
        did not act; where it does, the rest is made anew. So their number begins small, and doubles while it does not.
        """
        bars = self._venue.bars
        ahead = _FEW
        for begin in range(0, len(at), _TOLD):
            visits = at[begin : begin + _TOLD]
            rows = visits.tolist()
            stamps, prices = bars.ts_close_ns[visits].tolist(), bars.close[visits].tolist()
            self._on_progress(rows[0])
            first = bisect_left(stamps, silent_until_ns())
            while first < len(rows):
                if loop.due <= rows[first]:
                    loop.play(rows[first])
                    watch.look()
                    if loop.left or watch.tripped:
                        return
                loop.moved = False
                last = bisect_left(rows, loop.due, first + 1, min(first + ahead, len(rows)))
                part = slice(first, last)  # nothing happens in them unless the strategy acts
                for account in self._alike(loop, stamps[part], prices[part]):
                    yield rows[first], account
                    first += 1
                    if loop.moved:
                        break
                if loop.moved:
                    ahead = _FEW
                    first = bisect_left(stamps, silent_until_ns(), first)
                elif part.stop - part.start == ahead:
                    ahead = min(2 * ahead, _TOLD)

    def _alike(self, loop: LoopRun, stamps: list[int], prices: list[float]) -> Iterable[Account]:
        """The account as it stands, at these times and prices."""
        instrument = self._instrument
        symbol, size = instrument.symbol, instrument.multiplier
        position, working, cash = instrument.qty(loop.lots), instrument.qty(loop.to_trade), loop.cash
        if len(prices) == 1:  # something happens in the next bar
            (price,) = prices
            return (Account(symbol, stamps[0], price, position, working, cash + position * price * size, cash),)
        worth = [cash + position * price * size for price in prices]
        if len(prices) <= _FEW:  # one by one, as the first of them may be the last
            rest = (repeat(position), repeat(working), worth, repeat(cash))
            return map(Account, repeat(symbol), stamps, prices, *rest)
        return made(
            Account,
            len(prices),
            symbol=repeat(symbol),
            ts_ns=stamps,
            price=prices,
            position_qty=repeat(position),
            working_qty=repeat(working),
            equity=worth,
            cash=repeat(cash),
        )

    # ---- the machine

    def _by_desk(self) -> BacktestResult:
        """The run, worked by the machine, every order through the gate."""
        venue = self._venue
        market = venue.market()
        played = _Played(Books(self._instrument, self._capital))
        reports: list[ExecutionReport] = []

        def on_fill(fill: FillEvent, k: int) -> None:
            played.working_lots -= played.books.fill(fill)
            played.bars.append(k)
            played.fills.append(fill)

        def on_report(report: ExecutionReport) -> None:
            left = self._instrument.lots(report.total_quantity) - self._instrument.lots(report.filled_quantity)
            played.working_lots -= sign(report.side) * left
            reports.append(report)
            if isinstance(self._intake, RoutedIntake):
                self._intake.heard(report)

        desk = Desk(market, venue.tape, self._gate, venue.settings, on_fill, on_report)
        for visited, (k, busy, decide) in enumerate(self._agenda(desk)):
            if busy:
                desk.play(k)
            if visited % _TOLD == 0:
                self._on_progress(k)
            if decide is not None:
                now_ns, price = int(venue.bars.ts_close_ns[k]), float(venue.bars.close[k])
                for intent in decide(played.books.account(now_ns, price, played.working_lots)):
                    refused = self._start(desk, played, intent, k)
                    if refused is not None:
                        reports.append(refused)
        desk.finish(len(venue.bars) - 1)
        return run_result(venue.bars, self._instrument, self._capital, reports, played.fills, played.bars)

    def _agenda(self, desk: Desk) -> Iterator[tuple[int, bool, Callable[[Account], Any] | None]]:
        """The bars to visit, whether the desk has work there, and what to ask of the strategy, if anything."""
        bars, strategy = self._venue.bars, self._strategy
        if not isinstance(strategy, SignalStrategy):
            for k in range(len(bars)):
                yield k, desk.next_bar(k - 1) == k, partial(strategy.on_bar, bars.bar(k))
            return
        signals = strategy.signals(bars)
        opinions = iter(np.flatnonzero(signals).tolist())
        opinion = next(opinions, None)
        k = -1
        while True:
            due = desk.next_bar(k)
            if due is None and opinion is None:
                return
            if opinion is not None and (due is None or opinion <= due):
                k = opinion
                yield k, k == due, partial(strategy.on_signal, int(signals[k]))
                opinion = next(opinions, None)
            else:
                assert due is not None
                k = due
                yield k, True, None

    def _start(self, desk: Desk, played: _Played, intent: OrderIntent, k: int) -> ExecutionReport | None:
        """Puts a parent to work; gives back a failed report where it cannot be worked at all."""
        now_ns = int(self._venue.bars.ts_close_ns[k])
        price = float(self._venue.bars.close[k])
        try:
            request = self._intake.request(intent, now_ns, price)
            parent = self._intake.work(request)
        except ValueError as error:
            return self._intake.refusal(intent, now_ns, price, str(error), self._venue.settings)
        played.working_lots += sign(intent.side) * self._instrument.lots(intent.qty)
        desk.start(parent, now_ns, k)
        return None
