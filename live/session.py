"""What a trader needs, from its settings: strategies, limits, the recorded market; and what of it must not change.

Everything that can be wrong is found here, before a line is written to the journal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from core import codec, config
from core.errors import ConfigError, FillwrightError
from core.instrument import Instrument
from execution.config import ExecutionConfig
from execution.config import load as load_execution
from execution.intake import Intake
from execution.profile import VolumeHistory
from execution.stored import StoredMarket, asked_period, instrument_facts, stored_market
from live.settings import LiveSettings, ReplayFeed, settings_file
from live.tape import BarTape, Tape
from research.data_reader import DataReader
from risk.limits import RiskLimits, load_limits
from strategies.base import Strategy
from strategies.registry import make

if TYPE_CHECKING:
    from execution.ticks.stored import StoredTicks
    from live.live_market import LiveMarket

MOST_DIFFERENCES: Final = 5  # that one line names


@dataclass(frozen=True, slots=True)
class Files:
    """What the files say: read before the data, because a slip in a file should not cost the wait for them."""

    settings: LiveSettings
    strategies: tuple[Strategy[Any], ...]
    execution: ExecutionConfig
    limits: RiskLimits


@dataclass(frozen=True, slots=True)
class Session:
    """Ready to trade."""

    files: Files
    market: StoredMarket | StoredTicks | LiveMarket
    tape: Tape

    @property
    def settings(self) -> LiveSettings:
        return self.files.settings

    @property
    def instrument(self) -> Instrument:
        return self.market.instrument

    @property
    def identity(self) -> dict[str, Any]:
        """What decides which orders are sent, as it stands in the journal; a restart must find the same."""
        settings, files = self.settings, self.files
        feed = {
            name: value
            for name, value in codec.to_dict(settings.feed).items()
            if name not in ("speed", "poll_seconds", "timeout_seconds")
        }
        arguments = self.market.venue.executor_arguments
        whole = {
            "feed": feed,
            "data_id": self.market.dataset.data_id,
            "seed": settings.seed,
            "capital": settings.capital,
            "strategies": {one.strategy_id: one.params for one in files.strategies},
            "execution": files.execution,
            "risk": files.limits,
            "instrument": instrument_facts(self.instrument),
            "arguments": {name: value for name, value in arguments.items() if name != "instrument"},
        }
        plain: dict[str, Any] = codec.from_json(codec.to_json(whole))
        return plain

    def intake(self) -> Intake:
        return intake_of(self.identity, self.market.venue.volumes)


def read_files(settings: LiveSettings, *, router: str | None = None) -> Files:
    """Strategies, execution and risk settings; `router` over the execution settings' `routing.router`.

    Raises FillwrightError: one line with the file or word at fault.
    """
    chosen = settings.strategies_config
    strategies_file = settings_file(chosen or "config/strategies.yaml")
    strategies = tuple(
        make(one.id, one.symbol, config_path=strategies_file, seed=settings.seed) for one in settings.strategies
    )
    execution = load_execution(settings_file(settings.execution_config))
    if router is not None:
        execution = replace(execution, routing=replace(execution.routing, router=router))
    return Files(settings, strategies, execution, load_limits(settings_file(settings.risk_config)))


def open_session(files: Files, reader: DataReader) -> Session:
    """Reads the data and makes the market. Raises DataError where the store does not have them.

    Of recorded data; `live.live_market.live_session` has the one of a live feed.
    """
    feed = files.settings.feed
    if not isinstance(feed, ReplayFeed):
        raise ConfigError("feed: this needs recorded data, which a feed of type ccxt is not; type: replay plays them")
    start_ns, end_ns = asked_period(feed.start, feed.end, "feed.start", "feed.end")
    seed = files.settings.seed
    identity = {
        "strategies": {one.strategy_id: one.params for one in files.strategies},
        "execution": files.execution,
        "risk": files.limits,
    }
    if feed.kind == "bars":
        market = stored_market(
            reader,
            feed.symbol,
            files.execution,
            start_ns=start_ns,
            end_ns=end_ns,
            venue_name=feed.venue,
            seed=seed,
            identity=identity,
        )
        return Session(files, market, BarTape(market.venue.market()))
    from execution.ticks.stored import stored_ticks
    from live.tick_tape import TickTape

    ticks = stored_ticks(
        reader,
        feed.symbol,
        files.execution,
        data=feed.kind,
        start_ns=start_ns,
        end_ns=end_ns,
        venue_name=feed.venue,
        seed=seed,
        identity=identity,
    )
    return Session(files, ticks, TickTape(ticks.venue))


def intake_of(identity: Mapping[str, Any], volumes: VolumeHistory | None) -> Intake:
    """Takes parents in as a process with this identity did, or does. Raises ConfigError where it cannot be read."""
    try:
        instrument = Instrument(**identity["instrument"])
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the journal's instrument cannot be read: {error}") from error
    return Intake(
        instrument=instrument,
        config=config.parse(identity["execution"], ExecutionConfig, source="the journal's execution settings"),
        volumes=volumes,
        arguments=dict(identity["arguments"]),
        seed=int(identity["seed"]),
    )


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs, one line each: "capital was 10000.0, is 20000.0"."""
    before, after = dict(_flat(then)), dict(_flat(now))
    names = [*before, *(name for name in after if name not in before)]
    return [
        f"{name} was {_said(before, name)}, is {_said(after, name)}"
        for name in names
        if before.get(name, _NOTHING) != after.get(name, _NOTHING)
    ]


class OtherSettingsError(FillwrightError):
    """A journal was written under other settings."""


def refuse_others(then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raises OtherSettingsError naming what differs; does nothing where nothing does."""
    found = differences(then, now)
    if found:
        more = f"; and {len(found) - MOST_DIFFERENCES} more" if len(found) > MOST_DIFFERENCES else ""
        raise OtherSettingsError(
            f"the journal was written under other settings: {'; '.join(found[:MOST_DIFFERENCES])}{more}. Restore them, "
            "name another folder with --folder, or go on with --accept-settings"
        )


_NOTHING = object()


def _said(values: Mapping[str, Any], name: str) -> str:
    return codec.to_json(values[name]).decode() if name in values else "not set"


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _flat(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from _flat(inner, f"{path}[{number}]")
    else:
        yield path, value
