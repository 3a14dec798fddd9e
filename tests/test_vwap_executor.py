"""Acceptance list 8.3 of the specification: VWAP weights its slices by past volume and follows what comes in."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.bars import Bars
from core.clock import ManualClock
from core.contracts import OrderIntent
from core.instrument import Instrument
from execution.adapters import SyncExecutionWrapper
from execution.base import BaseExecutor
from execution.contracts import ExecutionAlgorithm, ExecutionReport
from execution.events import Event, Market
from execution.plan import Curve, Plan, View
from execution.profile import VolumeHistory
from execution.simulator import ExecutionSimulator
from execution.slippage import LinearSlippageModel
from execution.vwap import VWAPExecutor, due
from research.data_reader import DataReader
from research.store import Store
from tests import golden
from tests.naive import MINUTE_NS, START_NS
from tests.parents import SECOND, SYMBOL, filled_at_once, parent_of, past_bars, play_out

HOUR_NS = 60 * MINUTE_NS
MINUTES = np.arange(1440)
SMILE = 10.0 + 40 * np.abs(MINUTES / 1439 * 2 - 1) ** 2
"""Volume by minute of the day: five times as much at its ends as in its middle."""


def numbers(text: str) -> NDArray[np.float64]:
    return np.array([float(word) for word in text.split()])


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> DataReader:
    """A store with twelve days of one-minute bars before the start, and a day behind it that trades otherwise."""
    folder: Path = tmp_path_factory.mktemp("data")
    today = np.where(MINUTES == 700, 1e6, 1.0)
    bars = past_bars(np.concatenate((np.tile(SMILE, 12), today)), START_NS + 24 * HOUR_NS)
    names = ("ts_open_ns", "ts_close_ns", "open", "high", "low", "close", "volume")
    Store(folder).commit(
        pl.DataFrame({name: getattr(bars, name) for name in names}),
        venue="test",
        symbol=SYMBOL,
        kind="ohlcv_1m",
        source="a test",
        instrument={"tick": "0.01", "lot": "1"},
    )
    return DataReader(folder)


def executor(data: DataReader | None, lookback_days: int = 7, **keywords: Any) -> VWAPExecutor:
    keywords = {
        "clock": ManualClock(START_NS),
        "instrument": Instrument(SYMBOL, tick="0.01", lot="1"),
        "quotes": lambda symbol: 10.0,
        **keywords,
    }
    return VWAPExecutor("tester", data, lookback_days, **keywords)


def algorithm(quantity: float = 10_000, seconds: int = 86_400, **params: Any) -> ExecutionAlgorithm:
    return ExecutionAlgorithm("VWAP", SYMBOL, "buy", quantity, seconds, params)


def plan(vwap: VWAPExecutor, algo: ExecutionAlgorithm) -> list[OrderIntent]:
    return SyncExecutionWrapper(vwap).plan_execution_sync(algo)


def hourly(day: NDArray[np.float64], bins: int = 24) -> NDArray[np.float64]:
    sums = day.reshape(bins, -1).sum(axis=1)
    shares: NDArray[np.float64] = sums / sums.sum()
    return shares


# ---------------------------------------------------------------- the interface


def test_the_signatures_are_those_of_the_specification() -> None:
    made = inspect.signature(VWAPExecutor.__init__).parameters
    assert list(made)[:4] == ["self", "strategy_id", "data_reader", "lookback_days"]
    assert made["lookback_days"].default == 7
    profile = list(inspect.signature(VWAPExecutor._calculate_volume_profile).parameters)
    assert profile == ["self", "symbol", "duration_seconds"]
    weighted = list(inspect.signature(VWAPExecutor._create_weighted_intent).parameters)
    assert weighted[1:] == [
        "execution_id",
        "slice_idx",
        "weight",
        "total_quantity",
        "scheduled_ts_ns",
        "current_price",
    ]
    assert inspect.iscoroutinefunction(VWAPExecutor.plan_execution)
    assert issubclass(VWAPExecutor, BaseExecutor)


def test_plan_execution_returns_order_intents_in_order_of_time(reader: DataReader) -> None:
    intents = plan(executor(reader), algorithm(slice_count=24))
    assert {type(intent) for intent in intents} == {OrderIntent}
    assert [(intent.meta["scheduled_ts_ns"] - START_NS) // HOUR_NS for intent in intents] == list(range(24))
    assert {(intent.action, intent.side, intent.symbol) for intent in intents} == {("new", "buy", SYMBOL)}


def test_each_meta_has_execution_and_slice_and_no_size_of_the_parent(reader: DataReader) -> None:
    intents = plan(executor(reader), algorithm(987_654, slice_count=24))
    (execution_id,) = {intent.meta["execution_id"] for intent in intents}
    assert [intent.meta["slice_id"] for intent in intents] == [f"{execution_id}_{k}" for k in range(24)]
    assert {intent.meta["algo_type"] for intent in intents} == {"VWAP"}
    assert all("987654" not in str(intent.to_dict()) for intent in intents)


# ---------------------------------------------------------------- the profile


def test_the_volume_profile_is_that_of_the_stored_days(reader: DataReader) -> None:
    weights = executor(reader, slice_count=24)._calculate_volume_profile(SYMBOL, 86_400)
    assert isinstance(weights, list)
    assert {type(weight) for weight in weights} == {float}
    assert sum(weights) == pytest.approx(1, abs=1e-12)
    assert weights == pytest.approx(hourly(SMILE).tolist())  # and nothing of what trades after the start: pitfall 24


@pytest.mark.parametrize(("seconds", "slices"), [(60, 2), (600, 2), (1500, 5), (3600, 12), (86_400, 288)])
def test_slices_are_of_five_minutes_unless_told_otherwise(reader: DataReader, seconds: int, slices: int) -> None:
    weights = executor(reader)._calculate_volume_profile(SYMBOL, seconds)
    assert len(weights) == slices
    assert sum(weights) == pytest.approx(1, abs=1e-9)


def test_the_profile_is_of_the_time_of_day(reader: DataReader) -> None:
    noon = executor(reader, clock=ManualClock(START_NS + 11 * HOUR_NS), slice_count=2)
    night = executor(reader, clock=ManualClock(START_NS + 22 * HOUR_NS), slice_count=2)
    quiet = noon._calculate_volume_profile(SYMBOL, 7200)
    busy = night._calculate_volume_profile(SYMBOL, 7200)
    assert quiet == pytest.approx([0.5, 0.5], abs=0.01)
    assert busy[1] > 0.52


@pytest.mark.parametrize(
    ("symbol", "start_ns", "source"),
    [
        (SYMBOL, START_NS, "7 weekday days"),
        ("ETH/USDT", START_NS, "uniform: no history"),
        (SYMBOL, START_NS - 9 * 24 * HOUR_NS, "partial: 1 weekday days of 7"),
        (SYMBOL, START_NS - 30 * 24 * HOUR_NS, "uniform: no history"),
        (SYMBOL, START_NS + 100 * 24 * HOUR_NS, "uniform: no history"),
    ],
)
def test_missing_volume_data_is_no_error_and_the_report_says_what_there_was(
    reader: DataReader, symbol: str, start_ns: int, source: str
) -> None:
    vwap = executor(reader, instrument=Instrument(symbol, lot="1"))
    algo = ExecutionAlgorithm("VWAP", symbol, "buy", 1000.0, 3600, {"slice_count": 10})
    parent = vwap.start(algo, start_ns=start_ns, price=10.0)
    play_out(parent, filled_at_once)
    assert parent.report().notes["profile_source"].startswith(source)
    if source.startswith("uniform"):
        assert np.diff([0, *parent.curve.targets]).tolist() == [100] * 10


def test_without_a_reader_or_with_an_empty_store_the_curve_is_uniform(tmp_path: Path) -> None:
    for nothing in (None, DataReader(tmp_path / "nowhere")):
        weights = executor(nothing, slice_count=4)._calculate_volume_profile(SYMBOL, 3600)
        assert weights == [0.25] * 4
        assert [intent.qty for intent in plan(executor(nothing), algorithm(10, 3600, slice_count=4))] == [3, 3, 2, 2]


def test_history_may_be_given_and_then_the_reader_is_not_asked(tmp_path: Path) -> None:
    history = VolumeHistory(past_bars(np.tile(SMILE, 9)))
    vwap = executor(DataReader(tmp_path / "nowhere"), history=history, slice_count=24)
    assert vwap._calculate_volume_profile(SYMBOL, 86_400) == pytest.approx(hourly(SMILE).tolist())


# ---------------------------------------------------------------- the slices


def test_slices_are_weighted_by_volume_and_add_up_exactly(reader: DataReader) -> None:
    sizes = np.array([intent.qty for intent in plan(executor(reader), algorithm(9_999, slice_count=24))])
    assert sizes.sum() == 9_999
    assert np.abs(sizes - 9_999 * hourly(SMILE)).max() < 1
    assert sizes[0] > 3 * sizes[12]


def test_a_slice_may_be_far_above_the_average_where_the_volume_is() -> None:
    # an auction: nearly all of the volume is in the last bin
    auction = np.where(MINUTES < 1380, 1.0, 1000.0)
    history = VolumeHistory(past_bars(np.tile(auction, 9)))
    algo = algorithm(10_000, slice_count=24, order_type="market", reweight=False)
    planned = [intent.qty for intent in plan(executor(None, history=history), algo)]
    assert planned[-1] > 9_000
    for catch_up in (1, 3):
        vwap = executor(None, history=history, catch_up=catch_up, stale_seconds=0)
        played = play_out(vwap.start(algo, start_ns=START_NS, price=10.0), filled_at_once)
        assert [intent.qty for intent in played.commands if intent.action == "new"] == planned


@pytest.mark.parametrize("min_qty", ["1", "50", "200", "3000"])
def test_no_planned_slice_is_below_the_minimum_of_the_venue(reader: DataReader, min_qty: str) -> None:
    # pitfall 4, pitfall 5
    instrument = Instrument(SYMBOL, tick="0.01", lot="1", min_qty=min_qty)
    algo = algorithm(3000, slice_count=24, order_type="market", reweight=False)
    intents = plan(executor(reader, instrument=instrument), algo)
    assert sum(intent.qty for intent in intents) == 3000
    assert min(intent.qty for intent in intents) >= float(min_qty)
    parent = executor(reader, instrument=instrument, stale_seconds=0).start(algo, start_ns=START_NS, price=10.0)
    sent = play_out(parent, filled_at_once).commands
    assert [(one.qty, one.meta["scheduled_ts_ns"]) for one in sent] == [
        (one.qty, one.meta["scheduled_ts_ns"]) for one in intents
    ]


def test_fewer_lots_than_slices_make_fewer_slices(reader: DataReader) -> None:
    intents = plan(executor(reader), algorithm(3, slice_count=24))  # pitfall 1
    assert sum(intent.qty for intent in intents) == 3
    assert len(intents) <= 3


def test_a_weighted_intent_is_its_share_of_the_total_in_whole_lots(reader: DataReader) -> None:
    vwap = executor(reader)
    first = plan(vwap, algorithm(1000, slice_count=24))[0]
    made = vwap._create_weighted_intent(first.meta["execution_id"], 3, 0.0789, 1000.0, START_NS + 5 * SECOND, 10.0)
    assert (made.qty, made.limit_price, made.type) == (78, 10.0, "limit")
    assert made.meta["slice_id"] == f"{first.meta['execution_id']}_3"
    assert made.meta["scheduled_ts_ns"] == START_NS + 5 * SECOND
    with pytest.raises(ValueError, match="was not planned by this executor"):
        vwap._create_weighted_intent("x-9", 0, 0.5, 10.0, START_NS, 10.0)


def test_limit_slices_without_any_price_are_refused_with_the_remedy(reader: DataReader) -> None:
    with pytest.raises(ValueError, match=r"need a price: give quotes= .*limit_price.*market"):
        plan(executor(reader, quotes=None), algorithm())


# ---------------------------------------------------------------- the rule


@pytest.mark.parametrize("row", golden.rows("vwap_risk.csv"), ids=lambda row: row["example"])
def test_the_risk_of_a_schedule_is_that_of_the_table(row: dict[str, str]) -> None:
    """sd of the slippage against VWAP: sqrt(sum sigma_k^2 D_k^2), D_k what is executed too much from bin k on."""
    actual, executed, sigma = (numbers(row[name]) for name in ("actual", "executed", "sigma_bps"))
    if row["example"] == "G25 follow":
        assert executed_by_rule(actual, numbers("25 15 10 15 35"), reweight=1) == executed.tolist()
    if row["example"] == "G25 static":
        assert executed_by_rule(actual, numbers("25 15 10 15 35"), reweight=0) == executed.tolist()
    excess = np.cumsum((executed - actual)[::-1])[::-1]
    assert np.sqrt((sigma**2 * excess**2).sum()) == pytest.approx(float(row["sd_bps"]), abs=5e-6)


def executed_by_rule(actual: NDArray[np.float64], planned: NDArray[np.float64], *, reweight: int) -> list[float]:
    """Shares by the rule where the rest of the day is foreseen as it comes; the first slice goes by the plan."""
    made = Plan(
        side=1, quantity=100, horizon_ms=5000, slices=5, reweight=reweight, stray_ppm=10**6, settle_ppm=10**6,
        persist_ppm=0,
    )  # fmt: skip
    traded = np.rint(np.cumsum(actual) * 1000).astype(int).tolist()
    curve = Curve(targets=tuple(np.cumsum(planned).astype(int).tolist()), volume=tuple(traded))
    totals = [due(made, curve, View(now_ms=1000 * k, counted=traded[k - 1] if k else 0)) for k in range(5)]
    return [round(share / 100, 2) for share in np.diff([0, *totals]).tolist()]


PLANNED = Curve(targets=(25, 40, 50, 65, 100), volume=(250, 400, 500, 650, 1000))


def rule(**fields: Any) -> Plan:
    fields = {"reweight": 1, "persist_ppm": 0, "stray_ppm": 10**6, "settle_ppm": 10**6, **fields}
    return Plan(side=1, quantity=100, horizon_ms=5000, slices=5, **fields)


@pytest.mark.parametrize(
    ("now_ms", "counted", "lots"),
    [(-1, 0, 0), (0, 0, 25), (1000, 250, 40), (1000, 500, 52), (2000, 400, 50), (2000, 200, 37), (4000, 1, 100)],
)
def test_the_curve_follows_what_has_traded(now_ms: int, counted: int, lots: int) -> None:
    assert due(rule(), PLANNED, View(now_ms=now_ms, counted=counted)) == lots


def test_a_busier_day_of_the_same_shape_is_as_planned() -> None:
    made = rule(persist_ppm=10**6)  # twice as much as expected, and so it goes on
    for k in range(1, 4):
        assert due(made, PLANNED, View(now_ms=1000 * k, counted=2 * PLANNED.volume[k - 1])) == PLANNED.targets[k]


def test_as_expected_is_as_planned() -> None:
    for k in range(5):
        counted = PLANNED.volume[k - 1] if k else 0
        assert due(rule(), PLANNED, View(now_ms=1000 * k, counted=counted)) == PLANNED.targets[k]


@pytest.mark.parametrize(("counted", "lots"), [(100_000, 50), (0, 30)])
def test_the_curve_strays_no_further_than_it_may(counted: int, lots: int) -> None:
    assert due(rule(stray_ppm=100_000), PLANNED, View(now_ms=1000, counted=counted)) == lots


@pytest.mark.parametrize(("settle", "lots"), [(620_000, 65), (640_000, 74)])
def test_the_curve_follows_no_more_once_most_has_traded(settle: int, lots: int) -> None:
    # 850 have traded, 150 and 350 are expected: 63 % are over, 74 % with the slice that begins
    assert due(rule(settle_ppm=settle), PLANNED, View(now_ms=3000, counted=850)) == lots


def test_without_an_expectation_or_without_following_the_plan_stands() -> None:
    view = View(now_ms=1000, counted=900)
    assert due(rule(reweight=0), PLANNED, view) == 40
    assert due(rule(), Curve(targets=PLANNED.targets), view) == 40


def test_a_market_that_has_not_traded_and_is_expected_not_to_leaves_the_plan() -> None:
    nothing = Curve(targets=PLANNED.targets, volume=(0, 0, 0, 0, 0))
    assert due(rule(), nothing, View(now_ms=1000)) == 40


CURVES = st.lists(st.integers(0, 10_000), min_size=2, max_size=12).filter(lambda steps: sum(steps) > 0)


@given(CURVES, CURVES, st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
@settings(max_examples=200)
def test_what_is_due_stays_around_the_plan_and_ends_at_the_quantity(
    steps: list[int], volumes: list[int], stray: int, settle: int, persist: int
) -> None:
    n, quantity = len(steps), sum(steps)
    made = Plan(
        side=1, quantity=quantity, horizon_ms=1000 * n, slices=n, reweight=1, stray_ppm=stray, settle_ppm=settle,
        persist_ppm=persist,
    )  # fmt: skip
    expected = np.cumsum(np.resize(volumes, n)).tolist()
    curve = Curve(targets=tuple(np.cumsum(steps).tolist()), volume=tuple(expected))
    for k in range(n):
        for counted in (0, expected[k - 1], 10 * expected[-1]):
            owed = due(made, curve, View(now_ms=1000 * k, counted=counted))
            assert abs(owed - curve.targets[k]) <= quantity * stray // 1_000_000
            assert k < n - 1 or owed == quantity


# ---------------------------------------------------------------- against the benchmark


def followed(volumes: Sequence[int], *, reweight: bool, history: NDArray[np.float64], **params: Any) -> list[float]:
    """Shares executed per slice of an hour on a day with these volumes."""
    params = {"order_type": "market", "slice_count": len(volumes), "stale_seconds": 0, **params}
    parent = parent_of(
        "VWAP", 100_000, 3600 * len(volumes), volumes=VolumeHistory(past_bars(np.tile(history, 9))),
        reweight=reweight, **params,
    )  # fmt: skip
    events: list[tuple[int, Event]] = []
    for hour, total in enumerate(np.cumsum(volumes).tolist(), 1):
        at = START_NS + hour * HOUR_NS
        events.append((at, Market(at, 999, 1001, total)))
    found = np.zeros(len(volumes))
    for intent in play_out(parent, filled_at_once, events=events).commands:
        found[(intent.ts_local_ns - START_NS) // HOUR_NS] += intent.qty
    assert found.sum() == 100_000
    return [float(lots) / 100_000 for lots in found]


def test_a_day_like_those_before_is_tracked_exactly() -> None:
    day = SMILE.reshape(24, 60).sum(axis=1).round().astype(int).tolist()
    for reweight in (False, True):
        shares = followed(day, reweight=reweight, history=SMILE)
        assert shares == pytest.approx(hourly(SMILE).tolist(), abs=1e-3)


def test_a_surprise_in_the_shape_is_followed_and_the_curve_ends_nearer_to_the_market() -> None:
    day = SMILE.reshape(24, 60).sum(axis=1)
    day[:6] *= 1.5  # a busy morning, then as usual
    shares = day / day.sum()

    def distance(executed: list[float]) -> float:
        return float(np.abs(np.cumsum(executed) - np.cumsum(shares)).mean())

    still = distance(followed(day.astype(int).tolist(), reweight=False, history=SMILE))
    moving = distance(followed(day.astype(int).tolist(), reweight=True, history=SMILE))
    assert moving < 0.85 * still


def simulated(algo_type: Any, bars: Bars, before: Bars, **params: Any) -> ExecutionReport:
    """On bars where each trades at its own price, without spread and impact: what remains is the schedule."""
    history = VolumeHistory(before)
    made = executor(None, history=history, instrument=INSTRUMENT) if algo_type == "VWAP" else None
    simulator = ExecutionSimulator(LinearSlippageModel(0.0), None, instrument=INSTRUMENT, executor=made)
    algo = ExecutionAlgorithm(
        algo_type, SYMBOL, "buy", 20_000.0, 23 * 3600, {"slice_count": 276, "order_type": "market", **params}
    )
    frame = pl.DataFrame(
        {name: getattr(bars, name) for name in ("ts_open_ns", "ts_close_ns", "open", "high", "low", "close", "volume")}
    )
    return simulator.simulate_execution(algo, frame)


INSTRUMENT = Instrument(SYMBOL, tick="0.0001", lot="1", spread_bps=0.0)


def test_the_price_is_near_the_benchmark_and_nearer_than_that_of_equal_slices() -> None:
    price = 10 + 0.5 * np.sin(MINUTES / 1440 * 2 * np.pi - 0.8)  # the ends of the day are cheap, its middle is dear
    volume = SMILE * 100
    opens = START_NS + MINUTES * MINUTE_NS
    bars = Bars(SYMBOL, opens, opens + MINUTE_NS, price, price, price, price, volume)
    before = past_bars(np.tile(volume, 9))
    vwap, twap = (simulated(kind, bars, before) for kind in ("VWAP", "TWAP"))
    assert vwap.status == twap.status == "completed"
    errors = {report.algo_type: abs(report.avg_fill_price / report.benchmark_vwap - 1) * 1e4 for report in (vwap, twap)}
    assert errors["VWAP"] < 5
    assert errors["VWAP"] < errors["TWAP"] / 5
    assert vwap.benchmark_vwap_own == pytest.approx(vwap.benchmark_vwap, rel=1e-4)
