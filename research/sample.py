"""A synthetic market to try everything on where there is no data yet: deterministic, and labelled as what it is.

Every day draws from its own generator, so a shorter sample is the beginning of a longer one. The minute's volatility is
    sigma = daily_vol / sqrt(1440) * sqrt(shape of the day) * exp(slow + fast clusters),
returns are Student t (4 degrees of freedom), the extremes of a bar are those of a Brownian bridge between its ends,
and trades happen at the bid or at the ask. Volume follows the shape of the day and of the week and rises with
volatility, as it does in the real market (hour-of-day shares as measured for ATOM, 13-15 UTC twice the night).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core import chance, checks
from core.errors import ConfigError, DataError
from research.dataset import Dataset
from research.store import Store
from research.times import DAY_NS, MINUTE_NS, iso, parse_ns

if TYPE_CHECKING:
    import polars as pl

VENUE = "sample"
START = "2025-01-01"
END = "2025-10-01"
_MINUTES = 1440
_LOG_VARIANCE = 0.28**2 + 0.30**2 + 0.34**2  # of the volatility's clusters: days, hours, minutes
# Percent of a day's volume by hour (UTC), as in a year of ATOM perpetual minutes, smoothed; scaled to mean 1 below.
_HOURS = (4.3, 3.9, 3.4, 3.0, 2.9, 2.9, 3.1, 3.5, 4.0, 4.0, 3.9, 4.1, 4.8, 5.9, 6.6, 6.3, 5.6, 4.9, 4.4, 4.1, 4.0, 3.8, 3.6, 4.0)  # fmt: skip  # noqa: E501
_WEEK = (1.02, 1.07, 1.10, 1.10, 1.10, 0.84, 0.77)  # Monday first

Table = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SampleMarket:
    """What the synthetic market looks like; daily_volume is base quantity, daily_vol the deviation of daily returns.

    `spread_bps` is the nominal spread that goes into the instrument facts; the quotes have their own, minute by minute.
    """

    symbol: str = "ATOM/USDT"
    seed: int = 13
    start_price: float = 6.5
    daily_vol: float = 0.045
    daily_volume: float = 6_000_000.0
    tick: str = "0.001"
    lot: str = "0.01"
    spread_bps: float = 3.0
    maker_fee_bps: float = 10.0
    taker_fee_bps: float = 10.0
    min_notional: float = 5.0

    def __post_init__(self) -> None:
        checks.named("symbol", self.symbol)
        for name in ("start_price", "daily_vol", "daily_volume", "spread_bps"):
            checks.positive(name, getattr(self, name))
        for name in ("tick", "lot"):
            _per_step(name, getattr(self, name))
        if self.start_price * _per_step("tick", self.tick) < 200:
            raise ValueError(f"start_price must be at least 200 ticks of {self.tick}, was {self.start_price}")

    def facts(self) -> dict[str, str | float]:
        """The instrument facts that go with the data."""
        names = ("tick", "lot", "spread_bps", "maker_fee_bps", "taker_fee_bps", "min_notional")
        return {name: getattr(self, name) for name in names}


def _per_step(name: str, step: str) -> int:
    """How many steps make one: 1000 of 0.001."""
    try:
        count = 1 / Decimal(step)
    except ArithmeticError as error:
        raise ValueError(f"{name} must be a decimal number in text, such as '0.01', was {step!r}") from error
    if count < 1 or count != int(count):
        raise ValueError(f"{name} must be one part in a whole number, such as 0.001, was {step}")
    return int(count)


def generate(market: SampleMarket, start: str = START, end: str = END) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One-minute bars and the quotes at their opens, for the days [start, end).

    Raises ConfigError where the days are none, or more than ten years.
    """
    first, last = parse_ns(start, "start") // DAY_NS, -(-parse_ns(end, "end") // DAY_NS)
    if not first < last <= first + 3660:
        raise ConfigError(f"start must be before end, and at most ten years, was {start} to {end}")
    # One day more than asked for: the last bar closes on the quote that opens the next one.
    return _frames(market, _draws(market, range(first, last + 1)), first)


