"""Errors that a user can mend: one line that names what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

MOST_LISTED: Final = 30
FIRST_LISTED: Final = 10


class FillwrightError(Exception):
    """A problem that its reader can mend; `str(error)` is the one line that the command line prints."""


class ConfigError(FillwrightError):
    """A configuration file says something that cannot be meant."""


class DataError(FillwrightError):
    """Market data is missing or is not what it claims to be."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of an error line about an unknown word: the nearest known one, and all that there are, or the first of
    more than MOST_LISTED.

    >>> nearest("TWAB", ["TWAP", "VWAP"])
    "did you mean 'TWAP'? Known: TWAP, VWAP"
    """
    names = sorted(known)
    folded = {name.casefold(): name for name in names}
    close = get_close_matches(word.casefold(), folded, n=1)
    shown = names if len(names) <= MOST_LISTED else [*names[:FIRST_LISTED], f"and {len(names) - FIRST_LISTED:,} more"]
    if close:
        return f"did you mean '{folded[close[0]]}'? Known: {', '.join(shown)}"
    return f"known are {', '.join(shown)}" if names else "none is known"
