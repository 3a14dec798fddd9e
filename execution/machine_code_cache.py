"""Compiled code on disk is a help and no must: files that are damaged or cannot be written cost time, and nothing else.

numba keeps it beside the source, else in the user's cache, or where NUMBA_CACHE_DIR says; it finds by itself that none
of these can be written. It does not expect a file that was cut off, or a disk that is full: the first call would fail.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, TypeVar

F = TypeVar("F")


def forgiving(function: F) -> F:
    """A function of `numba.njit(cache=True)`, compiled anew where its files do not serve. Changed in place."""
    compiled: Any = function
    compiled._cache = _Forgiving(compiled._cache)
    return function


class _Forgiving:
    """What a dispatcher asks of its cache."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def load_overload(self, signature: Any, target: Any) -> Any:
        """The code, or None where there is none that can be read; what is damaged is taken away."""
        try:
            return self._cache.load_overload(signature, target)
        except Exception:  # noqa: BLE001 - pickle fails in every way on bytes that are not what they should be
            with suppress(OSError):
                self._cache.flush()
            return None

    def save_overload(self, signature: Any, code: Any) -> None:
        with suppress(OSError):
            self._cache.save_overload(signature, code)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)
