"""What somebody may wish of a parent at work, as a plain dictionary: from a socket, or from the bus.

{"do": "cancel", "reason": "..."}     {"do": "pause", "reason": "..."}     {"do": "resume"}
{"do": "amend", "quantity": 5.0, "duration_seconds": 600, "limit_price": 4.2}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from core.errors import nearest
from core.instrument import Instrument
from execution.events import Amend, Cancel, Pause, Resume
from execution.intake import Request

WISHES: Final = ("cancel", "pause", "resume", "amend")
NS: Final = 1_000_000_000


def wish_of(asked: Mapping[str, Any], request: Request, instrument: Instrument) -> Pause | Resume | Cancel | Amend:
    """Raises ValueError for what is no wish, or asks for nothing."""
    match asked.get("do"):
        case "cancel":
            return Cancel(str(asked.get("reason") or "cancelled by request"))
        case "pause":
            return Pause(str(asked.get("reason") or "paused by request"))
        case "resume":
            return Resume()
        case "amend":
            return _amend(asked, request, instrument)
        case other:
            raise ValueError(f"do {other!r} is not known: {nearest(str(other), WISHES)}")


def _amend(asked: Mapping[str, Any], request: Request, instrument: Instrument) -> Amend:
    quantity, seconds, limit = (asked.get(key) for key in ("quantity", "duration_seconds", "limit_price"))
    if quantity is None and seconds is None and limit is None:
        raise ValueError("an amendment needs quantity, duration_seconds or limit_price")
    ticks = None
    if limit is not None:
        ticks = instrument.ticks(float(limit)) if request.algo.side == "buy" else instrument.ticks_up(float(limit))
    return Amend(
        quantity=None if quantity is None else instrument.lots(float(quantity)),
        end_ns=None if seconds is None else request.start_ns + int(seconds) * NS,
        limit_ticks=ticks,
    )
