"""Whom the venue is asked about, and when; and the sweep after a kill."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from broker.base import VenueOrder
from core.contracts import OrderIntent
from live.effects import Withdraw
from live.engine import Engine
from live.orders import SentOrder, Standing
from live.questions import Patience, Questions
from live.sweep import Residue, Sweep
from tests.lines import Lines
from tests.markets import INSTRUMENT, SYMBOL
from tests.test_live_engine import Gate, Switch

SECOND = 1_000_000_000
PATIENCE = Patience(answer_ns=SECOND, quiet_ns=30 * SECOND, most_ns=4 * SECOND, arrival_ns=5 * SECOND)


def order(name: str = "x-1-0", standing: Standing = Standing.SENT) -> SentOrder:
    return SentOrder(OrderIntent(name, 0, "s", SYMBOL, "buy", "market", 10.0), standing)


def asked(questions: Questions, live: Iterable[SentOrder], until_s: int) -> list[int]:
    """The seconds at which an order is asked about, where nothing new comes of it."""
    orders, now_ns = list(live), 0
    times: list[int] = []
    while True:
        due_ns = questions.look(orders, now_ns)
        if due_ns is None or due_ns > until_s * SECOND:
            return times
        now_ns = due_ns
        for name in questions.due(now_ns):
            questions.asked(name, now_ns)
            times.append(now_ns // SECOND)


def test_an_order_without_an_answer_is_asked_about_ever_more_seldom() -> None:
    for standing in (Standing.SENT, Standing.UNKNOWN, Standing.CLOSED):
        assert asked(Questions(PATIENCE), [order(standing=standing)], 20) == [1, 2, 4, 8, 12, 16, 20]


def test_an_open_order_is_asked_about_when_it_has_been_quiet_for_long() -> None:
    assert asked(Questions(), [order(standing=Standing.OPEN)], 200) == [30, 60, 120, 180]


def test_news_of_an_order_start_its_wait_anew() -> None:
    questions, one = Questions(PATIENCE), order()
    questions.look([one], 0)
    questions.asked("x-1-0", 1 * SECOND)
    one.standing = Standing.OPEN
    assert questions.look([one], 2 * SECOND) == 32 * SECOND
    one.withdrawal = one.intent
    assert questions.look([one], 3 * SECOND) == 4 * SECOND  # withdrawn, and nothing heard of it


def test_requests_to_cancel_put_off_no_question_and_are_asked_about_as_soon_as_the_first() -> None:
    questions, one = Questions(Patience(answer_ns=10 * SECOND)), order(standing=Standing.OPEN)
    for second in range(0, 12, 3):
        one.withdrawal = replace(one.intent, intent_id=f"c-{second}")
        assert questions.look([one], second * SECOND) == 10 * SECOND
    questions.asked("x-1-0", 10 * SECOND)
    questions.asked("x-1-0", 20 * SECOND)
    assert questions.look([one], 21 * SECOND) == 40 * SECOND
    one.withdrawal = replace(one.intent, intent_id="c-22")
    assert questions.look([one], 22 * SECOND) == 32 * SECOND


def test_a_settled_order_is_asked_about_no_more() -> None:
    questions = Questions(PATIENCE)
    questions.look([order()], 0)
    assert questions.look([], SECOND) is None
    assert questions.due(10 * SECOND) == []
    questions.asked("x-1-0", SECOND)  # harmless


def test_after_a_restart_everything_is_due_at_once_and_absence_is_believed_later() -> None:
    questions = Questions(PATIENCE)
    questions.look([order(), order("x-1-1", Standing.OPEN)], 100 * SECOND)
    questions.at_once(100 * SECOND)
    assert questions.due(100 * SECOND) == ["x-1-0", "x-1-1"]
    assert not questions.believes_absence("x-1-0", 104 * SECOND)
    assert questions.believes_absence("x-1-0", 105 * SECOND)
    assert not questions.believes_absence("x-9-9", 105 * SECOND)


def test_a_request_that_went_out_again_may_still_arrive() -> None:
    questions = Questions(PATIENCE)
    questions.look([order()], 0)
    questions.sent("x-1-0")
    questions.look([order()], 8 * SECOND)
    assert not questions.believes_absence("x-1-0", 9 * SECOND)


# ---------------------------------------------------------------- the sweep


def engine(*live: str) -> Engine:
    made = Engine(Lines(), Gate(lambda _intent: False), Switch(), {SYMBOL: INSTRUMENT}, lambda _request: None)  # type: ignore[arg-type,return-value]
    for name in live:
        made.orders.sent(order(name).intent)
    return made


def shown(*names: str) -> list[VenueOrder]:
    return [VenueOrder(name, SYMBOL, "open", 10.0, 0.0) for name in names]


def is_over(sweep: Sweep) -> bool:
    return sweep.next_ns is None and sweep.residue is None


def targets(effects: Iterable[object]) -> list[str | None]:
    return [one.intent.target_intent_id for one in effects if isinstance(one, Withdraw)]


def test_a_sweep_goes_on_until_store_and_venue_are_empty() -> None:
    sweep = Sweep(0, every_ns=SECOND)
    assert targets(sweep.round(engine("x-1-0"), shown("x-1-0"), 0, 0)) == ["x-1-0"]
    assert sweep.next_ns == SECOND
    assert targets(sweep.round(engine("x-1-0"), [], SECOND, 0)) == ["x-1-0"]  # nobody has said what became of it
    assert targets(sweep.round(engine(), None, 2 * SECOND, 0)) == []  # the venue cannot be asked
    assert sweep.next_ns == 3 * SECOND
    assert targets(sweep.round(engine(), [], 3 * SECOND, 0)) == []
    assert is_over(sweep)


def test_a_sweep_withdraws_what_nobody_here_has_sent() -> None:
    sweep = Sweep(0)
    assert targets(sweep.round(engine("x-1-0"), shown("x-1-0", "someone-else"), 0, 0)) == ["x-1-0", "someone-else"]


def test_what_is_left_after_the_limit_is_named_and_still_swept() -> None:
    sweep = Sweep(0, limit_ns=10 * SECOND)
    sweep.round(engine("x-1-0", "x-1-1"), shown("x-1-0"), 9 * SECOND, 0)
    assert str(sweep.residue) == "None"
    assert targets(sweep.round(engine("x-1-0", "x-1-1"), shown("x-1-0"), 10 * SECOND, 0)) == ["x-1-0", "x-1-1"]
    assert sweep.residue == Residue(("x-1-0",), ("x-1-1",))
    assert str(sweep.residue) == "still open: x-1-0; unknown: x-1-1"
    sweep.round(engine(), [], 11 * SECOND, 0)
    assert sweep.residue is None
