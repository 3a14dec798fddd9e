"""The market beside the tables: `completed` of `execution.costs.completion` and `quality.quality` in columns.

Fills are looked up in order of time, which makes the as-of joins of millions of fills a walk instead of a search.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from execution.costs.market_record import NOTHING_LEFT, MarketRecord
from execution.costs.quality import HORIZONS
from execution.costs.tables import Tables
from execution.tca import BPS

if TYPE_CHECKING:
    from polars import Expr

Markets = Callable[[str, int, int], MarketRecord | None]
"""The record of a symbol that covers an interval of nanoseconds; None where there is none."""
LONGEST_NS: Final = max(HORIZONS.values())
_OF_HORIZON: Final = ("realised_spread", "price_impact", "markout", "maker_markout", "taker_markout")
_QUALITY: Final = (
    *("quoted_spread_bps", "effective_spread_bps", "effective_over_quoted"),
    *(f"{figure}_{name}_bps" for figure in _OF_HORIZON for name in HORIZONS),
)
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def markets_of(batch: Tables, markets: Markets) -> dict[str, MarketRecord]:
    """The records of a batch's symbols, long enough for its last markouts."""
    executions, fills = batch
    last = fills.lazy().group_by("execution_id").agg(last=pl.col("ts_fill_ns").max())
    spans = (
        executions.lazy()
        .join(last, on="execution_id", how="left")
        .group_by("symbol")
        .agg(start=pl.col("start_ts_ns").min(), end=pl.max_horizontal("start_ts_ns", "end_ts_ns", "last").max())
        .sort("symbol")
        .collect()
    )
    found = {row["symbol"]: markets(row["symbol"], row["start"], row["end"] + LONGEST_NS) for row in spans.to_dicts()}
    return {symbol: record for symbol, record in found.items() if record is not None}


def completed_tables(batch: Tables, records: dict[str, MarketRecord]) -> Tables:
    """The batch with the prices that it lacks, from the market; what it knows stays. Rows keep their order.

    As `completed` of `execution.costs.completion`, without the notes: nobody says when it was decided, so a missing
    decision price is the arrival price. Fills that do not say what spread they paid get `mid` and `half_spread`.
    """
    executions, fills = batch
    fills = _with_mids(executions, fills, records)
    paid = fills.group_by("execution_id").agg(
        paid=(pl.col("qty") * pl.col("price")).sum(), last=pl.col("ts_fill_ns").max(), n=pl.len()
    )
    names = ("arrival_price", "end_price", "benchmark_vwap", "benchmark_vwap_own", "benchmark_twap", "market_volume")
    lacking = pl.any_horizontal(_unknown(name) for name in (*names, "decision_price"))
    rows = executions.select(lacking=lacking, symbol="symbol")
    if not rows["lacking"].any():
        return Tables(executions, fills)
    asked = executions.join(paid, on="execution_id", how="left", maintain_order="left")
    found: dict[str, list[float | None]] = {name: [] for name in names}
    for wanted, row in zip(rows["lacking"].to_list(), asked.iter_rows(named=True), strict=True):
        record = records.get(row["symbol"]) if wanted else None
        answers = _prices(row, record) if record is not None else {}
        for name in names:
            found[name].append(answers.get(name))
    market = pl.DataFrame(found, schema=dict.fromkeys(names, pl.Float64)).fill_nan(None)
    whole = executions.with_columns(
        pl.when(_unknown(name)).then(market[name]).otherwise(pl.col(name)).alias(name) for name in names
    )
    decided = pl.when(_unknown("decision_price")).then("arrival_price").otherwise("decision_price")
    return Tables(whole.with_columns(decision_price=decided), fills)


def quality_frame(batch: Tables, records: dict[str, MarketRecord]) -> pl.DataFrame:
    """Spreads, markouts and reversion of every execution, in the order of the table; null where unknown.

    Columns as in `Measurement.row`: quoted and effective spread, their ratio; by horizon realised spread, price impact,
    markout of all, of makers' and of takers' fills, and reversion; all in basis points.
    """
    executions, fills = batch
    places = executions.select("execution_id", "symbol", s=_sign()).with_row_index("owner")
    needed = fills.select("execution_id", "qty", "price", "ts_fill_ns", "liquidity", "mid")
    joined = needed.join(places, on="execution_id", how="inner", maintain_order="left").drop("execution_id")
    parts = [_symbol(_of(joined, symbol), record) for symbol, record in sorted(records.items())]
    ends = [_reversion(places, executions, fills, symbol, record) for symbol, record in sorted(records.items())]
    if not parts:
        parts, ends = [_symbol(joined.clear(), None)], [_no_reversion()]
    wide = places.select("owner").join(pl.concat(parts), on="owner", how="left", maintain_order="left")
    return wide.join(pl.concat(ends), on="owner", how="left", maintain_order="left").drop("owner")


