"""How fast costs come out of millions of fills: 10,000 executions, 2,000,000 fills, 2,000,000 rows of the market.

    python benchmarks/tca.py [--rounds N] [--folder DIR] [--small]

Measured on the same files, in turns: one polars scan of everything (every number summed, every text's length); costs
from the reports alone; and costs with the market: effective and realised spreads, markouts at four horizons, reversion.
Batches of 250,000 fills, each with its own stretch of the market. Every measurement runs in a process of its own, which
says how much memory it took at most. The same reports as NDJSON are read once, as that file is ten times as large.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from core.chance import generator
from execution.contracts import ExecutionReport
from execution.costs.frames import costs_of_batches, read_costs_frame
from execution.costs.market_record import MarketRecord
from execution.costs.report_columns import read_reports_tables
from execution.costs.tables import Tables, write_tables

DAY_NS, HOUR_NS, SECOND_NS = 86_400 * 10**9, 3600 * 10**9, 10**9
START_NS = 1_735_689_600 * SECOND_NS
SPAN_NS = 20 * DAY_NS
SYMBOL = "ATOM/USDT"
BEFORE_NS = 60 * SECOND_NS
AIM_SECONDS, AIM_RATIO, AIM_GB = 3.0, 10.0, 1.5


def make(folder: Path, executions: int, fills_each: int, rows: int) -> None:
    """The three files: market rows with quote and trade, and the tables of executions and fills, in batches."""
    rng = generator(1, "benchmark tca")
    ts = np.sort(rng.integers(0, SPAN_NS, rows)) + START_NS
    mid = 100 * np.exp(np.cumsum(rng.normal(0, 2e-5, rows)))
    side = rng.choice([-1, 1], rows)
    pl.DataFrame(
        {
            "ts_ns": ts,
            "bid": mid - 0.01,
            "ask": mid + 0.01,
            "price": mid + 0.01 * side,
            "qty": rng.exponential(10, rows),
        }
    ).write_parquet(folder / "market.parquet")
    starts = np.sort(rng.integers(0, SPAN_NS - 2 * HOUR_NS, executions)) + START_NS

    def batches() -> Iterator[Tables]:
        per = max(1, 250_000 // fills_each)
        for first in range(0, executions, per):
            yield _batch(first, starts[first : first + per], fills_each, ts, mid)

    write_tables(folder / "tables", batches())


def _batch(first: int, starts: Any, each: int, ts: Any, mid: Any) -> Tables:
    rng = generator(1, "benchmark tca", first)
    n = len(starts)
    buys = rng.choice([True, False], n)
    times = (starts[:, None] + np.sort(rng.integers(0, HOUR_NS, (n, each)), axis=1)).ravel()
    near = mid[np.maximum(np.searchsorted(ts, times) - 1, 0)]
    qty, half = rng.exponential(1, n * each), 0.01 * rng.choice([1.0, 1.0, -1.0], n * each)
    price = near + np.repeat(np.where(buys, 1, -1), each) * half
    names = np.array([f"x-{first + k:06d}" for k in range(n)])
    money, filled = (column.reshape(n, each).sum(axis=1) for column in (qty * price, qty))
    arrival, end = (mid[np.maximum(np.searchsorted(ts, at) - 1, 0)] for at in (starts, starts + HOUR_NS))
    executions = pl.DataFrame(
        {
            "execution_id": names, "parent_intent_id": names, "strategy_id": "s", "symbol": SYMBOL, "venue": "paper",
            "algo_type": rng.choice(["TWAP", "VWAP", "POV"], n), "side": np.where(buys, "buy", "sell"),
            "status": "completed", "start_ts_ns": starts, "end_ts_ns": starts + HOUR_NS,
            "total_quantity": filled * 1.1, "filled_quantity": filled, "avg_fill_price": money / filled,
            "total_fees": money * 5e-4, "decision_price": arrival, "arrival_price": arrival, "end_price": end,
            "benchmark_vwap": (arrival + end) / 2, "benchmark_vwap_own": (arrival + end) / 2,
            "benchmark_twap": (arrival + end) / 2, "spread_bps": 2.0, "market_volume": filled * 20,
            "unfilled_reason": pl.Series([None] * n, dtype=pl.String), "denials": 0, "fills": each, "settings": "{}",
        }
    )  # fmt: skip
    fills = pl.DataFrame(
        {
            "execution_id": np.repeat(names, each), "fill_id": pl.Series([f"f{k}" for k in range(n * each)]),
            "order_id": pl.Series([f"x-{first}-{k}" for k in range(n * each)]), "venue": "paper", "qty": qty,
            "price": price, "ts_fill_ns": times, "fee": qty * price * 5e-4,
            "liquidity": np.where(half > 0, "taker", "maker"), "half_spread": half, "impact": 0.001,
            "mid": pl.Series([None] * (n * each), dtype=pl.Float64), "sent_ts_ns": times,
        }
    )  # fmt: skip
    return Tables(executions, fills)


def write_ndjson(folder: Path) -> None:
    """The tables as execution reports."""
    from execution.costs.tables import read_tables
    from execution.reports import write_reports

    def reports() -> Iterator[ExecutionReport]:
        for executions, fills in read_tables(folder / "tables"):
            by_id = fills.partition_by("execution_id", as_dict=True)
            for row in executions.drop("fills", "settings", "denials").iter_rows(named=True):
                yield ExecutionReport.from_dict(
                    {
                        **row,
                        "remaining_quantity": row["total_quantity"] - row["filled_quantity"],
                        "slices_completed": 1,
                        "slices_total": 1,
                        "fills": [
                            {
                                **{name: fill[name] for name in ("fill_id", "order_id", "qty", "price", "ts_fill_ns")},
                                **{name: fill[name] for name in ("fee", "liquidity")},
                                **{name: row[name] for name in ("symbol", "side")},
                                "meta": {name: fill[name] for name in ("half_spread", "impact")}
                                | {"execution_id": row["execution_id"], "scheduled_ts_ns": fill["sent_ts_ns"]},
                            }
                            for fill in by_id[(row["execution_id"],)].iter_rows(named=True)
                        ],
                    }
                )

    write_reports(folder / "executions.ndjson", reports())


# ---- what is measured, each in a process of its own


def scan(folder: Path) -> int:
    files = [folder / "market.parquet", folder / "tables/executions/*.parquet", folder / "tables/fills/*.parquet"]
    sums = [pl.selectors.numeric().sum(), pl.selectors.string().as_expr().str.len_bytes().sum()]
    return len(pl.collect_all([pl.scan_parquet(file).select(sums) for file in files]))


def costs(folder: Path) -> int:
    return len(read_costs_frame(folder / "tables"))


def costs_with_market(folder: Path) -> int:
    def market(symbol: str, start_ns: int, end_ns: int) -> MarketRecord:
        wanted = pl.col("ts_ns").is_between(start_ns - BEFORE_NS, end_ns)
        rows = pl.scan_parquet(folder / "market.parquet").filter(wanted).collect()
        return MarketRecord.of(symbol, quotes=rows, trades=rows)

    return len(read_costs_frame(folder / "tables", market))


def costs_from_ndjson(folder: Path) -> int:
    return len(costs_of_batches(read_reports_tables(folder / "executions.ndjson")))


WORK: dict[str, Callable[[Path], int]] = {
    "scan": scan,
    "costs": costs,
    "costs with market": costs_with_market,
    "costs from NDJSON": costs_from_ndjson,
}


def once(name: str, folder: Path) -> None:
    """Runs one piece of work and prints seconds and peak memory as JSON; imports are not counted."""
    began, cpu = time.perf_counter(), time.process_time()
    WORK[name](folder)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    print(json.dumps({"seconds": seconds, "cpu": cpu_seconds, "gb": _peak_bytes() / 1e9}))


def _peak_bytes() -> float:
    """The most that this process held in memory; `ru_maxrss` would count what its parent held, too."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return float(line.split()[1]) * 1024


