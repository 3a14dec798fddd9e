"""The gate's verdict on a whole run: each rule, planted by its id, makes it say no where the gate refuses an order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backtest.vetting import conduct_of
from core.contracts import Side
from core.instrument import Instrument
from execution.batch import Job
from execution.contracts import AlgoType, ExecutionAlgorithm
from execution.executors import executor
from execution.slippage import SquareRootSlippageModel
from execution.spread import Spread
from execution.venue import Venue, venue
from risk.clearance import clears
from risk.gate import RiskGate
from risk.limits import RiskLimits
from tests import batches
from tests.naive import MINUTE_NS, START_NS
from tests.risks import NO_KILL, loose
from tests.test_loop_run import Asking, Case, by_desk, by_loop

COUNT = 90
CALM = {"limits": {"max_reference_age_s": 1e5}}


def market(**facts: Any) -> Venue:
    instrument = Instrument(batches.SYMBOL, tick="0.01", lot="1", taker_fee_bps=5.0, **facts)
    spread = Spread(np.full(COUNT, 0.02), "test")
    return venue(batches.wild_bars(5, COUNT), instrument, SquareRootSlippageModel(0.5), spread=spread)


def session(place: Venue, *sides: Side, algo_type: AlgoType = "TWAP", **params: Any) -> Case:
    jobs = []
    for number, side in enumerate(sides):
        worker = executor(algo_type, "tester", volumes=place.volumes, **place.executor_arguments)
        algo = ExecutionAlgorithm(algo_type, batches.SYMBOL, side, 300.0, 1800, {"slice_count": 10, **params})
        close_ns = int(place.bars.ts_close_ns[5 * number])
        jobs.append(Job(algo, close_ns, worker, f"x-{number}"))
    return Case(place, jobs)


def both(case: Case, limits: RiskLimits, **keywords: Any) -> tuple[bool, list[str]]:
    """The verdict, and what the gate says order by order."""
    gates = [
        RiskGate(limits, **{"kill": NO_KILL, "instruments": {batches.SYMBOL: case.place.instrument}, **keywords})
        for _ in range(2)
    ]
    run = by_loop(case)
    assert run is not None
    cleared = clears(gates[0], conduct_of(run, case.place))
    asking = Asking(gates[1])
    by_desk(case, asking)
    return cleared, asking.refused


def test_what_nothing_speaks_against_is_cleared() -> None:
    place = market()
    for case in (
        session(place, "buy", "buy", order_type="market"),
        session(place, "sell", "sell", order_type="limit_then_cross"),
        session(place, "buy", "sell", order_type="market"),
    ):
        cleared, refused = both(case, loose(parents="required", venue_filters="required", **CALM))
        assert (cleared, refused) == (True, [])


PLANTED: dict[str, dict[str, Any]] = {
    "R01": {"limits": {"max_order_qty": 29.0}},
    "R02": {"limits": {"max_order_notional": 2_500.0}},
    "R03": {"limits": {"price_collar_bps": 0.5}},
    "R04": {"limits": {"max_reference_age_s": 1.0}},
    "R05": {"rate": {"window_s": 400.0, "max_orders": 1}},
    "R06": {"repeats": {"window_s": 900.0, "max_executions": 2}},
    "R08": {"limits": {"max_position_qty": 200.0}},
    "R09": {"account": {"max_open_notional": 2_500.0}},
    "R10": {"account": {"max_open_orders": 1}},
    "R12": {"account": {"max_daily_loss": 0.01}},
    "R14": {"symbols": ("BTC/USDT",)},
    "R16": {"rejects": {"window_s": None}},
    "R17": {"venue_filters": None},
}


@pytest.mark.parametrize("rule", PLANTED)
def test_a_breach_of_each_rule_is_not_cleared(rule: str) -> None:
    style = {"R03": "limit_then_cross", "R10": "limit"}.get(rule, "market")
    case = session(market(), "buy", "buy", "buy", order_type=style)
    limits = {**CALM, **PLANTED[rule]}
    cleared, refused = both(case, loose(**limits))
    assert not cleared
    assert any(rule in reason for reason in refused), refused


def test_the_gate_must_know_its_instrument_where_it_is_required() -> None:
    case = session(market(), "buy", order_type="market")
    cleared, refused = both(case, loose(venue_filters="required", **CALM), instruments={})
    assert not cleared
    assert "R17" in refused[0]


def test_our_own_resting_orders_on_the_other_side_are_left_to_the_gate() -> None:
    case = session(market(), "sell", "buy", order_type="limit")
    assert not both(case, loose(**CALM))[0]


def test_a_gate_that_has_heard_of_something_clears_nothing() -> None:
    case = session(market(), "buy", order_type="market")
    gate = RiskGate(loose(**CALM), kill=NO_KILL)
    gate.on_price(batches.SYMBOL, 100.0, 100.1, START_NS - MINUTE_NS)
    run = by_loop(case)
    assert run is not None
    assert not clears(gate, conduct_of(run, case.place))
    assert not both(case, loose(**CALM), positions={batches.SYMBOL: 5.0})[0]


@pytest.mark.parametrize(
    "missing",
    [
        *({"limits": {name: None}} for name in ("max_order_qty", "price_collar_bps", "max_position_qty")),
        *({"account": {name: None}} for name in ("buying_power", "max_daily_loss")),
        {"rate": {"max_cancels": None}},
        {"repeats": {"max_executions": None}},
        {"intents": {"duplicate_window_s": None}},
        {"parents": None},
        {"symbols": None},
    ],
)
def test_a_limit_that_is_not_set_clears_nothing(missing: dict[str, Any]) -> None:
    limits = {**CALM, **missing}
    limits["limits"] = {**CALM["limits"], **missing.get("limits", {})}
    assert not both(session(market(), "buy", order_type="market"), loose(**limits))[0]
