"""`fillwright serve cancel|pause|resume|amend|rearm`: what people may want of a trader that is split over processes.

Each is a message on the bus, kept there until the process that it is meant for takes it; a parent's report says what
came of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from core.console import DONE, print_json

F = TypeVar("F", bound=Callable[..., Any])


def _bus(command: F) -> F:
    for option in (
        click.option("--prefix", default="fillwright", show_default=True, help="Of all names on the server."),
        click.option("--bus", "url", default="redis://localhost/0", show_default=True, metavar="URL"),
    ):
        command = option(command)
    return command


@click.command("cancel")
@click.argument("name", metavar="ID")
@click.option("--reason", help="Stands in its report.")
@_bus
def cancel(name: str, reason: str | None, url: str, prefix: str) -> int:
    """End a parent; its open children are cancelled. ID is an order's or an execution's."""
    return _wish({"do": "cancel", "id": name, "reason": reason}, url, prefix)


@click.command("pause")
@click.argument("name", metavar="ID")
@click.option("--reason")
@_bus
def pause(name: str, reason: str | None, url: str, prefix: str) -> int:
    """Send nothing more of a parent for now; the schedule's clock runs on."""
    return _wish({"do": "pause", "id": name, "reason": reason}, url, prefix)


@click.command("resume")
@click.argument("name", metavar="ID")
@_bus
def resume(name: str, url: str, prefix: str) -> int:
    """Go on with a parent that was paused."""
    return _wish({"do": "resume", "id": name}, url, prefix)


@click.command("amend")
@click.argument("name", metavar="ID")
@click.option("--quantity", type=float, help="New total, what is filled included.")
@click.option("--duration", type=int, metavar="SECONDS", help="New length, from its start.")
@click.option("--limit-price", type=float, help="New limit.")
@_bus
def amend(
    name: str, quantity: float | None, duration: int | None, limit_price: float | None, url: str, prefix: str
) -> int:
    """Change a parent's quantity, length or limit."""
    if quantity is None and duration is None and limit_price is None:
        raise click.UsageError("say what to change: --quantity, --duration or --limit-price")
    asked = {"do": "amend", "id": name, "quantity": quantity, "duration_seconds": duration, "limit_price": limit_price}
    return _wish(asked, url, prefix)


@click.command("rearm")
@click.argument("key")
@click.option("--by", required=True, metavar="NAME", help="Who says so; it is written down.")
@click.option("--reason", required=True, metavar="TEXT", help="Why.")
@_bus
def rearm(key: str, by: str, reason: str, url: str, prefix: str) -> int:
    """Enable what the risk gate has disabled (R06, R16); the refusals name the KEY."""
    from core import topics

    return _send(topics.REARM, {"key": key, "by": by, "reason": reason}, url, prefix)


COMMANDS: Final = (cancel, pause, resume, amend, rearm)


def _wish(asked: dict[str, Any], url: str, prefix: str) -> int:
    from core import topics

    return _send(topics.PARENT, {name: value for name, value in asked.items() if value is not None}, url, prefix)


def _send(topic: str, payload: dict[str, Any], url: str, prefix: str) -> int:
    asyncio.run(_publish(topic, payload, url, prefix))
    print_json(payload)
    return DONE


async def _publish(topic: str, payload: dict[str, Any], url: str, prefix: str) -> None:
    from core.bus_redis import RedisStreamBus

    async with await RedisStreamBus.connect(url, prefix=prefix) as bus:
        await bus.publish_json(topic, payload)
