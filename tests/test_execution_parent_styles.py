"""How the parent order sends: resting first, at random, with a cap on participation."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.contracts import OrderIntent, Side
from execution.events import Event, Pause, Resume
from execution.states import State
from tests.naive import START_NS
from tests.parents import (
    MS,
    SECOND,
    Play,
    filled_at_once,
    is_sorted,
    never_filled,
    parent_of,
    play_out,
    twap,
)

# ---------------------------------------------------------------- rest first, then cross


def resting(**params: Any) -> Play:
    """A hundred lots in ten slices that rest for the first 65 % of their ten seconds; the market is 9.99 to 10.01."""
    return Play(parent_of("TWAP", **{"order_type": "limit_then_cross", **params}))


def last(play: Play) -> tuple[str, float, float | None]:
    return play.sent[-1].type, play.sent[-1].qty, play.sent[-1].limit_price


@pytest.mark.parametrize(("side", "price"), [("buy", 9.99), ("sell", 10.01)])
def test_a_slice_rests_at_the_near_touch_first(side: Side, price: float) -> None:
    play = resting(side=side)
    assert last(play) == ("limit", 10, price)
    assert play.listens()


@pytest.mark.parametrize(("side", "price"), [("buy", 10.05), ("sell", 9.95)])
def test_then_it_crosses_with_a_limit_some_spreads_beyond_the_far_touch(side: Side, price: float) -> None:
    play = resting(side=side)
    assert play.wake_ns == START_NS + 6500 * MS
    assert play.at(6.499).cancels == []
    play.at(6.5)
    assert [cancel.target_intent_id for cancel in play.cancels] == ["x-1-0"]
    assert play.sizes == [10]  # not before it is certain what the resting one has done: pitfall 9
    play.fill(0, 4).close(0, 4)
    assert last(play) == ("limit", 6, price)
    play.fill(1)
    assert play.at(9.9).sizes == [10, 6]


def test_a_cross_without_a_cap_is_a_market_order() -> None:
    play = resting(cross_spreads=0)
    play.at(6.5).close(0, 0)
    assert last(play) == ("market", 10, None)


@pytest.mark.parametrize(
    ("side", "limit", "rests", "crosses"),
    [("buy", 10.02, 9.99, 10.02), ("buy", 9.5, 9.5, 9.5), ("buy", 11, 9.99, 10.05), ("sell", 9.98, 10.01, 9.98)],
)
def test_resting_and_crossing_keep_to_the_limit_of_the_parent(
    side: Side, limit: float, rests: float, crosses: float
) -> None:
    play = resting(side=side, limit_price=limit)
    assert play.sent[0].limit_price == rests
    play.at(6.5).close(0, 0)
    assert play.sent[1].limit_price == crosses


def test_a_wide_spread_makes_a_wide_cap_and_a_locked_market_a_cap_of_ticks() -> None:
    wide = resting(cross_spreads=1)
    wide.market(990, 1010)
    wide.at(6.5).close(0, 0)
    assert wide.sent[-1].limit_price == 10.3
    locked = resting(cross_spreads=3)
    locked.market(1000, 1000)
    locked.at(6.5).close(0, 0)
    assert locked.sent[-1].limit_price == 10.03


def test_a_resting_child_follows_the_touch_with_hysteresis() -> None:
    play = resting(repeg_ticks=2)
    play.at(1).market(1000, 1002)
    assert play.cancels == []
    play.market(1001, 1003)
    assert [cancel.target_intent_id for cancel in play.cancels] == ["x-1-0"]
    play.market(1005, 1007)
    assert len(play.cancels) == 1  # asked once
    play.close(0, 0)
    assert last(play) == ("limit", 10, 10.05)
    play.market(1003, 1005)
    assert len(play.cancels) == 2


def test_what_has_crossed_does_not_follow_the_touch() -> None:
    play = resting()
    play.at(6.5).close(0, 0)
    play.market(1001, 1003)
    assert len(play.cancels) == 1


def test_lots_that_come_back_after_the_crossing_time_cross_at_once() -> None:
    play = resting()
    play.at(6.5).close(0, 0).close(1, 3, "cancelled").fill(1, 3)
    play.at(8)
    assert last(play) == ("limit", 7, 10.05)


def test_the_next_slice_rests_again() -> None:
    play = resting()
    play.at(6.5).close(0, 0).fill(1).at(10)
    assert play.sizes == [10, 10, 10]
    assert last(play) == ("limit", 10, 9.99)
    play.at(16.5)
    assert [cancel.target_intent_id for cancel in play.cancels] == ["x-1-0", "x-1-2"]


@pytest.mark.parametrize(("share", "moment"), [(0.0, 0.0), (0.25, 2.5), (1.0, None)])
def test_the_part_of_the_slice_that_rests_is_a_parameter(share: float, moment: float | None) -> None:
    play = resting(rest_share=share)
    if moment is None:
        assert play.at(9.999).at(10).cancels == []
    elif moment == 0:
        assert last(play) == ("limit", 10, 10.05)
    else:
        assert play.wake_ns == START_NS + round(moment * SECOND)


def test_a_perfect_market_at_the_touch_never_pays_the_spread() -> None:
    parent = parent_of("TWAP", order_type="limit_then_cross")
    played = play_out(parent, filled_at_once)
    assert [intent.limit_price for intent in played.commands] == [9.99] * 10
    assert parent.state is State.COMPLETED


def test_a_market_where_nothing_rests_to_be_filled_is_done_by_crossing() -> None:
    parent = parent_of("TWAP", order_type="limit_then_cross")

    def takers_only(intent: OrderIntent, now_ns: int) -> list[tuple[int, Event]]:
        if intent.action == "cancel" or intent.limit_price == 9.99:
            return never_filled(intent, now_ns)
        return filled_at_once(intent, now_ns)

    played = play_out(parent, takers_only)
    assert parent.state is State.COMPLETED
    crossed = [intent for intent in played.commands if intent.limit_price == 10.05 and intent.action == "new"]
    assert [(intent.ts_local_ns - START_NS) / SECOND for intent in crossed] == [6.5 + 10 * k for k in range(10)]


def test_before_its_start_it_does_nothing_even_after_a_pause() -> None:
    play = resting(start_ns=START_NS + 10 * SECOND)  # pitfall 19
    play.on(Pause()).on(Resume()).at(9.9)
    assert play.sent == []
    assert play.at(10).sizes == [10]


def test_what_a_close_gives_back_is_what_was_not_filled_and_no_more() -> None:
    play = Play(twap(catch_up=1))
    play.fill(0).at(55)  # fifty lots late, ten of them allowed
    play.close(1, 4).fill(1, 4).at(57)
    assert play.sizes == [10, 10, 6]
    play.fill(2)
    assert play.at(59).sizes == [10, 10, 6]


def test_a_close_in_a_later_slice_gives_nothing_back_to_it() -> None:
    play = Play(twap(catch_up=1))
    play.at(10).close(0, 0).at(12)
    assert play.sizes == [10, 10]
    assert play.at(20).sizes == [10, 10, 10]


def test_an_unknown_order_that_has_been_closed_stays_closed() -> None:
    play = Play(twap(10, 10, slices=1))
    play.close(0, 7).unknown(0).on(Pause())
    assert play.cancels == []  # its fills are on their way, there is nothing to cancel


def test_crossing_takes_a_rest_of_exactly_the_minimum() -> None:
    play = Play(twap(20, 20, slices=2, min_qty=10, order_type="limit", completion="complete"))
    play.fill(0).at(10).close(1, 0).at(15)
    assert play.state == State.CROSSING
    assert play.sizes == [10, 10, 10]


def test_in_an_extension_what_is_left_crosses_without_resting_again() -> None:
    play = resting(completion="extend", extend_seconds=50, stale_seconds=0, slice_count=1)
    play.at(65).close(0, 0).close(1, 0).at(100)
    assert play.at(101).sent[-1].limit_price == 10.05
    play.close(len(play.sent) - 1, 0).at(120)
    assert {intent.limit_price for intent in play.sent[1:]} == {10.05}


# ---------------------------------------------------------------- slices that should not be seen


def randomised(quantity: float = 1000, seconds: int = 100, **params: Any) -> list[OrderIntent]:
    params = {"order_type": "market", "randomize_time": 0.5, "randomize_size": 0.2, "stale_seconds": 0, **params}
    return play_out(parent_of("TWAP", quantity, seconds, **params), filled_at_once).commands


def test_random_slices_depend_on_the_seed_and_on_nothing_else() -> None:
    def drawn(seed: int) -> list[tuple[float, int]]:
        return [(intent.qty, intent.ts_local_ns) for intent in randomised(seed=seed)]

    assert drawn(1) == drawn(1) != drawn(2)


def test_random_times_shift_all_but_the_first_slice_by_a_part_of_the_interval() -> None:
    intents = randomised(randomize_size=0.0)
    offsets = [(intent.ts_local_ns - START_NS) / SECOND - 10 * k for k, intent in enumerate(intents)]
    assert offsets[0] == 0
    assert all(0 <= offset < 5.001 for offset in offsets)
    assert len(set(offsets)) > 5
    assert [intent.qty for intent in intents] == [100] * 10


def test_random_sizes_vary_by_a_part_and_their_sum_is_exact() -> None:
    sizes = [intent.qty for intent in randomised(randomize_time=0.0)]
    assert sum(sizes) == 1000
    assert len(set(sizes)) > 5
    assert 1000 * 0.8 / 12 - 1 <= min(sizes) <= 100 <= max(sizes) <= 1000 * 1.2 / 8 + 1


def test_random_sizes_use_all_of_the_part_that_they_may_vary_by() -> None:
    parent = parent_of("TWAP", 10**9, 1000, slice_count=1000, randomize_size=0.9)
    targets = parent.curve.targets
    sizes = [after - before for before, after in pairwise((0, *targets))]
    mean = sum(sizes) / len(sizes)
    assert 0.09 < min(sizes) / mean < 0.14
    assert 1.86 < max(sizes) / mean < 1.96
    assert parent.plan.nominal == max(sizes)


@pytest.mark.parametrize("catch_up", [1, 3])
def test_random_slices_are_no_catching_up(catch_up: int) -> None:
    intents = randomised(randomize_size=0.9, catch_up=catch_up)
    assert sum(intent.qty for intent in intents) == 1000


@settings(max_examples=150)
@given(
    quantity=st.integers(1, 10**6),
    horizon_s=st.integers(1, 3600),
    slices=st.integers(1, 60),
    time=st.floats(0, 0.5),
    size=st.floats(0, 0.99),
    seed=st.integers(0, 10**6),
)
def test_random_slices_keep_order_and_sum_and_begin_before_the_end(
    quantity: int, horizon_s: int, slices: int, time: float, size: float, seed: int
) -> None:
    parent = parent_of(
        "TWAP", quantity, horizon_s, slice_count=slices, randomize_time=time, randomize_size=size, seed=seed
    )
    starts, targets = parent.curve.starts_ms, parent.curve.targets
    if not starts:
        assert time == size == 0
        return
    assert starts[0] == 0
    assert is_sorted(starts)
    assert starts[-1] < horizon_s * 1000  # pitfall 32
    assert is_sorted(targets)
    assert targets[-1] == quantity


def test_the_last_slice_begins_before_the_end_even_in_slices_of_a_millisecond() -> None:
    for seed in range(20):
        parent = parent_of("TWAP", 1000, 1, slice_count=1000, randomize_time=0.5, seed=seed)  # pitfall 32
        assert parent.curve.starts_ms[-1] < 1000


# ---------------------------------------------------------------- participation


def test_a_cap_on_participation_holds_back_and_catches_up_when_the_market_trades() -> None:
    play = Play(twap(100, 100, max_participation=0.5))  # half of all volume: as much as others
    assert play.sizes == [10]  # no volume has been seen
    play.fill(0)
    for second, tape in ((10, 4), (20, 4), (30, 104)):
        play.now_ns = START_NS + second * SECOND
        play.market(tape=tape)
        if play.new:
            play.fill(len(play.sent) - 1)
    assert play.sizes == [10, 4, 26]
