"""Ids are counters or derived from what they name; the same run makes the same ids."""

from __future__ import annotations

import hashlib


def execution_id(seed: int, strategy_id: str, parent_intent_id: str) -> str:
    """The id of the execution of a parent order: 12 letters and digits that tell the venue nothing.

    Ten of `[0-9a-f]` behind "x-", from the seed, the strategy and the parent's id: a restart derives the same one.
    """
    text = f"{seed}\x1f{strategy_id}\x1f{parent_intent_id}".encode()
    return f"x-{hashlib.blake2b(text, digest_size=5).hexdigest()}"


def child_id(execution: str, number: int) -> str:
    """The id of an execution's n-th child, which is also its client order id: `[a-z0-9-]{1,32}`."""
    return f"{execution}-{number}"


def cancel_id(target: str, attempt: int) -> str:
    """The id of the n-th request to cancel a child."""
    return f"{target}-c{attempt}"
