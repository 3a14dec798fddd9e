"""What all engines are given: synthetic markets from a fixed seed, as files of plain columns that each of them reads.

Prices are on a grid of 0.01, quantities on one of 0.0001 (bars, trades) or 0.001 (the book), times int64 nanoseconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.chance import generator

SEED = 20240101
START_NS = 1_704_067_200_000_000_000  # 2024-01-01
MINUTE_NS = 60_000_000_000
DAY_NS = 86_400_000_000_000
PRICE = 40_000.0
MINUTE_VOLATILITY = 0.0006
LEAST_VOLUME = 12.0  # of a bar: a tenth of it holds every order of the studies
LEVELS = 20  # of a side of the book at its start
LATENCY_NS = 1_000_000
Columns = dict[str, Any]


def write(folder: Path, *, bars: int, trades: int, rows: int, parents: tuple[int, ...], slices: int) -> None:
    """All files, in a folder that may be there."""
    folder.mkdir(parents=True, exist_ok=True)
    minutes = minute_bars(bars)
    np.savez(folder / "bars.npz", **minutes)
    ticks = trade_ticks(trades)
    np.savez(folder / "trades.npz", **ticks)
    np.savez(folder / "book.npz", **book_rows(rows), wakes=wakes(slices))
    for count in parents:
        bar, trade = parent_rows(bars, count), parent_rows(trades, count)
        starts = {"bar": bar, "bars_ns": minutes["close_ns"][bar], "trades_ns": ticks["ts_ns"][trade]}
        np.savez(folder / f"parents_{count}.npz", **starts)


def minute_bars(n: int) -> Columns:
    """One-minute bars of a walk whose bars open where the last one closed; volume swings with the day."""
    draw = generator(SEED, "peers", "bars")
    moves = MINUTE_VOLATILITY * draw.standard_normal(n)
    close = PRICE * np.exp(np.cumsum(moves) - 0.5 * MINUTE_VOLATILITY**2 * np.arange(n))
    opened = np.concatenate(([PRICE], close[:-1]))
    reach = 0.0004 * close * np.abs(draw.standard_normal(n))
    of_day = 1 + 0.6 * np.cos(2 * np.pi * (np.arange(n) % 1440 - 870) / 1440)
    open_ns = START_NS + MINUTE_NS * np.arange(n, dtype=np.int64)
    return {
        "open_ns": open_ns,
        "close_ns": open_ns + MINUTE_NS,
        "open": np.round(opened, 2),
        "high": np.round(np.maximum(opened, close) + reach, 2),
        "low": np.round(np.minimum(opened, close) - reach, 2),
        "close": np.round(close, 2),
        "volume": np.round(LEAST_VOLUME + np.exp(draw.normal(4.0, 0.7, n)) * of_day, 4),
    }


def parent_rows(rows: int, parents: int) -> NDArray[np.int64]:
    """At the end of which bars, and with which trades, parents begin: evenly spaced, as far from the ends."""
    return (rows // (parents + 1)) * np.arange(1, parents + 1, dtype=np.int64)


def trade_ticks(n: int) -> Columns:
    """A day of trades around a mid that walks by ticks; `side` is the aggressor's, 1 a buyer."""
    draw = generator(SEED, "peers", "trades")
    ts_ns = START_NS + np.sort(draw.integers(0, DAY_NS, n))
    mid = round(PRICE * 100) + np.cumsum(draw.choice(np.array([-1, 0, 1]), n, p=[0.15, 0.7, 0.15]))
    side = np.where(draw.random(n) < 0.5, 1, -1).astype(np.int8)
    qty = np.round(np.exp(draw.normal(-3.0, 1.0, n)) + 0.0001, 4)
    return {"ts_ns": ts_ns, "price": np.round((mid + side) * 0.01, 2), "qty": qty, "side": side}


def book_rows(n: int) -> Columns:
    """A day of an order book and its trades (a fifth of the rows), after a snapshot of 20 levels a side.

    Bids lie a tick or more below the mid, asks above. When the mid moves, its row takes the level there away, so the
    book never crosses. kind: 0 a trade, 1 a bid level, 2 an ask level; side of a trade as in `trade_ticks`.
    """
    draw = generator(SEED, "peers", "book")
    snapshot = 2 * LEVELS
    ts_ns = START_NS + np.sort(draw.integers(0, DAY_NS, n))
    trade = draw.random(n) < 0.2
    step = draw.choice(np.array([-1, 0, 1]), n, p=[0.01, 0.98, 0.01])
    step[trade] = 0
    step[:snapshot], trade[:snapshot] = 0, False
    start = round(PRICE * 100)
    mid = start + np.cumsum(step)
    side = np.where(draw.random(n) < 0.5, 1, -1)
    level = np.clip(draw.geometric(0.3, n), 1, 10)
    lots = np.round(1000 * np.exp(draw.standard_normal(n))).astype(np.int64) + 1
    ticks = np.where(trade, mid + side, mid - side * level)
    moved = step != 0
    side, ticks, lots = np.where(moved, -step, side), np.where(moved, mid, ticks), np.where(moved, 0, lots)
    rung = np.arange(snapshot)
    side[:snapshot] = np.where(rung < LEVELS, 1, -1)
    ticks[:snapshot] = np.where(rung < LEVELS, start - 1 - rung, start + 1 + rung - LEVELS)
    lots[:snapshot] = 1000
    kind = np.where(trade, 0, np.where(side > 0, 1, 2)).astype(np.int8)
    return {"kind": kind, "ts_ns": ts_ns, "ticks": ticks, "lots": lots, "side": side.astype(np.int8)}


def wakes(slices: int) -> NDArray[np.int64]:
    """When the slices of the book's study are placed: evenly over the day, on no event's time by the odd nanosecond."""
    gap = DAY_NS // (slices + 2)
    return START_NS + gap * np.arange(1, slices + 1, dtype=np.int64) + 1
