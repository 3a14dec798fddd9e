"""The backtest on recorded events: a strategy that hears every trade, or bars as they close, filled by what happened.

The replay of the market is compiled and follows the orders; what a handler costs is the handler.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from backtest.tick_account import TickAccount
from core.bars import Bars
from core.contracts import Side
from execution.config import ExecutionConfig
from execution.intake import Intake
from execution.run_files import RunResult
from execution.seats import Gate
from execution.ticks.rows import TRADE
from execution.ticks.venue import TickVenue, prices_of
from strategies.base import Account, AnyStrategy, SignalStrategy, Strategy, TickStrategy

CHUNK: Final = 2**16  # trades that are plain Python numbers at a time
_NEVER: Final = 2**62
_SIDES: Final = np.array(["sell", None, "buy"], object)


class TickBacktestEngine:
    """One strategy on one venue of events. `execution` None: a parent is one market order. `gate` None: no checks.

    bars         what a strategy of bars sees, and over which the account is told; None: the minutes of the trades
    on_progress  is told how many bars have been seen
    """

    def __init__(
        self,
        venue: TickVenue,
        strategy: AnyStrategy,
        *,
        bars: Bars | None = None,
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
        self._bars = venue.bars if bars is None else bars
        self._gate = gate
        self._capital = capital
        self._on_progress = on_progress
        self._intake = Intake(
            instrument=venue.instrument,
            config=execution,
            volumes=venue.volumes,
            arguments=venue.executor_arguments,
            seed=seed,
        )

    def run(self) -> RunResult:
        """Plays all events in order of time. The same inputs give the same result to the last byte."""
        account = TickAccount(self._venue, self._intake, self._gate, self._capital)
        if isinstance(self._strategy, TickStrategy):
            self._hear_trades(self._strategy, account)
        else:
            self._see_bars(self._strategy, account)
        account.finish()
        return account.result(self._bars)

    def _hear_trades(self, strategy: TickStrategy[Any], account: TickAccount) -> None:
        """Every trade, when it is heard: `feed_ms` after it happened."""
        delay_ns = self._venue.latency.feed_ns
        on_trade = strategy.on_trade
        ts_ns, price, asked_ns = 0, 0.0, _NEVER

        def look() -> Account:
            return account.at(ts_ns + delay_ns, price)

        for chunk in _trades(self._venue):
            self._on_progress(int(np.searchsorted(self._bars.ts_close_ns, ts_ns)))
            for ts_ns, price, qty, side in chunk:
                if ts_ns > asked_ns:
                    account.begin()
                    asked_ns = _NEVER
                intents = on_trade(ts_ns, price, qty, side, look)
                if intents:
                    account.ask(intents, ts_ns + delay_ns, price)
                    asked_ns = ts_ns
        account.begin()

    def _see_bars(self, strategy: Strategy[Any], account: TickAccount) -> None:
        """Bars as they close; those about which a strategy of signals has no opinion are not visited."""
        bars = self._bars
        closes_ns, prices = bars.ts_close_ns, bars.close
        signals = strategy.signals(bars) if isinstance(strategy, SignalStrategy) else None
        visited = range(len(bars)) if signals is None else np.flatnonzero(signals).tolist()
        for seen, k in enumerate(visited):
            if seen % 512 == 0:
                self._on_progress(k)
            now_ns, price = int(closes_ns[k]), float(prices[k])
            known = account.at(now_ns, price)
            if isinstance(strategy, SignalStrategy) and signals is not None:
                intents = strategy.on_signal(int(signals[k]), known)
            else:
                intents = strategy.on_bar(bars.bar(k), known)
            if intents:
                account.ask(intents, now_ns, price)
                account.begin()


def _trades(venue: TickVenue) -> Iterator[Iterator[tuple[int, float, float, Side | None]]]:
    """Time, price, quantity and aggressor of every trade, in chunks."""
    rows, lot = venue.feed.rows, venue.instrument.qty(1)
    traded = np.flatnonzero(rows.kind == TRADE)
    for first in range(0, len(traded), CHUNK):
        at = traded[first : first + CHUNK]
        yield zip(
            rows.ts_ns[at].tolist(),
            prices_of(venue.instrument, rows.price_ticks[at]).tolist(),
            (rows.quantity[at] * lot).tolist(),
            _SIDES[rows.side[at] + 1].tolist(),
            strict=True,
        )
