"""Acceptance list 8.4 of the specification: an iceberg shows little, replenishes on evidence, hides the rest."""

from __future__ import annotations

import inspect
import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import ManualClock
from core.contracts import FillEvent, OrderClosed, OrderIntent, Side
from core.instrument import Instrument
from execution import rules
from execution.adapters import SyncExecutionWrapper
from execution.base import BaseExecutor
from execution.contracts import ExecutionAlgorithm
from execution.events import Amend, Event, Market, Pause, Resume
from execution.iceberg import IcebergExecutor, due
from execution.parent import ParentOrder
from execution.plan import Curve, Plan, View
from execution.states import State
from tests.naive import START_NS
from tests.parents import MS, SECOND, SYMBOL, Play, filled_at_once, parent_of, play_out

SECRET = 98_765


def executor(visible_ratio: float = 0.1, replenish_threshold: float = 0.5, **keywords: Any) -> IcebergExecutor:
    keywords = {
        "clock": ManualClock(START_NS),
        "instrument": Instrument(SYMBOL, tick="0.01", lot="1"),
        "quotes": lambda symbol: 10.0,
        **keywords,
    }
    return IcebergExecutor("tester", visible_ratio, replenish_threshold, **keywords)


def algorithm(quantity: float = 1000, seconds: int = 600, side: Side = "buy", **params: Any) -> ExecutionAlgorithm:
    return ExecutionAlgorithm("Iceberg", SYMBOL, side, quantity, seconds, params)


def plan(iceberg: IcebergExecutor, algo: ExecutionAlgorithm) -> list[OrderIntent]:
    return SyncExecutionWrapper(iceberg).plan_execution_sync(algo)


def iceberg(quantity: float = 100, seconds: int = 100, **params: Any) -> ParentOrder:
    return parent_of("Iceberg", quantity, seconds, **{"display_quantity": 10.0, "limit_price": 9.99, **params})


# ---------------------------------------------------------------- the interface


def test_the_signatures_are_those_of_the_specification() -> None:
    made = inspect.signature(IcebergExecutor.__init__).parameters
    assert list(made)[:4] == ["self", "strategy_id", "visible_ratio", "replenish_threshold"]
    assert (made["visible_ratio"].default, made["replenish_threshold"].default) == (0.1, 0.5)
    visible = list(inspect.signature(IcebergExecutor._create_visible_intent).parameters)
    assert visible[1:] == ["execution_id", "visible_qty", "limit_price", "scheduled_ts_ns"]
    replenish = list(inspect.signature(IcebergExecutor._monitor_and_replenish).parameters)
    assert replenish[1:] == ["bus", "execution_id", "algo"]
    assert inspect.iscoroutinefunction(IcebergExecutor.plan_execution)
    assert issubclass(IcebergExecutor, BaseExecutor)


@pytest.mark.parametrize(("ratio", "shown"), [(0.1, 100), (0.25, 250), (1.0, 1000), (0.0001, 1)])
def test_the_plan_is_one_order_intent_of_the_visible_ratio(ratio: float, shown: float) -> None:
    (intent,) = plan(executor(ratio), algorithm())
    assert type(intent) is OrderIntent
    assert (intent.qty, intent.type, intent.action, intent.limit_price) == (shown, "limit", "new", 10.0)


def test_the_display_may_be_a_quantity() -> None:
    assert [intent.qty for intent in plan(executor(), algorithm(display_quantity=37.9))] == [37]
    assert [intent.qty for intent in plan(executor(), algorithm(5, display_quantity=37))] == [5]


def test_without_any_price_the_plan_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match="give quotes= to the executor, or limit_price"):
        plan(executor(quotes=None), algorithm())
    (intent,) = plan(executor(quotes=None), algorithm(limit_price=9.5))
    assert intent.limit_price == 9.5


def test_a_start_of_its_own_is_when_the_first_clip_is_scheduled() -> None:
    later = START_NS + 3600 * SECOND  # pitfall 19
    (intent,) = plan(executor(), algorithm(start_ts_ns=later))
    assert intent.meta["scheduled_ts_ns"] == later


def test_each_meta_has_execution_and_slice_the_replenishments_too() -> None:
    commands = play_out(iceberg(), filled_at_once).commands
    assert len(commands) == 10
    assert [intent.meta["slice_id"] for intent in commands] == [f"x-1_{k}" for k in range(10)]
    assert {intent.meta["execution_id"] for intent in commands} == {"x-1"}
    assert {intent.meta["algo_type"] for intent in commands} == {"Iceberg"}