@dataclass(frozen=True, slots=True)
class _Draws:
    """Random numbers, one row a day, one column a minute."""

    day: Table  # (days, 2): daily volatility and daily volume
    fast: Table
    slow: Table
    step: Table
    activity: Table
    noise: Table
    flow: Table  # (days, 7, 1440) uniforms


def _draws(market: SampleMarket, days: range) -> _Draws:
    shape = (len(days), _MINUTES)
    fast, slow, step, activity, noise = (np.empty(shape) for _ in range(5))
    flow, daily = np.empty((len(days), 7, _MINUTES)), np.empty((len(days), 2))
    for row, day in enumerate(days):
        draw = chance.generator(market.seed, "sample", market.symbol, day)
        daily[row] = draw.standard_normal(2)
        for table in (fast, slow, activity, noise):
            table[row] = draw.standard_normal(_MINUTES)
        step[row] = draw.standard_t(4, _MINUTES)
        flow[row] = draw.random((7, _MINUTES))
    return _Draws(daily, fast, slow, step, activity, noise, flow)


def _autoregression(draws: Table, half_life: float) -> Table:
    """AR(1) of deviation 1 over consecutive rows: x = phi * x_before + sqrt(1 - phi^2) * draw."""
    phi = 0.5 ** (1 / half_life)
    powers = phi ** np.arange(1, draws.shape[1] + 1)
    within = powers * np.cumsum(draws / powers, axis=1) * np.sqrt(1 - phi * phi)
    carried, start = np.empty(len(draws)), 0.0
    for row, tail in enumerate(within[:, -1]):
        carried[row] = start
        start = start * powers[-1] + tail
    return np.asarray(within + carried[:, None] * powers)


def _volatility(market: SampleMarket, draws: _Draws, shape: Table) -> tuple[Table, Table]:
    """Deviation of each minute's return, and the clusters as a factor of mean square 1."""
    day = _autoregression(draws.day[:, :1].T, 8.0).T
    log_factor = 0.28 * day + 0.30 * _autoregression(draws.slow, 400.0) + 0.34 * _autoregression(draws.fast, 18.0)
    factor = np.exp(log_factor - _LOG_VARIANCE)
    return market.daily_vol / np.sqrt(_MINUTES) * np.sqrt(shape) * factor, factor


def _shape_of_day() -> Table:
    """Relative activity by minute of the day, mean 1."""
    hours = np.array(_HOURS)
    centres = np.arange(-1, 25) * 60 + 30
    curve = np.interp(np.arange(_MINUTES), centres, np.concatenate((hours[-1:], hours, hours[:1])))
    return np.asarray(curve / curve.mean())


