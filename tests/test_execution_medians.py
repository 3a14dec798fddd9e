"""Medians by comparing rows are those of sorting."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from core.chance import generator
from execution.medians import FEWEST_PLACES, MOST_ROWS, medians


@pytest.mark.parametrize("count", range(1, MOST_ROWS + 1))
def test_every_order_of_zeros_and_ones_has_its_median(count: int) -> None:
    # what puts all of these in their places puts any numbers there: Knuth 5.3.4, theorem Z
    rows = np.array(list(product((0.0, 1.0), repeat=count))).T
    wide = np.tile(rows, (1, 1 + FEWEST_PLACES // rows.shape[1]))
    assert wide.shape[1] >= FEWEST_PLACES
    assert (medians(wide) == np.median(wide, axis=0)).all()


@pytest.mark.parametrize("count", [1, 2, 3, 8, 9, 13, 40])
@pytest.mark.parametrize("shape", [(1,), (3, 5), (40, 24)])
def test_medians_are_those_of_numpy(count: int, shape: tuple[int, ...]) -> None:
    draws = generator(count, "medians")
    rows = np.round(draws.lognormal(0, 2, (count, *shape)), 1)
    before = rows.copy()
    assert medians(rows).tobytes() == np.median(rows, axis=0).tobytes()
    assert (rows == before).all()
