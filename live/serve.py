"""`fillwright serve`: the processes of a trader that is split over Redis Streams, one command each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from core.console import DONE, note, run
from live.serve_order import order
from live.serve_wish import COMMANDS

if TYPE_CHECKING:
    from core.bus_redis import RedisStreamBus
    from core.journal import Journal
    from live.serve_time import Beat, FollowedClock
    from live.session import Session
    from risk.kill import KillSwitch

F = TypeVar("F", bound=Callable[..., Any])
LEASE_S: Final = 2.0  # how long after its death another process takes over, where one stands by
DEFAULT_BUS: Final = "redis://localhost/0"

_path = click.Path(path_type=Path)


def _settings(command: F) -> F:
    for option in (
        click.option("--quiet", is_flag=True, help="No lines about starting and stopping."),
        click.option("--data-dir", default="data", show_default=True, type=_path, help="Where market data is stored."),
        click.option("--folder", help="Where journals go, in place of the settings'."),
        click.option(
            "--prefix", default="fillwright", show_default=True, help="Of all names on the server: one for each run."
        ),
        click.option("--bus", "url", default=DEFAULT_BUS, show_default=True, metavar="URL", help="The Redis server."),
        click.option(
            "--config", "config_file", default="config/live.yaml", show_default=True, type=_path, help="Settings, YAML."
        ),
    ):
        command = option(command)
    return command


@click.group()
def serve() -> None:
    """Run one process of a trader that is split over several, which talk over Redis Streams.

    Start them in any order, with the same settings. Each has a journal of its own and may be killed at any moment:
    started again, it goes on where it was. Ctrl-C and SIGTERM end it in order. docs/processes.md says who owns what.
    """


for command in (order, *COMMANDS):
    serve.add_command(command)


@serve.command()
@_settings
@click.option("--speed", type=float, help="Tape seconds per second, in place of the settings'.")
def broker(speed: float | None, **options: Any) -> int:
    """The paper venue, the market data, and the time."""
    return _serve("broker", _broker, speed=speed, **options)


@serve.command()
@_settings
def risk(**options: Any) -> int:
    """The risk gate: nothing reaches the broker but through it."""
    return _serve("risk", _risk, **options)


@serve.command()
@_settings
def router(**options: Any) -> int:
    """The parents at work."""
    return _serve("router", _router, **options)


@dataclass(frozen=True, slots=True)
class _Process:
    """What every one of them has."""

    name: str
    session: Session
    journal: Journal
    kill: KillSwitch
    bus: RedisStreamBus
    folder: Path
    speed: float
    say: Callable[[str], None]
    open: Callable[[Path], Journal]

    def entries(self, journal: Journal) -> list[dict[str, Any]]:
        from core.journal_read import read

        return [entry.data for entry in read(journal.folder)]

    @property
    def found(self) -> list[dict[str, Any]]:
        return self.entries(self.journal)


def _serve(
    name: str,
    job: Callable[[_Process], Coroutine[Any, Any, None]],
    *,
    config_file: Path,
    url: str,
    prefix: str,
    folder: str | None,
    data_dir: Path,
    quiet: bool,
    speed: float | None = None,
) -> int:
    """Opens everything, cheapest first, and serves until it is told to stop. Raises FillwrightError: one line."""
    from core.errors import ConfigError
    from core.journal import Journal
    from execution.stored import ensure_data
    from live.serve_run import until_stopped
    from live.session import open_session, read_files
    from live.settings import load_live
    from research.data_reader import DataReader
    from risk.kill import KillSwitch

    try:
        from core.bus_redis import RedisStreamBus
    except ModuleNotFoundError as error:
        raise ConfigError(f"the package {error.name} is not installed: pip install 'fillwright[redis]'") from error

    settings = load_live(config_file)
    files = read_files(settings)
    switch = files.limits.kill_switch_file
    if switch is None:
        raise ConfigError(f"{settings.risk_config}: kill_switch_file is not set, and without one nothing may trade")
    pace = speed if speed is not None else getattr(settings.feed, "speed", 1.0)
    if isinstance(pace, str) or not 0 < pace < float("inf"):
        raise ConfigError(f"--speed must be a number above 0, was {pace}: processes need a common time")
    base = Path(folder if folder is not None else settings.folder) / name
    ensure_data(data_dir, quiet=quiet)
    with ExitStack() as opened:

        def open_journal(path: Path) -> Journal:
            return opened.enter_context(Journal(path, fsync=settings.fsync))

        journal = open_journal(base / "journal")
        session = open_session(files, DataReader(data_dir))

        async def connected() -> None:
            async with await RedisStreamBus.connect(url, prefix=prefix, lease_s=LEASE_S) as bus:
                for warning in bus.warnings:
                    say(f"the server at {url}: {warning}")
                await until_stopped(
                    job(_Process(name, session, journal, KillSwitch(switch), bus, base, pace, say, open_journal))
                )
                say("stopped")

        def say(line: str) -> None:
            note(f"{name}: {line}", quiet=quiet)

        asyncio.run(connected())
    return DONE


async def _broker(process: _Process) -> None:
    from core.clock import WallClock
    from live import entries
    from live.serve_books import Books
    from live.serve_broker import BrokerService
    from live.serve_run import begin
    from live.serve_time import TapeClock

    session, found = process.session, process.found
    starts = [entry for entry in found if entry["k"] == entries.START]
    run_name = starts[0]["run"] if starts else f"{WallClock().now_ns():x}"
    limits = session.files.limits
    venue = session.instrument.venue or "paper"
    books = Books(venue, session.tape, process.journal, process.kill, max_age_s=limits.intents.max_age_s)
    books.restore(found)
    begin(process.journal, found, session.identity, run_name, books.now_ns)
    clock = TapeClock(books.now_ns, process.speed, asyncio.get_running_loop().time)
    process.say(f"ready, {len(books.open_orders)} orders open")
    await BrokerService(process.bus, books, process.journal, process.kill, clock, run_name=run_name).run()


async def _risk(process: _Process) -> None:
    from core import epochs, topics
    from core.contracts import QuoteEvent
    from live.serve_run import begin, first, last_epoch
    from risk.engine import RiskEngine
    from risk.gate import RiskGate

    session, found = process.session, process.found
    instrument, limits = session.instrument, session.files.limits
    clock, beat, following = await _time(process)
    starts = process.bus.subscribe(topics.EPOCH)
    epoch = await process.bus.next_epoch(epochs.RISK, last_epoch(found))
    gate = RiskGate(limits, kill=process.kill, instruments={instrument.symbol: instrument})
    engine = RiskEngine(
        process.bus,
        gate,
        [instrument.symbol],
        clock=clock,
        journal=process.journal,
        epoch=epoch,
        starts=starts,
        on_refused=lambda topic, why: process.say(f"{topic}: {why}"),
    )
    engine.recall(found)
    begin(process.journal, found, session.identity, beat.run, clock.now_ns(), epoch)
    # What has been waiting would be refused without a price.
    quote = QuoteEvent.from_dict(await anext(process.bus.subscribe(topics.quotes(instrument.symbol))))
    gate.on_price(instrument.symbol, quote.bid, quote.ask, quote.ts_ns)
    process.say("ready")
    await first(following, engine.run())


async def _router(process: _Process) -> None:
    from core import epochs, topics
    from live.routing import Routing
    from live.serve_router import RouterService
    from live.serve_run import begin, first, last_epoch

    session, found = process.session, process.found
    tape = process.open(process.folder / "tape")
    clock, beat, following = await _time(process)
    routing = Routing.of(session, process.journal)
    service = RouterService(
        process.bus,
        session.intake() if routing is None else routing.before(session),
        process.journal,
        tape,
        process.kill,
        clock,
        routing=routing,
        settings=session.market.venue.settings,
        switch_file=session.files.limits.kill_switch_file,
        starts=process.bus.subscribe(topics.EPOCH),
        on_refused=lambda topic, why: process.say(f"{topic}: {why}"),
    )
    service.recall(found, process.entries(tape))
    epoch = await process.bus.next_epoch(epochs.ROUTER, last_epoch(found))
    service.engine.epoch = begin(process.journal, found, session.identity, beat.run, clock.now_ns(), epoch)
    process.say(f"ready, {len(service.engine.unfinished())} parents at work")
    await first(following, service.run())


async def _time(process: _Process) -> tuple[FollowedClock, Beat, asyncio.Task[None]]:
    """The broker's clock, its first beat, and the job of following it. Raises BusError where the bus ends before."""
    from core import topics
    from live.serve_time import FollowedClock

    clock = FollowedClock(asyncio.get_running_loop().time)
    following = asyncio.create_task(clock.follow(process.bus.subscribe(topics.CLOCK)))
    process.say("waits for the broker")
    begun = asyncio.create_task(clock.begun())
    await asyncio.wait((following, begun), return_when=asyncio.FIRST_COMPLETED)
    if not begun.done():
        begun.cancel()
        await following  # the bus has ended: no beat will come
    return clock, await begun, following


if __name__ == "__main__":
    run(serve)
