"""The twin run tells what our orders did to the market, against what the fill model charged them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.contracts import Side
from execution.config import FillConfig
from execution.contracts import AlgoType, ExecutionAlgorithm, ExecutionReport
from execution.executors import executor
from execution.simulator import execute
from execution.slippage import SlippageModel, SquareRootSlippageModel
from execution.spread import Spread
from execution.tca import measure
from execution.twin import NOTE, with_twin
from execution.venue import Venue, venue
from tests.markets import INSTRUMENT, SYMBOL, flat
from tests.naive import MINUTE_NS, START_NS
from tests.test_ticks_desk import TENTH, history, lively

MODEL = SquareRootSlippageModel(0.8)


def place_of(model: SlippageModel | None, *, permanent_share: float = 1 / 3) -> Venue:
    bars = flat(40, reach=0.3)
    spread = Spread(np.full(len(bars), 0.05), "told")
    fills = FillConfig(max_participation=0.5)
    return venue(bars, INSTRUMENT, model, spread=spread, fills=fills, permanent_share=permanent_share, before=history())


def run(
    place: Any, qty: float = 2000, algo_type: AlgoType = "TWAP", side: Side = "buy", **params: Any
) -> ExecutionReport:
    worker = executor(algo_type, "tester", volumes=place.volumes, **place.executor_arguments)
    algo = ExecutionAlgorithm(algo_type, SYMBOL, side, qty, 1200, params)
    return execute(place, worker, algo, start_ns=START_NS)[0]


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_what_takers_did_is_what_the_memory_charged_them(side: Side) -> None:
    report = run(place_of(MODEL), order_type="market", side=side)
    charged = measure(report).parts.impact
    assert charged > 0
    assert report.notes[NOTE]["impact"] == pytest.approx(charged, rel=1e-12)
    paid = report.filled_quantity * report.arrival_price
    assert report.notes[NOTE]["impact_bps"] == pytest.approx(1e4 * charged / paid)
    assert math.copysign(1, report.notes[NOTE]["shift_bps"]) == (1 if side == "buy" else -1)


def test_without_an_impact_model_nothing_was_done() -> None:
    """Zero on the path with the spread paid all the same."""
    report = run(place_of(None), order_type="market")
    assert measure(report).parts.spread > 0
    assert report.notes[NOTE]["impact"] == pytest.approx(0, abs=1e-9)
    assert report.notes[NOTE]["shift_bps"] == 0


def test_makers_pay_for_what_was_moved_before_them_and_no_fill_says_so() -> None:
    report = run(place_of(MODEL), order_type="limit")
    assert {fill.liquidity for fill in report.fills} == {"maker"}
    assert measure(report).parts.impact == 0
    assert report.notes[NOTE]["impact"] > 0


def test_the_first_maker_fill_met_a_market_that_nobody_had_moved() -> None:
    report = run(place_of(MODEL), 20, order_type="limit", slice_count=1)
    assert len(report.fills) == 1
    assert report.notes[NOTE]["impact"] == 0
    assert report.notes[NOTE]["shift_bps"] > 0


def test_impact_has_the_size_of_the_square_root_law() -> None:
    """A steady share of the volume: 2/3 of Y * sigma * sqrt(Q / V) on average, EXECUTION_SCIENCE 2.7."""
    place = place_of(MODEL, permanent_share=0.0)
    report = run(place, 2000, order_type="market", slice_count=20)
    k = int(np.searchsorted(place.bars.ts_open_ns, START_NS))
    peak = 0.8 * place.conditions.volatility[k] * math.sqrt(2000 / place.conditions.daily_volume[k])
    assert report.notes[NOTE]["impact_bps"] == pytest.approx(1e4 * 2 / 3 * peak, rel=0.02)


def test_parents_pay_for_what_others_have_moved() -> None:
    place = place_of(MODEL)
    one = run(place, order_type="market")
    two = replace(one, execution_id="two", fills=tuple(replace(f, fill_id=f"two-{f.fill_id}") for f in one.fills))
    together = with_twin([one, two], place)
    alone = one.notes[NOTE]["shift_bps"]
    assert all(report.notes[NOTE]["shift_bps"] > 1.3 * alone for report in together)


def test_a_parent_that_never_traded_did_nothing() -> None:
    report = run(place_of(MODEL), order_type="limit", limit_price=50.0)
    assert report.notes[NOTE]["impact"] == 0
    assert report.notes[NOTE]["impact_bps"] is None
    assert report.notes[NOTE]["shift_bps"] is None


@pytest.mark.parametrize("quoted", [True, False], ids=["quotes", "trades"])
@pytest.mark.parametrize("impact", [0.5, None])
def test_on_ticks_takers_did_what_they_were_charged(impact: float | None, *, quoted: bool) -> None:
    """Walking the displayed levels is impact as well: without a model the twin still finds it."""
    place, _ = lively(8, impact=impact, quoted=quoted, fills=TENTH)
    report = run(place, 400, order_type="market")
    assert report.fills
    charged = measure(report).parts.impact
    assert report.notes[NOTE]["impact"] == pytest.approx(charged, rel=1e-9, abs=1e-6)
    if impact is None and not quoted:
        assert report.notes[NOTE]["impact"] == pytest.approx(0, abs=1e-6)


def test_a_note_can_be_written_and_read_again() -> None:
    report = run(place_of(MODEL), order_type="market")
    assert ExecutionReport.from_dict(report.to_dict()) == report


def test_every_fill_is_in_the_bar_in_which_it_happened() -> None:
    place = place_of(MODEL)
    for kind in ("limit", "market"):
        for fill in run(place, order_type=kind).fills:
            k = place.bar_of(fill)
            assert place.bars.ts_open_ns[k] <= fill.ts_fill_ns <= place.bars.ts_open_ns[k] + MINUTE_NS
