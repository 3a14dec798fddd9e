"""Which kernels a function calls, which of them stay functions of their own, and a digest of all that goes in."""

from __future__ import annotations

import dis
import hashlib
import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final

import numpy as np

from execution.kernel import KERNELS

MOST_COPIED: Final = 8000  # bytes of Python code, in all copies of a kernel but one


def called_by(function: Callable[..., Any]) -> set[Callable[..., Any]]:
    """The kernels that a function calls, and that those call."""
    known = set(KERNELS)
    found: set[Callable[..., Any]] = set()
    waiting = [function]
    while waiting:
        new = {one for one in _functions(_named(waiting.pop())) if one in known} - found
        found |= new
        waiting += new
    return found


def kept_apart(function: Callable[..., Any]) -> set[Callable[..., Any]]:
    """The kernels that stay functions of their own: copies of them wherever they are called would make too much code.

    A call hands over a game of a hundred words and costs more than most kernels do; copies of them all would make 35
    times the code.
    """
    calls = {one: tuple(_calls(one)) for one in (function, *called_by(function))}
    sites = Counter(called for named in calls.values() for called in named)
    sizes: dict[Callable[..., Any], int] = {}
    apart: set[Callable[..., Any]] = set()

    def measure(one: Any) -> int:
        """Size with all that goes into it; 0 for what stays apart."""
        if one not in sizes:
            sizes[one] = len(one.__code__.co_code) + sum(measure(called) for called in calls[one])
            if (sites[one] - 1) * sizes[one] > MOST_COPIED:
                apart.add(one)
        return 0 if one in apart else sizes[one]

    measure(function)
    return apart


def digest(function: Callable[..., Any], *others: Any) -> str:
    """Of the files of a function, of its kernels and of `others`, and of the numbers that they take from elsewhere.

    Raises OSError where one of the files is not there.
    """
    functions = sorted({function, *called_by(function)}, key=lambda one: (one.__module__, one.__qualname__))
    files = {inspect.getfile(one) for one in (*functions, *others)}
    content = hashlib.blake2b(digest_size=8)
    for name in sorted(files):
        content.update(Path(name).read_bytes())
    for one in functions:
        for value in _named(one):
            if isinstance(value, (int, float, str)):
                content.update(repr(value).encode())
            elif isinstance(value, tuple):
                content.update(repr([getattr(one, "__qualname__", one) for one in value]).encode())
            elif isinstance(value, np.ndarray):
                content.update(value.tobytes())
    return content.hexdigest()


def _named(function: Any) -> Iterator[Any]:
    """The values behind the names that a function takes from around it, its module, and modules that it names."""
    yield from (cell.cell_contents for cell in function.__closure__ or ())
    names = function.__code__.co_names
    for name in names:
        value = function.__globals__.get(name)
        if isinstance(value, ModuleType):
            yield from (getattr(value, inner) for inner in names if hasattr(value, inner))
        elif value is not None:
            yield value


def _functions(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        found = value if isinstance(value, tuple) else (value,)
        yield from (one for one in found if isinstance(one, FunctionType))


def _calls(function: Any) -> Iterator[Callable[..., Any]]:
    """The kernels that a function names, each as often as it names it."""
    known = set(KERNELS)
    module: Any = None
    for step in dis.get_instructions(function):
        value: Any = None
        if step.opname == "LOAD_GLOBAL":
            value = function.__globals__.get(step.argval)
        elif module is not None:
            value = getattr(module, str(step.argval), None)
        module = value if isinstance(value, ModuleType) else None
        yield from (one for one in _functions((value,)) if one in known)