def in_a_process(name: str, folder: Path) -> dict[str, float]:
    words = [sys.executable, __file__, "--once", name, "--folder", str(folder)]
    found: dict[str, float] = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="Keep the files there, and use them if they are there already.")
    parser.add_argument("--small", action="store_true", help="One hundredth of everything: does it run at all?")
    parser.add_argument("--once", choices=WORK, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.once:
        once(asked.once, asked.folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        run(asked.folder or Path(temporary), asked.rounds, 100 if asked.small else 1)


def run(folder: Path, rounds: int, smaller: int) -> None:
    executions, each, rows = 10_000 // smaller, 200, 2_000_000 // smaller
    if not (folder / "tables").exists():
        folder.mkdir(parents=True, exist_ok=True)
        make(folder, executions, each, rows)
    if not (folder / "executions.ndjson").exists():
        write_ndjson(folder)
    print(f"{executions:,} executions, {executions * each:,} fills, {rows:,} market rows; {rounds} rounds in turns")
    names = ["scan", "costs", "costs with market"]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            found[name].append(in_a_process(name, folder))
    found["costs from NDJSON"] = [in_a_process("costs from NDJSON", folder)]
    print(f"{'':20}{'seconds':>9}{'(best':>8} {'worst)':>7}{'cpu s':>8}{'rows/s':>14}{'peak GB':>9}{'x scan':>8}")
    base = median(one["seconds"] for one in found["scan"])
    for name, each_round in found.items():
        seconds = sorted(one["seconds"] for one in each_round)
        middle = median(seconds)
        cpu = median(one["cpu"] for one in each_round)
        count = executions * each + (0 if name in ("costs", "costs from NDJSON") else rows)
        print(
            f"{name:20}{middle:9.2f}{seconds[0]:8.2f} {seconds[-1]:7.2f}{cpu:8.2f}{count / middle:14,.0f}"
            f"{max(one['gb'] for one in each_round):9.2f}{middle / base:8.1f}"
        )
    took = median(one["seconds"] for one in found["costs with market"])
    peak = max(one["gb"] for one in found["costs with market"])
    print(
        f"aim: {AIM_SECONDS} s {_met(took, AIM_SECONDS)}, {AIM_RATIO:.0f} x the scan {_met(took / base, AIM_RATIO)}, "
        f"{AIM_GB} GB {_met(peak, AIM_GB)}"
    )


def _met(value: float, aim: float) -> str:
    return f"{'met' if value <= aim else 'MISSED'} ({value:.2f})"


if __name__ == "__main__":
    main()
