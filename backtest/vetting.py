"""A run of the compiled loop before the risk gate: as a whole and at its end, because order by order costs too much.

`risk.clearance.clears` says whether the gate would have passed every order. Where it cannot say so the run is played
again by the machine, each order through the gate itself. The kill switch is of this world and not of the simulated
one: it is looked at whenever orders have been sent.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import numpy as np

from core.contracts import FillEvent, OrderClosed, OrderIntent, RiskDecision, Side
from execution.batch_run import LoopRun
from execution.desk import Gate
from execution.plan import NS_PER_MS
from execution.venue import Venue
from risk.clearance import Conduct, clears
from risk.gate import RiskGate

_SENT: Final = (
    *("ts_ns", "side", "lots", "limit_ticks", "parent", "slice_idx", "scheduled_ns"),
    *("taken", "closed_at", "bid", "ask", "seen_bar"),
)  # columns of an order that its gate wants to know


def is_vettable(gate: Gate | None) -> bool:
    """Whether a run before this gate can be vetted at its end: nobody asks, or it is the gate that we know, unused."""
    return gate is None or (type(gate) is RiskGate and gate.remembered == 0 and not gate.disabled)


def may_trade(gate: Gate | None, loop: LoopRun, venue: Venue) -> bool:
    """Whether the gate would have passed every order that has been sent, its kill switch apart."""
    return gate is None or (isinstance(gate, RiskGate) and clears(gate, conduct_of(loop, venue)))


class KillWatch:
    """Looks at the gate's kill switch whenever orders have been sent."""

    def __init__(self, gate: Gate | None, loop: LoopRun) -> None:
        self._gate = gate
        self._loop = loop
        self._passed = 0  # commands sent before the switch was found tripped
        self.tripped = False

    def look(self) -> None:
        sent = self._loop.commands
        if sent > self._passed and isinstance(self._gate, RiskGate) and not self.tripped:
            self.tripped = self._gate.kill is None or self._gate.kill.tripped()
            if not self.tripped:
                self._passed = sent

    def replayed(self) -> Gate:
        """The gate for playing the run again: what was sent before the switch was tripped has passed."""
        assert isinstance(self._gate, RiskGate)
        return _Recalling(self._gate, self._passed)


class _Recalling:
    """A gate that has answered before: the first intents pass as they did, and are counted and reserved."""

    def __init__(self, gate: RiskGate, passed: int) -> None:
        self._gate = gate
        self._left = passed

    def check(self, intent: OrderIntent, now_ns: int) -> RiskDecision:
        if self._left == 0:
            return self._gate.check(intent, now_ns)
        self._left -= 1
        decision = RiskDecision(intent.intent_id, True)
        self._gate.recall(intent, decision, now_ns)
        return decision

    def on_parent(self, execution_id: str, symbol: str, side: Side, qty: float) -> None:
        self._gate.on_parent(execution_id, symbol, side, qty)

    def on_fill(self, fill: FillEvent) -> None:
        self._gate.on_fill(fill)

    def on_closed(self, closed: OrderClosed) -> None:
        self._gate.on_closed(closed)

    def on_price(self, symbol: str, bid: float, ask: float, ts_ns: int) -> None:
        self._gate.on_price(symbol, bid, ask, ts_ns)


def conduct_of(loop: LoopRun, venue: Venue) -> Conduct:
    """What the parents of a run have sent and heard, as the gate wants to read it."""
    instrument, bars = venue.instrument, venue.bars
    orders, fills = loop.orders, loop.fills
    lot, tick = Fraction(instrument.lot), Fraction(instrument.tick)
    new = np.flatnonzero(orders["cancel"] == 0)
    place = np.zeros(len(orders), np.int64)
    place[new] = np.arange(len(new))
    sent = {name: orders[name][new] for name in _SENT}
    plans = [parent.plan for parent in loop.parents]
    ends_ns = np.array(
        [parent.parent.start_ns + plan.end_ms * NS_PER_MS for parent, plan in zip(loop.parents, plans, strict=True)],
        np.int64,
    )
    seen = sent["seen_bar"]
    reference_ns = np.where(seen < 0, bars.ts_open_ns[0], bars.ts_close_ns[seen])
    order, fill_lots = place[fills["row"]], fills["lots"].copy()
    money = fill_lots * lot.numerator / lot.denominator * fills["price"] * instrument.multiplier
    rates = np.where(fills["maker"] > 0, instrument.maker_fee_bps, instrument.taker_fee_bps)
    return Conduct(
        symbol=instrument.symbol,
        lot=instrument.qty(1),
        order_at=new,
        ts_ns=sent["ts_ns"],
        side=sent["side"],
        lots=sent["lots"],
        qty=sent["lots"] * lot.numerator / lot.denominator,
        limit=np.where(sent["limit_ticks"] > 0, sent["limit_ticks"] * tick.numerator / tick.denominator, np.nan),
        parent=sent["parent"],
        content=np.stack((sent["slice_idx"], sent["scheduled_ns"]), axis=1),
        expires_ns=ends_ns[sent["parent"]] if len(new) else np.zeros(0, np.int64),
        taken=sent["taken"],
        closed_at=sent["closed_at"],
        bid=sent["bid"] * tick.numerator / tick.denominator,
        ask=sent["ask"] * tick.numerator / tick.denominator,
        price_ns=reference_ns,
        commands=len(orders),
        cancel_ns=orders["ts_ns"][orders["cancel"] > 0],
        fill_order=order,
        fill_before=fills["commands"].copy(),
        fill_lots=fill_lots,
        fill_ts_ns=fills["ts_ns"].copy(),
        fill_cash=-money * (sent["side"][order] + rates / 1e4),
        parent_qty=np.array([parent.parent.total_quantity for parent in loop.parents], np.float64),
        parent_ids=[parent.parent.execution_id for parent in loop.parents],
        parent_side=np.array([plan.side for plan in plans], np.int64),
        begun_ns=np.array(loop.begun_ns, np.int64),
    )
