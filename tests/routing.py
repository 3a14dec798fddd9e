"""Routers for tests: markets that are told, parents, a simulated cost of every arm, and a router in a hall."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from core.chance import generator
from core.contracts import OrderIntent, Side
from core.instrument import Instrument
from execution.base import BaseExecutor
from execution.config import ExecutionConfig, RoutingConfig
from execution.contracts import ExecutionAlgorithm, ExecutionReport
from execution.routing.chooser import Asked, Chooser
from execution.routing.decision import Decision
from execution.routing.ledger import NOWHERE, Ledger
from execution.routing.settings import LearningConfig
from execution.routing.situation import MarketNow, Situation
from tests.naive import START_NS

SYMBOL = "ATOM/USDT"
INSTRUMENT = Instrument(SYMBOL, tick="0.01", lot="1")
ALGORITHMS = ("TWAP", "VWAP", "POV", "IS")
DAY_NS = 86_400_000_000_000
KNOWN = MarketNow(price=10.0, spread_bps=5.0, volatility=0.04, daily_volume=1e6, regularity=0.3)


def parent(number: int = 1, qty: float = 100, side: Side = "buy", **meta: Any) -> OrderIntent:
    return OrderIntent(f"p-{number}", START_NS, "tester", SYMBOL, side, "market", qty, meta=meta)


def config(router: str | None = None, learning: LearningConfig | None = None, **routing: Any) -> ExecutionConfig:
    return ExecutionConfig(routing=RoutingConfig(router=router, learning=learning or LearningConfig(), **routing))


def situation(qty: float = 100, seconds: int = 1800, side: Side = "buy", **market: Any) -> Situation:
    return Situation(symbol=SYMBOL, side=side, quantity=qty, duration_s=seconds, market=replace(KNOWN, **market))


def report_of(decision: Decision, cost_bps: float, *, ts_ns: int | None = None, **more: Any) -> ExecutionReport:
    """An execution that cost so much against arrival, in a market that stood still."""
    price = 100.0 * (1 + cost_bps / 1e4 * (1 if decision.side == "buy" else -1))
    ended = decision.ts_ns if ts_ns is None else ts_ns
    fields: dict[str, Any] = {
        "filled_quantity": decision.quantity,
        "remaining_quantity": 0.0,
        "avg_fill_price": price,
        "total_fees": 0.0,
        "slices_completed": 1,
        "slices_total": 1,
        "status": "completed",
        "start_ts_ns": decision.ts_ns,
        "end_ts_ns": ended,
        "side": decision.side,
        "decision_price": 100.0,
        "arrival_price": 100.0,
        "end_price": 100.0,
        "benchmark_twap": 100.0,
    }
    return ExecutionReport(decision.execution_id, SYMBOL, decision.quantity, **{**fields, **more})


class World:
    """Orders of one kind and arms of given costs, forecast alike: 8 bps. Noise of sd 20 bps, twenty orders a day.

    Nobody knows volatility or volume, so forecasts are fees alone; the horizon makes a surprise of 1 worth 40 bps.
    """

    SECONDS = 864
    NOISE_BPS = 20.0
    PER_DAY = 20

    def __init__(self, seed: int, costs: Mapping[str, float], *, ledger: Ledger = NOWHERE, **learning: Any) -> None:
        told = {"prior_orders": 16.0, "noise": 0.5, "explore_below": 1e9, **learning}
        self.chooser = Chooser(
            config("learn", LearningConfig(arms=tuple(costs), **told)),
            "learn",
            algorithms=ALGORITHMS,
            seed=seed,
            ledger=ledger,
        )
        self.costs = dict(costs)
        self._noise = generator(seed, "world")
        self._market = MarketNow(price=10.0, maker_fee_bps=8.0, taker_fee_bps=8.0)
        self._orders = 0

    def order(self) -> Decision:
        """One more order, worked and paid."""
        self._orders += 1
        now_ns = START_NS + self._orders * DAY_NS // self.PER_DAY
        wanted = Situation(symbol=SYMBOL, side="buy", quantity=100.0, duration_s=self.SECONDS, market=self._market)
        decision = self.chooser.decide(Asked(f"x-{self._orders}", "", "tester"), wanted, now_ns)
        self.chooser.begin(decision)
        cost = self.costs[decision.arm] + self.NOISE_BPS * float(self._noise.standard_normal())
        self.chooser.observe(report_of(decision, cost))
        return decision

    def regrets(self, orders: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        """What each order was expected to cost more than by the best arm."""
        return np.array([self.costs[self.order().arm] - min(self.costs.values()) for _ in range(orders)])


class Plans(BaseExecutor):
    """An executor of somebody else's: plans so many children at once, all with the same ids as everybody else's."""

    def __init__(self, children: int = 2) -> None:
        super().__init__("planner")
        self.children = children

    async def plan_execution(self, algo: ExecutionAlgorithm) -> list[OrderIntent]:
        qty = algo.total_quantity / self.children
        return [
            OrderIntent(
                f"order-{k}", START_NS, "planner", algo.symbol, algo.side, "market", qty,
                meta={"scheduled_ts_ns": START_NS + k * 30_000_000_000},
            )
            for k in range(self.children)
        ]  # fmt: skip


class Breaks(BaseExecutor):
    """An executor that raises."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__("broken")
        self.error = error or RuntimeError("out of order")

    async def plan_execution(self, algo: ExecutionAlgorithm) -> list[OrderIntent]:
        raise self.error


def is_nan(value: float) -> bool:
    return math.isnan(value)
