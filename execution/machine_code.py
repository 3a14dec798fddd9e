"""Kernels as machine code, compiled by numba: the only file that knows it, and only once something is compiled."""

from __future__ import annotations

import dis
import hashlib
import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final, TypeVar

from execution.kernel import KERNELS, SUMMING
from execution.machine_code_cache import forgiving

F = TypeVar("F", bound=Callable[..., Any])
MOST_COPIED: Final = 8000  # bytes of Python code, in all copies of a kernel but one
ANY_ORDER: Final = {"reassoc", "contract", "nsz"}  # not a number stays what it is
_REGISTERED: Final[set[Callable[..., Any]]] = set()


@cache
def compiled_function(function: F) -> F | None:
    """A kernel as machine code; None where there is no numba."""
    return machine_code(function)


def machine_code(function: F, *types: type) -> F | None:
    """A function over scalars and columns as machine code, with the kernels that it calls; None without numba.

    Kept on disk where numba finds a folder that it may write to. numba looks at the file of the outermost function
    only, so a digest of the files of all its kernels is in its name, and of `types`, whose fields they read: an edited
    rule is compiled anew. The functions make no arrays, they only write into the caller's; so they do without counting
    references, which took most of the time. A kernel that did make one would not compile.
    """
    try:
        import numba
        from numba.extending import register_jitable
    except ImportError:
        return None
    njit: Any = numba.njit  # its own types do not know all of its options
    kernels = _called_by(function)
    apart = _apart(function)
    for kernel in kernels - _REGISTERED:
        order = ANY_ORDER if kernel in SUMMING else False
        register_jitable(_nrt=False, forceinline=kernel not in apart, fastmath=order)(kernel)
    _REGISTERED.update(kernels)
    code: Any = function
    named = FunctionType(code.__code__, code.__globals__, code.__name__, code.__defaults__)
    named.__qualname__ = f"{code.__name__}_{_digest({function, *kernels, *types, machine_code})}"
    try:
        fast: F = forgiving(njit(cache=True, nogil=True, _nrt=False)(named))
    except RuntimeError:  # no such folder
        fast = njit(nogil=True, _nrt=False)(named)
    return fast


def _apart(function: Callable[..., Any]) -> set[Callable[..., Any]]:
    """The kernels that stay functions of their own: copies of them wherever they are called would make too much code.

    A call hands over a game of a hundred words and costs more than most kernels do; copies of them all would make 35
    times the code.
    """
    calls = {one: tuple(_calls(one)) for one in (function, *_called_by(function))}
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


def _called_by(function: Callable[..., Any]) -> set[Callable[..., Any]]:
    """The kernels that a function calls, and that those call."""
    found: set[Callable[..., Any]] = set()
    waiting = [function]
    while waiting:
        new = set(_calls(waiting.pop())) - found
        found |= new
        waiting += new
    return found


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
        found = value if isinstance(value, tuple) else (value,)
        yield from (one for one in found if isinstance(one, FunctionType) and one in known)


def _digest(sources: set[Any]) -> str:
    files = {inspect.getfile(one) for one in sources}
    content = b"".join(Path(name).read_bytes() for name in sorted(files))
    return hashlib.blake2b(content, digest_size=8).hexdigest()
