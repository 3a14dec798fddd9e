"""From a direction to an order: the sizes are worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contracts import OHLCVBar, OrderIntent
from strategies.base import Account
from strategies.directional import DirectionalParams, DirectionalStrategy
from tests.naive import START_NS

SECOND_NS = 1_000_000_000


class Told(DirectionalStrategy[DirectionalParams]):
    strategy_id = "told"
    params_type = DirectionalParams

    def signal(self, bar: OHLCVBar) -> int:
        return 1


def told(**params: Any) -> Told:
    return Told("ATOM/USDT", DirectionalParams(**{"equity_fraction": 0.9, "cooldown_seconds": 60, **params}))


def account(position: float = 0.0, *, price: float = 10.0, working: float = 0.0, at: int = 0, **more: float) -> Account:
    equity = more.get("equity", 1000.0)
    return Account("ATOM/USDT", START_NS + at * SECOND_NS, price, position, working, equity, equity - position * price)


def signed(intents: Any) -> list[float]:
    return [intent.qty if intent.side == "buy" else -intent.qty for intent in intents]


# Signal, position, allow_short -> quantities asked for. Equity 1000, price 10, equity_fraction 0.9: the target is 90.
@pytest.mark.parametrize(
    ("signal", "position", "short", "expected"),
    [
        (1, 0.0, False, [90.0]),
        (1, 90.0, False, []),
        (1, 45.0, False, []),  # half of the target counts as held
        (1, 44.0, False, [46.0]),  # an execution that got less than half done is topped up
        (-1, 0.0, False, []),
        (-1, 90.0, False, [-90.0]),
        (-1, 0.3, False, [-0.3]),
        (-1, 0.1, False, []),  # worth 1, a thousandth of equity: dust
        (-1, -5.0, False, []),
        (1, -5.0, False, [95.0]),
        (-1, 0.0, True, [-90.0]),
        (-1, 90.0, True, [-180.0]),
        (1, -90.0, True, [180.0]),
        (-1, -90.0, True, []),
        (-1, -30.0, True, [-60.0]),
    ],
)
def test_a_signal_moves_the_position_to_its_target(
    signal: int, position: float, short: bool, expected: list[float]
) -> None:
    assert signed(told(allow_short=short).on_signal(signal, account(position))) == pytest.approx(expected)


@pytest.mark.parametrize("signal", [1, -1])
def test_no_second_parent_while_one_is_in_flight(signal: int) -> None:
    assert told(allow_short=True).on_signal(signal, account(10.0, working=0.01)) == ()


def test_the_cool_down_ends_to_the_second() -> None:
    strategy = told(cooldown_seconds=60)
    assert len(strategy.on_signal(1, account(0.0, at=0))) == 1
    assert strategy.on_signal(-1, account(90.0, at=59)) == ()
    assert len(strategy.on_signal(-1, account(90.0, at=60))) == 1


def test_a_signal_that_asks_for_nothing_starts_no_cool_down() -> None:
    strategy = told(cooldown_seconds=60)
    assert strategy.on_signal(1, account(90.0, at=0)) == ()
    assert len(strategy.on_signal(-1, account(90.0, at=1))) == 1


@pytest.mark.parametrize("equity", [0.0, -5.0, math.nan])
def test_without_equity_nothing_is_opened(equity: float) -> None:
    assert told(allow_short=True).on_signal(1, account(equity=equity)) == ()
    assert told(allow_short=True).on_signal(-1, account(equity=equity)) == ()


def test_a_position_can_be_left_when_equity_is_gone() -> None:
    assert signed(told().on_signal(-1, account(5.0, equity=-20.0))) == [-5.0]


def test_a_parent_says_how_long_it_may_take() -> None:
    (parent,) = told(duration_seconds=120).on_signal(1, account())
    assert isinstance(parent, OrderIntent)
    assert parent.meta == {"duration_seconds": 120}


@given(
    st.sampled_from([1, -1]),
    st.floats(-500, 500),
    st.floats(1e-3, 1e3),
    st.floats(1.0, 1e6),
    st.floats(0.1, 1.0),
    st.booleans(),
)
def test_the_position_asked_for_is_never_worth_more_than_equity(
    signal: int, position: float, price: float, equity: float, fraction: float, short: bool
) -> None:
    strategy = told(equity_fraction=fraction, allow_short=short)
    now = account(position, price=price, equity=equity)
    for change in signed(strategy.on_signal(signal, now)):
        after = (position + change) * price
        assert abs(after) <= equity * (1 + 1e-9) + 1e-6
        assert after * signal >= -1e-6 * equity, "never on the other side of what the signal says"
        assert short or after >= -1e-6 * equity


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("equity_fraction", 0.0),
        ("equity_fraction", 1.01),
        ("equity_fraction", math.nan),
        ("dust_fraction", -0.1),
        ("dust_fraction", 0.9),
        ("cooldown_seconds", -1),
        ("duration_seconds", 0),
        ("duration_seconds", 86_401),
    ],
)
def test_a_parameter_out_of_range_is_named_with_its_value(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"{name} .*was {value}"):
        told(**{name: value})


@given(
    st.sampled_from([-1, 1]), st.floats(-100, 100), st.floats(-100, 100), st.floats(1, 100), st.integers(0, 200),
    st.booleans(),
)  # fmt: skip
def test_nothing_is_wanted_before_the_time_that_a_strategy_names(
    signal: int, position: float, working: float, price: float, at: int, short: bool
) -> None:
    strategy = told(allow_short=short)
    assert strategy.silent_until_ns() == 0
    assert strategy.on_signal(1, account())
    silent = strategy.silent_until_ns()
    assert silent == START_NS + 60 * SECOND_NS
    asked = account(position, price=price, working=working, at=at)
    if asked.ts_ns < silent:
        assert not strategy.on_signal(signal, asked)
        assert strategy.silent_until_ns() == silent


def test_whoever_answers_signals_differently_is_asked_at_any_time() -> None:
    class Eager(Told):
        def on_signal(self, signal: int, account: Account) -> Sequence[OrderIntent]:
            super().on_signal(signal, account)
            return (self.parent(account, "buy", 1.0),)

    strategy = Eager("ATOM/USDT", DirectionalParams())
    strategy.on_signal(1, account())
    assert strategy.silent_until_ns() == 0
    assert strategy.on_signal(1, account(at=1))
