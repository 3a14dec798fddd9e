"""Checks on the way in: which rows are not what they must be, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from core.errors import DataError
from research.schema import Kind
from research.tables import ROW
from research.times import DAY_NS, SECOND_NS

if TYPE_CHECKING:
    import polars as pl

OnBad = Literal["fail", "skip"]
_FIRST_NS, _LAST_NS = 7305 * DAY_NS, 47482 * DAY_NS  # 1990 to 2100: outside, the unit of time is wrong
_ABOVE_ZERO = ("open", "high", "low", "close", "price", "bid", "ask", "qty")
_NOT_NEGATIVE = ("volume", "quote_volume", "trades", "taker_buy_volume", "bid_qty", "ask_qty")
_REASON = "_reason"
_MOVED = "out of order"


def checked(frame: pl.DataFrame, kind: Kind, on_bad: OnBad, where: str) -> tuple[pl.DataFrame, dict[str, int]]:
    """The good rows in order of time, without `ROW`, and how many rows were left out or moved, by reason.

    Every row must have its time (1990 to 2100) and finite numbers; prices and traded quantities above 0, volumes and
    displayed quantities not negative; low <= open, close <= high; bid <= ask; rows in order of time; no bar and no
    trade id twice, no bar into another.
    Raises DataError naming the first bad rows, with number, content and reason; `on_bad="skip"` leaves them out, puts
    rows in order, and keeps the first of two.
    """
    import polars as pl

    found = frame.with_columns(_row_reason(frame, kind).alias(_REASON))
    bad = [found.filter(pl.col(_REASON).is_not_null())]
    good = found.filter(pl.col(_REASON).is_null())
    for name, rule in _sequence_rules(good, kind):
        marked = good.with_columns(pl.when(rule).then(pl.lit(name)).alias(_REASON))
        bad.append(marked.filter(pl.col(_REASON).is_not_null()))
        good = good.sort(kind.time, maintain_order=True) if name == _MOVED else marked.filter(pl.col(_REASON).is_null())
    wrong = pl.concat(bad)
    if len(wrong) and on_bad == "fail":
        raise DataError(_bad_line(wrong, where, len(frame)))
    good = good.drop(_REASON, ROW)
    if good.is_empty():
        raise DataError(f"{where}: none of its {len(frame)} rows is good: {_counts_line(_counts(wrong))}")
    _check_spacing(good, kind, where)
    return good, _counts(wrong)


def _row_reason(frame: pl.DataFrame, kind: Kind) -> pl.Expr:
    """Why a row is bad by itself, else null; the first reason counts."""
    import polars as pl

    time = pl.col(kind.time)
    tests: list[tuple[pl.Expr, str]] = [
        (time.is_null(), "time is missing or unreadable"),
        (~time.is_between(_FIRST_NS, _LAST_NS), "time is not between 1990 and 2100: check the time unit"),
    ]
    for name in frame.columns:
        value = pl.col(name)
        if name in kind.required and name != kind.time:
            tests.append((value.is_null(), f"{name} is missing or unreadable"))
        if frame[name].dtype == pl.Float64:
            tests.append((~value.is_finite(), f"{name} is NaN or infinite"))
        if name in _ABOVE_ZERO:
            tests.append((value <= 0, f"{name} is not above 0"))
        if name in _NOT_NEGATIVE:
            tests.append((value < 0, f"{name} is negative"))
    if kind.family == "ohlcv":
        low, high = pl.min_horizontal("open", "close"), pl.max_horizontal("open", "close")
        tests.append((~((pl.col("low") <= low) & (high <= pl.col("high"))), "low <= open, close <= high is broken"))
    if kind.family == "quotes":
        tests.append((pl.col("bid") > pl.col("ask"), "bid is above ask"))
    if "side" in frame.columns:
        tests.append((~pl.col("side").is_in(["buy", "sell"]), "side is neither buy nor sell"))
    return pl.coalesce(*(pl.when(broken).then(pl.lit(reason)) for broken, reason in tests))


def _sequence_rules(good: pl.DataFrame, kind: Kind) -> list[tuple[str, pl.Expr]]:
    """What a row must not be after those before it. After the first rule, rows are in order."""
    import polars as pl

    time = pl.col(kind.time)
    rules = [(_MOVED, time < time.cum_max().shift(1))]
    if kind.key and all(name in good.columns and not good[name].null_count() for name in kind.key):
        rules.append(("duplicate", ~pl.struct(kind.key).is_first_distinct()))
    if kind.family == "ohlcv":
        rules.append(("overlaps the bar before", time < pl.col("ts_close_ns").shift(1)))
    return rules


def _check_spacing(good: pl.DataFrame, kind: Kind, where: str) -> None:
    """Hourly bars taken for minutes would pass every other check; a few lonely bars may be an illiquid market."""
    if kind.family != "ohlcv" or len(good) < 24:
        return
    step_ns = int(good[kind.time].diff().drop_nulls().to_numpy().min())
    if step_ns > kind.timeframe_ns:
        raise DataError(
            f"{where}: bars are {step_ns / SECOND_NS:g} s apart at least, not {kind.timeframe_ns / SECOND_NS:g} s "
            f"as {kind.name} would be: choose the --kind that they are"
        )


def _counts(wrong: pl.DataFrame) -> dict[str, int]:
    counted = wrong[_REASON].value_counts().sort(_REASON)
    return dict(counted.iter_rows())


def _counts_line(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {reason}" for reason, number in counts.items())


def _bad_line(wrong: pl.DataFrame, where: str, rows: int) -> str:
    shown = []
    for row in wrong.sort(ROW, maintain_order=True).head(3).iter_rows(named=True):
        reason = row.pop(_REASON)
        number = row.pop(ROW)
        content = ", ".join(f"{name}={value}" for name, value in row.items() if name != "ts_close_ns")
        shown.append(f"row {number}: {reason} ({content})")
    more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    return f"{where}: {len(wrong)} of {rows} rows are bad: {'; '.join(shown)}{more}; mend them, or --on-bad skip"
