"""Marks the small pure functions that all three drivers share.

Called from Python they are plain Python. `execution.machine_code` compiles the very same functions, so there is nothing
to keep in step by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
KERNELS: list[Callable[..., Any]] = []
SUMMING: list[Callable[..., Any]] = []


def kernel(function: F) -> F:
    """Registers a function over scalars for compilation and gives it back unchanged."""
    KERNELS.append(function)
    return function


def summing(function: F) -> F:
    """A kernel whose sums may be taken in any order, so that the compiler can take several terms at once.

    For what is compared to 1e-9 and not to the last bit.
    """
    SUMMING.append(function)
    return kernel(function)
