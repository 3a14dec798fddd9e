"""Where the real market data lies, for the tests that use it; it stays outside the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "real"


def real(name: str) -> Path:
    """The path of a real data file; skips the test where it is absent, fails it in CI, which has the files."""
    path = FOLDER / name
    if not path.is_file():
        if os.environ.get("CI"):
            pytest.fail(f"CI must have the real data: {name} is not in shared/data/real")
        pytest.skip(f"real market data is absent: {name} is not in ../shared/data/real")
    return path
