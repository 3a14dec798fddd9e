"""Full reports of parents that are each alone in a market of their own, worked by the compiled loop.

`execution.batch` answers for very many parents in columns; here each gets the report that its desk would have given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from execution.batch_act import COMPLETED
from execution.batch_desk import EVERY, Run, compiled
from execution.batch_grow import appended
from execution.batch_intake import Handed, Jobs
from execution.batch_machine import reported
from execution.batch_market import LEFT
from execution.batch_pack import Ground, begin_anew, enlarged, packed
from execution.batch_plans import intake, is_loop_parent
from execution.batch_reports import reports_of
from execution.batch_tables import Fill, Order, Seat, written
from execution.contracts import ExecutionReport
from execution.parent import ParentOrder
from execution.venue import Venue

ROWS: Final = 32  # of the logs for each parent, to begin with


class _Played(NamedTuple):
    """`execution.batch_reports.Played`."""

    parents: list[ParentOrder]
    orders: NDArray[np.void]
    fills: NDArray[np.void]
    seats: NDArray[np.void]


def reports_alone(venue: Venue, parents: Sequence[Handed]) -> list[ExecutionReport]:
    """The report of every parent, in their order; settings, fills and benchmarks are those of `execution.desk.Desk`.

    Commands and lots are the machine's exactly, prices to 1e-9 of their value. Parents, and venues, that the loop does
    not cover, and parents that are still at work when the bars end, are played by the machine. Nobody is given: [].
    """
    ground = venue.ground if parents else None
    loop = compiled() if ground is not None else None
    reports: dict[int, ExecutionReport] = {}
    if ground is not None and loop is not None:
        looped = [number for number, one in enumerate(parents) if is_loop_parent(one.worked, venue)]
        played, ended = _played(venue, ground, [parents[number] for number in looped], loop)
        told = reports_of(played, venue)
        reports = {number: told[at] for at, number in enumerate(looped) if ended[at]}
    return [reports[number] if number in reports else reported(venue, one) for number, one in enumerate(parents)]


def _played(venue: Venue, ground: Ground, parents: Sequence[Handed], loop: Run) -> tuple[_Played, NDArray[np.bool_]]:
    """What the loop has written of these parents, and which of them have ended in it."""
    tables = packed(ground, intake(venue, Jobs.one_by_one([])), np.zeros(0, np.int64), 64 + ROWS * len(parents))
    for number, one in enumerate(parents):
        tables = appended(tables, number, one.order, one.now_ns, one.seen_bar)
    tables = tables._replace(plans=tables.plans[: len(parents)])  # so many does it play
    done = loop(EVERY, 0, 0, 0, tables)
    while done < len(parents):
        begin_anew(tables, done)
        tables = enlarged(tables)
        done = loop(EVERY, done, 0, 0, tables)
    seats = written(Seat, tables.seats, len(parents))
    commands, fills = (int(seats[name][-1]) if len(seats) else 0 for name in ("commands", "fills"))
    played = _Played(
        [one.order for one in parents],
        written(Order, tables.orders, commands),
        written(Fill, tables.fills, fills),
        seats,
    )
    return played, (seats["full"] != LEFT) & (seats["state"] >= COMPLETED)