def _frames(market: SampleMarket, draws: _Draws, first_day: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    import polars as pl

    shape = _shape_of_day()
    sigma_table, factor = _volatility(market, draws, shape)
    sigma = sigma_table.ravel()
    per_tick, per_lot = _per_step("tick", market.tick), _per_step("lot", market.lot)
    flow = draws.flow.transpose(1, 0, 2).reshape(7, -1)
    n = len(sigma) - _MINUTES

    # The mid at each minute's open; t with 4 degrees of freedom has variance 2. Tails are cut at a move of 6 %.
    moves = np.clip(sigma * draws.step.ravel() / np.sqrt(2), -0.06, 0.06)
    log_mid = np.log(market.start_price) + np.concatenate(([0.0], np.cumsum(moves)[:-1]))
    mid = np.exp(log_mid)

    # The spread in ticks: what a maker wants for the minute's risk, at least one tick.
    ticks = 1 + np.floor(-np.log1p(-flow[0]) * 1.6 * (sigma * mid * per_tick) ** 0.5 / 3).astype(np.int64)
    bid = np.maximum(1, np.floor(mid * per_tick - (ticks - 1) / 2).astype(np.int64))
    ask = bid + ticks

    # Trades at the open and at the close are at the quote's bid or ask; in between the path is a bridge.
    open_ = np.where(flow[1] < 0.5, bid, ask)[:n]
    close = np.where(flow[2] < 0.5, bid, ask)[1 : n + 1]
    reach = (sigma * mid * per_tick)[:n]
    move = (close - open_).astype(np.float64)
    up = (move + np.sqrt(move**2 - 2 * reach**2 * np.log1p(-flow[3][:n]))) / 2
    down = (move - np.sqrt(move**2 - 2 * reach**2 * np.log1p(-flow[4][:n]))) / 2
    high = np.maximum(np.maximum(open_, close), open_ + np.floor(up).astype(np.int64))
    low = np.maximum(1, np.minimum(np.minimum(open_, close), open_ + np.ceil(down).astype(np.int64)))

    # Volume: shape of day and week, days, clusters of its own, and more of it when the market moves.
    weekday = (first_day + 3 + np.arange(len(draws.day))) % 7
    week = np.array(_WEEK)[weekday] / np.mean(_WEEK)
    daily = np.exp(0.22 * _autoregression(draws.day[:, 1:].T, 5.0).T - 0.22**2 / 2)
    clusters = np.exp(0.45 * _autoregression(draws.activity, 25.0) + 0.55 * draws.noise - (0.45**2 + 0.55**2) / 2)
    rate = (
        market.daily_volume / _MINUTES * shape * week[:, None] * daily * clusters * factor * np.exp(_LOG_VARIANCE / 2)
    )
    surprise = 0.55 + 0.45 * np.abs(draws.step)  # the mean of |t| with 4 degrees of freedom is 1
    volume = np.maximum(1, np.rint((rate * surprise).ravel()[:n] * per_lot))

    # Displayed size: about a third of a minute's volume, independent on both sides.
    size = market.daily_volume / _MINUTES * np.tile(shape, len(draws.day))[:n] * per_lot / 3
    shown = [np.maximum(1, np.rint(size * -np.log1p(-flow[side][:n]))) / per_lot for side in (5, 6)]

    opens = first_day * DAY_NS + np.arange(n, dtype=np.int64) * MINUTE_NS
    prices = {"open": open_, "high": high, "low": low, "close": close}
    bars = pl.DataFrame(
        {
            "ts_open_ns": opens,
            "ts_close_ns": opens + MINUTE_NS,
            **{name: column / per_tick for name, column in prices.items()},
            "volume": volume / per_lot,
        }
    )
    best = {"bid": bid[:n] / per_tick, "ask": ask[:n] / per_tick, "bid_qty": shown[0], "ask_qty": shown[1]}
    return bars, pl.DataFrame({"ts_ns": opens, **best})


def write_sample(
    data_dir: str | Path,
    market: SampleMarket | None = None,
    *,
    start: str = START,
    end: str = END,
) -> tuple[Dataset, Dataset]:
    """Generates and stores the sample's bars and quotes, in place of an earlier sample of the symbol."""
    market = market or SampleMarket()
    frames = generate(market, start, end)
    store = Store(data_dir)
    kinds = ("ohlcv_1m", "quotes")
    made = [
        store.commit(
            frame,
            venue=VENUE,
            symbol=market.symbol,
            kind=kind,
            source="fillwright data sample",
            synthesis={**asdict(market), "model": 1, "start": start, "end": end},
            instrument=market.facts(),
            fresh=True,
        )
        for kind, frame in zip(kinds, frames, strict=True)
    ]
    return made[0], made[1]


def ensure_sample(data_dir: str | Path, say: Callable[[str], object] | None = None) -> bool:
    """Makes the sample market where no data is stored yet; True if it did. A store that exists is left alone.

    `say` gets the line that announces it. All of the sample appears at once, or nothing.
    """
    store = Store(data_dir)
    if store.exists():
        return False
    if not isinstance(store.data_dir, Path):
        raise DataError(f"no market data is stored in {store.data_dir}, and a bucket is read only")
    if say is not None:
        say(
            f"no market data in {store.data_dir} yet: making the SYNTHETIC sample market "
            f"{SampleMarket().symbol} {START} to {iso(parse_ns(END) - DAY_NS)} (takes seconds; "
            "`fillwright data import` and `download` bring real data)"
        )
    store.data_dir.mkdir(parents=True, exist_ok=True)
    partial = store.data_dir / f".sample.{os.getpid()}.partial"
    try:
        write_sample(partial)
        (partial / f"venue={VENUE}").replace(store.data_dir / f"venue={VENUE}")
    except OSError:
        if not store.exists():  # else another process was quicker: what it made is the same
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return True
