"""The router in front of a trader: what it decides stands in the lines that the trader writes anyway.

    parent        `route`: the decision by which it is worked
    refused       `route`, `outcome`: the decision where nothing could work it
    report        `outcome`: what came of the decision
    route-reset   what was learnt is forgotten

What the router knows follows from these lines, as they are written and as they are read back alike. So a decision and
its parent are on record together or not at all, and a trader that was killed at any line decides the same again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from execution.config import ExecutionConfig
from execution.contracts import ExecutionReport
from execution.intake import Intake
from execution.routing.chooser import Chooser
from execution.routing.decision import Decision
from execution.routing.intake import RoutedIntake
from execution.routing.ledger import OUTCOME, ROUTE, entries_in
from execution.routing.markets import Markets, VenueMarkets
from live import entries
from live.live_market import LiveMarket

if TYPE_CHECKING:
    from live.engine import Log
    from live.session import Session


class Routing:
    """A log that adds to its lines what the router says of them, and `follow`s those of a process before it."""

    def __init__(self, log: Log, execution: ExecutionConfig, mode: str, *, seed: int) -> None:
        self.chooser = Chooser(execution, mode, algorithms=[one.type for one in execution.algorithms], seed=seed)
        self._log = log
        self._made: dict[str, Decision] = {}  # decisions of which no line speaks yet

    @classmethod
    def of(cls, session: Session, log: Log) -> Routing | None:
        """The router that a session's settings name; None where they name none."""
        execution = session.files.execution
        mode = execution.routing.router
        return None if mode is None else cls(log, execution, mode, seed=session.settings.seed)

    def before(self, session: Session) -> RoutedIntake:
        """The session's intake, with the router in front; a live feed has none (`live.live_market`)."""
        assert not isinstance(session.market, LiveMarket)
        return self.in_front_of(session.intake(), VenueMarkets(session.market.venue))

    def in_front_of(self, intake: Intake, markets: Markets) -> RoutedIntake:
        """An intake whose decisions wait for the lines of their parents."""
        return RoutedIntake(intake, self.chooser, markets, begin=self._hold)

    def append(self, entry: dict[str, Any]) -> None:
        match entry["k"]:
            case entries.PARENT:
                self._append_parent(entry)
            case entries.REPORT | entries.REFUSED:
                self._append_report(entry, asked=entry["k"] == entries.REFUSED)
            case _:
                self._log.append(entry)

    def sync(self) -> None:
        self._log.sync()

    def follow(self, entry: Mapping[str, Any]) -> None:
        """A line of before. Raises DataError for one that cannot be read."""
        self.chooser.restore(list(entries_in(entry)))

    def _hold(self, decision: Decision) -> None:
        self._made[decision.execution_id] = decision

    def _append_parent(self, entry: dict[str, Any]) -> None:
        decision = self._made.pop(entry["request"]["execution_id"], None)
        if decision is None:
            self._log.append(entry)
            return
        self._log.append({**entry, ROUTE: decision})
        self.chooser.began(decision)

    def _append_report(self, entry: dict[str, Any], *, asked: bool) -> None:
        name = entry["report"]["execution_id"]
        made = self._made.pop(name, None) if asked else None
        decision = made or self.chooser.decisions.get(name)
        if decision is None:
            self._log.append(entry)
            return
        outcome = self.chooser.outcome_of(decision, ExecutionReport.from_dict(entry["report"]))
        route = {} if made is None else {ROUTE: made}
        self._log.append({**entry, **route, OUTCOME: outcome})
        if made is not None:
            self.chooser.began(made)
        self.chooser.turned_out(outcome)
