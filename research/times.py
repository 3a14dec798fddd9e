"""Times as people write them, to and from nanoseconds since the epoch, always UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from core.errors import ConfigError

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
DAY_NS = 86_400 * SECOND_NS
UNIT_NS = {"s": SECOND_NS, "ms": 1_000_000, "us": 1_000, "ns": 1}

_TIMEFRAME = re.compile(r"([1-9][0-9]{0,3})([smhd])")
_TIMEFRAME_UNIT_NS = {"s": SECOND_NS, "m": MINUTE_NS, "h": 60 * MINUTE_NS, "d": DAY_NS}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_ns(text: str, field: str = "time") -> int:
    """Nanoseconds of an ISO date or date and time: "2025-01-01", "2025-01-01T12:30", "...+02:00"; UTC where unsaid.

    Raises ConfigError naming the field and the value.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise ConfigError(f"{field} must be a date such as 2025-01-31 or 2025-01-31T12:30, was {text!r}") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1_000


def iso(ts_ns: int) -> str:
    """The time as "2025-01-31", with "T12:30", ":05" and fractions only where they are not zero."""
    seconds, fraction_ns = divmod(ts_ns, SECOND_NS)
    moment = _EPOCH + timedelta(seconds=seconds)
    if fraction_ns:
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction_ns:09d}".rstrip("0")
    if moment.second:
        return f"{moment:%Y-%m-%dT%H:%M:%S}"
    return f"{moment:%Y-%m-%dT%H:%M}" if moment.hour or moment.minute else f"{moment:%Y-%m-%d}"


def period(start_ns: int | None, end_ns: int | None) -> str:
    """The half-open interval in words: "2025-01-01 to 2025-02-01"."""
    start = "the start" if start_ns is None else iso(start_ns)
    return f"{start} to {'the end' if end_ns is None else iso(end_ns)}"


def timeframe_ns(timeframe: str) -> int:
    """The length of a bar: "1m" is 60 s. Raises ConfigError where it is not a number and one of s, m, h, d."""
    match = _TIMEFRAME.fullmatch(timeframe)
    if match is None:
        raise ConfigError(f"timeframe must be a number and s, m, h or d, such as 1m or 1h, was {timeframe!r}")
    return int(match[1]) * _TIMEFRAME_UNIT_NS[match[2]]
