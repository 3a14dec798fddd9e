"""A simulated market out of the store: the data, what is known of the instrument, and the venue made of both."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from core import config
from core.bars import Bars
from core.console import note, progress
from core.errors import ConfigError, DataError
from core.instrument import Instrument
from execution.conditions import DAY_NS, WINDOW_DAYS
from execution.config import ExecutionConfig
from execution.slippage import slippage_model
from execution.spread import bar_spread
from execution.venue import Venue, venue
from research.data_reader import DataReader
from research.dataset import Dataset
from research.grid import grid_of
from research.resample import shorter_bars
from research.schema import kind_of
from research.store import Store
from research.times import parse_ns, period

TIMEFRAME: Final = "1m"


@dataclass(frozen=True, slots=True)
class StoredMarket:
    """Ready to trade in. `remarks` are lines for the reader: what was assumed, and what the data do not cover."""

    dataset: Dataset
    bars: Bars
    instrument: Instrument
    venue: Venue
    config_hash: str
    remarks: tuple[str, ...]


def stored_market(
    reader: DataReader,
    symbol: str,
    market: ExecutionConfig,
    *,
    start_ns: int | None = None,
    end_ns: int | None = None,
    venue_name: str | None = None,
    commission_bps: float | None = None,
    seed: int = 0,
    identity: Mapping[str, Any],
) -> StoredMarket:
    """One-minute bars with start_ns <= open < end_ns, and the market that they make under these settings.

    `commission_bps` wins over what the data say. `identity`: what else decides the result, for the hash of settings.
    Raises DataError where the store does not have the data.
    """
    shorter = shorter_bars(reader.describe(symbol, venue=venue_name), kind_of(f"ohlcv_{TIMEFRAME}"))
    dataset = reader.dataset(symbol, shorter or f"ohlcv_{TIMEFRAME}", venue_name)
    bars = reader.bars(symbol, TIMEFRAME, start_ns, end_ns, venue=dataset.venue)
    instrument, remarks = _instrument(reader, dataset, bars, commission_bps)
    remarks += _not_covered(start_ns, end_ns, bars)
    config_hash = config.config_hash(
        {
            **identity,
            "market": {"slippage": market.slippage, "fills": market.fills},
            "instrument": instrument_facts(instrument),
        }
    )
    before = _before(reader, dataset, bars)
    made = venue(
        bars,
        instrument,
        slippage_model(market.slippage),
        spread=bar_spread(bars, instrument, reader, market.fills.assumed_spread_bps, before),
        fills=market.fills,
        permanent_share=market.slippage.permanent_share,
        before=before,
        data={
            "synthetic": dataset.synthetic,
            "data": f"{dataset.symbol} at {dataset.venue}, {dataset.kind}",
            "data_id": dataset.data_id,
            "config_hash": config_hash,
            "seed": seed,
            "version": program_version(),
        },
    )
    return StoredMarket(dataset, bars, instrument, made, config_hash, tuple(remarks))


def asked_period(
    start: str | None, end: str | None, start_name: str = "--start", end_name: str = "--end"
) -> tuple[int | None, int | None]:
    """Half-open nanoseconds of two times; an end that is a day includes that day. Raises ConfigError."""
    start_ns = None if start is None else parse_ns(start, start_name)
    end_ns = None if end is None else parse_ns(end, end_name)
    if end is not None and end_ns is not None and _is_day(end):
        end_ns += DAY_NS
    if start_ns is not None and end_ns is not None and start_ns >= end_ns:
        raise ConfigError(f"{start_name} must be before {end_name}, was {start} and {end}")
    return start_ns, end_ns


def ensure_data(data_dir: Path, *, quiet: bool) -> None:
    """The sample market where no market data is stored at all; what is stored is never added to."""
    if Store(data_dir).exists():
        return
    from research.sample import ensure_sample

    with ExitStack() as shown:

        def announce(line: str) -> None:
            note(line, quiet=quiet)
            shown.enter_context(progress("making the SYNTHETIC sample market", quiet=quiet))

        ensure_sample(data_dir, announce)


def _is_day(text: str) -> bool:
    """Whether an ISO time is a date alone: 2025-09-30, 20250930 or 2025-W40-2."""
    return len(text.strip()) <= len("2025-09-30")


def instrument_facts(instrument: Instrument) -> dict[str, Any]:
    """What `Instrument` is made from, without what it computes."""
    return {field.name: getattr(instrument, field.name) for field in fields(instrument) if field.init}


def program_version() -> str:
    try:
        return version("fillwright")
    except PackageNotFoundError:  # run from a checkout that nobody installed
        return "unknown"


def _instrument(
    reader: DataReader, dataset: Dataset, bars: Bars, commission_bps: float | None
) -> tuple[Instrument, list[str]]:
    """The instrument as far as the data tell; what nobody has told is read off the bars, or none, and said."""
    remarks = []
    instrument = reader.instrument(dataset.symbol, dataset.venue)
    told: set[str] = set()
    for one in reader.describe(dataset.symbol, venue=dataset.venue):
        told.update(one.instrument)
    inferred = {name: step for name, step in grid_of(bars).items() if name not in told}
    if inferred:
        tick, lot = inferred.get("tick", instrument.tick), inferred.get("lot", instrument.lot)
        instrument = replace(instrument, tick=tick, lot=lot)
        steps = " and ".join(f"{name} {step}" for name, step in inferred.items())
        remarks.append(f"{steps} inferred from data: `fillwright data import --tick ... --lot ...` tells them")
    instrument, more = with_fees(instrument, told, commission_bps)
    return instrument, remarks + more


def with_fees(
    instrument: Instrument, told: Collection[str], commission_bps: float | None
) -> tuple[Instrument, list[str]]:
    """The fee of makers and takers as told here, else as the data's facts `told` have them; a remark where nobody has.

    None: the data's.
    """
    if commission_bps is not None:
        return replace(instrument, maker_fee_bps=commission_bps, taker_fee_bps=commission_bps), []
    if not {"maker_fee_bps", "taker_fee_bps"} & set(told):
        return instrument, ["fees are not known and none are charged: --commission sets them"]
    return instrument, []


def _not_covered(start_ns: int | None, end_ns: int | None, bars: Bars) -> list[str]:
    """A remark where bars are missing at either end of the period asked for, beyond one bar."""
    first, last = int(bars.ts_open_ns[0]), int(bars.ts_close_ns[-1])
    early = start_ns is not None and first > start_ns
    late = end_ns is not None and last < end_ns
    if not (early or late):
        return []
    return [f"the data cover {period(first, last)} of the {period(start_ns, end_ns)} asked for"]


def _before(reader: DataReader, dataset: Dataset, bars: Bars) -> Bars | None:
    """The bars of the days before the first bar's day began, up to it; None where nothing is stored of them."""
    first = int(bars.ts_open_ns[0])
    if dataset.start_ns >= first:
        return None
    start_ns = (first // DAY_NS - WINDOW_DAYS) * DAY_NS
    try:
        return reader.bars(dataset.symbol, TIMEFRAME, start_ns, first, venue=dataset.venue)
    except DataError:  # a gap as long as that: the days before it are too old to tell anything
        return None
