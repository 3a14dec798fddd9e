"""The other side of `benchmarks/fills.py --peer`: hftbacktest on the same rows. Run by an interpreter that has it.

Reads the rows once, then plays them as often as it is told on its standard input, and answers with the seconds. Twenty
orders rest at prices far from the market and stay there, so that what is timed is the replay: its best case.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np

BUYS, SELLS, TRADE, DEPTH = 1 << 29, 1 << 28, 2, 1
BOTH_CLOCKS = (1 << 31) | (1 << 30)


def events(rows: Any) -> Any:
    """Our rows in its columns."""
    from hftbacktest import event_dtype  # type: ignore[import-not-found]

    kind, side = rows["kind"], rows["side"]
    table = np.zeros(len(kind), event_dtype)
    buys = ((kind == 0) & (side > 0)) | (kind == 3)
    table["ev"] = np.where(kind == 0, TRADE, DEPTH) | np.where(buys, BUYS, SELLS) | BOTH_CLOCKS
    table["exch_ts"] = table["local_ts"] = rows["ts_ns"]
    table["px"] = rows["price_ticks"] * 0.1
    table["qty"] = rows["quantity"] * 0.001
    return table


def main() -> None:
    from hftbacktest import GTC, LIMIT, BacktestAsset, HashMapMarketDepthBacktest, ROIVectorMarketDepthBacktest
    from numba import njit

    table = events(np.load(sys.argv[1]))
    middle = float(np.median(table["px"]))

    @njit
    def play(hbt: Any, low: float) -> int:
        for at in range(20):
            hbt.submit_buy_order(0, at, low - at * 0.1, 0.001, GTC, LIMIT, False)
        steps = 0
        while hbt.elapse(1_000_000_000) == 0:
            steps += 1
        return steps

    def run(kind: Any) -> float:
        asset = (
            BacktestAsset().data(table).linear_asset(1.0).constant_order_latency(0, 0).risk_adverse_queue_model()
            .no_partial_fill_exchange().trading_value_fee_model(0.0, 0.0).tick_size(0.1).lot_size(0.001)
        )  # fmt: skip
        if kind is ROIVectorMarketDepthBacktest:
            asset.roi_lb(middle - 6000).roi_ub(middle + 6000)
        hbt = kind([asset])
        begun = time.process_time()
        play(hbt, middle - 3000)
        seconds = time.process_time() - begun
        hbt.close()
        return seconds

    for _ in sys.stdin:
        # its quicker book counts
        seconds = {kind.__name__: run(kind) for kind in (ROIVectorMarketDepthBacktest, HashMapMarketDepthBacktest)}
        print(json.dumps({"seconds": min(seconds.values()), **seconds}), flush=True)


if __name__ == "__main__":
    main()
