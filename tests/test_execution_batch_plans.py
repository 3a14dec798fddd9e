"""Parents planned together are planned as each of them alone, to the last lot: plans, curves, and what is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from threading import Event
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.bars import Bars
from core.instrument import MAX_LOTS, Instrument
from execution import batch_usual
from execution.base import RuleExecutor
from execution.batch_act import RULES
from execution.batch_columns import Column, Intake, Profiles
from execution.batch_intake import Jobs, Setting, executor_of, hand_over
from execution.batch_plans import intake
from execution.batch_usual import UsualVolume
from execution.contracts import AlgoType
from execution.plan import MAX_HORIZON_MS, Plan
from execution.profile import VolumeHistory, volume_profiles
from execution.slippage import SquareRootSlippageModel
from execution.spread import Spread
from execution.venue import Venue, venue
from execution.vwap import VWAPExecutor
from tests import batches
from tests.naive import MINUTE_NS, START_NS

DAY_NS = 1440 * MINUTE_NS
ALGOS: tuple[AlgoType, ...] = ("TWAP", "VWAP", "POV", "IS", "Iceberg")
CURVES = ("starts", "targets", "volume")


def market(count: int = 90, past: int = 14_000, **facts: Any) -> Venue:
    """A venue with ten days before it, outages in them."""
    before = batches.wild_bars(6, past - 4_000, START_NS - past * MINUTE_NS)
    instrument = Instrument(batches.SYMBOL, tick="0.01", **{"lot": "1", **facts})
    half = Spread(np.full(count, 0.02), "test")
    return venue(batches.wild_bars(5, count), instrument, SquareRootSlippageModel(0.5), spread=half, before=before)


def planned(taken: Intake, number: int) -> dict[str, Any]:
    """All that the loop is told of a parent."""
    brief = taken.briefs[number]
    told = {name: int(taken.plans[name][number]) for name in Plan.__dataclass_fields__}
    told |= {name: int(brief[name]) for name in ("rule", "start_ns", "now_ns", "seen_bar", "retries", "retry_ms")}
    for name in CURVES:
        column: Column = getattr(taken, name)
        told[name] = column.joined()[brief[f"{name}_from"] : brief[f"{name}_to"]].tolist()
    return told


def alone(place: Venue, jobs: Jobs, number: int) -> dict[str, Any]:
    """The same of the machine of this parent."""
    handed = hand_over(place, jobs[number], executor_of(place, jobs.settings[jobs.setting[number]]))
    order = handed.order
    told = {name: int(value) for name, value in asdict(order.plan).items()}
    told |= {"rule": RULES.index(order.algorithm.due), "start_ns": order.parent.start_ns, "now_ns": handed.now_ns}
    told |= {"seen_bar": handed.seen_bar, "retries": order.algorithm.retries, "retry_ms": order.algorithm.retry_ms}
    curve = order.curve
    return told | {"starts": [*curve.starts_ms], "targets": [*curve.targets], "volume": [*curve.volume]}


def assert_planned_alike(place: Venue, jobs: Jobs, profiles: Profiles | None = None) -> Intake:
    taken = intake(place, jobs, profiles=profiles)
    for number in np.flatnonzero(taken.looped).tolist():
        assert planned(taken, number) == alone(place, jobs, number), (number, jobs[number])
    return taken


@st.composite
def groups(draw: st.DrawFn, algo_type: AlgoType) -> tuple[Venue, Jobs]:
    """Parents of one setting: of any side and size, from before the history to after the data."""
    place = draw(batches.places())
    job = draw(batches.jobs(algo_type, place))
    assume(job is not None)
    assert job is not None
    count = draw(st.integers(1, 12))
    lengths = draw(st.lists(st.sampled_from((1, 60, 600, 3001, 7200, 14_400, 86_400)), min_size=1, max_size=3))
    offsets = st.one_of(
        st.integers(-20 * 1440, 3 * 1440).map(lambda minutes: minutes * MINUTE_NS),
        st.integers(-20 * DAY_NS, 3 * DAY_NS),
        st.integers(0, 6).map(lambda minutes: minutes * MINUTE_NS),
    )
    table = {
        "side": draw(st.lists(st.sampled_from(("buy", "sell")), min_size=count, max_size=count)),
        "quantity": draw(
            st.lists(st.integers(1, 4_000).map(float) | st.floats(0.5, 1e7), min_size=count, max_size=count)
        ),
        "start_ns": START_NS + np.array(draw(st.lists(offsets, min_size=count, max_size=count))),
        "duration_seconds": draw(st.lists(st.sampled_from(lengths), min_size=count, max_size=count)),
    }
    setting = Setting(algo_type, batches.SYMBOL, job.algo.params, job.executor)
    return place, Jobs.of([setting], {name: np.array(column) for name, column in table.items()})


@pytest.mark.parametrize("algo_type", ALGOS)
@settings(max_examples=60)
@given(data=st.data())
def test_parents_planned_together_are_planned_as_each_alone(algo_type: AlgoType, data: st.DataObject) -> None:
    # pitfall 18
    place, jobs = data.draw(groups(algo_type))
    refusal = ""
    try:
        assert_planned_alike(place, jobs)
    except ValueError as error:
        refusal = str(error)
    if refusal:
        number = int(refusal.split(":")[0].removeprefix("job "))
        with pytest.raises(ValueError) as same:
            alone(place, jobs, number)
        assert refusal == f"job {number}: {same.value}"


@pytest.mark.slow
@pytest.mark.parametrize("algo_type", ALGOS)
@settings(max_examples=200)
@given(data=st.data())
def test_many_parents_planned_together_are_planned_as_each_alone(algo_type: AlgoType, data: st.DataObject) -> None:
    place, jobs = data.draw(groups(algo_type))
    try:
        assert_planned_alike(place, jobs)
    except ValueError:
        assume(False)


# ---------------------------------------------------------------- thousands of starts


def minutes(algo_type: AlgoType, count: int, **params: Any) -> Jobs:
    """A parent each minute, four hours long."""
    number = np.arange(count)
    table = {
        "side": np.array(["buy", "sell"])[number % 2],
        "quantity": 2_000.0 + number % 97,
        "start_ns": START_NS - 300 * MINUTE_NS + number * MINUTE_NS,
        "duration_seconds": np.full(count, 14_400),
    }
    return Jobs.of([Setting(algo_type, batches.SYMBOL, params)], table)


@pytest.mark.parametrize(
    ("algo_type", "params"),
    [
        ("TWAP", {"order_type": "market", "slice_count": 24}),
        ("VWAP", {"order_type": "market"}),
        ("VWAP", {"slice_count": 7, "lookback_days": 2, "min_volume_threshold": 90_000.0}),
        ("POV", {"target_pov": 0.1}),
        ("IS", {"order_type": "market"}),
        ("IS", {"volume_time": True, "urgency": "high", "slice_count": 5}),
        ("Iceberg", {"price": "peg", "visible_ratio": 0.07, "levels": (3.0, 2.0, 2.0)}),
    ],
)
def test_a_parent_a_minute_is_planned_as_each_alone(algo_type: AlgoType, params: dict[str, Any]) -> None:
    place, jobs = market(600), minutes(algo_type, 900, **params)
    taken = intake(place, jobs)
    assert taken.looped.all()
    assert not taken.handed  # all of them together
    for number in range(0, len(jobs), 29):
        assert planned(taken, number) == alone(place, jobs, number), number


def test_as_many_durations_as_parents_are_planned_together_too() -> None:
    jobs = minutes("TWAP", 300, interval_seconds=45.0, limit_price=100.37)
    jobs = replace(jobs, duration_seconds=60 + np.arange(300) * 7)
    assert not assert_planned_alike(market(), jobs).handed


def test_the_largest_parent_of_the_longest_day_is_planned_together() -> None:
    # pitfall 38
    for params in ({"interval_seconds": 1.0}, {"slice_count": 100_000}):
        setting = Setting("TWAP", batches.SYMBOL, params)
        one = np.ones(1, np.int64)
        whole = Jobs(
            (setting,), 0 * one, -one, np.array([float(MAX_LOTS)]), START_NS * one, MAX_HORIZON_MS // 1000 * one
        )
        assert not assert_planned_alike(market(), whole).handed


def test_more_slices_than_there_may_be_are_refused_for_each_by_name() -> None:
    fast = VWAPExecutor("tester", None, instrument=market().instrument)  # without a least interval
    jobs = minutes("VWAP", 3, interval_seconds=0.01)
    jobs = replace(jobs, settings=(replace(jobs.settings[0], executor=fast),), quantity=np.array([1.0, 9e5, 1e6]))
    with pytest.raises(ValueError, match=r"^job 1: slices must be between 1 and 100000"):
        intake(market(), jobs)


def test_an_iceberg_too_small_for_its_levels_starts_by_itself() -> None:
    place = market(min_qty="2.5")
    jobs = minutes("Iceberg", 3, price="peg", visible_ratio=0.1, levels=(2.0, 1.0, 1.0))
    taken = assert_planned_alike(place, replace(jobs, quantity=np.array([200.0, 6.0, 9.0])))
    assert list(taken.handed) == [1]


def test_a_limit_beyond_the_tables_is_for_the_machine() -> None:
    taken = intake(market(), minutes("TWAP", 2, limit_price=1e300))
    assert not taken.looped.any()
    assert list(taken.handed) == [0, 1]


# ---------------------------------------------------------------- blocks that share what was read


def test_blocks_share_what_was_read_and_plan_alike() -> None:
    place, jobs, shared = market(600), minutes("VWAP", 240), dict[Any, Any]()
    whole = intake(place, jobs)
    for first in (0, 30, 60, 10, 200):  # the same starts again, some of them, and new ones
        part = jobs[first : first + 60]
        taken = intake(place, part, profiles=shared)
        for number in range(0, 40, 7):
            assert planned(taken, number) == planned(whole, first + number)
    assert len(shared) == 1


def test_what_is_used_in_full_is_not_copied() -> None:
    place, jobs, shared = market(600), minutes("POV", 60), dict[Any, Any]()
    one, other = (intake(place, jobs, profiles=shared) for _ in range(2))
    assert one.volume.joined() is one.volume.joined()
    assert np.shares_memory(one.volume.joined(), other.volume.joined())
    few = intake(place, jobs[:5], profiles=shared)
    assert len(few.volume.joined()) == 5 * 240


def reader(slices: int, asked: list[int], bars: Bars | None = None) -> UsualVolume:
    history = VolumeHistory(bars if bars is not None else batches.wild_bars(6, 9_000, START_NS - 13_000 * MINUTE_NS))

    def read(starts_ns: NDArray[np.int64]) -> Any:
        Event().wait(0.002)  # long enough for another thread to come
        asked.extend(starts_ns.tolist())
        return volume_profiles(history, starts_ns, 3600 * 10**9, slices, 7)

    return UsualVolume(read, slices, Instrument(batches.SYMBOL, lot="1"), weighted=True)


def test_threads_that_ask_together_read_each_moment_once_and_see_the_same() -> None:
    asked: list[int] = []
    usual, starts = reader(12, asked), START_NS + np.arange(300) * MINUTE_NS

    def rows(first: int) -> tuple[bytes, bytes]:
        wanted = starts[first : first + 100]
        known = usual.at(wanted)
        places = known.rows(wanted)
        return known.lots[places].tobytes(), known.weights[places].tobytes()

    firsts = [step * 20 % 200 for step in range(40)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(rows, firsts))
    assert sorted(asked) == sorted(set(asked))
    assert found == [rows(first) for first in firsts]


def test_what_no_longer_fits_is_forgotten_and_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_usual, "MOST_CELLS", 40 * 6)
    asked: list[int] = []
    usual, starts = reader(6, asked), START_NS + np.arange(60) * MINUTE_NS
    before = usual.at(starts[:30])
    kept = before.lots.copy()
    after = usual.at(starts[20:60])
    assert after.starts_ns.tolist() == starts[20:60].tolist()
    assert (before.lots == kept).all()
    assert (after.lots[after.rows(starts[20:30])] == kept[20:30]).all()
    assert len(asked) == 70


def test_an_executor_that_reads_its_own_history_is_planned_as_each_alone() -> None:
    past = batches.wild_bars(6, 9_000, START_NS - 13_000 * MINUTE_NS)

    class Reader:
        """The bars that it has, of one symbol."""

        def bars(self, symbol: str, timeframe: str, start_ns: int, end_ns: int) -> Bars:
            assert (symbol, timeframe) == (batches.SYMBOL, "1m")
            first, last = np.searchsorted(past.ts_open_ns, (start_ns, end_ns))
            return past[int(first) : int(last)]

    place, jobs = market(), minutes("VWAP", 12)
    own: RuleExecutor = VWAPExecutor("tester", Reader(), **place.executor_arguments)  # type: ignore[arg-type]
    jobs = replace(jobs, settings=(replace(jobs.settings[0], executor=own),))
    taken = assert_planned_alike(place, jobs)
    assert not taken.handed
    assert len(taken.volume.joined()) > 0
