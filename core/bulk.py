"""Many frozen contracts at once, from columns whose values have been checked as columns; made when they are read."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import cache
from itertools import repeat
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


@contextmanager
def no_collection() -> Iterator[None]:
    """While very many objects are made that all stay, searching them for garbage takes longer than making them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def made(kind: type[T], count: int, **columns: Iterable[Any]) -> list[T]:
    """`count` instances of a frozen dataclass with slots: one column for each of its fields, a value for each instance.

    Their own checks do not run, and nothing is converted: whoever calls this has checked the columns, and a `meta` must
    be a `FrozenDict`. A field at a time it takes a tenth of what the constructor does.

    Raises ValueError where a field has no column, or a column no field.
    """
    setters = _setters(kind)  # type: ignore[arg-type]  # a class is hashable
    if setters.keys() != columns.keys():
        raise ValueError(f"{kind.__name__} is made from the columns {', '.join(setters)}, was {', '.join(columns)}")
    rows = list(map(kind.__new__, repeat(kind, count)))
    for name, put in setters.items():
        deque(map(put, rows, columns[name]), maxlen=0)
    return rows


@cache
def _setters(kind: type[Any]) -> dict[str, Callable[[Any, Any], None]]:
    """What puts a value in the slot of each field."""
    return {field.name: getattr(kind, field.name).__set__ for field in fields(kind)}


class Deferred(Sequence[T], Generic[T]):
    """A list that is made when somebody first reads it, and kept; how long it is is known before.

    It compares, copies and pickles as the list that it stands for. `make` is called once, and must give back a list of
    `count` things whenever that is: it reads nothing that changes.
    """

    __slots__ = ("_count", "_make", "_rows")

    def __init__(self, count: int, make: Callable[[], list[T]]) -> None:
        self._count = count
        self._make: Callable[[], list[T]] | None = make
        self._rows: list[T] = []

    def _all(self) -> list[T]:
        make = self._make
        if make is not None:
            self._rows = make()
            self._make = None  # and what it holds
        return self._rows

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> T: ...

    @overload
    def __getitem__(self, at: slice) -> list[T]: ...

    def __getitem__(self, at: int | slice) -> T | list[T]:
        return self._all()[at]

    def __iter__(self) -> Iterator[T]:
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Deferred | list):
            return NotImplemented
        return self._all() == (other._all() if isinstance(other, Deferred) else other)

    __hash__ = None  # type: ignore[assignment]  # as a list's

    def __repr__(self) -> str:
        return repr(self._all())

    def __reduce__(self) -> tuple[type[list[T]], tuple[list[T]]]:
        return list, (self._all(),)
