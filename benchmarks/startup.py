"""How long a fresh process takes to say something useful, against what Python and numpy need to start.

    python benchmarks/startup.py [--rounds N] [--data-dir DIR]

Every figure is a whole process from the shell's point of view, the median of rounds that take turns. `plan` and
`preview` work from stored data; the backtest is that of README.md, nine months of one-minute bars. Compiled code is on
disk (`python -m execution.warm_up`) but in the rows that say otherwise: `nowhere` has no folder to keep it in.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
FIRST: Final = "from fillwright.cli import main; main()"
ORDER: Final = ("--symbol", "ATOM/USDT", "--side", "buy", "--quantity", "5000", "--duration", "4h")
BATCH: Final = "from execution.warm_up import play_bars; play_bars()"
UNCACHED: Final = "batch, nowhere"
AIMS: Final = {"--help": 0.2, "plan": 1.5, "preview": 1.5, "backtest": 1.5}


def main() -> None:
    arguments = argparse.ArgumentParser(description="Time the start of a fresh process.")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--data-dir", type=Path, help="a store with the sample market [default: made anew]")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        data_dir = chosen.data_dir or place / "data"
        print(table(measured(data_dir, place, max(1, chosen.rounds))))


def measured(data_dir: Path, place: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds of every process, round by round."""
    from research.sample import ensure_sample

    ensure_sample(data_dir)
    file = place / "file"
    file.touch()
    nowhere = {"NUMBA_CACHE_DIR": str(file / "under")}
    stored = ("--data-dir", str(data_dir))
    backtest = ("--strategy", "trendline_break_v1", "--symbol", "ATOM/USDT", "--start", "2025-01-01", "--end",
                "2025-09-30", "--execution-config", str(ROOT / "config" / "execution.yaml"), "--json", "--quiet",
                "--output-dir", str(place / "run"), *stored)  # fmt: skip
    runs: dict[str, Callable[[], float]] = {
        "python": lambda: seconds(["-c", "pass"]),
        "import numpy": lambda: seconds(["-c", "import numpy"]),
        "import numba": lambda: seconds(["-c", "import numba"]),
        "--help": lambda: seconds(["-c", FIRST, "--help"]),
        "plan": lambda: seconds(["-c", FIRST, "plan", *ORDER, *stored]),
        "preview": lambda: seconds(["-c", FIRST, "preview", "--algo", "vwap", *ORDER, *stored]),
        "backtest": lambda: seconds(["-c", FIRST, "backtest", *backtest]),
        "batch": lambda: seconds(["-c", BATCH]),
        "warm_up": lambda: seconds(["-m", "execution.warm_up"]),
        UNCACHED: lambda: seconds(["-c", BATCH], nowhere),
    }
    runs["warm_up"]()
    for name, run in runs.items():
        if name != UNCACHED:
            run()  # its files are in memory
    found: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        names = list(runs)
        turn = number * 3 % len(names)
        for name in names[turn:] + names[:turn]:
            if name == UNCACHED and number:
                continue  # it takes long, and always the same
            found[name].append(runs[name]())
    return found


def seconds(words: Sequence[str], settings: dict[str, str] | None = None) -> float:
    """Wall seconds of a process, which finds Python's own bytecode as it does at home. Raises CalledProcessError."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = time.perf_counter()
    subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=inherited | (settings or {}),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - before


def table(found: dict[str, list[float]]) -> str:
    """Medians, and how often the start of Python and of numpy goes into them."""
    bare, numpy = (median(found[name]) for name in ("python", "import numpy"))
    lines = [f"{'':16}{'seconds':>9}{'least':>8}{'most':>8}{'/ python':>10}{'/ numpy':>9}   aim"]
    for name, values in found.items():
        took = median(values)
        aim = f"   below {AIMS[name]:g} s" if name in AIMS else ""
        figures = f"{took:9.3f}{min(values):8.3f}{max(values):8.3f}{took / bare:10.1f}{took / numpy:9.2f}"
        lines.append(f"{name:16}{figures}{aim}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
