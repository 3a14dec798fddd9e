"""Fills against the market around them: spreads paid and kept, markouts, reversion; and how promptly they came.

For a fill at p with side s, m the mid that it met and m_h the mid a time h later:

    effective spread   2 s (p - m)          what it paid
    realised spread    2 s (p - m_h)        what the other side kept
    price impact       2 s (m_h - m)        effective = realised + impact, exactly
    markout            s (p - m_h)          positive: the trade looks worse afterwards
    reversion          s (m_end - m_end+h)  of an execution; positive: the price came back, temporary impact was paid

Sums are weighted by quantity and averages are ratios of sums: spreads over q * m, markouts over q * p.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from core.contracts import FillEvent, sign
from execution.contracts import ExecutionReport
from execution.costs.market_record import MarketRecord
from execution.tca import Slippage

Horizon = Literal["1s", "10s", "1m", "5m"]
HORIZONS: Final[dict[Horizon, int]] = {
    "1s": 1_000_000_000,
    "10s": 10_000_000_000,
    "1m": 60_000_000_000,
    "5m": 300_000_000_000,
}
Makers = Literal["all", "maker", "taker"]
NOTHING: Final = Slippage(math.nan, math.nan, math.nan)
SENT: Final = ("submitted_ts_ns", "scheduled_ts_ns", "ts_accepted_ns", "accepted_ts_ns")
"""When an order went out, as `fill.meta` may say, the best source first."""

FLAGS: Final = {
    "no_mids": "the mids that the fills met are unknown: so are the effective spread and the price impact",
    "some_mids_unknown": "the mids of some fills are unknown: spreads are of the others",
    "no_later_mids": "no mid after the fills is known: so are markouts, realised spreads and reversion",
    "some_later_mids_unknown": "some mids after the fills are unknown, beyond a gap or the data's end: left out",
    "market_too_coarse": "the market is known in bars or snapshots: horizons shorter than their pace are unknown",
    "across_gap": "the market was closed, or its data are missing, for a part of the execution",
    "market_without_us": "simulated fills beside a recorded market that never felt them: markouts hold all our impact",
}

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Quality:
    """The fills of one execution, or of several, against the market around them: money on notional, NaN if unknown.

    effective: over q * m. quoted: mean quoted spread at the fills, the same way. realised, impact: by horizon.
    markout: by liquidity, then horizon. reversion: by horizon, from the execution's end on. Flags are in `FLAGS`.
    """

    effective: Slippage = NOTHING
    quoted: Slippage = NOTHING
    realised: dict[Horizon, Slippage] = field(default_factory=lambda: dict.fromkeys(HORIZONS, NOTHING))
    impact: dict[Horizon, Slippage] = field(default_factory=lambda: dict.fromkeys(HORIZONS, NOTHING))
    markout: dict[Makers, dict[Horizon, Slippage]] = field(
        default_factory=lambda: {who: dict.fromkeys(HORIZONS, NOTHING) for who in ("all", "maker", "taker")}
    )
    reversion: dict[Horizon, Slippage] = field(default_factory=lambda: dict.fromkeys(HORIZONS, NOTHING))
    flags: tuple[str, ...] = ()

    @property
    def effective_over_quoted(self) -> float:
        """1: the fills crossed the quoted spread; less: they got better prices; below 0: they earned it."""
        return self.effective.bps / self.quoted.bps if self.quoted.bps > 0 else math.nan


def quality(report: ExecutionReport, market: MarketRecord) -> Quality:
    """The fills of an execution against a market record. No fills: everything is NaN, and nothing is flagged."""
    fills = report.fills
    if not fills:
        return Quality()
    s = sign(report.side)
    at = np.array([fill.ts_fill_ns for fill in fills], np.int64)
    qty, price = np.array([fill.qty for fill in fills]), np.array([fill.price for fill in fills])
    mid = _met(fills, at, market)
    half = market.half_spread_before(at)
    later = {name: market.later_mid(at, horizon) for name, horizon in HORIZONS.items()}
    made = np.array([fill.liquidity == "maker" for fill in fills])
    everyone = np.ones(len(fills), np.bool_)
    who: dict[Makers, NDArray[np.bool_]] = {"all": everyone, "maker": made, "taker": ~made}
    ended = int(report.end_ts_ns if report.end_ts_ns is not None else at.max())
    end = market.mid_at(ended)
    filled = float(qty.sum())
    return Quality(
        effective=_sums(2 * s * qty * (price - mid), qty * mid),
        quoted=_sums(2 * qty * half, qty * mid),
        realised={name: _sums(2 * s * qty * (price - then), qty * mid) for name, then in later.items()},
        impact={name: _sums(2 * s * qty * (then - mid), qty * mid) for name, then in later.items()},
        markout={
            whose: {name: _sums((s * qty * (price - then))[mask], (qty * price)[mask]) for name, then in later.items()}
            for whose, mask in who.items()
        },
        reversion={
            name: _sums(filled * s * (end - market.later_mid(ended, horizon)), filled * end)
            for name, horizon in HORIZONS.items()
        },
        flags=tuple(_flags(report, market, at, mid, later)),
    )


def pooled_quality(each: Iterable[Quality]) -> Quality:
    """Many as if they were one: sums of money over sums of notional, of those that know the number."""
    every = list(each)

    def over(pick: list[Slippage]) -> Slippage:
        known = [one for one in pick if math.isfinite(one.bps)]
        if not known:
            return NOTHING
        return Slippage(math.nan, math.fsum(one.cost for one in known), math.fsum(one.notional for one in known))

    whose: tuple[Makers, ...] = ("all", "maker", "taker")
    return Quality(
        effective=over([one.effective for one in every]),
        quoted=over([one.quoted for one in every]),
        realised={name: over([one.realised[name] for one in every]) for name in HORIZONS},
        impact={name: over([one.impact[name] for one in every]) for name in HORIZONS},
        markout={who: {name: over([one.markout[who][name] for one in every]) for name in HORIZONS} for who in whose},
        reversion={name: over([one.reversion[name] for one in every]) for name in HORIZONS},
        flags=tuple(flag for flag in FLAGS if any(flag in one.flags for one in every)),
    )


def latencies_ms(fills: Iterable[FillEvent]) -> list[float]:
    """From the moment an order went out to its first fill, of orders that took; a resting order waits on purpose.

    Orders that do not say when they went out are left out, and so are those that filled before.
    """
    out: list[float] = []
    seen: set[str] = set()
    for fill in fills:
        if fill.order_id in seen:
            continue
        seen.add(fill.order_id)
        sent = sent_ns(fill)
        if fill.liquidity == "taker" and sent is not None and fill.ts_fill_ns >= sent:
            out.append((fill.ts_fill_ns - sent) / 1e6)
    return out


def sent_ns(fill: FillEvent) -> int | None:
    """When the order of a fill went out, as far as its meta says."""
    for name in SENT:
        value = fill.meta.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def schedule(report: ExecutionReport) -> list[tuple[int, float]]:
    """(time, quantity due from then on) as the report's notes have it; empty where no times were planned."""
    steps = report.notes.get("schedule", ())
    return [(report.start_ts_ns + round(ms * 1e6), float(due)) for ms, due in steps]


