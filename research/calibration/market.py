"""What public trades and quotes say of a market: spread, volatility, volume, and how order flow moves the price."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from core import checks
from core.errors import DataError
from research.calibration.flow import Flow, Quotes, flow_of
from research.calibration.orders import BPS, Floats, Ints
from research.calibration.proxies import TRADERS, Proxies, proxies
from research.calibration.public import Public
from research.calibration.regression import Slope, slope
from research.calibration.score import FOLDS
from research.times import DAY_NS, MINUTE_NS, SECOND_NS

FEWEST_INTERVALS: Final = 30
HOURS: Final = 24
Column = Callable[[Flow], Floats]


@dataclass(frozen=True, slots=True)
class Forecasts:
    """Out-of-sample squared errors of price changes, bps squared, of rules fitted on earlier intervals.

    skill: 1 - error / error of `constant`, which moves by so many bps in the direction of the flow, whatever its size.
    """

    n: int
    error: dict[str, float]

    @property
    def skill(self) -> dict[str, float]:
        base = self.error["constant"]
        return {name: 1 - error / base if base > 0 else math.nan for name, error in self.error.items()}


@dataclass(frozen=True, slots=True)
class MarketCalibration:
    """kyle             change of the mid on signed volume: price units per unit of quantity
    kyle_bps         the same for 1 % of a day's volume, in basis points
    constant         change in bps on the sign of the flow alone
    imbalance        change on order-flow imbalance; by_depth: on imbalance / depth, near half a tick in theory
    quoted_bps       spread, weighted by time; effective_bps: 2 * sign * (price - mid) / mid, weighted by volume
    volatility       per square root of a day of `day_hours` hours of trading; daily_volume over the same
    curve            share of the day's volume by hour, UTC, of days with all the usual hours; empty below two such days
    """

    symbol: str
    start_ns: int
    end_ns: int
    trades: int
    interval_s: int
    intervals: int
    kyle: Slope
    kyle_bps: float
    constant: Slope
    imbalance: Slope | None
    by_depth: Slope | None
    quoted_bps: float
    effective_bps: float
    volatility: float
    daily_volume: float
    day_hours: float
    curve: tuple[float, ...]
    forecasts: Forecasts
    proxies: Proxies | None
    mid_source: str
    signed_by: dict[str, float]
    data: list[dict[str, Any]]
    warnings: tuple[str, ...]
    seed: int

    @property
    def use(self) -> str:
        return "square_root" if self.proxies is not None and self.proxies.useful else "constant"

    @property
    def constant_bps(self) -> float:
        """What an order pays beside the half spread where size explains nothing: half of the move that goes with it."""
        move = self.proxies.constant if self.proxies is not None else self.constant.value
        return max(0.0, move / 2)

    @property
    def slippage(self) -> dict[str, Any]:
        """The settings of `execution.yaml` under `slippage` that use this result."""
        if self.use == "square_root" and self.proxies is not None:
            return {"model": "square_root", "impact_coefficient": self.proxies.coefficient}
        return {"model": "fixed_bps", "fixed_bps": self.constant_bps}

    @property
    def verdict(self) -> str:
        """One plain sentence."""
        if self.proxies is None:
            return "too few trades for proxy orders: the constant stands"
        score = self.proxies.score
        if not self.proxies.stable:
            found = ", ".join(f"{one['coefficient']:.2f}" for one in self.proxies.fits)
            return (
                f"the coefficient of proxy orders hangs on the number of traders that are made up ({found} for "
                f"{', '.join(map(str, TRADERS))}): it is an artefact, and the constant stands"
            )
        if score is None:
            return "too few trades to score proxy orders on later ones: the constant stands"
        if not score.beats:
            return (
                "the square root of size does not beat a constant move on proxy orders it has not seen "
                f"(skill {score.skill:.2%}): the constant stands"
            )
        doubt = "" if score.interval.low > 0 else ", which chance alone could do"
        return (
            f"the square root of size beats a constant move on proxy orders it has not seen (skill {score.skill:.2%}"
            f"{doubt}); proxies are not parents: the coefficient is good to a factor of two"
        )


def calibrate_market(
    public: Public,
    *,
    interval_s: int = 60,
    day_hours: float = 24.0,
    resamples: int = 2_000,
    seed: int = 0,
) -> MarketCalibration:
    """Measures everything that the data allow. Raises DataError where there are too few intervals or no signed flow."""
    checks.between("interval_s", interval_s, 1, 3600)
    checks.between("day_hours", day_hours, 0.5, 24)
    day_ns, trades = int(day_hours * 3600 * SECOND_NS), public.trades
    flow = flow_of(trades, public.mids, interval_s * SECOND_NS, public.quotes)
    if len(flow) < FEWEST_INTERVALS:
        raise DataError(
            f"{len(flow)} intervals of {interval_s} s with trades and fresh mids are too few: at least "
            f"{FEWEST_INTERVALS} are needed; take a shorter --interval or a longer period"
        )
    if not flow.flow.any():
        raise DataError("no trade could be signed: the flow is zero in every interval")
    if not flow.change.any():
        raise DataError("the mid never moves: there is nothing that flow could explain")
    volatility, daily_volume = flow.volatility(day_ns), flow.daily_volume(day_ns)
    kyle = slope(flow.change, flow.flow)
    quoted = flow[np.isfinite(flow.depth) & (flow.depth > 0)]
    with_book = public.quotes is not None and len(quoted) >= FEWEST_INTERVALS and bool(quoted.imbalance.any())
    found, complaint = _proxies(public, volatility, daily_volume, resamples, seed)
    return MarketCalibration(
        symbol=public.symbol,
        start_ns=int(trades.ts_ns[0]),
        end_ns=int(trades.ts_ns[-1]) + 1,
        trades=len(trades),
        interval_s=interval_s,
        intervals=len(flow),
        kyle=kyle,
        kyle_bps=BPS * kyle.value * daily_volume / 100 / float(flow.mid.mean()),
        constant=slope(flow.change_bps, np.sign(flow.flow)),
        imbalance=slope(quoted.change, quoted.imbalance) if with_book else None,
        by_depth=slope(quoted.change, quoted.imbalance / quoted.depth) if with_book else None,
        quoted_bps=math.nan if public.quotes is None else quoted_spread_bps(public.quotes),
        effective_bps=math.nan if public.quotes is None else _effective_spread_bps(public),
        volatility=volatility,
        daily_volume=daily_volume,
        day_hours=day_hours,
        curve=volume_curve(*public.volume),
        forecasts=forecasts(quoted if with_book else flow, with_book=with_book),
        proxies=found,
        mid_source=public.mid_source,
        signed_by=public.signed_by,
        data=public.data,
        warnings=tuple(_warnings(public, flow, complaint)),
        seed=seed,
    )


def quoted_spread_bps(quotes: Quotes, longest_ns: int = 10 * MINUTE_NS) -> float:
    """Time-weighted (ask - bid) / mid in basis points; a quote that stands longer than ten minutes counts for ten."""
    held = np.minimum(np.diff(quotes.ts_ns), longest_ns).astype(float)
    spread = BPS * (quotes.ask - quotes.bid) / ((quotes.ask + quotes.bid) / 2)
    return float(np.average(spread[:-1], weights=held)) if held.sum() > 0 else math.nan


def volume_curve(ts_ns: Ints, qty: Floats) -> tuple[float, ...]:
    """Mean share of the day's volume by hour, UTC, over the days that trade in all the usual hours.

    Usual is an hour that at least half of the days trade in. Fewer than two such days: empty.
    """
    hour = ts_ns // (60 * MINUTE_NS)
    first, last = int(hour[0]) // HOURS, int(hour[-1]) // HOURS
    table = np.bincount(hour - first * HOURS, qty, (last - first + 1) * HOURS).reshape(-1, HOURS)
    table = table[table.sum(axis=1) > 0]
    usual = (table > 0).mean(axis=0) >= 0.5
    whole = table[(table[:, usual] > 0).all(axis=1)]
    if len(whole) < 2:
        return ()
    return tuple(float(share) for share in (whole / whole.sum(axis=1, keepdims=True)).mean(axis=0))


def forecasts(flow: Flow, *, with_book: bool) -> Forecasts:
    """Five blocks of time, each but the first forecast by slopes fitted on those before it."""
    rules: dict[str, Column] = {"constant": lambda one: np.sign(one.flow), "kyle": lambda one: one.flow}
    if with_book:
        rules |= {"imbalance": lambda one: one.imbalance, "imbalance / depth": lambda one: one.imbalance / one.depth}
    cuts = np.linspace(0, len(flow), FOLDS + 1).astype(int)
    error = dict.fromkeys(rules, 0.0)
    for start, stop in pairwise(cuts[1:]):
        before, now = flow[:start], flow[start:stop]
        for name, column in rules.items():
            explained = column(before)
            square = float(explained @ explained)
            value = float(explained @ before.change_bps) / square if square > 0 else 0.0
            error[name] += float(np.sum((now.change_bps - value * column(now)) ** 2))
    n = int(cuts[-1] - cuts[1])
    return Forecasts(n, {name: total / n for name, total in error.items()})


def _effective_spread_bps(public: Public) -> float:
    trades = public.trades
    mid = public.trade_mids.before(trades.ts_ns - public.lag_ns)
    good = np.isfinite(mid) & (trades.sign != 0)
    spread = 2 * BPS * trades.sign[good] * (trades.price[good] - mid[good]) / mid[good]
    return float(np.average(spread, weights=trades.qty[good])) if good.any() else math.nan


def _proxies(
    public: Public, volatility: float, daily_volume: float, resamples: int, seed: int
) -> tuple[Proxies | None, str]:
    try:
        found = proxies(
            public.trades,
            public.trade_mids,
            volatility=volatility,
            daily_volume=daily_volume,
            lag_ns=public.lag_ns,
            resamples=resamples,
            seed=seed,
        )
    except DataError as error:
        return None, f"no proxy orders: {error}"
    return found, ""


def _warnings(public: Public, flow: Flow, complaint: str) -> list[str]:
    lines = [complaint] if complaint else []
    if any(one["synthetic"] for one in public.data):
        lines.append("SYNTHETIC market data: these numbers describe a model of a market")
    if public.mid_source == "trades":
        lines.append("mids are prices of trades, which bounce between bid and ask: the slopes hold part of the spread")
    if public.mid_source == "bars":
        lines.append("mids are closes of one-minute bars: prices of trades unless the bars were made of mids")
    guessed = public.signed_by.get("quotes", 0.0) + public.signed_by.get("tick test", 0.0)
    if guessed > 0.05:
        lines.append(
            f"{guessed:.0%} of the volume is signed by quotes and ticks (Lee and Ready): some 10 to 20 % of such signs "
            "are wrong, which makes slopes on flow smaller than they are"
        )
    days = int(flow.start_ns[-1] // DAY_NS - flow.start_ns[0] // DAY_NS) + 1
    if days < 5:
        lines.append(f"{days} day{'s' if days > 1 else ''} of data: the intervals know nothing of other days")
    return lines
