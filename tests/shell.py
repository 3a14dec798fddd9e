"""Commands as a person types them: in a folder, with the project's own programs first on the path."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

Done = subprocess.CompletedProcess[str]
WITHIN_S = 300.0


def shell(command: list[str], folder: Path, text: str = "", *, within_s: float = WITHIN_S, **environment: str) -> Done:
    """Runs it to its end with `text` as its input. Whatever it started and left behind is killed then, and so is a
    command that takes longer; what that one had said is in the answer."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(text, timeout=within_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            err += f"\nkilled after {within_s:g} s\n"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return Done(command, process.returncode, out, err)
