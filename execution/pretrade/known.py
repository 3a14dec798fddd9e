"""What is known of a market before a trade: from the store's last days, or from whoever asks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from core.errors import DataError
from core.instrument import Instrument
from execution.conditions import DAY_NS, WINDOW_DAYS, Conditions
from execution.pretrade.forecast import Market
from execution.pretrade.volume_outlook import VolumeOutlook
from execution.profile import VolumeHistory
from execution.spread import bar_spread
from research.times import iso

if TYPE_CHECKING:
    from core.bars import Bars
    from research.data_reader import DataReader

LOOKBACK_DAYS: Final = 30
_NEEDED: Final = {"price": "--price", "volatility": "--sigma", "daily_volume": "--adv"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the user says of the market; it wins over what the data say. None: nothing said."""

    price: float | None = None
    volatility: float | None = None
    daily_volume: float | None = None
    spread_bps: float | None = None
    fee_bps: float | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """The market of a forecast; `sources` says where each number comes from. `synthetic`: the data were made up.

    `data`: what the data are, in words. `venue`: whose they are; None where all was told.
    """

    market: Market
    sources: dict[str, str]
    synthetic: bool
    data: str
    venue: str | None = None


def known_market(symbol: str, reader: DataReader, told: Told, *, venue: str | None, assumed_spread_bps: float) -> Known:
    """The market of a symbol at the end of its stored bars, as far as nobody tells otherwise.

    Volatility and daily volume are those a simulated market would charge by: `execution.conditions`, of the seven days
    before the last day. Raises DataError: one line that names what is missing and the options that would tell it.
    """
    missing = [option for name, option in _NEEDED.items() if getattr(told, name) is None]
    stored = reader.describe(symbol)
    if not stored and not missing and venue is None:
        return _as_told(told, assumed_spread_bps)
    try:
        dataset_venue, bars, synthetic = _last_days(symbol, reader, venue)
    except DataError as error:
        if not missing and venue is None:
            return _as_told(told, assumed_spread_bps)
        if not missing:
            raise
        raise DataError(f"{error}; or tell what is known with {', '.join(missing)}") from error
    instrument = reader.instrument(symbol, dataset_venue)
    conditions = Conditions.of(bars)
    volatility, daily_volume = float(conditions.volatility[-1]), float(conditions.daily_volume[-1])
    unknown = [
        option
        for option, value, found in (
            ("--sigma", told.volatility, volatility),
            ("--adv", told.daily_volume, daily_volume),
        )
        if value is None and math.isnan(found)
    ]
    if unknown:
        raise DataError(
            f"the stored bars of {symbol} are too few to know volatility and volume: tell {' and '.join(unknown)}"
        )
    spread_bps, spread_source = _spread(bars, instrument, reader, assumed_spread_bps)
    end_ns = int(bars.ts_close_ns[-1])
    window = f"{WINDOW_DAYS} days before {iso(end_ns // DAY_NS * DAY_NS if end_ns % DAY_NS else end_ns - DAY_NS)}"
    outlook = VolumeOutlook(
        daily_volume=_first(told.daily_volume, daily_volume),
        history=VolumeHistory(bars),
        start_ns=end_ns,
        days=LOOKBACK_DAYS,
        bar_s=float(np.median(bars.ts_close_ns - bars.ts_open_ns)) / 1e9,
    )
    fees = (told.fee_bps, told.fee_bps) if told.fee_bps is not None else _fees(instrument)
    market = Market(
        price=_first(told.price, float(bars.close[-1])),
        volatility=_first(told.volatility, volatility),
        outlook=outlook,
        spread_bps=_first(told.spread_bps, spread_bps),
        maker_fee_bps=fees[0],
        taker_fee_bps=fees[1],
    )
    sources = {
        "price": _source(told.price, f"last close, {iso(end_ns)}"),
        "volatility": _source(told.volatility, window),
        "daily volume": _source(told.daily_volume, window),
        "spread": _source(told.spread_bps, spread_source),
        "fees": _source(told.fee_bps, "instrument"),
        "volume by time of day": f"up to {LOOKBACK_DAYS} days before, from this time of day on",
    }
    kind = "SYNTHETIC bars" if synthetic else "real bars"
    length = round(float(np.median(bars.ts_close_ns - bars.ts_open_ns)) / 1e9)
    period = f"{iso(int(bars.ts_open_ns[0]))} to {iso(end_ns)} UTC"
    data = f"{len(bars):,} {kind} of {length} s, {dataset_venue} {symbol}, {period}"
    return Known(market, sources, synthetic, data, dataset_venue)


def _as_told(told: Told, assumed_spread_bps: float) -> Known:
    assert told.price is not None
    assert told.volatility is not None
    assert told.daily_volume is not None
    market = Market(
        price=told.price,
        volatility=told.volatility,
        outlook=VolumeOutlook(told.daily_volume),
        spread_bps=_first(told.spread_bps, assumed_spread_bps),
        maker_fee_bps=_first(told.fee_bps, 0.0),
        taker_fee_bps=_first(told.fee_bps, 0.0),
    )
    sources = dict.fromkeys(("price", "volatility", "daily volume"), "told")
    sources["spread"] = _source(told.spread_bps, "assumed: nobody tells")
    sources["fees"] = _source(told.fee_bps, "none: nobody tells")
    sources["volume by time of day"] = "assumed even, log-sd 0.5: no history"
    return Known(market, sources, synthetic=False, data="no stored data: as told on the command line")


def _last_days(symbol: str, reader: DataReader, venue: str | None) -> tuple[str, Bars, bool]:
    from research.resample import shorter_bars
    from research.schema import kind_of

    shorter = shorter_bars(reader.describe(symbol, venue=venue), kind_of("ohlcv_1m"))
    dataset = reader.dataset(symbol, shorter or "ohlcv_1m", venue)
    start_ns = dataset.end_ns - (LOOKBACK_DAYS + 1) * DAY_NS
    bars = reader.bars(symbol, "1m", start_ns, dataset.end_ns, venue=dataset.venue)
    return dataset.venue, bars, dataset.synthetic


def _spread(bars: Bars, instrument: Instrument, reader: DataReader, assumed_bps: float) -> tuple[float, str]:
    """Mean quoted spread over the last day's bars, which is what an even schedule meets, in bps; and its source."""
    last_day = int(np.searchsorted(bars.ts_open_ns, bars.ts_close_ns[-1] - DAY_NS))
    recent = bars[last_day:]
    found = bar_spread(recent, instrument, reader, assumed_bps)
    return float(np.mean(2e4 * found.half / recent.open)), found.source


def _fees(instrument: Instrument) -> tuple[float, float]:
    return instrument.maker_fee_bps, instrument.taker_fee_bps


def _first(told: float | None, found: float) -> float:
    return found if told is None else told


def _source(told: float | None, found: str) -> str:
    return found if told is None else "told"
