"""Attribution against the truth: the same market played with our orders and without them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from core.bars import Bars
from core.chance import generator
from core.instrument import Instrument
from execution.conditions import Conditions, running
from execution.contracts import ExecutionAlgorithm, ExecutionReport
from execution.costs.attribution import ImpactMethod, ParticipationModel, SquareRootModel, attributed, twin_run
from execution.costs.market_record import MarketRecord
from execution.costs.measurement import measured
from execution.executors import executor
from execution.simulator import execute
from execution.slippage import SquareRootSlippageModel
from execution.spread import Spread
from execution.tca import measure
from execution.twin import NOTE
from execution.venue import Venue, venue
from research.sample import SampleMarket, generate
from tests.naive import MINUTE_NS

Y = 0.8
Floats = NDArray[np.float64]
OrderType = Literal["market", "limit"]


@dataclass(frozen=True)
class Played:
    """An execution in a simulated market, what was known of it before, and by what our orders truly moved its price."""

    report: ExecutionReport
    place: Venue
    first: int

    @property
    def volatility(self) -> float:
        return float(self.place.conditions.volatility[self.first])

    @property
    def daily_volume(self) -> float:
        return float(self.place.conditions.daily_volume[self.first])

    def impact_bps(self, method: ImpactMethod | None = None) -> float:
        cost = measure(self.report if method is None else attributed(self.report, method))
        return 1e4 * cost.parts.impact / cost.notional

    @property
    def truth_bps(self) -> float:
        return self.impact_bps(twin_run([self.report], self.place))


def played(place: Venue, algo: ExecutionAlgorithm, first: int, seed: int) -> Played:
    """Works a parent from the open of bar `first`."""
    worker = executor(algo.algo_type, "twin", volumes=place.volumes, seed=seed, **place.executor_arguments)
    report, _ = execute(place, worker, algo, start_ns=int(place.bars.ts_open_ns[first]))
    return Played(report, place, first)


@cache
def simulated(count: int, order_type: OrderType, permanent_share: float) -> tuple[Played, ...]:
    """Parents of 0.5 to 8 % of their time's volume, 20 minutes to 4 hours, either side, by three algorithms."""
    frame, _ = generate(SampleMarket(), "2025-01-01", "2025-02-09")
    bars = Bars.from_frame("ATOM/USDT", frame)
    instrument = Instrument("ATOM/USDT", tick="0.001", lot="0.01")
    spread = Spread(bars.open * 1.5e-4, "3 bps")
    place = venue(bars, instrument, SquareRootSlippageModel(Y), spread=spread, permanent_share=permanent_share)
    chance = generator(7, "twin parents", order_type)
    found: list[Played] = []
    number = 0
    while len(found) < count:
        number += 1
        first = int(chance.integers(8 * 1440, len(bars) - 600))
        minutes = int(chance.choice([20, 60, 120, 240]))
        share = math.exp(chance.uniform(math.log(0.005), math.log(0.08)))
        quantity = round(share * float(bars.volume[first : first + minutes].sum()), 2)
        kind: Any = str(chance.choice(["TWAP", "VWAP", "POV"]))
        side: Any = "buy" if chance.random() < 0.5 else "sell"
        params: dict[str, Any] = {"order_type": order_type} | ({"target_pov": 0.1} if kind == "POV" else {})
        algo = ExecutionAlgorithm(kind, "ATOM/USDT", side, quantity, minutes * 60, params)
        one = played(place, algo, first, number)
        if one.report.fills:
            found.append(one)
    return tuple(found)


def by_participation(one: Played, market: MarketRecord, permanent_share: float) -> float:
    return one.impact_bps(
        ParticipationModel(
            coefficient=Y,
            volatility=one.volatility,
            daily_volume=one.daily_volume,
            volume_between=lambda start_ns, end_ns: market.traded(start_ns, end_ns)[0],
            permanent_share=permanent_share,
            over_ns=MINUTE_NS,
        )
    )


