"""The spread of a market of bars, and where it comes from: bars themselves carry none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.bars import Bars
from core.instrument import Instrument
from research.data_reader import DataReader


@dataclass(frozen=True, slots=True)
class Spread:
    """`half`: half the quoted spread of each bar in price units, shape (n,). `source` goes into the report."""

    half: NDArray[np.float64]
    source: str


def bar_spread(bars: Bars, instrument: Instrument, reader: DataReader | None, assumed_bps: float) -> Spread:
    """From quotes where the store has them, else from the instrument, else assumed.

    A bar's spread is that of the last quote at or before its open. Bars before the first quote take the first one's.
    """
    venues = [one.venue for one in reader.describe(bars.symbol, "quotes")] if reader is not None else []
    if reader is not None and (instrument.venue in venues or len(venues) == 1):
        from_venue = instrument.venue if instrument.venue in venues else venues[0]
        quotes = reader.read_quotes(
            bars.symbol, int(bars.ts_open_ns[0]), int(bars.ts_close_ns[-1]), venue=from_venue, format="polars"
        )
        if len(quotes):
            half = (quotes["ask"].to_numpy() - quotes["bid"].to_numpy()) / 2
            at = np.searchsorted(quotes["ts_ns"].to_numpy(), bars.ts_open_ns, side="right") - 1
            return Spread(np.ascontiguousarray(half[np.maximum(at, 0)]), f"quotes of {from_venue}")
    bps, source = instrument.spread_bps, "instrument"
    if bps is None:
        bps, source = assumed_bps, "assumed: neither quotes nor the instrument tell"
    return Spread(bars.open * (bps / 2e4), f"{source}, {bps:g} bps")
