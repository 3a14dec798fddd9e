"""Student's t with a whole number of degrees of freedom, in closed form: scipy takes a tenth of a second to import.

Abramowitz and Stegun (1964), 26.7.3 and 26.7.4. Exact to about 1e-15.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final

NORMAL: Final = NormalDist()
_CLOSE: Final = 1e-15  # of the quantile: steps of Newton end here


def chance_below(degrees: int, value: float) -> float:
    """P(T <= value) = (1 + A) / 2, A the chance of |T| <= |value| with its sign; degrees from 1.

    With a = arctan(value / sqrt(degrees)): A = sin a (1 + 1/2 cos^2 a + 1 3 / (2 4) cos^4 a + ...) for even degrees,
    2/pi (a + sin a (cos a + 2/3 cos^3 a + 2 4 / (3 5) cos^5 a + ...)) for odd ones, up to the power degrees - 2.
    """
    angle = math.atan(value / math.sqrt(degrees))
    odd = degrees % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for power in range(odd, degrees - 1, 2):
        total += term
        term *= (power + 1) / (power + 2) * math.cos(angle) ** 2
    within = math.sin(angle) * total
    return (1 + (2 / math.pi * (angle + within) if odd else within)) / 2


def quantile(degrees: int, level: float) -> float:
    """The value below which T lies with this chance, in (0, 1); by Newton's steps from the normal's, nearer to 0."""
    tail = min(level, 1 - level)
    value = NORMAL.inv_cdf(tail)
    scale = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(degrees * math.pi)
    for _ in range(200):
        density = scale * (1 + value**2 / degrees) ** (-(degrees + 1) / 2)
        step = (chance_below(degrees, value) - tail) / density
        value -= step
        if abs(step) <= _CLOSE * max(1.0, abs(value)):
            break
    return value if level < 0.5 else -value
