"""Orders and markets with planted coefficients, for the tests of calibration."""

from __future__ import annotations

import numpy as np

from core.chance import generator
from research.calibration.flow import Quotes
from research.calibration.laws import square_root
from research.calibration.orders import Orders, orders
from research.calibration.signs import Mids, Trades

START_NS = 1_735_725_600_000_000_000  # a whole minute
SECOND_NS = 1_000_000_000
GAMMA, ETA, BETA = 0.314, 0.142, 0.6


def almgren_orders(seed: int, n: int = 29_509, per_day: int = 80) -> Orders:
    """Execution science G14: as many orders as in Almgren et al. (2005), with their coefficients, in pure noise."""
    draw = generator(seed, "planted Almgren orders")
    size = np.clip(0.0062 * np.exp(1.1 * draw.standard_normal(n)), 0.0025, 0.5)
    days = np.clip(0.32 * np.exp(0.8 * draw.standard_normal(n)), 0.02, 1)
    volatility = 0.0225 * np.exp(0.4 * draw.standard_normal(n))
    turnover = 160 * np.exp(0.6 * draw.standard_normal(n))
    cost = GAMMA * size / 2 * turnover**0.25 + ETA * (size / days) ** BETA
    noise = np.sqrt(days / 3) * draw.standard_normal(n)
    return orders(
        {
            "cost": cost + noise,
            "size": size,
            "days": days,
            "volatility": volatility,
            "cluster": np.arange(n) // per_day,
            "turnover": turnover,
        }
    )


def square_root_orders(
    seed: int, n: int, coefficient: float = 0.8, *, per_day: int = 5, half_spread: float = 1.0, day_noise: float = 0.0
) -> Orders:
    """Orders that pay the simulated market's square root, this share of the half spread, and a common day's shock."""
    draw = generator(seed, "planted square root orders")
    day = np.arange(n) // per_day
    # Where days have shocks they have sizes too: what is common to a day's orders is then not averaged away.
    deviates = draw.standard_normal(n)
    size = 0.01 * np.exp(1.1 * (deviates[day * per_day] if day_noise else deviates))
    days = 0.1 * np.exp(0.8 * draw.standard_normal(n))
    volatility = 0.0225 * np.exp(0.4 * draw.standard_normal(n))
    noise = np.sqrt(days / 3)
    columns = {
        "cost": np.zeros(n),
        "size": size,
        "days": days,
        "volatility": volatility,
        "spread": 3e-4 / volatility,
        "cluster": day,
    }
    (shape,) = square_root().columns(orders(columns), 0.5)
    shock = draw.standard_normal(day[-1] + 1)[day]
    error = noise * (np.sqrt(1 - day_noise) * draw.standard_normal(n) + np.sqrt(day_noise) * shock)
    return orders(columns | {"cost": half_spread * columns["spread"] + coefficient * shape + error})


def flow_market(
    seed: int, minutes: int = 2_000, *, kyle: float = 1e-3, noise: float = 0.02
) -> tuple[Trades, Mids]:  # fmt: skip
    """Ten trades a minute; the mid of a minute's end has moved by kyle * signed volume, and by chance."""
    draw = generator(seed, "planted flow")
    n = minutes * 10
    ts = START_NS + np.arange(n, dtype=np.int64) * 6 * SECOND_NS + 3 * SECOND_NS
    sign = np.where(draw.random(n) < 0.5, -1, 1).astype(np.int8)
    qty = draw.exponential(5.0, n)
    change = kyle * (sign * qty).reshape(minutes, 10).sum(axis=1) + noise * draw.standard_normal(minutes)
    mid = 100 + np.concatenate(([0.0], np.cumsum(change)))
    edges = START_NS + np.arange(minutes + 1, dtype=np.int64) * 60 * SECOND_NS
    return Trades(ts, np.full(n, 100.0), qty, sign), Mids(edges - 1, mid)


def book_market(seed: int, n: int = 40_000, *, depth: float = 50.0, tick: float = 0.01) -> Quotes:
    """One quote a second around a touch whose price moves a tick when `depth` has been added or taken away.

    Cont, Kukanov and Stoikov's stylised book: the mid moves by tick / (2 * depth) for each unit of imbalance.
    """
    draw = generator(seed, "planted book")
    level = np.cumsum(draw.normal(0, depth / 15, n))  # net quantity added to the bid side so far
    step = np.floor(level / depth)
    bid_qty = level - step * depth  # what stands at the best bid; a full level is the next price's
    bid = 100 + tick * step
    ts = START_NS + np.arange(n, dtype=np.int64) * SECOND_NS
    return Quotes(ts, bid, np.full(n, 200.0), bid_qty + 1e-9, np.full(n, depth))
