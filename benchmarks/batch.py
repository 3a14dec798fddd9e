"""The batch driver against the machine: executions per second, and what compiling costs.

    python benchmarks/batch.py [--parents N] [--bars N]

Every parent lasts four hours of one-minute bars of the sample market, and comes as a row of columns. `loop` is the
compiled loop alone, `in all` has plans, curves and the columns of the result too (without its texts, which are made for
whoever reads them), `summed` keeps the table of parents only. These are per second of processor time, so that a busy
machine does not show; `2 threads` is how many times sooner they are done with `summed`, by the clock. The machine plays
a sample of the same parents, one after the other; the answers are compared before anything is printed. `bytes` is what
a child takes in the result, with its fills. Cold is the first run on a machine, warm a new process that finds the
compiled loop on disk.
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
from numpy.typing import NDArray

from core.bars import Bars
from core.instrument import Instrument
from execution import batch, batch_takers
from execution.batch import Jobs, Setting
from execution.batch_block import entry
from execution.batch_desk import EVERY
from execution.batch_memory import fresh_memory
from execution.batch_pack import begin_anew, ground, packed, packed_takers
from execution.batch_plans import intake
from execution.batch_tables import Tables
from execution.contracts import AlgoType
from execution.slippage import SquareRootSlippageModel
from execution.spread import bar_spread
from execution.venue import Venue, venue
from research.sample import SampleMarket, generate

SYMBOL = "ATOM/USDT"
DAY = 1440
ROUNDS = 3  # the quickest counts: memory that a process has never used costs more than the work
TEXTS = {"execution_id", "action", "status", "reason"}
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
    print(f"{chosen.parents} parents of {chosen.bars} bars; executions per second of processor time")
    heads = (
        "loop",
        "in all",
        "summed",
        "2 threads",
        "machine",
        "loop / machine",
        "in all / machine",
        "children",
        "bytes",
    )
    print(f"{'':18}" + "".join(f"{head:>{max(10, len(head) + 2)}}" for head in heads))
    for name, algo_type, params in CASES:
        wanted = jobs(place, algo_type, params, chosen.parents, chosen.bars)
        loop, whole, summed, threads, machine, children, size = rates(place, wanted, chosen.sample)
        print(
            f"{name:18}{loop:10.0f}{whole:10.0f}{summed:10.0f}{threads:10.1f}x{machine:10.0f}{loop / machine:15.0f}x"
            f"{whole / machine:17.0f}x{children:10.1f}{size:10.0f}"
        )


def market() -> Venue:
    """Five days of the sample market, the first three of them the past."""
    sample = SampleMarket()
    bars = Bars.from_frame(SYMBOL, generate(sample, "2025-01-06", "2025-01-11")[0])
    instrument = Instrument(SYMBOL, tick=sample.tick, lot=sample.lot, spread_bps=sample.spread_bps)
    now = bars[3 * DAY :]
    spread = bar_spread(now, instrument, None, sample.spread_bps)
    return venue(now, instrument, SquareRootSlippageModel(0.5), spread=spread, before=bars[: 3 * DAY])


def jobs(place: Venue, algo_type: AlgoType, params: dict[str, Any], count: int, bars: int) -> Jobs:
    """Both sides in turn, 97 quantities, as many starts as there are."""
    number = np.arange(count)
    columns = {
        "side": np.array(["buy", "sell"])[number % 2],
        "quantity": 2_000.0 + number % 97,
        "start_ns": place.bars.ts_open_ns[number % (len(place.bars) - bars)],
        "duration_seconds": np.full(count, 60 * bars),
    }
    return Jobs.of([Setting(algo_type, SYMBOL, params)], columns)


def rates(place: Venue, wanted: Jobs, sample: int) -> tuple[float, ...]:
    """Executions per second: the compiled loop alone, in all, keeping parents only; how many times sooner two threads
    are; by the machine; then the children of a parent, and the bytes of a child."""
    fast, whole = min((played(place, wanted, "all") for _ in range(ROUNDS)), key=lambda pair: pair[1])
    summed = min(played(place, wanted, "parents")[1] for _ in range(ROUNDS))
    one, two = (min(clock_seconds(place, wanted, workers) for _ in range(ROUNDS)) for workers in (1, 2))
    assert fast.parents["looped"].all(), "the loop does not cover all of these"
    memory = fresh_memory()
    alone = sum(
        seconds_in_loop(place, wanted[first : first + batch.BLOCK], memory)
        for first in range(0, len(wanted), batch.BLOCK)
    )
    few = [wanted[number] for number in range(0, len(wanted), max(1, len(wanted) // sample))]
    begun = time.process_time()
    slow = batch.play(place, few, engine="machine")
    machine = time.process_time() - begun
    again = batch.play(place, few)
    for name in ("ts_ns", "lots", "limit_ticks", "action"):
        assert (slow.children[name] == again.children[name]).all(), f"the drivers differ in {name}"
    children = len(fast.children["parent"])
    size = sum(part[name].nbytes for part in (fast.children, fast.fills) for name in set(part) - TEXTS) / children
    count = len(wanted)
    return count / alone, count / whole, count / summed, one / two, len(few) / machine, children / count, size


def played(place: Venue, wanted: Jobs, keep: batch.Keep) -> tuple[batch.Batch, float]:
    """With seconds of processor time."""
    begun = time.process_time()
    found = batch.play(place, wanted, keep=keep)
    for part in (found.children, found.fills, found.parents):
        for name in set(part) - TEXTS:
            part[name]
    return found, time.process_time() - begun


def clock_seconds(place: Venue, wanted: Jobs, workers: int) -> float:
    """Of the clock, keeping parents only."""
    begun = time.perf_counter()
    batch.play(place, wanted, keep="parents", workers=workers)
    return time.perf_counter() - begun


def seconds_in_loop(place: Venue, wanted: Jobs, memory: NDArray[np.void]) -> float:
    """Of processor time, for compiled code alone: that of parents that only take, or the general one."""
    taken, numbers = intake(place, wanted), np.arange(len(wanted))
    takers, loop, shared = batch_takers.compiled_takers(), batch.compiled(), ground(place)
    assert takers is not None, "there is no numba"
    assert loop is not None
    tables: Any
    if batch_takers.only_takes(taken.plans).all():
        tables = packed_takers(shared, taken, numbers, memory)
        seats, play = tables.taken, entry(takers, (0,), tables)
    else:
        tables = packed(shared, taken, numbers, memory=memory)
        seats, play = tables.seats, entry(loop, (EVERY, 0, 0, 0), tables)
    done, seconds = 0, 0.0
    while done < len(wanted):
        begun = time.process_time()
        end = play(EVERY, done, 0, 0) if isinstance(tables, Tables) else play(done)
        seconds += time.process_time() - begun
        assert end > done, "the logs have no room for one parent"
        if end < len(wanted) and isinstance(tables, Tables):
            begin_anew(tables, end)
        for name in ("commands", "fills"):
            seats[name][end - 1] = 0  # logs are begun anew
        done = end
    return seconds


def compile_seconds() -> tuple[float, float, float]:
    """A fresh process that plays one parent: with nothing on disk, with the loop on disk, by the machine alone."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {**os.environ, "NUMBA_CACHE_DIR": folder}
        command = [sys.executable, __file__, "--compile-only"]
        cold, warm = (timed(command, settings) for _ in range(2))
        code = (
            "import benchmarks.batch as b; place = b.market(); "
            "b.batch.play(place, b.jobs(place, *b.CASES[0][1:], 1, 60), engine='machine')"
        )
        return cold, warm, timed([sys.executable, "-c", code], settings)


def timed(command: list[str], settings: dict[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, env=settings, check=True)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
