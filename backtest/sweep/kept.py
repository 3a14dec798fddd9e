"""Results on disk, a file for each task, found by the hash of everything that decided them.

A file is written under another name and then moved into place, so it is whole or not there, whatever was killed when;
its first line is the hash of the rest, so that a disk that lost a part of it is noticed and the task is done again.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from core.codec import from_json
from core.folders import sync

_HASH = 64


class Kept:
    """The results below a folder, which is made when the first one is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __contains__(self, key: str) -> bool:
        return self._content(key) is not None

    def put(self, key: str, content: bytes) -> None:
        """Keeps a result; it survives a power cut from here on. Raises OSError where it cannot be written."""
        file = self._file(key)
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}.partial")
        try:
            partial.write_bytes(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
            sync(partial)
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)

    def get(self, key: str) -> dict[str, Any]:
        """A result that was kept. Raises KeyError where there is none."""
        content = self._content(key)
        if content is None:
            raise KeyError(key)
        found: dict[str, Any] = from_json(content)
        return found

    def sweep_up(self) -> None:
        """Removes what processes that were killed had begun to write."""
        for partial in self.folder.glob("*/*.partial"):
            partial.unlink(missing_ok=True)

    def _file(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"

    def _content(self, key: str) -> bytes | None:
        try:
            whole = self._file(key).read_bytes()
        except FileNotFoundError:
            return None
        content = whole[_HASH + 1 :]
        return content if hashlib.sha256(content).hexdigest().encode() == whole[:_HASH] else None
