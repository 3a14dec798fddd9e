"""Student's t against scipy's."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import special  # type: ignore[import-untyped]

from execution.pretrade import student


@given(degrees=st.integers(1, 60), value=st.floats(-1e6, 1e6))
@example(degrees=1, value=0.0)
@example(degrees=2, value=-3.0)
def test_the_chance_is_scipys(degrees: int, value: float) -> None:
    assert student.chance_below(degrees, value) == pytest.approx(float(special.stdtr(degrees, value)), abs=1e-13)


@given(degrees=st.integers(3, 60), level=st.floats(1e-6, 1 - 1e-6))
@example(degrees=5, level=0.5)
@example(degrees=3, level=1e-6)
def test_the_quantile_is_scipys(degrees: int, level: float) -> None:
    found = student.quantile(degrees, level)
    assert found == pytest.approx(float(special.stdtrit(degrees, level)), rel=1e-8, abs=1e-12)
    assert student.chance_below(degrees, found) == pytest.approx(level, abs=1e-14)


def test_infinite_values_are_certain() -> None:
    assert student.chance_below(5, math.inf) == pytest.approx(1.0, abs=1e-15)
    assert student.chance_below(4, -math.inf) == pytest.approx(0.0, abs=1e-15)
