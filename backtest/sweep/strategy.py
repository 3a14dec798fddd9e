"""A backtest as a task of a sweep: a strategy over a market that the worker may have made for other settings before."""

from __future__ import annotations

import math
from typing import Any, Final

from backtest.engine import BacktestEngine
from backtest.metrics import DAY_NS, daily_returns
from backtest.summary import summarize
from backtest.sweep.figures import figures_of
from backtest.sweep.work import Work
from core.errors import ConfigError
from execution.stored import StoredMarket
from risk.gate import RiskGate
from strategies.base import Strategy
from strategies.registry import make

RETURN: Final = "return"


def run(work: Work, market: StoredMarket) -> dict[str, Any]:
    """Figures of account and executions; orders by yardstick, and days as if each were an order: its loss on 1."""
    assert work.strategy is not None and work.limits is not None  # noqa: PT018 - what a task of this study is made of
    strategy = make(work.strategy, work.symbol, work.strategy_params, seed=work.seed)
    if not isinstance(strategy, Strategy):
        raise ConfigError(f"{work.strategy} decides on trades: a sweep runs strategies of bars")
    result = BacktestEngine(
        market.venue,
        strategy,
        execution=None if work.whole else work.execution,
        gate=RiskGate(work.limits, instruments={work.symbol: market.instrument}),
        capital=work.capital,
        seed=work.seed,
    ).run()
    earned = summarize(result, capital=work.capital, multiplier=market.instrument.multiplier)
    found = figures_of(result.reports)
    names = ("total_return", "sharpe", "max_drawdown", "trades", "win_rate", "exposure", "turnover", "fees")
    found["figures"] = {
        "final_equity": earned.final_equity,
        **{name: getattr(earned.performance, name) for name in names},
        "denials": earned.denials,
        **found["figures"],
    }
    first = -(-int(result.ts_ns[0]) // DAY_NS)
    days = [
        (first + k, -value)
        for k, value in enumerate(daily_returns(result.ts_ns, result.equity).tolist())
        if math.isfinite(value)
    ]
    found["orders"][RETURN] = {
        "cost": [loss for _, loss in days],
        "notional": [1.0] * len(days),
        "day": [day for day, _ in days],
        "parent": [str(day) for day, _ in days],
    }
    return found
