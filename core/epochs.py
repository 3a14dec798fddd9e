"""Who has been replaced: each start of a process gets a higher epoch, and what an older one says is refused.

A process that was held up for a while does not know that another one has taken over, and goes on where it was. So what
it sends carries its epoch in `meta`, whoever obeys it knows the highest one (`ctl.epoch`), and a lower one gets nothing
done. Journals and parents know nothing of this: an order is the same order whoever repeats it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from core import topics
from core.contracts import OrderIntent
from core.errors import FillwrightError

if TYPE_CHECKING:
    from core.bus import GroupBus

ROUTER: Final = "router"
RISK: Final = "risk"
META: Final = {ROUTER: "epoch", RISK: "gate_epoch"}  # where an order has the epochs of those who sent it on


class ReplacedError(FillwrightError):
    """A newer process of the same kind has taken over."""


class Fence:
    """The highest epochs that have been heard of, by kind of process."""

    def __init__(self) -> None:
        self._highest: dict[str, int] = {}

    def raise_to(self, kind: str, epoch: int) -> bool:
        """True where that is news."""
        if kind not in META or epoch <= self._highest.get(kind, 0):
            return False
        self._highest[kind] = epoch
        return True

    def refuses(self, intent: OrderIntent) -> str | None:
        """Why this order is not obeyed; None where it is. Of a kind that has announced nothing, nothing is needed."""
        for kind, highest in self._highest.items():
            epoch = intent.meta.get(META[kind])
            if type(epoch) is not int:
                return f"it does not say which {kind} sent it, and number {highest} is the current one"
            if epoch < highest:
                return f"{kind} number {epoch} is over, number {highest} has taken over"
        return None


def stamped(intent: OrderIntent, kind: str, epoch: int) -> dict[str, Any]:
    """An order as a message, with the epoch of its sender; 0 is a sender that has none."""
    payload = intent.to_dict()
    if epoch:
        payload["meta"] = {**payload["meta"], META[kind]: epoch}
    return payload


def without_epochs(intent: OrderIntent) -> OrderIntent:
    """The order itself, whoever sent it."""
    if intent.meta.keys().isdisjoint(META.values()):
        return intent
    return replace(intent, meta={name: value for name, value in intent.meta.items() if name not in META.values()})


async def announce(bus: GroupBus, kind: str, epoch: int) -> None:
    """Tells everybody that older processes of this kind are over."""
    await bus.publish_json(topics.EPOCH, {"of": kind, "epoch": epoch}, message_id=f"{topics.EPOCH}/{kind}/{epoch}")


def read_announcement(payload: dict[str, Any]) -> tuple[str, int]:
    """(kind, epoch). Raises ValueError for what is none."""
    kind, epoch = payload.get("of"), payload.get("epoch")
    if not isinstance(kind, str) or type(epoch) is not int:
        raise ValueError(f"an announcement has a word `of` and a whole number `epoch`, was {payload!r:.200}")
    return kind, epoch


async def until_replaced(news: AsyncIterator[dict[str, Any]], kind: str, epoch: int) -> None:
    """Hears `ctl.epoch` until it ends. Raises ReplacedError once a newer process of this kind has been announced."""
    async for one in news:
        if one.get("of") == kind and one.get("epoch", 0) > epoch:
            raise ReplacedError(
                f"another {kind} has taken over: this is start number {epoch}, that one number {one['epoch']}"
            )
