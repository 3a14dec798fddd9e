"""Parts of a quantity as whole lots that add up: by the largest remainder, or on the running sum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def cumulative_lots(weights: Floats, quantity: int) -> tuple[int, ...]:
    """Lots due by the end of each bin: weights made integers by the largest remainder; the last is the quantity."""
    row: list[int] = cumulative_rows((weights / weights.sum())[np.newaxis], np.array([quantity]))[0].tolist()
    return tuple(row)


def cumulative_rows(shares: Floats, quantities: Ints) -> Ints:
    """`cumulative_lots` of each quantity, shape (n, bins). shares: of each bin, summing to 1 in each row."""
    exact = shares * quantities[:, np.newaxis]
    whole = np.floor(exact)
    rests = np.subtract(exact, whole, out=exact)
    lots = whole.astype(np.int64)
    lots += _largest(rests, quantities - lots.sum(axis=1))
    rows: Ints = np.cumsum(lots, axis=1, out=lots)
    return rows


def _largest(values: Floats, counts: Ints) -> NDArray[np.bool_]:
    """So many of the largest of each row, the earlier of equal ones first; none for a count below 1."""
    last = values.shape[1] - 1
    places = np.maximum(np.minimum(last + 1 - counts, last), 0)
    bound = np.sort(values, axis=1)[np.arange(len(values)), places]
    bound[counts < 1] = np.inf
    chosen: NDArray[np.bool_] = values >= bound[:, np.newaxis]
    (tied,) = (chosen.sum(axis=1) > np.maximum(counts, 0)).nonzero()
    if len(tied):
        some, least = values[tied], bound[tied, np.newaxis]
        above, equal = some > least, some == least
        room = counts[tied] - above.sum(axis=1)
        chosen[tied] = above | (equal & (np.cumsum(equal, axis=1) <= room[:, np.newaxis]))
    return chosen


def cumulative_floor(weights: Floats, quantity: int) -> tuple[int, ...]:
    """Lots due by the end of each slice: floor(Q * W_k), W_k the running share of the weights; the last is Q."""
    shares = np.cumsum(weights)
    lots = np.floor(shares / shares[-1] * quantity + 1e-9).astype(np.int64)
    lots[-1] = quantity
    return tuple(lots.tolist())
