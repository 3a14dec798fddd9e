"""The example session on nine months of one-minute bars: how long, how much memory, and against one pass of numpy.

    python benchmarks/nine_months.py [--data-dir DIR] [--repeats N]

Engine time is the backtest alone (bars, venue and settings ready), the median of several runs; reports and fills are
columns then, and objects as soon as somebody reads them. Wall time is the whole
command in a fresh process, from the shell's point of view, with warm files; peak memory is that process's. One numpy
pass is the sum of the five columns: what merely touching the data costs.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from backtest.session import Session

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[1]
WATCH = """
import resource, subprocess, sys, time
before = time.perf_counter()
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(time.perf_counter() - before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""  # in a small process: the peak that Linux reports of a child begins with what its parent held when it was started
STRATEGY, SYMBOL, START, END = "trendline_break_v1", "ATOM/USDT", "2025-01-01", "2025-09-30"


class Figure(NamedTuple):
    name: str
    value: str
    aim: str = ""


def main() -> None:
    arguments = argparse.ArgumentParser(description="Time the example session on nine months of bars.")
    arguments.add_argument("--data-dir", type=Path, help="a store with the sample market [default: made anew]")
    arguments.add_argument("--repeats", type=int, default=5)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        data_dir = chosen.data_dir or Path(scratch, "data")
        for figure in measured(data_dir, Path(scratch, "run"), max(1, chosen.repeats)):
            print(f"{figure.name:34} {figure.value:>16}   {figure.aim}".rstrip())


def measured(data_dir: Path, output_dir: Path, repeats: int) -> list[Figure]:
    """All figures, in the order in which they are printed."""
    from backtest.runner import play
    from research.sample import ensure_sample

    ensure_sample(data_dir)
    engine_s: list[float] = []
    read_s: list[float] = []
    for _ in range(repeats + 1):  # the first one warms up
        session = prepared(data_dir)
        seconds, result = timed(partial(play, session))
        engine_s.append(seconds)
        read_s.append(timed(lambda one=result: (list(one.reports), list(one.fills)))[0])  # type: ignore[misc]
    engine = statistics.median(engine_s[1:])
    bars, parents, fills = len(session.bars), len(result.reports), len(result.fills)
    columns = [getattr(session.bars, name) for name in ("open", "high", "low", "close", "volume")]
    one_pass = min(timed(lambda: [column.sum() for column in columns])[0] for _ in range(50))
    runs = [command(data_dir, output_dir) for _ in range(max(2, repeats))][1:]
    wall = statistics.median(seconds for seconds, _ in runs)
    peak = max(megabytes for _, megabytes in runs)
    return [
        Figure("bars", f"{bars:,}"),
        Figure("parents", f"{parents:,}", "at least 300"),
        Figure("fills", f"{fills:,}"),
        Figure("engine time", f"{engine:.3f} s", "at most 0.1 s"),
        Figure("  per parent", f"{1e3 * engine / parents:.2f} ms"),
        Figure("  per bar", f"{1e9 * engine / bars:,.0f} ns"),
        Figure("reports and fills as objects", f"{statistics.median(read_s[1:]):.3f} s"),
        Figure("one numpy pass over five columns", f"{1e3 * one_pass:.3f} ms"),
        Figure("engine / numpy pass", f"{engine / one_pass:,.0f} x"),
        Figure("command wall time", f"{wall:.2f} s", "at most 1.5 s"),
        Figure("peak memory of the command", f"{peak:,.0f} MB", "at most 400 MB"),
    ]


def prepared(data_dir: Path) -> Session:
    """The example session, ready to run; a strategy remembers, so every run gets its own."""
    from backtest.session import Wanted, prepare, read_settings
    from research.data_reader import DataReader
    from research.times import DAY_NS, parse_ns

    wanted = Wanted(
        strategy=STRATEGY,
        symbol=SYMBOL,
        start_ns=parse_ns(START),
        end_ns=parse_ns(END) + DAY_NS,
        execution_config=ROOT / "config" / "execution.yaml",
    )
    return prepare(read_settings(wanted), DataReader(data_dir))


def timed(work: Callable[[], T]) -> tuple[float, T]:
    before = time.perf_counter()
    done = work()
    return time.perf_counter() - before, done


def command(data_dir: Path, output_dir: Path) -> tuple[float, float]:
    """Wall seconds and peak megabytes of the command in a process of its own."""
    words = [sys.executable, "-m", "backtest.runner", "--strategy", STRATEGY, "--symbol", SYMBOL]
    words += ["--start", START, "--end", END, "--execution-config", str(ROOT / "config" / "execution.yaml")]
    words += ["--data-dir", str(data_dir), "--output-dir", str(output_dir), "--json"]
    done = subprocess.run([sys.executable, "-c", WATCH, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit("the command failed")
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak / (1024 if sys.platform != "darwin" else 1024 * 1024)


if __name__ == "__main__":
    main()
