"""Fillwright's market of events on the book: the slices of hftbacktest's study, message by message, same delays.

`--prepared`: a feed of the best prices and trades alone, made of the same rows beforehand.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.contracts import FillEvent, OrderIntent
from core.instrument import Instrument
from execution.config import DEFAULT_FILLS
from execution.ticks.feed import TickFeed
from execution.ticks.latency import Latency
from execution.ticks.market import TickMarket
from execution.ticks.post import VenueEvent
from execution.ticks.prepared import best_of
from execution.ticks.rows import ASK_LEVEL, BID_LEVEL, TRADE, Rows

SYMBOL = "BTC/USDT"
SLICE = 0.1
INSTRUMENT = Instrument(SYMBOL, "venue", tick="0.01", lot="0.001", maker_fee_bps=-0.5, taker_fee_bps=7.0)
DELAYS = Latency(feed_ms=1, order_ms=1, cancel_ms=1, response_ms=1)


class Slices:
    """Sends a buy limit at the best bid at each wake-up, after cancelling the last one and crossing with its rest."""

    def __init__(self, market: TickMarket) -> None:
        self._market = market
        self._open: dict[str, float] = {}
        self.sent = 0
        self.fills: list[FillEvent] = []

    def work(self, wakes: NDArray[np.int64], end_ns: int) -> None:
        for wake_ns in wakes.tolist():
            self._play(wake_ns)
            self._wake(wake_ns)
        self._play(end_ns)

    def _play(self, until_ns: int) -> None:
        now_ns, events = self._market.run(until_ns)
        self._hear(events)
        while now_ns < until_ns or events:
            now_ns, events = self._market.run(until_ns)
            self._hear(events)

    def _hear(self, events: list[VenueEvent]) -> None:
        for event in events:
            if isinstance(event, FillEvent):
                self.fills.append(event)
                left = self._open[event.order_id] - event.qty
                self._open[event.order_id] = left
                if left < INSTRUMENT.qty(1) / 2:
                    del self._open[event.order_id]
            else:
                self._open.pop(event.intent_id, None)

    def _wake(self, now_ns: int) -> None:
        seen = self._market.view(now_ns)
        last = f"slice-{self.sent}"
        left = self._open.get(last, 0.0)
        if left:
            self._send(now_ns, left, seen.ask_ticks, cancels=last)
        self._send(now_ns, SLICE, seen.bid_ticks)

    def _send(self, now_ns: int, qty: float, ticks: int, cancels: str | None = None) -> None:
        price = INSTRUMENT.price(ticks)
        if cancels is not None:
            cancel = OrderIntent(
                f"{cancels}-cancel", now_ns, "slices", SYMBOL, "buy", "limit", qty, price,
                action="cancel", target_intent_id=cancels,
            )  # fmt: skip
            self._market.cancel(cancel, now_ns)
        self.sent += 1
        name = f"slice-{self.sent}"
        self._open[name] = qty
        self._market.submit(OrderIntent(name, now_ns, "slices", SYMBOL, "buy", "limit", qty, price), now_ns)


def main() -> None:
    arguments = argparse.ArgumentParser(description="Fillwright's side of the book's replay.")
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--prepared", action="store_true", help="best prices and trades alone, made beforehand")
    arguments.add_argument("--once", action="store_true", help="the first result only")
    chosen = arguments.parse_args()
    begun = time.perf_counter()
    columns = np.load(chosen.folder / "book.npz")
    wanted = feed(columns)
    wakes = columns["wakes"]
    build_s = time.perf_counter() - begun
    told: dict[str, Any] = {"build_s": build_s}
    if chosen.prepared:
        best_of(wanted)  # compiled
        begun = time.perf_counter()
        wanted = best_of(wanted)
        told |= {"prepare_s": time.perf_counter() - begun, "rows": len(wanted)}
    first, found = timed(wanted, wakes)
    told["first_s"] = first["run_s"]
    if not chosen.once:
        told |= timed(wanted, wakes)[0]
    print(json.dumps({**told, "events": len(columns["kind"]), **found}))


def feed(columns: Any) -> TickFeed:
    """The rows as they are. A trade's side is its aggressor's."""
    kind = np.array([TRADE, BID_LEVEL, ASK_LEVEL], np.int8)[columns["kind"]]
    side = np.where(columns["kind"] == 0, columns["side"], 0).astype(np.int8)
    rows = Rows(kind, columns["ts_ns"], columns["ticks"], columns["lots"].astype(np.float64), side)
    return TickFeed(SYMBOL, "book and trades", rows)


def timed(wanted: TickFeed, wakes: NDArray[np.int64]) -> tuple[dict[str, float], dict[str, Any]]:
    """Seconds from a market that nobody has played to its end, and what came of it."""
    begun, begun_cpu = time.perf_counter(), time.process_time()
    market = TickMarket(wanted, INSTRUMENT, fills=DEFAULT_FILLS, latency=DELAYS)
    slices = Slices(market)
    slices.work(wakes, wanted.end_ns)
    times = {"run_s": time.perf_counter() - begun, "run_cpu_s": time.process_time() - begun_cpu}
    fills = slices.fills
    return times, {
        "orders": slices.sent,
        "fills": len(fills),
        "position": round(sum(fill.qty for fill in fills), 6),
        "balance": round(-sum(INSTRUMENT.notional(fill.qty, fill.price) for fill in fills), 6),
        "fee": round(sum(fill.fee for fill in fills), 6),
    }


if __name__ == "__main__":
    main()
