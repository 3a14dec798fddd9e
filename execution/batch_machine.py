"""Parents of a batch that the loop does not cover: played by the machine, with output of the same form."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.contracts import FillEvent, OrderClosed, OrderIntent, RiskDecision, Side
from execution.batch_intake import Handed
from execution.batch_log import Columns, of_fills, of_orders
from execution.batch_tables import Fill, Order, records
from execution.contracts import ExecutionReport
from execution.desk import Desk, Worked
from execution.parent import ParentOrder
from execution.venue import Venue


def reported(venue: Venue, handed: Handed, recorder: Recorder | None = None) -> ExecutionReport:
    """The parent, played by the machine on a desk of its own."""
    reports: list[ExecutionReport] = []
    on_fill = recorder.on_fill_in if recorder is not None else lambda _fill, _bar: None
    desk = Desk(venue.market(), venue.tape, recorder, venue.settings, on_fill, reports.append)
    desk.start(handed.worked, handed.now_ns, handed.seen_bar)
    k = desk.next_bar(handed.seen_bar)
    while k is not None:
        desk.play(k)
        k = desk.next_bar(k)
    desk.finish(len(venue.bars) - 1)
    return reports[0]


class Recorder:
    """A gate that lets everything pass and writes it down."""

    def __init__(self, number: int, worked: Worked, venue: Venue) -> None:
        self.orders: list[Order] = []
        self.fills: list[Fill] = []
        self._number = number
        self._worked = worked
        self._instrument = venue.instrument
        self._close_ns: NDArray[np.int64] = venue.bars.ts_close_ns
        self._children: dict[str, int] = {}

    def columns(self) -> tuple[Columns, Columns]:
        """Commands and fills, as parts of the batch's logs."""
        orders, fills = records(Order, self.orders), records(Fill, self.fills)
        orders["seen_bar"] = np.searchsorted(self._close_ns, orders["ts_ns"], side="right") - 1
        number = np.array([self._number])
        return of_orders(orders, number), of_fills(fills, number)

    def check(self, intent: OrderIntent, now_ns: int) -> RiskDecision:
        child = intent.target_intent_id if intent.action == "cancel" else intent.intent_id
        number = self._children.setdefault(str(child), len(self._children))
        limit = intent.limit_price
        self.orders.append(
            Order(
                number=number,
                cancel=int(intent.action == "cancel"),
                ts_ns=now_ns,
                slice_idx=int(intent.meta["slice_idx"]),
                lots=self._instrument.lots(intent.qty),
                limit_ticks=0 if limit is None else self._instrument.ticks(limit),
                marketable=int(self._is_marketable(str(child), limit)),
            )
        )
        return RiskDecision(intent.intent_id, True)

    def _is_marketable(self, child: str, limit: float | None) -> bool:
        known = self._worked.children.get(child) if isinstance(self._worked, ParentOrder) else None
        return limit is None if known is None else known.marketable

    def on_fill_in(self, fill: FillEvent, bar: int) -> None:
        self.fills.append(
            Fill(
                child=self._children[fill.order_id],
                ts_ns=fill.ts_fill_ns,
                bar=bar,
                lots=self._instrument.lots(fill.qty),
                price=fill.price,
                maker=int(fill.liquidity == "maker"),
            )
        )

    def on_parent(self, execution_id: str, symbol: str, side: Side, qty: float) -> None:
        """Nobody is limited."""

    def on_fill(self, fill: FillEvent) -> None:
        """Written down with its bar, above."""

    def on_closed(self, closed: OrderClosed) -> None:
        """The machine's report has it."""

    def on_price(self, symbol: str, bid: float, ask: float, ts_ns: int) -> None:
        """Nobody is limited."""
