"""What fills in a bar, and at what price: pure arithmetic over floats, the same for every market that has bars.

A bar tells four prices and a volume, not in which order they came: these rules give the answer that flatters least.
"""

from __future__ import annotations

import math
from typing import Final, Literal

from core.errors import DataError
from execution.kernel import kernel

FillRule = Literal["through", "touch"]
ROUNDING: Final = 1e-12  # relative: a price that is as near to a limit as this is at the limit


def paid(symbol: str, qty: float, price: float) -> float:
    """The price. Raises DataError where our own trading has moved it to zero or below: nobody trades there."""
    if price <= 0:
        raise DataError(
            f"{symbol}: the impact of {qty:g} would take the price to {price:g}: "
            "lower impact_coefficient of slippage or max_participation of fills in the execution config"
        )
    return price


@kernel
def quoted_ticks(mid: float, half_spread: float, tick: float) -> tuple[int, int]:
    """Bid and ask of a market in ticks, rounded away from the mid, at least 1.

    The nudge of a millionth of a tick keeps a price that is on the grid where it is.
    """
    bid = math.floor((mid - half_spread) / tick + 1e-6)
    ask = math.ceil((mid + half_spread) / tick - 1e-6)
    return max(bid, 1), max(ask, 1)


@kernel
def is_within(side: int, limit: float, price: float) -> bool:
    """Whether a price is not worse than a limit."""
    return side * (limit - price) >= -ROUNDING * limit


@kernel
def volume_budget(volume: float, max_participation: float, lot: float) -> int:
    """Lots that all our orders together may trade in a bar: floor(max_participation * volume / lot)."""
    return math.floor(max_participation * volume / lot * (1 + 1e-12))


@kernel
def takes(side: int, limit: float | None, open_price: float, half_spread: float) -> bool:
    """Whether an order that arrives before the bar meets the other side at its open; a market order always does."""
    return limit is None or side * (limit - open_price) >= half_spread


@kernel
def maker_share(side: int, limit: float, high: float, low: float, tick: float, touch: bool) -> float:
    """The part of a bar's volume that traded where a resting order may have been filled, 0 to 1.

    The market must trade beyond the limit, and the share is the part of the bar's range beyond it. `touch`: a trade at
    the limit is enough, as if the limit stood one tick deeper.
    """
    beyond = limit - low if side > 0 else high - limit
    reach = high - low
    if touch:
        beyond += tick
        reach += tick
    if beyond <= 0:
        return 0.0
    return min(1.0, beyond / reach) if reach > 0 else 1.0


@kernel
def maker_price(side: int, limit: float, open_price: float, rested: bool) -> float:
    """A resting order's price: its limit, or the open where the market opened beyond an order that rested before."""
    if not rested:
        return limit
    return min(limit, open_price) if side > 0 else max(limit, open_price)
