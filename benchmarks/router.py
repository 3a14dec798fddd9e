"""What routing adds to a parent beyond the executor's own planning.

    python benchmarks/router.py [--parents N]

Each decision is timed by itself: the situation, the rules, the expected costs of all arms, the draw and the record of
it, with the forecasts that it has made before kept. Parents are of mixed size and horizon, in a market whose volatility
changes from day to day, and every fifth one has an outcome that is learnt from. `report` is what an outcome costs.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from core.chance import generator
from core.contracts import OrderIntent
from execution.base import RuleExecutor
from execution.config import ExecutionConfig, RoutingConfig
from execution.contracts import ExecutionAlgorithm, ExecutionReport
from execution.executors import executor
from execution.routing.attempts import with_arm
from execution.routing.chooser import Asked, Chooser
from execution.routing.decision import Decision
from execution.routing.ledger import Memory
from execution.routing.situation import MarketNow, Situation

SYMBOL = "ATOM/USDT"
START_NS = 1_735_689_600_000_000_000
DAY_NS = 86_400_000_000_000
ALGORITHMS = ("TWAP", "VWAP", "POV", "IS")


def main() -> None:
    arguments = argparse.ArgumentParser(description="Time the router.")
    arguments.add_argument("--parents", type=int, default=5000)
    count = arguments.parse_args().parents
    planning = planning_us(min(count, 1000))
    print(f"{'us per parent':28}{'p50':>9}{'p95':>9}{'p99':>9}{'mean':>9}")
    show("an executor's planning", planning)
    for mode in ("rules", "learn"):
        routing, reports = routing_us(mode, count)
        show(f"routing, {mode}", routing)
        if mode == "learn":
            show("learning from a report", reports)


def routing_us(mode: str, count: int) -> tuple[list[float], list[float]]:
    settings = ExecutionConfig(routing=RoutingConfig(router=mode))
    chooser = Chooser(settings, mode, algorithms=ALGORITHMS, ledger=Memory())
    chance = generator("benchmark")
    volatility = 0.04 * np.exp(0.1 * np.cumsum(chance.standard_normal(count // 200 + 1)))
    sizes, seconds = np.exp(chance.normal(5.5, 1.0, count)), chance.choice([600, 1800, 7200], count)
    spent, learnt = [], []
    for number in range(count):
        now_ns = START_NS + number * DAY_NS // 200
        intent = OrderIntent(f"p-{number}", now_ns, "bench", SYMBOL, "buy", "market", float(sizes[number]))
        market = MarketNow(
            price=10.0, spread_bps=5.0, volatility=float(volatility[number // 200]), daily_volume=1e6, regularity=0.2
        )
        began = time.perf_counter_ns()
        situation = Situation(
            symbol=SYMBOL, side="buy", quantity=intent.qty, duration_s=int(seconds[number]), market=market
        )
        decision = chooser.decide(Asked.by(intent, f"x-{number}"), situation, now_ns)
        with_arm(intent, decision.arm, duration_s=decision.duration_seconds)
        chooser.begin(decision)
        spent.append((time.perf_counter_ns() - began) / 1e3)
        if number % 5 == 0:
            report = report_of(decision, 5 + 20 * float(chance.standard_normal()))
            began = time.perf_counter_ns()
            chooser.observe(report)
            learnt.append((time.perf_counter_ns() - began) / 1e3)
        else:
            chooser.learner.ended(decision.execution_id)
    return spent, learnt


def planning_us(count: int) -> list[float]:
    """What starting a parent costs anyway: checking parameters, the schedule, the machine."""
    made: RuleExecutor = executor("TWAP", "bench")
    spent = []
    for number in range(count):
        algo = ExecutionAlgorithm("TWAP", SYMBOL, "buy", 100.0 + number, 1800)
        began = time.perf_counter_ns()
        made.start(algo, start_ns=START_NS, price=10.0, execution_id=f"x-{number}")
        spent.append((time.perf_counter_ns() - began) / 1e3)
    return spent


def report_of(decision: Decision, cost_bps: float) -> ExecutionReport:
    price = decision.conditions["price"]
    return ExecutionReport(
        decision.execution_id, SYMBOL, decision.quantity, decision.quantity, 0.0, price * (1 + cost_bps / 1e4), 0.0,
        1, 1, "completed", decision.ts_ns, decision.ts_ns, decision_price=price, arrival_price=price,
        end_price=price, benchmark_twap=price,
    )  # fmt: skip


def show(name: str, spent: list[float]) -> None:
    p50, p95, p99 = np.quantile(spent, [0.5, 0.95, 0.99])
    print(f"{name:28}{p50:9.1f}{p95:9.1f}{p99:9.1f}{np.mean(spent):9.1f}")


if __name__ == "__main__":
    main()
