"""Where resting children rest, on a symbol with several venues: what each has filled says how deep it is.

A child is cut into steps. Each step goes to the venue where it is worth most,

    P(the venue fills so many steps)  *  (what taking would cost  -  maker fee  -  markout after a fill there)

with the probabilities drawn from what is known of them (`Hazards`: Thompson sampling on censored fills). An order that
fills whole says only that there was as much, and so does one that its parent withdrew before its time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from core.chance import generator
from core.contracts import OrderIntent
from core.instrument import Instrument
from execution.routing.censored import Hazards, allocate
from execution.routing.ledger import NOWHERE, RESTED, Ledger

STEPS: Final = 50  # into which the first child of a symbol is cut; later ones by the same step
LEVELS: Final = 100  # steps that a venue's depth is known up to
LEAST_GAIN_BPS: Final = 0.01  # a fill is never worth nothing: something must be chosen


@dataclass(slots=True)
class _Side:
    """A symbol's side: step in lots of the finest venue."""

    step: int
    hazards: Hazards


class Depths:
    """Learns from every order that rested, and says where the next one should.

    instruments   by venue, of all symbols: grids, minima and maker fees
    markouts      bps by venue, what the price does after a fill there, positive is worse; NaN or left out: nothing
    crossing_bps  what crossing the spread costs, beyond the taker fee
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        *,
        markouts: Callable[[str], Mapping[str, float]] = lambda _symbol: {},
        crossing_bps: float = 5.0,
        seed: int = 0,
        ledger: Ledger = NOWHERE,
    ) -> None:
        self._instruments = {(one.symbol, one.venue): one for one in instruments}
        if len(self._instruments) < len(instruments):
            raise ValueError("instruments must be one for each symbol and venue")
        self._markouts = markouts
        self._crossing_bps = crossing_bps
        self._seed = seed
        self._ledger = ledger
        self._sides: dict[tuple[str, str], _Side] = {}

    def venues(self, symbol: str) -> list[str]:
        """Those that have the symbol, in the order of the instruments."""
        return [venue for known, venue in self._instruments if known == symbol]

    def legs(self, intent: OrderIntent, usable: Sequence[str]) -> list[tuple[str, float]]:
        """(venue, quantity), together the child's; whole lots, none below a venue's minimum.

        Where no venue can take a part so small, the first usable one gets it all. Raises ValueError for no venues.
        """
        if not usable:
            raise ValueError("usable must name a venue that has the symbol")
        left = list(usable)
        lot, lots = self._lots(intent)
        side = self._side(intent, lots)
        venues = self.venues(intent.symbol)
        tails = side.hazards.sample(generator(self._seed, "rest", intent.intent_id))
        gains = self._gains(intent.symbol)
        while True:
            at = [venues.index(venue) for venue in left]
            steps, rest = divmod(lots, side.step)
            given, _ = allocate([tails[k] for k in at], steps, [gains[k] for k in at])
            parts = [count * side.step for count in given]
            parts[max(range(len(parts)), key=parts.__getitem__)] += rest
            parts = self._on_grids(intent.symbol, left, parts, lot)
            small = [
                (part, venue) for part, venue in zip(parts, left, strict=True) if part and self._is_small(
                    intent, venue, float(part * lot)
                )
            ]  # fmt: skip
            if not small and sum(parts) == lots:
                return [(venue, float(part * lot)) for part, venue in zip(parts, left, strict=True) if part]
            if len(left) == 1:
                return [(usable[0], intent.qty)]
            left.remove(min(small)[1] if small else max(left, key=lambda venue: self._lot(intent.symbol, venue)))

    def rested(self, intent: OrderIntent, filled: float, now_ns: int, *, early: bool = False) -> None:
        """An order is over that rested at its venue (`meta["venue"]`); `early`: it was withdrawn before its time."""
        venue = intent.meta.get("venue")
        if (intent.symbol, venue) not in self._instruments:
            return
        lot, lots = self._lots(intent)
        step = self._side(intent, lots).step
        sent, got = lots // step, int(Fraction(str(filled)) / lot) // step
        entry = {
            "k": RESTED,
            "t": now_ns,
            "symbol": intent.symbol,
            "side": intent.side,
            "venue": venue,
            "step": step,
            "sent": min(got, sent) if early else sent,
            "filled": min(got, sent),
        }
        self._ledger.append(entry)
        self.restore(entry)

    def restore(self, entry: Mapping[str, Any]) -> None:
        """An entry of before, of a venue that is there still. Raises KeyError or ValueError for what is none."""
        symbol, venue = str(entry["symbol"]), str(entry["venue"])
        if (symbol, venue) in self._instruments:
            side = self._of(symbol, str(entry["side"]), int(entry["step"]))
            side.hazards.observe(self.venues(symbol).index(venue), int(entry["sent"]), int(entry["filled"]))

    # ---- inside

    def _lot(self, symbol: str, venue: str) -> Fraction:
        return Fraction(self._instruments[symbol, venue].lot)

    def _lots(self, intent: OrderIntent) -> tuple[Fraction, int]:
        """The finest lot of the symbol's venues, and the child in it."""
        lot = min(self._lot(intent.symbol, venue) for venue in self.venues(intent.symbol))
        return lot, round(Fraction(str(intent.qty)) / lot)

    def _side(self, intent: OrderIntent, lots: int) -> _Side:
        return self._of(intent.symbol, intent.side, max(1, math.ceil(lots / STEPS)))

    def _of(self, symbol: str, side: str, step: int) -> _Side:
        found = self._sides.get((symbol, side))
        if found is None:
            found = self._sides[symbol, side] = _Side(step, Hazards(len(self.venues(symbol)), LEVELS))
        return found

    def _gains(self, symbol: str) -> list[float]:
        """What a fill is worth at each venue, in bps: not to take, after all."""
        instruments = [self._instruments[symbol, venue] for venue in self.venues(symbol)]
        taking = self._crossing_bps + min(one.taker_fee_bps for one in instruments)
        markouts = self._markouts(symbol)
        found = []
        for one in instruments:
            markout = markouts.get(one.venue, math.nan)
            found.append(taking - one.maker_fee_bps - (0.0 if math.isnan(markout) else markout))
        return [max(LEAST_GAIN_BPS, one) for one in found]

    def _on_grids(self, symbol: str, venues: Sequence[str], parts: Sequence[int], lot: Fraction) -> list[int]:
        """Every part on its venue's own grid; what that leaves goes to the finest."""
        steps = [self._lot(symbol, venue) / lot for venue in venues]
        down = [int(part // step * step) for part, step in zip(parts, steps, strict=True)]
        finest = min(range(len(steps)), key=steps.__getitem__)
        over = down[finest] + sum(parts) - sum(down)
        down[finest] = int(over // steps[finest] * steps[finest])
        return down

    def _is_small(self, intent: OrderIntent, venue: str, qty: float) -> bool:
        instrument = self._instruments[intent.symbol, venue]
        price = math.nan if intent.limit_price is None else intent.limit_price
        return instrument.lots(qty) < instrument.min_lots(price)
