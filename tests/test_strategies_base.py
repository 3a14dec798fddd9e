"""The promises of Strategy and SignalStrategy that hold for every subclass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import FrozenInstanceError, dataclass

import pytest

from core.contracts import OHLCVBar, OrderIntent
from strategies.base import Account, SignalStrategy, Strategy
from tests.naive import START_NS, bars_of


@dataclass(frozen=True)
class Params:
    qty: float = 2.0


@dataclass(frozen=True)
class OtherParams:
    qty: float = 2.0


class UpDay(SignalStrategy[Params]):
    """1 after a higher close, -1 after a lower one."""

    strategy_id = "up_day"
    params_type = Params

    def __init__(self, symbol: str, params: Params, *, seed: int = 0) -> None:
        super().__init__(symbol, params, seed=seed)
        self.last: float | None = None

    def signal(self, bar: OHLCVBar) -> int:
        before, self.last = self.last, bar.close
        return 0 if before is None else (bar.close > before) - (bar.close < before)

    def on_signal(self, signal: int, account: Account) -> Sequence[OrderIntent]:
        return (self.parent(account, "buy" if signal > 0 else "sell", self.params.qty, urgency_seconds=30),)


ACCOUNT = Account("ATOM/USDT", START_NS, 10.0, 0.0, 0.0, 1000.0, 1000.0)


def test_signals_without_an_array_version_are_those_of_bar_by_bar() -> None:
    assert UpDay("ATOM/USDT", Params()).signals(bars_of([5, 6, 6, 4])).tolist() == [0, 1, 0, -1]


def test_signals_of_no_bars_are_none() -> None:
    signals = UpDay("ATOM/USDT", Params()).signals(bars_of([]))
    assert signals.shape == (0,)
    assert signals.dtype == "int8"


def test_signals_leave_the_strategy_as_it_was() -> None:
    strategy = UpDay("ATOM/USDT", Params())
    strategy.signal(bars_of([9]).bar(0))
    assert strategy.signals(bars_of([5, 6])).tolist() == [0, 1]
    assert strategy.last == 9


def test_a_bar_without_an_opinion_never_reaches_the_account() -> None:
    strategy, bars = UpDay("ATOM/USDT", Params()), bars_of([5, 5, 6])
    parents = [strategy.on_bar(bars.bar(k), ACCOUNT) for k in range(3)]
    assert [len(some) for some in parents] == [0, 0, 1]


def test_a_parent_carries_who_when_what_and_meta() -> None:
    strategy = UpDay("ATOM/USDT", Params())
    first, second = strategy.parent(ACCOUNT, "buy", 2.0, urgency_seconds=30), strategy.parent(ACCOUNT, "sell", 1.0)
    assert (first.intent_id, second.intent_id) == ("up_day-1", "up_day-2")
    assert (first.strategy_id, first.symbol, first.ts_local_ns) == ("up_day", "ATOM/USDT", START_NS)
    assert (first.side, first.type, first.qty, first.limit_price) == ("buy", "market", 2.0, None)
    assert first.meta == {"urgency_seconds": 30}


def test_a_parent_with_a_limit_price_is_a_limit_order() -> None:
    parent = UpDay("ATOM/USDT", Params()).parent(ACCOUNT, "buy", 2.0, limit_price=9.5)
    assert (parent.type, parent.limit_price) == ("limit", 9.5)


def test_params_of_another_class_are_refused() -> None:
    with pytest.raises(ValueError, match="params of up_day must be a Params, was OtherParams"):
        UpDay("ATOM/USDT", OtherParams())  # type: ignore[arg-type]


def test_a_strategy_without_on_bar_cannot_be_made() -> None:
    class Silent(Strategy[Params]):
        strategy_id = "silent"
        params_type = Params

    with pytest.raises(TypeError, match="on_bar"):
        Silent("ATOM/USDT", Params())  # type: ignore[abstract]


def test_an_account_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        ACCOUNT.cash = 1e9  # type: ignore[misc]
