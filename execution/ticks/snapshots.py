"""Snapshots of an order book as the changes that they tell.

A snapshot repeats what is known already and leaves out what is gone. Played as changes, it neither refreshes what we
have taken from the book nor moves our orders in their queues, unless something did change.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from execution.ticks.rows import Rows


def as_changes(rows: Rows, is_snapshot: NDArray[np.bool_]) -> Rows:
    """Rows of price levels with a row of quantity 0 behind each snapshot for every level that it does not repeat.

    A snapshot is a run of rows marked so, of one time. The rows must be in order of time.
    """
    if not is_snapshot.any():
        return rows
    before = np.concatenate(([False], is_snapshot[:-1]))
    later = np.concatenate(([True], rows.ts_ns[1:] != rows.ts_ns[:-1]))
    firsts = np.flatnonzero(is_snapshot & (~before | later))
    after = np.concatenate((is_snapshot[1:] & ~later[1:], [False]))
    ends = np.flatnonzero(is_snapshot & ~after) + 1
    known: NDArray[np.int64] = np.zeros((0, 2), np.int64)  # kind and price of every level that displays something
    played = 0
    kept: list[Rows] = []
    for first, end in zip(firsts.tolist(), ends.tolist(), strict=True):
        known = _displayed(rows, played, first, known)
        repeated = _displayed(rows, first, end, np.zeros((0, 2), np.int64))
        gone = _without(known, repeated)
        kept.append(Rows._make(column[played:end] for column in rows))
        kept.append(_emptied(gone, rows.ts_ns[first]))
        known, played = repeated, end
    kept.append(Rows._make(column[played:] for column in rows))
    return Rows._make(np.concatenate(columns) for columns in zip(*kept, strict=True))


def _displayed(rows: Rows, first: int, end: int, known: NDArray[np.int64]) -> NDArray[np.int64]:
    """The levels that display something after these rows, given those before."""
    changed = np.column_stack((rows.kind[first:end].astype(np.int64), rows.price_ticks[first:end]))
    if not len(changed):
        return known
    levels, last = np.unique(changed[::-1], axis=0, return_index=True)
    shown = rows.quantity[first:end][::-1][last] > 0
    return np.concatenate((_without(known, levels), levels[shown]))


def _without(levels: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
    if not len(levels) or not len(others):
        return levels
    keys, other_keys = (pair[:, 0] * (1 << 50) + pair[:, 1] for pair in (levels, others))
    return levels[~np.isin(keys, other_keys)]


def _emptied(levels: NDArray[np.int64], ts_ns: int) -> Rows:
    n = len(levels)
    return Rows(
        levels[:, 0].astype(np.int8),
        np.full(n, ts_ns, np.int64),
        np.ascontiguousarray(levels[:, 1]),
        np.zeros(n),
        np.zeros(n, np.int8),
    )