def schedule_deviation(report: ExecutionReport, planned: Sequence[tuple[int, float]] | None = None) -> float:
    """Average over the execution's life of |done - planned|, as a share of the ordered quantity, 0 to 1.

    planned: (time, quantity due from then on), cumulative, in order of time; by default the report's own schedule, and
    where it has none what was filled, at the times for which the algorithm had scheduled it
    (`meta["scheduled_ts_ns"]`). NaN where nobody says, or no time passed.
    """
    planned = schedule(report) if planned is None else planned
    start, fills = report.start_ts_ns, sorted(report.fills, key=lambda fill: fill.ts_fill_ns)
    if not planned:
        told = [(fill.meta.get("scheduled_ts_ns"), fill.qty) for fill in fills]
        times = [(ts, qty) for ts, qty in told if isinstance(ts, int)]
        if not times or len(times) < len(told):
            return math.nan
        planned, due = [], 0.0
        for ts, qty in sorted(times):
            due += qty
            planned.append((ts, due))
    end = max([report.end_ts_ns or start, *(fill.ts_fill_ns for fill in fills)])
    if end <= start:
        return math.nan
    changes = [(max(start, ts), "planned", due) for ts, due in planned if ts < end]
    done = 0.0
    for fill in fills:
        done += fill.qty
        changes.append((max(start, fill.ts_fill_ns), "done", done))
    level = {"planned": 0.0, "done": 0.0}
    area, since = 0.0, start
    for ts, which, quantity in sorted(changes):
        area += abs(level["planned"] - level["done"]) * (ts - since)
        level[which], since = quantity, ts
    area += abs(level["planned"] - level["done"]) * (end - since)
    return area / (end - start) / report.total_quantity


def _met(fills: Sequence[FillEvent], at: NDArray[np.int64], market: MarketRecord) -> Floats:
    """The mid that each fill met: as its meta says, else as the market knows; NaN where that is from before a gap."""
    mids = market.mid_before(at)
    for place, fill in enumerate(fills):
        said = fill.meta.get("mid")
        if isinstance(said, int | float) and math.isfinite(said) and said > 0:
            mids[place] = said
        elif market.stale(fill.ts_fill_ns):
            mids[place] = math.nan
    return mids


def _sums(money: Floats, notional: Floats) -> Slippage:
    known = np.isfinite(money) & np.isfinite(notional)
    if not known.any():
        return NOTHING
    return Slippage(math.nan, float(np.sum(money, where=known)), float(np.sum(notional, where=known)))


def _flags(
    report: ExecutionReport,
    market: MarketRecord,
    at: NDArray[np.int64],
    mid: Floats,
    later: dict[Horizon, Floats],
) -> Iterable[str]:
    if np.isnan(mid).any():
        yield "no_mids" if np.isnan(mid).all() else "some_mids_unknown"
    fine = {name: then for name, then in later.items() if HORIZONS[name] >= market.resolution_ns}
    unknown = [np.isnan(then) for then in fine.values()]
    if not unknown or all(one.all() for one in unknown):
        yield "no_later_mids"
    elif any(one.any() for one in unknown):
        yield "some_later_mids_unknown"
    if len(fine) < len(later):
        yield "market_too_coarse"
    if bool(market.crosses(report.start_ts_ns, int(at.max()))):
        yield "across_gap"
    if "fill_model" in report.settings:
        yield "market_without_us"