def test_a_visible_intent_is_numbered_behind_those_that_were_sent() -> None:
    made = executor()
    (first,) = plan(made, algorithm())
    execution_id = first.meta["execution_id"]
    clip = made._create_visible_intent(execution_id, 50.0, 9.99, START_NS + SECOND)
    assert (clip.qty, clip.limit_price, clip.type, clip.side) == (50, 9.99, "limit", "buy")
    assert clip.intent_id != first.intent_id
    assert clip.meta["slice_id"] == f"{execution_id}_1"
    assert clip.meta["scheduled_ts_ns"] == START_NS + SECOND
    with pytest.raises(ValueError, match="'x-9' was not started by this executor"):
        made._create_visible_intent("x-9", 50.0, 9.99, START_NS)


@pytest.mark.parametrize(("side", "price"), [("buy", 9.99), ("sell", 10.0)])
def test_a_visible_intent_is_within_the_display_and_on_our_side_of_the_grid(side: Side, price: float) -> None:
    made = executor()
    (first,) = plan(made, algorithm(side=side))
    execution_id = first.meta["execution_id"]
    assert made._create_visible_intent(execution_id, 100.0, 9.999, START_NS).limit_price == price
    assert made._create_visible_intent(execution_id, 1.0, 9.999, START_NS).qty == 1
    for quantity in (0.9, 101.0):
        with pytest.raises(ValueError, match="visible_qty"):
            made._create_visible_intent(execution_id, quantity, 9.99, START_NS)


# ---------------------------------------------------------------- replenishing


def test_it_replenishes_when_the_threshold_is_filled_and_not_before() -> None:
    play = Play(iceberg(replenish_threshold=0.5))
    assert play.sizes == [10]
    assert play.fill(0, 4).sizes == [10]
    assert play.fill(0, 1).sizes == [10, 5]  # five are left: up to the display again
    assert play.fill(1, 1).sizes == [10, 5]
    assert play.fill(0, 3).sizes == [10, 5]
    assert play.fill(0, 1).sizes == [10, 5, 5]


@pytest.mark.parametrize(("threshold", "first"), [(0.1, 1), (0.3, 3), (0.55, 6), (1.0, 10)])
def test_the_threshold_is_the_filled_part_of_the_display(threshold: float, first: int) -> None:
    play = Play(iceberg(replenish_threshold=threshold))
    for _ in range(first - 1):
        assert play.fill(0, 1).sizes == [10]
    assert play.fill(0, 1).sizes == [10, first]


def test_many_cycles_of_whole_fills_do_all_of_it() -> None:
    parent = iceberg(95, replenish_threshold=1.0)
    assert [intent.qty for intent in play_out(parent, filled_at_once).commands] == [10] * 9 + [5]
    report = parent.report()
    assert (report.status, report.filled_quantity, report.slices_completed) == ("completed", 95, 10)


def test_partial_fills_add_up() -> None:
    play = Play(iceberg(30))
    while not play.parent.ended:
        number = next(k for k, child in enumerate(play.parent.children) if child.reserved)
        play.fill(number, 1)
    assert sum(play.sizes) == 30
    assert play.parent.report().status == "completed"


def test_time_alone_replenishes_nothing() -> None:
    play = Play(iceberg(stale_seconds=0))
    for second in range(1, 100):
        assert play.at(second).sizes == [10]


@pytest.mark.parametrize("word", ["accept", "unknown"])
def test_nothing_but_evidence_replenishes(word: str) -> None:
    # pitfall 8
    play = Play(iceberg())
    getattr(play, word)(0)
    play.at(50)
    assert play.sizes == [10]


def test_a_close_before_its_fills_replenishes_only_what_is_known_to_be_gone() -> None:
    play = Play(iceberg())  # pitfall 8, pitfall 37
    play.close(0, 7).at(2)
    assert play.parent.children.reserved == 7  # seven fills are on their way; five is the mark
    assert play.sizes == [10]
    play.fill(0, 2)
    assert play.sizes == [10, 5]
    play.fill(0, 5)
    assert play.sizes == [10, 5, 5]


def test_a_repeated_fill_replenishes_once() -> None:
    play = Play(iceberg())
    play.fill(0, 5, fill_id="a").fill(0, 5, fill_id="a")
    assert play.sizes == [10, 5]


