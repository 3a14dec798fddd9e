"""Fees in quote currency. A fee in another currency is converted where its price is known, else it stays unknown."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from execution.foreign.records import Fill, say


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """How fees become quote currency.

    A fee in base currency costs its amount at the fill's own price. `rates`: price of one unit of another currency in
    quote currency. `bps`: of the fill's notional, where the file says nothing about fees; NaN: they stay unknown.
    """

    rates: Mapping[str, float] = field(default_factory=dict)
    bps: float = math.nan

    def in_quote(self, fill: Fill, symbol: str, currency: str | None, notes: list[str]) -> float:
        """The fee of a fill; NaN where it is unknown. `currency` is the price's, where a column says it."""
        if math.isnan(fill.fee):
            if math.isnan(self.bps):
                say(notes, "no fees: they and the shortfall are unknown (--fee-bps says what they were)")
            return self.bps / 1e4 * fill.qty * fill.price
        named = fill.fee_currency
        if named is None or not fill.fee:
            return fill.fee
        if named in self.rates:
            return fill.fee * self.rates[named]
        base, quote = currencies(symbol, named)
        quote = currency or quote
        if named == quote:
            return fill.fee
        if named == base:
            say(notes, "fees in base currency: converted at the price of their fill")
            return fill.fee * fill.price
        say(notes, f"fees in {named}: unknown in quote currency (--fee-rate {named}=PRICE says what it is worth)")
        return math.nan


def currencies(symbol: str, named: str) -> tuple[str | None, str | None]:
    """Base and quote currency of a symbol: ATOM/USDT, ATOM-USDT, ATOM_USDT, ATOM/USDT:USDT.

    Of one without a separator, ATOMUSDT, that which `named` is: it begins or ends with it, or neither.
    """
    parts = re.split(r"[/_-]", symbol.partition(":")[0])
    if len(parts) == 2:
        return parts[0], parts[1]
    if len(parts) == 1 and symbol != named:
        if symbol.endswith(named):
            return None, named
        if symbol.startswith(named):
            return named, None
    return None, None
