"""Floats become lots and ticks exactly as the decimal numbers they show."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.instrument import MAX_LOTS, Instrument

GRIDS = ["1", "0.1", "0.01", "0.001", "0.0001", "0.00000001", "0.5", "0.25", "5", "10", "0.3", "1e-6", "100"]
grids = st.sampled_from(GRIDS)


def floor_steps(value: float, step: str) -> int:
    """The slow, obvious answer."""
    return int((Decimal(repr(value)) / Decimal(step)).to_integral_value(ROUND_FLOOR))


@pytest.mark.parametrize(
    ("qty", "lot", "lots"),
    [
        (0.3, "0.1", 3),  # pitfall 31: 0.3 / 0.1 is below 3
        (0.7, "0.1", 7),
        (0.5, "1", 0),  # pitfall 3: a fraction is no whole unit, but of a smaller lot it is many
        (0.5, "0.001", 500),
        (1.0, "0.001", 1000),
        (0.999999999999986, "1", 0),  # pitfall 7: residue is not rounded up to a lot
        (0.999999999999986, "0.001", 999),
        (1.1 + 2.2, "0.1", 33),  # 3.3000000000000003
        (0.1 * 3, "0.1", 3),  # 0.30000000000000004
        (5e-324, "0.00000001", 0),
        (1e-8, "0.00000001", 1),
        (123456.789, "0.001", 123456789),
        (0.0, "1", 0),
        (1e11, "1", MAX_LOTS),
    ],
)
def test_lots_of_a_quantity(qty: float, lot: str, lots: int) -> None:
    assert Instrument("X", lot=lot).lots(qty) == lots


@given(st.floats(0, 1e6, allow_subnormal=False), grids)
def test_lots_agree_with_decimals(qty: float, lot: str) -> None:
    expected = floor_steps(qty, lot)
    if expected <= MAX_LOTS:
        assert Instrument("X", lot=lot).lots(qty) == expected


@given(st.floats(1e-9, 1e7), grids)
def test_ticks_agree_with_decimals_down_and_up(price: float, tick: str) -> None:
    instrument = Instrument("X", tick=tick)
    down = floor_steps(price, tick)
    assert instrument.ticks(price) == down
    assert instrument.ticks_up(price) == (down if Decimal(repr(price)) == down * Decimal(tick) else down + 1)


@given(st.integers(0, MAX_LOTS), grids)
def test_lots_and_ticks_come_back(count: int, step: str) -> None:
    instrument = Instrument("X", lot=step, tick=step)
    assert instrument.lots(instrument.qty(count)) == count
    assert Decimal(instrument.wire_qty(count)) == count * Decimal(step)
    if count:
        assert instrument.ticks(instrument.price(count)) == count
        assert instrument.ticks_up(instrument.price(count)) == count
        assert Decimal(instrument.wire_price(count)) == count * Decimal(step)


@given(st.integers(1, MAX_LOTS), grids)
def test_a_quantity_is_the_float_nearest_to_its_lots(count: int, lot: str) -> None:
    assert Instrument("X", lot=lot).qty(count) == float(count * Decimal(lot))


@pytest.mark.parametrize(
    ("lots", "lot", "text"), [(1, "0.00000001", "0.00000001"), (3, "1e-6", "0.000003"), (20, "100", "2000")]
)
def test_the_wire_has_no_exponents(lots: int, lot: str, text: str) -> None:
    assert Instrument("X", lot=lot).wire_qty(lots) == text
    assert Instrument("X", tick=lot).wire_price(lots) == text


@given(
    st.floats(0.001, 1000),
    st.sampled_from(["0.001", "0.1", "1", "5"]),
    st.floats(0, 100),
    st.sampled_from(["0", "0.05", "3"]),
)
def test_the_fewest_lots_are_enough_and_one_less_is_not(
    price: float, lot: str, min_notional: float, min_qty: str
) -> None:
    instrument = Instrument("X", lot=lot, min_notional=min_notional, min_qty=min_qty)
    fewest = instrument.min_lots(price)

    def enough(lots: int) -> bool:
        qty = lots * Fraction(lot)
        worth = qty * Fraction(repr(price))
        return lots >= 1 and qty >= Fraction(min_qty) and worth >= Fraction(repr(min_notional))

    assert enough(fewest)
    assert not enough(fewest - 1)


def test_ten_at_0_3_are_worth_3() -> None:
    assert Instrument("X", lot="1", min_notional=3.0).min_lots(0.3) == 10


@pytest.mark.parametrize("qty", [float("nan"), float("inf"), -1.0, -0.1])
def test_quantities_that_are_none_are_refused(qty: float) -> None:
    with pytest.raises(ValueError, match="quantity must be a finite number of at least 0"):
        Instrument("X").lots(qty)


def test_a_quantity_beyond_the_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 100000000000 lots of 1, was"):
        Instrument("X", lot="1").lots(1e11 + 1)


@pytest.mark.parametrize("price", [0.0, -1.0, float("nan"), float("inf")])
def test_prices_that_are_none_are_refused(price: float) -> None:
    instrument = Instrument("X")
    for convert in (instrument.ticks, instrument.ticks_up, instrument.min_lots):
        with pytest.raises(ValueError, match="price must be a finite number above 0"):
            convert(price)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"symbol": ""}, "symbol must be a name"),
        ({"tick": "0"}, "tick must be above 0"),
        ({"tick": "-0.1"}, "tick must be above 0"),
        ({"lot": "abc"}, "lot must be a decimal number in text"),
        ({"lot": "nan"}, "lot must be a decimal number in text"),
        ({"lot": "inf"}, "lot must be a decimal number in text"),
        ({"min_qty": "x"}, "min_qty must be a decimal number in text"),
        ({"min_qty": "-1"}, "min_qty must be at least 0"),
        ({"min_qty": "nan"}, "min_qty must be"),
        ({"min_qty": "inf"}, "min_qty must be"),
        ({"min_notional": -1.0}, "min_notional must be"),
        ({"min_notional": float("nan")}, "min_notional must be"),
        ({"multiplier": 0.0}, "multiplier must be"),
        ({"taker_fee_bps": float("inf")}, "taker_fee_bps must be"),
        ({"spread_bps": -1.0}, "spread_bps must be"),
    ],
)
def test_an_instrument_that_cannot_be_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Instrument(**{"symbol": "X", **settings})  # type: ignore[arg-type]


def test_notional_counts_the_multiplier() -> None:
    assert Instrument("X", multiplier=10.0).notional(2.0, 3.0) == 60.0
