"""Compiled code on disk: left by the warm-up, found by the runs, and missed by nobody who cannot have it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner

from execution import warm_up

ROOT = Path(__file__).resolve().parents[1]
KERNEL = """
from execution.machine_code import compiled_function
from execution.ticks.queue import front_after_change
fast = compiled_function(front_after_change)
print(fast(1, 2.0, 5.0, 10.0, 8.0, 1.0), sum(fast.stats.cache_hits.values()))
"""
RIGHT, FOUND = "4.5", "4.5 1"
ALONE = {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}  # neither beside the source nor in the home


def run(code: str, folder: Path, *, under: Iterable[str] = (), **settings: str) -> str:
    words = [*under, sys.executable, "-c", code]
    settings = {**os.environ, "NUMBA_CACHE_DIR": str(folder), **settings}
    done = subprocess.run(words, cwd=ROOT, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def files(folder: Path, pattern: str = "*.nb?") -> list[Path]:
    return sorted(folder.rglob(pattern))


def test_damaged_files_are_made_anew(tmp_path: Path) -> None:
    run(KERNEL, tmp_path)
    for pattern in ("*.nbc", "*.nbi"):
        (file,) = files(tmp_path, pattern)
        file.write_bytes(file.read_bytes()[:50])
        assert run(KERNEL, tmp_path) == f"{RIGHT} 0"
    assert run(KERNEL, tmp_path) == FOUND


def test_where_no_folder_can_be_made_it_compiles_for_itself(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert run(KERNEL, tmp_path / "file" / "under", **ALONE) == f"{RIGHT} 0"


def test_in_a_folder_that_may_only_be_read_it_compiles_for_itself(tmp_path: Path) -> None:
    # Permissions do not bind root, unless it gives that power away.
    under = []
    if os.geteuid() == 0:
        under = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
        if shutil.which("setpriv") is None or subprocess.run([*under, "true"], check=False).returncode:
            pytest.skip("root can write everywhere, and setpriv cannot take that away here")
    tmp_path.chmod(0o500)
    try:
        assert run("import os; print(os.access('.', os.R_OK))", tmp_path, under=under) == "True"
        assert run(KERNEL, tmp_path, under=under, **ALONE) == f"{RIGHT} 0"
    finally:
        tmp_path.chmod(0o700)
    assert not files(tmp_path)


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
    warm = files(tmp_path)
    assert len(warm) >= 3
    run(
        "from benchmarks import batch, fills\n"
        "place = batch.market()\n"
        "for case in batch.CASES: batch.batch.play(place, batch.jobs(place, *case[1:], 2, 60))\n"
        "feed, instrument = fills.random_trades(1000, 50)\n"
        "fills.Children(fills.fresh(feed, instrument)).work(feed.end_ns)\n",
        tmp_path,
    )
    assert files(tmp_path) == warm
