"""A simulated market and everything that is derived from its bars once: past conditions, benchmarks, statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.bars import Bars
from core.contracts import FillEvent
from core.instrument import Instrument
from execution.benchmarks import Tape
from execution.conditions import WINDOW_DAYS, Conditions, joined
from execution.config import DEFAULT_FILLS, FillConfig
from execution.market import BarMarket
from execution.plan import NS_PER_MS
from execution.pressure import Pressure
from execution.profile import VolumeHistory
from execution.slippage import AlmgrenSlippageModel, FixedBpsSlippageModel, PowerLawSlippageModel, SlippageModel
from execution.spread import Spread

if TYPE_CHECKING:
    from execution.batch_pack import Ground


@dataclass(frozen=True)
class Venue:
    """A simulated market with everything that is derived from its bars once."""

    bars: Bars
    instrument: Instrument
    half_spread: NDArray[np.float64]
    tape: Tape
    conditions: Conditions
    volumes: VolumeHistory
    settings: dict[str, Any]
    slippage: SlippageModel | None
    permanent_share: float
    fills: FillConfig

    @cached_property
    def executor_arguments(self) -> dict[str, Any]:
        """What an executor should know of it: no slice is shorter than a bar, data is stale when two are missing."""
        bar_ms = int(np.median(self.bars.ts_close_ns - self.bars.ts_open_ns)) // NS_PER_MS
        return {"instrument": self.instrument, "least_interval_ms": bar_ms, "stale_seconds": 2 * bar_ms / 1000}

    @cached_property
    def ground(self) -> Ground | None:
        """What the compiled loop reads of it; None where that does not know such a market."""
        from execution.batch_pack import ground, is_loop_venue

        return ground(self) if is_loop_venue(self) else None

    def market(self) -> BarMarket:
        """A fresh market, in which nobody has traded yet."""
        return BarMarket(self.bars, self.instrument, self.half_spread, self.pressure(), self.fills)

    def pressure(self) -> Pressure:
        """The memory of a fresh market."""
        return Pressure(self.bars, self.slippage, self.permanent_share, self.conditions)

    def bar_of(self, fill: FillEvent) -> int:
        """The bar in which an order was filled: takers at its open, makers at its close."""
        stamps = self.bars.ts_open_ns if fill.liquidity == "taker" else self.bars.ts_close_ns
        return int(np.searchsorted(stamps, fill.ts_fill_ns))

    def mids_without_us(self, fills: Sequence[FillEvent]) -> list[float]:
        """The price of the market at each of these fills in a run without our orders: its bar's open, as in the data.

        A bar of the past is what it is whoever looks on, so there is nothing to play.
        """
        return [float(self.bars.open[self.bar_of(fill)]) for fill in fills]


def venue(
    bars: Bars,
    instrument: Instrument,
    slippage: SlippageModel | None,
    *,
    spread: Spread,
    fills: FillConfig = DEFAULT_FILLS,
    permanent_share: float = 1 / 3,
    before: Bars | None = None,
    data: dict[str, Any] | None = None,
) -> Venue:
    """A venue on these bars. `before`: bars that end where these begin, for volatility and volume on the first days."""
    tape = Tape(bars)
    settings = {
        "fill_model": (
            f"bars: takers at the open, limits {fills.limit_rule}, "
            f"{fills.max_participation:.0%} of volume for all orders together"
        ),
        "impact": impact_statement(slippage, permanent_share),
        "spread_source": spread.source,
        "vwap_source": tape.vwap_source,
        **(data or {}),
    }
    conditions = Conditions.of(bars, before)
    volumes = VolumeHistory(bars if before is None else joined(before, bars))
    return Venue(bars, instrument, spread.half, tape, conditions, volumes, settings, slippage, permanent_share, fills)


def impact_statement(slippage: SlippageModel | None, permanent_share: float) -> str:
    """What a report says of its impact model."""
    if slippage is None:
        return "none: the spread alone"
    if isinstance(slippage, AlmgrenSlippageModel):
        return (
            f"Almgren et al. (2005), eta {slippage.eta:g}, gamma {slippage.gamma:g}, beta {slippage.beta:g} x daily "
            f"volatility of the {WINDOW_DAYS} days before; the permanent part stands, the temporary ends with each bar"
        )
    if isinstance(slippage, FixedBpsSlippageModel):
        return f"{slippage.bps:g} bps of each fill that takes, whatever its size"
    if not isinstance(slippage, PowerLawSlippageModel):
        return f"{type(slippage).__name__} against the volume of each bar, without a memory"
    return (
        f"power {slippage.exponent:g} of participation, coefficient {slippage.impact_coefficient:g} x daily volatility "
        f"of the {WINDOW_DAYS} days before, {permanent_share:.0%} permanent, the rest decays with traded volume"
    )
