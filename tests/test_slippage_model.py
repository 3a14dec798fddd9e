"""What an order costs against a volume: the published numbers, and what must hold for any."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution.slippage import LinearSlippageModel, PowerLawSlippageModel, SlippageModel, SquareRootSlippageModel
from tests import golden

MODELS: list[PowerLawSlippageModel] = [
    LinearSlippageModel(),
    SquareRootSlippageModel(),
    PowerLawSlippageModel(0.3, 0.6),
    SquareRootSlippageModel(0.8, volatility=0.02),
]
SIZES = st.floats(1e-6, 1e9)


@pytest.mark.parametrize("row", golden.rows("slippage.csv"), ids=lambda row: row["source"])
def test_slippage_is_that_of_the_table(row: dict[str, str]) -> None:
    kind = {"linear": LinearSlippageModel, "sqrt": SquareRootSlippageModel}[row["model"]]
    volatility = float(row["volatility"]) if row["volatility"] else None
    model: SlippageModel = kind(float(row["coefficient"]), volatility=volatility)
    got = model.calculate_slippage(*(float(row[name]) for name in ("order_size", "market_volume", "spread", "price")))
    assert got == pytest.approx(float(row["slippage"]), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("model", MODELS)
@given(size=SIZES, volume=SIZES, price=st.floats(1e-6, 1e6), factor=st.floats(0.01, 100))
def test_slippage_scales_with_the_reference_price(
    model: SlippageModel, size: float, volume: float, price: float, factor: float
) -> None:
    one = model.calculate_slippage(size, volume, 0, price)
    assert model.calculate_slippage(size, volume, 0, price * factor) == pytest.approx(one * factor, rel=1e-9)


@pytest.mark.parametrize("model", MODELS)
@given(size=SIZES, volume=SIZES, factor=st.floats(0.01, 100))
def test_only_the_ratio_of_size_and_volume_matters(
    model: SlippageModel, size: float, volume: float, factor: float
) -> None:
    one = model.calculate_slippage(size, volume, 0.1, 10)
    assert model.calculate_slippage(size * factor, volume * factor, 0.1, 10) == pytest.approx(one, rel=1e-9)


@pytest.mark.parametrize("model", MODELS)
@given(size=SIZES, more=st.floats(1, 10), volume=SIZES, spread=st.floats(0, 1), wider=st.floats(0, 1))
def test_a_larger_order_a_wider_spread_and_a_thinner_market_never_cost_less(
    model: SlippageModel, size: float, more: float, volume: float, spread: float, wider: float
) -> None:
    one = model.calculate_slippage(size, volume, spread, 10)
    assert one >= spread / 2
    assert model.calculate_slippage(size * more, volume, spread, 10) >= one
    assert model.calculate_slippage(size, volume, spread + wider, 10) >= one
    assert model.calculate_slippage(size, volume / more, spread, 10) >= one


@pytest.mark.parametrize("model", MODELS)
def test_half_the_spread_is_added_and_nothing_else_of_it(model: SlippageModel) -> None:
    without = model.calculate_slippage(10, 1000, 0, 50)
    assert model.calculate_slippage(10, 1000, 0.2, 50) == pytest.approx(without + 0.1, rel=1e-12)


def test_four_times_the_size_moves_the_square_root_twice_and_the_line_four_times() -> None:
    for model, factor in ((SquareRootSlippageModel(), 2), (LinearSlippageModel(), 4)):
        one = model.calculate_slippage(25, 1000, 0, 10)
        assert model.calculate_slippage(100, 1000, 0, 10) == pytest.approx(factor * one, rel=1e-12)


def test_slices_against_the_daily_volume_would_look_cheaper_and_against_their_own_volume_do_not() -> None:
    model = SquareRootSlippageModel(0.8, volatility=0.02)  # execution science G1
    against_day = [1e4 * model.calculate_slippage(1e4 / n, 1e6, 0, 1) for n in (1, 10, 100)]
    against_own = [1e4 * model.calculate_slippage(1e4 / n, 1e6 / n, 0, 1) for n in (1, 10, 100)]
    assert against_day == pytest.approx([16.0, 5.05964426, 1.6], rel=1e-8)
    assert against_own == pytest.approx([16.0, 16.0, 16.0], rel=1e-12)


def test_the_linear_model_depends_on_the_window_where_the_square_root_does_not() -> None:
    def cost(kind: type[LinearSlippageModel] | type[SquareRootSlippageModel], sigma: float, volume: float) -> float:
        return kind(0.8, volatility=sigma).calculate_slippage(1e4, volume, 0, 1)

    assert cost(SquareRootSlippageModel, 0.02, 1e6) == pytest.approx(cost(SquareRootSlippageModel, 0.01, 2.5e5))  # G2
    assert cost(LinearSlippageModel, 0.02, 1e6) == pytest.approx(cost(LinearSlippageModel, 0.01, 2.5e5) / 2)


@pytest.mark.parametrize("model", MODELS)
def test_huge_orders_cost_a_finite_amount(model: SlippageModel) -> None:
    assert math.isfinite(model.calculate_slippage(1e12, 1e-6, 0.01, 100))


@pytest.mark.parametrize("model", MODELS)
def test_no_volume_is_an_unknown_cost_and_not_a_free_trade(model: SlippageModel) -> None:
    with pytest.raises(ValueError, match=r"market_volume must be above 0 for an order of 5.0, was 0"):
        model.calculate_slippage(5.0, 0, 0.01, 100)


@pytest.mark.parametrize("position", range(4))
@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
def test_wrong_arguments_are_refused_by_name(position: int, bad: float) -> None:
    arguments = [10.0, 1000.0, 0.01, 100.0]
    arguments[position] = bad
    name = ("order_size", "market_volume", "bid_ask_spread", "reference_price")[position]
    with pytest.raises(ValueError, match=name):
        LinearSlippageModel().calculate_slippage(*arguments)


@pytest.mark.parametrize("exponent", [0, -0.5, 1.01, math.nan])
def test_an_exponent_outside_0_to_1_is_refused(exponent: float) -> None:
    with pytest.raises(ValueError, match="exponent must be above 0 and at most 1"):
        PowerLawSlippageModel(0.1, exponent)


@pytest.mark.parametrize("bad", [-0.1, math.nan, math.inf])
def test_wrong_coefficients_and_volatilities_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="impact_coefficient"):
        LinearSlippageModel(bad)
    with pytest.raises(ValueError, match="volatility"):
        SquareRootSlippageModel(volatility=bad)


def test_the_defaults_are_those_of_the_specification() -> None:
    assert (LinearSlippageModel().impact_coefficient, LinearSlippageModel().exponent) == (0.001, 1.0)
    assert (SquareRootSlippageModel().impact_coefficient, SquareRootSlippageModel().exponent) == (0.5, 0.5)


def test_the_base_class_cannot_be_made() -> None:
    with pytest.raises(TypeError):
        SlippageModel()  # type: ignore[abstract]


def test_two_models_of_one_class_keep_their_own_settings() -> None:
    cheap, dear = LinearSlippageModel(0.001), LinearSlippageModel(0.1)  # pitfall 25, pitfall 34
    assert dear.calculate_slippage(10, 100, 0, 10) == pytest.approx(100 * cheap.calculate_slippage(10, 100, 0, 10))
