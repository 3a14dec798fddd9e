"""Parent orders that never were: public trades dealt out to synthetic traders, for a first guess of the coefficient.

Every aggressive order is given to one of N traders at random; a trader's unbroken run of one sign counts as a parent
(Maitrier, Loeper, Bouchaud: "Generating realistic metaorders from public data", 2025). The price moves along such runs
follow the square root of their size as real parents do, with a coefficient that comes out up to twice too large: the
truth is quoted as between Y / 2 and Y. The exponent is fixed; one that is fitted to proxies says nothing.

Nobody knows N. Where the coefficient hangs on it, the runs are an artefact and nothing is taken from them: `stable`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from core import chance
from core.errors import DataError
from research.calibration.fit import RESAMPLES, Fit, fit
from research.calibration.laws import peak
from research.calibration.orders import Orders, orders
from research.calibration.regression import Interval
from research.calibration.score import Score, Scores, constant_bps, out_of_sample
from research.calibration.signs import Mids, Trades

TRADERS: Final = (10, 30, 100)  # the middle one is the headline
MOST_APART: Final = 2.0  # the largest coefficient over the smallest, among these
FEWEST_TRADES: Final = 2  # of a run; to ask for long runs is to select those that the price went along with
BREAK_NS: Final = 1_800_000_000_000  # half an hour without a trade: no run crosses it
BLOCKS: Final = 20  # of time, drawn together


@dataclass(frozen=True, slots=True)
class Proxies:
    """`fits` of the price moves along the runs to Y * sigma * sqrt(Q / V), one for each number in `TRADERS`.

    scores    of the middle one, against a constant move on later runs
    constant  that move, in basis points
    """

    fits: tuple[Fit, ...]
    constant: float
    scores: Scores | None

    @property
    def fit(self) -> Fit:
        return self.fits[len(self.fits) // 2]

    @property
    def stable(self) -> bool:
        """Whether the coefficients for few and for many traders agree within a factor of two."""
        values = [one["coefficient"] for one in self.fits]
        return min(values) > 0 and max(values) <= MOST_APART * min(values)

    @property
    def coefficient(self) -> float:
        """The middle, on a logarithmic scale, of what is credible: Y / sqrt(2), at least 0."""
        return max(0.0, self.fit["coefficient"]) / 2**0.5

    @property
    def credible(self) -> Interval:
        """From half of the lowest end of the 95 % intervals to the highest, over all numbers of traders."""
        ends = [one.interval_of("coefficient") for one in self.fits]
        return Interval(min(one.low for one in ends) / 2, max(one.high for one in ends))

    @property
    def score(self) -> Score | None:
        return None if self.scores is None else self.scores.of("peak")

    @property
    def useful(self) -> bool:
        return self.stable and self.score is not None and self.score.beats


def proxies(
    trades: Trades,
    mids: Mids,
    *,
    volatility: float,
    daily_volume: float,
    lag_ns: int = 0,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Proxies:
    """Raises DataError where the trades make too few runs."""
    law, orders_of = peak(), merged(trades)
    runs = [
        proxy_orders(
            orders_of, mids, traders=n, volatility=volatility, daily_volume=daily_volume, lag_ns=lag_ns, seed=seed
        )
        for n in TRADERS
    ]
    middle = runs[len(runs) // 2]
    return Proxies(
        fits=tuple(fit(one, law, resamples=resamples, seed=seed) for one in runs),
        constant=constant_bps(middle),
        scores=out_of_sample(middle, [law], seed=seed),
    )


def merged(trades: Trades) -> Trades:
    """Neighbouring prints of one time and sign as one: an order that walks the book prints once for each it meets."""
    if not len(trades):
        return trades
    new = np.ones(len(trades), bool)
    new[1:] = (np.diff(trades.ts_ns) != 0) | (np.diff(trades.sign) != 0)
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(trades)) - 1
    qty = np.add.reduceat(trades.qty, first)
    return Trades(trades.ts_ns[first], trades.price[last], qty, trades.sign[first])


def proxy_orders(
    trades: Trades,
    mids: Mids,
    *,
    volatility: float,
    daily_volume: float,
    traders: int,
    lag_ns: int = 0,
    seed: int = 0,
) -> Orders:
    """The runs of at least two trades. cost: the move of the mid from before the first to the last trade, in units of
    volatility. lag_ns: how much later than the quotes trades are reported."""
    if not (volatility > 0 and daily_volume > 0):
        raise DataError("proxy orders need a volatility and a volume above 0")
    signed = np.flatnonzero(trades.sign)
    owner = chance.generator(seed, "proxy traders", traders).integers(traders, size=len(signed))
    order = signed[np.argsort(owner, kind="stable")]
    owner = np.sort(owner, kind="stable")
    ts, sign, qty = trades.ts_ns[order], trades.sign[order], trades.qty[order]
    pause = np.cumsum(np.diff(trades.ts_ns, prepend=trades.ts_ns[:1]) > BREAK_NS)[order]
    changed = np.ones(len(order), bool)
    changed[1:] = (np.diff(owner) != 0) | (np.diff(sign) != 0) | (np.diff(pause) != 0)
    first = np.flatnonzero(changed)
    last = np.append(first[1:], len(order)) - 1 if len(first) else first
    long = last - first + 1 >= FEWEST_TRADES
    first, last = first[long], last[long]
    bought = np.concatenate(([0.0], np.cumsum(qty)))
    spent = np.concatenate(([0.0], np.cumsum(trades.qty)))
    start, end = mids.before(ts[first] - lag_ns), mids.before(ts[last] + 1)
    good = np.isfinite(start) & np.isfinite(end)
    first, last, start, end = first[good], last[good], start[good], end[good]
    by_time = np.argsort(ts[first], kind="stable")
    first, last, start, end = first[by_time], last[by_time], start[by_time], end[by_time]
    if not len(first):
        raise DataError(f"no synthetic trader of {traders} has a run of {FEWEST_TRADES} trades")
    length_ns = max(1, (int(trades.ts_ns[-1]) - int(trades.ts_ns[0])) // BLOCKS + 1)
    return orders(
        {
            "cost": sign[first] * (end - start) / (volatility * start),
            "size": (bought[last + 1] - bought[first]) / daily_volume,
            "days": (spent[order[last] + 1] - spent[order[first]]) / daily_volume,
            "volatility": np.full(len(first), volatility),
            "cluster": (ts[first] - trades.ts_ns[0]) // length_ns,
        }
    )
