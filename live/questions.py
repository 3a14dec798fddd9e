"""Which orders the venue must be asked about, and when: nothing is guessed, nothing is sent again without an answer.

An order whose request or answer was lost is asked about soon, one that is open and says nothing now and then, as news
may be missing, and each of them ever more seldom while nothing new comes of it. That a venue does not know an order
means something only once its request cannot arrive any more.

No I/O, and time is an argument: nanoseconds of a clock that never jumps, not those of the wall.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from live.orders import SentOrder, Standing

SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Waits in nanoseconds.

    answer_ns   for the first answer on an order that was sent, is unknown, was withdrawn, or lacks fills
    quiet_ns    for news of an order that is open
    most_ns     between two questions on one order; each wait is twice the one before, up to this
    arrival_ns  in which a request may still arrive: a venue that does not know an order is believed after it
    """

    answer_ns: int = SECOND
    quiet_ns: int = 30 * SECOND
    most_ns: int = 60 * SECOND
    arrival_ns: int = 5 * SECOND


@dataclass(slots=True)
class _Question:
    known: object  # what we knew of the order when we last looked
    withdrawal: object  # and how it was to be cancelled
    since_ns: int  # when this process first saw it
    due_ns: int
    wait_ns: int


class Questions:
    """Keeps count for the orders that may still trade; show it those before every use."""

    def __init__(self, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()
        self._open: dict[str, _Question] = {}

    def look(self, live: Iterable[SentOrder], now_ns: int) -> int | None:
        """Takes in what is known of the orders that may still trade; when to ask next, None: there is nobody to ask."""
        before, self._open = self._open, {}
        for order in live:
            name = order.intent.intent_id
            known = (order.standing, order.filled, order.total, order.withdrawal is not None)
            wait_ns = self._first_wait(order)
            question = before.get(name)
            if question is None:
                question = _Question(known, order.withdrawal, now_ns, now_ns + wait_ns, wait_ns)
            elif question.known != known:
                question.known, question.due_ns, question.wait_ns = known, now_ns + wait_ns, wait_ns
            elif question.withdrawal is not order.withdrawal:
                # Another request to cancel is nothing that we have heard: it puts off no question.
                question.due_ns, question.wait_ns = min(question.due_ns, now_ns + wait_ns), wait_ns
            question.withdrawal = order.withdrawal
            self._open[name] = question
        return min((question.due_ns for question in self._open.values()), default=None)

    def due(self, now_ns: int) -> list[str]:
        """The orders to ask about now, oldest first."""
        return [name for name, question in self._open.items() if question.due_ns <= now_ns]

    def at_once(self, now_ns: int) -> None:
        """All of them are due: after a restart, or when a connection is back."""
        for question in self._open.values():
            question.due_ns = now_ns

    def sent(self, intent_id: str) -> None:
        """It is on its way, perhaps once more: whatever was known of its absence is old."""
        self._open.pop(intent_id, None)

    def asked(self, intent_id: str, now_ns: int) -> None:
        """The venue was asked, and may have said something, nothing new, or nothing at all."""
        question = self._open.get(intent_id)
        if question is not None:
            question.due_ns = now_ns + question.wait_ns
            question.wait_ns = min(2 * question.wait_ns, self._patience.most_ns)

    def believes_absence(self, intent_id: str, now_ns: int) -> bool:
        """Whether "there is no such order" is an answer, and not only a request that is still on its way."""
        question = self._open.get(intent_id)
        return question is not None and now_ns - question.since_ns >= self._patience.arrival_ns

    def _first_wait(self, order: SentOrder) -> int:
        at_ease = order.standing is Standing.OPEN and order.withdrawal is None
        return self._patience.quiet_ns if at_ease else self._patience.answer_ns
