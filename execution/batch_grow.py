"""Tables that grow while a run goes on: a parent more, longer logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from operator import attrgetter
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
    before = tables.briefs[number - 1] if number > 0 else None
    extents: dict[str, int] = {}
    columns = {"starts": curve.starts_ms, "targets": curve.targets, "volume": curve.volume}
    for name, values in {**columns, "draws": draws_of(algorithm, plan)}.items():
        used = 0 if before is None else int(before[f"{name}_to"])
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
    if double or floor["commands"] + need > len(orders) or floor["fills"] + need > len(fills):
        size = max(len(orders), need)
        tables = tables._replace(orders=_longer(orders, size), fills=_longer(fills, size))
    return tables


def _written_behind(tables: Tables, name: str, used: int, values: Sequence[float]) -> Tables:
    column = getattr(tables, name)
    if used + len(values) > len(column):
        column = _longer(column, max(1024, used, len(values)))
        tables = tables._replace(**{name: column})
    column[used : used + len(values)] = values
    return tables


def _longer(table: NDArray[Any], more: int) -> NDArray[Any]:
    return np.concatenate((table, np.zeros(more, table.dtype)))
