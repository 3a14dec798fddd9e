"""From a wish to a parent at work: which algorithm, with which parameters, under which executor.

A strategy's parent intent says what to trade; `meta` may say how (`algo_type`, `duration_seconds`, `params`), and the
execution settings say the rest. What came of it is a `Request`, complete enough to make the same parent again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from core.contracts import Contract, OrderIntent
from core.frozen import EMPTY
from core.ids import execution_id
from core.instrument import Instrument
from execution.base import RuleExecutor
from execution.config import ExecutionConfig
from execution.contracts import AlgoType, ExecutionAlgorithm, ExecutionReport
from execution.desk import Worked
from execution.executors import executor, work
from execution.profile import VolumeHistory
from execution.twap import MarketOrderExecutor

_PLAIN: Final = ExecutionConfig()


@dataclass(frozen=True, slots=True)
class Request(Contract):
    """A parent to work. `price`: near the market when it was asked for; `whole`: as one market order."""

    execution_id: str
    parent_intent_id: str
    strategy_id: str
    algo: ExecutionAlgorithm
    start_ns: int
    price: float
    decision_price: float | None = None
    venue: str | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Takes parents of one instrument in. `config` None: a parent is one market order.

    `arguments`: what executors should know of the market (`least_interval_ms`, `stale_seconds`, ...).
    """

    instrument: Instrument
    config: ExecutionConfig | None
    volumes: VolumeHistory | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    _executors: dict[tuple[str, str], RuleExecutor] = field(default_factory=dict, init=False, repr=False, compare=False)

    def request(
        self, intent: OrderIntent, now_ns: int, price: float, *, decision_price: float | None = None
    ) -> Request:
        """The parent that an intent asks for; its own wishes win over the configured ones.

        Raises ValueError for a quantity below one lot, or what `ExecutionAlgorithm` refuses.
        """
        lots = self.instrument.lots(intent.qty)
        if lots == 0:
            raise ValueError(f"quantity {intent.qty} is less than one lot of {self.instrument.lot}")
        meta = intent.meta
        routing = (self.config or _PLAIN).routing
        params = dict(meta.get("params", {}))
        if intent.limit_price is not None:
            params.setdefault("limit_price", intent.limit_price)
        algo = ExecutionAlgorithm(
            algo_type="TWAP" if self.config is None else meta.get("algo_type", routing.default_algo),
            symbol=intent.symbol,
            side=intent.side,
            total_quantity=self.instrument.qty(lots),
            duration_seconds=int(meta.get("duration_seconds", routing.duration_seconds)),
            params=params,
        )
        return Request(
            execution_id=self.name(intent.strategy_id, intent.intent_id),
            parent_intent_id=intent.intent_id,
            strategy_id=intent.strategy_id,
            algo=algo,
            start_ns=now_ns,
            price=price,
            decision_price=decision_price,
            venue=meta.get("venue"),
            whole=self.config is None,
        )

    def name(self, strategy_id: str, intent_id: str) -> str:
        """The execution id of a parent intent."""
        return execution_id(self.seed, strategy_id, intent_id)

    def refusal(
        self, intent: OrderIntent, now_ns: int, price: float, reason: str, settings: Mapping[str, Any] = EMPTY
    ) -> ExecutionReport:
        """The report of a parent that cannot be worked at all."""
        return ExecutionReport(
            execution_id=self.name(intent.strategy_id, intent.intent_id),
            symbol=intent.symbol,
            total_quantity=intent.qty,
            filled_quantity=0.0,
            remaining_quantity=intent.qty,
            avg_fill_price=math.nan,
            total_fees=0.0,
            slices_completed=0,
            slices_total=0,
            status="failed",
            start_ts_ns=now_ns,
            end_ts_ns=now_ns,
            side=intent.side,
            strategy_id=intent.strategy_id,
            parent_intent_id=intent.intent_id,
            venue=self.instrument.venue,
            decision_price=price,
            arrival_price=price,
            end_price=price,
            unfilled_reason=reason,
            settings=dict(settings),
        )

    def work(self, request: Request) -> Worked:
        """The parent, ready to be driven. Raises ValueError where its algorithm refuses it."""
        made = self._executor("" if request.whole else request.algo.algo_type, request.strategy_id)
        return work(
            made,
            request.algo,
            start_ns=request.start_ns,
            price=request.price,
            execution_id=request.execution_id,
            parent_intent_id=request.parent_intent_id,
            venue=request.venue,
        )

    def _executor(self, kind: AlgoType | Literal[""], strategy_id: str) -> RuleExecutor:
        """The executor of an algorithm, made once: what it checks is the same for every parent. "": all at once."""
        key = (kind, strategy_id)
        known = self._executors.get(key)
        if known is None:
            keywords = {**self.arguments, "instrument": self.instrument, "seed": self.seed}
            if kind == "" or self.config is None:
                known = MarketOrderExecutor(strategy_id, **keywords)
            else:
                known = executor(kind, strategy_id, volumes=self.volumes, **{**self.config.defaults(kind), **keywords})
            self._executors[key] = known
        return known
