"""Acceptance list 8.5 of the specification: POV keeps to its share of the volume, pauses, catches up, ends as told."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import ManualClock
from core.contracts import OrderIntent
from core.instrument import Instrument
from execution import volume
from execution.adapters import SyncExecutionWrapper
from execution.base import BaseExecutor, ratio_ppm
from execution.contracts import ExecutionAlgorithm
from execution.events import Amend, Event, Market, Pause, Resume
from execution.parent import ParentOrder
from execution.plan import Curve, Plan, View
from execution.pov import POVExecutor, due
from execution.profile import VolumeHistory
from execution.rules import child_lots, slice_room
from execution.states import State
from tests import golden
from tests.naive import MINUTE_NS, START_NS
from tests.parents import SECOND, SYMBOL, Answer, Play, filled_at_once, never_filled, parent_of, past_bars, play_out

NOTHING = Curve()


def executor(history: VolumeHistory | None = None, **keywords: Any) -> POVExecutor:
    keywords = {
        "clock": ManualClock(START_NS),
        "instrument": Instrument(SYMBOL, tick="0.01", lot="1"),
        "quotes": lambda symbol: 10.0,
        **keywords,
    }
    return POVExecutor("tester", None, history=history, **keywords)


def algorithm(quantity: float = 1000, seconds: int = 600, **params: Any) -> ExecutionAlgorithm:
    return ExecutionAlgorithm("POV", SYMBOL, "buy", quantity, seconds, params)


def plan(pov: POVExecutor, algo: ExecutionAlgorithm) -> list[OrderIntent]:
    return SyncExecutionWrapper(pov).plan_execution_sync(algo)


def flat(per_minute: float, days: int = 9) -> VolumeHistory:
    return VolumeHistory(past_bars(np.full(days * 1440, per_minute)))


def pov(others: Sequence[int], quantity: float = 1_000_000, **params: Any) -> ParentOrder:
    """A parent with one slice of a minute for each volume of others."""
    return parent_of(
        "POV",
        quantity,
        60 * len(others),
        **{"target_pov": 0.1, "min_volume_threshold": 0.0, "feed_forward": False, **params},
    )


def tape_of(volumes: Sequence[int], *, first: int = 1) -> list[tuple[int, Event]]:
    """The market at the end of each minute: others' lots so far."""
    totals = np.cumsum(volumes).tolist()
    return [
        (START_NS + (first + k) * MINUTE_NS, Market(START_NS + (first + k) * MINUTE_NS, 999, 1001, total))
        for k, total in enumerate(totals)
    ]


