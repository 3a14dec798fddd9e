"""Parts as whole lots that add up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from execution.whole_lots import cumulative_floor, cumulative_lots, cumulative_rows
from tests import golden

Volumes = NDArray[np.float64]

WEIGHTS = st.lists(st.floats(0, 1e6), min_size=1, max_size=60).filter(lambda weights: sum(weights) > 1e-6).map(np.array)


@given(WEIGHTS, st.integers(1, 10**11))
def test_the_largest_remainder_is_exact_and_no_bin_is_off_by_a_lot(weights: Volumes, quantity: int) -> None:
    totals = cumulative_lots(weights, quantity)
    sizes = np.diff([0, *totals])
    assert totals[-1] == quantity
    assert (sizes >= 0).all()
    exact = weights / weights.sum() * quantity
    assert (np.abs(sizes - exact) < 1 + quantity * 1e-14).all()


@given(WEIGHTS, st.integers(1, 10**6))
def test_the_largest_remainders_get_the_lots_that_are_left(weights: Volumes, quantity: int) -> None:
    sizes = np.diff([0, *cumulative_lots(weights, quantity)])
    exact = weights / weights.sum() * quantity
    rests = exact - np.floor(exact)
    up = sizes > np.floor(exact)
    if up.any() and not up.all():
        assert rests[up].min() >= rests[~up].max()


@given(WEIGHTS, st.integers(1, 10**11))
def test_the_running_sum_is_never_off_by_a_lot(weights: Volumes, quantity: int) -> None:
    totals = np.array(cumulative_floor(weights, quantity))
    assert totals[-1] == quantity
    assert (np.diff([0, *totals]) >= 0).all()
    exact = np.cumsum(weights) / weights.sum() * quantity
    assert (exact - totals < 1 + quantity * 1e-14).all()
    assert (totals - exact < 1e-6 + quantity * 1e-14).all()


@pytest.mark.parametrize("row", golden.rows("rounded_slices.csv"), ids=lambda row: f"{row['rule']} {row['quantity']}")
def test_rounded_slices_are_those_of_the_table(row: dict[str, str]) -> None:
    weights = np.array([float(weight) for weight in row["weights"].split()])
    rule = {"running": cumulative_floor, "largest": cumulative_lots}[row["rule"]]
    lot = int(row["lot"])
    totals = [total // lot * lot for total in rule(weights, int(row["quantity"]))]
    assert np.diff([0, *totals]).tolist() == [int(size) for size in row["sizes"].split()]


def test_equal_remainders_go_to_the_earlier_bins() -> None:
    assert cumulative_lots(np.ones(4), 6) == (2, 4, 5, 6)


def by_sorting(weights: Volumes, quantity: int) -> list[int]:
    """A lot more for the largest remainders, the earlier of equal ones first."""
    exact = weights / weights.sum() * quantity
    lots = np.floor(exact).astype(np.int64)
    first = sorted(range(len(weights)), key=lambda at: lots[at] - exact[at])
    lots[first[: max(0, quantity - int(lots.sum()))]] += 1
    return np.cumsum(lots).tolist()  # type: ignore[no-any-return]


@given(
    st.integers(1, 40).flatmap(
        lambda bins: st.lists(
            st.lists(st.integers(0, 3) | st.floats(0, 5), min_size=bins, max_size=bins).filter(
                lambda row: sum(row) > 0.01
            ),
            min_size=1,
            max_size=12,
        )
    ),
    st.data(),
)
def test_many_rows_are_those_of_each(rows: list[list[float]], data: st.DataObject) -> None:
    weights = np.array(rows, np.float64)
    quantities = np.array([data.draw(st.integers(0, 50) | st.integers(1, 10**11)) for _ in rows])
    found = cumulative_rows(weights / weights.sum(axis=1, keepdims=True), quantities)
    for row, weight, quantity in zip(found.tolist(), weights, quantities.tolist(), strict=True):
        assert row == by_sorting(weight, quantity)
        assert tuple(row) == cumulative_lots(weight, quantity)


def test_no_quantity_is_no_lot_anywhere() -> None:
    assert cumulative_lots(np.array([1.0, 2.0]), 0) == (0, 0)
    assert cumulative_rows(np.zeros((0, 3)), np.zeros(0, np.int64)).shape == (0, 3)
