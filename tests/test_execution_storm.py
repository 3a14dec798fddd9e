"""Any plan of any algorithm under any events in any order: the books hold, the display holds, it comes to an end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.contracts import FillEvent, OrderClosed, OrderEvent, OrderIntent, RiskDecision, Side
from core.instrument import Instrument
from execution.contracts import AlgoType
from execution.events import Amend, Cancel, Event, Market, OrderUnknown, Pause, Resume, Wake
from execution.parent import ParentOrder
from execution.plan import Style
from execution.profile import VolumeHistory
from execution.states import State
from tests.naive import START_NS
from tests.parents import (
    MS,
    REACHABLE,
    SECOND,
    SYMBOL,
    Answer,
    check_books,
    filled_at_once,
    parent_of,
    past_bars,
    play_out,
)

ALGORITHMS: tuple[AlgoType, ...] = ("TWAP", "VWAP", "Iceberg", "POV", "IS")
PAST = VolumeHistory(past_bars(np.tile(np.where(np.arange(1440) % 3 == 0, 60, 6), 8)))
"""Eight days before the start with 60, 6 and 6 lots a minute in turns."""

# ---------------------------------------------------------------- any plan


COMMON = {
    "side": st.sampled_from(["buy", "sell"]),
    "catch_up": st.integers(1, 4),
    "retries": st.sampled_from([0, 1, 3, 1000]),
    "stale_seconds": st.sampled_from([0, 3, 300]),
    "pull_on_pause": st.booleans(),
    "limit_price": st.none() | st.integers(980, 1040).map(lambda ticks: ticks / 100),
}
ENDINGS = st.sampled_from(
    [{"completion": "cancel"}, {"completion": "complete"}, {"completion": "extend", "extend_seconds": 5}]
)
SLICED = {
    **COMMON,
    "slice_count": st.integers(1, 12),
    "order_type": st.sampled_from(["limit", "market", "limit_then_cross"]),
    "rest_share": st.sampled_from([0.0, 0.3, 0.65, 1.0]),
    "repeg_ticks": st.integers(1, 3),
    "cross_spreads": st.integers(0, 3),
    "max_participation": st.none() | st.sampled_from([0.4, 0.9]),
}
PARAMETERS: dict[AlgoType, st.SearchStrategy[dict[str, Any]]] = {
    "TWAP": st.fixed_dictionaries(
        {
            **SLICED,
            "randomize_time": st.sampled_from([0.0, 0.25, 0.5]),
            "randomize_size": st.sampled_from([0.0, 0.2, 0.9]),
        }
    ),
    "VWAP": st.fixed_dictionaries(
        {
            **SLICED,
            "volumes": st.sampled_from([PAST, None]),
            "reweight": st.booleans(),
            "max_stray": st.sampled_from([0.0, 0.1, 1.0]),
        }
    ),
    "POV": st.fixed_dictionaries(
        {
            **SLICED,
            "interval_seconds": st.none(),
            "volumes": st.sampled_from([PAST, None]),
            "target_pov": st.sampled_from([0.05, 0.2, 0.4]),
            "of_total": st.booleans(),
            "own_in_tape": st.booleans(),
            "min_volume_threshold": st.sampled_from([0.0, 3.0, 30.0]),
            "feed_forward": st.booleans(),
            "spike": st.sampled_from([0, 2, 5]),
            "spike_slices": st.integers(1, 4),
            "pov_completion": st.sampled_from(["strict", "complete", "sweep"]),
        }
    ),
    "IS": st.fixed_dictionaries(
        {
            **SLICED,
            "volumes": st.sampled_from([PAST, None]),
            "half_life_seconds": st.sampled_from([None, 0.001, 10.0, 60.0, 1e9]),
            "volume_time": st.booleans(),
        }
    ),
    "Iceberg": st.fixed_dictionaries(
        {
            **COMMON,
            "display_quantity": st.integers(1, 60).map(float),
            "replenish_threshold": st.sampled_from([0.1, 0.5, 0.9, 1.0]),
            "clip_jitter": st.sampled_from([0.0, 0.3, 0.9]),
            "levels": st.lists(st.sampled_from([0.2, 0.5, 1.0]), min_size=1, max_size=5).map(tuple),
            "level_ticks": st.integers(1, 3),
            "price": st.sampled_from([None, "peg"]),
            "repeg_ticks": st.integers(1, 3),
        }
    ),
}


def described(algo_type: AlgoType) -> st.SearchStrategy[dict[str, Any]]:
    """Parameters of one algorithm with an ending; POV ends as its own parameter says."""
    endings = st.just({}) if algo_type == "POV" else ENDINGS
    return st.builds(lambda plan, ending: {**plan, **ending}, PARAMETERS[algo_type], endings)


# ---------------------------------------------------------------- any events


@dataclass
class Fate:
    """What is true of a child at the venue, whatever the parent has heard of it."""

    intent: OrderIntent
    number: int
    left: int
    filled: int = 0
    over: bool = False
    accepted: bool = False


@dataclass
class Venue:
    """Keeps the truth and puts messages in a mailbox, from which they are delivered in any order, also repeatedly."""

    fates: dict[str, Fate] = field(default_factory=dict)
    cancels: list[OrderIntent] = field(default_factory=list)
    mail: list[Event] = field(default_factory=list)
    ids: count[int] = field(default_factory=count)

    def take(self, intent: OrderIntent) -> None:
        if intent.action == "cancel":
            self.cancels.append(intent)
        else:
            self.fates[intent.intent_id] = Fate(intent, len(self.fates), round(intent.qty))

    def accept(self, fate: Fate) -> None:
        if not fate.over:
            fate.accepted = True
            intent = fate.intent
            self.mail.append(
                OrderEvent(intent.intent_id, "sim", f"w{fate.number}", SYMBOL, intent.side, intent.type, intent.qty, 0)
            )

    def trade(self, fate: Fate, lots: int) -> None:
        lots = min(lots, fate.left)
        if fate.over or lots == 0:
            return
        fate.accepted = True
        fate.left -= lots
        fate.filled += lots
        intent = fate.intent
        self.mail.append(FillEvent(f"f{next(self.ids)}", intent.intent_id, SYMBOL, intent.side, float(lots), 10.0, 0))
        if fate.left == 0:
            self.end(fate, "filled")

    def deny(self, fate: Fate) -> None:
        if not fate.over and not fate.accepted:
            fate.over = True
            self.mail.append(RiskDecision(fate.intent.intent_id, False, "too much"))

    def end(self, fate: Fate, status: str) -> None:
        if not fate.over:
            fate.over = True
            closed = OrderClosed(fate.intent.intent_id, "sim", status, float(fate.filled), 0)  # type: ignore[arg-type]
            self.mail.append(closed)

    def cancel(self, number: int, *, denied: bool) -> None:
        if self.cancels:
            intent = self.cancels.pop(number % len(self.cancels))
            if denied:
                self.mail.append(RiskDecision(intent.intent_id, False, "rate"))
            else:
                self.end(self.fates[intent.target_intent_id or ""], "cancelled")


@dataclass
class Books:
    """What the parent should know, worked out from the delivered messages alone."""

    fills: dict[str, int] = field(default_factory=dict)
    last_words: dict[str, int] = field(default_factory=dict)

    def read(self, event: Event) -> None:
        match event:
            case FillEvent():
                self.fills[event.fill_id] = round(event.qty)
            case OrderClosed():
                self.last_words[event.intent_id] = round(event.cumulative_qty)
            case RiskDecision(intent_id=intent_id) if not intent_id.rpartition("-")[2].startswith("c"):
                self.last_words[intent_id] = 0


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "wake",
                "wake",
                "wake",
                "deliver",
                "deliver",
                "deliver",
                "deliver",
                "trade",
                "trade",
                "accept",
                "close",
                "deny",
                "unknown",
                "cancel",
                "refuse",
                "market",
                "market",
                "pause",
                "resume",
                "amend",
                "stop",
            ]
        ),
        st.integers(0, 40),
        st.integers(0, 40),
    ),
    max_size=80,
)


class Storm:
    """Plays any sequence of events, with the truth at the venue beside it."""

    def __init__(self, parent: ParentOrder) -> None:
        self.parent = parent
        self.venue = Venue()
        self.books = Books()
        self.now_ns = START_NS
        self.tape = 0
        self.amended = False
        self.ids: set[str] = set()

    def on(self, event: Event) -> None:
        before = self.parent.state
        self.books.read(event)
        step = self.parent.on(event, self.now_ns)
        check_books(self.parent)
        assert self.parent.state in REACHABLE[before]
        children = self.parent.children
        if not self.amended:
            assert children.filled + children.reserved <= self.parent.quantity  # pitfall 8
        sent = sum(child.lots for child in children)
        freed = sum(
            child.lots - self.books.last_words[child.intent_id]
            for child in children
            if child.intent_id in self.books.last_words
        )
        assert children.filled == sum(self.books.fills.values())
        assert sent - freed == children.filled + children.reserved  # pitfall 37
        end_ns = START_NS + self.parent.plan.end_ms * MS
        for intent in step.commands:
            assert intent.intent_id not in self.ids  # pitfall 18
            self.ids.add(intent.intent_id)
            assert not self.parent.ended
            if intent.action == "new":
                assert children.filled + children.reserved <= self.parent.quantity
                assert intent.qty >= self.parent.plan.min_lots
                assert intent.expires_ts_ns is not None
                assert self.parent.parent.start_ns <= self.now_ns < intent.expires_ts_ns  # pitfall 19
                assert self.amended or intent.expires_ts_ns == self.start_end()
                self.check_price(intent)
            else:
                assert intent.target_intent_id in self.ids
            self.venue.take(intent)
        self.check_display()
        assert step.wake_ns is None or step.wake_ns > self.now_ns
        assert self.amended or end_ns == self.start_end() or self.parent.parent.start_ns != START_NS
        report = self.parent.report()
        assert report.done == self.parent.ended
        assert report.filled_quantity == children.filled

    def check_price(self, intent: OrderIntent) -> None:
        """A limit of the parent binds every child."""
        worst = self.parent.plan.limit_ticks / 100
        if worst:
            assert intent.limit_price is not None
            assert intent.limit_price <= worst if intent.side == "buy" else intent.limit_price >= worst

    def check_display(self) -> None:
        """What the market can see of an iceberg, whatever the parent knows of it."""
        plan = self.parent.plan
        resting = {child.intent_id: child.reserved for child in self.parent.children if not child.marketable}
        if plan.display and plan.style in (Style.PEG, Style.FIXED):
            shown = sum(fate.left for name, fate in self.venue.fates.items() if not fate.over and name in resting)
            assert shown <= sum(resting.values()) <= plan.display

    def start_end(self) -> int:
        return self.parent.parent.start_ns + self.parent.plan.end_ms * MS

    def act(self, word: str, a: int, b: int) -> None:
        venue = self.venue
        fates = list(venue.fates.values())
        fate = fates[a % len(fates)] if fates else None
        match word:
            case "wake":
                self.now_ns += a * 50 * MS
                self.on(Wake())
            case "market":
                self.tape += a * b
                self.on(Market(self.now_ns - (b % 4) * 100 * MS, 990 + a, 991 + a + b % 5, self.tape - b % 3))
            case "deliver" if venue.mail:
                at = a % len(venue.mail)
                self.on(venue.mail[at] if b % 3 == 0 else venue.mail.pop(at))
            case "pause":
                self.on(Pause())
            case "resume":
                self.on(Resume())
            case "stop" if b > 30:
                self.on(Cancel())
            case "amend" if b > 20:
                self.amended = True
                self.on(
                    Amend(
                        quantity=1 + a * 3 if b % 2 else None, end_ns=self.now_ns + (a - 5) * SECOND if b % 3 else None
                    )
                )
            case "cancel":
                venue.cancel(a, denied=False)
            case "refuse":
                venue.cancel(a, denied=True)
        if fate is not None:
            match word:
                case "trade":
                    venue.trade(fate, 1 + b // 4)
                case "accept":
                    venue.accept(fate)
                case "close":
                    venue.end(fate, ("cancelled", "expired", "rejected")[b % 3])
                case "deny":
                    venue.deny(fate)
                case "unknown":
                    venue.mail.append(OrderUnknown(fate.intent.intent_id))

    def settle(self) -> None:
        """The end passes, all evidence arrives, and the venue answers what is asked of it then."""
        self.now_ns = max(self.now_ns, self.start_end()) + 200 * SECOND
        self.on(Wake())
        for _ in range(20):
            for fate in list(self.venue.fates.values()):
                self.venue.end(fate, "cancelled")
            while self.venue.mail:
                self.on(self.venue.mail.pop())
            if self.parent.ended:
                return
            self.now_ns += 3600 * SECOND
            self.on(Wake())


@pytest.mark.parametrize("algo_type", ALGORITHMS)
@settings(max_examples=250)
@given(data=st.data(), quantity=st.integers(1, 120), start=st.integers(0, 3), share=st.floats(0, 1), actions=ACTIONS)
def test_any_events_in_any_order_keep_the_books_and_end_in_a_terminal_state(
    algo_type: AlgoType,
    data: st.DataObject,
    quantity: int,
    start: int,
    share: float,
    actions: list[tuple[str, int, int]],
) -> None:
    # pitfall 8, pitfall 9, pitfall 14, pitfall 16, pitfall 18, pitfall 37
    parent = parent_of(
        algo_type,
        quantity,
        10,
        min_qty=max(1, round(share * quantity)),
        start_ns=START_NS + start * SECOND,
        **data.draw(described(algo_type)),
    )
    storm = Storm(parent)
    storm.on(Market(START_NS, 999, 1001))
    for word, a, b in actions:
        storm.act(word, a, b)
    storm.settle()
    assert parent.ended
    assert parent.children.reserved == 0
    assert parent.children.filled == sum(fate.filled for fate in storm.venue.fates.values())
    report = parent.report()
    assert (report.status == "completed") == (parent.state is State.COMPLETED)
    if report.status == "completed":  # a fill may win the race against an amendment that takes its lots away
        assert report.filled_quantity == report.total_quantity or storm.amended
    if report.filled_quantity < report.total_quantity:
        assert report.unfilled_reason


# ---------------------------------------------------------------- one venue, the same answers


def _answers(plan: Sequence[tuple[int, int]]) -> Answer:
    """A venue whose answers depend on the number of the child only: (how much of it is filled, how late)."""
    taken: dict[str, float] = {}

    def answer(intent: OrderIntent, now_ns: int) -> list[tuple[int, Event]]:
        if intent.action == "cancel":
            target = intent.target_intent_id or ""
            return [(now_ns + 7 * MS, OrderClosed(target, "sim", "cancelled", taken.get(target, 0.0), now_ns))]
        number = int(intent.intent_id.rpartition("-")[2])
        tenths, late = plan[number % len(plan)]
        if tenths == 11:
            return [(now_ns, RiskDecision(intent.intent_id, False, "no"))]
        lots = intent.qty * tenths // 10
        taken[intent.intent_id] = lots
        if not lots:
            return []
        at = now_ns + late * MS
        return [(at, FillEvent(f"{number}", intent.intent_id, SYMBOL, intent.side, lots, 10.0, at))]

    return answer


ANSWERS = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 3)), min_size=1, max_size=8)
QUOTES = st.lists(
    st.tuples(st.integers(1, 11_000), st.integers(990, 1010), st.integers(1, 5), st.integers(0, 60)), max_size=20
)
"""Market updates: (when in ms, bid, spread, lots that traded since the one before)."""


def market_events(quotes: list[tuple[int, int, int, int]], side: Side = "buy") -> list[tuple[int, Event]]:
    """In order of time; for a sell the mirror image around 10.00."""
    tape = 0
    found: list[tuple[int, Event]] = []
    for ms, bid, width, lots in sorted(quotes):
        tape += lots
        sides = (bid, bid + width) if side == "buy" else (2000 - bid - width, 2000 - bid)
        at = START_NS + ms * MS
        found.append((at, Market(at, *sides, tape)))
    return found


@pytest.mark.parametrize("algo_type", ALGORITHMS)
@settings(max_examples=80)
@given(
    data=st.data(),
    quantity=st.integers(1, 200),
    answers=ANSWERS,
    quotes=QUOTES,
    extra=st.lists(st.integers(0, 20_000), max_size=30),
)
def test_more_wake_ups_change_nothing(
    algo_type: AlgoType,
    data: st.DataObject,
    quantity: int,
    answers: list[tuple[int, int]],
    quotes: list[tuple[int, int, int, int]],
    extra: list[int],
) -> None:
    arguments = data.draw(described(algo_type))

    def played(wakes: list[int]) -> object:
        parent = parent_of(algo_type, quantity, 10, **arguments)
        result = play_out(
            parent,
            _answers(answers),
            events=market_events(quotes),
            extra_wakes=[START_NS + at * MS for at in wakes],
        )
        return result.commands, parent.report()

    assert played(sorted(extra * 2)) == played([])


@pytest.mark.parametrize("algo_type", ALGORITHMS)
@settings(max_examples=80)
@given(data=st.data(), quantity=st.integers(1, 200), answers=ANSWERS, quotes=QUOTES)
def test_a_sell_is_the_mirror_image_of_a_buy(
    algo_type: AlgoType,
    data: st.DataObject,
    quantity: int,
    answers: list[tuple[int, int]],
    quotes: list[tuple[int, int, int, int]],
) -> None:
    arguments = data.draw(described(algo_type))
    limit = arguments.pop("limit_price")
    grid = Instrument(SYMBOL, tick="0.01")

    def played(side: Side) -> list[tuple[object, ...]]:
        worst = None if limit is None else limit if side == "buy" else round(20 - limit, 2)
        parent = parent_of(algo_type, quantity, 10, **{**arguments, "side": side}, limit_price=worst)
        result = play_out(parent, _answers(answers), events=market_events(quotes, side))

        def mirrored(price: float | None) -> int | None:
            ticks = None if price is None else grid.ticks(price)
            return ticks if ticks is None or side == "buy" else 2000 - ticks

        return [
            (one.intent_id, one.action, one.ts_local_ns, one.qty, one.type, mirrored(one.limit_price))
            for one in result.commands
        ]

    assert played("buy") == played("sell")


@pytest.mark.parametrize("algo_type", ALGORITHMS)
@settings(max_examples=60)
@given(data=st.data(), quantity=st.integers(1, 200), answers=ANSWERS, quotes=QUOTES)
def test_no_child_outlives_the_end_and_all_fills_are_those_of_children(
    algo_type: AlgoType,
    data: st.DataObject,
    quantity: int,
    answers: list[tuple[int, int]],
    quotes: list[tuple[int, int, int, int]],
) -> None:
    # pitfall 16, pitfall 35
    parent = parent_of(algo_type, quantity, 10, **data.draw(described(algo_type)))
    commands = play_out(parent, _answers(answers), events=market_events(quotes)).commands
    end_ns = START_NS + parent.plan.end_ms * MS
    new = {intent.intent_id: intent for intent in commands if intent.action == "new"}
    assert all(intent.ts_local_ns < end_ns for intent in new.values())
    asked = {intent.target_intent_id for intent in commands if intent.action == "cancel"}
    filled: dict[str, float] = dict.fromkeys(new, 0.0)
    for fill in parent.report().fills:
        filled[fill.order_id] += fill.qty
    denied = {line.partition(":")[0] for line in parent.report().denials}
    for name, intent in new.items():
        assert filled[name] == intent.qty or name in asked | denied  # all of them, not the first only
    assert sum(filled.values()) == parent.report().filled_quantity
    assert all(before.ts_local_ns <= after.ts_local_ns for before, after in pairwise(commands))


@pytest.mark.parametrize("algo_type", ["TWAP", "VWAP", "Iceberg"])
@settings(max_examples=100)
@given(data=st.data(), quantity=st.integers(1, 200), min_qty=st.integers(1, 40))
def test_a_venue_that_fills_everything_at_once_completes_every_parent_that_does_not_follow_volume(
    algo_type: AlgoType, data: st.DataObject, quantity: int, min_qty: int
) -> None:
    # pitfall 2, pitfall 4, pitfall 14: nothing is forgotten, and nothing waits for ever
    arguments = {**data.draw(described(algo_type)), "max_participation": None, "stale_seconds": 0, "catch_up": 1000}
    if algo_type == "Iceberg":
        del arguments["max_participation"]
    parent = parent_of(algo_type, quantity, 10, min_qty=min(min_qty, quantity), **arguments)
    commands = play_out(parent, filled_at_once).commands
    assert all(intent.qty >= parent.plan.min_lots for intent in commands)
    assert sum(intent.qty for intent in commands if intent.action == "new") == parent.children.filled
    if algo_type == "Iceberg":  # what is left may be too little to be an order, and too much for the display
        assert quantity - parent.children.filled < parent.plan.min_lots
    else:
        assert parent.state is State.COMPLETED
