"""Fifty parents on bars, on trades, and on quotes and trades of the same market: what the kind of data changes.

    python benchmarks/fill_models.py [--real-dir DIR] [--page]

IBM and BAC, 2013-10-08 and 09, regular session; the day before is history. Bars are made of the trades. Every parent
has the same algorithm, side, size, start and seed on all data, and is alone in its market. Prints the tables of
docs/fill_models.md; `--page` writes them there, and every parent's figures to docs/fill_models.csv.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from core.chance import generator
from core.contracts import Side, sign
from core.instrument import Instrument
from execution.config import DEFAULT_FILLS, FillConfig
from execution.contracts import AlgoType, ExecutionAlgorithm
from execution.costs.statistics import cluster_mean
from execution.executors import executor
from execution.simulator import execute
from execution.slippage import SquareRootSlippageModel
from execution.spread import bar_spread
from execution.tca import measure
from execution.ticks.feed import TickFeed
from execution.ticks.venue import TickVenue, minute_bars, tick_venue
from execution.venue import Venue, venue

ROOT = Path(__file__).resolve().parents[1]
REAL_DIR = ROOT.parent / "shared" / "data" / "real"
PAGE, STORED = ROOT / "docs" / "fill_models.md", ROOT / "docs" / "fill_models.csv"
STOCKS = "us_equity_{}_20131007_09.parquet"
OPENS_MS, CLOSES_MS = 34_200_000, 57_600_000  # of the regular session, New York
SECOND_NS, DAY_NS = 1_000_000_000, 86_400_000_000_000
PARENTS, SEED = 50, 4
KINDS: tuple[tuple[AlgoType, dict[str, Any]], ...] = (
    ("TWAP", {"order_type": "market"}),
    ("TWAP", {"order_type": "limit_then_cross"}),
    ("VWAP", {"order_type": "limit"}),
    ("POV", {"target_pov": 0.05}),
    ("Iceberg", {"price": "peg"}),
)
DATA: dict[str, FillConfig] = {
    "bars": DEFAULT_FILLS,
    "trades": DEFAULT_FILLS,
    "quotes and trades": DEFAULT_FILLS,
    "bars, touch": replace(DEFAULT_FILLS, limit_rule="touch"),
    "trades, first in the queue": replace(DEFAULT_FILLS, queue_ahead=0.0),
    "quotes and trades, queue log": replace(DEFAULT_FILLS, queue="log"),
    "quotes and trades, 100 ms": replace(
        DEFAULT_FILLS, feed_latency_ms=100, order_latency_ms=100, cancel_latency_ms=100, response_latency_ms=100
    ),
}
BASE = "quotes and trades"
FIGURES = {
    "fill_rate": "filled, %",
    "maker": "maker, %",
    "spread": "spread, bps",
    "impact": "impact, bps",
    "true_impact": "true impact, bps",
    "arrival": "slippage, bps",
    "shortfall": "shortfall, bps",
}
_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Parent:
    number: int
    symbol: str
    algo: ExecutionAlgorithm
    start_ns: int


def main() -> None:
    arguments = argparse.ArgumentParser(description="Fifty parents on three kinds of data.")
    arguments.add_argument("--real-dir", type=Path, default=REAL_DIR)
    arguments.add_argument("--page", action="store_true", help="write docs/fill_models.md and docs/fill_models.csv")
    chosen = arguments.parse_args()
    if not (chosen.real_dir / STOCKS.format("quotes")).is_file():
        print(f"no real market data in {chosen.real_dir}: nothing measured")
        return
    rows = pl.DataFrame(list(studied(chosen.real_dir, parents(chosen.real_dir), tuple(DATA))))
    if chosen.page:
        rows.write_csv(STORED, float_precision=4)
        PAGE.write_text(filled_in(PAGE.read_text(encoding="utf-8"), stored()), encoding="utf-8")
    for name in PARTS:
        print(f"{name}\n{PARTS[name](rows)}\n")


def studied(real_dir: Path, chosen: list[Parent], data: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """One row a parent and kind of data."""
    for number, parent in enumerate(chosen):
        if sys.stderr.isatty():
            print(f"\r{number + 1}/{len(chosen)}", end="", file=sys.stderr)
        for name in data:
            yield played(real_dir, parent, name)


def played(real_dir: Path, parent: Parent, data: str) -> dict[str, Any]:
    bars = place_of(real_dir, parent.symbol, "bars")
    worker = executor(
        parent.algo.algo_type, "study", volumes=bars.volumes, seed=parent.number, **bars.executor_arguments
    )
    place = place_of(real_dir, parent.symbol, data)
    report, _ = execute(place, worker, parent.algo, start_ns=parent.start_ns)
    cost = measure(report)
    parts = cost.parts.bps(cost.traded) if cost.traded else None
    moved = sign(report.side) * (report.avg_fill_price / report.arrival_price - 1)
    return {
        "parent": parent.number,
        "symbol": parent.symbol,
        "algo": f"{parent.algo.algo_type} {parent.algo.params.get('order_type', '')}".strip(),
        "side": parent.algo.side,
        "data": data,
        "fill_rate": 100 * report.fill_rate,
        "maker": 100 * cost.maker_share if report.fills else None,
        "spread": None if parts is None else parts.spread,
        "impact": None if parts is None else parts.impact,
        "true_impact": report.notes["twin"]["impact_bps"],
        "arrival": 1e4 * moved if report.fills else None,
        "shortfall": cost.shortfall_bps,
    }


def parents(real_dir: Path) -> list[Parent]:
    """Ten of each kind, on both symbols and days and either side; 0.5 to 4 % of what the day before would trade."""
    draw = generator(SEED, "fill models")
    chosen = []
    for number in range(PARENTS):
        symbol = ("IBM", "BAC")[number // len(KINDS) % 2]
        algo_type, params = KINDS[number % len(KINDS)]
        side: Side = "buy" if draw.random() < 0.5 else "sell"
        seconds = int(draw.choice([600, 1200, 1800, 3600]))
        bars = place_of(real_dir, symbol, "bars").bars
        days = np.unique(bars.ts_open_ns // DAY_NS)
        day = int(draw.integers(1, 3))
        opened = int(bars.ts_open_ns[bars.ts_open_ns // DAY_NS == days[day]][0])
        latest = (CLOSES_MS - OPENS_MS) // 1000 - seconds - 600
        start_ns = opened + int(draw.integers(600, latest)) * SECOND_NS
        before = float(bars.volume[bars.ts_open_ns // DAY_NS == days[day - 1]].sum())
        share = float(draw.choice([0.005, 0.01, 0.02, 0.04]))
        quantity = max(1.0, round(before * share * seconds / ((CLOSES_MS - OPENS_MS) / 1000)))
        algo = ExecutionAlgorithm(algo_type, symbol, side, quantity, seconds, params)
        chosen.append(Parent(number, symbol, algo, start_ns))
    return chosen


@cache
def place_of(real_dir: Path, symbol: str, data: str) -> Any:
    """The market of a symbol, made of this kind of data."""
    instrument = Instrument(symbol, "us", tick="0.01", lot="1")
    model, fills = SquareRootSlippageModel(0.5), DATA[data]
    kind = data.partition(",")[0]
    feed = feed_of(real_dir, symbol, with_quotes=kind == BASE)
    if kind != "bars":
        made: TickVenue | Venue = tick_venue(feed, instrument, model, fills=fills)
    else:
        bars = minute_bars(feed, instrument)
        spread = bar_spread(bars, instrument, None, fills.assumed_spread_bps)
        made = venue(bars, instrument, model, spread=spread, fills=fills)
    return made


@cache
def feed_of(real_dir: Path, symbol: str, *, with_quotes: bool) -> TickFeed:
    trades, quotes = frames(real_dir, symbol)
    instrument = Instrument(symbol, "us", tick="0.01", lot="1")
    return TickFeed.of(instrument, trades=trades, quotes=quotes if with_quotes else None)


@cache
def frames(real_dir: Path, symbol: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Trades and best quotes of the regular session.

    Without the auctions, and without prints between two cents, which no visible order could have had. Each row of the
    quotes' file is one side of the national best: the other one holds.
    """
    wall = pl.col("date").cast(pl.Datetime("ms")) + pl.duration(milliseconds=pl.col("ms_ny").cast(pl.Int64))
    ts = wall.dt.replace_time_zone("America/New_York").dt.convert_time_zone("UTC").dt.epoch("ns").alias("ts_ns")
    session = (pl.col("symbol") == symbol) & pl.col("ms_ny").is_between(OPENS_MS, CLOSES_MS, closed="left")
    auction = pl.col("cond").str.ends_with("40") | pl.col("cond").str.ends_with("80")
    trades = pl.scan_parquet(real_dir / STOCKS.format("trades"))
    trades = trades.filter(session & ~auction & (pl.col("price_deci_cents") % 100 == 0))
    trades = trades.select(ts, "price", pl.col("size").cast(pl.Float64).alias("qty"))

    def best(price: str, size: str) -> list[pl.Expr]:
        there = pl.col(price) > 0
        held = [pl.when(there).then(pl.col(name)).forward_fill().over("date") for name in (price, size)]
        return [(held[0] / 1e4).alias(price[:3]), held[1].cast(pl.Float64).alias(f"{price[:3]}_qty")]

    quotes = pl.scan_parquet(real_dir / STOCKS.format("quotes")).filter(session)
    quotes = quotes.select(ts, *best("bid_deci_cents", "bid_size"), *best("ask_deci_cents", "ask_size"))
    quotes = quotes.drop_nulls().filter(pl.col("bid") <= pl.col("ask"))
    return trades.collect(), quotes.collect()


