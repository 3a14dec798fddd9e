"""`fillwright trade`: the paper trader, from its settings to the report of its run."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.console import DONE, FAILED, INTERRUPTED, Tracker, console, note, print_json, progress, run
from execution.routing.option import router_option

if TYPE_CHECKING:
    from core.clock import Clock
    from live.ccxt_feed import Poller
    from live.effects import Publish
    from live.settings import LiveSettings
    from live.sweep import Residue
    from live.trader import Trader

_path = click.Path(path_type=Path)


@click.command("trade")
@click.option(
    "--config", "config_file", default="config/live.yaml", show_default=True, type=_path, help="Settings, YAML."
)
@click.option("--replay", is_flag=True, help="Play recorded data even where the settings name a live feed.")
@click.option("--speed", metavar="N|max", help="Tape seconds per second; max: as fast as it goes.")
@click.option("--start", help="First day of the tape, or a time (UTC).")
@click.option("--end", help="Last day of the tape, included, or a time.")
@click.option("--folder", help="Where journals, socket and files go, in place of the settings'.")
@click.option("--orders", type=_path, help="Parents from a file, one JSON object a line.")
@router_option
@click.option("--data-dir", default="data", show_default=True, type=_path, help="Where the market data is stored.")
@click.option("--accept-settings", is_flag=True, help="Go on with a journal that was written under other settings.")
@click.option(
    "--report/--no-report", "wants_report", default=None, help="The HTML report.  [default: yes, not with --json]"
)
@click.option("--quiet", is_flag=True, help="No progress and no remarks; the table only.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary for machines instead of a table.")
def command(
    config_file: Path,
    replay: bool,
    speed: str | None,
    start: str | None,
    end: str | None,
    folder: str | None,
    orders: Path | None,
    router: str | None,
    data_dir: Path,
    accept_settings: bool,
    wants_report: bool | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Trade on paper: strategies, `fillwright order` and files put parents in, a simulated venue fills their children.

    Everything is in the journal before it happens: killed at any moment and started again, the trader goes on as if
    nothing had been. Where no market data is stored yet, the SYNTHETIC sample market is made first. SIGTERM and Ctrl-C
    do what `on_stop` says; a second one leaves at once. docs/operations.md is the runbook.

    \b
      fillwright trade --replay --speed max --start 2025-01-01 --end 2025-01-07
      fillwright trade --config config/live.yaml --speed 60
    """
    from live.settings import load_live, replayed, speed_of

    settings = load_live(config_file)
    if folder is not None:
        settings = replace(settings, folder=folder)
    if orders is not None:
        settings = replace(settings, orders=str(orders))
    if replay or speed or start or end:
        settings = replayed(settings, speed=speed_of(speed) if speed else None, start=start, end=end)
    return trade(
        settings,
        data_dir,
        router=router,
        accept_settings=accept_settings,
        report=not as_json if wants_report is None else wants_report,
        quiet=quiet,
        as_json=as_json,
    )


