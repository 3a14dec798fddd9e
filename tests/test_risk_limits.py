"""The limits of config/risk.yaml."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from core.config import parse
from core.errors import ConfigError
from risk.limits import RiskLimits, SymbolLimits, load_limits

RISK_YAML = Path(__file__).resolve().parents[1] / "config" / "risk.yaml"


def test_the_shipped_file_sets_every_limit() -> None:
    limits = load_limits(RISK_YAML)
    symbol = limits.for_symbol("ATOM/USDT")
    assert all(getattr(symbol, field.name) is not None for field in dataclasses.fields(SymbolLimits))
    for section in (limits.account, limits.rate, limits.repeats, limits.rejects, limits.intents):
        assert all(getattr(section, field.name) is not None for field in dataclasses.fields(section)), section
    assert (limits.parents, limits.venue_filters) == ("required", "required")
    assert limits.symbols == ("ATOM/USDT",)
    assert limits.kill_switch_file == "var/kill"


def test_an_override_changes_what_it_names_and_nothing_else() -> None:
    limits = parse(
        {"limits": {"max_order_qty": 10, "price_collar_bps": 50}, "overrides": {"BTC/USDT": {"max_order_qty": 0.5}}},
        RiskLimits,
    )
    assert limits.for_symbol("BTC/USDT") == SymbolLimits(max_order_qty=0.5, price_collar_bps=50.0)
    assert limits.for_symbol("ATOM/USDT") == SymbolLimits(max_order_qty=10.0, price_collar_bps=50.0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"limits": {"max_order_qty": 0}}, "limits.max_order_qty: must be a finite number above 0, was 0"),
        ({"limits": {"max_position": 1}}, "limits.max_position: unknown setting: did you mean 'max_position_qty'?"),
        ({"limits": {"price_collar_bps": 10_000}}, "limits.price_collar_bps: must be below 10000"),
        ({"overrides": {"B": {"max_order_qty": -1}}}, "overrides.B.max_order_qty: must be a finite number above 0"),
        ({"rate": {"max_orders": 2.5}}, "rate.max_orders: must be a whole number, was 2.5"),
        ({"rate": {"window_s": 0}}, "rate.window_s: must be a finite number above 0"),
        ({"account": {"max_daily_loss": -5}}, "account.max_daily_loss: must be a finite number above 0, was -5"),
        ({"rejects": {"last_orders": 5, "max_rejects": 5}}, "rejects.max_rejects: must be below last_orders 5, was 5"),
        ({"parents": "requird"}, "parents: must be one of required, if_known"),
        ({"symbols": "ATOM/USDT"}, "symbols: must be a list, was 'ATOM/USDT'"),
    ],
)
def test_limits_that_cannot_be_meant_are_one_line(data: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(data, RiskLimits, source="config/risk.yaml")
    assert str(refused.value).startswith(f"config/risk.yaml: {message}")
