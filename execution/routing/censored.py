"""Venues that do not show their depth: where to send the next lot, learnt from what they filled.

An order that is filled whole says only that there was as much: its depth is censored. The tail P(V >= j) of a venue's
depth is the product of 1 - hazard over the levels below j, hazard_j = P(V = j | V >= j), as Kaplan and Meier (1958)
estimate it; Ganchev, Nevmyvaka, Kearns and Vaughan (2010) give each lot to the venue where it is likeliest to fill.
Estimates alone get stuck with what they never tried; `Hazards` draws from what is not known yet.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

PRIOR: Final = (0.05, 0.95)  # of a hazard: there is more until the contrary is seen

Floats = NDArray[np.float64]


def tail(sent: Sequence[int], filled: Sequence[int], levels: int) -> Floats:
    """P(V >= 1), ..., P(V >= levels) by Kaplan and Meier. A level that was never reached counts as without a hazard."""
    died, at_risk = _counts(sent, filled, levels)
    hazard = np.divide(died, at_risk, out=np.zeros(levels), where=at_risk > 0)
    survived: Floats = np.cumprod(1 - hazard)
    return survived


def allocate(tails: Sequence[Floats], lots: int, gains: Sequence[float] | None = None) -> tuple[list[int], float]:
    """Each lot where it is likeliest to fill, ties to the first; and how many are expected to. Tails do not rise.

    gains: what a fill is worth at each venue, above 0; then each lot goes where chance times gain is most.
    """
    given, expected = [0] * len(tails), 0.0
    worth = [1.0] * len(tails) if gains is None else gains
    chances = [one.tolist() for one in tails]
    offers = [(-gain * one[0], venue) for venue, (one, gain) in enumerate(zip(chances, worth, strict=True)) if one]
    heapq.heapify(offers)
    for _ in range(lots):
        if not offers or offers[0][0] == 0:
            given[0] += lots - sum(given)  # nowhere is a chance
            break
        venue = offers[0][1]
        expected += chances[venue][given[venue]]
        given[venue] += 1
        if given[venue] < len(chances[venue]):
            heapq.heapreplace(offers, (-worth[venue] * chances[venue][given[venue]], venue))
        else:
            heapq.heappop(offers)
    return given, expected


class Chance(Protocol):
    """A generator of `core.chance`."""

    def beta(self, a: Floats, b: Floats, /) -> Floats: ...


class Hazards:
    """The depth of some venues: a Beta per venue and level, prior (0.05, 0.95), and draws from them."""

    def __init__(self, venues: int, levels: int) -> None:
        self.levels = levels
        self._died = np.zeros((venues, levels))
        self._survived = np.zeros((venues, levels))

    def observe(self, venue: int, sent: int, filled: int) -> None:
        """Of `sent` lots `filled` were filled. Raises ValueError for more than were sent."""
        if not 0 <= filled <= sent:
            raise ValueError(f"filled must be 0 to {sent}, was {filled}")
        self._survived[venue, : min(filled, self.levels)] += 1
        if filled < min(sent, self.levels):
            self._died[venue, filled] += 1

    def sample(self, chance: Chance) -> list[Floats]:
        """A draw of every venue's tail."""
        hazards = chance.beta(PRIOR[0] + self._died, PRIOR[1] + self._survived)
        return list(np.cumprod(1 - hazards, axis=1))

    def expected(self) -> list[Floats]:
        """Tails of the mean hazards."""
        died, survived = PRIOR[0] + self._died, PRIOR[1] + self._survived
        return list(np.cumprod(survived / (died + survived), axis=1))


def _counts(sent: Sequence[int], filled: Sequence[int], levels: int) -> tuple[Floats, Floats]:
    died, at_risk = np.zeros(levels), np.zeros(levels)
    for wanted, got in zip(sent, filled, strict=True):
        at_risk[: min(got, levels)] += 1
        if got < min(wanted, levels):
            died[got] += 1
            at_risk[got] += 1
    return died, at_risk
