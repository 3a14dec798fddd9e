"""A trader on recorded data: engine, venue, strategies and their accounts, made again from the journals they write.

No waiting and no clocks in here: `live/service.py` says when to go on. What is decided depends on the tape, on the
settings and on requests with their times, so a trader that was killed at any moment and started again sends what it
would have sent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Final

from broker.paper import PaperVenue
from core.contracts import FillEvent, OHLCVBar, OrderIntent
from core.errors import nearest
from core.frozen import FrozenDict
from execution.contracts import ExecutionReport
from execution.desk import Worked
from execution.events import Cancel
from execution.intake import Intake, Request
from execution.routing.intake import RoutedIntake
from execution.stored import program_version
from live import entries
from live.diary import Diary
from live.effects import Effect, Publish
from live.engine import Engine, Log, Wish
from live.ledger import Ledger, Past
from live.recovery import recall
from live.replay import Moment, Replay
from live.routing import Routing
from live.session import Session, intake_of, refuse_others
from live.sweep import Residue
from live.switch import last_cleared
from live.wanted import PEOPLE, Wanted
from risk.gate import RiskGate
from risk.kill import KillSwitch

ASK_EVERY_NS: Final = 100_000_000  # at most


class Trader:
    """Everything of a trading process but its process. `open` first, then `step` on.

    `journal` is the engine's; `note` takes the venue's lines, in blocks of `together`. `publish` hears what goes to the
    bus. `orders`: parents of a file.
    """

    def __init__(
        self,
        session: Session,
        journal: Log,
        note: Callable[[dict[str, Any]], object],
        *,
        kill: KillSwitch,
        orders: Iterable[Wanted] = (),
        publish: Callable[[Publish], None] = lambda _said: None,
        together: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.session = session
        self.kill = kill
        self.stopping: str | None = None  # why no parent is taken in any more
        self.fills: list[FillEvent] = []
        self.routing = Routing.of(session, journal)
        self._diary = Diary(self.routing or journal)
        self._publish = publish
        self._together = together
        self._orders = tuple(orders)
        self._intake: Intake | RoutedIntake = session.intake()
        self.identity: dict[str, Any] | None = None  # of the last start in the journal
        instrument = session.instrument
        self.gate = RiskGate(session.files.limits, kill=kill, instruments={instrument.symbol: instrument})
        self.engine = Engine(
            self._diary,
            self.gate,
            kill,
            {instrument.symbol: instrument},
            self._make,
            settings=session.market.venue.settings,
            on_fill=self._on_fill,
        )
        self.ledger = Ledger(instrument, session.settings.capital, lambda name: self.engine.parents[name].strategy_id)
        self.venue = PaperVenue(instrument.venue or "paper", session.tape.market, note=entries.venue_lines(note))
        self._past = Past()
        self._recovering = False
        self._told_ns = 0  # when what is being recalled happened
        self._acted_ns: list[int] = []  # when parents heard anything, before a restart
        self._flatten = False
        self._ask_ns = 0  # when the venue may be asked again

    # ---- its life

    def open(
        self, journal: Iterable[Mapping[str, Any]], venue: Iterable[Mapping[str, Any]], *, accept_settings: bool = False
    ) -> bool:
        """Begins, or goes on where the journals end; True where there was something to go on from.

        Raises OtherSettingsError where the journal was written under other settings, unless they are accepted: then
        parents at work go on under the old ones, and new ones follow the new ones.
        """
        engine, identity = self.engine, self.session.identity
        self._recovering = True
        recalled = recall(engine, self._watched(journal))
        if self.identity is not None and not accept_settings:
            refuse_others(self.identity, identity)
        self._intake = self.session.intake() if self.routing is None else self.routing.before(self.session)
        first_ns = self.session.tape.first_ns
        self.replay = Replay(
            engine,
            self.venue,
            self.session.tape.moments(),
            decide=self._decide,
            remind=self._remind,
            look=self.session.tape.look,
            publish=self._said,
            together=self._together,
        )
        engine.epoch += 1
        start = {"epoch": engine.epoch, "settings": identity, "version": program_version()}
        engine.note({"k": entries.START, "t": max(engine.now_ns, first_ns), **start})
        if recalled:
            self._follow_switch()
            self.replay.recover(venue, self._acted_ns)
            self._acted_ns.clear()
        self._past.rest()
        self._recovering = False
        if recalled:
            self._restart(self.session.settings.on_restart)
        self.watch_switch()
        return bool(recalled)

    def step(self, until_ns: int | None = None) -> bool:
        """Plays to the next moment, at most to `until_ns` and to the tape's end; False where there is none by then."""
        ends = [ns for ns in (until_ns, self.session.tape.last_ns) if ns is not None]
        return self.replay.step(min(ends, default=None))

    @property
    def now_ns(self) -> int:
        """The time of the tape."""
        return max(self.replay.now_ns, self.session.tape.first_ns)

    @property
    def next_ns(self) -> int | None:
        """When something happens next; None where nothing does any more, or nobody knows what yet."""
        next_ns, last_ns = self.replay.next_ns, self.session.tape.last_ns
        return None if next_ns is None or (last_ns is not None and next_ns > last_ns) else next_ns

    @property
    def over(self) -> bool:
        """The tape has come to its end; one that grows never does."""
        return self.session.tape.last_ns is not None and self.next_ns is None

    def close(self, why: str) -> None:
        """The process ends in order; children stay where they are."""
        self.engine.note({"k": entries.STOP, "t": self.now_ns, "why": why})
        self._diary.sync()

    # ---- what people ask for

    def place(self, wanted: Wanted) -> Request | ExecutionReport:
        """Puts a parent to work, or finds it at work or over: its request, or the report of why it was refused.

        Raises ValueError where its id belongs to another order, and while no price is known: its id is free then.
        """
        if math.isnan(self._price()):
            raise ValueError("no price is known yet: ask again in a moment")
        self.replay.perform(self._place(wanted, self.now_ns))
        name = self.name_of(wanted)
        return self.engine.parents.get(name) or self.engine.reports[name]

    def name_of(self, wanted: Wanted) -> str:
        """The execution id of an order."""
        return self._intake.name(PEOPLE, wanted.id)

    def tell(self, execution_id: str, wish: Wish) -> None:
        """Pause, resume, amend or cancel. Raises ValueError for an execution that is not here."""
        self.replay.perform(self.engine.tell(execution_id, wish, self.now_ns))

    def rearm(self, key: str, by: str, reason: str) -> None:
        """Enables what the gate has disabled (R06, R16), and writes down who did it, durably.

        Raises ValueError without a name and a reason, or for a key that is not disabled.
        """
        self.gate.rearm(key, by, reason)
        self.engine.note({"k": entries.REARM, "t": self.now_ns, "key": key, "by": by, "reason": reason})
        self._diary.sync()

    def stop(self, reason: str) -> None:
        """Cancels every parent, and takes no more in."""
        self.stopping = reason
        self.replay.perform(self.engine.stop(reason, self.now_ns))

    # ---- what it knows

    def sync(self) -> None:
        """What has been written survives a power cut."""
        self._diary.sync()

    def has(self, execution_id: str) -> bool:
        """Whether a parent is at work, over, or was refused."""
        return execution_id in self.engine.parents or execution_id in self.engine.reports

    def find(self, name: str) -> str:
        """The execution id behind an execution id or an order's id. Raises ValueError for one that is not here."""
        if self.has(name):
            return name
        named = {request.parent_intent_id: request.execution_id for request in self.engine.parents.values()}
        named |= {report.parent_intent_id: report.execution_id for report in self.engine.reports.values()}
        if name not in named:
            raise ValueError(f"order {name!r} is not here: {nearest(name, named)}")
        return named[name]

    def report(self, execution_id: str) -> ExecutionReport:
        """The report of a parent that has ended, or how it stands."""
        found = self.engine.reports.get(execution_id)
        if found is not None:
            return found
        return next(report for report in self.engine.unfinished() if report.execution_id == execution_id)

    def standing(self, execution_id: str) -> str:
        """The state of a parent at work."""
        return str(self.engine.board.state(execution_id))

    def next_order_id(self) -> str:
        """order-1, order-2, ...: the first that nobody has used."""
        number = 1
        while self.has(self._intake.name(PEOPLE, f"order-{number}")):
            number += 1
        return f"order-{number}"

    # ---- the kill switch

    def watch_switch(self) -> bool:
        """Does what the switch says, whoever moved it; True where it has just been found tripped."""
        tripped = self.kill.tripped()
        if tripped and self.engine.latched is None:
            status = self.kill.status()
            by, reason = status.by or "unknown", status.reason or "no reason given"
            self.replay.perform(self.engine.kill(by, reason, self.now_ns))
            return True
        if not tripped and self.engine.latched is not None:
            self._follow_switch()
        return False

    def sweep(self, steady_ns: int) -> Residue | None:
        """Withdraws what is open while killed, once a second by a clock that never jumps; what is left in the end."""
        return self.replay.dealings.sweep(steady_ns)

    def ask(self, steady_ns: int) -> None:
        """Asks the venue about orders of which something should have been heard, by a clock that never jumps."""
        if steady_ns >= self._ask_ns:
            self._ask_ns = steady_ns + ASK_EVERY_NS
            self.replay.dealings.ask(steady_ns)

    def _follow_switch(self) -> None:
        """A switch that somebody has cleared by name is clear; one that has merely vanished is tripped again."""
        latched = self.engine.latched
        if latched is None or self.kill.tripped():
            return
        cleared = last_cleared(self.kill.path)
        if cleared is None:
            self.kill.trip(*latched)
        else:
            self.engine.cleared(*cleared, self.now_ns)

    # ---- strategies

    def _decide(self, moment: Moment) -> list[Effect]:
        """After a moment's news: strategies and the file's orders put parents in."""
        now_ns = moment.ts_ns
        asked_before = self._past.until(now_ns)
        self._diary.asked(None if asked_before else now_ns)
        effects: list[Effect] = []
        bar = self.session.tape.bar_at(now_ns)
        if bar is not None:
            for intent in self._opinions(bar):
                effects += self._take(intent, now_ns, bar.close)
        for wanted in self._orders:
            if wanted.start_ns <= now_ns and not self.has(self.name_of(wanted)):
                effects += self._place(wanted, now_ns)
        if self._flatten and not self.engine.working:
            effects += self._flat(now_ns)
        return effects

    def _remind(self, moment: Moment) -> None:
        """A moment of before: strategies see it, and what they want of it is in the journal."""
        self._past.until(moment.ts_ns)
        bar = self.session.tape.bar_at(moment.ts_ns)
        if bar is not None:
            for _ in self._opinions(bar):
                pass

    def _opinions(self, bar: OHLCVBar) -> Iterator[OrderIntent]:
        for strategy in self.session.files.strategies:
            account = self.ledger.account(strategy.strategy_id, bar.ts_close_ns, bar.close)
            yield from strategy.on_bar(bar, account)

    # ---- parents

    def _place(self, wanted: Wanted, now_ns: int) -> list[Effect]:
        """Raises ValueError where its id belongs to another order."""
        known = self.engine.parents.get(self.name_of(wanted))
        if known is not None:
            again = self._intake.request(wanted.intent(now_ns), now_ns, known.price)
            if again.algo != known.algo:
                was = f"{known.algo.side} {known.algo.total_quantity:g} {known.algo.symbol} by {known.algo.algo_type}"
                raise ValueError(f"id {wanted.id!r} belongs to another order: {was}")
        return [] if self.has(self.name_of(wanted)) else self._take(wanted.intent(now_ns), now_ns, self._price())

    def _take(self, intent: OrderIntent, now_ns: int, price: float) -> list[Effect]:
        """A parent, started, or refused in writing."""
        engine = self.engine
        try:
            if self.stopping is not None:
                raise ValueError(f"the trader takes no more parents: {self.stopping}")
            if intent.symbol != self.session.instrument.symbol:
                raise ValueError(f"symbol {intent.symbol!r} is not traded here: {self.session.instrument.symbol} is")
            request = self._intake.request(intent, now_ns, price)
            if request.execution_id in engine.reports or request.execution_id in engine.parents:
                return []
            effects = engine.start(request, now_ns)
        except ValueError as error:
            return engine.refuse(self._intake.refusal(intent, now_ns, price, str(error)), now_ns)
        self._tell_ledger(partial(self.ledger.started, request), now_ns)
        return effects

    def _flat(self, now_ns: int) -> list[Effect]:
        """Positions traded back to nothing, each as one market order."""
        self._flatten = False
        effects: list[Effect] = []
        for strategy_id, qty in self.ledger.positions().items():
            if not qty:
                continue
            algo = FrozenDict(algo_type="TWAP", duration_seconds=600, params={"order_type": "market", "slice_count": 1})
            intent = OrderIntent(
                f"flatten-{self.engine.epoch}", now_ns, strategy_id, self.session.instrument.symbol,
                "sell" if qty > 0 else "buy", "market", abs(qty), None, algo,
            )  # fmt: skip
            effects += self._take(intent, now_ns, self._price())
        return effects

    def _restart(self, policy: str) -> None:
        """What becomes of parents that were at work."""
        if policy in ("cancel", "flatten"):
            for name in [report.execution_id for report in self.engine.unfinished()]:
                self.replay.perform(self.engine.tell(name, Cancel(f"restarted with on_restart: {policy}"), self.now_ns))
        self._flatten = policy == "flatten"

    def _make(self, request: Request) -> Worked:
        return self._intake.work(request)

    def _price(self) -> float:
        return self.engine.board.feeds[self.session.instrument.symbol].mid

    # ---- what happens to accounts

    def _on_fill(self, fill: FillEvent) -> None:
        self.fills.append(fill)
        now_ns = self._told_ns if self.engine.recalling else self.now_ns
        self._tell_ledger(partial(self.ledger.filled, fill), now_ns)

    def _said(self, said: Publish) -> None:
        if isinstance(said.message, ExecutionReport):
            self._tell_ledger(partial(self.ledger.ended, said.message), self.now_ns)
        self._publish(said)

    def _tell_ledger(self, event: Callable[[], None], now_ns: int) -> None:
        if self._recovering:
            self._past.add(now_ns, event)
        else:
            event()

    def _watched(self, journal: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """The journal as it is read back: settings follow it, and accounts, each in its time."""
        for entry in journal:
            self._told_ns = int(entry["t"])
            if self.routing is not None:
                self.routing.follow(entry)
            match entry["k"]:
                case entries.START:
                    self.identity = dict(entry["settings"])
                    self._intake = intake_of(self.identity, self.session.market.venue.volumes)
                case entries.PARENT:
                    request = Request.from_dict(entry["request"])
                    self._past.add(self._told_ns, partial(self.ledger.started, request))
                case entries.REPORT:
                    report = ExecutionReport.from_dict(entry["report"])
                    self._past.add(self._told_ns, partial(self.ledger.ended, report))
                case entries.HEARD | entries.STRAY if self._told_ns not in self._acted_ns[-1:]:
                    self._acted_ns.append(self._told_ns)
                case entries.REARM if entry["key"] in self.gate.disabled:
                    self.gate.rearm(entry["key"], entry["by"], entry["reason"])
                case entries.DECIDED:
                    self._past.decided(self._told_ns)
            yield entry
