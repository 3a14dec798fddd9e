"""backtesting.py on the breakout: long above the highs of 240 bars, out below the lows of 120.

Its orders fill at the next open."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import backtesting  # type: ignore[import-not-found]
import numpy as np
import pandas as pd


class Breakout(backtesting.Strategy):  # type: ignore[misc]
    def init(self) -> None:
        self.above = self.I(lambda prices: pd.Series(prices).rolling(240).max().shift(1).to_numpy(), self.data.High)
        self.below = self.I(lambda prices: pd.Series(prices).rolling(120).min().shift(1).to_numpy(), self.data.Low)

    def next(self) -> None:
        close = self.data.Close[-1]
        if self.position:
            if close < self.below[-1]:
                self.position.close()
        elif close > self.above[-1]:
            self.buy(size=1)


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--once", action="store_true", help="the first result is all that it has anyway")
    chosen = arguments.parse_args()
    begun = time.perf_counter()
    columns = np.load(chosen.folder / "bars.npz")
    names = ("open", "high", "low", "close", "volume")
    frame = pd.DataFrame({name.title(): columns[name] for name in names}, index=pd.to_datetime(columns["open_ns"]))
    test = backtesting.Backtest(frame, Breakout, cash=1e9, commission=0.0004)
    build_s = time.perf_counter() - begun
    begun, begun_cpu = time.perf_counter(), time.process_time()
    stats: Any = test.run()
    run_s, run_cpu_s = time.perf_counter() - begun, time.process_time() - begun_cpu
    told = {
        "version": backtesting.__version__,
        "build_s": build_s,
        "first_s": run_s,
        "run_s": run_s,
        "run_cpu_s": run_cpu_s,
    }
    print(
        json.dumps({**told, "events": len(frame), "trades": int(stats["# Trades"]), "end": stats["Equity Final [$]"]})
    )


if __name__ == "__main__":
    main()
