"""`fillwright kill`: the kill switch by hand, in a process of its own: it works when the trader hangs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from core.console import DONE, FAILED, console, note, print_json, run

if TYPE_CHECKING:
    from risk.kill import KillSwitch

F = TypeVar("F", bound=Callable[..., Any])
SHOWN = 10  # lines of history

_path = click.Path(path_type=Path)


def _where(command: F) -> F:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON for machines instead of text."),
        click.option("--config", type=_path, help="The risk limits that name it.  [default: config/risk.yaml]"),
        click.option("--file", type=_path, help="The switch itself.  [default: kill_switch_file of the limits]"),
    ):
        command = option(command)
    return command


def _who(command: F) -> F:
    for option in (
        click.option("--reason", required=True, metavar="TEXT", help="Why; it stays on record."),
        click.option("--by", required=True, metavar="NAME", help="Who you are; it stays on record."),
    ):
        command = option(command)
    return command


@click.group()
def kill() -> None:
    """Stop all trading at once, and start it again.

    The switch is a file that every risk gate looks at before every order; a file that cannot be read counts as
    tripped. It stays tripped, over restarts too, until somebody clears it by name and reason.
    """


@kill.command()
@_who
@_where
def trip(by: str, reason: str, file: Path | None, config: Path | None, as_json: bool) -> int:
    """Shut every gate. Traders withdraw what is open as soon as they notice.

    The exit code is 0 once the switch is tripped and everybody who should has been told, else 1.
    """
    from core.clock import WallClock
    from core.errors import FillwrightError

    switch, bus = _switch(file, config)
    now_ns = WallClock().now_ns()
    _on_record(lambda: switch.trip(by, reason, now_ns))
    untold = None
    if bus is not None:
        from risk.engine import announce_kill

        try:
            announce_kill(bus, by, reason, now_ns)
        except (FillwrightError, OSError) as error:
            untold = str(error)
    _show(switch, as_json, bus=bus, untold=untold)
    if untold is not None:
        note(f"the switch is tripped, but the bus could not be told: {untold}")
    return DONE if untold is None else FAILED


@kill.command()
@_who
@_where
def clear(by: str, reason: str, file: Path | None, config: Path | None, as_json: bool) -> int:
    """Let orders pass again. Nobody starts again what was cancelled."""
    from core.clock import WallClock

    switch, _ = _switch(file, config)
    _on_record(lambda: switch.clear(by, reason, WallClock().now_ns()))
    _show(switch, as_json)
    return DONE


@kill.command()
@_where
def status(file: Path | None, config: Path | None, as_json: bool) -> int:
    """Whether it is tripped, by whom and why, and what was done with it before.

    The exit code is 0 where orders may pass, and 1 where the switch is tripped or cannot be read.
    """
    switch, _ = _switch(file, config)
    _show(switch, as_json, history=True)
    return FAILED if switch.tripped() else DONE


def _switch(file: Path | None, config: Path | None) -> tuple[KillSwitch, str | None]:
    """The switch, and the bus that is told too. With --file no limits are read, unless they are named."""
    from core import config as settings
    from core.errors import ConfigError
    from risk.kill import KillSwitch
    from risk.limits import load_limits

    if file is not None and config is None:
        return KillSwitch(file), None
    named = config or settings.find("risk.yaml")
    if named is None:
        raise ConfigError("config/risk.yaml does not exist: name the switch with --file")
    limits = load_limits(named)
    switch = file or limits.kill_switch_file
    if switch is None:
        raise ConfigError(f"{named}: kill_switch_file is not set: name the switch with --file")
    return KillSwitch(switch), limits.kill_bus


def _on_record(act: Callable[[], object]) -> None:
    """A name, a reason or a state that will not do is one line."""
    from core.errors import FillwrightError

    try:
        act()
    except ValueError as error:
        raise FillwrightError(str(error)) from error


def _history(switch: KillSwitch) -> list[dict[str, Any]]:
    """What the log says, oldest first; a line that cannot be read is shown as it is."""
    try:
        lines = switch.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    history = []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        history.append(entry if isinstance(entry, dict) else {"unreadable": line})
    return history


def _show(switch: KillSwitch, as_json: bool, *, history: bool = False, **more: object) -> None:
    state = switch.status()
    past = _history(switch) if history else []
    if as_json:
        told = {"history": past} if history else {}
        print_json({"file": str(switch.path), **asdict(state), **told, **more})
        return
    out = console()
    when = "" if state.ts_ns is None else f" at {_moment(state.ts_ns)}"
    out.print(f"{switch.path}: {state}{when}", markup=False, highlight=False, soft_wrap=True)
    for entry in past[-SHOWN:]:
        out.print(f"  {_line(entry)}", markup=False, highlight=False, soft_wrap=True)
    if len(past) > SHOWN:
        out.print(f"  {len(past) - SHOWN} more before that in {switch.log_path}", markup=False, highlight=False)


def _line(entry: dict[str, Any]) -> str:
    if "unreadable" in entry:
        return f"cannot be read: {entry['unreadable']}"
    return f"{_moment(entry.get('ts_ns'))}  {entry.get('action')} by {entry.get('by')}: {entry.get('reason')}"


def _moment(ts_ns: object) -> str:
    from datetime import UTC, datetime

    if type(ts_ns) is not int:
        return "-"
    try:
        return datetime.fromtimestamp(ts_ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"{ts_ns} ns"


if __name__ == "__main__":
    run(kill)
