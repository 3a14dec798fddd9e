"""The batch driver: many parents over the bars of one venue, each alone in its own market, compiled by numba.

Compiled are the very kernels that the machine calls (`execution.kernel.KERNELS`) and the loop of
`execution.batch_desk`. Commands (number, time, lots, limit ticks, cancels) and the lots of every fill are exactly those
of `execution.desk.Desk`; prices agree to 1e-9 of their value. Parents, and venues, that the loop does not cover are
played by the machine, one by one, with output of the same form: executors with a rule or plan of their own, slippage
models without the power-law memory, grids too fine for 64 bits. Without numba the machine plays them all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from core.contracts import FillEvent, OrderClosed, OrderIntent, RiskDecision, Side
from execution.base import BaseExecutor
from execution.batch_act import CANCELLED, COMPLETED, FAILED, STATES
from execution.batch_desk import EVERY, Run, compiled, run
from execution.batch_intake import Handed, Job, Jobs, Setting, execution_id, executor_of, hand_over
from execution.batch_market import LEFT
from execution.batch_pack import Ground, enlarged, ground, is_loop_venue, packed, plain
from execution.batch_plans import Profiles, intake
from execution.batch_tables import Fill, Order, Seat, dtype_of, records, written
from execution.contracts import ExecutionReport
from execution.desk import Desk, Worked
from execution.filters import below_minimum
from execution.parent import ParentOrder
from execution.progress import ended_with
from execution.venue import Venue

if TYPE_CHECKING:
    import polars as pl

Engine = Literal["compiled", "loop", "machine"]
Columns = Mapping[str, NDArray[Any]]
Keep = Literal["all", "parents"]
BLOCK: Final = 4096  # parents at a time
STATUS: Final = np.array([state.value for state in STATES])
__all__ = ["Batch", "Engine", "Job", "Jobs", "Setting", "compiled", "play", "play_in_blocks"]


@dataclass(frozen=True, slots=True)
class Batch:
    """What came of a batch, as columns of equal length; `frames` gives them as frames of polars.

    children  parent, number, action ("new" or "cancel"), ts_ns, bar (the last one known, -1: none), slice_idx, lots
              (a cancel's: those that may still fill), limit_ticks (0: a market order), marketable
    fills     parent, child, ts_ns, bar, lots, price, maker
    parents   execution_id, status, quantity and filled (lots), avg_price (NaN: no fill), arrival_price, slippage_bps
              (of the arrival price, positive is worse; NaN: no fill), children and fills (their numbers), end_ns (-1:
              it still runs), reason ("" where nothing is left), looped (False: played by the machine)

    Rows of `children` and `fills` are in the order of parents and, within one, of time. `parent` counts from `first`.
    """

    children: Columns
    fills: Columns
    parents: Columns
    first: int = 0
    _venue: Venue = field(repr=False, kw_only=True)
    _jobs: Jobs = field(repr=False, kw_only=True)

    def reports(self, parents: Iterable[int] | None = None) -> list[ExecutionReport]:
        """Full reports of some parents, or of all: played again by the machine, one by one."""
        numbers = range(self.first, self.first + len(self._jobs)) if parents is None else parents
        jobs, venue = self._jobs, self._venue
        executors = [executor_of(venue, setting) for setting in jobs.settings]
        return [
            _reported(venue, hand_over(venue, jobs[at], executors[jobs.setting[at]]))
            for at in (number - self.first for number in numbers)
        ]

    def frames(self) -> dict[str, pl.DataFrame]:
        """`children`, `fills` and `parents` as frames."""
        import polars as pl

        parts = {"children": self.children, "fills": self.fills, "parents": self.parents}
        return {name: pl.DataFrame(dict(part)) for name, part in parts.items()}


def play(
    venue: Venue, jobs: Sequence[Job] | Jobs, *, engine: Engine = "compiled", workers: int = 1, keep: Keep = "all"
) -> Batch:
    """Plays every parent from its start to its end, or to that of the bars.

    engine: `compiled`; `loop`, the same as plain Python; `machine`, one parent after the other. Without numba
    `compiled` is `machine`. workers: threads; the answer is the same, bit for bit, and in the same order. keep:
    `parents` leaves `children` and `fills` empty, so that memory does not grow with them.

    Raises ValueError naming the job where its algorithm refuses it.
    """
    whole = jobs if isinstance(jobs, Jobs) else Jobs.one_by_one(jobs)
    blocks = list(play_in_blocks(venue, whole, engine=engine, workers=workers, keep=keep))
    if len(blocks) == 1:
        return blocks[0]
    children, fills, parents = (
        _end_to_end([getattr(block, part) for block in blocks]) for part in ("children", "fills", "parents")
    )
    executors = [executor_of(venue, setting) for setting in whole.settings]
    return Batch(children, fills, _Parents(whole, executors, parents), _venue=venue, _jobs=whole)


def play_in_blocks(
    venue: Venue,
    jobs: Sequence[Job] | Jobs,
    *,
    engine: Engine = "compiled",
    workers: int = 1,
    keep: Keep = "all",
    block: int = BLOCK,
) -> Iterator[Batch]:
    """`play`, so many parents at a time and in their order: what came of a block may be dropped before the next.

    At most `workers` blocks more than the one that is handed out are in memory. No parents: one empty block.
    """
    columns = jobs if isinstance(jobs, Jobs) else Jobs.one_by_one(jobs)
    loop = compiled() if engine == "compiled" else run if engine == "loop" else None
    shared = ground(venue) if loop is not None and len(columns) and is_loop_venue(venue) else None

    profiles: Profiles = {}

    def one(first: int) -> Batch:
        log = _Log(venue, columns[first : first + block], first, profiles)
        if shared is not None and loop is not None:
            log.by_loop(shared, loop, compiled=engine == "compiled")
        log.by_machine()
        return log.batch(keep)

    firsts = range(0, max(1, len(columns)), block)
    if workers == 1:
        yield from map(one, firsts)
        return
    with ThreadPoolExecutor(workers) as threads:
        waiting: deque[Future[Batch]] = deque()
        for first in firsts:
            waiting.append(threads.submit(one, first))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _end_to_end(parts: Sequence[Columns]) -> Columns:
    """The same columns, one block behind the other; ids are still to be made."""
    names = [name for name in parts[0] if name != "execution_id"]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


# ---- what came of it


class _Log:
    """What parents have written, whoever played them."""

    def __init__(self, venue: Venue, jobs: Jobs, first: int, profiles: Profiles) -> None:
        count = len(jobs)
        self._venue, self._jobs, self._first = venue, jobs, first
        self._taken = intake(venue, jobs, first, profiles)
        self._orders: list[NDArray[np.void]] = []
        self._fills: list[NDArray[np.void]] = []
        self._played = np.zeros(count, np.bool_)  # by the loop
        self._status = np.full(count, "running", "<U9")
        self._filled = np.zeros(count, np.int64)
        self._end_ns = np.full(count, -1)
        self._reasons: dict[int, str] = {}

    def by_loop(self, shared: Ground, loop: Run, *, compiled: bool) -> None:
        """Plays what the loop covers, and doubles the tables as often as it needs."""
        numbers = np.flatnonzero(self._taken.looped)
        if len(numbers) == 0:
            return
        tables = packed(shared, self._taken, numbers)
        if not compiled:
            tables = plain(tables)
        done = loop(EVERY, 0, 0, 0, tables)
        while done < len(numbers):
            tables = enlarged(tables, done)
            done = loop(EVERY, done, 0, 0, tables)
        seats = written(Seat, tables.seats, len(numbers))
        orders = written(Order, tables.orders, int(seats["commands"][-1]))
        fills = written(Fill, tables.fills, int(seats["fills"][-1]))
        for table, kept in ((orders, self._orders), (fills, self._fills)):
            if len(numbers) < len(self._jobs):
                table["parent"] = numbers[table["parent"]]
            kept.append(table)
        here = seats["full"] != LEFT
        numbers, seats = numbers[here], seats[here]
        self._played[numbers] = True
        self._filled[numbers] = seats["filled"]
        ended = seats["state"] >= COMPLETED
        self._status[numbers] = np.where(ended, STATUS[seats["state"]], "running")
        self._end_ns[numbers] = np.where(ended, seats["ended_ns"], -1)
        for at in np.flatnonzero((seats["state"] == CANCELLED) | (seats["state"] == FAILED)).tolist():
            self._reasons[int(numbers[at])] = self._reason(int(numbers[at]), seats[at])

    def _reason(self, number: int, seat: np.void) -> str:
        instrument, plan = self._venue.instrument, self._taken.plans[number]
        if seat["state"] == CANCELLED:
            return ended_with(int(plan["quantity"] - seat["filled"]), int(plan["min_lots"]), instrument)
        qty = instrument.qty(int(seat["refused_lots"]))
        return f"rejected by the venue: {below_minimum(instrument, qty, float(seat['refused_near']))}"

    def by_machine(self) -> None:
        """Plays the others, one by one."""
        for number in np.flatnonzero(~self._played).tolist():
            handed = self._taken.at_start(self._venue, number)
            recorder = _Recorder(number, handed.worked, self._venue)
            report = _reported(self._venue, handed, recorder)
            self._orders.append(records(Order, recorder.orders))
            self._fills.append(records(Fill, recorder.fills))
            self._status[number] = report.status
            self._filled[number] = sum(fill.lots for fill in recorder.fills)
            self._end_ns[number] = -1 if report.end_ts_ns is None else report.end_ts_ns
            if report.status != "completed" and report.unfilled_reason:
                self._reasons[number] = report.unfilled_reason

    def batch(self, keep: Keep) -> Batch:
        orders, fills = _in_order(self._orders, Order), _in_order(self._fills, Fill)
        parents = self._parents(orders, fills)
        if keep == "parents":
            orders, fills = orders[:0], fills[:0]
        children = {"parent": orders["parent"] + self._first, "number": orders["number"].copy()}
        children["action"] = np.where(orders["cancel"] > 0, "cancel", "new")
        children["ts_ns"] = orders["ts_ns"].copy()
        children["bar"] = np.searchsorted(self._venue.bars.ts_close_ns, orders["ts_ns"], side="right") - 1
        children |= {name: orders[name].copy() for name in ("slice_idx", "lots", "limit_ticks")}
        children["marketable"] = orders["marketable"] > 0
        traded = {name: fills[name].copy() for name in ("parent", "child", "ts_ns", "bar", "lots", "price")}
        traded["parent"] += self._first
        traded["maker"] = fills["maker"] > 0
        return Batch(children, traded, parents, self._first, _venue=self._venue, _jobs=self._jobs)

    def _parents(self, orders: NDArray[np.void], fills: NDArray[np.void]) -> Columns:
        bars, taken, count = self._venue.bars, self._taken, len(self._jobs)
        seen = taken.briefs["seen_bar"]
        money = np.bincount(fills["parent"], fills["price"] * fills["lots"], minlength=count)
        average = np.divide(money, self._filled, out=np.full(count, np.nan), where=self._filled > 0)
        arrival = np.where(seen >= 0, bars.close[np.maximum(seen, 0)], bars.open[0]) if count else np.zeros(0)
        reasons = np.full(count, "", object)
        reasons[list(self._reasons)] = list(self._reasons.values())
        return _Parents(
            self._jobs,
            taken.executors,
            {
                "status": self._status,
                "quantity": taken.plans["quantity"].copy(),
                "filled": self._filled,
                "avg_price": average,
                "arrival_price": arrival,
                "slippage_bps": 1e4 * self._jobs.side * (average / arrival - 1),
                "children": np.bincount(orders["parent"], orders["cancel"] == 0, minlength=count).astype(np.int64),
                "fills": np.bincount(fills["parent"], minlength=count),
                "end_ns": self._end_ns,
                "reason": reasons.astype(np.str_),
                "looped": self._played,
            },
        )


class _Parents(Mapping[str, NDArray[Any]]):
    """The columns of the parents; their ids are made for whoever asks for them, which few do of a million."""

    def __init__(self, jobs: Jobs, executors: Sequence[BaseExecutor], columns: Columns) -> None:
        self._jobs, self._executors, self._columns = jobs, executors, columns

    @cached_property
    def _ids(self) -> NDArray[np.str_]:
        places = self._jobs.setting.tolist()
        return np.array([execution_id(job, self._executors[at]) for job, at in zip(self._jobs, places, strict=True)])

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._ids if name == "execution_id" else self._columns[name]

    def __iter__(self) -> Iterator[str]:
        yield from ("execution_id", *self._columns)

    def __len__(self) -> int:
        return 1 + len(self._columns)


def _in_order(tables: Sequence[NDArray[np.void]], kind: type) -> NDArray[np.void]:
    """All rows, parents in their order, the rows of each as they were written."""
    if len(tables) == 1:
        return tables[0]
    table = np.concatenate(tables) if tables else np.zeros(0, dtype_of(kind))
    return table[np.argsort(table["parent"], kind="stable")]


# ---- the machine, for those that the loop does not cover


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
