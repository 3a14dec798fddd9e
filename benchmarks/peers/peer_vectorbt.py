"""vectorbt on the breakout: long above the highs of 240 bars, out below the lows of 120.

Its orders fill at the close of the signal's bar."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import vectorbt as vbt  # type: ignore[import-not-found]


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--once", action="store_true", help="the first result only")
    chosen = arguments.parse_args()
    begun = time.perf_counter()
    columns = np.load(chosen.folder / "bars.npz")
    names = ("open", "high", "low", "close", "volume")
    frame = pd.DataFrame({name: columns[name] for name in names}, index=pd.to_datetime(columns["open_ns"]))
    build_s = time.perf_counter() - begun
    first, (trades, end) = timed(frame)
    told = {"version": vbt.__version__, "build_s": build_s, "first_s": first["run_s"]}
    if not chosen.once:
        told |= timed(frame)[0]
    print(json.dumps({**told, "events": len(frame), "trades": trades, "end": end}))


def timed(frame: pd.DataFrame) -> tuple[dict[str, float], Any]:
    begun, begun_cpu = time.perf_counter(), time.process_time()
    found = breakout(frame)
    return {"run_s": time.perf_counter() - begun, "run_cpu_s": time.process_time() - begun_cpu}, found


def breakout(frame: pd.DataFrame) -> tuple[int, float]:
    """Closed trades and final value."""
    above = frame["high"].rolling(240).max().shift(1)
    below = frame["low"].rolling(120).min().shift(1)
    close = frame["close"]
    held = vbt.Portfolio.from_signals(
        close, entries=close > above, exits=close < below, size=1.0, init_cash=1e9, fees=0.0004, freq="1min"
    )
    return int(held.trades.closed.count()), float(held.final_value())


if __name__ == "__main__":
    main()