def sizes(parent: ParentOrder, volumes: Sequence[int], answer: Answer = filled_at_once) -> list[float]:
    """What was sent in each slice."""
    found = [0.0] * len(volumes)
    for intent in play_out(parent, answer, events=tape_of(volumes)).commands:
        if intent.action == "new":
            found[(intent.ts_local_ns - START_NS) // MINUTE_NS] += intent.qty
    return found


def realised(sent: Sequence[float], volumes: Sequence[int], rate: float = 0.1) -> float:
    """Share of all volume, against the target."""
    return sum(sent) / (sum(sent) + sum(volumes)) / rate - 1


# ---------------------------------------------------------------- the interface


def test_the_signatures_are_those_of_the_specification() -> None:
    made = inspect.signature(POVExecutor.__init__).parameters
    assert list(made)[:5] == ["self", "strategy_id", "data_reader", "target_pov", "min_volume_threshold"]
    assert (made["target_pov"].default, made["min_volume_threshold"].default) == (0.2, 1000.0)
    assert list(inspect.signature(POVExecutor._monitor_volume).parameters) == ["self", "bus", "symbol"]
    assert inspect.iscoroutinefunction(POVExecutor._monitor_volume)
    assert list(inspect.signature(POVExecutor._calculate_slice_size).parameters) == [
        "self",
        "market_volume",
        "remaining_quantity",
        "time_remaining_ns",
    ]
    assert inspect.iscoroutinefunction(POVExecutor.plan_execution)
    assert issubclass(POVExecutor, BaseExecutor)


def test_the_constructor_takes_its_parameters_by_position() -> None:
    made = POVExecutor("tester", None, 0.1, 500.0)
    params = made.params(algorithm())
    assert (params.target_pov, params.min_volume_threshold) == (0.1, 500.0)


def test_plan_execution_returns_the_first_child_where_history_foresees_volume() -> None:
    (intent,) = plan(executor(flat(100)), algorithm(target_pov=0.2))
    assert type(intent) is OrderIntent
    assert (intent.qty, intent.type, intent.action) == (25, "market", "new")  # .2 / .8 of 100 in the first minute
    assert intent.meta["scheduled_ts_ns"] == START_NS


def test_plan_execution_is_empty_where_nobody_knows_the_volume() -> None:
    assert plan(executor(), algorithm()) == []
    assert plan(executor(flat(100)), algorithm(feed_forward=False)) == []


def test_each_meta_has_execution_and_slice_and_no_size_of_the_parent() -> None:
    (planned,) = plan(executor(flat(100)), algorithm(987_654))
    execution_id = planned.meta["execution_id"]
    assert planned.meta["slice_id"] == f"{execution_id}_0"
    volumes = [1000] * 6
    commands = play_out(pov(volumes, 987_654), filled_at_once, events=tape_of(volumes)).commands
    assert [intent.meta["slice_id"] for intent in commands] == [f"x-1_{k}" for k in range(1, 6)]
    assert all(intent.meta["execution_id"] == "x-1" for intent in commands)
    assert all("987654" not in str(intent.to_dict()) for intent in commands)


# ---------------------------------------------------------------- the share


@pytest.mark.parametrize(
    "row", golden.rows("pov_participation.csv"), ids=lambda row: f"{row['slices']} {row['feed_forward']}"
)
def test_equal_slices_realise_the_share_of_the_table(row: dict[str, str]) -> None:
    # pitfall 12
    volumes = [90_000] * int(row["slices"])
    feed = row["feed_forward"] == "yes"
    history = flat(90_000) if feed else None
    parent = pov(
        volumes, feed_forward=feed, volumes=history, target_pov=float(row["rate"]), max_participation=float(row["most"])
    )
    assert realised(sizes(parent, volumes), volumes) == pytest.approx(float(row["realised"]), abs=5e-5)


@pytest.mark.parametrize("row", golden.rows("pov_slices.csv"), ids=lambda row: row["sizes"])
def test_slices_are_those_of_the_table(row: dict[str, str]) -> None:
    """The controller looks at a slice when it is over, as the table does."""
    lot = int(row["lot"])
    others = [int(lots) // lot for lots in row["others"].split()]
    made = Plan(
        side=1,
        quantity=10**6,
        horizon_ms=60_000 * (len(others) + 1),
        slices=len(others) + 1,
        nominal=10**6,
        ratio_ppm=ratio_ppm(float(row["rate"])),
        cap_ppm=ratio_ppm(float(row["most"])),
    )
    view, tape, sent = View(), 0, []
    for over, lots in enumerate(others, 1):
        tape += lots
        view.now_ms = 60_000 * over
        volume.begin_slice(made, view, over, tape)
        child = child_lots(made, due(made, NOTHING, view), slice_room(made, NOTHING, view, over), view)
        if over <= int(row["deaf"]):
            child = 0
        view.filled += child
        sent.append(child * lot)
    assert sent == [int(size) for size in row["sizes"].split()]


def steady(n: int, per: int) -> list[int]:
    return [per] * n


def smile(n: int, per: int) -> list[int]:
    return [round(per * (0.5 + 6 * (k / (n - 1) - 0.5) ** 2)) for k in range(n)]


def growing(n: int, per: int) -> list[int]:
    return [round(per * (0.5 + k / n)) for k in range(n)]


def falling(n: int, per: int) -> list[int]:
    return growing(n, per)[::-1]


def uneven(n: int, per: int) -> list[int]:
    return [round(per * (0.6 if k % 2 else 1.4)) for k in range(n)]


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.2, 0.3])
@pytest.mark.parametrize("shape", [steady, smile, growing, falling, uneven], ids=lambda shape: shape.__name__)
@pytest.mark.parametrize("slices", [10, 20, 60])
@pytest.mark.parametrize("lot", [1, 10])
def test_the_target_is_kept_within_5_percent_where_volume_suffices(
    rate: float, shape: Any, slices: int, lot: int
) -> None:
    volumes = shape(slices, 2000)
    history = VolumeHistory(past_bars(np.tile(np.resize(volumes, 1440), 8)))  # the same at the same time of day
    parent = pov([v // lot for v in volumes], feed_forward=True, target_pov=rate, volumes=history, lot=str(lot))
    sent = sizes(parent, [v // lot for v in volumes])
    assert abs(realised(sent, volumes, rate)) <= 0.05


@pytest.mark.parametrize("rate", [0.1, 0.3])
@pytest.mark.parametrize("shape", [steady, smile, falling, uneven], ids=lambda shape: shape.__name__)
@pytest.mark.parametrize("level", [0.6, 1.0, 1.6])
def test_the_target_is_kept_when_the_day_trades_more_or_less_than_foreseen(
    rate: float, shape: Any, level: float
) -> None:
    volumes = [round(level * v) for v in shape(60, 2000)]
    history = VolumeHistory(past_bars(np.tile(np.resize(shape(60, 2000), 1440), 8)))
    sent = sizes(pov(volumes, feed_forward=True, target_pov=rate, volumes=history), volumes)
    assert abs(realised(sent, volumes, rate)) <= 0.05


@given(st.lists(st.integers(0, 5000), min_size=2, max_size=30), st.sampled_from([0.01, 0.1, 0.2, 0.5]), st.booleans())
@settings(max_examples=60)
def test_without_foresight_the_share_of_what_has_traded_is_never_exceeded(
    volumes: list[int], rate: float, of_total: bool
) -> None:
    # pitfall 12
    sent = sizes(pov(volumes, target_pov=rate, of_total=of_total, spike=0), volumes)
    ratio = rate / (1 - rate) if of_total else rate
    assert ratio_ppm(rate, of_total=of_total) == pytest.approx(ratio * 1e6, abs=1)
    for k in range(len(volumes)):
        assert sum(sent[: k + 1]) <= (ratio + 1e-6) * sum(volumes[:k])


def test_the_share_may_be_one_of_others_volume() -> None:
    volumes = [1000] * 4
    assert sizes(pov(volumes, of_total=False), volumes) == [0, 100, 100, 100]


def test_our_own_trades_in_the_tape_are_not_the_volume_of_others() -> None:
    # pitfall 12
    others, own = 900, 100
    volumes = [others, *[others + own] * 4]
    assert sizes(pov(volumes, own_in_tape=True), volumes) == [0, 100, 100, 100, 100]
    assert sizes(pov([others] * 5), [others] * 5) == [0, 100, 100, 100, 100]
    assert sum(sizes(pov(volumes), volumes)) > 400  # it would feed on itself


def test_open_orders_count_as_sent() -> None:
    volumes = [900] * 5  # pitfall 12: a rolling window that forgets what is open sends it again
    parent = pov(volumes, order_type="limit")
    assert sizes(parent, volumes, never_filled) == [0, 100, 100, 100, 100]


# ---------------------------------------------------------------- thin volume


def test_no_intents_while_a_slice_trades_less_than_the_threshold_and_the_reason_is_said() -> None:
    volumes = [1000, 99, 100, 0, 1000, 1000]
    play = Play(pov(volumes, min_volume_threshold=100))
    sent, tape = [], 0
    for minute, lots in enumerate(volumes, 1):
        before = len(play.sent)
        tape += lots
        play.now_ns = START_NS + minute * MINUTE_NS
        play.market(tape=tape)
        sent.append(sum(play.sizes[before:]))
        thin = minute < 6 and lots < 100
        assert play.state == (State.PAUSED if thin else State.CANCELLED if minute == 6 else State.WORKING)
        assert play.parent.pause_reason == ("a slice traded less than the minimum volume" if thin else None)
        for number in range(before, len(play.sent)):
            play.fill(number)
    assert sent[1] == sent[3] == 0
    assert sent[0] > 0 < sent[2]
    assert play.parent.report().notes["paused, a slice traded less than the minimum volume"] == 2


def test_it_wakes_by_itself_at_the_next_slice_of_a_pause() -> None:
    play = Play(pov([1000] * 5, min_volume_threshold=100))
    play.at(60)
    assert play.state == State.PAUSED
    assert play.wake_ns == START_NS + 120 * SECOND
    play.now_ns = START_NS + 90 * SECOND
    play.market(tape=5000)
    assert play.state == State.PAUSED  # a slice is judged when it is over
    assert play.at(120).state == State.WORKING
    assert len(play.sent) == 1


def test_a_pause_for_thin_volume_is_not_ended_by_a_resume_but_a_request_lasts_beyond_it() -> None:
    play = Play(pov([1000] * 5, min_volume_threshold=100))
    play.at(60)
    play.on(Resume())
    assert play.state == State.PAUSED
    play.on(Pause("lunch"))
    play.now_ns = START_NS + 120 * SECOND
    play.market(tape=5000)
    assert (play.state, play.parent.pause_reason) == (State.PAUSED, "lunch")
    assert play.on(Resume()).state == State.WORKING


def test_resting_children_stay_while_volume_is_thin() -> None:
    play = Play(pov([1000] * 5, min_volume_threshold=100, order_type="limit"))
    play.now_ns = START_NS + 60 * SECOND
    play.market(tape=1000)
    assert len(play.sent) == 1
    play.at(120)
    assert play.state == State.PAUSED
    assert play.cancels == []
    play.fill(0)
    assert play.parent.children.filled == 111


def test_a_market_that_does_not_trade_gets_nothing() -> None:
    parent = pov([0] * 5)
    assert sizes(parent, [0] * 5) == [0] * 5
    report = parent.report()
    assert (report.status, report.unfilled_reason) == ("cancelled", "end of horizon")


# ---------------------------------------------------------------- behind, and spikes


def test_it_catches_up_when_behind_but_within_the_most_participation() -> None:
    volumes = [1000] * 6
    play = Play(pov(volumes, max_participation=0.2))
    sent, tape = [], 0
    for minute, lots in enumerate(volumes[:-1], 1):
        before, tape = len(play.sent), tape + lots
        play.now_ns = START_NS + minute * MINUTE_NS
        play.market(tape=tape)
        if minute == 1:
            play.close(0, 0, "expired").at(61)  # the first slice got nothing
        for number in range(before, len(play.sent)):
            if number:
                play.fill(number)
        sent.append(play.parent.children.filled)
    assert sent == [111, 222, 333, 444, 555]


def test_catching_up_after_a_gap_is_capped_by_the_slice_before() -> None:
    # pitfall 13
    play = Play(pov([1000] * 10, max_participation=0.2))
    play.now_ns = START_NS + 480 * SECOND
    play.market(tape=7000)
    assert sum(play.sizes) == 777  # one look at 8 minutes: they are the slice before
    play = Play(pov([1000] * 10, max_participation=0.2))
    for minute in range(1, 8):
        play.now_ns = START_NS + minute * MINUTE_NS
        play.market(tape=1000 * minute)
        if play.new and minute < 7:
            play.close(len(play.sent) - 1, 0, "cancelled")
    play.now_ns = START_NS + 8 * MINUTE_NS
    play.market(tape=8000)
    assert play.sizes[-1] <= 250


def test_a_spike_is_followed_over_several_slices_and_nothing_of_it_is_lost() -> None:
    volumes = [1000, 1000, 1000, 21_000, *[1000] * 20]
    calm = sizes(pov(volumes, spike=5, spike_slices=3), volumes)
    wild = sizes(pov(volumes, spike=0), volumes)
    assert max(wild) > 2000 > max(calm)
    assert calm[4] == pytest.approx(5000 / 9, abs=1)  # five ordinary slices of it
    assert sum(calm) == pytest.approx(sum(wild), abs=5)


# ---------------------------------------------------------------- how it ends


def test_strict_leaves_what_volume_did_not_allow() -> None:
    volumes = [900] * 5
    parent = pov(volumes, 1000)
    assert sum(sizes(parent, volumes)) == 400
    report = parent.report()
    assert (report.status, report.remaining_quantity) == ("cancelled", 600)


def test_complete_goes_up_to_the_most_participation_and_no_further() -> None:
    volumes = [900] * 5
    parent = pov(volumes, 700, pov_completion="complete", max_participation=0.2)
    sent = sizes(parent, volumes)
    assert sum(sent) == 700
    assert parent.report().status == "completed"
    assert max(sent) <= 225
    hopeless = pov(volumes, 5000, pov_completion="complete", max_participation=0.2)
    assert sizes(hopeless, volumes) == [0, 225, 225, 225, 225]


def test_complete_does_not_hurry_while_the_target_suffices() -> None:
    volumes = [900] * 10
    assert sizes(pov(volumes, 300, pov_completion="complete"), volumes)[:4] == [0, 100, 100, 100]


def test_sweep_takes_the_rest_before_the_end() -> None:
    volumes = [900] * 5
    parent = pov(volumes, 1000, pov_completion="sweep")
    commands = play_out(parent, filled_at_once, events=tape_of(volumes)).commands
    assert parent.report().status == "completed"
    assert commands[-1].qty == 600
    assert commands[-1].ts_local_ns == START_NS + 270 * SECOND  # half a slice before the end


def test_sweep_works_after_thin_volume_too_and_keeps_to_the_limit() -> None:
    parent = pov([0] * 5, 50, pov_completion="sweep", min_volume_threshold=100, limit_price=10.01)
    commands = play_out(parent, filled_at_once, events=tape_of([0] * 5)).commands
    assert [(intent.qty, intent.limit_price) for intent in commands] == [(50, 10.01)]
    assert parent.report().status == "completed"


def test_all_done_before_the_end_ends_at_once() -> None:
    volumes = [900] * 10
    parent = pov(volumes, 150)
    assert sizes(parent, volumes)[:3] == [0, 100, 50]
    assert parent.report().end_ts_ns == START_NS + 120 * SECOND


def test_the_last_child_is_not_below_the_minimum_of_the_venue() -> None:
    volumes = [900] * 12  # pitfall 4
    parent = pov(volumes, 1015, min_qty=30)
    sent = sizes(parent, volumes)
    assert sent[10] == 115
    assert parent.report().status == "completed"


def test_a_share_too_small_for_the_venue_waits_until_it_is_enough() -> None:
    volumes = [90] * 12
    sent = sizes(pov(volumes, 10_000, min_qty=30), volumes)  # the cap of a slice is 22
    assert sent == [0, 0, 0, 30, 0, 0, 30, 0, 0, 30, 0, 0]
    coarse = sizes(pov([3] * 40, 10_000, target_pov=0.1), [3] * 40)  # in lots so large that a slice trades three
    assert sum(coarse) == 13


def test_the_minimum_of_the_venue_is_no_way_round_a_slice_that_did_not_trade() -> None:
    made = Plan(
        side=1, quantity=100, horizon_ms=1000, slices=10, nominal=100, min_lots=30, ratio_ppm=10**5, cap_ppm=10**5
    )
    assert slice_room(made, NOTHING, View(last=0), 1) == 0
    assert slice_room(made, NOTHING, View(last=1), 1) == 30
    assert slice_room(made, NOTHING, View(last=1, sent_in_slice=30), 1) == 0
    assert slice_room(replace(made, ratio_ppm=0), NOTHING, View(last=1), 1) == 0  # a cap that somebody asked for holds


# ---------------------------------------------------------------- _calculate_slice_size


@pytest.mark.parametrize(
    ("market_volume", "remaining", "minutes", "size"),
    [
        (900.0, 10_000.0, 1_000_000, 100),  # the share
        (900.0, 50.0, 60, 50),  # no more than remains
        (900.0, 150.0, 1, 150),  # all of it in the last period, above the share
        (900.0, 150.0, 0, 150),
        (900.0, 10_000.0, 1, 225),  # in a hurry, within the most participation of .2
        (900.0, 6_000.0, 50, 120),  # what the time requires, when it is more
        (99.0, 10_000.0, 60, 0),  # below the threshold
        (100.0, 100.0, 1_000_000, 100 / 9),
        (0.0, 10_000.0, 60, 0),
        (900.0, 1_000.0, 0, 225),  # no time is left
    ],
)
def test_the_slice_size_is_the_share_or_what_time_requires_within_the_cap(
    market_volume: float, remaining: float, minutes: int, size: float
) -> None:
    made = POVExecutor("tester", None, 0.1, 100.0)
    found = made._calculate_slice_size(market_volume, remaining, minutes * MINUTE_NS)
    assert found == pytest.approx(size, rel=1e-5)


@given(st.floats(0, 1e9), st.floats(0, 1e9), st.integers(0, 10**14))
def test_a_slice_is_never_more_than_remains_nor_than_the_cap(
    market_volume: float, remaining: float, time_ns: int
) -> None:
    made = POVExecutor("tester", None, 0.2, 1000.0)
    size = made._calculate_slice_size(market_volume, remaining, time_ns)
    assert 0 <= size <= remaining
    assert size <= 0.4 / 0.6 * market_volume * (1 + 1e-5)


@pytest.mark.parametrize(("volume_seen", "remaining"), [(-1.0, 10.0), (float("nan"), 10.0), (10.0, -1.0)])
def test_a_slice_of_impossible_numbers_is_refused(volume_seen: float, remaining: float) -> None:
    with pytest.raises(ValueError, match=r"(market_volume|remaining_quantity) must be"):
        POVExecutor("tester", None)._calculate_slice_size(volume_seen, remaining, MINUTE_NS)


# ---------------------------------------------------------------- where volume comes from


def test_the_report_says_where_the_expected_volume_comes_from() -> None:
    assert pov([900] * 3).report().notes == {"profile_source": "uniform: no history"}
    assert pov([900] * 3, volumes=flat(5)).report().notes == {"profile_source": "7 weekday days"}


def test_volume_that_traded_before_the_start_does_not_count() -> None:
    parent = pov([900] * 3)
    parent.on(Market(START_NS, 999, 1001, 5_000_000), START_NS)
    later = START_NS + MINUTE_NS
    (intent,) = parent.on(Market(later, 999, 1001, 5_000_900), later).commands
    assert intent.qty == 100


def test_after_an_amendment_volume_counts_anew() -> None:
    play = Play(pov([900] * 5))
    play.now_ns += 60 * SECOND
    play.market(tape=900)
    play.fill(0)
    play.on(Amend(quantity=500))
    play.now_ns += 60 * SECOND
    play.market(tape=1800)
    assert play.sizes == [100, 100]


def test_a_schedule_in_quote_currency_is_turned_into_base() -> None:
    algo = replace(algorithm(5000.0), params={"quantity_currency": "quote"})
    assert executor().start(algo, start_ns=START_NS).quantity == 500
