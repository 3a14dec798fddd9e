"""A virtual environment for each peer: `requirements/NAME.txt` in `FOLDER/NAME-venv`, made once.

The versions of the peers are pinned, what they bring along is not: their newest is what their users get.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

from core.errors import FillwrightError

REQUIREMENTS = Path(__file__).resolve().parent / "requirements"
PEERS = tuple(sorted(path.stem for path in REQUIREMENTS.glob("*.txt")))
_STAMP = "requirements.txt"  # in the environment: what was installed


def python_of(peer: str, folder: Path) -> Path:
    """The interpreter that has this peer. Makes its environment where there is none, or one of other versions.

    Raises FillwrightError, one line, where its packages cannot be had.
    """
    place = folder / f"{peer}-venv"
    wanted = (REQUIREMENTS / f"{peer}.txt").read_text(encoding="utf-8")
    python = place / "bin" / "python"
    stamp = place / _STAMP
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    print(f"installing {wanted.strip()} into {place}", file=sys.stderr)
    shutil.rmtree(place, ignore_errors=True)
    venv.create(place, with_pip=True, symlinks=True)
    words: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*words, "--requirement", REQUIREMENTS / f"{peer}.txt"], stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        reason = said[-1].removeprefix("ERROR: ") if said else f"pip ended with {done.returncode}"
        raise FillwrightError(
            f"{wanted.strip()} cannot be installed ({reason}); is a package index reachable? Others: --only NAME,NAME"
        )
    stamp.write_text(wanted, encoding="utf-8")
    return python
