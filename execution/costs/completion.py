"""Reports and the market they ran in: reading the market from the store, and completing a report with its prices."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from core.contracts import FillEvent, sign
from core.errors import DataError
from execution.conditions import DAY_NS
from execution.contracts import ExecutionReport
from execution.costs.market_record import NOTHING_LEFT, MarketRecord

if TYPE_CHECKING:
    from research.data_reader import DataReader

Kind = Literal["quotes", "trades", "ohlcv_1m"]
KINDS: Final[tuple[Kind, ...]] = ("quotes", "trades", "ohlcv_1m")
BENCHMARK_NOTES: Final = "benchmarks"
FEWEST_MINUTES: Final = 30


def read_market(
    reader: DataReader,
    symbol: str,
    start_ns: int,
    end_ns: int,
    *,
    venue: str | None = None,
    before_ns: int = DAY_NS,
    after_ns: int = DAY_NS,
) -> MarketRecord:
    """The record of a symbol around an interval, from all that the store has: quotes, trades, one-minute bars.

    before_ns, after_ns: how much more to read on either side, for the close of the day before and for later mids.
    venue: may be left out, and is ignored where it has no data and just one other venue has.
    Raises DataError where there is nothing.
    """
    first, after = max(0, start_ns - before_ns), end_ns + after_ns
    found: dict[str, Any] = {}
    for kind in KINDS:
        known = reader.describe(symbol, kind)
        at = [one for one in known if one.venue == venue] or (known if len(known) == 1 else [])
        inside = [one for one in at if one.start_ns < after and one.end_ns > first]
        if not inside:
            continue
        (chosen,) = inside
        low, high = max(first, chosen.start_ns), min(after, chosen.end_ns)
        if kind == "ohlcv_1m":
            found["bars"] = _bars(reader, symbol, low, high, chosen.venue)
        elif kind == "quotes":
            found["quotes"] = reader.read_quotes(symbol, low, high, venue=chosen.venue, format="polars")
        else:
            found["trades"] = reader.read_trades(symbol, low, high, venue=chosen.venue, format="polars")
    if not found:
        reader.dataset(symbol, "ohlcv_1m", venue)  # says what there is
        raise DataError(f"no quotes, trades or bars of {symbol} are stored for the time of these executions")
    return MarketRecord.of(symbol, **found)


def completed(
    report: ExecutionReport,
    market: MarketRecord,
    *,
    decision_ts_ns: int | None = None,
    own_in_tape: bool | None = None,
) -> ExecutionReport:
    """The report with the prices that it lacks, from the market; what it knows stays.

    decision    the mid at `decision_ts_ns` or at `notes["decision_ts_ns"]`; where nobody says when, the arrival price,
                noted as such: delay is then zero by assumption
    arrival     the mid when the execution started
    end         the mid when it ended, or at its last fill
    benchmarks  VWAP with and without our own trades, TWAP of the mid, mean quoted spread and others' volume from the
                start to the last fill, or to the end where nothing was filled
    fills       `meta["mid"]`, the mid that each met, and `meta["half_spread"]`, s * (price - mid), unless its meta says
                what spread it paid; a mid that it says itself is not replaced

    own_in_tape: whether the market's volume contains our fills. None: it does unless the report's settings name a fill
    model, as a simulation trades beside the market. What the market does not know stays NaN. `notes["benchmarks"]` says
    where the numbers come from, which ones were filled in, and whether the execution ran across a gap.
    """
    start, end = report.start_ts_ns, _ended_ns(report)
    last = max((fill.ts_fill_ns for fill in report.fills), default=end)
    found: dict[str, Any] = {"arrival_price": _mid(market, start)}
    told_ns = report.notes.get("decision_ts_ns") if decision_ts_ns is None else decision_ts_ns
    found["decision_price"] = math.nan if told_ns is None else _mid(market, int(told_ns))
    notes: dict[str, Any] = {"source": market.source}
    if last is not None and last >= start:
        until = last + 1  # a fill's own moment belongs to the interval
        if end is not None:
            found["end_price"] = _mid(market, end)
        if own_in_tape is None:
            own_in_tape = "fill_model" not in report.settings
        found |= _benchmarks(report, market, start, until, own_in_tape=own_in_tape)
        notes["own_volume"] = "in the tape" if own_in_tape else "not in the tape"
        if market.prorated(start, last):
            notes["prorated"] = True
        if bool(market.crosses(start, last)):
            notes["across_gap"] = True
    missing = {name: price for name, price in found.items() if not _known(getattr(report, name)) and _known(price)}
    if not _known(report.decision_price) and told_ns is None:
        arrival = report.arrival_price if _known(report.arrival_price) else found["arrival_price"]
        if _known(arrival):
            missing["decision_price"] = arrival
            notes["decision"] = "assumed at arrival"
    fills = _with_mids(report.fills, market)
    if not missing and fills == report.fills:
        return report
    stale = [name for name, ts in (("arrival_price", start), ("end_price", end)) if ts is not None and market.stale(ts)]
    if stale := [name for name in stale if name in missing]:
        notes["from_before_a_gap"] = stale
    notes["filled_in"] = sorted(missing)
    return replace(report, **missing, fills=fills, notes={**report.notes, BENCHMARK_NOTES: notes})


def _benchmarks(
    report: ExecutionReport, market: MarketRecord, start: int, until: int, *, own_in_tape: bool
) -> dict[str, float]:
    volume, money = market.traded(start, until)
    own = report.filled_quantity
    paid = math.fsum(fill.qty * fill.price for fill in report.fills) if report.fills else own * report.avg_fill_price
    paid = paid if own else 0.0
    others, theirs = (volume - own, money - paid) if own_in_tape else (volume, money)
    if others <= NOTHING_LEFT * volume:  # we were the market, as far as rounding can tell
        others, theirs = 0.0, math.nan
    everything = others + own
    times = np.array([start, *(fill.ts_fill_ns for fill in report.fills)], np.int64)
    spreads = 2e4 * market.half_spread_before(times) / market.mid_before(times)
    spreads = spreads[np.isfinite(spreads)]
    return {
        "benchmark_vwap": theirs / others if others > 0 else math.nan,
        "benchmark_vwap_own": (money if own_in_tape else money + paid) / everything if everything > 0 else math.nan,
        "benchmark_twap": market.twap(start, until - 1),
        "spread_bps": float(spreads.mean()) if len(spreads) else math.nan,
        "market_volume": others,
    }


def _with_mids(fills: tuple[FillEvent, ...], market: MarketRecord) -> tuple[FillEvent, ...]:
    """Fills that say what mid they met; one that met a mid from before a gap, or none, says nothing."""
    silent = [place for place, fill in enumerate(fills) if "half_spread" not in fill.meta]
    out = list(fills)
    mids = market.mid_before(np.array([fills[place].ts_fill_ns for place in silent], np.int64)).tolist()
    for place, mid in zip(silent, mids, strict=True):
        fill = fills[place]
        said = fill.meta.get("mid")
        if isinstance(said, int | float) and _known(said):
            mid = float(said)
        elif market.stale(fill.ts_fill_ns) or not math.isfinite(mid):
            continue
        paid = {"mid": mid, "half_spread": sign(fill.side) * (fill.price - mid)}
        out[place] = replace(fill, meta={**fill.meta, **paid})
    return tuple(out)


def _bars(reader: DataReader, symbol: str, start_ns: int, end_ns: int, venue: str) -> Any:
    """Bars of the interval, None where it lies in a gap."""
    try:
        return reader.bars(symbol, "1m", start_ns, end_ns, venue=venue)
    except DataError:
        return None


def _mid(market: MarketRecord, ts_ns: int) -> float:
    return float(market.mid_at(ts_ns))


def _ended_ns(report: ExecutionReport) -> int | None:
    if report.end_ts_ns is not None:
        return report.end_ts_ns
    return max((fill.ts_fill_ns for fill in report.fills), default=None)


def _known(price: float) -> bool:
    return math.isfinite(price) and price > 0


def conditions_before(market: MarketRecord, ts_ns: int, *, window_ns: int = DAY_NS) -> tuple[float, float]:
    """Daily volatility (a fraction) and daily volume as known at a time, from the window before it; NaN where unknown.

    Volatility is the root of the mean squared return of minutes, over open time; at least 30 of them.
    """
    minute = 60_000_000_000
    times = np.arange(ts_ns - window_ns, ts_ns + 1, minute, dtype=np.int64)
    times = times[times >= market.mid_ns[0]]
    if len(times) < FEWEST_MINUTES:
        return math.nan, math.nan
    logs = np.log(market.mid_at(times))
    returns = np.diff(logs)
    usable = np.isfinite(returns) & ~market.crosses(times[:-1], times[1:])
    if int(usable.sum()) < FEWEST_MINUTES:
        return math.nan, math.nan
    days = int(usable.sum()) * minute / DAY_NS
    volume, _ = market.traded(int(times[0]), ts_ns)
    volatility = math.sqrt(float(np.mean(returns[usable] ** 2)) * DAY_NS / minute)
    return volatility, volume / days if volume > 0 else math.nan
