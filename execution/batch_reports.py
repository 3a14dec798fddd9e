"""What came of a run of the loop, in words: the fills and reports that the machine's desk would have given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import repeat
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from core.bulk import Deferred, made, no_collection
from core.contracts import FillEvent
from core.frozen import FrozenDict
from core.ids import child_id
from execution.batch_act import CANCELLED, FAILED, STATES
from execution.batch_tables import NEVER, NONE
from execution.children import child_meta
from execution.contracts import ExecutionReport, average_price
from execution.desk import interval_facts
from execution.filters import below_minimum
from execution.parent import NO_DATA, THIN, ParentOrder
from execution.progress import END_OF_HORIZON, Record, Standing, report_of
from execution.run_files import Moves, in_order
from execution.venue import Venue


class Played(Protocol):
    """Parents that the loop has worked, and what it has written: see `execution.batch_tables`."""

    @property
    def parents(self) -> Sequence[ParentOrder]: ...
    @property
    def orders(self) -> NDArray[np.void]: ...
    @property
    def fills(self) -> NDArray[np.void]: ...
    @property
    def seats(self) -> NDArray[np.void]: ...


class Told(NamedTuple):
    """Reports in order of start; fills as they were heard; what they have changed. The first two are made when read."""

    reports: Sequence[ExecutionReport]
    fills: Sequence[FillEvent]
    moves: Moves


def told(run: Played, venue: Venue, refused: Sequence[ExecutionReport] = ()) -> Told:
    """All that became of the parents of a run that is over. refused: of those that were not worked at all."""
    filled = _filled(run.orders, run.fills, venue)
    fills = Deferred(len(filled.log), lambda: _fills(run, filled, venue.instrument.symbol))
    reports = Deferred(len(run.parents) + len(refused), lambda: in_order([*_reports(run, fills, venue), *refused]))
    cash = -filled.side * (filled.qty * filled.log["price"] * venue.instrument.multiplier) - filled.fee
    return Told(reports, fills, Moves(filled.log["bar"], filled.side * filled.log["lots"], cash))


def reports_of(run: Played, venue: Venue) -> list[ExecutionReport]:
    """Reports alone, in the order of parents."""
    return _reports(run, _fills(run, _filled(run.orders, run.fills, venue), venue.instrument.symbol), venue)


class _Filled(NamedTuple):
    """The log of fills, and what follows from it: a row for each fill."""

    log: NDArray[np.void]
    maker: NDArray[np.bool_]
    side: NDArray[np.int64]
    qty: NDArray[np.float64]
    fee: NDArray[np.float64]
    half_spread: NDArray[np.float64]
    impact: NDArray[np.float64]


def _filled(orders: NDArray[np.void], log: NDArray[np.void], venue: Venue) -> _Filled:
    instrument, lot = venue.instrument, Fraction(venue.instrument.lot)
    maker = log["maker"] > 0
    side = orders["side"][log["row"]]
    qty = log["lots"] * lot.numerator / lot.denominator
    price, bar = log["price"], log["bar"]
    fees_bps = np.where(maker, instrument.maker_fee_bps, instrument.taker_fee_bps)
    half = np.where(maker, 0.0, venue.half_spread[bar])
    impact = np.where(maker, 0.0, side * (price - venue.bars.open[bar]) - half)
    return _Filled(log, maker, side, qty, qty * price * instrument.multiplier * fees_bps / 1e4, half, impact)


def _reports(run: Played, fills: Sequence[FillEvent], venue: Venue) -> list[ExecutionReport]:
    """In the order of parents."""
    orders, count = run.orders, len(run.parents)
    whole = (orders["cancel"] == 0) & (orders["filled"] >= orders["lots"])
    completed = np.bincount(orders["parent"][whole], minlength=count).tolist()
    of_parent: list[list[FillEvent]] = [[] for _ in range(count)]
    settings = FrozenDict(venue.settings)
    with no_collection():
        for number, fill in zip(run.fills["parent"].tolist(), fills, strict=True):
            of_parent[number].append(fill)
        return [
            _report(parent, seat, done, own, venue, settings)
            for parent, seat, done, own in zip(run.parents, _seats(run.seats), completed, of_parent, strict=True)
        ]


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


def _fills(run: Played, filled: _Filled, symbol: str) -> list[FillEvent]:
    """The log's rows as events. Prices are above 0, or the loop would have left the run to the machine."""
    parents, log = run.parents, filled.log
    rows, first = np.unique(log["row"], return_inverse=True)
    sent = run.orders[rows]
    ids = [
        child_id(parents[number].parent.execution_id, child)
        for number, child in zip(sent["parent"].tolist(), sent["number"].tolist(), strict=True)
    ]
    with no_collection():
        metas = [
            child_meta(parents[number].parent, index, scheduled_ns)
            for number, index, scheduled_ns in zip(
                sent["parent"].tolist(), sent["slice_idx"].tolist(), sent["scheduled_ns"].tolist(), strict=True
            )
        ]
        which = first.tolist()
        names = [ids[at] for at in which]
        halves, impacts = filled.half_spread.tolist(), filled.impact.tolist()
        return made(
            FillEvent,
            len(log),
            fill_id=[f"{name}-f{number}" for name, number in zip(names, log["number"].tolist(), strict=True)],
            order_id=names,
            symbol=repeat(symbol),
            side=np.where(filled.side > 0, "buy", "sell").tolist(),
            qty=filled.qty.tolist(),
            price=log["price"].tolist(),
            ts_fill_ns=log["ts_ns"].tolist(),
            fee=filled.fee.tolist(),
            liquidity=np.where(filled.maker, "maker", "taker").tolist(),
            meta=[
                FrozenDict(metas[at], half_spread=half, impact=impact)
                for at, half, impact in zip(which, halves, impacts, strict=True)
            ],
        )
