"""Raw columns into the store's: which column is which, units and zones of time, words for the aggressor's side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.errors import ConfigError, DataError, nearest
from research.schema import Kind, dtype
from research.tables import ROW
from research.times import SECOND_NS, UNIT_NS

if TYPE_CHECKING:
    import polars as pl

TimeUnit = Literal["auto", "s", "ms", "us", "ns"]
BarStamp = Literal["open", "close"]
# 2025-01-31, 2025-01-31T12:30, 2025-01-31 12:30:05.25+01:00, 20250131-12:30:05.250, 20250131;123005
_ISO = (
    r"^(?<year>\d{4})-?(?<month>\d{2})-?(?<day>\d{2})"
    r"(?:[-;, Tt]+(?<hour>\d{2}):?(?<minute>\d{2})(?::?(?<second>\d{2})(?:[.,](?<fraction>\d{1,9}))?)?"
    r"\s*(?<zone>[Zz]|UTC|[+-]\d{2}:?\d{2})?)?$"
)
_BUYER_MADE = "is_buyer_maker"  # the buyer rested, so the seller was the aggressor
_YES, _NO = ("true", "t", "1", "yes"), ("false", "f", "0", "no")
_BUY, _SELL = ("buy", "b", "bid", "1"), ("sell", "s", "ask", "-1")


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file says what it says.

    `columns`: our name -> the file's; a column that is not named here is looked for under our name. Our names are
    those of `research.schema`, with `ts_open` or `ts` for the time, and `is_buyer_maker` in place of `side`.
    `time_unit` of numbers; "auto" goes by their size. `timezone` of times that carry none.
    `bar_stamp`: whether the time of a bar is its open or its close.
    """

    columns: dict[str, str] = field(default_factory=dict)
    time_unit: TimeUnit = "auto"
    timezone: str = "UTC"
    bar_stamp: BarStamp = "open"

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ConfigError(f"timezone must be a name such as Europe/Berlin, was {self.timezone!r}") from error


def to_kind(raw: pl.DataFrame, kind: Kind, layout: Layout, where: str) -> pl.DataFrame:
    """The columns of the kind and `ROW`. A value that cannot be read is null: the checks find it and name its row.

    Raises DataError for columns that are missing or unknown.
    """
    import polars as pl

    source = _sources(raw, kind, layout, where)
    columns: dict[str, pl.Series] = {}
    for name, found in source.items():
        column = raw[found]
        if name == kind.time:
            columns[name] = nanoseconds(column, layout)
        elif name == _BUYER_MADE:
            columns["side"] = _worded(column, {"sell": _YES, "buy": _NO})
        elif name == "side":
            columns[name] = _worded(column, {"buy": _BUY, "sell": _SELL})
        else:
            if column.dtype == pl.String:
                column = column.str.strip_chars()
            columns[name] = column.cast(dtype(name), strict=False)
    if kind.timeframe_ns:
        shift = kind.timeframe_ns if layout.bar_stamp == "close" else 0
        columns[kind.time] = columns[kind.time] - shift
        columns["ts_close_ns"] = columns[kind.time] + kind.timeframe_ns
    frame = pl.DataFrame([column.alias(name) for name, column in columns.items()])
    return frame.select([name for name in kind.columns if name in columns]).with_columns(raw[ROW])


def _sources(raw: pl.DataFrame, kind: Kind, layout: Layout, where: str) -> dict[str, str]:
    """Our column -> the column of the file that it comes from."""
    aliases = {kind.time.removesuffix("_ns"): kind.time}
    ours = [name for name in kind.columns if name != "ts_close_ns"]
    known = [*ours, *aliases, *([_BUYER_MADE] if "side" in ours else [])]
    there = [name for name in raw.columns if name != ROW]
    source = {aliases.get(name, name): name for name in known if name in there}
    for name, column in layout.columns.items():
        if name not in known:
            raise ConfigError(f"the column map names {name!r}, which {kind.name} has not: {nearest(name, known)}")
        if column not in there:
            raise DataError(f"{where} has no column {column!r}: {nearest(column, there)}")
        source[aliases.get(name, name)] = column
    missing = [name for name in kind.required if name != "ts_close_ns" and name not in source]
    if missing:
        raise DataError(
            f"{where} has no column for {', '.join(missing)} of {kind.name}; it has {', '.join(there)}: "
            f"say which is which with --map {missing[0]}=..."
        )
    if "side" in layout.columns:
        source.pop(_BUYER_MADE, None)
    return source


