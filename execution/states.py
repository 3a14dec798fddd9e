"""The states of a parent order and the legal moves between them, in one table."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class State(StrEnum):
    PENDING = "pending"  # its start has not come
    WORKING = "working"  # sends children as they fall due
    PAUSED = "paused"  # sends nothing; the clock of the schedule runs on
    AMENDING = "amending"  # waits until nothing is open, then works on under new terms
    CROSSING = "crossing"  # takes what is left before the end comes
    CLOSING = "closing"  # sends nothing, cancels, waits for the evidence
    COMPLETED = "completed"  # all of the quantity is filled
    CANCELLED = "cancelled"  # ended with a rest: by request or at the end of the horizon
    FAILED = "failed"  # ended with a rest: refused too often


ENDED: Final = frozenset({State.COMPLETED, State.CANCELLED, State.FAILED})

MOVES: Final[dict[State, frozenset[State]]] = {
    State.PENDING: frozenset({State.WORKING, State.PAUSED, State.AMENDING, State.CLOSING}),
    State.WORKING: frozenset({State.PAUSED, State.AMENDING, State.CROSSING, State.CLOSING, State.COMPLETED}),
    State.PAUSED: frozenset({State.WORKING, State.AMENDING, State.CLOSING, State.COMPLETED}),
    State.AMENDING: frozenset({State.WORKING, State.PAUSED, State.CLOSING, State.COMPLETED}),
    State.CROSSING: frozenset({State.PAUSED, State.AMENDING, State.CLOSING, State.COMPLETED}),
    State.CLOSING: frozenset({State.COMPLETED, State.CANCELLED, State.FAILED}),
    State.COMPLETED: frozenset(),
    State.CANCELLED: frozenset(),
    State.FAILED: frozenset(),
}


def check_move(old: State, new: State) -> State:
    """The new state; RuntimeError where the table does not know the move, which is an error of ours."""
    if new not in MOVES[old]:
        allowed = ", ".join(sorted(MOVES[old])) or "none, it has ended"
        raise RuntimeError(f"a parent cannot go from {old} to {new}; legal: {allowed}")
    return new
