"""Iceberg: shows a little of a resting order, and more once that has been filled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core import ids, topics
from core.contracts import OrderIntent, QuoteEvent
from execution.algorithm import Schedule, Terms
from execution.base import Facts, RuleExecutor, common_plan
from execution.children import child_meta
from execution.contracts import ExecutionAlgorithm
from execution.kernel import kernel
from execution.params import IcebergParams
from execution.parent import ParentOrder
from execution.plan import Curve, Plan, Style, View
from execution.sliced import DEFAULT_SLICES, refuse_below_minimum
from execution.states import State
from execution.switchboard import OWN_TOPICS, Command, Switchboard
from execution.whole_lots import cumulative_lots

if TYPE_CHECKING:
    from core.bus import BusProto
    from execution.adapters import Listener


@kernel
def due(plan: Plan, curve: Curve, view: View) -> int:  # noqa: ARG001 - all rules take the same
    """All of it, from the start on: what is shown at a time is bounded by the display, not by a schedule."""
    return plan.quantity if view.now_ms >= 0 else 0


class IcebergExecutor(RuleExecutor):
    """Shows `visible_ratio` of the quantity and replenishes when `replenish_threshold` of that is filled.

    More keyword arguments: see `RuleExecutor`; parameters: see `execution.params.IcebergParams`.
    """

    algo_type = "Iceberg"
    params_type = IcebergParams
    due = staticmethod(due)

    def __init__(
        self, strategy_id: str, visible_ratio: float = 0.1, replenish_threshold: float = 0.5, **keywords: Any
    ) -> None:
        super().__init__(strategy_id, visible_ratio=visible_ratio, replenish_threshold=replenish_threshold, **keywords)

    def schedule(self, params: IcebergParams, terms: Terms, facts: Facts) -> Schedule:
        refuse_below_minimum(terms, facts.min_lots)
        if params.display_quantity is not None:
            display = facts.instrument.lots(params.display_quantity)
        else:
            display = int(terms.quantity * params.visible_ratio)
        display = min(terms.quantity, max(display, facts.min_lots * len(params.levels)))
        levels = params.levels[: display // facts.min_lots]  # what one level shows is an order that the venue takes
        fixed = params.price == "fixed" or (params.price is None and params.limit_price is not None)
        plan = Plan(
            side=facts.side,
            nominal=terms.quantity,
            min_lots=facts.min_lots,
            style=Style.FIXED if fixed else Style.PEG,
            display=display,
            refill_ppm=round((1 - params.replenish_threshold) * 1_000_000),
            levels=len(levels),
            level_ticks=params.level_ticks,
            jitter_ppm=round(params.clip_jitter * 1_000_000),
            repeg_ticks=params.repeg_ticks,
            completion_ms=self.lead_ms(params, terms, DEFAULT_SLICES),
            **common_plan(params, terms),
        )
        return Schedule(plan, Curve(targets=cumulative_lots(np.array(levels), display)), {})

    async def plan_execution(self, algo: ExecutionAlgorithm) -> list[OrderIntent]:
        """The visible part: one intent per price level."""
        return self.first_children(algo)

    def _create_visible_intent(
        self, execution_id: str, visible_qty: float, limit_price: float, scheduled_ts_ns: int
    ) -> OrderIntent:
        """The intent of a clip of an execution of this executor, numbered behind those that it has sent.

        Quantity and price are rounded to the grid, towards less and to our side of it. Only shown here: the machine
        does not know of it, and numbers its own next clip alike.

        Raises ValueError for more than the display, or less than a lot.
        """
        machine = self.machine(execution_id)
        parent, instrument = machine.parent, machine.instrument
        lots = instrument.lots(visible_qty)
        if not 1 <= lots <= machine.plan.display:
            most = instrument.qty(machine.plan.display)
            raise ValueError(f"visible_qty must be between a lot of {instrument.lot} and {most}, was {visible_qty}")
        ticks = instrument.ticks(limit_price) if parent.side == "buy" else instrument.ticks_up(limit_price)
        number = len(machine.children)
        return OrderIntent(
            ids.child_id(execution_id, number),
            self.clock.now_ns(),
            self.strategy_id,
            parent.symbol,
            parent.side,
            "limit",
            instrument.qty(lots),
            instrument.price(ticks),
            child_meta(parent, number, scheduled_ts_ns),
        )

    def _monitor_and_replenish(
        self, bus: BusProto, execution_id: str, algo: ExecutionAlgorithm
    ) -> AsyncIterator[OrderIntent]:
        """What follows the first clips of `plan_execution`: `async for intent in executor._monitor_and_replenish(...)`.

        Further clips, each on evidence that what was shown is gone, cancels of clips that the touch has left behind,
        and at the end of the horizon cancels of what is open; with them, or with the parent, it ends. What comes after
        that is for `_monitor_fills`. It listens from the call on, so it is no `async def`: call it before the first
        clips are published. The market is that of the bus, else that of `quotes`, else a fixed limit is taken for it.

        Raises ValueError for an execution that was not started by this executor.
        """
        from execution.adapters import Listener, timer_of

        machine = self.machine(execution_id)
        board = Switchboard({algo.symbol: machine.instrument})
        board.admit(machine, children=[child.intent_id for child in machine.children])
        return self._replenished(Listener(bus, board.topics, timer_of(self.clock)), board, machine, algo)

    async def _replenished(
        self, listener: Listener, board: Switchboard, machine: ParentOrder, algo: ExecutionAlgorithm
    ) -> AsyncIterator[OrderIntent]:
        from execution.adapters import Signal

        tracker = self.tracker(machine.parent.execution_id)
        params = self.params(algo)
        seen_on_bus = False
        async with listener:
            commands = board.begin(machine.parent.execution_id, self.clock.now_ns())
            while True:
                for command in commands:
                    if isinstance(command, OrderIntent):
                        tracker.add(command)
                        yield command
                time_is_over = machine.view.now_ms >= machine.plan.end_ms
                if machine.ended or (machine.state is State.CLOSING and time_is_over):
                    return
                heard = await listener.next(board.wake_ns)
                if heard is Signal.END:
                    return
                now_ns = self.clock.now_ns()
                commands = []
                if not isinstance(heard, Signal):
                    seen_on_bus = seen_on_bus or heard[0] not in OWN_TOPICS
                if not seen_on_bus:
                    commands += self._look(board, algo.symbol, machine, params, now_ns)
                if heard is Signal.TIME:
                    commands += board.wake(now_ns)
                elif not isinstance(heard, Signal):
                    commands += board.hear(*heard, now_ns)

    def _look(
        self, board: Switchboard, symbol: str, machine: ParentOrder, params: IcebergParams, now_ns: int
    ) -> list[Command]:
        """The market where the bus has none: the mid of `quotes`, else the limit where all clips rest at it."""
        quoted = self.quotes(symbol) if self.quotes is not None else None
        if quoted is None and machine.plan.style == Style.FIXED:
            quoted = params.limit_price
        if quoted is None:
            return []
        return board.hear(topics.quotes(symbol), QuoteEvent(symbol, quoted, quoted, now_ns).to_dict(), now_ns)
