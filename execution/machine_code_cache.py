"""Compiled code on disk is a help and no must: what is damaged or cannot be written costs time, and nothing else.

It is kept in NUMBA_CACHE_DIR, where that is set; else beside the source, or in the user's cache where nothing may be
written there. A name tells of which function, processor, version, source and arguments it is; `-` parts it.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

ENDING: Final = ".code"
_CHECK: Final = 16  # bytes in front of the content, which tell whether it is whole


def folders(source: str) -> list[Path]:
    """Where code of this file may be kept, the best place first."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        return [Path(chosen)]
    places = [Path(source).parent / "__pycache__"]
    with suppress(RuntimeError):  # nobody's home
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        places.append(Path(home) / "fillwright")
    return places


def read(places: list[Path], name: str) -> bytes | None:
    """What was kept under this name; None where there is nothing that is whole."""
    for place in places:
        with suppress(OSError):
            content = (place / (name + ENDING)).read_bytes()
            if content[:_CHECK] == _check(content[_CHECK:]):
                return content[_CHECK:]
    return None


def is_kept(places: list[Path], beginning: str) -> bool:
    """Whether there is anything whose name begins like this."""
    return any(next(place.glob(f"{beginning}-*{ENDING}"), None) is not None for place in places)


def keep(places: list[Path], name: str, content: bytes) -> None:
    """Writes it to the first folder that lets us, and takes away what an older source left there."""
    for place in places:
        partial = place / f".{name}.{os.getpid()}.partial"
        with suppress(OSError):
            place.mkdir(parents=True, exist_ok=True)
            try:
                partial.write_bytes(_check(content) + content)
                partial.replace(place / (name + ENDING))
            finally:
                partial.unlink(missing_ok=True)
            _tidy(place, name)
            return


def _tidy(place: Path, name: str) -> None:
    """Removes code of the same function for the same processor and versions, but from another source."""
    function, setting, source, _ = name.rsplit("-", 3)
    for old in place.glob(f"{function}-{setting}-*{ENDING}"):
        if not old.name.startswith(f"{function}-{setting}-{source}-"):
            old.unlink(missing_ok=True)


def _check(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_CHECK).digest()
