"""The memory of a market: how far our own trading has moved the price, and how that wears off.

A refinement-invariant propagator in volume time (Bouchaud et al.; the square-root law of market impact). One volume-day
is the average daily volume. Trading at a signed participation rate a for volume time dt moves the price by

    D(t) = (1 - phi) * integral c * sgn(a) |a|^delta * (t - s)^(-1/2) ds  +  phi * g * Q(t) / V_D

with c = Y * sigma / 2 (fraction of price). At a constant rate and delta = 1/2 the first part grows to
Y * sigma * sqrt(Q / V_D) whatever the slices, and 2/3 of that is paid on average; after the order it decays. The second
part is permanent, linear in quantity (so that nobody can manipulate it), and equals the first at the reference size of
1 % of daily volume.

The kernel u^(-1/2) = 1/sqrt(pi) * integral exp(x/2 - u exp(x)) dx is summed by the trapezoidal rule over nodes x, which
makes the state a fixed vector of decaying exponentials: O(1) per bar. With a step h the sum swings around the kernel by
2 sqrt(2) exp(-pi^2 / h), 7e-7 of it here, and the displacement, its integral, by 4e-8, from 1e-6 to 1000 volume-days.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from execution.kernel import kernel

_STEP: Final = 0.65
_NODES: Final = np.arange(-19, 28) * _STEP


def _beyond(edge: int, power: float) -> float:
    """Sum of weight * rate ** power over the nodes beyond the first (edge 0) or the last (edge -1)."""
    ratio = math.expm1(abs(power + 0.5) * _STEP)
    return _STEP / math.sqrt(math.pi) * math.exp((power + 0.5) * float(_NODES[edge])) / ratio


# All nodes beyond the slowest are one, of their weight and mean rate: they hardly decay in any run. Those beyond the
# fastest decay at once, and act as a displacement that lasts while we trade.
RATES: Final = np.append(_beyond(0, 1) / _beyond(0, 0), np.exp(_NODES))  # of decay, per volume-day
WEIGHTS: Final = np.append(_beyond(0, 0), _STEP / math.sqrt(math.pi) * np.exp(_NODES / 2))
INSTANT: Final = _beyond(-1, -1)
REFERENCE_SIZE: Final = 0.01  # of daily volume; here permanent and transient parts are in the stated proportion


class ImpactMemory:
    """The displacement of one symbol's price by our own trading, as a fraction of price; positive after buying."""

    __slots__ = ("_permanent", "_state", "_stretch", "exponent", "permanent_share")

    def __init__(self, exponent: float = 0.5, permanent_share: float = 1 / 3) -> None:
        if not 0 < exponent <= 1:
            raise ValueError(f"exponent must be above 0 and at most 1, was {exponent}")
        if not 0 <= permanent_share <= 1:
            raise ValueError(f"permanent_share must be between 0 and 1, was {permanent_share}")
        self.exponent = exponent
        self.permanent_share = permanent_share
        self._state: NDArray[np.float64] = np.zeros_like(RATES)
        self._permanent = 0.0
        self._stretch: tuple[float, NDArray[np.float64], float, float] | None = None  # see `_over`

    def displacement(self, after: float = 0.0) -> float:
        """Where the price stands `after` so many volume-days of rest since the last `rest` or `trade`."""
        state = self._state if after == 0 else self._state * np.exp(-RATES * after)
        return self._permanent + float(WEIGHTS @ state)

    def rest(self, volume_days: float) -> None:
        """Volume time passes in which we do not trade."""
        self._state *= np.exp(-RATES * volume_days)
        self._stretch = None

    def charge(self, participation: float, volume_days: float, scale: float) -> float:
        """Average displacement that trading at this signed rate would pay over the next stretch of volume time.

        participation: own quantity / market volume of the stretch, negative for a net sale. volume_days: market volume
        of the stretch / daily volume, above 0. scale: Y * sigma, with sigma the daily volatility.
        """
        _, carried, paid = self._over(volume_days)
        force, permanent = self._response(participation, volume_days, scale)
        return self._permanent + permanent / 2 + (carried + force * paid) / volume_days

    def trade(self, participation: float, volume_days: float, scale: float) -> float:
        """Trades at this rate for this stretch; returns the displacement at its end, while still trading."""
        decayed, _, _ = self._over(volume_days)
        force, permanent = self._response(participation, volume_days, scale)
        self._state = self._state * np.exp(-RATES * volume_days) + force * decayed
        self._stretch = None
        self._permanent += permanent
        return self.displacement() + force * INSTANT

    def _over(self, volume_days: float) -> tuple[NDArray[np.float64], float, float]:
        """Of a stretch: the integral of its decay per node, of what is carried over, and of what unit force adds.

        Kept until time passes or we trade: the fills of an order by many prints ask about one stretch.
        """
        known = self._stretch
        if known is None or known[0] != volume_days:
            decayed = -np.expm1(-RATES * volume_days) / RATES
            carried = float((WEIGHTS * self._state) @ decayed)
            paid = float(WEIGHTS @ ((volume_days - decayed) / RATES)) + INSTANT * volume_days
            known = self._stretch = volume_days, decayed, carried, paid
        return known[1:]

    def _response(self, participation: float, volume_days: float, scale: float) -> tuple[float, float]:
        """The force of the trading, and its permanent effect."""
        force = transient_force(participation, self.exponent, self.permanent_share, scale)
        permanent = permanent_shift(participation, volume_days, self.exponent, self.permanent_share, scale)
        return force, permanent


@kernel
def transient_force(participation: float, exponent: float, permanent_share: float, scale: float) -> float:
    """(1 - phi) * c * sgn(a) |a|^delta: what trading at the rate a adds to every node per volume-day."""
    force: float = math.copysign(abs(participation) ** exponent, participation) * ((1 - permanent_share) * scale / 2)
    return force


@kernel
def permanent_shift(
    participation: float, volume_days: float, exponent: float, permanent_share: float, scale: float
) -> float:
    """phi * g * Q / V_D: what trading at this rate for this long adds for good."""
    shift: float = permanent_share * scale * REFERENCE_SIZE**exponent * (participation * volume_days / REFERENCE_SIZE)
    return shift


class StandingImpact:
    """The memory of Almgren et al. (2005): what is permanent stands for good, what is temporary ends with the trading.

    Trading at the signed rate a for the volume time dt pays  P + sigma * (g a dt / 2 + eta sgn(a) |a|^beta)  on
    average and leaves  P + sigma * g a dt.  Same methods as `ImpactMemory`; their `scale` here is sigma alone.
    Slices of a parent pay as the whole: both parts depend on rates and sums only.
    """

    __slots__ = ("_permanent", "eta", "exponent", "standing")

    def __init__(self, eta: float, exponent: float, standing: float) -> None:
        self.eta = eta
        self.exponent = exponent
        self.standing = standing  # g: the move of one day's volume, in units of volatility
        self._permanent = 0.0

    def displacement(self, after: float = 0.0) -> float:  # noqa: ARG002 - nothing decays
        return self._permanent

    def rest(self, volume_days: float) -> None:
        """Nothing decays."""

    def charge(self, participation: float, volume_days: float, scale: float) -> float:
        temporary = math.copysign(self.eta * abs(participation) ** self.exponent, participation)
        return self._permanent + scale * (self.standing * participation * volume_days / 2 + temporary)

    def trade(self, participation: float, volume_days: float, scale: float) -> float:
        self._permanent += scale * self.standing * participation * volume_days
        return self._permanent
