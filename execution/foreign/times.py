"""Times of a column, however each cell writes its own: numbers since 1970, or ISO 8601 with more or fewer digits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from execution.foreign.layout import Layout
from research import columns
from research.times import SECOND_NS

if TYPE_CHECKING:
    import polars as pl

# 2025-01-31, 2025-01-31T12:30, 2025-01-31 12:30:05.25+01:00, 20250131-12:30:05.250, 20250131;123005
_ISO: Final = (
    r"^(?<year>\d{4})-?(?<month>\d{2})-?(?<day>\d{2})"
    r"(?:[-;, Tt]+(?<hour>\d{2}):?(?<minute>\d{2})(?::?(?<second>\d{2})(?:[.,](?<fraction>\d{1,9}))?)?"
    r"\s*(?<zone>[Zz]|UTC|[+-]\d{2}:?\d{2})?)?$"
)


def nanoseconds(column: pl.Series, layout: Layout) -> pl.Series:
    """Nanoseconds since the epoch; null where a cell is no time, or one that its zone has twice or never.

    Days and months in another order, 01/02/2025, are nobody's business to guess: null.
    """
    import polars as pl

    known = columns.Layout(time_unit=layout.time_unit, timezone=layout.timezone)
    if column.dtype != pl.String:
        return columns.nanoseconds(column, known)
    number = pl.Series(column).set(column.cast(pl.Float64, strict=False).is_null(), None)
    frame = column.alias("text").to_frame().select(
        pl.col("text"), pl.col("text").str.extract_groups(_ISO).alias("part")
    ).unnest("part")  # fmt: skip
    parts = [pl.col(name) for name in ("year", "month", "day")]
    parts += [pl.col(name).fill_null("00") for name in ("hour", "minute", "second")]
    clock = pl.format("{}-{}-{}T{}:{}:{}", *parts).str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False)
    zone = pl.col("zone")
    hours, minutes = (zone.str.extract(r"(\d{2}):?(\d{2})$", group).cast(pl.Int64).fill_null(0) for group in (1, 2))
    offset_s = (hours * 3600 + minutes * 60) * pl.when(zone.str.starts_with("-")).then(-1).otherwise(1)
    local = clock.dt.replace_time_zone(layout.timezone, ambiguous="null", non_existent="null").dt.epoch("s")
    seconds = pl.when(zone.is_null()).then(local).otherwise(clock.dt.epoch("s") - offset_s)
    fraction = pl.col("fraction").str.pad_end(9, "0").cast(pl.Int64, strict=False).fill_null(0)
    iso = frame.select((seconds * SECOND_NS + fraction).alias("time"))["time"]
    if number.null_count() == len(number):
        return iso
    dated = frame["month"].is_not_null() & frame["text"].str.contains(r"\d[-;, Tt]+\d")
    return columns.nanoseconds(number, known).to_frame("number").select(
        pl.when(pl.Series(dated)).then(pl.Series(iso)).otherwise(pl.col("number")).alias("time")
    )["time"]  # fmt: skip