def _symbol(fills: pl.DataFrame, record: MarketRecord | None) -> pl.DataFrame:
    """One row per execution that has fills."""
    if not len(fills) or record is None:
        return pl.DataFrame(schema={"owner": pl.UInt32, **dict.fromkeys(_QUALITY, pl.Float64)})
    if not fills["owner"].is_sorted():
        fills = fills.sort("owner", maintain_order=True)
    owner, at = fills["owner"].to_numpy(), fills["ts_fill_ns"].to_numpy()
    sums = _Sums(np.flatnonzero(np.diff(owner, prepend=owner[0] + 1)))
    order = np.argsort(at, kind="stable")
    times = at[order]
    price, signed = fills["price"].to_numpy(), fills.select(pl.col("s") * pl.col("qty"))["s"].to_numpy()
    traded = fills.select(pl.col("qty") * pl.col("price"))["qty"].to_numpy()
    made = fills.select((pl.col("liquidity") == "maker").fill_null(value=False))["liquidity"].to_numpy()
    mid = _met(fills, at, order, record)
    met = np.abs(signed) * mid
    half = np.abs(signed) * _back(record.half_spread_before(times), order)
    found: dict[str, Floats] = {
        "quoted_spread_bps": sums.bps(2 * half, met),
        "effective_spread_bps": sums.bps(2 * signed * (price - mid), met),
    }
    for name, horizon in HORIZONS.items():
        later = _back(record.later_mid(times, horizon), order)
        money = signed * (price - later)
        found[f"realised_spread_{name}_bps"] = sums.bps(2 * money, met)
        found[f"price_impact_{name}_bps"] = sums.bps(2 * signed * (later - mid), met)
        found[f"markout_{name}_bps"] = sums.bps(money, traded)
        found[f"maker_markout_{name}_bps"] = sums.bps(money * made, traded * made)
        found[f"taker_markout_{name}_bps"] = sums.bps(money * ~made, traded * ~made)
    frame = pl.DataFrame({"owner": owner[sums.starts], **found}).fill_nan(None)
    ratio = pl.col("effective_spread_bps") / pl.col("quoted_spread_bps")
    return frame.with_columns(effective_over_quoted=pl.when(pl.col("quoted_spread_bps") > 0).then(ratio)).select(
        "owner", *_QUALITY
    )


class _Sums:
    """Sums over the rows of each execution, which stand together: `starts` is where each begins."""

    def __init__(self, starts: NDArray[np.intp]) -> None:
        self.starts = starts

    def bps(self, money: Floats, base: Floats) -> Floats:
        """Money over base of the rows that know both, in basis points; NaN where none does."""
        known = np.isfinite(money) & np.isfinite(base)
        if not known.all():
            money, base = np.where(known, money, 0.0), np.where(known, base, 0.0)
        cost, notional = np.add.reduceat(money, self.starts), np.add.reduceat(base, self.starts)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(notional > 0, BPS * cost / notional, np.nan)


def _of(rows: pl.DataFrame, symbol: str) -> pl.DataFrame:
    mine = rows["symbol"] == symbol
    return rows if mine.all() else rows.filter(mine)


def _reversion(
    places: pl.DataFrame, executions: pl.DataFrame, fills: pl.DataFrame, symbol: str, record: MarketRecord
) -> pl.DataFrame:
    """s * (m_end - m_(end + h)) / m_end of every execution that has fills, from its end or its last fill on."""
    last = fills.group_by("execution_id").agg(last=pl.col("ts_fill_ns").max())
    ended = (
        places.with_columns(executions["end_ts_ns"])
        .filter(pl.col("symbol") == symbol)
        .join(last, on="execution_id", how="inner", maintain_order="left")
        .select("owner", "s", end=pl.coalesce("end_ts_ns", "last"))
    )
    at, s = ended["end"].to_numpy(), ended["s"].to_numpy()
    end = record.mid_at(at)
    later = {name: BPS * s * (end - record.later_mid(at, horizon)) / end for name, horizon in HORIZONS.items()}
    columns = {f"reversion_{name}_bps": values for name, values in later.items()}
    return ended.select("owner").with_columns(pl.Series(name, one) for name, one in columns.items()).fill_nan(None)


