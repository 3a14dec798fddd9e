"""What parents of a batch have written, whoever played them: children and fills as columns, parents in their order.

A log is cut into parts, each as the players of a few hundred parents left it, as narrow as its numbers allow. Columns
are put together, and texts made, for whoever reads them: most want a few of them, of a million parents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from execution.batch_taker_tables import Filled, Sent

Columns = Mapping[str, NDArray[Any]]
Kinds = Mapping[str, type]
# The columns, and how a part keeps them. No log of a parent, and no table of bars, has 2**31 rows.
CHILDREN: Final[Kinds] = {
    "parent": np.int32,
    "number": np.int32,
    "cancel": np.bool_,
    "ts_ns": np.int64,
    "bar": np.int32,
    "slice_idx": np.int32,
    "lots": np.int64,
    "limit_ticks": np.int64,
    "marketable": np.bool_,
}
FILLS: Final[Kinds] = {
    "parent": np.int32,
    "child": np.int32,
    "ts_ns": np.int64,
    "bar": np.int32,
    "lots": np.int64,
    "price": np.float64,
    "maker": np.bool_,
}
ACTIONS: Final = np.array(["new", "cancel"])


def of_orders(table: NDArray[np.void], parents: NDArray[np.int64]) -> Columns:
    """Rows of `execution.batch_tables.Order` as a part. parents: their numbers, by `table["parent"]`."""
    return _part(table, CHILDREN, {"bar": "seen_bar"}, parents)


def of_fills(table: NDArray[np.void], parents: NDArray[np.int64]) -> Columns:
    """Rows of `execution.batch_tables.Fill`, likewise."""
    return _part(table, FILLS, {}, parents)


def _part(table: NDArray[np.void], kinds: Kinds, fields: Mapping[str, str], parents: NDArray[np.int64]) -> Columns:
    columns: dict[str, NDArray[Any]] = {
        name: table[fields.get(name, name)].astype(kind) for name, kind in kinds.items() if name != "parent"
    }
    return {"parent": parents[table["parent"]].astype(np.int32), **columns}


def of_sent(sent: Sent, counts: NDArray[np.int64], parents: NDArray[np.int64]) -> Columns:
    """The first rows of the log of parents that only take; counts: the rows of each."""
    parent = parents.astype(np.int32).repeat(counts)
    some = len(parent)
    return {
        "parent": parent,
        "number": np.array(sent.number[:some], np.int32),
        "cancel": np.array(sent.cancel[:some], np.bool_),
        "ts_ns": np.array(sent.ts_ns[:some], np.int64),
        "bar": np.array(sent.seen_bar[:some], np.int32),
        "slice_idx": np.array(sent.slice_idx[:some], np.int32),
        "lots": np.array(sent.lots[:some], np.int64),
        "limit_ticks": np.broadcast_to(np.int64(0), some),
        "marketable": np.broadcast_to(np.True_, some),
    }


def of_filled(fills: Filled, counts: NDArray[np.int64], parents: NDArray[np.int64]) -> Columns:
    """Likewise their fills."""
    parent = parents.astype(np.int32).repeat(counts)
    some = len(parent)
    columns: dict[str, NDArray[Any]] = {
        name: np.array(getattr(fills, name)[:some], FILLS[name]) for name in Filled._fields
    }
    return {"parent": parent, **columns, "maker": np.broadcast_to(np.False_, some)}


class Made(Mapping[str, NDArray[Any]]):
    """Columns by name; a function is called when its column is first read, and what it gives is kept."""

    def __init__(self, columns: Mapping[str, NDArray[Any] | Callable[[], NDArray[Any]]]) -> None:
        self._columns = dict(columns)

    def __getitem__(self, name: str) -> NDArray[Any]:
        column = self._columns[name]
        if not isinstance(column, np.ndarray):
            column = self._columns[name] = column()
        return column

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


def end_to_end(tables: Sequence[Columns]) -> Columns:
    """The same columns, one table behind the other; at least one."""
    if len(tables) == 1:
        return tables[0]

    def column(name: str) -> Callable[[], NDArray[Any]]:
        return lambda: np.concatenate([table[name] for table in tables])

    return Made({name: column(name) for name in tables[0]})


class Rows(Mapping[str, NDArray[Any]]):
    """Children or fills: parents in their order, the rows of each as they were written.

    Whole numbers have 64 bits here, and `cancel` is `action`, a text. Of a column that has been put together the parts
    are dropped.
    """

    def __init__(self, parts: Sequence[Columns], kinds: Kinds) -> None:
        some = [part for part in parts if len(part["parent"]) > 0]
        self._kinds = {"action" if name == "cancel" else name: kind for name, kind in kinds.items()}
        self._parts = {name: [part[name] for part in some] for name in kinds}
        self._columns: dict[str, NDArray[Any]] = {}
        self._order: NDArray[np.int64] | None = None
        if any(one["parent"][-1] > other["parent"][0] for one, other in pairwise(some)):
            self._order = np.argsort(np.concatenate(self._parts["parent"]), kind="stable")

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._kinds:
            raise KeyError(name)
        if name not in self._columns:
            self._columns[name] = ACTIONS.take(self._joined("cancel")) if name == "action" else self._joined(name)
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    def _joined(self, name: str) -> NDArray[Any]:
        kind = self._kinds.get(name, np.bool_)
        wide = np.int64 if kind is np.int32 else kind
        column: NDArray[Any] = np.concatenate([np.zeros(0, kind), *self._parts.pop(name)], dtype=wide)
        return column if self._order is None else column[self._order]
