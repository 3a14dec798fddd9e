"""One symbol at one exchange, through ccxt: pages of bars and trades, market facts, patience with the network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

from core.errors import ConfigError, DataError
from research.schema import Kind

MS_NS = 1_000_000
PAGE = 1000
_QUIET_MS = 3_600_000  # how far an exchange looks ahead for trades at most, in the interfaces that set a window
_TRIES = 7
_FIRST_PAUSE_S = 0.5

Pause = Callable[[float], object]


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of the exchange: its rows, and the interval that it answers for."""

    rows: list[tuple[Any, ...]]
    start_ns: int
    end_ns: int


class Source:
    """One symbol at one exchange; every request is repeated with growing pauses while the network fails."""

    def __init__(self, exchange: Any, symbol: str, pause: Pause = time.sleep) -> None:
        self.exchange = exchange
        self.symbol = symbol
        self._pause = pause
        markets = self._asked(exchange.load_markets)
        if symbol not in markets:
            close = get_close_matches(symbol.upper(), markets, n=3)
            hint = f": did you mean {' or '.join(close)}?" if close else f", which has {len(markets)} others"
            raise DataError(f"symbol {symbol!r} is unknown at {exchange.id}{hint}")
        self.market = markets[symbol]

    def bars(self, kind: Kind, start_ns: int, end_ns: int) -> Iterator[Page]:
        step_ms = kind.timeframe_ns // MS_NS
        cursor, end = start_ns // MS_NS, end_ns // MS_NS
        while cursor < end:
            rows = self._asked(self.exchange.fetch_ohlcv, self.symbol, kind.name[6:], cursor, PAGE)
            kept = sorted(tuple(row[:6]) for row in rows if cursor <= row[0] < end)
            beyond = bool(rows) and rows[-1][0] >= end
            after = kept[-1][0] + step_ms if kept else cursor + PAGE * step_ms
            after = end if beyond else min(after, end)
            yield Page(kept, cursor * MS_NS, after * MS_NS)
            cursor = after

    def trades(self, start_ns: int, end_ns: int) -> Iterator[Page]:
        cursor, end = start_ns // MS_NS, -(-end_ns // MS_NS)
        while cursor < end:
            trades = self._asked(self.exchange.fetch_trades, self.symbol, cursor, PAGE)
            trades = sorted((one for one in trades if one["timestamp"] >= cursor), key=_time_and_id)
            last = trades[-1]["timestamp"] if trades else cursor
            if last == cursor and len(trades) >= PAGE:
                raise DataError(f"{self.exchange.id} has more than {PAGE} trades in the millisecond {cursor}")
            # Trades of the last millisecond may be cut by the page: it is asked for again, and stored once.
            after = min(last if last > cursor else cursor + _QUIET_MS, end)
            kept = [
                (one["timestamp"], one["price"], one["amount"], one["side"], one["id"])
                for one in trades
                if one["timestamp"] < end
            ]
            yield Page(kept, cursor * MS_NS, after * MS_NS)
            cursor = after

    def facts(self) -> dict[str, Any]:
        """Tick, lot, minima and fees as the exchange publishes them; what it does not say is left out."""
        limits, precision = self.market.get("limits") or {}, self.market.get("precision") or {}
        found = {
            "tick": self._step(precision.get("price")),
            "lot": self._step(precision.get("amount")),
            "min_qty": _text((limits.get("amount") or {}).get("min")),
            "min_notional": _float((limits.get("cost") or {}).get("min")),
            "maker_fee_bps": _bps(self.market.get("maker")),
            "taker_fee_bps": _bps(self.market.get("taker")),
        }
        return {name: value for name, value in found.items() if value is not None}

    def _step(self, precision: float | None) -> str | None:
        """ccxt tells a grid as its step, or as a number of decimals, by exchange."""
        import ccxt

        if precision is None or self.exchange.precisionMode == ccxt.SIGNIFICANT_DIGITS:
            return None
        if self.exchange.precisionMode == ccxt.DECIMAL_PLACES:
            return format(Decimal(10) ** -int(precision), "f")
        return _text(precision)

    def _asked(self, call: Callable[..., Any], *args: Any) -> Any:
        import ccxt

        for attempt in range(_TRIES):
            try:
                return call(*args)
            except ccxt.NetworkError as error:
                if attempt == _TRIES - 1:
                    raise DataError(
                        f"{self.exchange.id} does not answer after {_TRIES} tries ({_line(error)}); "
                        "what came is stored: the same command goes on from there"
                    ) from error
                self._pause(_FIRST_PAUSE_S * 2**attempt)
            except ccxt.BaseError as error:
                raise DataError(f"{self.exchange.id} refuses: {_line(error)}") from error
        raise AssertionError("every try returns or raises")


def open_exchange(name: str, endpoint: str | None = None) -> Any:
    """The ccxt exchange; `endpoint` (scheme and host) replaces the host of all its addresses, for proxies and testnets.

    Raises ConfigError where ccxt is not installed, or does not know the exchange.
    """
    try:
        import ccxt
    except ImportError as error:
        raise ConfigError("downloads need ccxt, which is not installed: pip install 'fillwright[ccxt]'") from error
    if name not in ccxt.exchanges:
        close = get_close_matches(name.lower(), ccxt.exchanges, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "see the list at https://docs.ccxt.com"
        raise ConfigError(f"exchange {name!r} is unknown to ccxt: {hint}")
    exchange = getattr(ccxt, name)({"enableRateLimit": True})
    if endpoint is not None:
        if not urlsplit(endpoint).netloc:
            raise ConfigError(f"endpoint must be an address such as https://host:port, was {endpoint!r}")
        exchange.urls["api"] = _moved(exchange.urls["api"], endpoint.rstrip("/"))
    return exchange


def _time_and_id(trade: dict[str, Any]) -> tuple[int, int, str]:
    """ccxt sorts ids as text, so that trade 10 comes before trade 9 of the same millisecond."""
    name = str(trade["id"] or "")
    return trade["timestamp"], len(name), name


def _moved(urls: Any, endpoint: str) -> Any:
    if isinstance(urls, dict):
        return {name: _moved(value, endpoint) for name, value in urls.items()}
    return endpoint + urlsplit(urls).path if isinstance(urls, str) else urls


def _text(step: Any) -> str | None:
    return None if not step else format(Decimal(str(step)), "f")


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def _bps(fraction: Any) -> float | None:
    return None if fraction is None else float(Decimal(str(fraction)) * 10_000)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
