"""The option `--router`, of every command that puts parents to work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def _checked(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    from execution.routing.settings import ROUTERS, check_arm

    if value is not None:
        try:
            check_arm("--router", value, *ROUTERS)
        except ValueError as error:
            raise click.BadParameter(str(error).removeprefix("--router ")) from error
    return value


def router_option(command: F) -> F:
    """`router`: rules, learn, or an arm; None where it is not given."""
    option = click.option(
        "--router",
        callback=_checked,
        metavar="WHO",
        help="Who chooses how each parent is worked: rules, learn, or an algorithm for all of them.",
    )
    return option(command)
