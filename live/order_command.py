"""`fillwright order`: parents of a running trader, from another process."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from core.console import DONE, FAILED, console, note, print_json, run
from core.errors import ConfigError

POLL_S = 0.2
C = TypeVar("C", bound=Callable[..., Any])


def _where(command: C) -> C:
    """The options that every command has."""
    path = click.Path(path_type=Path)
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the trader's answer for machines."),
        click.option("--folder", help="The trader's folder, in place of the settings'."),
        click.option(
            "--config", "config_file", default="config/live.yaml", show_default=True, type=path, help="Settings."
        ),
    ):
        command = option(command)
    return command


class Length(click.ParamType[int]):
    """`30m`, `4h`, `1d`, or seconds, as whole seconds."""

    name = "length"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from research.times import SECOND_NS, timeframe_ns

        text = str(value)
        try:
            return int(text) if text.isdecimal() else timeframe_ns(text) // SECOND_NS
        except ConfigError:
            self.fail(f"must be seconds, or a number and s, m, h or d, such as 4h, was {text!r}", param, ctx)


@click.group("order")
def order() -> None:
    """Send orders to a running trader, look at them, change and end them.

    What is asked for is in the trader's journal before it answers. An order has an id: sent twice, it is worked once.

    \b
      fillwright order new --id o-1 --symbol ATOM/USDT --side buy --quantity 120 --algo TWAP --duration 600
      fillwright order list
      fillwright order amend o-1 --quantity 80
      fillwright order cancel o-1
    """


@order.command("new")
@click.option("--id", "name", help="Your id for it: sending it again is no harm.  [default: order-1, order-2, ...]")
@click.option("--symbol", required=True)
@click.option("--side", required=True, type=click.Choice(["buy", "sell"]))
@click.option("--quantity", required=True, type=float, help="Base currency.")
@click.option("--algo", type=click.Choice(["TWAP", "VWAP", "Iceberg", "POV", "IS"]), help="[default: the settings']")
@click.option("--duration", type=Length(), help="How long it may take, such as 4h.  [default: the settings']")
@click.option("--limit-price", type=float, help="Pays no more, takes no less.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the algorithm.")
@click.option("--wait", is_flag=True, help="Return when it has ended; exit code 1 where it was not completed.")
@_where
def new(
    name: str | None,
    symbol: str,
    side: str,
    quantity: float,
    algo: str | None,
    duration: int | None,
    limit_price: float | None,
    params: tuple[str, ...],
    wait: bool,
    config_file: Path,
    folder: str | None,
    as_json: bool,
) -> int:
    """Put a parent to work."""
    asked = {
        "id": name or "",
        "symbol": symbol,
        "side": side,
        "quantity": quantity,
        "algo": algo,
        "duration_seconds": duration,
        "limit_price": limit_price,
        "params": dict(map(parameter_of, params)),
    }
    ask = _asker(config_file, folder)
    answer = ask({"do": "new", "order": asked})
    if answer["known"]:
        note(f"{answer['parent']['id']} was known before: it is worked once", quiet=as_json)
    while wait and not answer["parent"]["ended"]:
        time.sleep(POLL_S)
        answer |= {"parent": ask({"do": "show", "id": answer["parent"]["execution_id"]})["parent"]}
    _print(answer, as_json)
    parent = answer["parent"]
    refused = parent["status"] == "failed" and not parent["filled"]
    return FAILED if refused or (wait and parent["status"] != "completed") else DONE


@order.command("list")
@_where
def list_(config_file: Path, folder: str | None, as_json: bool) -> None:
    """All parents, those of strategies too."""
    _print(_asker(config_file, folder)({"do": "list"}), as_json)


@order.command("show")
@click.argument("name", metavar="ID")
@_where
def show(name: str, config_file: Path, folder: str | None, as_json: bool) -> None:
    """One parent, with its open children and its fills. ID is an order's or an execution's."""
    answer = _asker(config_file, folder)({"do": "show", "id": name})
    _print(answer, as_json)
    if not as_json:
        for child in answer["children"]:
            price = "market" if child["limit_price"] is None else f"limit {child['limit_price']:g}"
            console().print(f"{child['standing']}: {child['id']} {child['qty']:g} {price}, {child['filled']:g} filled")
        for fill in answer["fills"]:
            console().print(f"fill: {fill['fill_id']} {fill['qty']:g} at {fill['price']:g}")


@order.command("cancel")
@click.argument("name", metavar="ID")
@click.option("--reason", help="Stands in its report.")
@_where
def cancel(name: str, reason: str | None, config_file: Path, folder: str | None, as_json: bool) -> None:
    """End a parent; its open children are cancelled."""
    _print(_asker(config_file, folder)({"do": "cancel", "id": name, "reason": reason}), as_json)


@order.command("pause")
@click.argument("name", metavar="ID")
@click.option("--reason")
@_where
def pause(name: str, reason: str | None, config_file: Path, folder: str | None, as_json: bool) -> None:
    """Send nothing more for now; the schedule's clock runs on."""
    _print(_asker(config_file, folder)({"do": "pause", "id": name, "reason": reason}), as_json)