def _no_reversion() -> pl.DataFrame:
    schema: dict[str, Any] = {"owner": pl.UInt32, **{f"reversion_{name}_bps": pl.Float64 for name in HORIZONS}}
    return pl.DataFrame(schema=schema)


def _with_mids(executions: pl.DataFrame, fills: pl.DataFrame, records: dict[str, MarketRecord]) -> pl.DataFrame:
    silent = fills["half_spread"].is_null()
    if not silent.any() or not records:
        return fills
    places = executions.select("execution_id", "symbol", s=_sign())
    rows = fills.with_row_index("row").join(places, on="execution_id", how="inner", maintain_order="left")
    parts = []
    for symbol, record in sorted(records.items()):
        part = rows.filter((pl.col("symbol") == symbol) & pl.col("half_spread").is_null())
        at = part["ts_fill_ns"].to_numpy()
        mid = _met(part, at, np.argsort(at, kind="stable"), record)
        parts.append(part.select("row", "s", "price").with_columns(met=pl.Series(mid)))
    met = pl.concat(parts).select("row", "met", paid=pl.col("s") * (pl.col("price") - pl.col("met"))).fill_nan(None)
    wide = fills.with_row_index("row").join(met, on="row", how="left", maintain_order="left")
    return wide.with_columns(
        half_spread=pl.coalesce("half_spread", "paid"), mid=pl.coalesce("met", "mid")
    ).select(fills.columns)  # fmt: skip


def _met(fills: pl.DataFrame, at: Ints, order: NDArray[np.intp], record: MarketRecord | None) -> Floats:
    """The mid that each fill met: as it says itself, else the market's; NaN where that is from before a gap."""
    said = fills.select(pl.col("mid").fill_null(np.nan))["mid"].to_numpy()
    with np.errstate(invalid="ignore"):
        told = np.isfinite(said) & (said > 0)
    if record is None:
        return np.where(told, said, np.nan)
    times = at[order]
    mids = record.mid_before(times)
    if len(record.gaps):
        gap = np.searchsorted(record.gaps[:, 0], times) - 1
        stale = (gap >= 0) & (times < record.gaps[np.maximum(gap, 0), 1])
        mids = np.where(stale, np.nan, mids)
    return np.where(told, said, _back(mids, order))


def _prices(row: dict[str, Any], market: MarketRecord) -> dict[str, float]:
    """See `completed`: what the market knows of one execution."""
    start, own = int(row["start_ts_ns"]), float(row["filled_quantity"])
    end = row["end_ts_ns"] if row["end_ts_ns"] is not None else row["last"]
    last = row["last"] if row["last"] is not None else end
    found = {"arrival_price": float(market.mid_at(start))}
    if last is None or last < start:
        return found
    if end is not None:
        found["end_price"] = float(market.mid_at(end))
    volume, money = market.traded(start, last + 1)
    average = row["avg_fill_price"]
    paid = row["paid"] if row["n"] else own * (np.nan if average is None else average)
    paid = paid if own else 0.0
    in_tape = '"fill_model"' not in (row["settings"] or "")
    others, theirs = (volume - own, money - paid) if in_tape else (volume, money)
    if others <= NOTHING_LEFT * volume:
        others, theirs = 0.0, np.nan
    everything = others + own
    return found | {
        "benchmark_vwap": theirs / others if others > 0 else np.nan,
        "benchmark_vwap_own": (money if in_tape else money + paid) / everything if everything > 0 else np.nan,
        "benchmark_twap": market.twap(start, last),
        "market_volume": others,
    }


def _back(values: Floats, order: NDArray[np.intp]) -> Floats:
    """Values in order of time, back in the order of the rows."""
    out = np.empty_like(values)
    out[order] = values
    return out


def _sign() -> Expr:
    return pl.when(pl.col("side") == "buy").then(1.0).otherwise(-1.0)


def _unknown(name: str) -> Expr:
    return ~(pl.col(name).is_finite() & (pl.col(name) > 0)).fill_null(value=False)
