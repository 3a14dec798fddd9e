"""How closely each algorithm follows what it promises: TWAP its clock, VWAP the market's VWAP, POV its share of volume.

    python benchmarks/tracking.py [--starts N] [--data-dir DIR]

Parents start at random times and run on both sides, in the synthetic sample market and, where they are present, in real
ones. Fills are taken at the market without spread and impact, up to half of a bar's volume, so that what is left is the
schedule. Positive basis points are worse. Standard errors treat starts as independent; the real ones overlap.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.bars import Bars
from core.chance import generator
from core.contracts import FillEvent, Side, sign
from core.instrument import Instrument
from execution.base import RuleExecutor
from execution.config import FillConfig
from execution.contracts import ExecutionAlgorithm, ExecutionReport
from execution.desk import Desk
from execution.events import Event, Market, Wake
from execution.executors import executor as make_executor
from execution.parent import ParentOrder
from execution.pov import POVExecutor
from execution.profile import VolumeHistory
from execution.spread import Spread
from execution.venue import venue

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "real"
MINUTE_NS, HOUR_NS, DAY_NS = 60 * 10**9, 3600 * 10**9, 86_400 * 10**9
SIDES: tuple[Side, Side] = ("buy", "sell")
FILLS = FillConfig(max_participation=0.5)
SHARE = 0.01  # of the interval's volume: the size of a parent that has one
TARGET = 0.1  # of POV
TOLERANCE = 0.05
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """Bars to trade in, and how long parents run there; `history_days` 0: there is no volume history."""

    name: str
    bars: Bars
    lot: str
    tick: str
    seconds: int
    slice_seconds: int
    history_days: int


# ---- markets


def sample_market(data_dir: Path) -> DataSet:
    from research.data_reader import DataReader
    from research.sample import ensure_sample

    ensure_sample(data_dir)
    bars = DataReader(data_dir).bars("ATOM/USDT", "1m")
    return DataSet(
        name="sample market ATOM/USDT, SYNTHETIC, nine months of 1-minute bars", bars=bars, lot="0.01", tick="0.001",
        seconds=4 * 3600, slice_seconds=300, history_days=7,
    )  # fmt: skip


def real_markets() -> Iterator[DataSet]:
    """The real ones whose files are here; a line for each that is not."""
    for name, file, make in (
        ("ATOM 2021", "binance_spot_1m_202104_05.parquet", _atom),
        ("NEAR 2023", "binance_usdm_1m_fil_near.parquet", _near),
        ("BTC trades", "bybit_btcusdt_perp_trades_20251204.parquet", _btc),
        ("IBM", "us_equity_trades_20131007_09.parquet", _ibm),
    ):
        if (REAL / file).is_file():
            yield make(REAL / file)
        else:
            print(f"\n== {name}: left out, {file} is not in {REAL}")


def _atom(path: Path) -> DataSet:
    return DataSet(
        name="ATOM/USDT spot, 2021-04-20 to 05-20, 1-minute bars, the crash of 05-19 included",
        bars=_klines(path, "ATOMUSDT", "open_time_ms"), lot="0.01", tick="0.001",
        seconds=4 * 3600, slice_seconds=300, history_days=7,
    )  # fmt: skip


def _near(path: Path) -> DataSet:
    bars = _klines(path, "NEARUSDT", "open_time")
    contiguous = int(np.searchsorted(bars.ts_open_ns, np.int64(1_698_796_800 * 10**9)))  # then months are missing
    return DataSet(
        name="NEAR/USDT perpetual, 2023-08 to 2023-10, 1-minute bars", bars=bars[:contiguous], lot="1", tick="0.0001",
        seconds=4 * 3600, slice_seconds=300, history_days=7,
    )  # fmt: skip


def _klines(path: Path, symbol: str, time: str) -> Bars:
    import polars as pl

    rows = pl.read_parquet(path).filter(pl.col("symbol") == symbol)
    opens = rows[time].to_numpy() * 1_000_000
    return _bars(symbol, opens, MINUTE_NS, rows)


def _btc(path: Path) -> DataSet:
    """File order is time order; times are whole milliseconds."""
    import polars as pl

    step = 10 * 10**9
    trades = pl.read_parquet(path).with_columns(bin=pl.col("ts") * 1_000_000 // step * step)
    return DataSet(
        name="BTC/USDT perpetual trades, 2025-12-04 20:08 to 22:30, 10-second bars; no history: no volume curve",
        bars=_bars("BTCUSDT", *_from_trades(trades, "qty", step)), lot="0.001", tick="0.1",
        seconds=1800, slice_seconds=30, history_days=0,
    )  # fmt: skip


def _ibm(path: Path) -> DataSet:
    """The regular session (New York was 4 hours behind UTC), without auction prints and suspicious ones."""
    import polars as pl

    rows = pl.read_parquet(path).filter(
        (pl.col("symbol") == "IBM")
        & (pl.col("suspicious") == 0)
        & pl.col("ms_ny").is_between(34_200_000, 57_600_000, closed="left")
        & ~pl.col("cond").str.ends_with("40")
        & ~pl.col("cond").str.ends_with("80")
    )
    day_ms = pl.col("date").cast(pl.Date).cast(pl.Int64) * 86_400_000 + 4 * 3_600_000
    trades = rows.with_columns(bin=(day_ms + pl.col("ms_ny").cast(pl.Int64) // 60_000 * 60_000) * 1_000_000)
    return DataSet(
        name="IBM, 2013-10-07 to 10-09, 1-minute bars of the regular session; one or two days of history: partial",
        bars=_bars("IBM", *_from_trades(trades, "size", MINUTE_NS)), lot="1", tick="0.01",
        seconds=2 * 3600, slice_seconds=300, history_days=1,
    )  # fmt: skip


def _from_trades(trades: Any, size: str, step_ns: int) -> tuple[NDArray[np.int64], int, Any]:
    import polars as pl

    price = pl.col("price")
    bars = (
        trades.group_by("bin", maintain_order=True)
        .agg(
            open=price.first(), high=price.max(), low=price.min(), close=price.last(),
            volume=pl.col(size).sum(), money=(price * pl.col(size)).sum(),
        )
        .sort("bin")
    )  # fmt: skip
    return bars["bin"].to_numpy(), step_ns, bars


def _bars(symbol: str, opens: NDArray[np.int64], step_ns: int, rows: Any) -> Bars:
    names = ("open", "high", "low", "close", "volume")
    columns: dict[str, Any] = {name: rows[name].cast(float).to_numpy() for name in names}
    if "money" in rows.columns:
        columns["quote_volume"] = rows["money"].to_numpy()
    bars = Bars(symbol, opens, opens + step_ns, **columns)
    bars.check()
    return bars


# ---- one parent


@dataclass(frozen=True, slots=True)
class Stretch:
    """The market of one parent: bars of its interval, behind one that is known before it starts."""

    start_ns: int
    end_ns: int
    bars: Bars

    @property
    def volume(self) -> float:
        return float(self.bars.volume[1:].sum())

    @property
    def prices(self) -> Floats:
        """What a unit cost in each bar on average, as far as bars tell."""
        bars = self.bars
        if bars.quote_volume is None:
            return (bars.high + bars.low + bars.close) / 3
        return bars.quote_volume / bars.volume

    @property
    def vwap(self) -> float:
        return float(self.prices[1:] @ self.bars.volume[1:]) / self.volume

    @property
    def moved_bps(self) -> float:
        """How far the price wandered: the root of the sum of its squared steps."""
        return 1e4 * math.sqrt(float((np.diff(np.log(self.bars.close)) ** 2).sum()))


def stretches(data: DataSet, count: int) -> list[Stretch]:
    """Intervals with random starts that bars cover, on whole slices of the clock."""
    draw = generator(7, "tracking", data.name)
    opens, length = data.bars.ts_open_ns, data.seconds * 10**9
    step = int(data.bars.ts_close_ns[0] - opens[0])
    first = int(opens[0]) + step + data.history_days * DAY_NS
    found: list[Stretch] = []
    for _ in range(200 * count):
        if len(found) == count:
            break
        start = int(draw.integers(first, int(data.bars.ts_close_ns[-1]) - length + 1)) // step * step
        a, b = np.searchsorted(opens, (start, start + length))
        if a > 0 and (b - a) * step >= 0.95 * length and data.bars.volume[a:b].sum() > 0:
            found.append(Stretch(start, start + length, data.bars[int(a) - 1 : int(b)]))
    return found


def work(data: DataSet, stretch: Stretch, executor: RuleExecutor, side: Side, quantity: float) -> ExecutionReport:
    """One parent through the sync driver, without spread and impact."""
    instrument = Instrument(data.bars.symbol, lot=data.lot, tick=data.tick)
    no_spread = Spread(np.zeros(len(stretch.bars)), "none")
    place = venue(stretch.bars, instrument, None, spread=no_spread, fills=FILLS)
    market, reports = place.market(), list[ExecutionReport]()
    desk = Desk(market, place.tape, None, {}, on_report=reports.append)
    algo = ExecutionAlgorithm(executor.algo_type, data.bars.symbol, side, quantity, data.seconds)
    desk.start(executor.start(algo, start_ns=stretch.start_ns, price=market.mid(0)), stretch.start_ns, 0)
    k = desk.next_bar(0)
    while k is not None:
        desk.play(k)
        k = desk.next_bar(k)
    desk.finish(len(stretch.bars) - 1)
    return reports[0]


def own_by_bar(stretch: Stretch, report: ExecutionReport) -> Floats:
    """Filled quantity in each bar of the interval."""
    own = np.zeros(len(stretch.bars))
    at = np.searchsorted(stretch.bars.ts_open_ns, [fill.ts_fill_ns for fill in report.fills], side="right") - 1
    np.add.at(own, at, [fill.qty for fill in report.fills])
    return own[1:]


def by_slice(data: DataSet, stretch: Stretch, column: Floats) -> Floats:
    """Sums of a column of bars over the slices of the interval."""
    slices = data.seconds // data.slice_seconds
    index = (stretch.bars.ts_open_ns[1:] - stretch.start_ns) // (data.slice_seconds * 10**9)
    sums = np.zeros(slices)
    np.add.at(sums, np.minimum(index, slices - 1), column)
    return sums


# ---- figures


def track(data: DataSet, starts: int) -> None:
    chosen = stretches(data, starts)
    print(f"\n== {data.name}")
    print(
        f"   {len(chosen)} starts x 2 sides, {data.seconds / 3600:g} h in slices of {data.slice_seconds} s; "
        f"parents of {SHARE:.0%} of the interval's volume, POV {TARGET:.0%} of all volume"
    )
    history = VolumeHistory(data.bars) if data.history_days else None
    print(f"   {'algorithm':26} {'completed':>9} {'schedule off by':>16}")
    for label, algo, settings in (
        ("TWAP market", "TWAP", {"order_type": "market"}),
        ("TWAP limit", "TWAP", {"order_type": "limit"}),
        ("TWAP limit_then_cross", "TWAP", {"order_type": "limit_then_cross"}),
        ("VWAP market", "VWAP", {"order_type": "market"}),
        ("Iceberg pegged, 10 % shown", "Iceberg", {}),
    ):
        sliced = {} if algo == "Iceberg" else {"slice_count": data.seconds // data.slice_seconds}
        _schedules(data, chosen, label, algo, {**settings, **sliced}, history)
    _pov(data, chosen, history)
    if history is not None:
        _vwap(data, chosen, history)


def _make(data: DataSet, algo: Any, settings: dict[str, Any], history: VolumeHistory | None) -> RuleExecutor:
    instrument = Instrument(data.bars.symbol, lot=data.lot, tick=data.tick)
    return make_executor(algo, "tracking", volumes=history, instrument=instrument, **settings)


def _schedules(
    data: DataSet, chosen: list[Stretch], label: str, algo: str, settings: dict[str, Any], history: VolumeHistory | None
) -> None:
    """Completion, and the mean distance between what is done and what was planned at the ends of slices."""
    done, off = [], []
    for stretch in chosen:
        for side in SIDES:
            executor = _make(data, algo, settings, history)
            quantity = stretch.volume * SHARE
            report = work(data, stretch, executor, side, quantity)
            done.append(report.filled_quantity / quantity)
            if algo != "Iceberg":
                planned = _planned(data, stretch, executor, quantity)
                filled = np.cumsum(by_slice(data, stretch, own_by_bar(stretch, report))) / quantity
                off.append(float(np.abs(filled - planned).mean()))
    shown = f"{100 * np.mean(off):.2f} % ± {100 * _error(off):.2f}" if off else "no schedule"
    print(f"   {label:26} {100 * np.mean(done):7.2f} % {shown:>16}")


def _planned(data: DataSet, stretch: Stretch, executor: RuleExecutor, quantity: float) -> Floats:
    """The part of the quantity that the plan without re-weighting has done by the end of each slice."""
    slices = data.seconds // data.slice_seconds
    if executor.algo_type != "VWAP":
        return np.arange(1, slices + 1) / slices
    algo = ExecutionAlgorithm("VWAP", data.bars.symbol, "buy", quantity, data.seconds)
    machine = executor.start(algo, start_ns=stretch.start_ns, price=float(stretch.bars.close[0]))
    return np.array(machine.curve.targets) / machine.quantity


def _pov(data: DataSet, chosen: list[Stretch], history: VolumeHistory | None) -> None:
    """|realised / target - 1| over the interval, where volume is enough: 20 lots / target at least."""
    errors, thin = [], 0
    interval = min(60.0, data.slice_seconds)
    for stretch in chosen:
        enough = stretch.volume >= 20 * float(data.lot) / TARGET
        for side in SIDES:
            settings = {"target_pov": TARGET, "min_volume_threshold": 0.0, "interval_seconds": interval}
            report = work(data, stretch, _make(data, "POV", settings, history), side, stretch.volume)
            own = report.filled_quantity
            if enough:
                errors.append(own / (own + stretch.volume) / TARGET - 1)
            thin += not enough
    worst = max(errors, key=abs)
    inside = float(np.mean(np.abs(errors) <= TOLERANCE))
    print(
        f"   POV {TARGET:.0%}, slices of {interval:g} s: realised / target - 1: mean {100 * np.mean(errors):+.2f} %, "
        f"median size {100 * np.median(np.abs(errors)):.2f} %, worst {100 * worst:+.2f} %; within 5 %: "
        f"{100 * inside:.1f} % of {len(errors)}{f'; {thin} with too little volume' if thin else ''}"
    )


def _vwap(data: DataSet, chosen: list[Stretch], history: VolumeHistory) -> None:
    """Tracking error against the interval's VWAP under three curves, the same parents under each.

    `all`: what fills really paid. `shape`: the quantities of slices at the VWAPs of their slices, without the noise of
    one price per slice. Ratios are of the shape error in units of the interval's own price range.
    """
    slices = data.seconds // data.slice_seconds
    curves = {"naive": (None, False), "static": (history, False), "re-weighted": (history, True)}
    real: dict[str, list[float]] = {name: [] for name in curves}
    shape: dict[str, list[float]] = {name: [] for name in curves}
    sources: set[str] = set()
    moved = []
    for stretch in chosen:
        weights = stretch.bars.volume[1:]
        money, volume = (by_slice(data, stretch, column) for column in (weights * stretch.prices[1:], weights))
        traded = volume > 0
        slice_prices = np.where(traded, money / np.where(traded, volume, 1.0), stretch.vwap)
        for side in SIDES:
            moved.append(stretch.moved_bps)
            for name, (volumes, reweight) in curves.items():
                settings = {"slice_count": slices, "order_type": "market", "reweight": reweight}
                report = work(data, stretch, _make(data, "VWAP", settings, volumes), side, stretch.volume * SHARE)
                own = by_slice(data, stretch, own_by_bar(stretch, report))
                direction = sign(side) * 1e4 / stretch.vwap
                real[name].append(direction * (report.avg_fill_price - stretch.vwap))
                shape[name].append(direction * (float(own @ slice_prices) / own.sum() - stretch.vwap))
                if reweight:
                    sources.add(str(report.notes.get("profile_source", "-")))
    print("   VWAP against the interval's VWAP, bps: rms ± standard error, median size")
    for name in curves:
        print(f"   {name:14} all {_rms(real[name])}   shape {_rms(shape[name])}")
    for first, second in (("static", "naive"), ("re-weighted", "static"), ("re-weighted", "naive")):
        ratio, error = _ratio(np.array(shape[first]) / moved, np.array(shape[second]) / moved)
        print(f"   {first} / {second}: {ratio:.3f} ± {error:.3f}")
    print(f"   curves from: {'; '.join(sorted(sources))}")


def _error(values: list[float]) -> float:
    """Standard error of a mean; the two sides of a start count once."""
    pairs = np.array(values).reshape(-1, 2).mean(axis=1)
    return float(pairs.std(ddof=1) / math.sqrt(len(pairs))) if len(pairs) > 1 else math.nan


def _rms(values: list[float]) -> str:
    squares = np.square(values).reshape(-1, 2).mean(axis=1)
    rms = math.sqrt(squares.mean())
    error = float(squares.std(ddof=1)) / math.sqrt(len(squares)) / (2 * rms) if len(squares) > 1 else math.nan
    return f"{rms:7.2f} ± {error:5.2f}, {np.median(np.abs(values)):6.2f}"


def _ratio(first: Floats, second: Floats) -> tuple[float, float]:
    """The ratio of two root mean squares over the same starts, and its standard error by leaving out one at a time."""
    ours, theirs = (np.square(values).reshape(-1, 2).sum(axis=1) for values in (first, second))
    kept = np.sqrt((ours.sum() - ours) / (theirs.sum() - theirs))
    count = len(kept)
    return math.sqrt(ours.sum() / theirs.sum()), float(
        math.sqrt((count - 1) / count * np.square(kept - kept.mean()).sum())
    )


# ---- POV alone: slices, shapes, lots


SHAPES = ("flat", "U", "bursty")
DRAWS = 20


def sweep() -> None:
    """POV's error with perfect fills over slice counts, shapes of volume and lot sizes."""
    print(f"\n== POV {TARGET:.0%} with perfect fills: realised / target - 1 in %, mean (worst)")
    print(
        "   flat, no feed-forward is the arithmetic of waiting one slice: -18.4, -9.1, -4.52, -2.26 for 5, 10, 20, 40"
    )
    print("   curve: whether past days tell the shape of the day; bursty: lognormal with ten-fold bursts, 20 draws")
    titles = [f"{shape}{', curve' if curve else ''}" for shape in SHAPES for curve in (False, True)]
    print(f"   {'slices':>6} {'lots':>9} {'forward':>7} " + " ".join(f"{title:>16}" for title in titles))
    for slices in (5, 10, 20, 40, 240):
        for lots in (round(20 / TARGET), 1_000_000):
            for forward in (False, True):
                cells = []
                for shape in SHAPES:
                    for curve in (False, True):
                        draws = range(DRAWS if shape == "bursty" else 1)
                        errors = [pov_error(slices, shape, lots, forward, curve, draw) for draw in draws]
                        mark = "" if max(map(abs, errors)) <= TOLERANCE else "*"
                        worst = max(errors, key=abs)
                        cells.append(f"{100 * np.mean(errors):+6.2f} ({100 * worst:+.1f}){mark}")
                answer = "yes" if forward else "no"
                print(f"   {slices:6} {lots:9,} {answer:>7} " + " ".join(f"{cell:>16}" for cell in cells))
    print("   * beyond 5 % somewhere")


