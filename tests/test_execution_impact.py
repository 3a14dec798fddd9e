"""The memory of the market: the square-root law whatever the slices, its decay, and no money from round trips."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from execution.impact import REFERENCE_SIZE, ImpactMemory
from tests import golden, naive

SCALE = 0.8 * 0.02  # Y * sigma of G35
PATHS = st.lists(st.tuples(st.floats(-0.3, 0.3), st.floats(0.001, 0.5)), min_size=1, max_size=6)


def worked(path: list[naive.Stretch], memory: ImpactMemory, scale: float = SCALE) -> list[tuple[float, float]]:
    """(average charged, displacement at the end) of each stretch."""
    return [(memory.charge(rate, length, scale), memory.trade(rate, length, scale)) for rate, length in path]


@pytest.mark.parametrize("bars", [1, 10, 390])
def test_a_tenth_of_a_day_moves_the_price_by_the_square_root_law_whatever_the_bars(bars: int) -> None:
    marks = worked([(0.1, 1 / bars)] * bars, ImpactMemory(permanent_share=0))  # execution science G35
    assert 1e4 * marks[-1][1] == pytest.approx(50.596443, rel=1e-6)
    assert 1e4 * math.fsum(paid for paid, _ in marks) / bars == pytest.approx(33.730962, rel=1e-6)


def test_changing_rates_give_the_displacements_of_the_table() -> None:
    rows = golden.rows("impact_path.csv")
    path = [(float(row["rate"]), float(row["volume_days"])) for row in rows]
    marks = worked(path, ImpactMemory(permanent_share=0))
    assert [1e4 * end for _, end in marks] == pytest.approx([float(row["end_bp"]) for row in rows], rel=1e-6)
    assert [1e4 * paid for paid, _ in marks] == pytest.approx([float(row["average_bp"]) for row in rows], rel=1e-6)
    weighted = math.fsum(rate * paid for (rate, _), (paid, _) in zip(path, marks, strict=True)) / 0.4
    assert 1e4 * weighted == pytest.approx(22.997286, rel=1e-6)


@settings(max_examples=40)
@given(path=PATHS, exponent=st.sampled_from([0.5, 0.6, 1.0]), share=st.sampled_from([0.0, 1 / 3, 1.0]))
def test_charges_are_the_numerical_integral_of_the_formula(
    path: list[naive.Stretch], exponent: float, share: float
) -> None:
    memory = ImpactMemory(exponent, share)
    paid = worked(path, memory)[-1][0]
    expected = naive.average_displacement(path, SCALE, exponent, share, REFERENCE_SIZE, steps=1000)
    size = SCALE * max(abs(rate) for rate, _ in path) ** exponent * math.sqrt(sum(length for _, length in path))
    linear = SCALE * REFERENCE_SIZE ** (exponent - 1) * sum(abs(rate) * length for rate, length in path)
    assert paid == pytest.approx(expected, abs=2e-5 * (size + linear) + 1e-15)


@given(
    rate=st.floats(-0.5, 0.5),
    cuts=st.lists(st.floats(0.01, 1), min_size=1, max_size=12),
    share=st.sampled_from([0.0, 1 / 3, 1.0]),
    before=PATHS,
)
def test_refining_the_slices_changes_neither_cost_nor_displacement(
    rate: float, cuts: list[float], share: float, before: list[naive.Stretch]
) -> None:
    whole, cut = ImpactMemory(permanent_share=share), ImpactMemory(permanent_share=share)
    worked(before, whole)
    worked(before, cut)
    length = math.fsum(cuts)
    ((paid, end),) = worked([(rate, length)], whole)
    marks = worked([(rate, piece) for piece in cuts], cut)
    average = math.fsum(mark[0] * piece for mark, piece in zip(marks, cuts, strict=True)) / length
    assert average == pytest.approx(paid, rel=1e-6, abs=1e-12)
    assert marks[-1][1] == pytest.approx(end, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("length", [0.01, 0.1, 1.0])
def test_impact_decays_as_the_square_root_says(length: float) -> None:
    for factor, share in ((2, 0.41421356), (4, 0.26794919)):
        memory = ImpactMemory(permanent_share=0)
        peak = memory.trade(0.1, length, SCALE)
        memory.rest((factor - 1) * length)
        assert memory.displacement() / peak == pytest.approx(share, rel=1e-5)


def test_with_a_permanent_third_the_decay_is_inside_the_bands_of_the_literature() -> None:
    memory = ImpactMemory()  # half a day, 1 % of daily volume
    rate = 2 * REFERENCE_SIZE
    half_way = memory.trade(rate, 0.25, SCALE)
    peak = memory.trade(rate, 0.25, SCALE)
    assert half_way / peak == pytest.approx(0.638, abs=6e-4)
    memory.rest(0.5)
    assert memory.displacement() / peak == pytest.approx(0.610, abs=6e-4)
    memory.rest(1.0)
    assert memory.displacement() / peak == pytest.approx(0.512, abs=6e-4)


def test_at_the_reference_size_both_parts_together_are_the_law() -> None:
    for share in (0.0, 1 / 3, 1.0):
        peak = ImpactMemory(permanent_share=share).trade(REFERENCE_SIZE, 1.0, SCALE)
        assert peak == pytest.approx(SCALE * math.sqrt(REFERENCE_SIZE), rel=1e-6)


def test_rest_after_rest_is_one_rest_and_no_time_changes_nothing() -> None:
    one, two = ImpactMemory(), ImpactMemory()
    for memory in (one, two):
        memory.trade(0.2, 0.1, SCALE)
    after = one.displacement()
    one.rest(0)
    assert one.displacement() == after
    one.rest(0.75)
    two.rest(0.5)
    two.rest(0.25)
    assert one.displacement() == pytest.approx(two.displacement(), rel=1e-12)


@given(PATHS)
def test_selling_is_the_mirror_image_of_buying(path: list[naive.Stretch]) -> None:
    bought, sold = ImpactMemory(), ImpactMemory()
    assert worked(path, bought) == [(-paid, -end) for paid, end in worked([(-a, dt) for a, dt in path], sold)]


@given(PATHS, st.floats(-0.3, 0.3))
def test_a_question_about_a_charge_changes_nothing(path: list[naive.Stretch], rate: float) -> None:
    memory = ImpactMemory()
    worked(path, memory)
    before = memory.displacement()
    first = memory.charge(rate, 0.01, SCALE)
    assert memory.charge(rate, 0.01, SCALE) == first
    assert memory.displacement() == before


@settings(max_examples=300)
@given(
    st.lists(st.floats(-0.3, 0.3), min_size=1, max_size=11).filter(lambda rates: max(map(abs, rates)) > 1e-3),
    st.sampled_from([0.5, 1.0]),
    st.sampled_from([0.0, 1 / 3]),
)
def test_round_trips_cost_money_before_any_spread(rates: list[float], exponent: float, share: float) -> None:
    path = [(rate, 1 / 12) for rate in [*rates, -math.fsum(rates)]]
    marks = worked(path, ImpactMemory(exponent, share))
    cost = math.fsum(rate * length * paid for (rate, length), (paid, _) in zip(path, marks, strict=True))
    gross = math.fsum(abs(rate) * length for rate, length in path)
    assert cost / gross > 0


def test_a_pure_permanent_impact_gives_a_round_trip_its_money_back_exactly() -> None:
    memory = ImpactMemory(permanent_share=1)
    path = [(0.2, 0.1), (0.05, 0.4), (-0.4, 0.1)]
    marks = worked(path, memory)
    cost = math.fsum(rate * length * paid for (rate, length), (paid, _) in zip(path, marks, strict=True))
    assert cost == pytest.approx(0, abs=1e-15)
    assert memory.displacement() == pytest.approx(0, abs=1e-15)


def test_memories_do_not_share_what_they_remember() -> None:
    one, other = ImpactMemory(), ImpactMemory()  # pitfall 25
    one.trade(0.1, 0.1, SCALE)
    assert other.displacement() == 0
    assert ImpactMemory().displacement() == 0


@pytest.mark.parametrize(("exponent", "share"), [(0, 0.3), (1.1, 0.3), (0.5, -0.1), (0.5, 1.1), (0.5, math.nan)])
def test_wrong_settings_are_refused(exponent: float, share: float) -> None:
    with pytest.raises(ValueError, match=r"exponent must be|permanent_share must be"):
        ImpactMemory(exponent, share)
