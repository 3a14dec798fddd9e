"""The batch driver: many parents over the bars of one venue, each alone in its own market, compiled by numba.

Compiled are the very kernels that the machine calls (`execution.kernel.KERNELS`) and the loop of
`execution.batch_loop`. Commands (number, time, lots, limit ticks, cancels) and the lots of every fill are exactly those
of `execution.desk.Desk`; prices agree to 1e-9 of their value. Parents, and venues, that the loop does not cover are
played by the machine, one by one, with output of the same form: executors with a rule or plan of their own, slippage
models without the power-law memory, grids too fine for 64 bits. Without numba the machine plays them all.

This is the only file that knows numba, and it is imported by the first run that asks for it.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from core import codec, ids
from core.contracts import FillEvent, OrderClosed, OrderIntent, RiskDecision, Side
from execution.base import BaseExecutor, RuleExecutor
from execution.batch_loop import CANCELLED, COMPLETED, FAILED, STATES, play_from
from execution.batch_market import LEFT
from execution.batch_pack import Handed, enlarged, is_loop_parent, is_loop_venue, packed, plain
from execution.batch_tables import Fill, Order, Seat, Tables, dtype_of, records, written
from execution.contracts import ExecutionAlgorithm, ExecutionReport
from execution.desk import Desk, Worked
from execution.executors import executor as make_executor
from execution.executors import work
from execution.filters import below_minimum
from execution.kernel import KERNELS
from execution.parent import ParentOrder
from execution.plan import Plan
from execution.progress import ended_with
from execution.venue import Venue

Engine = Literal["compiled", "loop", "machine"]
Columns = Mapping[str, NDArray[Any]]
PlayFrom = Callable[[int, Tables], int]
F = TypeVar("F", bound=Callable[..., Any])
STRATEGY: Final = "batch"


@dataclass(frozen=True, slots=True)
class Job:
    """A parent to play. `executor` None: that of the algorithm, with what the venue knows.

    `execution_id` "": derived from the rest, so that a parent plays alike wherever it stands in the batch.
    """

    algo: ExecutionAlgorithm
    start_ns: int
    executor: BaseExecutor | None = None
    execution_id: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """What came of a batch, as columns of equal length; `polars.DataFrame(batch.children)` makes a frame.

    children  parent, number, action ("new" or "cancel"), ts_ns, bar (the last one known, -1: none), slice_idx, lots
              (a cancel's: those that may still fill), limit_ticks (0: a market order), marketable
    fills     parent, child, ts_ns, bar, lots, price, maker
    parents   execution_id, status, quantity and filled (lots), avg_price (NaN: no fill), arrival_price, end_ns (-1: it
              still runs), reason ("" where nothing is left), looped (False: played by the machine)

    Rows of `children` and `fills` are in the order of parents and, within one, of time.
    """

    children: Columns
    fills: Columns
    parents: Columns
    _venue: Venue = field(repr=False)
    _jobs: Sequence[Job] = field(repr=False)

    def reports(self, parents: Iterable[int] | None = None) -> list[ExecutionReport]:
        """Full reports of some parents, or of all: played again by the machine, one by one."""
        numbers = range(len(self._jobs)) if parents is None else parents
        return [_reported(self._venue, _hand_over(self._venue, self._jobs[number])) for number in numbers]


def play(venue: Venue, jobs: Sequence[Job], *, engine: Engine = "compiled") -> Batch:
    """Plays every parent from its start to its end, or to that of the bars.

    engine: `compiled`; `loop`, the same as plain Python; `machine`, one parent after the other. Without numba
    `compiled` is `machine`.

    Raises ValueError naming the job where its algorithm refuses it.
    """
    handed = handed_over(venue, jobs)
    log = _Log(handed)
    loop = compiled() if engine == "compiled" else play_from if engine == "loop" else None
    if loop is not None and handed and is_loop_venue(venue):
        log.by_loop(venue, loop, compiled=engine == "compiled")
    for number, outcome in enumerate(log.outcomes):
        if outcome is None:
            log.by_machine(venue, number)
    return log.batch(venue, jobs)


def handed_over(venue: Venue, jobs: Sequence[Job]) -> list[Handed]:
    """The parents at their start. Raises ValueError naming the job where its algorithm refuses it."""
    handed = []
    for number, job in enumerate(jobs):
        try:
            handed.append(_hand_over(venue, job))
        except ValueError as error:
            raise ValueError(f"job {number}: {error}") from error
    return handed


@cache
def compiled() -> PlayFrom | None:
    """The loop as machine code; None where there is no numba."""
    return _compile(play_from, Tables, Plan, ParentOrder)


@cache
def compiled_function(function: F) -> F | None:
    """A kernel as machine code; None where there is no numba. As `compiled`, for whoever has a loop of his own."""
    return _compile(function)


def _compile(function: F, *types: type) -> F | None:
    """A function over scalars and columns as machine code, with the kernels that it calls; None without numba.

    Kept on disk where numba finds a folder that it may write to. numba looks at the file of the outermost function
    only, so a digest of the files of all its kernels is in its name, and of `types`, whose fields they read: an edited
    rule is compiled anew. The functions make no arrays, they only write into the caller's; so they do without counting
    references, which took most of the time. A kernel that did make one would not compile.
    """
    try:
        import numba
        from numba.extending import register_jitable
    except ImportError:
        return None
    njit: Any = numba.njit  # its own types do not know all of its options
    kernels = _called_by(function)
    for kernel in kernels - _REGISTERED:
        register_jitable(_nrt=False)(kernel)
    _REGISTERED.update(kernels)
    code: Any = function
    named = FunctionType(code.__code__, code.__globals__, code.__name__, code.__defaults__)
    named.__qualname__ = f"{code.__name__}_{_digest({function, *kernels, *types})}"
    try:
        fast: F = njit(cache=True, _nrt=False)(named)
    except RuntimeError:  # no such folder
        fast = njit(_nrt=False)(named)
    return fast


_REGISTERED: Final[set[Callable[..., Any]]] = set()


def _called_by(function: Callable[..., Any]) -> set[Callable[..., Any]]:
    """The kernels that a function calls, and that those call."""
    known = set(KERNELS)
    found: set[Callable[..., Any]] = set()
    waiting: list[Any] = [function]
    while waiting:
        one = waiting.pop()
        names = one.__code__.co_names
        values = [one.__globals__[name] for name in names if name in one.__globals__]
        for value in list(values):
            if isinstance(value, ModuleType):
                values += [getattr(value, name) for name in names if hasattr(value, name)]
            elif isinstance(value, tuple):
                values += value
        new = {value for value in values if isinstance(value, FunctionType)} & (known - found)
        found |= new
        waiting += new
    return found


def _digest(sources: set[Any]) -> str:
    files = {inspect.getfile(one) for one in sources}
    content = b"".join(Path(name).read_bytes() for name in sorted(files))
    return hashlib.blake2b(content, digest_size=8).hexdigest()


# ---- what came of it


@dataclass(frozen=True, slots=True)
class _Outcome:
    status: str
    filled: int
    end_ns: int | None
    reason: str | None
    looped: bool


class _Log:
    """The rows that parents have written, whoever played them."""

    def __init__(self, handed: Sequence[Handed]) -> None:
        self.handed = handed
        self.outcomes: list[_Outcome | None] = [None] * len(handed)
        self._orders: list[NDArray[np.void]] = []
        self._fills: list[NDArray[np.void]] = []

    def by_loop(self, venue: Venue, loop: PlayFrom, *, compiled: bool) -> None:
        """Plays what the loop covers, and doubles the tables as often as it needs."""
        numbers = [number for number, one in enumerate(self.handed) if is_loop_parent(one.worked, venue)]
        tables = packed(venue, [self.handed[number] for number in numbers])
        if not compiled:
            tables = plain(tables)
        done = loop(0, tables)
        while done < len(numbers):
            tables = enlarged(tables, done)
            done = loop(done, tables)
        seats = written(Seat, tables.seats, len(numbers))
        orders = written(Order, tables.orders, int(seats["commands"][-1]) if numbers else 0)
        fills = written(Fill, tables.fills, int(seats["fills"][-1]) if numbers else 0)
        for table, kept in ((orders, self._orders), (fills, self._fills)):
            table["parent"] = np.array(numbers, np.int64)[table["parent"]]
            kept.append(table)
        for number, seat in zip(numbers, seats, strict=True):
            if seat["full"] != LEFT:
                self.outcomes[number] = self._outcome(venue, number, seat)

    def _outcome(self, venue: Venue, number: int, seat: np.void) -> _Outcome:
        plan, state, filled = self.handed[number].order.plan, int(seat["state"]), int(seat["filled"])
        reason = None
        if state == CANCELLED:
            reason = ended_with(plan.quantity - filled, plan.min_lots, venue.instrument)
        elif state == FAILED:
            qty = venue.instrument.qty(int(seat["refused_lots"]))
            reason = f"rejected by the venue: {below_minimum(venue.instrument, qty, float(seat['refused_near']))}"
        ended = state >= COMPLETED
        status = STATES[state].value if ended else "running"
        return _Outcome(status, filled, int(seat["ended_ns"]) if ended else None, reason, looped=True)

    def by_machine(self, venue: Venue, number: int) -> None:
        recorder = _Recorder(number, self.handed[number].worked, venue)
        report = _reported(venue, self.handed[number], recorder)
        self._orders.append(records(Order, recorder.orders))
        self._fills.append(records(Fill, recorder.fills))
        filled = sum(fill.lots for fill in recorder.fills)
        reason = None if report.status == "completed" else report.unfilled_reason
        self.outcomes[number] = _Outcome(report.status, filled, report.end_ts_ns, reason, looped=False)

    def batch(self, venue: Venue, jobs: Sequence[Job]) -> Batch:
        orders, fills = _in_order(self._orders, Order), _in_order(self._fills, Fill)
        outcomes = [outcome for outcome in self.outcomes if outcome is not None]
        count = len(outcomes)
        filled = np.array([outcome.filled for outcome in outcomes], np.int64)
        money = np.bincount(fills["parent"], fills["price"] * fills["lots"], minlength=count)
        average = np.divide(money, filled, out=np.full(count, np.nan), where=filled > 0)
        seen = np.array([one.seen_bar for one in self.handed], np.int64)
        close_ns = venue.bars.ts_close_ns
        children = {name: orders[name] for name in ("parent", "number")}
        children["action"] = np.where(orders["cancel"] > 0, "cancel", "new")
        children["ts_ns"] = orders["ts_ns"]
        children["bar"] = np.searchsorted(close_ns, orders["ts_ns"], side="right") - 1
        children |= {name: orders[name] for name in ("slice_idx", "lots", "limit_ticks")}
        children["marketable"] = orders["marketable"] > 0
        parents = {
            "execution_id": np.array([one.execution_id for one in self.handed], np.str_),
            "status": np.array([outcome.status for outcome in outcomes], np.str_),
            "quantity": np.array([one.lots(venue.instrument) for one in self.handed], np.int64),
            "filled": filled,
            "avg_price": average,
            "arrival_price": np.where(seen >= 0, venue.bars.close[np.maximum(seen, 0)], venue.bars.open[0]),
            "end_ns": np.array([-1 if one.end_ns is None else one.end_ns for one in outcomes], np.int64),
            "reason": np.array([outcome.reason or "" for outcome in outcomes], np.str_),
            "looped": np.array([outcome.looped for outcome in outcomes], np.bool_),
        }
        traded = {name: fills[name] for name in ("parent", "child", "ts_ns", "bar", "lots", "price")}
        traded["maker"] = fills["maker"] > 0
        return Batch(children, traded, parents, venue, tuple(jobs))


def _in_order(tables: Sequence[NDArray[np.void]], kind: type) -> NDArray[np.void]:
    """All rows, parents in their order, the rows of each as they were written."""
    table = np.concatenate(tables) if tables else np.zeros(0, dtype_of(kind))
    return table[np.argsort(table["parent"], kind="stable")]


# ---- handing parents over, and the machine for those that the loop does not cover


def _hand_over(venue: Venue, job: Job) -> Handed:
    """The parent as the simulator would start it."""
    algo, bars = job.algo, venue.bars
    if len(bars) == 0:
        raise ValueError(f"the venue of {bars.symbol} has no bars")
    executor = job.executor
    if executor is None:
        executor = make_executor(algo.algo_type, STRATEGY, volumes=venue.volumes, **venue.executor_arguments)
    execution_id = job.execution_id
    if not execution_id:
        seed = executor.seed if isinstance(executor, RuleExecutor) else 0
        what = f"{job.start_ns} {codec.to_json(algo).decode()}"
        execution_id = ids.execution_id(seed, executor.strategy_id, what)
    seen_bar = int(np.searchsorted(bars.ts_close_ns, job.start_ns, side="right")) - 1
    price = float(bars.close[seen_bar] if seen_bar >= 0 else bars.open[0])
    worked = work(
        executor,
        algo,
        start_ns=job.start_ns,
        price=price,
        execution_id=execution_id,
        parent_intent_id=execution_id,
    )
    return Handed(worked, job.start_ns, seen_bar)


def _reported(venue: Venue, handed: Handed, recorder: _Recorder | None = None) -> ExecutionReport:
    """The parent, played by the machine on a desk of its own."""
    reports: list[ExecutionReport] = []
    on_fill = recorder.on_fill_in if recorder is not None else lambda _fill, _bar: None
    desk = Desk(venue.market(), venue.tape, recorder, venue.settings, on_fill, reports.append)
    desk.start(handed.worked, handed.now_ns, handed.seen_bar)
    k = desk.next_bar(handed.seen_bar)
    while k is not None:
        desk.play(k)
        k = desk.next_bar(k)
    desk.finish(len(venue.bars) - 1)
    return reports[0]


class _Recorder:
    """A gate that lets everything pass and writes it down."""

    def __init__(self, number: int, worked: Worked, venue: Venue) -> None:
        self.orders: list[Order] = []
        self.fills: list[Fill] = []
        self._number = number
        self._worked = worked
        self._instrument = venue.instrument
        self._children: dict[str, int] = {}

    def check(self, intent: OrderIntent, now_ns: int) -> RiskDecision:
        child = intent.target_intent_id if intent.action == "cancel" else intent.intent_id
        number = self._children.setdefault(str(child), len(self._children))
        limit = intent.limit_price
        self.orders.append(
            Order(
                parent=self._number,
                number=number,
                cancel=int(intent.action == "cancel"),
                ts_ns=now_ns,
                slice_idx=int(intent.meta["slice_idx"]),
                lots=self._instrument.lots(intent.qty),
                limit_ticks=0 if limit is None else self._instrument.ticks(limit),
                marketable=int(self._is_marketable(str(child), limit)),
            )
        )
        return RiskDecision(intent.intent_id, True)

    def _is_marketable(self, child: str, limit: float | None) -> bool:
        known = self._worked.children.get(child) if isinstance(self._worked, ParentOrder) else None
        return limit is None if known is None else known.marketable

    def on_fill_in(self, fill: FillEvent, bar: int) -> None:
        self.fills.append(
            Fill(
                parent=self._number,
                child=self._children[fill.order_id],
                ts_ns=fill.ts_fill_ns,
                bar=bar,
                lots=self._instrument.lots(fill.qty),
                price=fill.price,
                maker=int(fill.liquidity == "maker"),
            )
        )

    def on_parent(self, execution_id: str, symbol: str, side: Side, qty: float) -> None:
        """Nobody is limited."""

    def on_fill(self, fill: FillEvent) -> None:
        """Written down with its bar, above."""

    def on_closed(self, closed: OrderClosed) -> None:
        """The machine's report has it."""

    def on_price(self, symbol: str, bid: float, ask: float, ts_ns: int) -> None:
        """Nobody is limited."""
