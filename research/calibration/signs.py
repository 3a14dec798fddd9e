"""Who started a trade: the venue's word where it has one, else the quotes (Lee and Ready, 1991)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from research.calibration.orders import Floats, Ints

Signs = NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class Trades:
    """Columns of shape (n,), in order of time. sign: +1 the buyer started it, -1 the seller, 0 unknown."""

    ts_ns: Ints
    price: Floats
    qty: Floats
    sign: Signs

    def __len__(self) -> int:
        return len(self.ts_ns)


@dataclass(frozen=True, slots=True, eq=False)
class Mids:
    """Where the middle of the market was: a step function, shape (n,), in order of time."""

    ts_ns: Ints
    mid: Floats

    def before(self, ts_ns: Ints) -> Floats:
        """The mid as it stood just before each time; NaN before the first."""
        at = np.searchsorted(self.ts_ns, ts_ns, side="left") - 1
        return np.where(at >= 0, self.mid[np.maximum(at, 0)], np.nan)

    def age_ns(self, ts_ns: Ints) -> Ints:
        """How long before each time the last change was; the largest integer before the first."""
        at = np.searchsorted(self.ts_ns, ts_ns, side="left") - 1
        return np.where(at >= 0, ts_ns - self.ts_ns[np.maximum(at, 0)], np.iinfo(np.int64).max)


def lee_ready(price: Floats, mid: Floats) -> Signs:
    """+1 above the mid, -1 below; at the mid, or where it is NaN, the sign of the last change of price (0: none yet).

    price, mid: shape (n,), in order of time; mid as it stood just before the trade.
    """
    side = np.sign(price - np.where(np.isnan(mid), price, mid)).astype(np.int8)
    return np.where(side != 0, side, _last_move(price))


def _last_move(price: Floats) -> Signs:
    """The sign of the last change up to and including each row."""
    move = np.sign(np.diff(price, prepend=price[:1])).astype(np.int8)
    rows = np.where(move != 0, np.arange(len(move)), 0)
    latest: Signs = move[np.maximum.accumulate(rows)]
    return latest