@order.command("resume")
@click.argument("name", metavar="ID")
@_where
def resume(name: str, config_file: Path, folder: str | None, as_json: bool) -> None:
    """Go on with a parent that was paused."""
    _print(_asker(config_file, folder)({"do": "resume", "id": name}), as_json)


@order.command("amend")
@click.argument("name", metavar="ID")
@click.option("--quantity", type=float, help="New total, what is filled included.")
@click.option("--duration", type=Length(), help="New length, from its start.")
@click.option("--limit-price", type=float, help="New limit; 0: none.")
@_where
def amend(
    name: str,
    quantity: float | None,
    duration: int | None,
    limit_price: float | None,
    config_file: Path,
    folder: str | None,
    as_json: bool,
) -> None:
    """Change a parent's quantity, length or limit."""
    if quantity is None and duration is None and limit_price is None:
        raise click.UsageError("say what to change: --quantity, --duration or --limit-price")
    asked = {"do": "amend", "id": name, "quantity": quantity, "duration_seconds": duration, "limit_price": limit_price}
    _print(_asker(config_file, folder)(asked), as_json)


@order.command("rearm")
@click.argument("key", required=False)
@click.option("--by", metavar="NAME", help="Who says so; it is written down.")
@click.option("--reason", metavar="TEXT", help="Why.")
@_where
def rearm(
    key: str | None, by: str | None, reason: str | None, config_file: Path, folder: str | None, as_json: bool
) -> None:
    """Enable what the risk gate has disabled: a strategy's orders (R06), or all of them (R16).

    Without a KEY it says what is disabled. With one, it takes a name and a reason.
    """
    if key is not None and not (by and reason):
        raise click.UsageError("to re-arm takes --by and --reason")
    answer = _asker(config_file, folder)({"do": "rearm", "key": key, "by": by, "reason": reason})
    if as_json:
        print_json(answer)
        return
    for name, why in answer["disabled"].items():
        console().print(f"{name}: {why}")
    if not answer["disabled"]:
        console().print("nothing is disabled")


def _asker(config_file: Path, folder: str | None) -> Callable[[dict[str, Any]], dict[str, Any]]:
    from dataclasses import replace
    from functools import partial

    from live.client import ask
    from live.settings import load_live

    settings = load_live(config_file)
    if folder is not None:
        settings = replace(settings, folder=folder)
    return partial(ask, settings.socket_path)


def parameter_of(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not (sign and name):
        raise click.BadParameter(f"must be NAME=VALUE, was {text!r}", param_hint="--param")
    from core.codec import from_json

    try:
        return name, from_json(value)
    except ValueError:
        return name, value  # a word: limit_then_cross


def _print(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    from live.parents_table import parents_table

    console().print(parents_table(answer["parents"] if "parents" in answer else [answer["parent"]]))


if __name__ == "__main__":
    run(order)