def test_the_fills_of_another_execution_replenish_nothing() -> None:
    play = Play(iceberg())  # pitfall 17
    play.on(FillEvent("f", "x-2-0", SYMBOL, "buy", 10.0, 10.0, play.now_ns))
    assert play.sizes == [10]


def test_a_rejected_clip_is_retried_and_never_left_alone() -> None:
    play = Play(iceberg())  # pitfall 14
    play.close(0, 0, "rejected").at(1)
    assert play.sizes == [10, 10]


def test_an_order_that_vanishes_is_replaced_and_one_that_is_cancelled_in_flight_still_counts() -> None:
    play = Play(iceberg())  # pitfall 9, pitfall 11
    play.on(Pause())
    assert len(play.cancels) == 1
    play.on(Resume()).at(1)
    assert play.sizes == [10]  # the cancel is not answered: its lots may still fill
    play.fill(0, 3).close(0, 3)
    assert play.sizes == [10, 10]


# ---------------------------------------------------------------- what the market sees


def test_nothing_that_leaves_tells_the_size_of_the_parent() -> None:
    for extra in ({}, {"levels": (0.6, 0.4)}, {"clip_jitter": 0.3}):
        parent = iceberg(SECRET, display_quantity=777.0, **extra)
        commands = play_out(parent, filled_at_once).commands
        assert len(commands) > 100
        for intent in commands[:-3]:
            text = json.dumps(intent.to_dict())
            assert str(SECRET) not in text
            assert intent.qty <= 777
            assert not {"total_quantity", "remaining", "quantity", "slices"} & set(intent.meta)
        assert len({len(intent.to_dict()) for intent in commands}) == 1


def test_ids_count_up_and_say_nothing_else() -> None:
    small, large = (play_out(iceberg(quantity), filled_at_once).commands for quantity in (60, 90))
    assert [intent.intent_id for intent in large][: len(small)] == [intent.intent_id for intent in small]
    assert [intent.meta for intent in large][: len(small)] == [intent.meta for intent in small]


def test_sizes_of_clips_vary_with_the_seed_and_stay_within_the_display() -> None:
    def sizes(seed: int) -> list[float]:
        parent = iceberg(10_000, display_quantity=100.0, clip_jitter=0.3, replenish_threshold=1.0, seed=seed)
        return [intent.qty for intent in play_out(parent, filled_at_once).commands]

    first = sizes(1)
    assert sizes(1) == first != sizes(2)
    assert sum(first) == 10_000
    assert max(first) <= 100
    assert min(first[:-1]) >= 70
    assert len(Counter(first)) > 15


@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("display", [30.0, 40.0, 1000.0])
@pytest.mark.parametrize("levels", [(1.0,), (0.5, 0.3, 0.2), (1.0, 1.0, 1.0, 1.0, 1.0)])
def test_clips_are_never_below_the_minimum_of_the_venue_and_never_stop(
    jitter: float, display: float, levels: tuple[float, ...]
) -> None:
    # pitfall 4, pitfall 14: a clip that the venue would refuse is none, and none is left to wait for
    parent = iceberg(600, display_quantity=display, min_qty=30, clip_jitter=jitter, levels=levels)
    commands = play_out(parent, filled_at_once).commands
    assert min(intent.qty for intent in commands) >= 30
    left = parent.report().remaining_quantity
    assert left < 30
    assert left == 0 or "below the venue's minimum" in str(parent.report().unfilled_reason)


def test_a_rest_too_small_for_the_venue_goes_with_the_last_clip_where_the_display_allows() -> None:
    # pitfall 4
    def sizes(quantity: float, display: float) -> list[float]:
        parent = iceberg(quantity, display_quantity=display, min_qty=10, replenish_threshold=1.0)
        return [intent.qty for intent in play_out(parent, filled_at_once).commands]

    assert sizes(45, 20) == [20, 15, 10]  # not 20, 20 and 5 that nobody takes
    assert sizes(40, 20) == [20, 20]
    assert sizes(19, 20) == [19]
    assert sizes(15, 12) == [12]  # 3 remain; to show 15 would be too much


# ---------------------------------------------------------------- prices and levels


def test_a_fixed_iceberg_rests_at_its_limit_and_stays_there() -> None:
    play = Play(iceberg())
    assert play.sent[0].limit_price == 9.99
    play.now_ns += SECOND
    play.market(1099, 1101)
    assert play.cancels == []


