"""`fillwright trade` as a process: killed with kill -9, asked from other processes, stopped by signals."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from core.chance import generator
from core.journal_read import read
from live.service import SWITCH_S
from tests.traders import (
    SYMBOL,
    WITHIN_S,
    config_folder,
    fillwright,
    noted,
    orders_file,
    ready,
    sample,
    started,
    written,
)

PARENTS: list[dict[str, Any]] = [
    {"id": f"p-{number}", "side": "buy", "quantity": 200 + 10 * number,
     "duration_seconds": 5400, "start": f"2025-01-01T0{number}:10", "params": {"slice_count": 30}}
    for number in range(6)
]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample(tmp_path_factory.mktemp("market"), end="2025-01-02")


def traded(folder: Path, data: Path, *words: str) -> dict[str, Any]:
    """A trader's run to its end, as --json says."""
    done = fillwright(folder, "trade", "--no-report", "--json", "--data-dir", str(data), *words)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def twap_folder(folder: Path, **more: Any) -> Path:
    """A working directory whose trader works six overlapping TWAPs of thirty slices."""
    made = config_folder(folder, orders="orders.ndjson", **more)
    orders_file(made, *({"symbol": SYMBOL, "algo": "TWAP", **one} for one in PARENTS))
    return made


def killed_again_and_again(folder: Path, data: Path, deaths: int) -> int:
    """Kills the process as soon as its journals have grown by a random share, and starts it again; counts the kills.

    Shares are such that there is work left after the last. Where the machine is so busy that the process comes to its
    end all the same before it is killed, it all begins anew.
    """
    for attempt in range(5):
        shutil.rmtree(folder / "var" / "live", ignore_errors=True)
        kills = killed(folder, data, deaths, attempt)
        if kills == deaths:
            return kills
    raise AssertionError(f"it ends too early to be killed {deaths} times")


def killed(folder: Path, data: Path, deaths: int, attempt: int) -> int:
    draws = generator(attempt, "kill -9", deaths)
    live = folder / "var" / "live"
    whole = written(folder.parent / "whole" / "var" / "live")
    kills = 0
    while kills < deaths:
        before = written(live)
        goal = before + int(draws.integers(0, max(2, (whole - before) // (deaths - kills + 2))))
        process = started(folder, "--data-dir", str(data))
        while written(live) <= goal and process.poll() is None:
            time.sleep(float(draws.random()) * 0.002)
        process.kill()
        process.communicate()
        if process.returncode != -signal.SIGKILL:
            break  # it had come to its end
        kills += 1
    return kills


def fills_of(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "var" / "live" / "run" / "fills.parquet")


def same_as_untouched(tmp_path: Path, data: Path, deaths: int, fsync: str) -> None:
    # pitfall 27, pitfall 28: the real process, the real journal, kill -9
    whole, folder = (twap_folder(tmp_path / name, fsync=fsync) for name in ("whole", "killed"))
    traded(whole, data)
    kills = killed_again_and_again(folder, data, deaths)
    found = traded(folder, data)
    assert 1 <= found["epoch"] - 1 <= kills  # a process that died before it wrote its start does not count
    assert fills_of(folder).rows() == fills_of(whole).rows()
    assert len(fills_of(folder)) > 100
    lines = [entry.data["intent"] for entry in read(folder / "var" / "live" / "venue") if entry.data["intent"]]
    sent = [line["intent_id"] for line in lines]
    assert len(set(sent)) == len(sent), "a child was sent twice"
    wanted = [
        entry.data["i"]["intent_id"] for entry in read(whole / "var" / "live" / "journal") if entry.kind == "order"
    ]
    assert sorted(sent) == sorted(wanted), "a child was lost"


def test_killed_three_times_it_trades_as_if_nothing_had_happened(tmp_path: Path, data: Path) -> None:
    same_as_untouched(tmp_path, data, 3, fsync="never")


@pytest.mark.slow
def test_killed_fifty_times_it_trades_as_if_nothing_had_happened(tmp_path: Path, data: Path) -> None:
    same_as_untouched(tmp_path, data, 50, fsync="on_sync")


def test_orders_come_from_another_process_and_a_stop_leaves_them_for_the_next_start(tmp_path: Path, data: Path) -> None:
    folder = config_folder(tmp_path / "work", feed={"speed": 20})
    process = started(folder, "--data-dir", str(data))
    try:
        ready(process, folder)
        new = ("order", "new", "--id", "o-1", "--symbol", SYMBOL, "--side", "buy", "--quantity", "90", "--json")
        first = json.loads(fillwright(folder, *new, "--duration", "3600").stdout)
        assert first["known"] is False
        other = fillwright(folder, *new[:-2], "80")
        assert other.returncode == 1
        assert "belongs to another order" in other.stderr
        second = fillwright(folder, "trade", "--data-dir", str(data))
        assert second.returncode == 1
        assert "another process writes this journal" in second.stderr
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=WITHIN_S)
    finally:
        process.kill()
    assert (process.returncode, json.loads(out)["ending"]) == (0, "left"), err
    assert [entry.kind for entry in read(folder / "var" / "live" / "journal")][-1] == "stop"
    found = traded(folder, data, "--speed", "max")
    assert (found["epoch"], found["by_status"]["completed"]) == (2, 1)
    assert fills_of(folder)["qty"].sum() == pytest.approx(90)
    gone = fillwright(folder, "order", "list")
    assert gone.returncode == 1
    assert "no trader answers" in gone.stderr


def test_the_switch_is_noticed_by_an_idle_trader(tmp_path: Path, data: Path) -> None:
    assert SWITCH_S < 1.0  # that it looks so often; how long a busy machine then takes is not asked here
    folder = config_folder(tmp_path / "work", feed={"speed": 1})
    process = started(folder, "--data-dir", str(data))
    try:
        ready(process, folder)
        (folder / "var" / "kill").touch()  # by hand: nothing else may answer
        noted(process, folder, "kill")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=WITHIN_S) == 1
    finally:
        process.kill()
        process.communicate()


def test_under_a_tripped_switch_the_table_says_why_and_what_to_do(tmp_path: Path, data: Path) -> None:
    folder = twap_folder(tmp_path / "work")
    assert fillwright(folder, "kill", "trip", "--by", "ann", "--reason", "drill").returncode == 0
    done = fillwright(folder, "trade", "--no-report", "--data-dir", str(data))
    assert done.returncode == 1
    assert "6 failed: the kill switch is tripped: no parent is taken in" in done.stdout
    (line,) = [line for line in done.stderr.splitlines() if "error:" in line]
    assert "tripped by ann: drill" in line
    assert "fillwright kill clear --by NAME --reason TEXT" in line
    assert fillwright(folder, "kill", "clear", "--by", "ann", "--reason", "over").returncode == 0


def test_without_a_folder_of_settings_it_trades_by_those_that_ship(tmp_path: Path, data: Path) -> None:
    done = fillwright(tmp_path, "trade", "--replay", "--speed", "max", "--start", "2025-01-01", "--end", "2025-01-01",
                      "--no-report", "--data-dir", str(data))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "ended: the tape is over" in done.stdout
    gone = fillwright(tmp_path, "trade", "--config", "config/desk.yaml")
    assert gone.returncode == 1
    assert "config/desk.yaml: no such file" in gone.stderr


@pytest.mark.parametrize("on_stop", ["cancel", "finish"])
def test_a_stop_by_policy_waits_for_the_parents(on_stop: str, tmp_path: Path, data: Path) -> None:
    speed = 600 if on_stop == "cancel" else 3600
    folder = twap_folder(tmp_path / "work", feed={"speed": speed}, on_stop=on_stop)
    process = started(folder, "--data-dir", str(data))
    try:
        ready(process, folder)
        noted(process, folder, "order")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=WITHIN_S)
    finally:
        process.kill()
    found = json.loads(out)
    assert (process.returncode, found["ending"]) == (0, "stopped"), err
    assert found["by_status"]["running"] == 0


