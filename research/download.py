"""Bars and trades from exchanges: page by page into the store, resuming where an earlier run stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import ConfigError, DataError
from research.dataset import Dataset, Gap, united
from research.exchange import MS_NS, Page, Pause, Source, open_exchange
from research.quality import checked
from research.schema import Kind, kind_of
from research.store import Store
from research.tables import ROW
from research.times import period

if TYPE_CHECKING:
    import polars as pl

OnProgress = Callable[[int, int], object]


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


if __name__ == "__main__":
    from core.console import run
    from research.cli import download_command

    run(download_command)
