"""One arm after the other until one works: what fails is written down; where none does, all reasons are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from operator import attrgetter
from typing import Any, Final, TypeVar

from core.contracts import OrderIntent
from core.frozen import FrozenDict
from execution.routing.decision import Decision

T = TypeVar("T")

_NAMES: Final = tuple(field.name for field in fields(OrderIntent))
_META: Final = _NAMES.index("meta")
_values = attrgetter(*_NAMES)


class RefusedError(ValueError):
    """No arm can work the parent; `decision` has every attempt."""

    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        super().__init__(f"no algorithm can work it: {'; '.join(decision.attempts)}")


def with_arm(intent: OrderIntent, arm: str, *, duration_s: int) -> OrderIntent:
    """The parent with its algorithm, urgency and duration filled in. Its own parameters go with its own algorithm only
    where that takes them; `params` of a parent that names no algorithm are for any."""
    meta: Mapping[str, Any] = intent.meta
    params = dict(meta.get("params", {}))
    algo, _, urgency = arm.partition(":")
    if urgency:
        params.setdefault("urgency", urgency)
    told = FrozenDict(meta, algo_type=algo, duration_seconds=duration_s, params=params)
    values = list(_values(intent))  # `replace` looks at every field anew, which costs as much again
    values[_META] = told
    return OrderIntent(*values)


def first_that_works(decision: Decision, arms: Sequence[str], make: Callable[[str], T]) -> tuple[Decision, T]:
    """What `make(arm)` gives for the first arm for which it does not raise, and the decision with what failed before.

    Raises RefusedError where none is left.
    """
    attempts: list[str] = []
    for arm in arms:
        try:
            made = make(arm)
        except Exception as error:  # noqa: BLE001 - whatever an executor does, the parent is not lost
            attempts.append(attempt(arm, error))
        else:
            return worked(decision, arm, attempts), made
    raise RefusedError(unworked(decision, attempts))


def attempt(arm: str, error: Exception) -> str:
    """One line: the arm and why not."""
    words = " ".join(str(error).split()) or type(error).__name__
    return f"{arm}: {words}" if isinstance(error, ValueError) else f"{arm}: {type(error).__name__}: {words}"


def worked(decision: Decision, arm: str, attempts: Sequence[str]) -> Decision:
    if arm == decision.drawn:
        return decision
    return replace(decision, arm=arm, decided_by="fallback", attempts=tuple(attempts))


def unworked(decision: Decision, attempts: Sequence[str]) -> Decision:
    return replace(decision, arm="", decided_by="nothing", attempts=tuple(attempts))