def pov_error(slices: int, shape: str, lots: int, forward: bool, curve: bool, draw: int) -> float:
    """One POV parent over `lots` of others' volume, its children filled in full at once."""
    traded = np.floor(np.cumsum(volumes(slices, shape, draw)) * lots + 1e-6)
    actual = np.diff(np.concatenate(([0.0], traded)))
    usual = volumes(slices, "flat" if shape == "bursty" else shape, draw) * lots
    start_ns = 20_000 * DAY_NS
    instrument = Instrument("X", lot="1", tick="0.01")
    executor = POVExecutor(
        "sweep", None, TARGET, 0.0, history=past(usual, slices, start_ns) if curve else None, instrument=instrument,
        slice_count=slices, interval_seconds=None, feed_forward=forward,
    )  # fmt: skip
    algo = ExecutionAlgorithm("POV", "X", "buy", float(lots), slices * 60)
    machine = executor.start(algo, start_ns=start_ns, price=100.0, execution_id="x")
    own = played(machine, actual, start_ns)
    return own / (own + lots) / TARGET - 1


def played(machine: ParentOrder, actual: Floats, start_ns: int) -> int:
    traded = np.concatenate(([0.0], np.cumsum(actual)))
    for k in range(len(actual)):
        now_ns = start_ns + k * MINUTE_NS
        waiting: list[Event] = [Market(now_ns, 9999, 10001, int(traded[k])), Wake()]
        while waiting:
            for intent in machine.on(waiting.pop(0), now_ns).commands:
                fill = FillEvent(f"{intent.intent_id}-f", intent.intent_id, "X", "buy", intent.qty, 100.0, now_ns)
                waiting.append(fill)
    return machine.children.filled


