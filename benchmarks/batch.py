"""The batch driver against the machine: executions per second, and what compiling costs.

    python benchmarks/batch.py [--parents N] [--bars N]

Every parent lasts four hours of one-minute bars of the sample market. `loop` is the compiled loop alone, `in all` has
the checking of parameters, the plans and the columns of the result too. The machine plays a sample of the same parents,
one after the other; the answers are compared before anything is printed. Cold is the first run on a machine, warm a new
process that finds the compiled loop on disk.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np

from core.bars import Bars
from core.instrument import Instrument
from execution import batch
from execution.batch import Job
from execution.batch_pack import packed
from execution.contracts import AlgoType, ExecutionAlgorithm
from execution.executors import executor
from execution.slippage import SquareRootSlippageModel
from execution.spread import bar_spread
from execution.venue import Venue, venue
from research.sample import SampleMarket, generate

SYMBOL = "ATOM/USDT"
DAY = 1440
CASES: tuple[tuple[str, AlgoType, dict[str, Any]], ...] = (
    ("TWAP market", "TWAP", {"order_type": "market", "slice_count": 24}),
    ("TWAP limit", "TWAP", {"order_type": "limit", "slice_count": 24}),
    ("TWAP rest, cross", "TWAP", {"order_type": "limit_then_cross", "slice_count": 24}),
    ("VWAP market", "VWAP", {"order_type": "market"}),
    ("POV market", "POV", {"target_pov": 0.1}),
    ("IS market", "IS", {"order_type": "market"}),
    ("Iceberg peg", "Iceberg", {"price": "peg"}),
)


def main() -> None:
    arguments = argparse.ArgumentParser(description="Time the batch driver.")
    arguments.add_argument("--parents", type=int, default=10_000)
    arguments.add_argument("--bars", type=int, default=240, help="how long each parent lasts")
    arguments.add_argument("--sample", type=int, default=200, help="parents that the machine plays")
    arguments.add_argument("--compile-only", action="store_true", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    place = market()
    if chosen.compile_only:
        batch.play(place, jobs(place, *CASES[0][1:], 1, 60))
        return
    cold, warm, bare = compile_seconds()
    print(f"compiling: cold {cold - bare:.1f} s, warm {warm - bare:.1f} s (more than a process without it)\n")
    batch.play(place, jobs(place, *CASES[0][1:], 1, chosen.bars))
    print(f"{chosen.parents} parents of {chosen.bars} bars; executions per second")
    print(f"{'':18}{'loop':>10}{'in all':>10}{'machine':>10}{'loop / machine':>16}{'in all / machine':>18}")
    for name, algo_type, params in CASES:
        loop, whole, machine = rates(place, jobs(place, algo_type, params, chosen.parents, chosen.bars), chosen.sample)
        print(f"{name:18}{loop:10.0f}{whole:10.0f}{machine:10.0f}{loop / machine:15.0f}x{whole / machine:17.0f}x")


def market() -> Venue:
    """Five days of the sample market, the first three of them the past."""
    sample = SampleMarket()
    bars = Bars.from_frame(SYMBOL, generate(sample, "2025-01-06", "2025-01-11")[0])
    instrument = Instrument(SYMBOL, tick=sample.tick, lot=sample.lot, spread_bps=sample.spread_bps)
    now = bars[3 * DAY :]
    spread = bar_spread(now, instrument, None, sample.spread_bps)
    return venue(now, instrument, SquareRootSlippageModel(0.5), spread=spread, before=bars[: 3 * DAY])


def jobs(place: Venue, algo_type: AlgoType, params: dict[str, Any], count: int, bars: int) -> list[Job]:
    worker = executor(algo_type, "bench", volumes=place.volumes, **place.executor_arguments)
    starts = place.bars.ts_open_ns[np.arange(count) % (len(place.bars) - bars)]
    return [
        Job(
            ExecutionAlgorithm(algo_type, SYMBOL, ("buy", "sell")[n % 2], 2_000.0 + n % 97, 60 * bars, params),
            int(ts),
            worker,
        )
        for n, ts in enumerate(starts)
    ]


def rates(place: Venue, wanted: list[Job], sample: int) -> tuple[float, float, float]:
    """Executions per second: the compiled loop alone, the batch driver in all, the machine."""
    begun = time.perf_counter()
    fast = batch.play(place, wanted)
    whole = time.perf_counter() - begun
    loop = batch.compiled()
    assert loop is not None, "there is no numba"
    assert fast.parents["looped"].all(), "the loop does not cover all of these"
    tables = packed(place, batch.handed_over(place, wanted), rows=1 + len(fast.children["parent"]))
    begun = time.perf_counter()
    loop(0, tables)
    alone = time.perf_counter() - begun
    few = wanted[:: max(1, len(wanted) // sample)]
    begun = time.perf_counter()
    slow = batch.play(place, few, engine="machine")
    machine = time.perf_counter() - begun
    again = batch.play(place, few)
    for name in ("ts_ns", "lots", "limit_ticks", "action"):
        assert (slow.children[name] == again.children[name]).all(), f"the drivers differ in {name}"
    return len(wanted) / alone, len(wanted) / whole, len(few) / machine


def compile_seconds() -> tuple[float, float, float]:
    """A fresh process that plays one parent: with nothing on disk, with the loop on disk, by the machine alone."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {**os.environ, "NUMBA_CACHE_DIR": folder}
        command = [sys.executable, __file__, "--compile-only"]
        cold, warm = (timed(command, settings) for _ in range(2))
        code = (
            "import numba, benchmarks.batch as b; place = b.market(); "
            "b.batch.play(place, b.jobs(place, *b.CASES[0][1:], 1, 60), engine='machine')"
        )
        return cold, warm, timed([sys.executable, "-c", code], settings)


def timed(command: list[str], settings: dict[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, env=settings, check=True)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
