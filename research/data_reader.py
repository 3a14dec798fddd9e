"""Market data out of the store: bars, trades, quotes and fills of a half-open interval of time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from core.errors import ConfigError, DataError, nearest
from research.dataset import Dataset
from research.schema import Kind, kind_of
from research.store import Store
from research.times import iso, period

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from core.bars import Bars
    from core.instrument import Instrument

Format = Literal["pandas", "polars"]
FORMATS: tuple[Format, ...] = ("pandas", "polars")
HOW_TO_GET_DATA = (
    "get real data with `fillwright data download` or `fillwright data import`, "
    "or the synthetic market with `fillwright data sample`"
)


class DataReader:
    """Reads what `fillwright data` stored below `data_dir`: a folder, or its copy in a bucket (see `research.place`).

    Intervals are half-open, start_ns <= time < end_ns, by open time for bars; None leaves a side open. `venue` may be
    left out where only one venue has the symbol. Frames hold the columns of `research.schema`, ordered by time; a
    column that the source does not know (such as a trade's side) is absent.

    Raises DataError, naming what there is and the nearest name, where the symbol, kind or period has no data. A stretch
    without trades or quotes inside the stored period is an answer, an empty frame; one without bars is an error.
    """

    def __init__(self, data_dir: str | Path = "data") -> None:
        self.store = Store(data_dir)

    @overload
    def read_ohlcv(
        self, symbol: str, timeframe: str = ..., start_ns: int | None = ..., end_ns: int | None = ...,
        *, venue: str | None = ..., format: Literal["pandas"] = ...,
    ) -> pd.DataFrame: ...  # fmt: skip
    @overload
    def read_ohlcv(
        self, symbol: str, timeframe: str = ..., start_ns: int | None = ..., end_ns: int | None = ...,
        *, venue: str | None = ..., format: Literal["polars"],
    ) -> pl.DataFrame: ...  # fmt: skip
    def read_ohlcv(
        self,
        symbol: str,
        timeframe: str = "1m",
        start_ns: int | None = None,
        end_ns: int | None = None,
        *,
        venue: str | None = None,
        format: Format = "pandas",  # noqa: A002 - the specification's word
    ) -> pd.DataFrame | pl.DataFrame:
        """Bars of one length; where only shorter ones are stored, they are put together (see `research.resample`)."""
        return _as(self._ohlcv(symbol, timeframe, start_ns, end_ns, venue), format)

    @overload
    def read_trades(
        self, symbol: str, start_ns: int | None = ..., end_ns: int | None = ...,
        *, venue: str | None = ..., format: Literal["pandas"] = ...,
    ) -> pd.DataFrame: ...  # fmt: skip
    @overload
    def read_trades(
        self, symbol: str, start_ns: int | None = ..., end_ns: int | None = ...,
        *, venue: str | None = ..., format: Literal["polars"],
    ) -> pl.DataFrame: ...  # fmt: skip
    def read_trades(
        self,
        symbol: str,
        start_ns: int | None = None,
        end_ns: int | None = None,
        *,
        venue: str | None = None,
        format: Format = "pandas",  # noqa: A002
    ) -> pd.DataFrame | pl.DataFrame:
        """Trades: ts_ns, price, qty, and where known side (of the aggressor) and trade_id."""
        return _as(self._rows(self.dataset(symbol, "trades", venue), start_ns, end_ns), format)

    @overload
    def read_quotes(
        self, symbol: str, start_ns: int | None = ..., end_ns: int | None = ...,
        *, venue: str | None = ..., format: Literal["pandas"] = ...,
    ) -> pd.DataFrame: ...  # fmt: skip
    @overload
    def read_quotes(
        self, symbol: str, start_ns: int | None = ..., end_ns: int | None = ...,
        *, venue: str | None = ..., format: Literal["polars"],
    ) -> pl.DataFrame: ...  # fmt: skip
    def read_quotes(
        self,
        symbol: str,
        start_ns: int | None = None,
        end_ns: int | None = None,
        *,
        venue: str | None = None,
        format: Format = "pandas",  # noqa: A002
    ) -> pd.DataFrame | pl.DataFrame:
        """Best quotes: ts_ns, bid, ask, bid_qty, ask_qty; each holds until the next."""
        return _as(self._rows(self.dataset(symbol, "quotes", venue), start_ns, end_ns), format)

    @overload
    def read_fills(
        self, strategy_id: str, start_ns: int | None = ..., end_ns: int | None = ...,
        *, format: Literal["pandas"] = ..., path: str | Path | None = ...,
    ) -> pd.DataFrame: ...  # fmt: skip
    @overload
    def read_fills(
        self, strategy_id: str, start_ns: int | None = ..., end_ns: int | None = ...,
        *, format: Literal["polars"], path: str | Path | None = ...,
    ) -> pl.DataFrame: ...  # fmt: skip
    def read_fills(
        self,
        strategy_id: str,
        start_ns: int | None = None,
        end_ns: int | None = None,
        *,
        format: Format = "pandas",  # noqa: A002
        path: str | Path | None = None,
    ) -> pd.DataFrame | pl.DataFrame:
        """A strategy's fills, from a backtest (`path`: its output folder or fills.parquet), else from the store.

        A strategy without fills in the interval has an empty frame; an unknown strategy is a DataError.
        """
        from research.fills import select_fills, stored_fills, written_fills

        _check_interval(start_ns, end_ns)
        fills = stored_fills(self.store) if path is None else written_fills(Path(path))
        return _as(select_fills(fills, strategy_id, start_ns, end_ns), format)

    def bars(
        self,
        symbol: str,
        timeframe: str = "1m",
        start_ns: int | None = None,
        end_ns: int | None = None,
        *,
        venue: str | None = None,
    ) -> Bars:
        """The same as `read_ohlcv`, as the columns that the engine reads, checked."""
        from core.bars import COLUMNS, Bars

        frame = self._ohlcv(symbol, timeframe, start_ns, end_ns, venue, (*COLUMNS, "quote_volume"))
        if "quote_volume" in frame.columns and frame["quote_volume"].null_count():
            frame = frame.drop("quote_volume")  # known of some months only
        return Bars.from_frame(symbol, frame)

    def dataset(self, symbol: str, kind: str = "ohlcv_1m", venue: str | None = None) -> Dataset:
        """What is known about the stored data: synthetic or real, source, period, gaps, data_id, instrument facts."""
        kind_of(kind)
        of_symbol = self.describe(symbol)
        if not of_symbol:
            known = self._known()
            names = {one.symbol for one in known}
            raise DataError(f"no data for symbol {symbol!r} in {self.store.data_dir}: {nearest(symbol, names)}. "
                            f"{_listing(known)}; {HOW_TO_GET_DATA}")  # fmt: skip
        of_kind = [one for one in of_symbol if one.kind == kind]
        matching = [one for one in of_kind if venue is None or one.venue == venue]
        if not matching:
            at = "" if venue is None else f" at venue {venue!r}"
            raise DataError(f"no {kind} data for {symbol}{at} in {self.store.data_dir}. "
                            f"{_listing(of_symbol)}; {HOW_TO_GET_DATA}")  # fmt: skip
        if len(matching) > 1:
            venues = ", ".join(one.venue for one in matching)
            raise DataError(f"{symbol} {kind} is stored of several venues: name one of {venues} (--venue)")
        return matching[0]

    def describe(
        self, symbol: str | None = None, kind: str | None = None, venue: str | None = None
    ) -> list[Dataset]:  # fmt: skip
        """All stored datasets that match; none where none do, no error."""
        return self.store.datasets(venue=venue, symbol=symbol, kind=kind)

    def instrument(self, symbol: str, venue: str | None = None) -> Instrument:
        """Tick, lot, fees and spread as far as any data of the symbol at the venue knows them.

        Raises DataError as `dataset` does, and where several venues have the symbol and none is named.
        """
        from core.instrument import Instrument

        of_symbol = self.describe(symbol, venue=venue)
        if not of_symbol:
            at = "" if venue is None else f" at venue {venue!r}"
            names = {one.symbol for one in self._known()}
            raise DataError(f"no data for symbol {symbol!r}{at} in {self.store.data_dir}: {nearest(symbol, names)}")
        venues = sorted({one.venue for one in of_symbol})
        if len(venues) > 1:
            raise DataError(f"{symbol} is stored of several venues: name one of {', '.join(venues)} (--venue)")
        facts: dict[str, Any] = {}
        for one in of_symbol:
            facts.update(one.instrument)
        return Instrument(symbol, venues[0], **facts)

    def _known(self) -> list[Dataset]:
        known = self.store.datasets()
        if not known:
            raise DataError(f"no market data is stored in {self.store.data_dir}: {HOW_TO_GET_DATA}")
        return known

    def _ohlcv(
        self,
        symbol: str,
        timeframe: str,
        start_ns: int | None,
        end_ns: int | None,
        venue: str | None,
        columns: tuple[str, ...] | None = None,
    ) -> pl.DataFrame:
        from research.resample import put_together, shorter_bars

        kind = kind_of(f"ohlcv_{timeframe}")
        shorter = shorter_bars(self.describe(symbol, venue=venue), kind)
        if shorter is None:
            return self._rows(self.dataset(symbol, kind.name, venue), start_ns, end_ns, columns)
        _check_interval(start_ns, end_ns)
        length, asked = kind.timeframe_ns, period(start_ns, end_ns)
        start_ns, end_ns = (None if edge is None else -(-edge // length) * length for edge in (start_ns, end_ns))
        if start_ns is not None and start_ns == end_ns:
            raise DataError(f"no {timeframe} bar opens in {asked}: they open at multiples of {timeframe}")
        rows = put_together(self._rows(self.dataset(symbol, shorter, venue), start_ns, end_ns), kind)
        return rows if columns is None else rows.select([name for name in columns if name in rows.columns])

    def _rows(
        self, dataset: Dataset, start_ns: int | None, end_ns: int | None, columns: tuple[str, ...] | None = None
    ) -> pl.DataFrame:
        import polars as pl

        _check_interval(start_ns, end_ns)
        kind = kind_of(dataset.kind)
        rows = self.store.scan(dataset, start_ns, end_ns)
        try:
            if columns is not None:
                there = rows.collect_schema().names()
                rows = rows.select([name for name in columns if name in there])
            frame = rows.collect()
        except (OSError, pl.exceptions.PolarsError) as error:
            why = str(error).strip().splitlines()[0]
            raise DataError(f"{dataset} cannot be read: {why}; `fillwright data check` tells what is broken") from error
        if frame.is_empty() and not _may_be_empty(dataset, kind, start_ns, end_ns):
            raise DataError(_no_rows(dataset, start_ns, end_ns))
        return frame


def _check_interval(start_ns: int | None, end_ns: int | None) -> None:
    if start_ns is not None and end_ns is not None and start_ns >= end_ns:
        raise ConfigError(f"start must be before end, was {iso(start_ns)} and {iso(end_ns)}")


def _may_be_empty(dataset: Dataset, kind: Kind, start_ns: int | None, end_ns: int | None) -> bool:
    inside = (start_ns is None or start_ns < dataset.end_ns) and (end_ns is None or end_ns > dataset.start_ns)
    return inside and kind.family != "ohlcv"


def _no_rows(dataset: Dataset, start_ns: int | None, end_ns: int | None) -> str:
    line = f"no data from {period(start_ns, end_ns)} in what is stored: {dataset}"
    for start, end in dataset.gaps:
        if start_ns is not None and end_ns is not None and start <= start_ns and end_ns <= end:
            line += f" with a gap from {period(start, end)}"
    return f"{line}; {HOW_TO_GET_DATA}"


def _listing(known: list[Dataset]) -> str:
    shown = "; ".join(str(one) for one in known[:12])
    return f"Stored: {shown}{f' and {len(known) - 12} more' if len(known) > 12 else ''}"


def _as(frame: pl.DataFrame, form: Format) -> pd.DataFrame | pl.DataFrame:
    """The frame in the wanted library; pandas gets plain numpy columns, which takes no pyarrow."""
    if form == "polars":
        return frame
    if form != "pandas":
        raise ConfigError(f"format must be one of {', '.join(FORMATS)}, was {form!r}")
    import pandas as pd

    return pd.DataFrame({name: _numpy(frame[name]) for name in frame.columns}, columns=frame.columns)


def _numpy(column: pl.Series) -> Any:
    import polars as pl

    return column.to_list() if column.dtype == pl.String else column.to_numpy()
