"""Compiled code on disk: left by the warm-up, found by the runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from execution import warm_up

ROOT = Path(__file__).resolve().parents[1]


def run(code: str, folder: Path) -> None:
    settings = {**os.environ, "NUMBA_CACHE_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=settings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_what_keeps_it_from_compiling_does_not_keep_the_setup_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(warm_up, "play_bars", fail)
    done = CliRunner().invoke(warm_up.command)
    assert done.exit_code == 0
    assert done.output == "nothing compiled beforehand, the first run will (OSError: the disk is full)\n"


@pytest.mark.slow
def test_after_the_warm_up_no_run_compiles_anything(tmp_path: Path) -> None:
    run("from execution.warm_up import warm_up; warm_up()", tmp_path)
    warm = sorted(tmp_path.iterdir())
    assert len(warm) >= 4
    run(
        "from benchmarks import batch, fills\n"
        "place = batch.market()\n"
        "for case in batch.CASES: batch.batch.play(place, batch.jobs(place, *case[1:], 2, 60))\n"
        "feed, instrument = fills.random_trades(1000, 50)\n"
        "fills.Children(fills.fresh(feed, instrument)).work(feed.end_ns)\n",
        tmp_path,
    )
    assert sorted(tmp_path.iterdir()) == warm
