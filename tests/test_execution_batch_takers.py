"""Parents that only take: a loop of their own, which says what the general one and the machine say, or leaves them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from core.instrument import Instrument
from execution import batch, batch_block, batch_desk, batch_pack, batch_takers
from execution.batch import Job, play
from execution.batch_intake import Jobs
from execution.batch_pack import ground, packed_takers
from execution.batch_plans import intake
from execution.config import FillConfig
from execution.contracts import AlgoType, ExecutionAlgorithm
from execution.kernel_calls import called_by, kept_apart
from execution.slippage import SquareRootSlippageModel
from execution.spread import Spread
from execution.venue import Venue, venue
from tests import batches
from tests.naive import START_NS

TAKING = {"order_type": "market", "limit_price": None}
ALGOS: tuple[AlgoType, ...] = ("TWAP", "VWAP", "POV", "IS")
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def alike(case: batches.Case, engines: tuple[batch.Engine, ...]) -> None:
    """The machine, the loop of takers and, where nobody is thought to be one, the general loop."""
    expected = [batches.on_desk(case.place, job) for job in case.jobs]
    for engine in engines:
        got = [play(case.place, case.jobs, engine=engine)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(batch_block, "only_takes", lambda plans: np.zeros(len(plans), np.bool_))
            got.append(play(case.place, case.jobs, engine=engine))
        for one in got:
            assert one.parents["looped"].all()
            known = np.searchsorted(case.place.bars.ts_close_ns, one.children["ts_ns"], side="right") - 1
            np.testing.assert_array_equal(one.children["bar"], known)
            for number, trace in enumerate(expected):
                batches.assert_same(batches.in_batch(one, number), trace)


@pytest.mark.parametrize("algo_type", ALGOS)
def test_takers_do_what_the_loop_and_the_machine_do(algo_type: AlgoType) -> None:
    # pitfalls 8, 9, 11, 14, 25, 37
    @settings(max_examples=6, suppress_health_check=QUIET)
    @given(batches.batches(algo_type, fixed=TAKING))
    def check(drawn: batches.Case) -> None:
        alike(drawn, ("compiled", "loop"))

    check()


@pytest.mark.slow
@pytest.mark.parametrize("algo_type", ALGOS)
def test_hundreds_of_takers_do_what_the_loop_and_the_machine_do(algo_type: AlgoType) -> None:
    @settings(max_examples=120, suppress_health_check=QUIET, database=None)
    @given(batches.batches(algo_type, fixed=TAKING))
    def check(drawn: batches.Case) -> None:
        alike(drawn, ("compiled",))

    check()


def place(max_participation: float = 0.3, **facts: Any) -> Venue:
    return venue(
        batches.wild_bars(5, 90),
        Instrument(batches.SYMBOL, tick="0.01", **{"lot": "1", **facts}),
        SquareRootSlippageModel(0.5),
        spread=Spread(np.full(90, 0.02), "test"),
        fills=FillConfig(max_participation=max_participation),
    )


def job(quantity: float = 900.0, **params: Any) -> Job:
    wanted = {"order_type": "market", "slice_count": 6, "stale_seconds": 0.0, **params}
    return Job(ExecutionAlgorithm("TWAP", batches.SYMBOL, "buy", quantity, 1800, wanted), START_NS)


def left_by_takers(market: Venue, jobs: list[Job]) -> list[bool]:
    """Which of these parents the loop of takers plays, and leaves to the general one."""
    taken = intake(market, Jobs.one_by_one(jobs))
    assert batch_takers.only_takes(taken.plans).all()
    run = batch_takers.compiled_takers()
    assert run is not None
    tables = packed_takers(ground(market), taken, np.arange(len(jobs)))
    assert run(0, tables) == len(jobs)
    return (tables.taken["left"] > 0).tolist()  # type: ignore[no-any-return]


def test_what_takers_do_not_cover_is_left_to_the_general_loop() -> None:
    ordinary, patient = job(), job(90_000.0, slice_count=40)
    asks_twice = job(90_000.0, slice_count=40, retry_seconds=0.0001)
    blind = job(stale_seconds=1.0, slice_count=20)
    market, wanted = place(max_participation=0.01), [ordinary, asks_twice, blind, patient]
    assert left_by_takers(market, wanted) == [False, True, True, False]
    got, expected = play(market, wanted), play(market, wanted, engine="machine")
    for name in ("parent", "number", "action", "ts_ns", "bar", "lots"):
        assert got.children[name].tolist() == expected.children[name].tolist()
    assert got.fills["lots"].tolist() == expected.fills["lots"].tolist()


def test_limits_and_displays_are_no_takers() -> None:
    ways: tuple[dict[str, Any], ...] = ({"order_type": "limit"}, {"limit_price": 101.0}, {})
    plans = intake(place(), Jobs.one_by_one([job(**params) for params in ways])).plans
    assert batch_takers.only_takes(plans).tolist() == [False, False, True]


@pytest.mark.parametrize("rows", [8, 60])
@pytest.mark.parametrize("params", [{}, {"order_type": "limit_then_cross"}])
def test_logs_are_read_when_they_are_full_and_grow_where_one_parent_has_no_room(
    params: dict[str, str], rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fewer rows than a parent needs, and room for a few of them."""
    market, jobs = place(), [job(900.0 + number, slice_count=20, **params) for number in range(40)]
    expected = play(market, jobs)
    monkeypatch.setattr(batch_pack, "ROWS", rows)
    got = play(market, jobs)
    summed = play(market, jobs, keep="parents")
    assert got.parents["looped"].all()
    assert len(got.children["lots"]) > 20 * len(jobs) - 1
    for name in ("filled", "children", "fills", "avg_price", "status", "reason"):
        assert summed.parents[name].tolist() == expected.parents[name].tolist()
    for part in ("children", "fills"):
        for name, column in getattr(expected, part).items():
            assert getattr(got, part)[name].tobytes() == column.tobytes()


def test_no_kernel_is_kept_apart_by_one_loop_and_copied_by_the_other() -> None:
    """A kernel is made known to the compiler once, by whichever loop is compiled first."""
    for one, other in ((batch_desk.run, batch_takers.play_takers), (batch_takers.play_takers, batch_desk.run)):
        assert not kept_apart(one) & called_by(other)
