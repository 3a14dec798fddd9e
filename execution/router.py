"""The smart order router: chooses how a parent is worked, has it worked over the bus, and learns from what it cost.

It decides and orchestrates; it executes nothing. Children go to `strat.intent`, where the risk gate takes them. The
choice is `execution.routing.chooser`'s, the machines are the executors', the waiting is the conductor's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from core import topics
from core.clock import Clock, WallClock
from core.contracts import OrderIntent
from core.errors import DataError
from core.ids import execution_id as id_of
from core.instrument import Instrument
from execution.adapters import Background
from execution.base import BaseExecutor, RuleExecutor, default_instrument
from execution.conductor import Conductor
from execution.config import ExecutionConfig
from execution.contracts import ExecutionAlgorithm, ExecutionReport
from execution.desk import Worked
from execution.intake import Intake, Request
from execution.performance import ExecutionPerformanceTracker
from execution.routing.attempts import attempt, unworked, with_arm, worked
from execution.routing.chooser import Asked, Chooser
from execution.routing.decision import Decision
from execution.routing.depths import Depths
from execution.routing.health import VenueHealth
from execution.routing.intake import duration_of
from execution.routing.ledger import EXECUTED, NOWHERE, Ledger
from execution.routing.legs import Venued
from execution.routing.markets import Markets, StoredMarkets
from execution.routing.planned import planned_parent
from execution.routing.rules import algo_of
from execution.routing.scores import TrackedScores
from execution.routing.situation import MarketNow, Situation
from execution.routing.venue_choice import BestVenue, VenueChoice

if TYPE_CHECKING:
    from core.bus import BusProto


class SmartOrderRouter:
    """Routes parents to executors; the specification's interface.

    executors            by algorithm (TWAP, VWAP, ...); one that can only plan works too
    performance_tracker  remembers the executions, scores venues, and its reader tells of markets
    config               defaults and thresholds: `routing` of `config/execution.yaml`
    mode                 `rules`, `learn`, or an arm for all parents; None: as the config says, else `rules`
    instruments          by symbol; else the executors' own
    markets              conditions of a symbol; None: what the tracker's reader knows
    venues               which venue a child goes to: instruments, one for each symbol and venue, for the usual choice
                         (`execution.routing.venue_choice.BestVenue`); None: where the parent says, if anywhere
    ledger               where decisions and outcomes are written: a journal, whose entries `restore` takes
    conductor            works the parents, and somebody else runs it; None: one per symbol that runs beside

    Use it as `async with SmartOrderRouter(...) as router`, or call `aclose` at the end.
    """

    def __init__(
        self,
        bus: BusProto,
        executors: dict[str, BaseExecutor],
        performance_tracker: ExecutionPerformanceTracker,
        *,
        config: ExecutionConfig | None = None,
        mode: str | None = None,
        instruments: Mapping[str, Instrument] | None = None,
        markets: Markets | None = None,
        venues: VenueChoice | Sequence[Instrument] | None = None,
        ledger: Ledger = NOWHERE,
        conductor: Conductor | None = None,
        clock: Clock | None = None,
        seed: int = 0,
    ) -> None:
        self._bus = bus
        self._executors = dict(executors)
        self._tracker = performance_tracker
        self._config = config or ExecutionConfig()
        self._instruments = dict(instruments or {})
        self._markets = markets or StoredMarkets(performance_tracker.data_reader, self._config.fills.assumed_spread_bps)
        self._ledger = ledger
        self._depths: Depths | None = None
        self._venues = self._choice(venues, seed) if isinstance(venues, Sequence) else venues
        self._given = conductor
        self._conductors: dict[str, Conductor] = {}
        self._clock: Clock = clock if clock is not None else WallClock()
        self._seed = seed
        self._background = Background()
        self._listens = False
        self._routing: set[str] = set()
        self._own = 0
        self.chooser = Chooser(
            self._config,
            mode or self._config.routing.router or "rules",
            algorithms=tuple(executors),
            seed=seed,
            ledger=ledger,
        )

    async def route_order(self, parent_intent: OrderIntent, urgency_seconds: int | None = None) -> str:
        """Chooses an algorithm, puts the parent to work and returns the execution id that its children and fills carry.

        Whatever executors do, the parent gets an end: the next best takes over from one that raises, and where nothing
        is left its report, failed with all reasons, goes to `exec.report`. A parent that has been here before is not
        worked again; its id is returned. Raises ValueError for a quantity below one lot and a cancel.
        """
        self._background.check()
        intent = parent_intent
        if intent.action != "new":
            raise ValueError(f"a parent must be a new order, {intent.intent_id} is a {intent.action}")
        name = id_of(self._seed, intent.strategy_id, intent.intent_id)
        if name in self.chooser.decisions or name in self._routing:
            return name
        self._listen()
        duration_s = duration_of(intent, self._config, urgency_seconds)
        now_ns = self._clock.now_ns()
        situation = self._situation(intent, duration_s, self._conditions(intent, now_ns))
        decision = self.chooser.decide(Asked.by(intent, name), situation, now_ns)
        self._routing.add(name)
        attempts: list[str] = []
        try:
            for arm in self.chooser.in_order(decision):
                chosen = worked(decision, arm, attempts)
                try:
                    executor, request = self._request(with_arm(intent, arm, duration_s=duration_s), chosen, situation)
                    await self._orchestrate_execution(executor, request.algo, request=request)
                except Exception as error:  # noqa: BLE001 - whatever an executor does, the parent is not lost
                    attempts.append(attempt(arm, error))
                    continue
                self.chooser.begin(chosen)  # before its first child can leave: nothing has been awaited since
                return name
            await self._refuse(intent, unworked(decision, attempts), situation)
            return name
        finally:
            self._routing.discard(name)

    def restore(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """What these entries of a ledger taught, of algorithms and of venues. Raises DataError for a broken one."""
        self.chooser.restore(entries)
        for number, entry in enumerate(entries, 1):
            try:
                match entry["k"]:
                    case "route-rested" if self._depths is not None:
                        self._depths.restore(entry)
                    case "route-executed":
                        self._tracker.add(ExecutionReport.from_dict(entry["report"]))
            except (KeyError, ValueError) as error:
                raise DataError(f"entry {number} of the router's ledger cannot be read: {error}") from error

    def decision(self, execution_id: str) -> Decision:
        """Why an execution is worked as it is. Raises ValueError for one that was not routed here."""
        if execution_id not in self.chooser.decisions:
            raise ValueError(f"execution_id {execution_id!r} was not routed here")
        return self.chooser.decisions[execution_id]

    async def serve(self) -> None:
        """Routes every parent that comes on `strat.parent`, until the bus is closed."""
        self._listen()
        async for message in self._bus.subscribe(topics.PARENT):
            await self.route_order(OrderIntent.from_dict(message))

    async def aclose(self) -> None:
        """Stops following parents; what is at work stays as it is, for `restore` and recovery."""
        await self._background.aclose()

    async def __aenter__(self) -> Self:
        self._listen()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.aclose()

    def _select_algorithm(
        self, intent: OrderIntent, urgency_seconds: int | None, market_conditions: dict[str, Any]
    ) -> str:
        """The algorithm that would be chosen now, under conditions as `MarketNow` names them; starts nothing."""
        duration_s = duration_of(intent, self._config, urgency_seconds)
        situation = self._situation(intent, duration_s, MarketNow.of(market_conditions))
        name = id_of(self._seed, intent.strategy_id, intent.intent_id)
        decision = self.chooser.decide(Asked.by(intent, name), situation, self._clock.now_ns())
        known = [arm for arm in self.chooser.in_order(decision) if algo_of(arm) in self._executors]
        return algo_of(known[0])

    async def _orchestrate_execution(
        self, executor: BaseExecutor, algo: ExecutionAlgorithm, *, request: Request | None = None
    ) -> None:
        """Plans with this executor and has each child published to `strat.intent` at its time.

        request: whose parent it is; None: nobody's, with an id of its own. Raises what the executor raises.
        """
        self._listen()
        if request is None:
            self._own += 1
            parent = f"{algo.algo_type}-{self._own}"
            name = id_of(self._seed, executor.strategy_id, parent)
            request = Request(name, parent, executor.strategy_id, algo, self._clock.now_ns(), math.nan)
        worked_by: Worked
        if isinstance(executor, RuleExecutor):
            worked_by = executor.start(
                algo,
                start_ns=request.start_ns,
                execution_id=request.execution_id,
                parent_intent_id=request.parent_intent_id,
                venue=request.venue,
                price=None if math.isnan(request.price) else request.price,
            )
        else:
            worked_by = planned_parent(request, await executor.plan_execution(algo))
        if self._venues is not None and request.venue is None:
            worked_by = Venued(worked_by, self._instrument(algo.symbol), self._venues)
        self._conductor(algo.symbol).start(worked_by, decision_price=request.decision_price)

    def _choice(self, instruments: Sequence[Instrument], seed: int) -> VenueChoice:
        """By what the tracker and the orders of before say of the venues."""
        names = tuple(dict.fromkeys(one.venue for one in instruments))
        tracked = TrackedScores(self._tracker, names)
        self._depths = Depths(instruments, markouts=tracked.markouts, seed=seed, ledger=self._ledger)
        return BestVenue(VenueHealth(names), scores=tracked.scores, depths=self._depths)

    # ---- one parent

    def _conditions(self, intent: OrderIntent, now_ns: int) -> MarketNow:
        """Of the markets, at the price that the bus, an executor or the order itself knows."""
        conductor = self._given or self._conductors.get(intent.symbol)
        price = math.nan if conductor is None else conductor.mid(intent.symbol)
        for executor in self._executors.values():
            if math.isnan(price) and isinstance(executor, RuleExecutor) and executor.quotes is not None:
                quoted = executor.quotes(intent.symbol)
                price = math.nan if quoted is None else quoted
        if math.isnan(price) and intent.limit_price is not None:
            price = intent.limit_price
        return self._markets(intent.symbol, now_ns, price)

    def _situation(self, intent: OrderIntent, duration_s: int, market: MarketNow) -> Situation:
        instrument = self._instrument(intent.symbol)
        lots = instrument.lots(intent.qty)
        if lots == 0:
            raise ValueError(f"quantity {intent.qty} is less than one lot of {instrument.lot}")
        return Situation(
            symbol=intent.symbol,
            side=intent.side,
            quantity=instrument.qty(lots),
            duration_s=duration_s,
            market=market,
            limited=intent.limit_price is not None,
        )

    def _request(self, told: OrderIntent, decision: Decision, situation: Situation) -> tuple[BaseExecutor, Request]:
        """Executor and parent of the decision's arm. Raises ValueError where there is none, or it is refused."""
        kind = algo_of(decision.arm)
        if kind not in self._executors:
            raise ValueError(f"no executor for {kind}")
        executor = self._executors[kind]
        if isinstance(executor, RuleExecutor) and executor.algo_type != kind:
            raise ValueError(f"the executor for {kind} is one of {executor.algo_type}")
        intake = Intake(instrument=self._instrument(told.symbol), config=self._config, seed=self._seed)
        return executor, intake.request(told, decision.ts_ns, situation.market.price)

    def _conductor(self, symbol: str) -> Conductor:
        if self._given is not None:
            return self._given
        if symbol not in self._conductors:
            conductor = Conductor(self._bus, {symbol: self._instrument(symbol)}, clock=self._clock)
            self._conductors[symbol] = conductor
            self._background.start(conductor.run(forever=True))
        return self._conductors[symbol]

    async def _refuse(self, intent: OrderIntent, decision: Decision, situation: Situation) -> None:
        """Nothing can work it: it ends here, with all reasons, for everybody to hear."""
        self.chooser.begin(decision)
        intake = Intake(instrument=self._instrument(intent.symbol), config=self._config, seed=self._seed)
        reason = f"no algorithm can work it: {'; '.join(decision.attempts)}"
        report = intake.refusal(intent, decision.ts_ns, situation.market.price, reason, {})
        await self._bus.publish_json(topics.REPORT, report.to_dict())

    def _instrument(self, symbol: str) -> Instrument:
        if symbol not in self._instruments:
            known = (
                executor.instrument
                for executor in self._executors.values()
                if isinstance(executor, RuleExecutor) and executor.instrument is not None
            )
            found = next((one for one in known if one.symbol == symbol), None)
            self._instruments[symbol] = found or default_instrument(symbol)
        return self._instruments[symbol]

    # ---- what came of them

    def _listen(self) -> None:
        if not self._listens:
            self._listens = True
            self._background.start(self._reports(self._bus.subscribe(topics.REPORT)))
            for symbol in self._instruments:
                self._conductor(symbol)

    async def _reports(self, stream: Any) -> None:
        """Every execution that has ended counts for venues and, where it was routed here, for what is learnt."""
        async for message in stream:
            try:
                report = ExecutionReport.from_dict(message)
            except ValueError:
                continue  # the conductor counts what cannot be read
            if report.done and report.execution_id in self.chooser.decisions:
                self._tracker.add(report)
                if self._venues is not None:
                    ended_ns = report.start_ts_ns if report.end_ts_ns is None else report.end_ts_ns
                    self._ledger.append({"k": EXECUTED, "t": ended_ns, "report": report})
                self.chooser.observe(report)
