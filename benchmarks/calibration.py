"""Calibration on real markets: the figures of docs/calibration.md.

    python benchmarks/calibration.py [--real-dir DIR] [--resamples N]

Reads trades and quotes of Bybit, Binance and US stocks from a folder of Parquet files (see that page for which),
imports them into a store that is thrown away, measures each market, and prints one table. Without the files it says so.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from research.calibration.market import calibrate_market
from research.calibration.proxies import TRADERS
from research.calibration.public import read_public
from research.columns import Layout
from research.data_reader import DataReader
from research.importers import import_file

if TYPE_CHECKING:
    from research.calibration.market import MarketCalibration
    from research.calibration.regression import Slope

REAL_DIR = Path(__file__).resolve().parents[2] / "shared" / "data" / "real"
BYBIT = "bybit_btcusdt_perp_{}.parquet"
BINANCE = "binance_btc_3markets_20240808_{}.parquet"
STOCKS = "us_equity_{}_20131007_09.parquet"
OPENS_MS, CLOSES_MS = 34_200_000, 57_600_000  # of the regular session, New York


@dataclass(frozen=True, slots=True)
class Study:
    """A market to measure, and how."""

    symbol: str
    venue: str
    load: Callable[[Path, Path, Path], None]
    interval_s: int = 60
    day_hours: float = 24.0
    lag_ms: int = 0

    @property
    def name(self) -> str:
        return f"{self.symbol} {self.venue}, {self.interval_s} s"


def main() -> None:
    arguments = argparse.ArgumentParser(description="Calibrate on real markets.")
    arguments.add_argument("--real-dir", type=Path, default=REAL_DIR)
    arguments.add_argument("--resamples", type=int, default=2_000)
    chosen = arguments.parse_args()
    if not (chosen.real_dir / STOCKS.format("trades")).is_file():
        print(f"no real market data in {chosen.real_dir}: nothing measured")
        return
    with tempfile.TemporaryDirectory() as scratch:
        for study, found in measured(chosen.real_dir, Path(scratch), chosen.resamples):
            print(f"\n{study.name}: {found.trades:,} trades, {found.intervals:,} intervals")
            for name, value in figures(found).items():
                print(f"  {name:34} {value}")


def measured(real_dir: Path, scratch: Path, resamples: int) -> Iterator[tuple[Study, MarketCalibration]]:
    """Every study, in order; a market that is measured twice is imported once."""
    store = scratch / "data"
    loaded: set[tuple[str, str]] = set()
    for study in STUDIES:
        if (study.symbol, study.venue) not in loaded:
            study.load(real_dir, scratch, store)
            loaded.add((study.symbol, study.venue))
        public = read_public(DataReader(store), study.symbol, venue=study.venue, lag_ns=study.lag_ms * 1_000_000)
        yield (
            study,
            calibrate_market(public, interval_s=study.interval_s, day_hours=study.day_hours, resamples=resamples),
        )


def figures(found: MarketCalibration) -> dict[str, str]:
    """What the tables of the page hold."""
    skill = found.forecasts.skill
    lines = {
        "quoted, effective spread, bps": f"{found.quoted_bps:.3f}, {found.effective_bps:.3f}",
        "volatility per day, volume": f"{found.volatility:.2%}, {found.daily_volume:,.0f}",
        "signed by": ", ".join(f"{name} {share:.0%}" for name, share in found.signed_by.items()),
        "kyle": f"{_slope(found.kyle)}, 1 % of volume {found.kyle_bps:.1f} bps",
        "sign alone, bps": _slope(found.constant),
        "skill over sign alone": ", ".join(f"{name} {value:.1%}" for name, value in skill.items()),
    }
    if found.imbalance is not None and found.by_depth is not None:
        lines["imbalance"] = _slope(found.imbalance)
        lines["imbalance / depth"] = _slope(found.by_depth)
    if found.proxies is not None:
        one = found.proxies
        for traders, fit in zip(TRADERS, one.fits, strict=True):
            low, high = fit.interval_of("coefficient")
            lines[f"proxies of {traders} traders"] = (
                f"{fit.n:,} runs, Y {fit['coefficient']:.3f} ({low:.3f} to {high:.3f})"
            )
        lines["their middle, credible"] = f"{one.coefficient:.3f}, {one.credible.low:.3f} to {one.credible.high:.3f}"
        if one.score is not None:
            low, high = one.score.interval
            lines["proxies' skill over a constant"] = f"{one.score.skill:.2%} ({low:.2%} to {high:.2%})"
    if found.curve:
        lines["volume by hour, UTC, %"] = " ".join(f"{100 * share:.1f}" for share in found.curve)
    lines["use"] = f"{found.use}: {found.verdict}"
    return lines


def _slope(one: Slope) -> str:
    low, high = one.interval
    return f"{one.value:.4g} ({low:.4g} to {high:.4g}), t {one.t:.1f}, r2 {one.r2:.1%}"


def _bybit(real_dir: Path, _scratch: Path, store: Path) -> None:
    mids = {name: f"mid_{name}" for name in ("open", "high", "low", "close")}
    bars = Layout({"ts_open": "timestamp", **mids}, bar_stamp="close")
    for file, kind, layout in (("trades_20251204", "trades", Layout()), ("midbars_1m_202512", "ohlcv_1m", bars)):
        path = real_dir / BYBIT.format(file)
        import_file(store, path, kind=kind, layout=layout, symbol="BTC/USDT:USDT", venue="bybit")


def _binance(market: str) -> Callable[[Path, Path, Path], None]:
    def load(real_dir: Path, _scratch: Path, store: Path) -> None:
        trades = Layout({"ts": "recv_ts_ns"})  # one clock for both streams
        quotes = Layout({"ts": "recv_ts_ns", "bid": "bid_px", "ask": "ask_px"})
        for file, kind, layout in (("trades", "trades", trades), ("bbo", "quotes", quotes)):
            path, where = real_dir / BINANCE.format(file), {"market": market}
            import_file(store, path, kind=kind, layout=layout, where=where, symbol="BTC/USDT", venue=market)

    return load


def _stock(symbol: str) -> Callable[[Path, Path, Path], None]:
    """Regular session, without the auctions' prints; the national best of either side carried forward."""

    def load(real_dir: Path, scratch: Path, store: Path) -> None:
        wall = pl.col("date").cast(pl.Datetime("ms")) + pl.duration(milliseconds=pl.col("ms_ny").cast(pl.Int64))
        ts = wall.dt.replace_time_zone("America/New_York").dt.convert_time_zone("UTC").dt.epoch("ns").alias("ts")
        session = (pl.col("symbol") == symbol) & pl.col("ms_ny").is_between(OPENS_MS, CLOSES_MS, closed="left")
        printed = ~(pl.col("cond").str.ends_with("40") | pl.col("cond").str.ends_with("80"))
        trades = pl.scan_parquet(real_dir / STOCKS.format("trades")).filter(session & printed)
        trades = trades.select(ts, "price", pl.col("size").alias("qty"))

        def best(price: str, size: str) -> list[pl.Expr]:
            there = pl.col(price) > 0
            held = [pl.when(there).then(pl.col(name)).forward_fill().over("date") for name in (price, size)]
            return [(held[0] / 1e4).alias(price[:3]), held[1].alias(f"{price[:3]}_qty")]

        quotes = pl.scan_parquet(real_dir / STOCKS.format("quotes")).filter(session)
        quotes = quotes.select(ts, *best("bid_deci_cents", "bid_size"), *best("ask_deci_cents", "ask_size"))
        quotes = quotes.drop_nulls().filter(pl.col("bid") <= pl.col("ask"))
        for kind, rows in (("trades", trades), ("quotes", quotes)):
            path = scratch / f"{symbol}_{kind}.parquet"
            rows.collect().write_parquet(path)
            import_file(store, path, kind=kind, symbol=symbol, venue="us")

    return load


STUDIES = (
    Study("BTC/USDT:USDT", "bybit", _bybit),
    Study("BTC/USDT", "binance_spot", _binance("binance_spot"), interval_s=5, lag_ms=100),
    Study("BTC/USDT", "binance_usdm", _binance("binance_usdm"), interval_s=5, lag_ms=20),
    Study("BTC/USDT", "binance_coinm", _binance("binance_coinm"), interval_s=5),
    Study("IBM", "us", _stock("IBM"), day_hours=6.5),
    Study("IBM", "us", _stock("IBM"), interval_s=300, day_hours=6.5),
    Study("BAC", "us", _stock("BAC"), day_hours=6.5),
    Study("BAC", "us", _stock("BAC"), interval_s=300, day_hours=6.5),
)


if __name__ == "__main__":
    main()