def by_law(one: Played) -> float:
    return one.impact_bps(SquareRootModel(coefficient=Y, volatility=one.volatility, volume=one.daily_volume))


@pytest.mark.slow
@pytest.mark.parametrize("permanent_share", [0.0, 1 / 3])
@pytest.mark.parametrize("order_type", ["market", "limit"])
def test_participation_finds_the_impact_of_six_hundred_parents(order_type: OrderType, permanent_share: float) -> None:
    """Mean error within two standard errors of zero, slope of the truth on the estimate 1 +- 0.1."""
    parents = simulated(600, order_type, permanent_share)
    market = MarketRecord.of("ATOM/USDT", bars=parents[0].place.bars)
    told = np.array([by_participation(one, market, permanent_share) for one in parents])
    truth = np.array([one.truth_bps for one in parents])
    error = told - truth
    standard_error = float(error.std(ddof=1)) / math.sqrt(len(error))

    assert len({one.report.execution_id for one in parents}) == 600
    assert float(truth.mean()) > 3  # there is something to attribute
    assert abs(float(error.mean())) <= 2 * standard_error
    assert float(np.polyfit(told, truth, 1)[0]) == pytest.approx(1, abs=0.1)


@pytest.mark.slow
def test_what_a_simulation_charges_is_the_truth_for_takers_and_silent_about_resting_orders() -> None:
    takers, makers = simulated(600, "market", 1 / 3), simulated(600, "limit", 1 / 3)

    for one in takers:
        assert one.impact_bps() == pytest.approx(one.truth_bps, rel=1e-9, abs=1e-9)
    charged, truth = sum(one.impact_bps() for one in makers), sum(one.truth_bps for one in makers)
    assert 0.1 * truth < charged < 0.2 * truth


@pytest.mark.slow
def test_the_square_root_law_alone_says_too_much_of_orders_that_trade_in_bursts() -> None:
    """It knows neither pauses, in which the price comes back, nor that a part of the impact is permanent."""
    parents = simulated(600, "market", 1 / 3)
    told, truth = sum(by_law(one) for one in parents), sum(one.truth_bps for one in parents)

    assert 1.3 * truth < told < 1.6 * truth


def even_market(n: int = 600) -> Venue:
    """Every bar alike, so that the rate of an even schedule is constant; conditions are known from the first bar on."""
    opens = np.arange(n, dtype=np.int64) * MINUTE_NS
    flat = np.full(n, 100.0)
    bars = Bars("X/USD", opens, opens + MINUTE_NS, flat, flat, flat, flat, np.full(n, 10_000.0))
    place = venue(
        bars,
        Instrument("X/USD", tick="0.0001", lot="0.01"),
        SquareRootSlippageModel(Y),
        spread=Spread(np.full(n, 0.01), "2 bps"),
        permanent_share=0.0,
    )
    known = Conditions(np.full(n, 0.03), np.full(n, 14_400_000.0), running(bars.volume / 14_400_000))
    return replace(place, conditions=known)


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("share", [0.01, 0.05])
def test_an_even_order_in_an_even_market_pays_two_thirds_of_the_square_root_law(side: Any, share: float) -> None:
    params = {"order_type": "market", "slice_count": 120}
    algo = ExecutionAlgorithm("TWAP", "X/USD", side, share * 120 * 10_000, 7200, params)
    one = played(even_market(), algo, 10, seed=1)

    assert by_law(one) == pytest.approx(2 / 3 * 1e4 * Y * 0.03 * math.sqrt(share * 1_200_000 / 14_400_000))
    assert by_law(one) == pytest.approx(one.truth_bps, rel=0.01)
    assert one.impact_bps() == pytest.approx(one.truth_bps)
    assert measured(one.report).row()["twin_impact_bps"] == pytest.approx(one.truth_bps)
    assert one.report.notes[NOTE]["impact"] == pytest.approx(one.truth_bps / 1e4 * measure(one.report).notional)
    assert attributed(one.report, twin_run([one.report], one.place)).notes["impact_method"] == "twin run"
