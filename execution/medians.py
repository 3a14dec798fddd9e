"""Medians of a few rows at many places: whole rows are compared, at a fraction of the price of sorting each place."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MOST_ROWS: Final = 12  # with more, or at fewer places, sorting is as quick
FEWEST_PLACES: Final = 512


def medians(rows: Floats) -> Floats:
    """`np.median(rows, axis=0)` of rows without NaN, shape (k, ...) with k at least 1."""
    count, half = len(rows), len(rows) // 2
    found: Any = _compared(rows) if count <= MOST_ROWS and rows[0].size >= FEWEST_PLACES else np.sort(rows, axis=0)
    middle: Floats = found[half] if count % 2 else (found[half - 1] + found[half]) / 2
    return middle


def _compared(rows: Floats) -> list[Floats]:
    """The rows with the middle ones in place, as sorting would put them."""
    found = list(rows)
    for low, high, keep_low, keep_high in _comparisons(len(rows)):
        one, other = found[low], found[high]
        if keep_low:
            found[low] = np.minimum(one, other)
        if keep_high:
            found[high] = np.maximum(one, other)
    return found


@cache
def _comparisons(count: int) -> tuple[tuple[int, int, bool, bool], ...]:
    """The comparisons of Batcher's merge exchange that the middle of so many values depends on, and what to keep of
    each. Source: Knuth, The Art of Computer Programming 3, 5.2.2, algorithm M."""
    wanted = {count // 2} if count % 2 else {count // 2 - 1, count // 2}
    needed = []
    for low, high in reversed(_exchanges(count)):
        if low in wanted or high in wanted:
            needed.append((low, high, low in wanted, high in wanted))
            wanted |= {low, high}
    return tuple(reversed(needed))


def _exchanges(count: int) -> list[tuple[int, int]]:
    found = []
    top = 1 << max(0, (count - 1).bit_length() - 1)
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while d > 0:
            found += [(i, i + d) for i in range(count - d) if i & p == r]
            d, q, r = q - p, q // 2, p
        p //= 2
    return found
