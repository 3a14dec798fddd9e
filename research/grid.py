"""The steps of prices and quantities, read off bars whose venue's rules nobody has told."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from core.bars import Bars

FIRST_BARS = 10_000  # a week of minutes: more bars later on do not change the answer
_MOST_DECIMALS = 8  # what crypto venues go down to
_FALLBACK = 4  # numbers that are no decimals at all (computed, or of single precision)


def grid_of(bars: Bars) -> dict[str, str]:
    """`tick` and `lot` as decimal text: the finest decimal place that prices and volumes of the first bars use.

    A venue's own step can be coarser than that (0.5 reads as 0.1), never finer. Only the first 10,000 bars are looked
    at, so that bars which come later change nothing. No bars: 1.
    """
    first = bars[:FIRST_BARS]
    prices = np.concatenate((first.open, first.high, first.low, first.close))
    return {"tick": step_of(prices), "lot": step_of(first.volume)}


def step_of(values: NDArray[np.float64]) -> str:
    """The power of ten that all values are multiples of, up to their last digits: "0.01" for 1.25 and 3.5.

    "0.0001" where eight decimals do not do. Values must be finite.
    """
    tolerance = 1e-12 * np.abs(values)
    for decimals in range(_MOST_DECIMALS + 1):
        if (np.abs(np.round(values, decimals) - values) <= tolerance).all():
            return _text(decimals)
    return _text(_FALLBACK)


def _text(decimals: int) -> str:
    return format(Decimal(1).scaleb(-decimals), "f")
