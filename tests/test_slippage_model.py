"""What an order costs against a volume: the published numbers, and what must hold for any."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution.config import SlippageConfig
from execution.slippage import (
    AlmgrenSlippageModel,
    FixedBpsSlippageModel,
    ImpactEstimate,
    ImpactModel,
    ImpactRequest,
    LinearSlippageModel,
    MarketContext,
    PowerLawSlippageModel,
    SlippageModel,
    SquareRootSlippageModel,
    slippage_model,
)
from execution.venue import impact_statement
from tests import golden

MODELS: list[SlippageModel] = [
    LinearSlippageModel(),
    SquareRootSlippageModel(),
    PowerLawSlippageModel(0.3, 0.6),
    SquareRootSlippageModel(0.8, volatility=0.02),
]
ALL_MODELS: list[ImpactModel] = [
    LinearSlippageModel(),
    SquareRootSlippageModel(0.8, volatility=0.02),
    PowerLawSlippageModel(0.3, 0.6, permanent_share=0.5),
    AlmgrenSlippageModel(),
    FixedBpsSlippageModel(7),
]
SIZES = st.floats(1e-6, 1e9)
DAY = MarketContext(volatility=0.02, daily_volume=1e6, duration_days=0.5)


def request(
    size: float, volume: float = 1e6, spread: float = 0.1, price: float = 50.0, *, crosses: bool = True,
    context: MarketContext = DAY,
) -> ImpactRequest:  # fmt: skip
    return ImpactRequest(
        order_size=size,
        market_volume=volume,
        bid_ask_spread=spread,
        reference_price=price,
        crosses_spread=crosses,
        context=context,
    )


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


@pytest.mark.parametrize("row", golden.rows("science_slices.csv"), ids=lambda row: row["slices"])
def test_slices_against_the_daily_volume_would_look_cheaper_and_against_their_own_volume_do_not(
    row: dict[str, str],
) -> None:
    model, n = SquareRootSlippageModel(0.8, volatility=0.02), int(row["slices"])
    against_day = 1e4 * model.calculate_slippage(1e4 / n, 1e6, 0, 1)
    against_own = 1e4 * model.calculate_slippage(1e4 / n, 1e6 / n, 0, 1)
    assert against_day == pytest.approx(float(row["against_day_bp"]), rel=1e-12)
    assert against_own == pytest.approx(float(row["against_own_bp"]), rel=1e-12)


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


# ---------------------------------------------------------------- the parts of an estimate


@pytest.mark.parametrize("model", ALL_MODELS, ids=lambda model: type(model).__name__)
@given(size=st.floats(0, 1e9), volume=SIZES, spread=st.floats(0, 1), price=st.floats(1e-6, 1e6))
def test_slippage_is_the_total_of_the_estimate_and_the_estimate_the_sum_of_its_parts(
    model: ImpactModel, size: float, volume: float, spread: float, price: float
) -> None:
    estimate = model.estimate(request(size, volume, spread, price))
    assert model.calculate_slippage(size, volume, spread, price, context=DAY) == estimate.total
    assert math.fsum((estimate.spread, estimate.temporary, estimate.permanent)) == pytest.approx(estimate.total)
    assert min(estimate.spread, estimate.temporary, estimate.permanent) >= 0


@pytest.mark.parametrize("model", ALL_MODELS, ids=lambda model: type(model).__name__)
def test_a_maker_does_not_pay_the_spread_and_pays_the_rest(model: ImpactModel) -> None:
    taker, maker = model.estimate(request(1e4)), model.estimate(request(1e4, crosses=False))
    assert (taker.spread, maker.spread) == (0.05, 0.0)
    assert (maker.temporary, maker.permanent) == (taker.temporary, taker.permanent)
    assert maker.total == pytest.approx(taker.total - 0.05, rel=1e-12)


@pytest.mark.parametrize("model", ALL_MODELS, ids=lambda model: type(model).__name__)
def test_nothing_ordered_costs_nothing_even_without_volume(model: ImpactModel) -> None:
    assert model.estimate(request(0, 0)) == ImpactEstimate(0, 0, 0, 0, 0)


@pytest.mark.parametrize("model", ALL_MODELS, ids=lambda model: type(model).__name__)
def test_every_model_refuses_an_order_against_no_volume(model: ImpactModel) -> None:
    with pytest.raises(ValueError, match=r"market_volume must be above 0 for an order of 5, was 0"):
        model.calculate_slippage(5, 0, 0.01, 100, context=DAY)


@pytest.mark.parametrize("model", ALL_MODELS, ids=lambda model: type(model).__name__)
def test_beyond_the_volume_the_formula_goes_on(model: ImpactModel) -> None:
    within, beyond = (model.estimate(request(size, 1000)).total for size in (999, 1e5))
    assert math.isfinite(beyond)
    assert beyond > within or isinstance(model, FixedBpsSlippageModel)


def test_the_sd_is_that_of_a_steady_order_in_a_random_walk() -> None:
    estimate = SquareRootSlippageModel().estimate(request(1e4))
    assert estimate.sd == pytest.approx(0.02 * math.sqrt(0.5 / 3) * 50, rel=1e-12)
    without = MarketContext(volatility=0.02, daily_volume=1e6)  # the volume it trades in tells how long: half a day
    assert SquareRootSlippageModel().estimate(request(1e4, 5e5, context=without)).sd == pytest.approx(estimate.sd)


@pytest.mark.parametrize("context", [MarketContext(), MarketContext(volatility=0.02), MarketContext(duration_days=1)])
def test_the_sd_is_unknown_where_volatility_or_duration_is(context: MarketContext) -> None:
    assert math.isnan(SquareRootSlippageModel().estimate(request(1e4, context=context)).sd)


def test_a_context_with_a_volatility_makes_the_coefficient_the_y_of_the_literature() -> None:
    alone, told = SquareRootSlippageModel(0.8), SquareRootSlippageModel(0.8, volatility=0.02)
    assert alone.estimate(request(1e4)).total == told.calculate_slippage(1e4, 1e6, 0.1, 50)
    other = MarketContext(volatility=0.5)
    assert told.estimate(request(1e4, context=other)).total == told.calculate_slippage(1e4, 1e6, 0.1, 50)


def test_a_model_of_ones_own_needs_the_one_method_of_the_specification() -> None:
    class Flat(SlippageModel):
        def calculate_slippage(
            self, order_size: float, market_volume: float, bid_ask_spread: float, reference_price: float
        ) -> float:
            return 0.25 + bid_ask_spread / 2

    estimate = Flat().estimate(request(10))
    assert (estimate.spread, estimate.temporary, estimate.permanent, estimate.total) == (0.05, 0.25, 0.0, 0.3)
    assert Flat().estimate(request(10, crosses=False)).total == pytest.approx(0.25)
    below = Flat().estimate(request(10, spread=0.0))
    assert below.total == Flat().calculate_slippage(10, 1e6, 0.0, 50)


def test_a_model_that_forgets_the_spread_is_taken_at_its_word() -> None:
    class Thrifty(SlippageModel):
        def calculate_slippage(
            self, order_size: float, market_volume: float, bid_ask_spread: float, reference_price: float
        ) -> float:
            return 0.01

    estimate = Thrifty().estimate(request(10, spread=0.1))
    assert (estimate.spread, estimate.temporary, estimate.total) == (0.01, 0.0, 0.01)


@pytest.mark.parametrize(
    ("name", "bad"), [("volatility", -0.1), ("daily_volume", 0), ("duration_days", 0), ("outstanding", math.nan)]
)
def test_a_context_is_checked_where_it_is_made(name: str, bad: float) -> None:
    with pytest.raises(ValueError, match=name):
        MarketContext(**{name: bad})


# ---------------------------------------------------------------- Almgren et al. (2005)


@pytest.mark.parametrize(
    "row", golden.rows("science_almgren_2005.csv"), ids=lambda row: f"{row['stock']} {row['duration_days']}"
)
def test_the_almgren_model_reproduces_the_table_of_its_paper(row: dict[str, str]) -> None:
    volatility, volume = float(row["volatility"]), float(row["daily_volume"])
    context = MarketContext(
        volatility=volatility,
        daily_volume=volume,
        duration_days=float(row["duration_days"]),
        outstanding=float(row["outstanding"]),
    )
    estimate = AlmgrenSlippageModel().estimate(request(0.1 * volume, volume, 0, 1, context=context))
    move = 2 * estimate.permanent  # the order pays half of it
    for name, value in (("permanent", move), ("temporary", estimate.temporary), ("cost", estimate.total)):
        assert 1e4 * value == pytest.approx(float(row[f"{name}_bp"]), abs=1e-3)
        assert round(1e4 * value) == int(row[f"printed_{name}_bp"])
    assert move / volatility == pytest.approx(float(row["permanent_ratio"]), abs=5e-4)
    assert estimate.temporary / volatility == pytest.approx(float(row["temporary_ratio"]), abs=5e-4)


def test_the_almgren_model_takes_the_duration_from_the_volume_where_nobody_tells_it() -> None:
    said = MarketContext(volatility=0.02, daily_volume=1e6, duration_days=0.25)
    unsaid = MarketContext(volatility=0.02, daily_volume=1e6)
    model = AlmgrenSlippageModel()
    assert model.estimate(request(1e4, 2.5e5, context=unsaid)) == model.estimate(request(1e4, 2.5e5, context=said))


def test_the_almgren_models_permanent_part_is_linear_and_its_temporary_part_a_power() -> None:
    model = AlmgrenSlippageModel()
    one, eight = model.estimate(request(1e3)), model.estimate(request(8e3))
    assert eight.permanent == pytest.approx(8 * one.permanent, rel=1e-12)
    assert eight.temporary == pytest.approx(8**0.6 * one.temporary, rel=1e-12)


@pytest.mark.parametrize(
    ("context", "name"),
    [(MarketContext(), "volatility"), (MarketContext(volatility=0.02), "daily_volume")],
)
def test_the_almgren_model_says_what_it_lacks(context: MarketContext, name: str) -> None:
    with pytest.raises(ValueError, match=f"context.{name} must be known for the Almgren model"):
        AlmgrenSlippageModel().estimate(request(10, context=context))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [({"eta": -1}, "eta"), ({"gamma": math.nan}, "gamma"), ({"beta": 0}, "beta"), ({"delta": 2}, "delta"),
     ({"turnover_days": 0}, "turnover_days")],
)  # fmt: skip
def test_wrong_parameters_of_the_almgren_model_are_refused(arguments: dict[str, float], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        AlmgrenSlippageModel(**arguments)


# ---------------------------------------------------------------- others


def test_fixed_basis_points_ask_neither_size_nor_volume() -> None:
    model = FixedBpsSlippageModel(20)
    for size in (1, 1e3, 1e6):
        assert model.calculate_slippage(size, 1e3, 0.02, 100) == pytest.approx(0.21, rel=1e-12)


@pytest.mark.parametrize(("name", "bad"), [("bps", -1.0), ("bps", math.nan)])
def test_wrong_fixed_basis_points_are_refused(name: str, bad: float) -> None:
    with pytest.raises(ValueError, match=name):
        FixedBpsSlippageModel(bad)


@pytest.mark.parametrize(
    "rows", [golden.rows("science_invariance.csv")], ids=["Kyle and Obizhaeva"]
)  # execution science G20
def test_the_square_root_law_with_y_1_is_market_microstructure_invariance(rows: list[dict[str, str]]) -> None:
    model = SquareRootSlippageModel(1.0)
    for row in rows:
        context = MarketContext(volatility=float(row["volatility"]))
        share, cost = float(row["share_of_volume"]), float(row["cost_bp"])
        got = 1e4 * model.calculate_slippage(share, 1.0, 0, 1, context=context)
        assert got == pytest.approx(cost, rel=1e-9)
        activity = float(row["trading_activity"])
        assert share / float(rows[0]["share_of_volume"]) == pytest.approx(activity ** (-2 / 3), rel=1e-12)
        assert cost / float(rows[0]["cost_bp"]) == pytest.approx(activity ** (-1 / 3), rel=1e-12)


def test_settings_make_the_model_that_they_name() -> None:
    linear = slippage_model(SlippageConfig(model="linear", impact_coefficient=0.2, permanent_share=0.1))
    assert isinstance(linear, LinearSlippageModel)
    assert (linear.impact_coefficient, linear.permanent_share) == (0.2, 0.1)
    root = slippage_model(SlippageConfig())
    assert isinstance(root, SquareRootSlippageModel)
    assert root.impact_coefficient == 0.5
    power = slippage_model(SlippageConfig(model="power", exponent=0.7))
    assert type(power) is PowerLawSlippageModel
    assert power.exponent == 0.7
    almgren = slippage_model(SlippageConfig(model="almgren", eta=0.1, gamma=0.2, beta=0.5, turnover_days=16))
    assert isinstance(almgren, AlmgrenSlippageModel)
    assert (almgren.eta, almgren.beta) == (0.1, 0.5)
    assert almgren.standing() == pytest.approx(0.2 * 16**0.25)
    fixed = slippage_model(SlippageConfig(model="fixed_bps", fixed_bps=3))
    assert isinstance(fixed, FixedBpsSlippageModel)
    assert fixed.bps == 3
    assert slippage_model(SlippageConfig(model="none")) is None


@pytest.mark.parametrize(
    ("field", "value"), [("exponent", 0.0), ("beta", 1.5), ("eta", -1.0), ("fixed_bps", math.nan), ("turnover_days", 0)]
)
def test_settings_out_of_range_name_their_field(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        SlippageConfig(**{field: value})  # type: ignore[arg-type]


def test_a_report_says_which_model_it_was() -> None:
    assert "eta 0.142, gamma 0.314, beta 0.6" in impact_statement(AlmgrenSlippageModel(), 0.3)
    assert impact_statement(FixedBpsSlippageModel(3), 0.3) == "3 bps of each fill that takes, whatever its size"
    assert "power 0.5 of participation, coefficient 0.7" in impact_statement(SquareRootSlippageModel(0.7), 0.3)
    assert impact_statement(None, 0.3) == "none: the spread alone"
