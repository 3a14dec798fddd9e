"""Usual volume from each of many moments on, read once for all parents that begin then, in whatever block they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.instrument import Instrument
from execution.profile import Profiles, expected_lots

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Key = tuple[int, int, int]  # setting, horizon and slices
MOST_CELLS: Final = 3_000_000  # kept: moments times slices


class Known(NamedTuple):
    """What usually trades from each moment on: rows of `lots` (cumulative; see `expected_lots`) and of `weights`.

    Rows stay as they are, and where there are more of them they lie in a new table; so whoever has one may go on with
    it.
    """

    starts_ns: Ints
    lots: Ints
    is_known: NDArray[np.bool_]
    weights: Floats  # without columns where nobody wants them

    def rows(self, starts_ns: Ints) -> Ints:
        """Where these moments stand, all of them known."""
        order = np.argsort(self.starts_ns, kind="stable")
        return order[np.searchsorted(self.starts_ns, starts_ns, sorter=order)]


@dataclass(slots=True)
class UsualVolume:
    """Of one setting, horizon and number of slices. `read`: the profiles from some moments, of so many slices.

    Several threads may ask at a time: one reads, the others wait for it.
    """

    read: Callable[[Ints], Iterable[Profiles]]
    slices: int
    instrument: Instrument
    weighted: bool  # whether weights are wanted
    _known: Known | None = None
    _lock: Lock = field(default_factory=Lock)

    def at(self, starts_ns: Ints) -> Known:
        """A table that has these moments, each once and in order, among others."""
        with self._lock:
            known = self._known
            missing = starts_ns if known is None else np.setdiff1d(starts_ns, known.starts_ns, assume_unique=True)
            if known is None or known.lots.size + len(missing) * self.slices > MOST_CELLS:
                known = self._read(starts_ns)
            elif len(missing):
                known = Known(*(np.concatenate(pair) for pair in zip(known, self._read(missing), strict=True)))
            self._known = known
            return known

    def _read(self, starts_ns: Ints) -> Known:
        count = len(starts_ns)
        lots, is_known = np.empty((count, self.slices), np.int64), np.empty(count, np.bool_)
        weights = np.empty((count, self.slices if self.weighted else 0))
        for rows, some, volume in self.read(starts_ns):
            lots[rows], is_known[rows] = expected_lots(some, volume, self.instrument)
            if self.weighted:
                weights[rows] = some
        return Known(starts_ns, lots, is_known, weights)
