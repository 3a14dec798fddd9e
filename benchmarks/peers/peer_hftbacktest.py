"""hftbacktest on the book: a buy limit per slice at the best bid, crossed at the next slice where it has not filled.

Messages take a millisecond each way, the feed one too. Run by an interpreter that has it.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import hftbacktest as hft  # type: ignore[import-not-found]
import numpy as np
from numba import njit

LATENCY_NS = 1_000_000
TICK, LOT = 0.01, 0.001
SLICE = 0.1


@njit
def work(backtest: Any, wakes: Any) -> int:
    """Until the data end; returns how many orders were sent."""
    number = 0
    backtest.elapse(1)  # to the first event: before it there is no time to count from
    for at in range(len(wakes)):
        if backtest.elapse(wakes[at] - backtest.current_timestamp) != 0:
            return number
        left = 0.0
        if number:
            order = backtest.orders(0).get(number)
            if order is not None and order.cancellable:
                left = order.leaves_qty
                backtest.cancel(0, number, False)
                number += 1
                backtest.submit_buy_order(0, number, backtest.depth(0).best_ask, left, hft.GTC, hft.LIMIT, False)
        backtest.clear_inactive_orders(0)
        number += 1
        backtest.submit_buy_order(0, number, backtest.depth(0).best_bid, SLICE, hft.GTC, hft.LIMIT, False)
    while backtest.elapse(60_000_000_000) == 0:
        pass
    return number


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--depth", choices=("hashmap", "roivector"), default="hashmap")
    arguments.add_argument("--once", action="store_true", help="the first result only")
    chosen = arguments.parse_args()
    begun = time.perf_counter()
    columns = np.load(chosen.folder / "book.npz")
    table, wakes = events(columns), columns["wakes"]
    build_s = time.perf_counter() - begun
    first, found = timed(made(table, chosen.depth), wakes)
    told: dict[str, Any] = {"version": hft.__version__, "build_s": build_s, "first_s": first["run_s"]}
    if not chosen.once:
        told |= timed(made(table, chosen.depth), wakes)[0]
    print(json.dumps({**told, "events": len(table), **found}))


def events(columns: Any) -> Any:
    """Our columns in its layout."""
    table = np.zeros(len(columns["kind"]), hft.event_dtype)
    kind = np.where(columns["kind"] == 0, hft.TRADE_EVENT, hft.DEPTH_EVENT)
    side = np.where(columns["side"] > 0, hft.BUY_EVENT, hft.SELL_EVENT)
    table["ev"] = kind | side | hft.EXCH_EVENT | hft.LOCAL_EVENT
    table["exch_ts"] = columns["ts_ns"]
    table["local_ts"] = columns["ts_ns"] + LATENCY_NS
    table["px"] = np.round(columns["ticks"] * TICK, 2)
    table["qty"] = columns["lots"] * LOT
    return table


def made(table: Any, depth: str) -> Any:
    asset = (
        hft.BacktestAsset()
        .data([table])
        .linear_asset(1.0)
        .constant_order_latency(LATENCY_NS, LATENCY_NS)
        .risk_adverse_queue_model()
        .no_partial_fill_exchange()
        .trading_value_fee_model(-0.00005, 0.0007)
        .tick_size(TICK)
        .lot_size(LOT)
        .last_trades_capacity(0)
    )
    if depth == "hashmap":
        return hft.HashMapMarketDepthBacktest([asset])
    prices = table["px"]
    return hft.ROIVectorMarketDepthBacktest([asset.roi_lb(prices.min() - 1).roi_ub(prices.max() + 1)])


def timed(backtest: Any, wakes: Any) -> tuple[dict[str, float], dict[str, Any]]:
    begun, begun_cpu = time.perf_counter(), time.process_time()
    orders = work(backtest, wakes)
    times = {"run_s": time.perf_counter() - begun, "run_cpu_s": time.process_time() - begun_cpu}
    state = backtest.state_values(0)
    found = {
        "orders": int(orders),
        "fills": int(state.num_trades),
        "position": round(float(backtest.position(0)), 6),
        "balance": round(float(state.balance), 6),
        "fee": round(float(state.fee), 6),
    }
    backtest.close()
    return times, found


if __name__ == "__main__":
    main()
