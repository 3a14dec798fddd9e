"""The kill switch: latched, durable, and tripped whenever it cannot be read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from risk.kill import KillStatus, KillSwitch

ROOT = Path(__file__).resolve().parents[1]


def test_a_switch_that_nobody_touched_is_clear(tmp_path: Path) -> None:
    switch = KillSwitch(tmp_path / "not" / "yet" / "kill")
    assert not switch.tripped()
    assert switch.status() == KillStatus(False)
    assert str(switch.status()) == "not tripped"


def test_a_trip_is_remembered_across_a_restart_and_in_other_processes(tmp_path: Path) -> None:
    path = tmp_path / "var" / "kill"
    assert KillSwitch(path).trip("ann", "venue is mad", 7) == KillStatus(True, "ann", "venue is mad", 7)
    assert KillSwitch(path).status() == KillStatus(True, "ann", "venue is mad", 7)
    code = f"from risk.kill import KillSwitch; print(KillSwitch({str(path)!r}).status())"
    seen = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout
    assert seen == "tripped by ann: venue is mad\n"
    assert sorted(file.name for file in path.parent.iterdir()) == ["kill", "kill.log"]


def test_the_first_trip_stays_on_record_and_every_trip_is_logged(tmp_path: Path) -> None:
    switch = KillSwitch(tmp_path / "kill")
    switch.trip("ann", "first", 1)
    assert switch.trip("bob", "second", 2).by == "ann"
    lines = [json.loads(line) for line in (tmp_path / "kill.log").read_text().splitlines()]
    assert [(line["action"], line["by"], line["reason"], line["ts_ns"]) for line in lines] == [
        ("trip", "ann", "first", 1),
        ("trip", "bob", "second", 2),
    ]


def test_it_is_cleared_by_name_and_reason_only(tmp_path: Path) -> None:
    switch = KillSwitch(tmp_path / "kill")
    switch.trip("ann", "test", 1)
    for by, reason in (("", "over"), ("bob", ""), (" bob", "over")):
        with pytest.raises(ValueError, match="must be a name"):
            switch.clear(by, reason, 2)
        assert switch.tripped()
    switch.clear("bob", "over", 3)
    assert not KillSwitch(tmp_path / "kill").tripped()
    assert json.loads((tmp_path / "kill.log").read_text().splitlines()[-1])["action"] == "clear"
    with pytest.raises(ValueError, match="is not tripped"):
        switch.clear("bob", "over", 4)


def test_a_trip_needs_a_name_and_a_reason(tmp_path: Path) -> None:
    switch = KillSwitch(tmp_path / "kill")
    with pytest.raises(ValueError, match="by must be a name"):
        switch.trip("", "x", 1)
    assert not switch.tripped()


@pytest.mark.parametrize("content", [b"not json", b"[]", b'{"tripped": false, "colour": 1}', b"\xff\xfe", b'{"by": 5}'])
def test_a_file_that_makes_no_sense_counts_as_tripped(tmp_path: Path, content: bytes) -> None:
    # pitfall 29: a switch whose store cannot be read must not read as "not killed"
    (tmp_path / "kill").write_bytes(content)
    status = KillSwitch(tmp_path / "kill").status()
    assert status.tripped
    assert "counts as tripped" in str(status)


def test_a_file_made_by_hand_trips(tmp_path: Path) -> None:
    (tmp_path / "kill").touch()
    switch = KillSwitch(tmp_path / "kill")
    assert switch.tripped()
    assert "made by hand" in str(switch.status())
    switch.clear("ann", "a drill", 1)
    assert not switch.tripped()


def test_a_file_that_says_it_is_not_tripped_is_tripped_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "kill").write_text('{"tripped": false}')
    assert KillSwitch(tmp_path / "kill").status().tripped


def test_a_folder_or_a_broken_path_in_its_place_counts_as_tripped(tmp_path: Path) -> None:
    # pitfall 29
    (tmp_path / "kill").mkdir()
    switch = KillSwitch(tmp_path / "kill")
    assert switch.tripped()
    assert "counts as tripped" in str(switch.status())
    (tmp_path / "file").touch()
    below_a_file = KillSwitch(tmp_path / "file" / "kill")
    assert below_a_file.tripped()
    assert below_a_file.status().tripped


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_without_permission_counts_as_tripped(tmp_path: Path) -> None:
    # pitfall 29
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0)
    try:
        assert KillSwitch(closed / "kill").tripped()
    finally:
        closed.chmod(0o700)


def test_a_trip_that_cannot_be_written_still_stops_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    switch = KillSwitch(tmp_path / "kill")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            switch.trip("ann", "stop", 1)
    assert switch.status() == KillStatus(True, "ann", "stop", 1)
    assert list(tmp_path.iterdir()) == []  # nothing half-written


def test_a_change_of_the_working_directory_does_not_lose_the_switch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    switch = KillSwitch("kill")
    switch.trip("ann", "stop", 1)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert switch.tripped()
