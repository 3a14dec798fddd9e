"""Sweeps that are killed, that fail, and that run on three kinds of workers, with the same bytes to show for it."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from backtest.sweep.leaderboard import rank
from backtest.sweep.pools import pool_of
from backtest.sweep.run import TASKS, Swept, sweep
from backtest.sweep.table import RESULTS
from backtest.sweep.work import do
from core.chance import uniform
from core.errors import ConfigError, FillwrightError
from tests.shell import shell
from tests.sweeps import calls, counted, deadly, many, market, planned

ROOT = Path(__file__).resolve().parents[1]
START = "from pathlib import Path; from tests.sweeps import swept; swept(Path({data!r}), Path({output!r}))"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return market(tmp_path)


def table(output: Path) -> pl.DataFrame:
    return pl.read_parquet(output / RESULTS)


def digests(output: Path) -> dict[str, str]:
    """What a sweep has written, by name."""
    files = [path for path in output.rglob("*") if path.is_file()]
    return {str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_nothing_is_computed_twice_and_what_is_new_is_computed(data: Path, tmp_path: Path) -> None:
    told: dict[str, Any] = {"workers": 1, "function": counted}
    first = sweep(planned(data), str(data), tmp_path / "out", **told)
    assert (first.computed, first.kept) == (3, 0)
    before = digests(tmp_path / "out")
    again = sweep(planned(data), str(data), tmp_path / "out", **told)
    assert (again.computed, again.kept) == (0, 3)
    assert digests(tmp_path / "out") == before
    assert again == Swept(first.results, {}, 0, 3)
    longer = planned(data, seeds=[0, 13])
    more = sweep(longer, str(data), tmp_path / "out", workers=1, function=counted)
    assert (more.computed, more.kept) == (3, 3)
    assert max(Counter(key for _, key in calls(data)).values()) == 1
    assert {key for _, key in calls(data)} == {task.key for task in longer.tasks}
    rows = table(tmp_path / "out")
    assert rows["label"].to_list() == [longer.settings[task.setting].label for task in longer.tasks]
    assert rows["algorithm.default_slices"].to_list() == [None, 2, 5] * 2
    assert rows["executions"].to_list() == [4] * 6
    board = rank(longer, more.results, "shortfall")
    assert [one.n for one in board.places] == [8, 8, 8]
    assert all(one.paired for one in board.places[1:])
    assert "3 settings were tried" in board.remarks[0]


def test_a_worker_computes_what_the_function_does(data: Path, tmp_path: Path) -> None:
    made = planned(data)
    sweep(made, str(data), tmp_path / "out", workers=1)
    for task in made.tasks:
        file = tmp_path / "out" / TASKS / task.key[:2] / f"{task.key}.json"
        assert file.read_bytes().partition(b"\n")[2] == do(task.work, str(data))


def test_a_task_that_fails_is_named_the_others_go_on_and_the_exit_code_says_so(data: Path, tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(
        "sweep:\n"
        "  study: {type: parents, parents: 3, seconds: [300]}\n"
        "  algorithms: [{type: MARKET}, {type: TWAP}]\n"
        "  symbols: [ATOM/USDT]\n"
        "  periods: [{start: 2025-01-02, end: 2025-01-02}, {start: '2025-01-03', end: '2025-01-03T00:04'}]\n"
    )
    command = ["fillwright", "sweep", "--config", "sweep.yaml", "--output-dir", "out", "--workers", "1"]
    done = shell(command, tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("failed: MARKET · 2025-01-03") == 1
    assert "and 1 more: " in done.stderr  # TWAP, for the same reason, which is not said twice
    assert "95 % interval" not in done.stdout  # a table of nothing
    assert "the bars of ATOM/USDT are over before a parent of 300 seconds is" in done.stderr
    assert "4 tasks: 2 computed, 0 kept from before, 2 failed" in done.stdout
    assert "No setting has a result under every condition" in done.stdout
    rows = table(tmp_path / "out")
    assert rows["status"].to_list() == ["done", "done", "failed", "failed"]
    assert rows["error"].null_count() == 2
    assert rows["shortfall_bps"].null_count() == 2


@pytest.mark.slow
def test_a_worker_that_dies_fails_its_own_task_and_no_other(data: Path, tmp_path: Path) -> None:
    made = planned(data, seeds=[0, 13, 1], algorithms=[{"type": "MARKET"}])
    found = sweep(made, str(data), tmp_path / "out", workers=2, function=deadly)
    assert list(found.failures) == [1]
    assert "its worker process died" in found.failures[1]
    assert sorted(found.results) == [0, 2]
    assert found.computed == 2
    again = sweep(made, str(data), tmp_path / "out", workers=1)  # a failure is not kept: it is tried again
    assert (again.failures, again.computed, again.kept) == ({}, 1, 2)


@pytest.mark.slow
def test_a_sweep_that_is_killed_again_and_again_ends_as_if_it_never_was(data: Path, tmp_path: Path) -> None:
    """kill -9 at random moments; what was kept then is never computed again."""
    output = tmp_path / "out"
    code = START.format(data=str(data), output=str(output))
    kept_at: list[set[str]] = []
    done = False
    for number in range(40):
        kept_at.append({path.stem for path in output.glob(f"{TASKS}/*/*.json")})
        process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "SWEEP_RUN": str(number)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        until = len(kept_at[-1]) + int(uniform("kill", number) * 8)
        moment = uniform("moment", number) * 0.2
        while process.poll() is None and len(list(output.glob(f"{TASKS}/*/*.json"))) <= until:
            time.sleep(0.005)
        time.sleep(moment)
        finished = process.poll() is not None
        with_its_workers = process.pid
        process.send_signal(signal.SIGKILL)
        process.wait()
        _gone(with_its_workers)
        if finished:
            assert process.returncode == 0
            done = True
            break
    assert done
    assert number >= 3  # it was killed indeed
    for run, key in calls(data):
        assert key not in kept_at[int(run)]
    whole = sweep(many(data), str(data), tmp_path / "whole", workers=2)
    assert whole.computed == 40
    assert digests(tmp_path / "whole") == digests(output)


def _gone(group: int) -> None:
    """Waits for the workers of a process that was killed: they end by themselves."""
    for _ in range(600):
        if not _alive(group):
            return
        time.sleep(0.05)
    os.killpg(group, signal.SIGKILL)
    pytest.fail("workers outlived the sweep by 30 s")


def _alive(group: int) -> bool:
    """Whether a process of the group runs; what is dead and only waits to be counted does not."""
    proc = Path("/proc")
    if not proc.is_dir():
        with suppress(ProcessLookupError):
            os.killpg(group, 0)
            return True
        return False
    for file in proc.glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _parent, its_group = file.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_results_are_the_same_to_the_last_bit_on_every_backend(backend: str, data: Path, tmp_path: Path) -> None:
    """In processes of their own: what they leave behind would be another test's."""
    here = sweep(planned(data, seeds=[0, 13]), str(data), tmp_path / "loky", workers=2)
    code = (
        "from pathlib import Path\nfrom tests.sweeps import planned, deadly\nfrom backtest.sweep.run import sweep\n"
        f"data = Path({str(data)!r})\n"
        "if __name__ == '__main__':\n"
        f"    out, made = Path({str(tmp_path / backend)!r}), planned(data, seeds=[0, 13])\n"
        f"    first = sweep(made, str(data), out, workers=2, backend={backend!r}, function=deadly)\n"
        "    assert sorted(first.failures) == [3, 4, 5], first\n"
        "    assert all('its worker process died' in why for why in first.failures.values()), first\n"
        f"    found = sweep(made, str(data), out, workers=2, backend={backend!r})\n"
        "    assert (found.computed, found.kept, found.failures) == (3, 3, {}), found\n"
    )
    (tmp_path / "run.py").write_text(code)
    done = shell([sys.executable, str(tmp_path / "run.py")], ROOT, within_s=200, PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stderr
    assert here.computed == 6
    assert digests(tmp_path / backend) == digests(tmp_path / "loky")


@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_a_missing_extra_is_one_line(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=rf"pip install 'fillwright\[{backend}\]'"), pool_of(backend, workers=1):
        pass


def test_an_address_without_a_cluster_is_one_line() -> None:
    with pytest.raises(ConfigError, match="add --backend dask or --backend ray"), pool_of("loky", address="x:1"):
        pass
    nobody = pytest.raises(FillwrightError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1")
    with nobody, pool_of("dask", address="tcp://127.0.0.1:1"):
        pass
