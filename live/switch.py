"""What the kill switch's log says: a switch that was cleared by name is clear, one that has vanished is not."""

from __future__ import annotations

from pathlib import Path

from core import codec


def last_cleared(switch: Path | str) -> tuple[str, str] | None:
    """Who cleared the switch last, and why; None where its log does not end with that, or cannot be read."""
    log = Path(f"{switch}.log")
    try:
        lines = log.read_bytes().splitlines()
        last = codec.from_json(lines[-1]) if lines else {}
    except (OSError, ValueError):
        return None
    if not isinstance(last, dict) or last.get("action") != "clear":
        return None
    return str(last.get("by") or "unknown"), str(last.get("reason") or "no reason given")