def nanoseconds(column: pl.Series, layout: Layout) -> pl.Series:
    """Nanoseconds since the epoch; null where unreadable, ambiguous or not existing in its zone."""
    import polars as pl

    if column.dtype == pl.String:
        return _of_text(column.str.strip_chars(), layout)
    if column.dtype == pl.Date:
        column = column.cast(pl.Datetime("us"))
    if isinstance(column.dtype, pl.Datetime):
        if column.dtype.time_zone is None:
            zoned = pl.col("time").dt.replace_time_zone(layout.timezone, ambiguous="null", non_existent="null")
            column = pl.DataFrame({"time": column}).select(zoned)["time"]
        return column.dt.convert_time_zone("UTC").dt.epoch("ns")
    if column.dtype.is_float():
        return _whole_or_float(pl.Series("time", [None] * len(column), pl.Int64), column, layout.time_unit)
    return _scaled(column.cast(pl.Int64, strict=False), layout.time_unit)


def _of_text(text: pl.Series, layout: Layout) -> pl.Series:
    """Each cell as it is written: a number since 1970, or ISO 8601, with more or fewer digits than its neighbours.

    Days and months in another order, 01/02/2025, are nobody's business to guess: null.
    """
    import polars as pl

    whole = text.cast(pl.Int64, strict=False)
    if whole.null_count() == text.null_count():
        return _scaled(whole, layout.time_unit)
    number = text.cast(pl.Float64, strict=False)
    frame = text.alias("text").to_frame().select(
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
    return _whole_or_float(whole, number, layout.time_unit).alias("number").to_frame().select(
        pl.when(pl.Series(dated)).then(pl.Series(iso)).otherwise(pl.col("number")).alias("time")
    )["time"]  # fmt: skip


def _whole_or_float(whole: pl.Series, number: pl.Series, unit: TimeUnit) -> pl.Series:
    """Times in numbers: exact where they are whole, to the microsecond where they have a fraction."""
    import polars as pl

    per_us = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
    size = pl.col("number").abs()
    factor = (
        pl.lit(per_us[unit])
        if unit != "auto"
        else pl.when(size < 1e11).then(1e6).when(size < 1e14).then(1e3).when(size < 1e17).then(1.0).otherwise(1e-3)
    )
    micros = (pl.col("number").fill_nan(None) * factor).round().cast(pl.Int64, strict=False)
    frame = pl.DataFrame({"whole": _scaled(whole, unit), "number": number})
    return frame.select(pl.coalesce("whole", micros * 1_000).alias("time"))["time"]


def _scaled(number: pl.Series, unit: TimeUnit) -> pl.Series:
    """Whole numbers to nanoseconds; "auto" tells the unit of each by its size, which is plain from 1973 to 5138."""
    import polars as pl

    time = pl.col("time")
    size = time.abs()

    def of(name: str) -> pl.Expr:
        return pl.when(size <= (2**63 - 1) // UNIT_NS[name]).then(time * pl.lit(UNIT_NS[name], pl.Int64))

    by_size = pl.when(size < 10**11).then(of("s")).when(size < 10**14).then(of("ms")).when(size < 10**17).then(of("us"))
    scaled = by_size.otherwise(of("ns")) if unit == "auto" else of(unit)
    return number.alias("time").to_frame().select(scaled.alias("time"))["time"]


def _worded(column: pl.Series, meanings: dict[str, tuple[str, ...]]) -> pl.Series:
    """Words to ours; a word that is not known becomes "?", which the checks refuse, and null stays null."""
    import polars as pl

    words = {word: ours for ours, theirs in meanings.items() for word in theirs}
    text = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    known = text.replace_strict(words, default=None, return_dtype=pl.String)
    return known.to_frame("known").select(
        pl.when(pl.Series(text.is_null())).then(None).otherwise(pl.col("known").fill_null("?")).alias("side")
    )["side"]
