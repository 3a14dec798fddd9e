"""What a venue lets us trade, and the only place where floats become lots and ticks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache

from core import checks

MAX_LOTS = 10**11  # bound of every quantity in lots: products with 24 h of milliseconds stay below 2**63

LEAST_WORTH = 1e-290  # of a lot, in money: below it floats lose digits


def _grid(name: str, step: str) -> Fraction:
    try:
        value = Fraction(Decimal(step))
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be a decimal number in text, such as '0.01', was {step!r}") from error
    if value <= 0:
        raise ValueError(f"{name} must be above 0, was {step}")
    return value


@dataclass(frozen=True, slots=True)
class Instrument:
    """A symbol at a venue with its grids, minima, fees and contract size.

    `tick` and `lot` are decimal text ("0.001"), so that they mean exactly what they say. Fees are in basis points of
    notional, negative for a rebate. `spread_bps` is the typical quoted spread, used where the data has no quotes.
    """

    symbol: str
    venue: str = "sim"
    tick: str = "0.0001"
    lot: str = "0.0001"
    min_qty: str = "0"
    min_notional: float = 0.0
    maker_fee_bps: float = 0.0
    taker_fee_bps: float = 0.0
    multiplier: float = 1.0
    spread_bps: float | None = None
    _tick: Fraction = field(init=False, repr=False, compare=False)
    _lot: Fraction = field(init=False, repr=False, compare=False)
    _lot_ratio: tuple[int, int] = field(init=False, repr=False, compare=False)  # of `_lot`, which is asked all the time

    def __post_init__(self) -> None:
        checks.named("symbol", self.symbol)
        object.__setattr__(self, "_tick", _grid("tick", self.tick))
        object.__setattr__(self, "_lot", _grid("lot", self.lot))
        object.__setattr__(self, "_lot_ratio", self._lot.as_integer_ratio())
        try:
            minimum = Decimal(self.min_qty)
        except InvalidOperation as error:
            raise ValueError(f"min_qty must be a decimal number in text, was {self.min_qty!r}") from error
        if not (minimum.is_finite() and minimum >= 0):
            raise ValueError(f"min_qty must be at least 0, was {self.min_qty}")
        checks.not_negative("min_notional", self.min_notional)
        checks.positive("multiplier", self.multiplier)
        checks.finite("maker_fee_bps", self.maker_fee_bps)
        checks.finite("taker_fee_bps", self.taker_fee_bps)
        if self.spread_bps is not None:
            checks.not_negative("spread_bps", self.spread_bps)

    def lots(self, qty: float) -> int:
        """Whole lots in a quantity, rounded down: 0.3 of lot 0.1 is 3, though 0.3 / 0.1 < 3 in floating point.

        Raises ValueError where the quantity is not finite, is negative, or exceeds 10**11 lots.
        """
        checks.not_negative("quantity", qty)
        count = _steps(qty, self._lot)
        if count > MAX_LOTS:
            raise ValueError(f"quantity must be at most {MAX_LOTS} lots of {self.lot}, was {qty}")
        return count

    def qty(self, lots: int) -> float:
        """The quantity of a number of lots, correctly rounded."""
        above, below = self._lot_ratio
        return lots * above / below

    def ticks(self, price: float) -> int:
        """The price in ticks, rounded down to the grid."""
        checks.positive("price", price)
        return _steps(price, self._tick)

    def ticks_up(self, price: float) -> int:
        """The price in ticks, rounded up to the grid."""
        checks.positive("price", price)
        down = _steps(price, self._tick)
        return down if _exact(price) == down * self._tick else down + 1

    def price(self, ticks: int) -> float:
        """The price of a number of ticks, correctly rounded."""
        return ticks * self._tick.numerator / self._tick.denominator

    def notional(self, qty: float, price: float) -> float:
        """Money that changes hands, in quote currency: quantity * price * multiplier."""
        return qty * price * self.multiplier

    def min_lots(self, price: float) -> int:
        """The fewest lots that the venue takes as one order at this price (at least 1)."""
        checks.positive("price", price)
        by_qty = _least(self.min_qty, self._lot)
        if self.min_notional == 0:
            return max(1, by_qty)
        worth = price * self.qty(1) * self.multiplier
        count = self.min_notional / worth if worth > LEAST_WORTH else math.inf
        if _is_between(count):
            return max(1, by_qty, math.ceil(count))
        exactly = _exact(price) * self._lot * _exact(self.multiplier)
        return max(1, by_qty, -(-_exact(self.min_notional) // exactly))

    def accepts(self, qty: float, price: float) -> bool:
        """Whether the venue takes an order of this size: at least `min_qty` and `min_notional`."""
        return qty >= float(self.min_qty) and self.notional(qty, price) >= self.min_notional

    def wire_qty(self, lots: int) -> str:
        """The quantity as the venue wants to read it: plain decimal, no exponent, exactly on the grid."""
        return _decimal(lots * self._lot)

    def wire_price(self, ticks: int) -> str:
        return _decimal(ticks * self._tick)


@lru_cache(maxsize=256)
def _least(quantity: str, lot: Fraction) -> int:
    """The fewest lots that hold a quantity."""
    return -(-Fraction(Decimal(quantity)) // lot)


def _is_between(count: float) -> bool:
    """Whether a quotient is further from a whole number than its rounding errors are."""
    return count < 1e12 and abs(count - round(count)) > 1e-9 * (1 + count)


@lru_cache(maxsize=256)
def _exact(value: float) -> Fraction:
    """The decimal number that `repr(value)` shows: 0.3 is 3/10."""
    return Fraction(Decimal(repr(float(value))))


def _steps(value: float, step: Fraction) -> int:
    """How many whole steps the decimal number that `repr(value)` shows holds."""
    count = round(value * step.denominator / step.numerator)
    if count * step.numerator / step.denominator == value:  # on the grid: the usual case, without decimals
        return count
    return int(_exact(value) // step)


def _decimal(value: Fraction) -> str:
    return format(Decimal(value.numerator) / Decimal(value.denominator), "f")
