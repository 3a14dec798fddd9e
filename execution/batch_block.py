"""Some thousands of parents that are planned together, and what came of them, whoever played them.

Logs are short and stay in the processor's cache: when one is full, or all have been played, it is read and begun anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from execution.batch_act import CANCELLED, COMPLETED, FAILED, STATES
from execution.batch_desk import EVERY, Run, compiled, run
from execution.batch_intake import Jobs, execution_id
from execution.batch_log import Columns, Made, of_filled, of_fills, of_orders, of_sent
from execution.batch_machine import Recorder, reported
from execution.batch_market import LEFT
from execution.batch_pack import (
    Ground,
    begin_anew,
    enlarged,
    enlarged_takers,
    packed,
    packed_takers,
    plain,
    plain_takers,
)
from execution.batch_plans import Profiles, intake
from execution.batch_tables import Fill, Order, Seat, Tables, written
from execution.batch_taker_tables import Taken, TakerTables
from execution.batch_takers import TakersRun, compiled_takers, only_takes, play_takers
from execution.filters import below_minimum
from execution.machine_code import MachineCode
from execution.progress import ended_with
from execution.venue import Venue

Keep = Literal["all", "parents"]
Ints = NDArray[np.int64]
STATUS: Final = np.array(["running", *(state.value for state in STATES)])


class Loop(NamedTuple):
    """The two compiled functions, asked for when they are needed, or both as plain Python."""

    takers: Callable[[], TakersRun | None]
    all: Callable[[], Run | None]
    is_plain: bool


class Means(NamedTuple):
    """What a block is played with by the loop. memory: of one block at a time, for one after the other: what it knows
    of the bars (`execution.batch_memory.Memory`) holds for all of them."""

    ground: Ground
    loop: Loop
    memory: NDArray[np.void]


COMPILED: Final = Loop(compiled_takers, compiled, False)
PLAIN: Final = Loop(lambda: play_takers, lambda: run, True)


class Block(NamedTuple):
    """Parents from number `first` on, and what came of them.

    children, fills  parts of logs (see `execution.batch_log`); none where parents alone are kept
    parents          the columns of `execution.batch.Batch.parents`
    """

    first: int
    jobs: Jobs
    children: list[Columns]
    fills: list[Columns]
    parents: Made


def played(venue: Venue, jobs: Jobs, first: int, keep: Keep, profiles: Profiles, means: Means | None) -> Block:
    """Plays these parents: by the loop what it covers, the others by the machine; without `means` all of them."""
    play = _Play(venue, jobs, first, keep, profiles)
    if means is not None:
        play.by_loop(means)
    play.by_machine()
    return Block(first, jobs, play.children, play.fills, play.parents())


class _Play:
    """The play of a block."""

    def __init__(self, venue: Venue, jobs: Jobs, first: int, keep: Keep, profiles: Profiles) -> None:
        count = len(jobs)
        self._jobs, self._first = jobs, first
        self.children: list[Columns] = []
        self.fills: list[Columns] = []
        self._venue, self._keeps_all = venue, keep == "all"
        self._taken = intake(venue, jobs, first, profiles)
        self._looped = np.zeros(count, np.bool_)
        self._status = np.zeros(count, np.int8)  # places in STATUS
        self._filled, self._child_rows, self._fill_rows = np.zeros((3, count), np.int64)
        self._paid = np.zeros(count)  # lots times price
        self._end_ns = np.full(count, -1)
        self._reasons: dict[int, str] = {}  # but of those that the end of their horizon has stopped in the loop

    def by_loop(self, means: Means) -> None:
        """Plays what the loop covers: first those that only take, by a loop of their own."""
        ground, loop, memory = means
        takers = np.flatnonzero(self._taken.looped & only_takes(self._taken.plans))
        play_takers = loop.takers() if len(takers) else None
        if play_takers is not None:
            taker_tables = packed_takers(ground, self._taken, takers, memory)
            self._by_takers(plain_takers(taker_tables) if loop.is_plain else taker_tables, takers, play_takers)
        others = np.flatnonzero(self._taken.looped & ~self._looped)
        play_all = loop.all() if len(others) else None
        if play_all is not None:
            tables = packed(ground, self._taken, others, memory=memory)
            self._by_all(plain(tables) if loop.is_plain else tables, others, play_all)

    def _by_takers(self, tables: TakerTables, numbers: Ints, play: TakersRun) -> None:
        begin, count, enter = 0, len(numbers), entry(play, (0,), tables)
        while begin < count:
            end = enter(begin)
            if end == begin:
                tables = enlarged_takers(tables)
                enter = entry(play, (0,), tables)
                continue
            taken = written(Taken, tables.taken, end)[begin:]
            some = numbers[begin:end]
            counts = [np.diff(taken[name], prepend=0) for name in ("commands", "fills")]
            if self._keeps_all:
                self.children.append(of_sent(tables.sent, counts[0], self._first + some))
                self.fills.append(of_filled(tables.fills, counts[1], self._first + some))
            here = taken["left"] == 0
            self._ended(some[here], taken[here], counts[1][here], taken["paid"][here])
            _read(tables.taken, end)
            begin = end

    def _by_all(self, tables: Tables, numbers: Ints, play: Run) -> None:
        begin, count, enter = 0, len(numbers), entry(play, (EVERY, 0, 0, 0), tables)
        while begin < count:
            end = enter(EVERY, begin, 0, 0)
            if end < count:
                begin_anew(tables, end)
            if end == begin:
                tables = enlarged(tables)
                enter = entry(play, (EVERY, 0, 0, 0), tables)
                continue
            seats = written(Seat, tables.seats, end)[begin:]
            fills = written(Fill, tables.fills, int(seats["fills"][-1]))
            some = numbers[begin:end]
            if self._keeps_all:
                orders = written(Order, tables.orders, int(seats["commands"][-1]))
                self.children.append(of_orders(orders, self._first + numbers))
                self.fills.append(of_fills(fills, self._first + numbers))
            counts = np.diff(seats["fills"], prepend=0)
            paid = np.bincount(fills["parent"] - begin, fills["price"] * fills["lots"], minlength=len(some))
            here = seats["full"] != LEFT
            self._ended(some[here], seats[here], counts[here], paid[here])
            _read(tables.seats, end)
            begin = end

    def _ended(self, numbers: Ints, seats: NDArray[np.void], fills: Ints, paid: NDArray[np.float64]) -> None:
        """How parents stood when their play was over. seats: `Seat` or `Taken`."""
        ended = seats["state"] >= COMPLETED
        self._looped[numbers] = True
        self._filled[numbers] = seats["filled"]
        self._child_rows[numbers] = seats["children"]
        self._fill_rows[numbers] = fills
        self._paid[numbers] = paid
        self._status[numbers] = np.where(ended, seats["state"] + 1, 0)
        self._end_ns[numbers] = np.where(ended, seats["ended_ns"], -1)
        instrument = self._venue.instrument
        for at in np.flatnonzero(seats["state"] == FAILED).tolist():
            seat = seats[at]
            why = below_minimum(instrument, instrument.qty(int(seat["refused_lots"])), float(seat["refused_near"]))
            self._reasons[int(numbers[at])] = f"rejected by the venue: {why}"

    def by_machine(self) -> None:
        """Plays the others, one by one."""
        status = STATUS.tolist()
        for number in np.flatnonzero(~self._looped).tolist():
            handed = self._taken.at_start(self._venue, number)
            recorder = Recorder(self._first + number, handed.worked, self._venue)
            report = reported(self._venue, handed, recorder)
            children, fills = recorder.columns()
            if self._keeps_all:
                self.children.append(children)
                self.fills.append(fills)
            self._status[number] = status.index(report.status)
            self._filled[number] = fills["lots"].sum()
            self._child_rows[number] = np.count_nonzero(~children["cancel"])
            self._fill_rows[number] = len(fills["lots"])
            self._paid[number] = (fills["price"] * fills["lots"]).sum()
            self._end_ns[number] = -1 if report.end_ts_ns is None else report.end_ts_ns
            if report.status != "completed" and report.unfilled_reason:
                self._reasons[number] = report.unfilled_reason

    def parents(self) -> Made:
        """The columns of `execution.batch.Batch.parents`; those of texts are made when they are read."""
        bars, taken, jobs = self._venue.bars, self._taken, self._jobs
        seen, executors, status = taken.briefs["seen_bar"], taken.executors, self._status
        average = np.divide(self._paid, self._filled, out=np.full(len(jobs), np.nan), where=self._filled > 0)
        arrival = np.where(seen >= 0, bars.close[np.maximum(seen, 0)], bars.open[0]) if len(jobs) else np.zeros(0)
        reasons = _Reasons(
            self._venue,
            np.where(self._looped & (status == CANCELLED + 1), taken.plans["quantity"] - self._filled, -1),
            taken.plans["min_lots"].copy(),
            self._reasons,
        )

        def ids() -> NDArray[np.str_]:
            return np.array(
                [execution_id(job, executors[at]) for job, at in zip(jobs, jobs.setting.tolist(), strict=True)], np.str_
            )

        return Made(
            {
                "execution_id": ids,
                "status": lambda: STATUS[status],
                "quantity": taken.plans["quantity"].copy(),
                "filled": self._filled,
                "avg_price": average,
                "arrival_price": arrival,
                "slippage_bps": 1e4 * jobs.side * (average / arrival - 1),
                "children": self._child_rows,
                "fills": self._fill_rows,
                "end_ns": self._end_ns,
                "reason": reasons.texts,
                "looped": self._looped,
            }
        )


class _Reasons(NamedTuple):
    """Why parents have not filled. left: lots, of those whose horizon has ended in the loop; -1: of others."""

    venue: Venue
    left: Ints
    min_lots: Ints
    others: dict[int, str]

    def texts(self) -> NDArray[np.str_]:
        found = np.full(len(self.left), "", object)
        found[list(self.others)] = list(self.others.values())
        for number in np.flatnonzero(self.left >= 0).tolist():
            found[number] = ended_with(int(self.left[number]), int(self.min_lots[number]), self.venue.instrument)
        return found.astype(np.str_)


def entry(play: Callable[..., int], first: tuple[int, ...], tables: Tables | TakerTables) -> Callable[..., int]:
    """A loop to call with its first numbers only, which are like these."""
    if isinstance(play, MachineCode):
        return play.prepared(first, tables)
    return lambda *numbers: play(*numbers, tables)


def _read(table: Any, end: int) -> None:
    """The logs have been read: the parents from `end` on write them from their first row. table: seats, or `Taken`."""
    for name in ("commands", "fills"):
        if isinstance(table, np.ndarray):
            table[name][end - 1] = 0
        else:
            setattr(table[end - 1], name, 0)
