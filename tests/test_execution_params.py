"""What may be written into `ExecutionAlgorithm.params`: every name, every bound, one clear line for what is wrong."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

import pytest

from core.instrument import Instrument
from execution.base import ratio_ppm
from execution.contracts import AlgoType, ExecutionAlgorithm
from execution.executors import executor
from execution.params import Common, IcebergParams, IsParams, PovParams, Sliced, TwapParams, VwapParams, read
from execution.plan import Completion, Plan, Policy, Style
from execution.vwap import VWAPExecutor
from tests.naive import START_NS
from tests.parents import SYMBOL, parent_of

KINDS: dict[AlgoType, type[Any]] = {
    "TWAP": TwapParams,
    "VWAP": VwapParams,
    "POV": PovParams,
    "Iceberg": IcebergParams,
    "IS": IsParams,
}


def params(algo_type: AlgoType, **given: Any) -> Any:
    return read(KINDS[algo_type], algo_type, {}, given)


def plan(algo_type: AlgoType, quantity: float = 100, seconds: int = 100, **given: Any) -> Plan:
    return parent_of(algo_type, quantity, seconds, **given).plan


# ---------------------------------------------------------------- names


@pytest.mark.parametrize("algo_type", KINDS)
def test_an_unknown_parameter_is_refused_with_the_nearest_name(algo_type: AlgoType) -> None:
    with pytest.raises(ValueError, match=rf"^{algo_type} has no parameter 'limit_prise': did you mean 'limit_price'"):
        params(algo_type, limit_prise=1.0)


@pytest.mark.parametrize("algo_type", KINDS)
def test_unknown_parameters_are_refused_before_anything_is_sent(algo_type: AlgoType) -> None:
    made = executor(algo_type, "tester", instrument=Instrument(SYMBOL))
    algo = ExecutionAlgorithm(algo_type, SYMBOL, "buy", 1.0, 60, {"speed": 11})
    with pytest.raises(ValueError, match=f"{algo_type} has no parameter 'speed'"):
        made.start(algo, start_ns=START_NS, price=10.0)


@pytest.mark.parametrize("kind", [Policy, Common, Sliced, *KINDS.values()], ids=lambda kind: kind.__name__)
def test_every_parameter_has_its_line_of_documentation(kind: type[Any]) -> None:
    """The docstrings are the tables of the guide: a name at the beginning of a line."""
    documented: set[str] = set()
    for one in kind.__mro__:
        documented |= set(re.findall(r"^(?: {4})?([a-z_]+) ", one.__doc__ or "", re.MULTILINE))
    assert {field.name for field in fields(kind)} <= documented


@pytest.mark.parametrize("algo_type", KINDS)
def test_defaults_stand_where_nothing_is_given(algo_type: AlgoType) -> None:
    assert params(algo_type) == KINDS[algo_type]()


def test_the_parent_overrides_the_executor() -> None:
    found = read(TwapParams, "TWAP", {"slice_count": 5, "catch_up": 2}, {"slice_count": 7})
    assert (found.slice_count, found.catch_up) == (7, 2)


# ---------------------------------------------------------------- bounds

REFUSED: list[tuple[AlgoType, dict[str, Any], str]] = [
    ("TWAP", {"limit_price": 0}, "limit_price must be"),
    ("TWAP", {"limit_price": float("nan")}, "limit_price must be"),
    ("TWAP", {"limit_price": "ten"}, "limit_price"),
    ("TWAP", {"start_ts_ns": -1}, "start_ts_ns must be"),
    ("TWAP", {"max_participation": 0}, "max_participation must be above 0 and at most 0.99, was 0"),
    ("TWAP", {"max_participation": 0.991}, "max_participation must be above 0 and at most 0.99, was 0.991"),
    ("TWAP", {"quantity_currency": "usd"}, "quantity_currency"),
    ("TWAP", {"slice_count": 0}, "slice_count must be"),
    ("TWAP", {"slice_count": 100_001}, "slice_count must be"),
    ("TWAP", {"slice_count": 2.5}, "slice_count"),
    ("TWAP", {"slice_count": True}, "slice_count"),
    ("TWAP", {"interval_seconds": 0}, "interval_seconds must be"),
    ("TWAP", {"order_type": "stop"}, "order_type"),
    ("TWAP", {"urgency": "now"}, "urgency"),
    ("TWAP", {"rest_share": 1.1}, "rest_share must be"),
    ("TWAP", {"rest_share": -0.1}, "rest_share must be"),
    ("TWAP", {"repeg_ticks": 0}, "repeg_ticks must be"),
    ("TWAP", {"cross_spreads": -1}, "cross_spreads must be"),
    ("TWAP", {"cross_spreads": 1001}, "cross_spreads must be"),
    ("TWAP", {"randomize_time": 0.51}, "randomize_time must be"),
    ("TWAP", {"randomize_time": -0.1}, "randomize_time must be"),
    ("TWAP", {"randomize_size": 1.0}, "randomize_size must be"),
    ("VWAP", {"lookback_days": 0}, "lookback_days must be"),
    ("VWAP", {"lookback_days": 367}, "lookback_days must be"),
    ("VWAP", {"max_stray": 1.01}, "max_stray must be"),
    ("VWAP", {"settle_at": -0.1}, "settle_at must be"),
    ("VWAP", {"reweight": "yes"}, "reweight"),
    ("POV", {"target_pov": 0}, "target_pov must be above 0 and at most 0.99, was 0"),
    ("POV", {"target_pov": 1}, "target_pov must be above 0 and at most 0.99, was 1"),
    ("POV", {"participation_rate": -0.2}, "participation_rate must be above 0"),
    (
        "POV",
        {"target_pov": 0.3, "max_participation": 0.2},
        "max_participation must be at least the target 0.3, was 0.2",
    ),
    ("POV", {"min_volume_threshold": -1}, "min_volume_threshold must be"),
    ("POV", {"lookback_days": 0}, "lookback_days must be"),
    ("POV", {"spike": -1}, "spike must be"),
    ("POV", {"spike": 1001}, "spike must be"),
    ("POV", {"spike_slices": 0}, "spike_slices must be"),
    ("IS", {"half_life_seconds": 0}, "half_life_seconds must be between 0.001 and"),
    ("IS", {"risk_aversion": -1e-6}, "risk_aversion must be between 0 and"),
    ("IS", {"half_life_seconds": 60, "risk_aversion": 1e-6}, "the same thing: give one of them, was 60.0 and 1e-06"),
    ("IS", {"impact_coefficient": 0}, "impact_coefficient must be"),
    ("IS", {"lookback_days": 367}, "lookback_days must be"),
    ("IS", {"urgency": "very"}, "urgency"),
    ("POV", {"pov_completion": "hope"}, "pov_completion"),
    ("Iceberg", {"visible_ratio": 0}, "visible_ratio must be above 0 and at most 1, was 0"),
    ("Iceberg", {"visible_ratio": 1.1}, "visible_ratio must be above 0 and at most 1, was 1.1"),
    ("Iceberg", {"replenish_threshold": 0}, "replenish_threshold must be above 0 and at most 1, was 0"),
    ("Iceberg", {"display_quantity": 0}, "display_quantity must be"),
    ("Iceberg", {"clip_jitter": 0.91}, "clip_jitter must be"),
    ("Iceberg", {"levels": ()}, "number of levels must be"),
    ("Iceberg", {"levels": (1.0,) * 6}, "number of levels must be"),
    ("Iceberg", {"levels": (1.0, 0.0)}, "weight of a level must be"),
    ("Iceberg", {"level_ticks": 0}, "level_ticks must be"),
    ("Iceberg", {"repeg_ticks": 0}, "repeg_ticks must be"),
    ("Iceberg", {"price": "fixed"}, "limit_price must be set where price is fixed"),
    ("Iceberg", {"price": "mid"}, "price"),
    *[(kind, {"catch_up": 0}, "catch_up must be") for kind in KINDS],
    *[(kind, {"completion": "maybe"}, "completion") for kind in KINDS],
    *[(kind, {"stale_seconds": -1}, "stale_seconds must be") for kind in KINDS],
]


@pytest.mark.parametrize(("algo_type", "given", "text"), REFUSED, ids=lambda value: str(value))
def test_a_wrong_value_is_refused_by_its_name(algo_type: AlgoType, given: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)) as refusal:
        params(algo_type, **given)
    assert "\n" not in str(refusal.value)


ACCEPTED: list[tuple[AlgoType, dict[str, Any]]] = [
    ("TWAP", {"slice_count": 1}),
    ("TWAP", {"slice_count": 100_000}),
    ("TWAP", {"randomize_time": 0.5, "randomize_size": 0.99}),
    ("TWAP", {"rest_share": 0}),
    ("TWAP", {"rest_share": 1}),
    ("TWAP", {"cross_spreads": 1000, "repeg_ticks": 1_000_000}),
    ("TWAP", {"max_participation": 0.99}),
    ("VWAP", {"lookback_days": 366, "max_stray": 1, "settle_at": 0}),
    ("POV", {"target_pov": 0.99, "max_participation": 0.99}),
    ("POV", {"spike": 0, "spike_slices": 1000}),
    ("Iceberg", {"visible_ratio": 1, "replenish_threshold": 1, "clip_jitter": 0.9}),
    ("Iceberg", {"levels": [0.5, 0.3, 0.1, 0.05, 0.05]}),
]


@pytest.mark.parametrize(("algo_type", "given"), ACCEPTED, ids=lambda value: str(value))
def test_the_bounds_themselves_are_allowed(algo_type: AlgoType, given: dict[str, Any]) -> None:
    made = params(algo_type, **given)
    for name, value in given.items():
        assert getattr(made, name) == (tuple(value) if isinstance(value, list) else value)


# ---------------------------------------------------------------- what parameters mean


@pytest.mark.parametrize(
    ("urgency", "style"), [("low", Style.LIMIT), ("medium", Style.REST_THEN_CROSS), ("high", Style.MARKET)]
)
@pytest.mark.parametrize("algo_type", ["TWAP", "VWAP", "POV", "IS"])
def test_urgency_is_an_order_type_in_other_words(algo_type: AlgoType, urgency: str, style: Style) -> None:
    assert plan(algo_type, urgency=urgency).style == style


@pytest.mark.parametrize(
    ("order_type", "style"),
    [("limit", Style.LIMIT), ("limit_then_cross", Style.REST_THEN_CROSS), ("market", Style.MARKET)],
)
def test_the_order_type_is_the_style_of_the_children(order_type: str, style: Style) -> None:
    assert plan("TWAP", order_type=order_type).style == style
    assert plan("TWAP", order_type=order_type, cross_spreads=3).cross_spreads == (
        3 if order_type == "limit_then_cross" else 0
    )


def test_a_slice_rests_for_its_share() -> None:
    assert plan("TWAP", rest_share=0.4).rest_ppm == 400_000
    assert plan("TWAP").rest_ppm == 650_000


def test_ten_slices_are_made_where_nobody_says_how_many() -> None:
    assert (plan("TWAP").slices, plan("TWAP", slice_count=None).slices) == (10, 10)
    assert plan("TWAP", 101).nominal == 11


@pytest.mark.parametrize(("interval", "slices"), [(10, 10), (7, 15), (100, 1), (1000, 1), (0.5, 200)])
def test_an_interval_makes_as_many_slices_as_begin_within_the_horizon(interval: float, slices: int) -> None:
    assert plan("TWAP", 1000, interval_seconds=interval).slices == slices


def test_slices_are_no_shorter_than_what_the_data_can_tell_apart() -> None:
    assert plan("TWAP", 1000, slice_count=100, least_interval_ms=10_000).slices == 10
    assert plan("POV", 1000, interval_seconds=1, least_interval_ms=10_000).slices == 10


@pytest.mark.parametrize(
    ("given", "lead_ms"),
    [
        ({}, 5_000),
        ({"completion_seconds": 3}, 3_000),
        ({"completion_seconds": 1e6}, 100_000),
        ({"least_interval_ms": 8_000}, 8_000),
        ({"least_interval_ms": 200_000, "slice_count": 1}, 100_000),
        ({"slice_count": 2}, 25_000),
    ],
)
def test_complete_begins_half_a_slice_before_the_end_unless_told_otherwise(given: dict[str, Any], lead_ms: int) -> None:
    made = plan("TWAP", **given, completion="complete")
    assert (made.completion, made.completion_ms) == (Completion.COMPLETE, lead_ms)


def test_participation_is_a_share_of_all_volume_or_of_others() -> None:
    assert ratio_ppm(0.2) == 250_000
    assert ratio_ppm(0.2, of_total=False) == 200_000
    assert ratio_ppm(0.1) == 111_112  # up: a ninth of 450 lots is 50
    assert ratio_ppm(0.5) == 1_000_000
    assert ratio_ppm(0.99) == 99_000_000
    assert plan("TWAP", max_participation=0.2).cap_ppm == 250_000
    assert plan("TWAP").cap_ppm == 0


@pytest.mark.parametrize(
    ("given", "ratio", "cap"),
    [
        ({"target_pov": 0.2}, 250_000, 666_667),
        ({"participation_rate": 0.1}, 111_112, 250_000),
        ({"participation_rate": 0.1, "target_pov": 0.3}, 111_112, 250_000),
        ({"target_pov": 0.2, "of_total": False}, 200_000, 400_000),
        ({"target_pov": 0.2, "max_participation": 0.2}, 250_000, 250_000),
        ({"target_pov": 0.6}, 1_500_000, 99_000_000),
    ],
)
def test_pov_aims_at_its_rate_and_catches_up_at_twice_of_it(given: dict[str, Any], ratio: int, cap: int) -> None:
    made = plan("POV", **given)
    assert (made.ratio_ppm, made.cap_ppm) == (ratio, cap)


@pytest.mark.parametrize(
    ("completion", "hurry", "kind"),
    [("strict", 0, Completion.CANCEL), ("complete", 1, Completion.CANCEL), ("sweep", 0, Completion.COMPLETE)],
)
def test_the_completion_of_pov(completion: str, hurry: int, kind: Completion) -> None:
    made = plan("POV", pov_completion=completion)
    assert (made.hurry, made.completion) == (hurry, kind)


def test_a_volume_threshold_is_in_lots() -> None:
    assert plan("POV", min_volume_threshold=12.7, lot="0.1").min_volume == 127


@pytest.mark.parametrize(
    ("given", "style"),
    [
        ({}, Style.PEG),
        ({"limit_price": 9.0}, Style.FIXED),
        ({"limit_price": 9.0, "price": "peg"}, Style.PEG),
        ({"limit_price": 9.0, "price": "fixed"}, Style.FIXED),
    ],
)
def test_an_iceberg_is_fixed_where_it_has_a_limit_and_pegged_otherwise(given: dict[str, Any], style: Style) -> None:
    assert plan("Iceberg", **given).style == style


def test_an_iceberg_takes_its_display_threshold_and_jitter_in_parts() -> None:
    made = plan("Iceberg", 1000, visible_ratio=0.15, replenish_threshold=0.8, clip_jitter=0.25)
    assert (made.display, made.refill_ppm, made.jitter_ppm) == (150, 200_000, 250_000)


def test_a_limit_is_rounded_to_our_side_of_the_grid() -> None:
    assert plan("TWAP", limit_price=10.006).limit_ticks == 1000
    assert plan("TWAP", side="sell", limit_price=10.004).limit_ticks == 1001


def test_vwap_follows_within_its_guard_rails() -> None:
    made = plan("VWAP", reweight=True, max_stray=0.15, settle_at=0.7)
    assert (made.reweight, made.stray_ppm, made.settle_ppm) == (1, 150_000, 700_000)
    assert plan("VWAP", reweight=False).reweight == 0


def test_wrong_defaults_are_refused_in_the_constructor() -> None:
    with pytest.raises(ValueError, match="VWAP has no parameter 'lookback'"):
        VWAPExecutor("tester", None, lookback=3)


# ---------------------------------------------------------------- quantities


@pytest.mark.parametrize("algo_type", KINDS)
def test_a_quantity_in_quote_currency_is_turned_into_base_at_the_price_of_the_start(algo_type: AlgoType) -> None:
    made = executor(algo_type, "tester", instrument=Instrument(SYMBOL, lot="0.1"), quantity_currency="quote")
    algo = ExecutionAlgorithm(algo_type, SYMBOL, "buy", 1234.0, 60)
    assert made.start(algo, start_ns=START_NS, price=10.0).quantity == 1234  # 123.4 in lots of 0.1: pitfall 6


def test_a_quantity_in_quote_currency_counts_contracts_by_their_size() -> None:
    instrument = Instrument(SYMBOL, lot="1", multiplier=100.0)  # pitfall 6
    made = executor("TWAP", "tester", instrument=instrument, quantity_currency="quote")
    algo = ExecutionAlgorithm("TWAP", SYMBOL, "buy", 12_345.0, 60)
    assert made.start(algo, start_ns=START_NS, price=10.0).quantity == 12


def test_a_quantity_in_quote_currency_without_a_price_is_refused() -> None:
    made = executor("TWAP", "tester", quantity_currency="quote")
    with pytest.raises(ValueError, match="needs a price"):
        made.start(ExecutionAlgorithm("TWAP", SYMBOL, "buy", 1234.0, 60), start_ns=START_NS)


@pytest.mark.parametrize("algo_type", KINDS)
def test_what_is_below_the_minimum_notional_is_refused_by_the_lots_that_would_be_sent(algo_type: AlgoType) -> None:
    # pitfall 5: 1.09 of lot 0.1 is 1.0, and 1.0 at 9.5 is below 10
    made = executor(algo_type, "tester", instrument=Instrument(SYMBOL, lot="0.1", min_notional=10.0))
    algo = ExecutionAlgorithm(algo_type, SYMBOL, "buy", 1.09, 60)
    with pytest.raises(ValueError, match="below the venue's minimum of 11 lots"):
        made.start(algo, start_ns=START_NS, price=9.5)
    assert made.start(algo, start_ns=START_NS, price=10.0).quantity == 10


@pytest.mark.parametrize("algo_type", KINDS)
def test_sizes_below_one_are_whole_lots_too(algo_type: AlgoType) -> None:
    made = executor(algo_type, "tester", instrument=Instrument(SYMBOL, lot="0.001"))  # pitfall 3
    assert (
        made.start(ExecutionAlgorithm(algo_type, SYMBOL, "buy", 0.35, 60), start_ns=START_NS, price=10.0).quantity
        == 350
    )
