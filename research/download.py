"""Bars and trades from exchanges, through ccxt: page by page into the store, resuming where an earlier run stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from core.errors import ConfigError, DataError
from research.dataset import Dataset, Gap, united
from research.quality import checked
from research.schema import Kind, kind_of
from research.store import Store
from research.tables import ROW
from research.times import period

if TYPE_CHECKING:
    import polars as pl

MS_NS = 1_000_000
PAGE = 1000
_QUIET_MS = 3_600_000  # how far an exchange looks ahead for trades at most, in the interfaces that set a window
_TRIES = 7
_FIRST_PAUSE_S = 0.5

OnProgress = Callable[[int, int], object]
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


def download(
    data_dir: str | Path,
    *,
    exchange: str,
    symbol: str,
    start_ns: int,
    end_ns: int | None = None,
    kind: str = "ohlcv_1m",
    venue: str | None = None,
    endpoint: str | None = None,
    on_progress: OnProgress | None = None,
    pause: Pause = time.sleep,
) -> Dataset:
    """Fetches what is not stored yet of [start_ns, end_ns) and stores it; the dataset.

    `end_ns` defaults to now and is never later; a bar that is not over yet is left out. `on_progress(done, total)`
    counts nanoseconds. What came before an error or Ctrl-C is stored, and the next run goes on from there.
    Raises DataError where the exchange refuses, does not answer, or has nothing; ConfigError for wrong arguments.
    """
    form = kind_of(kind)
    if form.family not in {"ohlcv", "trades"}:
        raise ConfigError(f"bars (ohlcv_1m, ...) and trades can be downloaded, not {kind}")
    venue = venue or exchange
    client = open_exchange(exchange, endpoint)
    try:
        now_ns = client.milliseconds() * MS_NS
        end_ns = now_ns if end_ns is None else min(end_ns, now_ns)
        grid = form.timeframe_ns or MS_NS
        start_ns, end_ns = -(-start_ns // grid) * grid, end_ns // grid * grid
        if start_ns >= end_ns:
            raise ConfigError(f"start must be before end and before now, was {period(start_ns, end_ns)}")
        source = Source(client, symbol, pause)
        keeper = _Keeper(Store(data_dir), source, form, venue)
        wanted = missing(keeper.dataset, start_ns, end_ns)
        total = sum(end - start for start, end in wanted)
        done = 0
        with keeper:
            for start, end in wanted:
                pages = source.bars(form, start, end) if form.timeframe_ns else source.trades(start, end)
                for page in pages:
                    keeper.add(page)
                    done += page.end_ns - page.start_ns
                    if on_progress is not None:
                        on_progress(done, total)
    finally:
        client.session.close()
    if keeper.dataset is None:
        raise DataError(f"{exchange} has no {kind} of {symbol} for {period(start_ns, end_ns)}")
    return keeper.dataset


def missing(dataset: Dataset | None, start_ns: int, end_ns: int) -> list[Gap]:
    """The parts of [start_ns, end_ns) that are neither downloaded already nor, for bars, stored from elsewhere."""
    have: list[Gap] = []
    if dataset is not None:
        have = list(dataset.covered)
        if kind_of(dataset.kind).family == "ohlcv":
            edges = [dataset.start_ns, *(edge for gap in dataset.gaps for edge in gap), dataset.end_ns]
            have += zip(edges[::2], edges[1::2], strict=True)
    out: list[Gap] = []
    cursor = start_ns
    for start, end in united(have):
        if start > cursor and start < end_ns:
            out.append((cursor, start))
        cursor = max(cursor, end)
    return [*out, (cursor, end_ns)] if cursor < end_ns else out


class _Keeper:
    """Gathers pages and commits them; leaving the block, in whatever way, commits the rest.

    A commit rewrites a month, so it waits for a twentieth of what is stored: the work stays in proportion.
    """

    def __init__(self, store: Store, source: Source, kind: Kind, venue: str) -> None:
        self._store, self._source, self._kind, self._venue = store, source, kind, venue
        self._rows: list[tuple[Any, ...]] = []
        self._covered: list[Gap] = []
        self.dataset = store.get(venue, source.symbol, kind.name)

    def __enter__(self) -> _Keeper:
        return self

    def __exit__(self, *_: object) -> None:
        self.commit()

    def add(self, page: Page) -> None:
        self._rows += page.rows
        self._covered.append((page.start_ns, page.end_ns))
        stored = 0 if self.dataset is None else self.dataset.rows
        if len(self._rows) > stored // 20:
            self.commit()

    def commit(self) -> None:
        if not self._rows:
            return
        frame = _frame(self._rows, self._kind)
        where = f"{self._source.exchange.id} {self._source.symbol}"
        good, _ = checked(frame, self._kind, "fail", where)
        self.dataset = self._store.commit(
            good,
            venue=self._venue,
            symbol=self._source.symbol,
            kind=self._kind.name,
            source=f"ccxt {self._source.exchange.id}",
            instrument=self._source.facts(),
            covered=tuple(self._covered),
        )
        self._rows, self._covered = [], []


def _frame(rows: list[tuple[Any, ...]], kind: Kind) -> pl.DataFrame:
    """ccxt's rows as the store's columns; a page boundary may have brought a trade twice."""
    import polars as pl

    time_ns = (pl.col("ms") * MS_NS).alias(kind.time)
    if kind.family == "ohlcv":
        names = ["open", "high", "low", "close", "volume"]
        schema: dict[str, Any] = {"ms": pl.Int64, **dict.fromkeys(names, pl.Float64)}
        close_ns = (pl.col("ms") * MS_NS + kind.timeframe_ns).alias("ts_close_ns")
        frame = pl.DataFrame(rows, schema=schema, orient="row").select(time_ns, close_ns, *names)
    else:
        names = ["price", "qty", "side", "trade_id"]
        types = (pl.Float64, pl.Float64, pl.String, pl.String)
        schema = {"ms": pl.Int64, **dict(zip(names, types, strict=True))}
        frame = pl.DataFrame(rows, schema=schema, orient="row").select(time_ns, *names)
        if not frame["trade_id"].null_count():
            frame = frame.unique("trade_id", keep="first", maintain_order=True)
    return frame.with_row_index(ROW, 1)


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


if __name__ == "__main__":
    from core.console import run
    from research.cli import download_command

    run(download_command)