# ---- the page


def levels(rows: pl.DataFrame) -> str:
    """The mean of every figure over the parents, by kind of data."""
    lines = _head(["data", *FIGURES.values()])
    for name in DATA:
        mine = rows.filter(pl.col("data") == name)
        lines.append(_line([name, *(_mean(mine[figure]) for figure in FIGURES)]))
    return "\n".join(lines)


def differences(rows: pl.DataFrame) -> str:
    """Paired differences from quotes and trades, with 95 % intervals, over the parents that have both figures."""
    shown = [figure for figure in FIGURES if figure != "true_impact"]
    lines = _head([f"less {BASE}", *(FIGURES[figure] for figure in shown)])
    base = rows.filter(pl.col("data") == BASE)
    for name in DATA:
        if name != BASE:
            both = rows.filter(pl.col("data") == name).join(base, on="parent", suffix="_base")
            lines.append(_line([name, *(_paired(both, figure) for figure in shown)]))
    return "\n".join(lines)


def by_algorithm(rows: pl.DataFrame) -> str:
    """Filled share, maker share and shortfall of each kind of parent on the three kinds of data."""
    told = ("fill_rate", "maker", "shortfall")
    kinds = [name for name in DATA if "," not in name]
    lines = _head(["parents", *(f"{FIGURES[figure]}: {' / '.join(kinds)}" for figure in told)])
    for name in rows["algo"].unique(maintain_order=True):
        mine = rows.filter(pl.col("algo") == name)
        cells = [[_mean(mine.filter(pl.col("data") == kind)[figure]) for kind in kinds] for figure in told]
        lines.append(_line([name, *(" / ".join(cell) for cell in cells)]))
    return "\n".join(lines)


PARTS = {"levels": levels, "differences": differences, "by_algorithm": by_algorithm}


def stored() -> pl.DataFrame:
    """Every parent's figures, as the last run with `--page` left them."""
    return pl.read_csv(STORED)


def filled_in(page: str, rows: pl.DataFrame) -> str:
    """The page with its tables made anew from these rows."""
    return _PART.sub(lambda found: f"{found[1]}{PARTS[found[2]](rows)}\n{found[3]}", page)


def _mean(column: pl.Series) -> str:
    known = column.drop_nulls().to_numpy()
    return f"{known.mean():.2f}" if len(known) else ""


def _paired(both: pl.DataFrame, figure: str) -> str:
    pairs = both.drop_nulls([figure, f"{figure}_base"])
    apart = (pairs[figure] - pairs[f"{figure}_base"]).to_numpy()
    if not len(apart) or not apart.any():
        return "0"
    found = cluster_mean(apart / 1e4, np.ones(len(apart)), pairs["parent"].to_list())
    return f"{found.mean:+.2f} ({found.interval.low:+.2f} to {found.interval.high:+.2f})"


def _head(names: list[str]) -> list[str]:
    return [_line(names), _line(["---"] * len(names))]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
