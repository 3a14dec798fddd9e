"""Words of other people's files: for sides, for who rested, for how an order ended; and numbers that are not plain."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from core.contracts import Liquidity, Side
from execution.foreign.records import Ending

SIDES: Final[Mapping[str, Side]] = {
    **dict.fromkeys(("buy", "b", "bid", "bought", "bot", "long", "1", "+1", "buy to open", "buy to close"), "buy"),
    **dict.fromkeys(("sell", "s", "ask", "sold", "sld", "short", "2", "-1", "5", "6"), "sell"),
    **dict.fromkeys(("sell short", "sellshort", "short sell", "sell to open", "sell to close", "ss"), "sell"),
}
LIQUIDITY: Final[Mapping[str, Liquidity | None]] = {
    **dict.fromkeys(("maker", "m", "add", "added", "a", "passive", "1"), "maker"),
    **dict.fromkeys(("taker", "t", "remove", "removed", "r", "aggressive", "2"), "taker"),
    **dict.fromkeys(("unknown", "both", "auction", "routed", "3", "4"), None),
}
YES: Final = ("true", "t", "yes", "y", "1")
NO: Final = ("false", "f", "no", "n", "0")
STATUSES: Final[Mapping[str, Ending]] = {
    **dict.fromkeys(
        ("filled", "closed", "done", "complete", "completed", "executed", "fully filled", "2"), "completed"
    ),
    **dict.fromkeys(
        ("cancelled", "canceled", "cancel", "expired", "killed", "done for day", "4", "c", "3"), "cancelled"
    ),
    **dict.fromkeys(("partially cancelled", "partially canceled", "partially filled canceled"), "cancelled"),
    **dict.fromkeys(("rejected", "reject", "failed", "denied", "error", "8"), "failed"),
    **dict.fromkeys(("open", "new", "active", "working", "live", "accepted", "pending", "submitted", "0"), "running"),
    **dict.fromkeys(("partially filled", "partial", "partial fill", "partiallyfilled", "1", "a"), "running"),
}
MISSING: Final = ("", "nan", "null", "none", "na", "n/a", "-", "--")
"""Cells that say nothing."""

_GROUPED = re.compile(r"[-+]?\d{1,3}(?:[,' \u00a0\u2009\u202f]\d{3})+(?:\.\d+)?")
_COMMA = re.compile(r"[-+]?(?:\d{1,3}(?:\.\d{3})+|\d+)?,\d+")
_UNIT = re.compile(r"[^0-9]*[-+]?[\d.]+\s*[^\d\s.,][^\d]*")


def plain(word: str) -> str:
    """The word as the tables above have it."""
    return " ".join(word.replace("_", " ").split()).casefold()


def odd_number(text: str) -> tuple[str, str]:
    """Why a cell is not a number, and what to do: it is never guessed what a comma means."""
    if _GROUPED.fullmatch(text):
        bare = re.sub(r"[^\d.+-]", "", text)
        if re.fullmatch(r"[-+]?\d{1,3},\d{3}", text):
            return (
                "has a comma that may stand for thousands or for decimals",
                f"write {bare} or {text.replace(',', '.')}",
            )
        return "has thousands separators", f"write {bare}"
    if _COMMA.fullmatch(text):
        return "has a decimal comma", f"write {text.replace('.', '').replace(',', '.')}"
    if text.casefold() in ("inf", "-inf", "+inf", "infinity", "-infinity", "+infinity"):
        return "is infinite", "write the number, or leave the cell empty"
    if _UNIT.fullmatch(text):
        return "has a unit", "write the number alone"
    return "is not a number", "write digits with a decimal point, or leave the cell empty where nothing is known"
