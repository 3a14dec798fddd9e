"""`fillwright serve order`: a parent for a trader that is split over processes, over the bus."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from core.console import DONE, FAILED, print_json


@click.command()
@click.option("--id", "name", required=True, help="Your id for it: sending it again is no harm.")
@click.option("--symbol", required=True)
@click.option("--side", required=True, type=click.Choice(["buy", "sell"]))
@click.option("--quantity", required=True, type=float, help="Base currency.")
@click.option("--algo", type=click.Choice(["TWAP", "VWAP", "Iceberg", "POV", "IS"]), help="[default: the settings']")
@click.option("--duration", type=int, metavar="SECONDS", help="How long it may take.  [default: the settings']")
@click.option("--limit-price", type=float, help="Pays no more, takes no less.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the algorithm.")
@click.option("--wait", is_flag=True, help="Print the report when it has ended; exit code 1 where it is not completed.")
@click.option("--bus", "url", default="redis://localhost/0", show_default=True, metavar="URL")
@click.option("--prefix", default="fillwright", show_default=True, help="Of all names on the server.")
@click.option("--config", "config_file", default="config/live.yaml", show_default=True, type=click.Path(path_type=Path))
def order(
    name: str,
    symbol: str,
    side: Any,
    quantity: float,
    algo: Any,
    duration: int | None,
    limit_price: float | None,
    params: tuple[str, ...],
    wait: bool,
    url: str,
    prefix: str,
    config_file: Path,
) -> int:
    """Send a parent order over the bus; it is kept there until a router takes it."""
    from core.ids import execution_id
    from live.order_command import parameter_of
    from live.settings import load_live
    from live.wanted import PEOPLE, Wanted

    try:
        wanted = Wanted(name, symbol, side, quantity, algo, duration, limit_price, dict(map(parameter_of, params)))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    execution = execution_id(load_live(config_file).seed, PEOPLE, name)
    report = asyncio.run(_send(wanted.intent(0).to_dict(), execution, url, prefix, wait=wait))
    print_json({"id": name, "execution_id": execution} if report is None else report)
    return DONE if report is None or report["status"] == "completed" else FAILED


async def _send(payload: dict[str, Any], execution: str, url: str, prefix: str, *, wait: bool) -> dict[str, Any] | None:
    from core import topics
    from core.bus_redis import RedisStreamBus

    async with await RedisStreamBus.connect(url, prefix=prefix) as bus:
        reports = bus.subscribe(topics.REPORT)
        await bus.publish_json(topics.PARENT, payload)  # routers know parents by their ids
        if wait:
            async for report in reports:
                if report["execution_id"] == execution:
                    return report
    return None
