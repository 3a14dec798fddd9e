"""Where a unix socket may stand: its address has room for about a hundred bytes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from core.errors import ConfigError

MOST: Final = 100


def short(path: Path) -> str:
    """The path as it is, or from the working directory where that is shorter. Raises ConfigError for one too long."""
    absolute = os.path.abspath(path)  # noqa: PTH100 - a link must stay one
    ways = (os.fspath(path), os.path.relpath(absolute))
    best = min(ways, key=len)
    if len(best.encode()) > MOST:
        raise ConfigError(f"socket: {path} is longer than {MOST} bytes; name a shorter one, such as /tmp/trader.sock")
    return best
