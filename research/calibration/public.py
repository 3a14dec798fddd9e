"""Public trades and quotes out of the store, ready for measuring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np

from core import checks
from core.errors import DataError
from research.calibration.flow import Quotes
from research.calibration.orders import Floats, Ints
from research.calibration.signs import Mids, Trades, lee_ready

if TYPE_CHECKING:
    import polars as pl

    from research.data_reader import DataReader

MidSource = Literal["quotes", "bars", "trades"]
MID_SOURCES: Final[tuple[MidSource, ...]] = get_args(MidSource)
FEWEST_TRADES: Final = 100


@dataclass(frozen=True, slots=True, eq=False)
class Public:
    """Trades with their signs, and where the mid was.

    mids          for intervals of a minute and longer; of quotes, closes of bars, or prices of trades: `mid_source`
    trade_mids    as fine as the trades: of quotes, else prices of trades
    quotes        None where none are stored
    volume        times and quantities that tell the shape of the day: of one-minute bars where stored, else of trades
    signed_by     share of the volume whose side the venue tells, the quotes, the tick test, or nobody
    data          every dataset that was read: symbol, venue, kind, data_id, synthetic
    """

    symbol: str
    trades: Trades
    mids: Mids
    trade_mids: Mids
    quotes: Quotes | None
    mid_source: MidSource
    volume: tuple[Ints, Floats]
    signed_by: dict[str, float]
    lag_ns: int
    data: list[dict[str, Any]]


def read_public(
    reader: DataReader,
    symbol: str,
    *,
    venue: str | None = None,
    start_ns: int | None = None,
    end_ns: int | None = None,
    mid: MidSource | None = None,
    lag_ns: int = 0,
) -> Public:
    """Trades of the symbol, signed, and its mids: of stored quotes, else of one-minute bars, else of trades.

    lag_ns: how much later than the quotes trades are reported; a trade meets the quote of that much earlier.
    Raises DataError where trades, or the mids asked for, are not stored, or are too few.
    """
    checks.not_negative("lag_ns", lag_ns)
    trades_set = reader.dataset(symbol, "trades", venue)
    venue = trades_set.venue
    table = reader.read_trades(symbol, start_ns, end_ns, venue=venue, format="polars")
    if len(table) < FEWEST_TRADES:
        raise DataError(
            f"{len(table)} trades of {symbol} are too few to measure on: at least {FEWEST_TRADES} are needed"
        )
    stored = {one.kind: one for one in reader.describe(symbol, venue=venue)}
    used = [trades_set]
    quotes = None
    if "quotes" in stored and mid in (None, "quotes"):
        quotes = _quotes(reader.read_quotes(symbol, start_ns, end_ns, venue=venue, format="polars"))
        used.append(stored["quotes"])
    source: MidSource = mid or ("quotes" if quotes else "bars" if "ohlcv_1m" in stored else "trades")
    if source == "quotes" and (quotes is None or not len(quotes.ts_ns)):
        raise DataError(f"no quotes of {symbol} at {venue} are stored for the period: import them, or use --mid trades")
    prices = Mids(_ints(table, "ts_ns"), _floats(table, "price"))
    fine = prices if quotes is None else quotes.mids
    trades, signed_by = _signed(table, fine if quotes else None, lag_ns)
    volume = (trades.ts_ns, trades.qty)
    mids = prices if source == "trades" else fine
    if "ohlcv_1m" in stored:
        bars = reader.bars(symbol, "1m", start_ns, end_ns, venue=venue)
        volume = (bars.ts_open_ns, bars.volume)
        if source == "bars":
            mids = Mids(bars.ts_close_ns - 1, bars.close)  # what a bar closed at was known just before its end
        used.append(stored["ohlcv_1m"])
    elif source == "bars":
        reader.dataset(symbol, "ohlcv_1m", venue)  # says what there is instead
    named = ("symbol", "venue", "kind", "data_id", "synthetic")
    data = [{name: getattr(one, name) for name in named} for one in used]
    return Public(symbol, trades, mids, fine, quotes, source, volume, signed_by, lag_ns, data)


def _signed(table: pl.DataFrame, mids: Mids | None, lag_ns: int) -> tuple[Trades, dict[str, float]]:
    """The venue's side where it is known, else Lee and Ready; and by what share of the volume each was signed."""
    ts, price, qty = _ints(table, "ts_ns"), _floats(table, "price"), _floats(table, "qty")
    n = len(ts)
    told = np.zeros(n, np.int8)
    if "side" in table.columns:
        side = table["side"]
        told = (side == "buy").fill_null(False).to_numpy().astype(np.int8)
        told -= (side == "sell").fill_null(False).to_numpy().astype(np.int8)
    mid = np.full(n, np.nan) if mids is None else mids.before(ts - lag_ns)
    guess = lee_ready(price, mid)
    sign = np.where(told != 0, told, guess).astype(np.int8)
    off_mid = np.isfinite(mid) & (price != mid)
    methods = np.select([told != 0, off_mid, guess != 0], ["venue", "quotes", "tick test"], "nobody")
    shares = {str(method): float(qty[methods == method].sum() / qty.sum()) for method in np.unique(methods)}
    return Trades(ts, price, qty, sign), shares


def _quotes(table: pl.DataFrame) -> Quotes:
    names = ("bid", "ask", "bid_qty", "ask_qty")
    return Quotes(_ints(table, "ts_ns"), *(_floats(table, name) for name in names))


def _floats(table: pl.DataFrame, name: str) -> Floats:
    return np.ascontiguousarray(table[name].to_numpy(), dtype=np.float64)


def _ints(table: pl.DataFrame, name: str) -> Any:
    return np.ascontiguousarray(table[name].to_numpy(), dtype=np.int64)
