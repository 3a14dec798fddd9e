"""Folders shared by processes: one writer at a time, and no lock that outlives its holder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from core.folders import alone, sync

HOLDER = """
import sys
from pathlib import Path
from core.folders import alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""
TRIER = """
import fcntl, os, sys
handle = os.open(sys.argv[1], os.O_RDONLY)
try:
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("free")
except BlockingIOError:
    print("taken")
"""


def tried(folder: Path) -> str:
    return subprocess.run([sys.executable, "-c", TRIER, str(folder)], capture_output=True, text=True).stdout.strip()


def test_a_folder_is_one_writers_until_he_leaves_it(tmp_path: Path) -> None:
    with alone(tmp_path):
        assert tried(tmp_path) == "taken"
    assert tried(tmp_path) == "free"


def test_a_writer_that_fails_leaves_the_folder_to_the_next(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="disk"), alone(tmp_path):
        raise OSError("disk")
    assert tried(tmp_path) == "free"


def test_a_writer_that_is_killed_leaves_the_folder_to_the_next(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "held"
        assert tried(tmp_path) == "taken"
        holder.kill()
        holder.wait()
        assert tried(tmp_path) == "free"


def test_files_and_folders_are_synced_and_a_missing_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    sync(file)
    sync(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        sync(tmp_path / "nowhere")
