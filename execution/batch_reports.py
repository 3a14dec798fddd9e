"""What came of a run of the loop, in words: the fills and reports that the machine's desk would have given."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.bulk import made, no_collection
from core.contracts import FillEvent
from core.frozen import FrozenDict
from core.ids import child_id
from execution.batch_act import CANCELLED, FAILED, STATES
from execution.batch_run import LoopRun
from execution.batch_tables import NEVER, NONE
from execution.children import child_meta
from execution.contracts import ExecutionReport, average_price
from execution.desk import interval_facts
from execution.filters import below_minimum
from execution.parent import NO_DATA, THIN, ParentOrder
from execution.progress import END_OF_HORIZON, Record, Standing, report_of
from execution.venue import Venue


class Told(NamedTuple):
    """Reports in the order of parents; fills as they were heard, each with its bar."""

    reports: list[ExecutionReport]
    fills: list[FillEvent]
    bars: list[int]


def told(run: LoopRun, venue: Venue) -> Told:
    """All that became of the parents of a run that is over."""
    with no_collection():
        return _told(run, venue)


def _told(run: LoopRun, venue: Venue) -> Told:
    orders, log = run.orders, run.fills
    fills = _fills(run.parents, orders, log, venue)
    count = len(run.parents)
    whole = (orders["cancel"] == 0) & (orders["filled"] >= orders["lots"])
    completed = np.bincount(orders["parent"][whole], minlength=count).tolist()
    of_parent: list[list[FillEvent]] = [[] for _ in range(count)]
    for number, fill in zip(log["parent"].tolist(), fills, strict=True):
        of_parent[number].append(fill)
    settings = FrozenDict(venue.settings)
    reports = [
        _report(parent, seat, done, own, venue, settings)
        for parent, seat, done, own in zip(run.parents, _seats(run.seats), completed, of_parent, strict=True)
    ]
    return Told(reports, fills, log["bar"].tolist())


class _Left(NamedTuple):
    """Where a seat was left: columns of `execution.batch_tables.Seat`."""

    state: int
    filled: int
    children: int
    no_data: int
    thin: int
    ended_ns: int
    refused_lots: int
    refused_near: float
    last_fill: int
    begin_bar: int
    end_bar: int
    arrival: float
    end_mid: float


def _seats(table: NDArray[np.void]) -> list[_Left]:
    return list(map(_Left, *(table[name].tolist() for name in _Left._fields)))


def _report(
    parent: ParentOrder,
    left: _Left,
    completed: int,
    fills: list[FillEvent],
    venue: Venue,
    settings: FrozenDict,
) -> ExecutionReport:
    instrument = venue.instrument
    state = STATES[left.state]
    pauses = Counter({why: times for why, times in ((NO_DATA, left.no_data), (THIN, left.thin)) if times})
    reason = None
    if left.state == CANCELLED:
        reason = END_OF_HORIZON
    elif left.state == FAILED:
        qty = instrument.qty(left.refused_lots)
        reason = f"rejected by the venue: {below_minimum(instrument, qty, left.refused_near)}"
    ended_ns = left.ended_ns if left.ended_ns != NEVER else None
    standing = Standing(
        state,
        parent.plan.quantity,
        left.filled,
        left.children,
        completed,
        Record(fills, pauses=pauses, reason=reason, ended_ns=ended_ns),
        has_seen_market=True,
    )
    last = left.last_fill if left.last_fill != NONE else max(left.end_bar, left.begin_bar)
    filled = instrument.qty(left.filled)
    return report_of(
        parent,
        standing,
        decision_price=left.arrival,
        arrival_price=left.arrival,
        end_price=left.end_mid,
        settings=settings,
        **interval_facts(
            venue.tape, venue.half_spread, left.begin_bar, last, left.arrival, filled, average_price(fills)
        ),
    )


def _fills(
    parents: list[ParentOrder], orders: NDArray[np.void], log: NDArray[np.void], venue: Venue
) -> list[FillEvent]:
    """The log's rows as events. Prices are above 0, or the loop would have left the run to the machine."""
    instrument, lot = venue.instrument, Fraction(venue.instrument.lot)
    maker = log["maker"] > 0
    side = orders["side"][log["row"]]
    qty = log["lots"] * lot.numerator / lot.denominator
    price, bar = log["price"], log["bar"]
    fees_bps = np.where(maker, instrument.maker_fee_bps, instrument.taker_fee_bps)
    half = np.where(maker, 0.0, venue.half_spread[bar])
    impact = np.where(maker, 0.0, side * (price - venue.bars.open[bar]) - half)
    rows, first = np.unique(log["row"], return_inverse=True)
    sent = orders[rows]
    ids = [
        child_id(parents[number].parent.execution_id, child)
        for number, child in zip(sent["parent"].tolist(), sent["number"].tolist(), strict=True)
    ]
    metas = [
        child_meta(parents[number].parent, index, scheduled_ns)
        for number, index, scheduled_ns in zip(
            sent["parent"].tolist(), sent["slice_idx"].tolist(), sent["scheduled_ns"].tolist(), strict=True
        )
    ]
    which = first.tolist()
    names = [ids[at] for at in which]
    return made(
        FillEvent,
        len(log),
        fill_id=[f"{name}-f{number}" for name, number in zip(names, log["number"].tolist(), strict=True)],
        order_id=names,
        symbol=repeat(instrument.symbol),
        side=np.where(side > 0, "buy", "sell").tolist(),
        qty=qty.tolist(),
        price=price.tolist(),
        ts_fill_ns=log["ts_ns"].tolist(),
        fee=(qty * price * instrument.multiplier * fees_bps / 1e4).tolist(),
        liquidity=np.where(maker, "maker", "taker").tolist(),
        meta=[
            FrozenDict(metas[at], half_spread=one, impact=other)
            for at, one, other in zip(which, half.tolist(), impact.tolist(), strict=True)
        ],
    )