def test_a_second_signal_leaves_at_once_and_loses_nothing(tmp_path: Path, data: Path) -> None:
    folder = twap_folder(tmp_path / "work", feed={"speed": 200}, on_stop="finish")
    process = started(folder, "--data-dir", str(data))
    try:
        ready(process, folder)
        noted(process, folder, "order")
        process.send_signal(signal.SIGINT)
        time.sleep(1.0)  # two that arrive together are one
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=WITHIN_S)
    finally:
        process.kill()
    assert process.returncode == 130
    traded(folder, data, "--speed", "max")
    assert fills_of(folder)["qty"].sum() == pytest.approx(sum(one["quantity"] for one in PARENTS), rel=0.1)


def test_a_damaged_journal_stops_the_trader_and_the_replay_says_where(tmp_path: Path, data: Path) -> None:
    folder = twap_folder(tmp_path / "work", fsync="never")
    traded(folder, data)
    (segment,) = (folder / "var" / "live" / "journal").glob("*.ndjson")
    shown = json.loads(fillwright(folder, "replay", "var/live/journal", "--json").stdout)
    assert [parent["id"] for parent in shown["parents"]] == [one["id"] for one in PARENTS]
    assert sum(parent["filled"] for parent in shown["parents"]) == pytest.approx(fills_of(folder)["qty"].sum())
    bytes_ = bytearray(segment.read_bytes())
    bytes_[len(bytes_) // 2] ^= 1
    segment.write_bytes(bytes_)
    for words in (("trade", "--data-dir", str(data)), ("replay", "var/live/journal")):
        done: subprocess.CompletedProcess[str] = fillwright(folder, *words)
        assert done.returncode == 1
        assert "damaged" in done.stderr
        assert "fillwright verify" in done.stderr
    partly = fillwright(folder, "replay", "var/live/journal", "--lenient", "--json")
    assert partly.returncode == 1
    assert json.loads(partly.stdout)["damaged"] is True
