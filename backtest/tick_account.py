"""A strategy's parents at work on recorded events, and its account, brought up to a moment only when that is asked for.

Nothing that the market does depends on when the strategy looks, so nobody plays the market until somebody looks or
sends. At one moment the market moves first, all of its events together. So the account at a moment is what it was just
before, and what is asked for at a moment starts once its events are over: no event is known before it was heard.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.bars import Bars
from core.contracts import FillEvent, OrderIntent, sign
from execution.contracts import ExecutionReport
from execution.intake import Intake
from execution.run_files import RunResult, run_result
from execution.seats import Gate, Worked
from execution.ticks.desk import TickDesk
from execution.ticks.venue import TickVenue
from strategies.base import Account
from strategies.books import Books


class TickAccount:
    """The account of one run: what has been asked for, what of it is heard to have traded, and what that left."""

    def __init__(self, venue: TickVenue, intake: Intake, gate: Gate | None, capital: float) -> None:
        self._venue = venue
        self._instrument = venue.instrument
        self._intake = intake
        self._capital = capital
        self._books = Books(venue.instrument, capital)
        self._working_lots = 0
        self._fills: list[FillEvent] = []
        self._reports: list[ExecutionReport] = []
        self._waiting: list[Worked] = []
        self._asked_ns = 0
        self._market = venue.market()
        self._desk = TickDesk(self._market, venue.tape, gate, venue.settings, self._on_fill, self._on_report)

    def at(self, now_ns: int, price: float) -> Account:
        """What is known of the account just before `now_ns`, valued at this price."""
        self._desk.run(now_ns - 1)
        return self._books.account(now_ns, price, self._working_lots)

    def ask(self, intents: Sequence[OrderIntent], now_ns: int, price: float) -> None:
        """Parents that `begin` will start, as of this moment; one that cannot be worked at all has failed at once."""
        self._asked_ns = now_ns
        for intent in intents:
            try:
                parent = self._intake.work(self._intake.request(intent, now_ns, price))
            except ValueError as error:
                settings = self._venue.settings
                self._reports.append(self._intake.refusal(intent, now_ns, price, str(error), settings))
                continue
            self._working_lots += sign(intent.side) * self._instrument.lots(intent.qty)
            self._waiting.append(parent)

    def begin(self) -> None:
        """The moment is over: what has been asked for starts, in that order."""
        waiting, self._waiting = self._waiting, []
        for parent in waiting:
            self._desk.start(parent, self._asked_ns)

    def finish(self) -> None:
        """Plays what is left of the data."""
        venue = self._venue
        self._desk.run(max(venue.feed.end_ns + venue.latency.response_ns, self._market.now_ns))
        self._desk.finish(self._market.now_ns)

    def result(self, bars: Bars) -> RunResult:
        """The account over these bars: a fill counts from the first close behind it."""
        times = [fill.ts_fill_ns for fill in self._fills]
        fill_bars = np.minimum(np.searchsorted(bars.ts_close_ns, times, side="right"), len(bars) - 1)
        return run_result(bars, self._instrument, self._capital, self._reports, self._fills, fill_bars.tolist())

    def _on_fill(self, fill: FillEvent, _heard_ns: int) -> None:
        self._working_lots -= self._books.fill(fill)
        self._fills.append(fill)

    def _on_report(self, report: ExecutionReport) -> None:
        left = self._instrument.lots(report.total_quantity) - self._instrument.lots(report.filled_quantity)
        self._working_lots -= sign(report.side) * left
        self._reports.append(report)
