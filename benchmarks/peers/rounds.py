"""Runs contenders in turn, one fresh process a measurement, every round in another order."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.works import OURS, Contender, Work
from core.errors import FillwrightError

ROOT = Path(__file__).resolve().parents[2]
Measured = dict[str, Any]
"""What one process said of itself, with `wall_s` and `cpu_s` of the whole process, and `peak_mib`."""


def measured(contender: Contender, pythons: dict[str, Path], folder: Path) -> Measured:
    """One fresh process. Raises FillwrightError with the last thing that it said where it fails."""
    words = contender.command(pythons, folder)
    # as at home: everybody finds the bytecode of its modules
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = time.perf_counter()
    with tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(words, cwd=ROOT, env=settings, stdout=subprocess.PIPE, stderr=complaints, text=True)
        with process:
            assert process.stdout is not None
            said = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            wall_s = time.perf_counter() - before
            process.returncode = os.waitstatus_to_exitcode(status)
        complaints.seek(0)
        complained = complaints.read()
    if process.returncode:
        last = [line for line in complained.splitlines() if line.strip()][-1:]
        raise FillwrightError(f"{contender.name}: {' '.join(words)} failed: {''.join(last) or process.returncode}")
    told: Measured = json.loads(said.splitlines()[-1])
    peak_mib = usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024 * 1024)
    return {**told, "wall_s": wall_s, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_mib": peak_mib}


def play(work: Work, rounds: int, pythons: dict[str, Path], folder: Path) -> dict[str, list[Measured | None]]:
    """Every contender of a work, round by round; None for a round that it sits out."""
    there = [one for one in work.contenders if one.engine in pythons]
    found: dict[str, list[Measured | None]] = {one.name: [] for one in there}
    for number in range(rounds):
        turn = number * 3 % len(there)
        for one in there[turn:] + there[:turn]:
            sits_out = one.once and number > 0
            found[one.name].append(None if sits_out else measured(one, pythons, folder))
            if not sits_out:
                print(f"{work.name}, round {number + 1} of {rounds}: {_line(one.name, found[one.name][-1])}",
                      file=sys.stderr, flush=True)  # fmt: skip
    return found


def held_together(theirs: Path, ours: Path) -> dict[str, float]:
    """The children of two runs, one by one in order of time: how far apart they are at most."""
    one, other = np.load(theirs), np.load(ours)
    count = len(one["qty"])
    if count != len(other["qty"]):
        raise FillwrightError(f"{theirs.name} has {count} children and {ours.name} {len(other['qty'])}")
    return {
        "children": count,
        "time_ms": float(np.abs(one["ts_ns"] - other["ts_ns"]).max() / 1e6),
        "qty": float(np.abs(one["qty"] - other["qty"]).max()),
        "price": float(np.abs(one["price"] - other["price"]).max()),
        "mean_price": float(abs(one["price"].mean() - other["price"].mean())),
        "theirs": float(one["price"].mean()),
        "ours": float(other["price"].mean()),
    }


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        OURS: {name: version(name) for name in ("fillwright", "numpy", "numba", "polars")},
    }


def _processor() -> str:
    known = Path("/proc/cpuinfo")
    lines = known.read_text(encoding="utf-8").splitlines() if known.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _line(name: str, told: Measured | None) -> str:
    told = told or {}
    parts = [f"{key[:-2]} {told[key]:.3f} s" for key in ("first_s", "run_s", "wall_s") if key in told]
    return f"{name}: {', '.join(parts)}"
