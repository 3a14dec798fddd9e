"""The batch driver: many parents over the bars of one venue, each alone in its own market, compiled by numba.

Compiled are the very kernels that the machine calls (`execution.kernel.KERNELS`) and the loop of
`execution.batch_desk`. Commands (number, time, lots, limit ticks, cancels) and the lots of every fill are exactly those
of `execution.desk.Desk`; prices agree to 1e-9 of their value. Parents, and venues, that the loop does not cover are
played by the machine, one by one, with output of the same form: executors with a rule or plan of their own, slippage
models without the power-law memory, grids too fine for 64 bits. Without numba the machine plays them all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

from execution.batch_alone import reports_alone
from execution.batch_block import COMPILED, PLAIN, Block, Keep, Means, played
from execution.batch_desk import compiled
from execution.batch_intake import Job, Jobs, Setting, executor_of, hand_over
from execution.batch_log import CHILDREN, FILLS, Columns, Rows, end_to_end
from execution.batch_memory import fresh_memory
from execution.batch_plans import Profiles
from execution.contracts import ExecutionReport
from execution.venue import Venue

if TYPE_CHECKING:
    import polars as pl

Engine = Literal["compiled", "loop", "machine"]
BLOCK: Final = 8192  # parents at a time
__all__ = ["Batch", "Engine", "Job", "Jobs", "Keep", "Setting", "compiled", "play", "play_in_blocks"]


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
    Their columns are put together, and all texts made, when they are first read: by one thread at a time.
    """

    children: Columns
    fills: Columns
    parents: Columns
    first: int = 0
    _venue: Venue = field(repr=False, kw_only=True)
    _jobs: Jobs = field(repr=False, kw_only=True)

    def reports(self, parents: Iterable[int] | None = None) -> list[ExecutionReport]:
        """Full reports of some parents, or of all, as their desks would have given them: they are played again."""
        numbers = range(self.first, self.first + len(self._jobs)) if parents is None else parents
        jobs, venue = self._jobs, self._venue
        executors = [executor_of(venue, setting) for setting in jobs.settings]
        places = [number - self.first for number in numbers]
        return reports_alone(venue, [hand_over(venue, jobs[at], executors[jobs.setting[at]]) for at in places])

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
    return _batch(list(_blocks(venue, whole, engine, workers, keep, BLOCK)), venue, whole)


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
    for one in _blocks(venue, columns, engine, workers, keep, block):
        yield _batch([one], venue, one.jobs)


def _batch(blocks: Sequence[Block], venue: Venue, jobs: Jobs) -> Batch:
    """What came of some blocks that follow each other."""
    return Batch(
        Rows([part for block in blocks for part in block.children], CHILDREN),
        Rows([part for block in blocks for part in block.fills], FILLS),
        end_to_end([block.parents for block in blocks]),
        blocks[0].first,
        _venue=venue,
        _jobs=jobs,
    )


def _blocks(venue: Venue, jobs: Jobs, engine: Engine, workers: int, keep: Keep, size: int) -> Iterator[Block]:
    """In their order; at least one."""
    loop = COMPILED if engine == "compiled" and compiled() is not None else PLAIN if engine == "loop" else None
    ground = venue.ground if loop is not None and len(jobs) else None
    profiles: Profiles = {}
    spare: list[NDArray[np.void]] = []  # memories that nobody plays with

    def one(first: int) -> Block:
        means = None
        if ground is not None and loop is not None:
            means = Means(ground, loop, spare.pop() if spare else fresh_memory())
        block = played(venue, jobs[first : first + size], first, keep, profiles, means)
        if means is not None:
            spare.append(means.memory)
        return block

    firsts = range(0, max(1, len(jobs)), size)
    if workers == 1:
        yield from map(one, firsts)
        return
    with ThreadPoolExecutor(workers) as threads:
        waiting: deque[Future[Block]] = deque()
        for first in firsts:
            waiting.append(threads.submit(one, first))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
