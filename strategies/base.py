"""What a strategy is: it sees closed bars, or every trade, and its own account, and answers with parent orders.

A strategy knows no venue, no clock and no other strategy; what it may use stands in the arguments of its methods.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from core import checks
from core.contracts import OHLCVBar, OrderIntent, Side

if TYPE_CHECKING:
    from core.bars import Bars

P = TypeVar("P")
Signals = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Account:
    """What a strategy may know about itself when a bar has closed or a trade was heard.

    `ts_ns` is the bar's close, `price` its closing price; or when a trade was heard, and its price. `position_qty` and
    `working_qty` are signed base quantities (above 0: long, or buying); `working_qty` is what parents in flight have
    not filled yet. `equity` and `cash` are in quote currency.
    """

    symbol: str
    ts_ns: int
    price: float
    position_qty: float
    working_qty: float
    equity: float
    cash: float


class StrategyBase(ABC, Generic[P]):
    """What all strategies have: an id, parameters, and parents with numbers.

    Subclasses set `strategy_id` and `params_type`, a frozen dataclass. `seed` is there for strategies that draw:
    `core.chance.uniform(self.seed, self.strategy_id, ...)`.
    """

    strategy_id: ClassVar[str]
    params_type: ClassVar[type[Any]]

    def __init__(self, symbol: str, params: P, *, seed: int = 0) -> None:
        checks.named("symbol", symbol)
        if type(params) is not self.params_type:
            raise ValueError(
                f"params of {self.strategy_id} must be a {self.params_type.__name__}, was {type(params).__name__}"
            )
        self.symbol = symbol
        self.params = params
        self.seed = seed
        self._parents = 0

    def next_id(self) -> str:
        """`{strategy_id}-{n}`, n = 1, 2, ...: the same run gives the same ids."""
        self._parents += 1
        return f"{self.strategy_id}-{self._parents}"

    def parent(
        self, account: Account, side: Side, qty: float, *, limit_price: float | None = None, **meta: Any
    ) -> OrderIntent:
        """A parent order decided now: a market order, or a limit order where `limit_price` is given.

        `meta` goes to the execution as it is: `duration_seconds` (how long it may take), `urgency_seconds`.
        Raises ValueError where the contract refuses, for example a quantity that is not above 0.
        """
        return OrderIntent(
            intent_id=self.next_id(),
            ts_local_ns=account.ts_ns,
            strategy_id=self.strategy_id,
            symbol=self.symbol,
            side=side,
            type="market" if limit_price is None else "limit",
            qty=qty,
            limit_price=limit_price,
            meta=meta,
        )


class Strategy(StrategyBase[P]):
    """Closed bars in, parent orders out."""

    @abstractmethod
    def on_bar(self, bar: OHLCVBar, account: Account) -> Sequence[OrderIntent]:
        """The parents to start now that `bar` has closed; empty for none. Called once per bar, in order of time."""


class TickStrategy(StrategyBase[P]):
    """Public trades in, parent orders out; for histories of trades (`fillwright backtest --fills trades`)."""

    @abstractmethod
    def on_trade(
        self, ts_ns: int, price: float, qty: float, side: Side | None, account: Callable[[], Account]
    ) -> Sequence[OrderIntent]:
        """The parents to start now that this trade is known; empty for none. Called once per trade, in their order.

        `ts_ns` is the exchange's time, `side` the aggressor's, None where the data do not tell. `account()` is the
        account just before the moment in which the trade is heard; asking costs something, so ask when it matters, and
        not after the call is over. Parents start when that moment is over.
        """


class SignalStrategy(Strategy[P]):
    """A strategy whose opinion depends on the bars alone, and whose orders depend on the opinion and the account.

    History takes `signals` once and then visits only the bars with an opinion; live trading calls `on_bar`. Both must
    see the same opinions to the last bit, so compare prices exactly (`strategies.price_units`) and never let a bar's
    opinion depend on a later bar: `signals(bars[:k])` equals `signals(bars)[:k]` for every k.
    """

    @abstractmethod
    def signal(self, bar: OHLCVBar) -> int:
        """The direction to be in after this bar: 1 long, -1 short (or out), 0 no opinion. O(1), changes own state."""

    @abstractmethod
    def on_signal(self, signal: int, account: Account) -> Sequence[OrderIntent]:
        """The parents that a signal of 1 or -1 asks for, given what is held and what is already on its way."""

    def silent_until_ns(self) -> int:
        """A time before which `on_signal` wants nothing and changes nothing, whatever it is told; 0: there is none.

        History does not ask it before then, and so need not know the account. It may change when `on_signal` acts.
        """
        return 0

    def signals(self, bars: Bars) -> Signals:
        """`signal` of every bar as int8, shape (n,), as a fresh strategy would answer; own state stays as it is.

        This one goes bar by bar: always right, some seconds for a million bars. Override it with array arithmetic.
        """
        fresh = type(self)(self.symbol, self.params, seed=self.seed)
        return np.fromiter((fresh.signal(bars.bar(k)) for k in range(len(bars))), np.int8, len(bars))

    def on_bar(self, bar: OHLCVBar, account: Account) -> Sequence[OrderIntent]:
        signal = self.signal(bar)
        return self.on_signal(signal, account) if signal else ()


AnyStrategy = Strategy[Any] | TickStrategy[Any]
