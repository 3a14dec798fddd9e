"""From a direction to a parent order: how much, and whether now. Shared by all strategies that hold one position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from core import checks
from core.contracts import OrderIntent, Side
from strategies.base import Account, SignalStrategy

HELD_SHARE = 0.5  # from half of the target on a position counts as held: no top-ups each time the price moves
NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionalParams:
    """How a direction becomes orders.

    equity_fraction: target position value as a share of equity, above 0 up to 1. The rest pays spread and fees.
    allow_short: whether -1 means short; where false it means out.
    cooldown_seconds: least time between two parents, 0 or more.
    duration_seconds: time that the execution of a parent may take, whole seconds from 1 on.
    dust_fraction: positions worth less than this share of equity count as flat, 0 up to below 1.
    """

    equity_fraction: float = 0.95
    allow_short: bool = False
    cooldown_seconds: int = 1_800
    duration_seconds: int = 600
    dust_fraction: float = 0.001

    def __post_init__(self) -> None:
        if not 0 < self.equity_fraction <= 1:
            raise ValueError(f"equity_fraction must be above 0 and at most 1, was {self.equity_fraction}")
        if not 0 <= self.dust_fraction < self.equity_fraction:
            raise ValueError(
                f"dust_fraction must be at least 0 and below equity_fraction {self.equity_fraction}, "
                f"was {self.dust_fraction}"
            )
        checks.not_negative("cooldown_seconds", self.cooldown_seconds)
        checks.between("duration_seconds", self.duration_seconds, 1, 86_400)


D = TypeVar("D", bound=DirectionalParams)


class DirectionalStrategy(SignalStrategy[D]):
    """Holds one position in the direction of its last signal; subclasses say only what the signal is.

    Long and short aim at `equity_fraction` of equity in value. Leaving sells all that is held. While a parent is in
    flight, or within the cool-down of the last one, a signal is passed over; the next one is heard again.
    """

    def __init__(self, symbol: str, params: D, *, seed: int = 0) -> None:
        super().__init__(symbol, params, seed=seed)
        self._ready_ns = 0

    def on_signal(self, signal: int, account: Account) -> Sequence[OrderIntent]:
        if account.working_qty or account.ts_ns < self._ready_ns:
            return ()
        change = self._change(signal, account)
        if not change:
            return ()
        params = self.params
        self._ready_ns = account.ts_ns + int(params.cooldown_seconds * NS)
        side: Side = "buy" if change > 0 else "sell"
        return (self.parent(account, side, abs(change), duration_seconds=params.duration_seconds),)

    def silent_until_ns(self) -> int:
        """The end of the cool-down; whoever has an `on_signal` of their own says for themselves when that is silent."""
        return self._ready_ns if type(self).on_signal is DirectionalStrategy.on_signal else 0

    def _change(self, signal: int, account: Account) -> float:
        """Signed quantity to trade, 0.0 for none. Without equity above 0 nothing is opened, but what is held can go."""
        params = self.params
        held_value = account.position_qty * account.price
        if signal < 0 and not params.allow_short:
            return -account.position_qty if held_value > params.dust_fraction * account.equity else 0.0
        if not account.equity > 0:
            return 0.0
        target_value = params.equity_fraction * account.equity
        if signal * held_value >= HELD_SHARE * target_value:
            return 0.0
        return signal * target_value / account.price - account.position_qty