@pytest.mark.parametrize(("side", "price"), [("buy", 9.99), ("sell", 10.01)])
def test_a_pegged_iceberg_rests_at_the_near_touch_and_follows_it(side: Side, price: float) -> None:
    play = Play(iceberg(side=side, limit_price=None, repeg_ticks=2))
    assert play.sent[0].limit_price == price
    play.now_ns += SECOND
    play.market(1000, 1002)
    assert play.cancels == []  # one tick is not enough
    play.market(1001, 1003)
    assert [cancel.target_intent_id for cancel in play.cancels] == ["x-1-0"]
    assert play.sizes == [10]  # not before the cancel is answered: pitfall 9
    play.fill(0, 3).close(0, 3)
    assert play.sizes == [10, 10]
    assert play.sent[1].limit_price == pytest.approx(price + 0.02)


def test_a_pegged_iceberg_does_not_follow_beyond_its_limit() -> None:
    play = Play(iceberg(limit_price=10.0, price="peg"))
    assert play.sent[0].limit_price == 9.99
    play.now_ns += SECOND
    play.market(1005, 1007)
    play.close(0, 0)
    assert play.sent[1].limit_price == 10.0
    play.now_ns += SECOND
    play.market(1010, 1012)
    assert len(play.cancels) == 1


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_several_levels_share_the_display_by_their_weights(side: Side) -> None:
    away = -0.02 if side == "buy" else 0.02
    play = Play(iceberg(side=side, levels=(0.5, 0.3, 0.2), level_ticks=2, limit_price=10.0))
    assert play.sizes == [5, 3, 2]
    assert [intent.limit_price for intent in play.sent] == pytest.approx([10, 10 + away, 10 + 2 * away])
    play.fill(1, 2)  # one of three is left: each level replenishes by itself
    assert play.sizes == [5, 3, 2, 2]
    assert play.sent[3].limit_price == pytest.approx(10 + away)


def test_levels_follow_the_touch_together() -> None:
    play = Play(iceberg(limit_price=None, levels=(0.5, 0.5)))
    play.now_ns += SECOND
    play.market(1003, 1005)
    assert len(play.cancels) == 2
    play.close(0, 0).close(1, 0)
    assert [intent.limit_price for intent in play.sent[2:]] == [10.03, 10.02]


def test_levels_that_would_each_be_too_small_are_fewer() -> None:
    parent = iceberg(30, display_quantity=30.0, min_qty=10, levels=(1.0, 1.0, 1.0, 1.0, 1.0))
    assert parent.plan.levels == 3
    assert Play(parent).sizes == [10, 10, 10]


# ---------------------------------------------------------------- the end


def test_at_the_end_all_that_is_shown_is_cancelled() -> None:
    play = Play(iceberg(levels=(0.5, 0.3, 0.2), stale_seconds=0))  # pitfall 16, pitfall 35
    play.at(100)
    assert [cancel.target_intent_id for cancel in play.cancels] == ["x-1-0", "x-1-1", "x-1-2"]
    for number in range(3):
        play.close(number, 0)
    assert play.state == State.CANCELLED


def test_complete_takes_the_rest_before_the_end() -> None:
    play = Play(iceberg(completion="complete", completion_seconds=10, stale_seconds=0))
    play.at(90)
    assert play.state == State.CROSSING
    play.close(0, 4).fill(0, 4)
    assert play.sizes == [10, 96]


def test_complete_without_a_time_of_its_own_begins_a_twentieth_of_the_horizon_before_the_end() -> None:
    play = Play(iceberg(completion="complete", stale_seconds=0))
    assert play.at(94.999).state == State.WORKING
    assert play.at(95).state == State.CROSSING


def test_an_amended_quantity_is_shown_a_part_at_a_time() -> None:
    play = Play(iceberg(1000, display_quantity=None, visible_ratio=0.1))
    assert play.sizes == [100]
    play.fill(0, 10).on(Amend(quantity=510)).close(0, 10)
    assert play.sizes == [100, 50]


def test_before_the_start_nothing_is_shown_even_after_a_pause() -> None:
    play = Play(iceberg(start_ns=START_NS + 10 * SECOND))  # pitfall 19
    play.on(Pause()).on(Resume()).at(9)
    assert play.sizes == []
    assert play.at(10).sizes == [10]


