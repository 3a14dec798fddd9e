"""Where the router's market conditions come from: the venue of a backtest, or the store of a performance tracker."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from core.errors import DataError
from execution.conditions import DAY_NS
from execution.routing.situation import MarketNow

if TYPE_CHECKING:
    from execution.ticks.venue import TickVenue
    from execution.venue import Venue
    from research.data_reader import DataReader

Markets = Callable[[str, int, float], MarketNow]
"""The market of a symbol at a time, near a price (NaN: unknown)."""
PROFILE_DAYS: Final = 30


class VenueMarkets:
    """The market of a simulated venue, from nothing that was not known then."""

    def __init__(self, venue: Venue | TickVenue) -> None:
        self._venue = venue
        self._closes = venue.bars.ts_close_ns
        self._half_spread = half_spread_of(venue)
        self._regularity: dict[int, float] = {}

    def __call__(self, symbol: str, now_ns: int, price: float) -> MarketNow:  # noqa: ARG002 - it has one symbol
        venue, instrument = self._venue, self._venue.instrument
        k = max(0, int(np.searchsorted(self._closes, now_ns, side="right")) - 1)
        daily_volume = float(venue.conditions.daily_volume[k])
        return MarketNow(
            price=price * instrument.multiplier,
            spread_bps=2e4 * float(self._half_spread[k]) / price,
            volatility=float(venue.conditions.volatility[k]),
            daily_volume=daily_volume,
            regularity=self._regularity_of(now_ns // DAY_NS, daily_volume),
            maker_fee_bps=instrument.maker_fee_bps,
            taker_fee_bps=instrument.taker_fee_bps,
        )

    def _regularity_of(self, day: int, daily_volume: float) -> float:
        """Of the days before this one; the same for all its orders."""
        if day not in self._regularity:
            from execution.pretrade.volume_outlook import VolumeOutlook

            known = daily_volume > 0
            self._regularity[day] = (
                VolumeOutlook(daily_volume, self._venue.volumes, day * DAY_NS, PROFILE_DAYS).regularity()
                if known
                else math.nan
            )
        return self._regularity[day]


def half_spread_of(venue: Venue | TickVenue) -> NDArray[np.float64]:
    """In price units, one for each bar of the venue; NaN where its spread is in its quotes alone."""
    told = getattr(venue, "half_spread", None)
    if told is None:
        spread = getattr(venue, "spread", None)
        told = math.nan if spread is None else spread.half
    return np.broadcast_to(np.asarray(told, dtype=np.float64), (len(venue.bars),))


class StoredMarkets:
    """The market at the end of a store's data, read once per symbol and day; NaN where the store does not know."""

    def __init__(self, reader: DataReader | None, assumed_spread_bps: float) -> None:
        self._reader = reader
        self._assumed_spread_bps = assumed_spread_bps
        self._known: dict[tuple[str, int], MarketNow] = {}

    def __call__(self, symbol: str, now_ns: int, price: float) -> MarketNow:
        key = (symbol, now_ns // DAY_NS)
        if key not in self._known:
            self._known[key] = self._read(symbol)
        found = self._known[key]
        if math.isnan(price):
            return found
        return MarketNow(**{**found.to_dict(), "price": price})

    def _read(self, symbol: str) -> MarketNow:
        if self._reader is None:
            return MarketNow()
        from execution.pretrade.known import Told, known_market

        try:
            known = known_market(symbol, self._reader, Told(), venue=None, assumed_spread_bps=self._assumed_spread_bps)
        except DataError:
            return MarketNow()
        market = known.market
        return MarketNow(
            price=market.price,
            spread_bps=market.spread_bps,
            volatility=market.volatility,
            daily_volume=market.daily_volume,
            regularity=market.outlook.regularity(),
            maker_fee_bps=market.maker_fee_bps,
            taker_fee_bps=market.taker_fee_bps,
        )
