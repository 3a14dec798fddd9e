"""Tables that grow while a run goes on: a parent more, longer logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from operator import attrgetter, itemgetter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from execution.batch_act import RULES
from execution.batch_desk import ROOM
from execution.batch_plans import draws_of
from execution.batch_tables import Alarm, Brief, Seat, Tables, blank
from execution.parent import ParentOrder
from execution.plan import Plan, View

_LEAST: Final = 16
_PLAN: Final = attrgetter(*(f.name for f in fields(Plan)))
_BRIEF: Final = attrgetter(*(f.name for f in fields(Brief)))
_COLUMNS: Final = ("starts", "targets", "volume", "draws")
_ENDS: Final = itemgetter(*([f.name for f in fields(Brief)].index(f"{name}_to") for name in _COLUMNS))


def appended(tables: Tables, number: int, parent: ParentOrder, now_ns: int, seen_bar: int) -> Tables:
    """The tables with one more parent, the `number`-th."""
    if number >= len(tables.plans):
        more = max(_LEAST, number)
        tables = tables._replace(
            plans=_longer(tables.plans, more),
            briefs=_longer(tables.briefs, more),
            views=np.concatenate((tables.views, blank(View, more))),
            seats=np.concatenate((tables.seats, blank(Seat, more))),
            wakes=blank(Alarm, number + more) if number == 0 else np.concatenate((tables.wakes, blank(Alarm, more))),
        )
    plan, curve, algorithm = parent.plan, parent.curve, parent.algorithm
    ends = _ENDS(tables.briefs[number - 1].item()) if number > 0 else (0,) * len(_COLUMNS)
    extents: dict[str, int] = {}
    for name, used, values in zip(
        _COLUMNS, ends, (curve.starts_ms, curve.targets, curve.volume, draws_of(algorithm, plan)), strict=True
    ):
        extents[f"{name}_from"], extents[f"{name}_to"] = used, used + len(values)
        if len(values) > 0:
            tables = _written_behind(tables, name, used, values)
    tables.plans[number] = _PLAN(plan)
    tables.briefs[number] = _BRIEF(
        Brief(
            rule=RULES.index(algorithm.due),
            start_ns=parent.parent.start_ns,
            now_ns=now_ns,
            seen_bar=seen_bar,
            retries=algorithm.retries,
            retry_ms=algorithm.retry_ms,
            **extents,
        )
    )
    return tables


def roomier(tables: Tables, *, double: bool = False) -> Tables:
    """The tables with logs that have room for a bar with all seats taken, or of twice the length."""
    floor = tables.floors[0]
    need = ROOM * (2 + int(floor["seated"]))
    orders, fills = tables.orders, tables.fills
    commands, filled = int(floor["commands"]), int(floor["fills"])
    if double or commands + need > len(orders) or filled + need > len(fills):
        size = len(orders) + max(len(orders), need)
        tables = tables._replace(orders=_roomy(orders, commands, size), fills=_roomy(fills, filled, size))
    return tables


def _written_behind(tables: Tables, name: str, used: int, values: Sequence[float]) -> Tables:
    column = getattr(tables, name)
    if used + len(values) > len(column):
        column = _longer(column, max(1024, used, len(values)))
        tables = tables._replace(**{name: column})
    column[used : used + len(values)] = values
    return tables


def _roomy(log: NDArray[Any], used: int, size: int) -> NDArray[Any]:
    """A log of that size with the rows used; whoever takes another fills it in."""
    longer = np.empty(size, log.dtype)
    longer[:used] = log[:used]
    return longer


def _longer(table: NDArray[Any], more: int) -> NDArray[Any]:
    return np.concatenate((table, np.zeros(more, table.dtype)))
