"""Backtests on bars made by hand: a scripted strategy, a plain market, and the account done again slowly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from backtest.engine import BacktestEngine, BacktestResult
from core.bars import Bars
from core.contracts import OHLCVBar, OrderIntent, Side, sign
from core.instrument import Instrument
from execution.config import ExecutionConfig, FillConfig, TwapConfig
from execution.desk import Gate
from execution.slippage import SlippageModel
from execution.spread import Spread
from execution.venue import venue
from strategies.base import Account, Strategy
from tests.naive import MINUTE_NS, START_NS

SYMBOL = "ATOM/USDT"
PLAIN = Instrument(SYMBOL, "sim", tick="0.01", lot="1")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoParams:
    """The script is the parameter."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A parent for the script: when (the bar that has just closed), what, and how."""

    bar: int
    side: Side
    qty: float
    seconds: int = 300
    limit_price: float | None = None
    algo_type: str = "TWAP"
    slices: int | None = None


class Scripted(Strategy[NoParams]):
    """Asks for the parents of its script, and keeps every account that it is shown."""

    strategy_id = "scripted"
    params_type = NoParams

    def __init__(self, *wishes: Wish, on_bar: Callable[[int], None] = lambda _bar: None) -> None:
        super().__init__(SYMBOL, NoParams())
        self.wishes = wishes
        self.accounts: list[Account] = []
        self._also = on_bar

    def on_bar(self, bar: OHLCVBar, account: Account) -> Sequence[OrderIntent]:
        k = len(self.accounts)
        self.accounts.append(account)
        self._also(k)
        return [
            self.parent(
                account,
                wish.side,
                wish.qty,
                limit_price=wish.limit_price,
                duration_seconds=wish.seconds,
                algo_type=wish.algo_type,
                params={} if wish.slices is None else {"slice_count": wish.slices},
            )
            for wish in self.wishes
            if wish.bar == k
        ]


def bars_from(rows: Sequence[tuple[float, float, float, float, float]]) -> Bars:
    """One-minute bars from (open, high, low, close, volume)."""
    table = np.array(rows, np.float64).reshape(-1, 5)
    ts = START_NS + np.arange(len(table)) * MINUTE_NS
    columns = (np.ascontiguousarray(table[:, column]) for column in range(5))
    bars = Bars(SYMBOL, ts, ts + MINUTE_NS, *columns)
    bars.check()
    return bars


def flat(count: int, price: float = 10.0, volume: float = 1000.0) -> Bars:
    return bars_from([(price, price, price, price, volume)] * count)


def twap_config(order_type: Any = "market", slices: int = 5, **fills: Any) -> ExecutionConfig:
    twap = TwapConfig(default_slices=slices, order_type=order_type)
    return ExecutionConfig(algorithms=(twap,), fills=FillConfig(**fills))


def backtest(
    bars: Bars,
    strategy: Strategy[Any],
    *,
    execution: ExecutionConfig | None = None,
    gate: Gate | None = None,
    capital: float = 10_000.0,
    instrument: Instrument = PLAIN,
    half_spread: float = 0.0,
    slippage: SlippageModel | None = None,
    seed: int = 0,
    **more: Any,
) -> BacktestResult:
    """Through the real engine, desk and market; nothing is charged unless the test says so."""
    made = venue(
        bars,
        instrument,
        slippage,
        spread=Spread(np.full(len(bars), half_spread), "test"),
        fills=(execution or ExecutionConfig()).fills,
    )
    return BacktestEngine(made, strategy, execution=execution, gate=gate, capital=capital, seed=seed, **more).run()


def account_again(
    result: BacktestResult, bars: Bars, capital: float
) -> list[tuple[Fraction, Fraction, Fraction]]:  # fmt: skip
    """(equity, cash, position) at the start and at every close, from the fills and the closes alone, exactly.

    A fill at a bar's open and one at its close both belong to that bar.
    """
    cash, position = Fraction(capital), Fraction(0)
    out = [(cash, cash, position)]
    fills = list(result.fills)
    for k in range(len(bars)):
        opens, closes = int(bars.ts_open_ns[k]), int(bars.ts_close_ns[k])
        while fills and (
            fills[0].ts_fill_ns < closes or (fills[0].ts_fill_ns == closes and fills[0].liquidity == "maker")
        ):
            fill = fills.pop(0)
            assert fill.ts_fill_ns >= opens
            change = sign(fill.side) * Fraction(repr(fill.qty))
            position += change
            cash -= change * Fraction(fill.price) + Fraction(fill.fee)
        out.append((cash + position * Fraction(float(bars.close[k])), cash, position))
    assert not fills
    return out


def check_account(result: BacktestResult, bars: Bars, capital: float) -> None:
    """Equity, cash and position of a run agree with its fills, at every close."""
    again = account_again(result, bars, capital)
    assert len(result.equity) == len(result.cash) == len(result.position) == len(bars) + 1
    for k, (equity, cash, position) in enumerate(again):
        assert abs(Fraction(float(result.equity[k])) - equity) < Fraction(1, 10**6)
        assert abs(Fraction(float(result.cash[k])) - cash) < Fraction(1, 10**6)
        assert result.position[k] == float(position)


def filled_in_bar(result: BacktestResult, bars: Bars) -> dict[int, float]:
    """Our own volume in each bar; takers trade at its open, makers until its close."""
    own: dict[int, float] = {}
    for fill in result.fills:
        side = "right" if fill.liquidity == "taker" else "left"
        k = int(np.searchsorted(bars.ts_open_ns, fill.ts_fill_ns, side=side)) - 1  # type: ignore[call-overload]
        own[k] = own.get(k, 0.0) + fill.qty
    return own
