"""Prices as integers: the first price has 30 bits, and numpy and Python agree on every unit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.price_units import units, units_per_price

prices = st.floats(1e-9, 1e9)


@given(prices)
def test_the_first_price_has_thirty_bits(price: float) -> None:
    scale = units_per_price(price)
    assert math.frexp(scale)[0] == 0.5, "a power of two: scaling itself never rounds"
    assert 2**29 <= price * scale < 2**30


@given(prices, prices)
def test_numpy_and_python_round_alike(first: float, price: float) -> None:
    scale = units_per_price(first)
    assert units(price, scale) == int(np.rint(np.array([price]) * scale)[0])


def test_a_tie_goes_to_the_even_unit() -> None:
    assert [units(price, 1.0) for price in (0.5, 1.5, 2.5)] == [0, 2, 2]


@pytest.mark.parametrize("price", [0.0, -1.0, math.nan, math.inf])
def test_a_first_price_that_is_none_is_refused(price: float) -> None:
    with pytest.raises(ValueError, match="first price must be a finite number above 0"):
        units_per_price(price)
