"""The paper market of a live feed, and the session that trades in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core import config
from core.bars import Bars
from core.contracts import FillEvent
from core.errors import ConfigError, DataError
from core.instrument import Instrument
from core.journal_read import read
from execution.conditions import DAY_NS, WINDOW_DAYS
from execution.profile import VolumeHistory
from execution.stored import instrument_facts, program_version
from execution.ticks.feed import LiveFeed
from execution.ticks.venue import fill_statement
from live.live_tape import LiveTape, opening
from live.session import Files, Session
from live.settings import CcxtFeed
from research.dataset import Dataset
from research.times import SECOND_NS, iso

if TYPE_CHECKING:
    from core.clock import Clock
    from core.journal import Journal
    from live.ccxt_feed import Poller
    from research.data_reader import DataReader


@dataclass(frozen=True)
class LiveVenue:
    """What of a simulated market does not depend on how it goes on."""

    tape: LiveTape
    instrument: Instrument
    settings: dict[str, Any]
    volumes: VolumeHistory | None

    @property
    def executor_arguments(self) -> dict[str, Any]:
        return {"instrument": self.instrument}

    def bar_of(self, fill: FillEvent) -> int:
        """The minute in which an order was filled."""
        opens = [bar.ts_open_ns for bar in self.tape.minutes()]
        return max(0, int(np.searchsorted(opens, fill.ts_fill_ns, side="right")) - 1)


@dataclass(frozen=True)
class LiveMarket:
    """As `execution.stored.StoredMarket`, of a market that goes on."""

    dataset: Dataset
    instrument: Instrument
    venue: LiveVenue
    config_hash: str

    @property
    def bars(self) -> Bars:
        """The minutes so far, the one at hand included."""
        minutes = self.venue.tape.minutes()
        columns = {name: [getattr(bar, name) for bar in minutes] for name in ("open", "high", "low", "close", "volume")}
        return Bars(
            self.instrument.symbol,
            np.array([bar.ts_open_ns for bar in minutes], np.int64),
            np.array([bar.ts_close_ns for bar in minutes], np.int64),
            **{name: np.array(values, np.float64) for name, values in columns.items()},
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """What of the market was not seen."""
        tape = self.venue.tape
        found = [
            f"not there from {_second(since_ns)} to {_second(until_ns)}: what the market did then is not known"
            for since_ns, until_ns in tape.gaps
        ]
        if tape.missed:
            found.append(f"{tape.missed} times trades are missing: the exchange did not answer for all of the time")
        if tape.refused:
            found.append(f"{tape.refused} prices off the tick of {self.instrument.tick} were left out")
        return tuple(found)


def live_session(files: Files, reader: DataReader, log: Journal, clock: Clock, *, begins: bool) -> Session:
    """Goes on with the tape in `log`, or opens it: then the exchange must answer. `begins`: its trader is a new one.

    Raises DataError or ConfigError: one line; also for a new trader on an old tape, which would trade in the past.
    """
    feed = files.settings.feed
    assert isinstance(feed, CcxtFeed)
    if files.execution.routing.router is not None:
        raise ConfigError("routing.router needs stored data, which a live feed does not have: set it to null")
    lines: list[Mapping[str, Any]] = [entry.data for entry in read(log.folder)] if log.last else []
    if begins and len(lines) > 1:
        raise DataError(f"{log.folder} is of a trader whose journal is gone: name another folder with --folder")
    if not lines:
        from live.ccxt_feed import Exchange

        exchange = Exchange(feed)
        try:
            first = opening(feed.exchange, exchange.instrument(), clock.now_ns())
        finally:
            exchange.close()
        log.append(first)
        log.sync()
        lines = [first]
    return made_session(files, LiveTape(lines, log, files.execution.fills), _volumes(reader, feed, lines))


def made_session(files: Files, tape: LiveTape, volumes: VolumeHistory | None = None) -> Session:
    """A session on a tape, whether it still grows or not. Raises DataError where it is another market's."""
    feed, instrument = files.settings.feed, tape.instrument
    assert isinstance(feed, CcxtFeed)
    if (feed.exchange, feed.symbol) != (tape.exchange, instrument.symbol):
        raise DataError(
            f"{files.settings.tape_journal} is of {instrument.symbol} at {tape.exchange}, the feed of {feed.symbol} at "
            f"{feed.exchange}: name another folder with --folder"
        )
    config_hash = config.config_hash(
        {
            "strategies": {one.strategy_id: one.params for one in files.strategies},
            "execution": files.execution,
            "risk": files.limits,
            "instrument": instrument_facts(instrument),
        }
    )
    dataset = Dataset(tape.exchange, instrument.symbol, "quotes", synthetic=False, source=(f"ccxt {tape.exchange}",))
    settings = {
        "fill_model": fill_statement(LiveFeed(instrument.symbol, "quotes and trades"), files.execution.fills),
        "impact": "none: prices are what is displayed",
        "spread_source": "quotes of the feed",
        "vwap_source": "trades",
        "synthetic": False,
        "data": f"{instrument.symbol} at {tape.exchange}, live",
        "data_id": dataset.data_id,
        "config_hash": config_hash,
        "seed": files.settings.seed,
        "version": program_version(),
    }
    venue = LiveVenue(tape, instrument, settings, volumes)
    return Session(files, LiveMarket(dataset, instrument, venue, config_hash), tape)


def poller_of(session: Session) -> Poller:
    """What makes the tape of a session on a live feed grow; it knows the trades that the tape has."""
    from live.ccxt_feed import Exchange, Poller

    feed, tape = session.settings.feed, session.tape
    assert isinstance(feed, CcxtFeed)
    assert isinstance(tape, LiveTape)
    known = tuple(tape.known)
    return Poller(lambda: Exchange(feed, known), feed.poll_seconds)


def _volumes(reader: DataReader, feed: CcxtFeed, lines: Sequence[Mapping[str, Any]]) -> VolumeHistory | None:
    """When this market trades, from the bars that are stored of the days before the tape began; None without any."""
    first_ns = int(lines[0]["t"])
    try:
        bars = reader.bars(feed.symbol, "1m", first_ns - WINDOW_DAYS * DAY_NS, first_ns, venue=feed.exchange)
    except DataError:
        return None
    return VolumeHistory(bars)


def _second(ts_ns: int) -> str:
    return iso(ts_ns // SECOND_NS * SECOND_NS)
