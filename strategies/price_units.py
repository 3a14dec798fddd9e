"""Prices as integers, so that running sums neither drift nor depend on how they were added up.

A rolling sum of floats differs in its last bits between one bar at a time and whole columns, and a threshold turns
that difference into another trade. Sums of integers are the same in every order.

The unit is a power of two chosen from the first price alone (the only one that every prefix of the bars knows):
the first price is 2**29 to 2**30 units, a relative grain below 2e-9, far finer than any tick.
"""

from __future__ import annotations

import math

FIRST_PRICE_BITS = 30


def units_per_price(first_price: float) -> float:
    """The power of two that brings a positive finite price to [2**29, 2**30) units.

    Raises: ValueError if the price is not finite and positive.
    """
    if not (math.isfinite(first_price) and first_price > 0):
        raise ValueError(f"first price must be a finite number above 0, was {first_price}")
    return math.ldexp(1.0, FIRST_PRICE_BITS - math.frexp(first_price)[1])


def units(price: float, scale: float) -> int:
    """The price in units, ties to even; `numpy.rint(prices * scale)` gives the same numbers.

    Raises: ValueError or OverflowError if the price is not finite.
    """
    return round(price * scale)