def trade(
    settings: LiveSettings,
    data_dir: Path,
    *,
    router: str | None = None,
    accept_settings: bool = False,
    report: bool = True,
    quiet: bool = False,
    as_json: bool = False,
) -> int:
    """Runs a trader to its end; the exit code. Raises FillwrightError: one line."""
    from core.clock import WallClock
    from core.journal import Fsync, Journal
    from core.journal_read import read
    from execution.run_files import check_writable
    from execution.stored import ensure_data
    from live.live_market import live_session, poller_of
    from live.live_tape import LiveTape
    from live.memory import set_aside
    from live.outcome import summary, table, write
    from live.service import Ending
    from live.session import open_session, read_files
    from live.settings import CcxtFeed
    from live.trader import Trader
    from live.wanted import read_wanted
    from research.data_reader import DataReader
    from risk.kill import KillSwitch

    files = read_files(settings, router=router)
    parents = () if settings.orders is None else read_wanted(Path(settings.orders), settings.feed.symbol)
    switch = files.limits.kill_switch_file
    if switch is None:
        from core.errors import ConfigError

        raise ConfigError(f"{settings.risk_config}: kill_switch_file is not set, and without one nothing may trade")
    check_writable(settings.run, "--folder")
    if not isinstance(settings.feed, CcxtFeed):
        ensure_data(data_dir, quiet=quiet or as_json)
    clock = WallClock()
    said: deque[Publish] = deque()
    with ExitStack() as opened:
        journal = opened.enter_context(Journal(settings.journal, fsync=settings.fsync))
        safe: Fsync = "never" if settings.fsync == "never" else "always"  # a venue does not forget what it has answered
        venue_journal = opened.enter_context(Journal(settings.venue_journal, fsync=safe))
        if isinstance(settings.feed, CcxtFeed):
            tape = opened.enter_context(Journal(settings.tape_journal, fsync=safe))
            session = live_session(files, DataReader(data_dir), tape, clock, begins=not journal.last)
        else:
            session = open_session(files, DataReader(data_dir))
        trader = Trader(
            session,
            journal,
            venue_journal.append,
            kill=KillSwitch(switch),
            orders=parents,
            publish=said.append,
            together=venue_journal.together,
        )
        written = (entry.data for entry in read(settings.journal)) if journal.last else ()
        venue_lines = [entry.data for entry in read(settings.venue_journal)] if venue_journal.last else []
        resumed = trader.open(written, venue_lines, accept_settings=accept_settings)
        if resumed:
            note(f"goes on at {_when(trader)}, start number {trader.engine.epoch}", quiet=quiet or as_json)
        feed = None
        if isinstance(session.tape, LiveTape):
            if resumed:
                slept_ns = session.tape.slept(trader.now_ns, clock.now_ns())
                note(f"nothing is known of the market of the {_length(slept_ns)} before", quiet=quiet or as_json)
            feed = poller_of(session)
        set_aside()
        ending = asyncio.run(_run(trader, said, clock, feed, quiet=quiet or as_json))
        trader.close(ending.value)
        found = summary(trader)
        residue = [order.intent_id for order in trader.venue.open_orders()] if trader.engine.killed else []
        if ending is Ending.AT_ONCE:
            note(f"left at once; {found['by_status']['running']} parents are at work", quiet=quiet)
            return INTERRUPTED
        index = None
        if ending is not Ending.LEFT:
            write(trader, settings.run)
            if report and found["parents"]:
                index = _report(settings.run, data_dir, quiet=quiet or as_json)
        if as_json:
            print_json({**found, "ending": ending.name.lower(), "residue": residue, "output_dir": str(settings.run)})
        else:
            _show(trader, table(trader, found), found["why"], settings, ending.value, index, quiet=quiet)
        for name in residue:
            note(f"killed, and the venue still shows {name} open: cancel it there by hand")
        if trader.engine.killed:
            note(
                f"error: the kill switch is {trader.kill.status()}; nothing new is traded until "
                "`fillwright kill clear --by NAME --reason TEXT`"
            )
            return FAILED
    return DONE


async def _run(trader: Trader, said: deque[Publish], clock: Clock, feed: Poller | None, *, quiet: bool) -> Any:
    from core.bus import InMemoryBus
    from live.service import Service

    tape = trader.session.tape
    total = None if tape.last_ns is None else tape.last_ns - tape.first_ns
    with progress("trading", total=total, quiet=quiet) as bar:
        bus = InMemoryBus()
        service = Service(
            trader,
            bus,
            said,
            clock=clock,
            on_look=Watcher(bar).look,
            on_residue=_residue,
            feed=feed,
            on_feed=lambda line: note(line, quiet=quiet),
        )
        try:
            return await service.run()
        finally:
            await bus.close()


class Watcher:
    """The line that people see: tape time, parents, fills, position, killed."""

    def __init__(self, bar: Tracker) -> None:
        self._bar = bar
        self._looks = 0

    def look(self, trader: Trader) -> None:
        self._looks += 1
        if self._bar.shown and self._looks % 10 == 1:
            held = sum(trader.ledger.positions().values())
            working = len(trader.engine.unfinished())
            killed = " [KILLED]" if trader.engine.killed else ""
            self._bar.title(f"{_when(trader)} working {working} fills {len(trader.fills)} position {held:.6g}{killed}")
            self._bar.at(trader.now_ns - trader.session.tape.first_ns)


def _residue(residue: Residue) -> None:
    note(f"killed, and not everything is withdrawn yet: {residue}")


def _when(trader: Trader) -> str:
    from research.times import SECOND_NS, iso

    return iso(trader.now_ns // SECOND_NS * SECOND_NS)


def _length(ns: int) -> str:
    seconds = ns / 1e9
    return f"{seconds:,.1f} s" if seconds < 120 else f"{seconds / 60:,.0f} min"


def _report(folder: Path, data_dir: Path, *, quiet: bool) -> Path:
    from execution.report.command import REPORT, write
    from execution.report.run import open_run

    return write(open_run(folder, data_dir=data_dir), folder / REPORT, quiet=quiet)


def _show(
    trader: Trader,
    shown: Any,
    reasons: list[dict[str, Any]],
    settings: LiveSettings,
    why: str,
    index: Path | None,
    *,
    quiet: bool,
) -> None:
    screen = console()
    screen.print(shown)
    for one in reasons:
        screen.print(f"{one['parents']:,} {one['status']}: {one['reason']}", markup=False)
    if not quiet:
        for remark in trader.session.market.remarks:
            screen.print(remark, style="dim", markup=False)
    screen.print(f"ended: {why}", markup=False)
    screen.print(f"journal: {settings.journal}", markup=False, soft_wrap=True)
    if index is not None:
        screen.print(f"written to {settings.run}, report: {index}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    run(command)
