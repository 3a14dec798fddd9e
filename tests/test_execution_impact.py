"""The memory of the market: the square-root law whatever the slices, its decay, and no money from round trips."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize  # type: ignore[import-untyped]

from core.chance import generator
from execution.conditions import Conditions, running
from execution.impact import REFERENCE_SIZE, ImpactMemory, StandingImpact
from execution.pressure import Pressure, memory_of
from execution.slippage import (
    AlmgrenSlippageModel,
    FixedBpsSlippageModel,
    ImpactRequest,
    MarketContext,
    PowerLawSlippageModel,
    SquareRootSlippageModel,
)
from tests import golden, naive

SCALE = 0.8 * 0.02  # Y * sigma of G35
PATHS = st.lists(st.tuples(st.floats(-0.3, 0.3), st.floats(0.001, 0.5)), min_size=1, max_size=6)


def worked(path: list[naive.Stretch], memory: ImpactMemory, scale: float = SCALE) -> list[tuple[float, float]]:
    """(average charged, displacement at the end) of each stretch."""
    return [(memory.charge(rate, length, scale), memory.trade(rate, length, scale)) for rate, length in path]


@pytest.mark.parametrize("row", golden.rows("science_refinement.csv"), ids=lambda row: row["bars"])
def test_a_tenth_of_a_day_moves_the_price_by_the_square_root_law_whatever_the_bars(row: dict[str, str]) -> None:
    bars = int(row["bars"])
    marks = worked([(0.1, 1 / bars)] * bars, ImpactMemory(permanent_share=0))  # execution science G35
    assert 1e4 * marks[-1][1] == pytest.approx(float(row["peak_bp"]), rel=1e-6)
    assert 1e4 * math.fsum(paid for paid, _ in marks) / bars == pytest.approx(float(row["average_bp"]), rel=1e-6)


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


@given(PATHS, st.lists(st.tuples(st.floats(-0.3, 0.3), st.sampled_from((0.001, 0.02))), max_size=5))
def test_what_is_kept_of_a_stretch_is_what_it_would_be_anew(
    path: list[naive.Stretch], asked: list[tuple[float, float]]
) -> None:
    """One memory is asked between its trades, about one stretch and others; one that has come so far, once."""
    memory = ImpactMemory()
    for done in range(len(path) + 1):
        for rate, length in (*asked, *asked):
            fresh = ImpactMemory()
            worked(path[:done], fresh)
            assert memory.charge(rate, length, SCALE) == fresh.charge(rate, length, SCALE)
        worked(path[done : done + 1], memory)


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


# ---------------------------------------------------------------- a search for money in round trips

ROUND = 12  # stretches of a round trip


def cheapest_round_trip(exponent: float, share: float, starts: int) -> float:
    """The least cost per unit traded, in basis points, that Nelder-Mead finds over 12 stretches that sum to nothing.

    Rates are scaled to at most 0.3, or the cost of nothing at all would win. The transient cost is a bilinear form in
    the rates' forces; its matrix is asked from the memory once, so that a trial costs a product.
    """
    length = 1 / ROUND
    response = np.zeros((ROUND, ROUND))
    for k in range(ROUND):
        memory = ImpactMemory(exponent, 0.0)
        for m in range(k, ROUND):
            response[m, k] = memory.charge(1.0 if m == k else 0.0, length, SCALE)
            memory.trade(1.0 if m == k else 0.0, length, SCALE)
    draw = generator(7, "round trips", exponent, share)

    def path(free: NDArray[np.float64]) -> NDArray[np.float64]:
        rates = np.append(free, -free.sum())
        scaled: NDArray[np.float64] = rates * (0.3 / max(float(np.abs(rates).max()), 1e-12))
        return scaled

    def cost(free: NDArray[np.float64]) -> float:
        rates = path(free)
        forces = (1 - share) * np.sign(rates) * np.abs(rates) ** exponent
        return 1e4 * float(rates @ response @ forces) / float(np.abs(rates).sum())  # a linear permanent part cancels

    best, where = math.inf, np.zeros(ROUND - 1)
    for _ in range(starts):
        found = optimize.minimize(cost, draw.uniform(-1, 1, ROUND - 1), method="Nelder-Mead", options={"maxfev": 3000})
        if found.fun < best:
            best, where = float(found.fun), found.x
    rates = path(where)
    marks = worked([(rate, length) for rate in rates.tolist()], ImpactMemory(exponent, share))
    asked = 1e4 * math.fsum(r * paid for r, (paid, _) in zip(rates.tolist(), marks, strict=True)) / np.abs(rates).sum()
    assert asked == pytest.approx(best, rel=1e-6)  # the memory itself says the same of the best path
    return best


@pytest.mark.parametrize(("exponent", "share"), [(0.5, 0.0), (0.5, 1 / 3), (1.0, 0.0)])
def test_a_short_search_finds_no_round_trip_that_earns_before_the_spread(exponent: float, share: float) -> None:
    assert cheapest_round_trip(exponent, share, starts=4) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("exponent", [0.5, 0.6, 1.0])
@pytest.mark.parametrize("share", [0.0, 1 / 3])
def test_a_long_search_finds_no_round_trip_that_earns_before_the_spread(exponent: float, share: float) -> None:
    assert cheapest_round_trip(exponent, share, starts=60) > 0.1


# ---------------------------------------------------------------- bands of the literature, execution science 7.4


def day_of_trading(size: float, hours: int, seed: int) -> dict[str, float]:
    """A steady share of volume from the first of 24 hours on, in volume that chance gives; in units of volatility."""
    draw = generator(seed, "bands")
    volumes = draw.lognormal(0, 0.5, 48)
    volumes /= volumes[:24].sum()
    memory = ImpactMemory()
    rate = size / float(volumes[:hours].sum())
    marks = worked([(rate, length) for length in volumes[:hours].tolist()], memory, scale=0.5)
    half = int(np.searchsorted(np.cumsum(volumes[:hours]), float(volumes[:hours].sum()) / 2))
    peak = marks[-1][1]
    paid = math.fsum(mark[0] * length for mark, length in zip(marks, volumes.tolist(), strict=False)) * rate / size
    memory.rest(float(volumes[hours:24].sum()))
    close = memory.displacement()
    memory.rest(float(volumes[24:].sum()))
    return {
        "peak": peak,
        "half-way": marks[half][1] / peak,
        "close": close / peak,
        "next close": memory.displacement() / peak,
        "paid": paid,
    }


def medians(size: float, hours: int) -> dict[str, float]:
    days = [day_of_trading(size, hours, seed) for seed in range(60)]
    return {name: float(np.median([day[name] for day in days])) for name in days[0]}


@pytest.mark.slow
def test_what_emerges_over_days_lies_in_the_bands_of_the_literature() -> None:
    """With our defaults, Y = 0.5 and a permanent third. Two bands are not ours: see the next test."""
    sizes = (0.001, 0.003, 0.01, 0.03, 0.1)
    peaks = [medians(size, 12)["peak"] for size in sizes]
    slope = float(np.polyfit(np.log(sizes), np.log(peaks), 1)[0])
    assert 0.4 < slope < 0.7
    assert 0.3 < medians(0.1, 24)["peak"] / math.sqrt(0.1) < 1.0
    half_day = medians(0.01, 12)
    assert 0.62 < half_day["half-way"] < 0.82
    assert 0.55 < half_day["close"] < 0.80
    assert 0.40 < half_day["next close"] < 0.70
    assert 0.10 < medians(0.1, 24)["paid"] < 0.21


@pytest.mark.slow
def test_an_hour_costs_what_a_day_costs_because_the_law_is_in_volume_and_not_in_time() -> None:
    """The bands want 0.5 to 0.9 of it for the slower: they come from models whose impact falls with the duration.

    The square-root law Y * sigma * sqrt(Q / V) does not, so our ratio is 1; what keeps an order from being fast here
    is the share of the volume that it may trade.
    """
    assert medians(0.1, 24)["paid"] / medians(0.1, 1)["paid"] == pytest.approx(1.0, abs=1e-6)
    model = AlmgrenSlippageModel()  # whose impact does fall
    day, hour = (
        model.estimate(
            ImpactRequest(
                order_size=0.1,
                market_volume=days,
                bid_ask_spread=0,
                reference_price=1,
                context=MarketContext(volatility=1.0, daily_volume=1.0),
            )
        ).total
        for days in (1.0, 1 / 6.5)
    )
    assert 0.5 < day / hour < 0.9


# ---------------------------------------------------------------- Almgren's memory, and which model has which


@given(
    rates=st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=8),
    cuts=st.integers(1, 5),
)
def test_slices_of_an_almgren_order_pay_as_the_whole(rates: list[float], cuts: int) -> None:
    whole, cut = StandingImpact(0.142, 0.6, 1.1), StandingImpact(0.142, 0.6, 1.1)
    for rate in rates:
        paid = whole.charge(rate, 0.1, 0.02)
        whole.trade(rate, 0.1, 0.02)
        pieces = []
        for _ in range(cuts):
            pieces.append(cut.charge(rate, 0.1 / cuts, 0.02))
            cut.trade(rate, 0.1 / cuts, 0.02)
        assert math.fsum(pieces) / cuts == pytest.approx(paid, rel=1e-9, abs=1e-15)
        cut.rest(3.0)
    assert cut.displacement(5.0) == pytest.approx(whole.displacement(), rel=1e-9, abs=1e-15)


@given(st.lists(st.floats(-0.3, 0.3), min_size=1, max_size=8))
def test_almgren_round_trips_cost_exactly_their_temporary_part(rates: list[float]) -> None:
    path, memory = [*rates, -math.fsum(rates)], StandingImpact(0.142, 0.6, 1.1)
    cost = 0.0
    for rate in path:
        cost += rate * memory.charge(rate, 0.1, 0.02)
        memory.trade(rate, 0.1, 0.02)
    temporary = math.fsum(0.02 * 0.142 * abs(rate) ** 1.6 for rate in path)
    assert cost == pytest.approx(temporary, rel=1e-9, abs=1e-15)
    assert memory.displacement() == pytest.approx(0, abs=1e-15)


def test_the_almgren_memory_and_the_almgren_model_charge_the_same() -> None:
    model = AlmgrenSlippageModel()
    memory, coefficient = memory_of(model, 0.0)
    assert memory is not None
    context = MarketContext(volatility=0.03, daily_volume=1e6)
    request = ImpactRequest(order_size=2e4, market_volume=2.5e5, bid_ask_spread=0, reference_price=1, context=context)
    assert memory.charge(2e4 / 2.5e5, 0.25, coefficient * 0.03) == pytest.approx(model.estimate(request).total)


def test_power_laws_and_almgren_have_a_memory_and_others_have_none() -> None:
    root, coefficient = memory_of(PowerLawSlippageModel(0.7, 0.6), 0.2)
    assert isinstance(root, ImpactMemory)
    assert (root.exponent, root.permanent_share, coefficient) == (0.6, 0.2, 0.7)
    assert isinstance(memory_of(AlmgrenSlippageModel(), 0.2)[0], StandingImpact)
    assert memory_of(FixedBpsSlippageModel(), 0.2) == (None, 0.0)
    assert memory_of(None, 0.2) == (None, 0.0)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (SquareRootSlippageModel(0.5), 0.5 * math.sqrt(0.1)),
        (AlmgrenSlippageModel(), 0.142 * 0.1**0.6 + AlmgrenSlippageModel().standing() * 0.1 / 2),
        (FixedBpsSlippageModel(4), 4e-4),
    ],
    ids=lambda value: type(value).__name__,
)
def test_where_nothing_is_known_yet_the_bare_formula_charges_dearly_and_never_nothing(
    model: PowerLawSlippageModel | AlmgrenSlippageModel | FixedBpsSlippageModel, expected: float
) -> None:
    bars = naive.bars_of([10.0] * 4)
    unknown = np.full(4, math.nan)
    pressure = Pressure(bars, model, 1 / 3, Conditions(unknown, unknown, running(np.zeros(4))))
    assert pressure.charge(1, 100.0) == pytest.approx(expected)
    assert pressure.charge(1, -100.0) == pytest.approx(-expected)
