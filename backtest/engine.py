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
from numpy.typing import NDArray

from core.contracts import FillEvent, OrderIntent, sign
from core.ids import execution_id
from execution.config import ExecutionConfig
from execution.contracts import ExecutionAlgorithm, ExecutionReport
from execution.desk import Desk, Gate
from execution.executors import executor, work
from execution.twap import MarketOrderExecutor
from execution.venue import Venue
from strategies.base import Account, SignalStrategy, Strategy


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """What came of it. `ts_ns` and `equity` (quote currency) have shape (n_bars + 1,): the start, then every close."""

    reports: list[ExecutionReport]
    fills: list[FillEvent]
    ts_ns: NDArray[np.int64]
    equity: NDArray[np.float64]
    cash: NDArray[np.float64]
    position: NDArray[np.float64]


@dataclass(slots=True)
class _Books:
    """The account while it runs: lots, money, and what every fill did to them, with its bar."""

    cash: float
    lots: int = 0
    working_lots: int = 0
    bars: list[int] = field(default_factory=list)
    lot_changes: list[int] = field(default_factory=list)
    cash_changes: list[float] = field(default_factory=list)
    fills: list[FillEvent] = field(default_factory=list)


class BacktestEngine:
    """One strategy on one venue. `execution` None: a parent is one market order. `gate` None: nothing is checked."""

    def __init__(
        self,
        venue: Venue,
        strategy: Strategy[Any],
        *,
        execution: ExecutionConfig | None,
        gate: Gate | None,
        capital: float,
        seed: int = 0,
        on_progress: Callable[[int], None] = lambda _bar: None,
    ) -> None:
        if not (math.isfinite(capital) and capital > 0):
            raise ValueError(f"capital must be a finite number above 0, was {capital}")
        self._venue = venue
        self._strategy = strategy
        self._execution = execution
        self._gate = gate
        self._capital = capital
        self._seed = seed
        self._on_progress = on_progress
        self._instrument = venue.instrument

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
        return self._result(books, reports)

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
        lots = self._instrument.lots(intent.qty)
        name = execution_id(self._seed, intent.strategy_id, intent.intent_id)
        try:
            if lots == 0:
                raise ValueError(f"quantity {intent.qty} is less than one lot of {self._instrument.lot}")
            algo = self._algorithm(intent, self._instrument.qty(lots))
            worker = self._executor(algo, intent.strategy_id)
            parent = work(
                worker, algo, start_ns=now_ns, price=price, execution_id=name, parent_intent_id=intent.intent_id
            )
        except ValueError as error:
            return self._refusal(intent, name, now_ns, price, str(error))
        books.working_lots += sign(intent.side) * lots
        desk.start(parent, now_ns, k)
        return None

    def _algorithm(self, intent: OrderIntent, quantity: float) -> ExecutionAlgorithm:
        """The parent's own wishes (`meta`: algo_type, duration_seconds, params) over the configured ones."""
        meta = intent.meta
        routing = (self._execution or ExecutionConfig()).routing
        params = dict(meta.get("params", {}))
        if intent.limit_price is not None:
            params.setdefault("limit_price", intent.limit_price)
        return ExecutionAlgorithm(
            algo_type="TWAP" if self._execution is None else meta.get("algo_type", routing.default_algo),
            symbol=intent.symbol,
            side=intent.side,
            total_quantity=quantity,
            duration_seconds=int(meta.get("duration_seconds", routing.duration_seconds)),
            params=params,
        )

    def _executor(self, algo: ExecutionAlgorithm, strategy_id: str) -> Any:
        keywords = {**self._venue.executor_arguments, "seed": self._seed}
        if self._execution is None:
            return MarketOrderExecutor(strategy_id, **keywords)
        defaults = self._execution.defaults(algo.algo_type)
        return executor(algo.algo_type, strategy_id, volumes=self._venue.volumes, **defaults, **keywords)

    def _refusal(self, intent: OrderIntent, name: str, now_ns: int, price: float, reason: str) -> ExecutionReport:
        return ExecutionReport(
            execution_id=name,
            symbol=intent.symbol,
            total_quantity=intent.qty,
            filled_quantity=0.0,
            remaining_quantity=intent.qty,
            avg_fill_price=math.nan,
            total_fees=0.0,
            slices_completed=0,
            slices_total=0,
            status="failed",
            start_ts_ns=now_ns,
            end_ts_ns=now_ns,
            side=intent.side,
            strategy_id=intent.strategy_id,
            parent_intent_id=intent.intent_id,
            venue=self._instrument.venue,
            decision_price=price,
            arrival_price=price,
            end_price=price,
            unfilled_reason=reason,
            settings=self._venue.settings,
        )

    def _book(self, books: _Books, fill: FillEvent, k: int) -> None:
        """A fill moves lots and money; what was working is held now."""
        change = sign(fill.side) * self._instrument.lots(fill.qty)
        money = -sign(fill.side) * self._instrument.notional(fill.qty, fill.price) - fill.fee
        books.lots += change
        books.working_lots -= change
        books.cash += money
        books.bars.append(k)
        books.lot_changes.append(change)
        books.cash_changes.append(money)
        books.fills.append(fill)

    def _result(self, books: _Books, reports: list[ExecutionReport]) -> BacktestResult:
        bars, instrument = self._venue.bars, self._instrument
        lots = np.zeros(len(bars) + 1, dtype=np.int64)
        cash = np.zeros(len(bars) + 1)
        cash[0] = self._capital
        at = np.asarray(books.bars, dtype=np.int64) + 1
        np.add.at(lots, at, np.asarray(books.lot_changes, dtype=np.int64))
        np.add.at(cash, at, np.asarray(books.cash_changes))
        np.cumsum(lots, out=lots)
        np.cumsum(cash, out=cash)
        position: NDArray[np.float64] = (lots * instrument.qty(1)).astype(np.float64)
        prices = np.concatenate((bars.open[:1], bars.close))
        equity: NDArray[np.float64] = cash + position * prices * instrument.multiplier
        ts_ns = np.concatenate((bars.ts_open_ns[:1], bars.ts_close_ns))
        ordered = sorted(reports, key=lambda report: (report.start_ts_ns, report.execution_id))
        return BacktestResult(ordered, books.fills, ts_ns, equity, cash, position)
