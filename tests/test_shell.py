"""A command that hangs or fails leaves no process behind."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.shell import shell


def gone(pid: int) -> bool:
    """Whether it has ended; one that nobody has waited for yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc")
@pytest.mark.parametrize(("ending", "code"), [("exit 3", 3), ("wait", -9)])
def test_what_a_command_left_behind_is_killed(ending: str, code: int, tmp_path: Path) -> None:
    script = f"sleep 600 > /dev/null 2>&1 & echo $! | tee pid; {ending}"
    done = shell(["bash", "-s"], tmp_path, script, within_s=5.0 if code == -9 else 60.0)
    assert done.returncode == code
    assert ("killed after 5 s" in done.stderr) == (code == -9)
    pid = int((tmp_path / "pid").read_text())
    assert done.stdout == f"{pid}\n"
    for _ in range(1000):
        if gone(pid):
            return
        time.sleep(0.02)
    os.kill(pid, 9)
    pytest.fail("it went on")