def test_all_is_due_from_the_start_on() -> None:
    made = Plan(side=1, quantity=7, horizon_ms=10, display=2)
    assert [due(made, Curve(), View(now_ms=at)) for at in (-1, 0, 9)] == [0, 7, 7]


# ---------------------------------------------------------------- any clip, any fills


@given(
    quantity=st.integers(1, 10**11),
    display=st.integers(0, 10**6),
    shown=st.integers(0, 10**6),
    refill=st.integers(0, 10**6),
    jitter=st.integers(0, 900_000),
    draw=st.floats(0, 1, exclude_max=True),
    filled=st.integers(0, 10**6),
    min_lots=st.integers(1, 1000),
)
def test_a_clip_never_goes_beyond_the_display_nor_beyond_what_is_free(
    quantity: int, display: int, shown: int, refill: int, jitter: int, draw: float, filled: int, min_lots: int
) -> None:
    made = Plan(side=1, quantity=quantity, horizon_ms=1000, min_lots=min_lots, refill_ppm=refill, jitter_ppm=jitter)
    lots = rules.clip_lots(made, display, shown, View(filled=filled, open_lots=shown), draw)
    free = quantity - filled - shown
    assert lots == 0 or min_lots <= lots <= min(free, display - shown)
    if shown * 1_000_000 > display * refill:
        assert lots == 0
    if shown == 0 and min_lots <= min(display, free) and free >= 2 * min_lots:
        assert lots > 0  # it cannot get stuck


SHOWN = st.fixed_dictionaries(
    {
        "display_quantity": st.integers(1, 50).map(float),
        "replenish_threshold": st.sampled_from([0.1, 0.5, 1.0]),
        "clip_jitter": st.sampled_from([0.0, 0.3, 0.9]),
        "levels": st.lists(st.sampled_from([0.2, 0.5, 1.0]), min_size=1, max_size=5).map(tuple),
        "limit_price": st.sampled_from([None, 9.99]),
    }
)


@settings(max_examples=100)
@given(
    params=SHOWN,
    quantity=st.integers(1, 300),
    min_qty=st.integers(1, 20),
    answers=st.lists(st.tuples(st.integers(0, 10), st.integers(0, 400), st.booleans()), min_size=1, max_size=6),
    quotes=st.lists(st.tuples(st.integers(1, 9_000), st.integers(990, 1010)), max_size=15),
)
def test_the_venue_never_shows_more_than_the_display_with_partial_late_and_racing_fills(
    params: dict[str, Any],
    quantity: int,
    min_qty: int,
    answers: list[tuple[int, int, bool]],
    quotes: list[tuple[int, int]],
) -> None:
    # pitfall 8, pitfall 9: the venue's own book, message by message
    parent = iceberg(quantity, 10, min_qty=min(min_qty, quantity), **params)
    left: dict[str, float] = {}
    total: dict[str, float] = {}

    def answer(intent: OrderIntent, now_ns: int) -> list[tuple[int, Event]]:
        if intent.action == "cancel":
            name = intent.target_intent_id or ""
            if not left.get(name):
                return []
            tenths, late, races = answers[len(name) % len(answers)]
            filled = left[name] * tenths // 10 if races else 0.0  # trades while the cancel is on its way
            total[name] += filled
            left[name] = 0.0
            at = now_ns + late * MS
            closed = OrderClosed(name, "sim", "cancelled", total[name], at)
            fills = [FillEvent(f"{name}-r", name, SYMBOL, "buy", filled, 10.0, at)] if filled else []
            return [(at, closed), *((at + late * MS, fill) for fill in fills)]
        name = intent.intent_id
        tenths, late, _ = answers[int(name.rpartition("-")[2]) % len(answers)]
        filled = intent.qty * tenths // 10
        left[name] = intent.qty - filled
        total[name] = filled
        assert sum(left.values()) <= parent.plan.display
        at = now_ns + (1 + late) * MS
        return [(at, FillEvent(f"{name}-f", name, SYMBOL, "buy", filled, 10.0, at))] if filled else []

    events: list[tuple[int, Event]] = [
        (START_NS + ms * MS, Market(START_NS + ms * MS, bid, bid + 2)) for ms, bid in sorted(quotes)
    ]
    play_out(parent, answer, events=events)
    assert parent.children.filled == sum(total.values())
    assert parent.ended
