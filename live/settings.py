"""config/live.yaml: what a trader trades, on which market, and what it does when it starts and stops."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from core import checks
from core.config import find, load
from core.errors import ConfigError

MAX: Final = "max"
OnRestart = Literal["resume", "cancel", "flatten"]
OnStop = Literal["resume", "cancel", "finish"]
Kind = Literal["bars", "trades", "quotes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySettings:
    """A strategy by its id, or `package.module:ClassName`; the symbol must be the feed's."""

    id: str
    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayFeed:
    """Recorded data, played again: start <= time < end, a day as `end` included. `speed`: tape seconds per second."""

    type: Literal["replay"] = "replay"
    symbol: str
    kind: Kind = "bars"
    start: str | None = None
    end: str | None = None
    speed: float | Literal["max"] = 60.0
    venue: str | None = None

    def __post_init__(self) -> None:
        if self.speed != MAX:
            checks.positive("speed", self.speed)


@dataclass(frozen=True, slots=True, kw_only=True)
class CcxtFeed:
    """Trades and quotes of an exchange, polled every `poll_seconds` through ccxt; orders stay on paper.

    timeout_seconds  after which a request counts as failed and is made again
    endpoint         scheme and host in place of the exchange's own, for proxies and testnets
    """

    type: Literal["ccxt"] = "ccxt"
    exchange: str
    symbol: str
    poll_seconds: float = 1.0
    timeout_seconds: float = 5.0
    endpoint: str | None = None

    def __post_init__(self) -> None:
        checks.positive("poll_seconds", self.poll_seconds)
        checks.positive("timeout_seconds", self.timeout_seconds)


Feed = ReplayFeed | CcxtFeed


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings:
    """folder      where journals, the socket and the files of a run go
    on_restart  what becomes of parents that were at work when the last process ended: `resume` them, `cancel` them,
                or `flatten`: cancel them and trade every strategy's position back to nothing
    on_stop     what SIGTERM and Ctrl-C do: leave everything for a restart to `resume`, `cancel` all parents and wait
                for the venue, or `finish` them and take no more
    fsync       as in `core.journal`: `on_sync` makes durable what is about to be acted on, `never` expects no power cut
    socket      where `fillwright order` asks; relative to `folder`
    bus         `memory`: inside this process
    orders      a file of parents, one JSON object a line
    """

    folder: str = "var/live"
    seed: int = 0
    capital: float = 10_000.0
    strategies: tuple[StrategySettings, ...] = ()
    strategies_config: str | None = None
    execution_config: str = "config/execution.yaml"
    risk_config: str = "config/risk.yaml"
    feed: ReplayFeed | CcxtFeed = field(default_factory=lambda: ReplayFeed(symbol="ATOM/USDT"))
    on_restart: OnRestart = "resume"
    on_stop: OnStop = "resume"
    fsync: Literal["always", "on_sync", "never"] = "on_sync"
    socket: str = "trader.sock"
    bus: Literal["memory"] = "memory"
    orders: str | None = None

    def __post_init__(self) -> None:
        checks.positive("capital", self.capital)
        for name in ("folder", "socket"):
            checks.named(name, getattr(self, name))
        ids = [one.id for one in self.strategies]
        for name in ids:
            if ids.count(name) > 1:
                raise ValueError(f"strategies has {name!r} more than once: one account, one opinion")
        for one in self.strategies:
            if one.symbol != self.feed.symbol:
                raise ValueError(
                    f"strategies has {one.id!r} on {one.symbol}, but the feed is of {self.feed.symbol}: "
                    "a trader has one symbol, start one for each"
                )

    @property
    def journal(self) -> Path:
        return Path(self.folder) / "journal"

    @property
    def venue_journal(self) -> Path:
        return Path(self.folder) / "venue"

    @property
    def tape_journal(self) -> Path:
        """What a live feed brought."""
        return Path(self.folder) / "tape"

    @property
    def run(self) -> Path:
        return Path(self.folder) / "run"

    @property
    def socket_path(self) -> Path:
        return Path(self.folder) / self.socket


def load_live(path: Path | str) -> LiveSettings:
    """Raises ConfigError: one line."""
    return load(settings_file(path), LiveSettings)


def settings_file(path: Path | str) -> Path:
    """The file; where `config/NAME` is not in this folder, the one of that name that came with the installation."""
    file = Path(path)
    if file.exists() or file.parent != Path("config"):
        return file
    return find(file.name) or file


def replayed(
    settings: LiveSettings,
    *,
    speed: float | Literal["max"] | None = None,
    start: str | None = None,
    end: str | None = None,
) -> LiveSettings:
    """The same with recorded data; what is given wins over the file.

    A live feed becomes the tape of its symbol's bars. Raises ConfigError for a speed that is not above 0.
    """
    feed = settings.feed
    tape = feed if isinstance(feed, ReplayFeed) else ReplayFeed(symbol=feed.symbol)
    given = {"speed": speed, "start": start, "end": end}
    try:
        tape = replace(tape, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValueError as error:
        raise ConfigError(f"--{error}") from error
    return replace(settings, feed=tape)


def speed_of(text: str) -> float | Literal["max"]:
    """What --speed says. Raises ConfigError for anything but `max` and a number above 0."""
    if text == MAX:
        return MAX
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise ConfigError(f"--speed must be a number above 0 or {MAX}, was {text!r}")
    return speed
