"""Quantities of many parents in whole lots, and the venue's minimum for each of them."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.instrument import MAX_LOTS, Instrument
from execution.venue import Venue

Ints = NDArray[np.int64]
EXACT: Final = 2**53  # below it a float holds every integer


def lots_of(instrument: Instrument, quantity: NDArray[np.float64]) -> Ints:
    """`Instrument.lots` of each quantity; 0 for what is no quantity or more than MAX_LOTS.

    A quotient that is further from an integer than its rounding errors is rounded down as it stands; what lies closer
    is asked one by one, unless it is the integer's own quantity.
    """
    lot = Fraction(instrument.lot)
    found = np.zeros(len(quantity), np.int64)
    with np.errstate(over="ignore", invalid="ignore"):
        steps = quantity * lot.denominator / lot.numerator
    sane = (quantity > 0) & (steps < MAX_LOTS)
    nearest = np.rint(np.where(sane, steps, 0.0))
    exact = max(lot.numerator, lot.denominator) < EXACT
    on_grid = sane & exact & (nearest * lot.numerator < EXACT) & (nearest * lot.numerator / lot.denominator == quantity)
    clear = sane & exact & ~on_grid & (np.abs(steps - nearest) > 1e-9 * (1 + nearest))
    found[on_grid] = nearest[on_grid]
    found[clear] = np.floor(steps[clear])
    for number in np.flatnonzero((sane & ~on_grid & ~clear) | (steps == MAX_LOTS)).tolist():
        found[number] = instrument.lots(float(quantity[number]))
    return found


def least_lots(venue: Venue, seen: Ints) -> Ints:
    """The venue's minimum as known after the last bar that each parent has seen."""
    instrument, bars = venue.instrument, venue.bars
    if instrument.min_notional == 0 and Fraction(instrument.min_qty) == 0:
        return np.ones(len(seen), np.int64)
    known, which = np.unique(seen, return_inverse=True)
    prices = [float(bars.close[k] if k >= 0 else bars.open[0]) for k in known.tolist()]
    return np.array([instrument.min_lots(price) for price in prices], np.int64)[which]