def volumes(slices: int, shape: str, draw: int) -> Floats:
    """Shares of volume per slice, summing to 1; a bursty day is 240 minutes of it whatever the slices."""
    if shape == "bursty":
        chance = generator(11, "bursty", draw)
        minutes = np.exp(chance.standard_normal(240)) * np.where(chance.random(240) < 0.02, 10.0, 1.0)
        found: Floats = np.add.reduceat(minutes, np.arange(slices) * 240 // slices)
    else:
        middle = (np.arange(slices) + 0.5) / slices * 2 - 1
        found = 1 + 3 * middle**2 if shape == "U" else np.ones(slices)
    shares: Floats = found / found.sum()
    return shares


def past(usual: Floats, slices: int, start_ns: int) -> VolumeHistory:
    """Ten days before the start, each with the same volumes."""
    opens = np.concatenate(
        [start_ns - back * DAY_NS + np.arange(slices, dtype=np.int64) * MINUTE_NS for back in range(10, 0, -1)]
    )
    flat = np.full(len(opens), 100.0)
    return VolumeHistory(Bars("X", opens, opens + MINUTE_NS, flat, flat, flat, flat, np.tile(usual, 10)))


def main() -> None:
    arguments = argparse.ArgumentParser(description="How closely the algorithms follow what they promise.")
    arguments.add_argument("--starts", type=int, default=100, help="random starts per data set")
    arguments.add_argument("--data-dir", type=Path, help="a store with the sample market [default: made anew]")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        track(sample_market(chosen.data_dir or Path(scratch, "data")), chosen.starts)
    for data in real_markets():
        track(data, chosen.starts)
    sweep()


if __name__ == "__main__":
    main()
