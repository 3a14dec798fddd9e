"""The backtest: a strategy over historical bars, its parents at work on a desk, its account exact to the fill.

Bars in which nothing is in flight and the strategy has no opinion are not visited: work follows orders, not bars.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from core.contracts import FillEvent, OrderIntent, sign
from execution.config import ExecutionConfig
from execution.contracts import ExecutionReport
from execution.desk import Desk, Gate
from execution.intake import Intake
from execution.routing.chooser import Chooser
from execution.routing.intake import RoutedIntake
from execution.routing.ledger import NOWHERE, Ledger
from execution.routing.markets import VenueMarkets
from execution.run_files import RunResult, run_result
from execution.venue import Venue
from strategies.base import Account, SignalStrategy, Strategy

BacktestResult = RunResult


@dataclass(slots=True)
class _Books:
    """The account while it runs: lots, money, and what every fill did to them, with its bar."""

    cash: float
    lots: int = 0
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
        """Plays all bars in order of time. The same inputs give the same result to the last byte."""
        venue = self._venue
        market = venue.market()
        books = _Books(self._capital)
        reports: list[ExecutionReport] = []

        def on_fill(fill: FillEvent, k: int) -> None:
            self._book(books, fill, k)

        def on_report(report: ExecutionReport) -> None:
            left = self._instrument.lots(report.total_quantity) - self._instrument.lots(report.filled_quantity)
            books.working_lots -= sign(report.side) * left
            reports.append(report)
            if isinstance(self._intake, RoutedIntake):
                self._intake.heard(report)

        desk = Desk(market, venue.tape, self._gate, venue.settings, on_fill, on_report)
        for visited, (k, busy, decide) in enumerate(self._agenda(desk)):
            if busy:
                desk.play(k)
            if visited % 512 == 0:
                self._on_progress(k)
            if decide is not None:
                for intent in decide(self._account(books, k)):
                    refused = self._start(desk, books, intent, k)
                    if refused is not None:
                        reports.append(refused)
        desk.finish(len(venue.bars) - 1)
        return run_result(venue.bars, self._instrument, self._capital, reports, books.fills, books.bars)

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

    def _account(self, books: _Books, k: int) -> Account:
        bars, instrument = self._venue.bars, self._instrument
        price = float(bars.close[k])
        position = instrument.qty(books.lots)
        return Account(
            bars.symbol,
            int(bars.ts_close_ns[k]),
            price,
            position,
            instrument.qty(books.working_lots),
            books.cash + instrument.notional(position, price),
            books.cash,
        )

    def _start(self, desk: Desk, books: _Books, intent: OrderIntent, k: int) -> ExecutionReport | None:
        """Puts a parent to work; gives back a failed report where it cannot be worked at all."""
        now_ns = int(self._venue.bars.ts_close_ns[k])
        price = float(self._venue.bars.close[k])
        try:
            request = self._intake.request(intent, now_ns, price)
            parent = self._intake.work(request)
        except ValueError as error:
            return self._intake.refusal(intent, now_ns, price, str(error), self._venue.settings)
        books.working_lots += sign(intent.side) * self._instrument.lots(intent.qty)
        desk.start(parent, now_ns, k)
        return None

    def _book(self, books: _Books, fill: FillEvent, k: int) -> None:
        """A fill moves lots and money; what was working is held now."""
        change = sign(fill.side) * self._instrument.lots(fill.qty)
        money = -sign(fill.side) * self._instrument.notional(fill.qty, fill.price) - fill.fee
        books.lots += change
        books.working_lots -= change
        books.cash += money
        books.bars.append(k)
        books.fills.append(fill)
