"""The sync driver and the batch driver decide alike: every command and fill of random parents in random markets.

The asyncio driver is compared with the sync one in test_three_drivers_async.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from core.bars import Bars
from core.contracts import Side
from core.instrument import Instrument
from execution.batch import Engine, Job, play
from execution.contracts import AlgoType, ExecutionAlgorithm
from execution.executors import executor
from execution.slippage import SquareRootSlippageModel
from execution.spread import bar_spread
from execution.venue import Venue, venue
from research.sample import SampleMarket, generate
from tests import batches

EVERY: tuple[Engine, ...] = ("compiled", "loop", "machine")
PARENTS = 6  # in a batch; up to so many, less those that the algorithm refuses
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def check(place: Venue, jobs: list[Job], engines: tuple[Engine, ...] = EVERY) -> None:
    expected = [batches.on_desk(place, job) for job in jobs]
    for engine in engines:
        batch = play(place, jobs, engine=engine)
        assert batch.parents["looped"].all() or engine == "machine" or "clip_jitter" in str(jobs)
        for number, trace in enumerate(expected):
            batches.assert_same(batches.in_batch(batch, number), trace)


@pytest.mark.parametrize("algo_type", batches.ALGOS)
def test_all_drivers_decide_alike(algo_type: AlgoType) -> None:
    # pitfalls 8, 9, 11, 13, 14, 16, 22, 37
    @settings(max_examples=8, suppress_health_check=QUIET)
    @given(batches.batches(algo_type, PARENTS))
    def alike(drawn: batches.Case) -> None:
        check(*drawn)

    alike()


@pytest.mark.slow
@pytest.mark.parametrize("algo_type", batches.ALGOS)
def test_all_drivers_decide_alike_for_two_thousand_parents(algo_type: AlgoType) -> None:
    played = 0

    @settings(max_examples=600, suppress_health_check=QUIET, database=None)
    @given(batches.batches(algo_type, PARENTS))
    def alike(drawn: batches.Case) -> None:
        nonlocal played
        played += len(drawn.jobs)
        check(*drawn)

    alike()
    assert played >= 2_000


STRETCH = 3 * 1440  # bars of the sample market; the last third is traded on, the rest is known before


@pytest.fixture(scope="module")
def sample() -> Venue:
    bars = Bars.from_frame(batches.SYMBOL, generate(SampleMarket(), "2025-01-06", "2025-01-09")[0])
    first = 2 * STRETCH // 3
    market = SampleMarket()
    instrument = Instrument(batches.SYMBOL, tick=market.tick, lot=market.lot, min_notional=5.0, spread_bps=3.0)
    return venue(
        bars[first:],
        instrument,
        SquareRootSlippageModel(0.5),
        spread=bar_spread(bars[first:], instrument, None, 3.0),
        before=bars[:first],
    )


@pytest.mark.parametrize("order_type", ["limit", "market", "limit_then_cross"])
@pytest.mark.parametrize("algo_type", batches.ALGOS)
def test_all_drivers_decide_alike_on_the_sample_market(sample: Venue, algo_type: AlgoType, order_type: str) -> None:
    # pitfall 25: every parent has its own market, and nothing of one is seen by the next
    styles: dict[str, dict[str, Any]] = {
        "limit": {"price": "peg"},
        "market": {"price": "peg", "levels": (2.0, 1.0)},
        "limit_then_cross": {"limit_price": float(sample.bars.open[0])},
    }
    params = styles[order_type] if algo_type == "Iceberg" else {"order_type": order_type}
    jobs = []
    for number in range(8):
        side: Side = "sell" if number % 2 else "buy"
        worker = executor(algo_type, "tester", volumes=sample.volumes, **sample.executor_arguments)
        algo = ExecutionAlgorithm(
            algo_type,
            batches.SYMBOL,
            side,
            500.0 * 3**number / 7,
            1_800 * (1 + number),
            params,
        )
        start_ns = int(sample.bars.ts_open_ns[150 * number]) + number * 7_000_000_000
        jobs.append(Job(algo, start_ns, worker, f"x-{number}"))
    check(sample, jobs)
    batch = play(sample, jobs)
    assert np.isfinite(batch.parents["avg_price"]).sum() >= 6
