"""The Parquet store: one folder for each venue, symbol and kind, one file for each month, one `dataset.json` over them.

    {data_dir}/venue=binance/symbol=ATOM%2FUSDT/kind=ohlcv_1m/month=2021-04.3f2a9c04.parquet
                                                              dataset.json

Month files are never changed: a commit writes new ones beside the old ones, then replaces `dataset.json`, which names
the files that count. That one replacement is the commit; before it the store is as it was, after it all is new, and a
reader sees either. Files that nothing names (of an interrupted commit) are removed by the next commit.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import DataError
from core.folders import alone
from research.dataset import Dataset, Gap, Month, month_of, united
from research.merge import OnConflict, merged
from research.place import MANIFEST, Folder, below, place_of
from research.schema import Kind, arranged, dtype, kind_of
from research.times import iso

if TYPE_CHECKING:
    import polars as pl


class Store:
    """Reads and writes datasets below `data_dir`, a folder that need not exist to be asked.

    `data_dir` may be the URL of a bucket (see `research.place`), which is read only.
    """

    def __init__(self, data_dir: str | Path) -> None:
        self._place = place_of(data_dir)
        self.data_dir: Path | str = self._place.path if isinstance(self._place, Folder) else str(data_dir)

    def exists(self) -> bool:
        """Whether any dataset is stored."""
        return any(self._place.manifests(None, None, None))

    def datasets(
        self, *, venue: str | None = None, symbol: str | None = None, kind: str | None = None
    ) -> list[Dataset]:
        """All that match, ordered by venue, symbol and kind. Naming a symbol costs what it has, not what all have."""
        found = [_decoded(name, content) for name, content in self._place.manifests(venue, symbol, kind)]
        return sorted(found, key=lambda one: (one.venue, one.symbol, one.kind))

    def get(self, venue: str, symbol: str, kind: str) -> Dataset | None:
        return next(iter(self.datasets(venue=venue, symbol=symbol, kind=kind)), None)

    def folder(self, venue: str, symbol: str, kind: str) -> Path:
        """Where a dataset is written. Raises DataError for a bucket."""
        if not isinstance(self.data_dir, Path):
            raise DataError(f"{self.data_dir} is read only: store the data in a folder and copy that into the bucket")
        return self.data_dir / below(venue, symbol, kind)

    def source(self, dataset: Dataset, month: Month) -> Path | str:
        """What polars opens for a month."""
        return self._place.source(dataset.venue, dataset.symbol, dataset.kind, month.file)

    def scan(self, dataset: Dataset, start_ns: int | None = None, end_ns: int | None = None) -> pl.LazyFrame:
        """The rows with start_ns <= time < end_ns; only the months that can hold some are opened.

        Raises DataError where a file of the dataset is gone; an object of a bucket is missed when the rows are read.
        """
        import polars as pl

        kind = kind_of(dataset.kind)
        wanted = [
            self.source(dataset, month)
            for _, month in sorted(dataset.months.items())
            if (end_ns is None or month.start_ns < end_ns) and (start_ns is None or month.end_ns > start_ns)
        ]
        if gone := [path for path in wanted if isinstance(path, Path) and not path.is_file()]:
            raise DataError(f"{gone[0]} is missing: `fillwright data check` tells what else is; import the data again")
        if not wanted:
            return pl.LazyFrame(schema={name: dtype(name) for name in kind.required})
        # Months may differ in their optional columns; a file per frame lets each have its own.
        parts = [pl.scan_parquet(source, glob=False, hive_partitioning=False) for source in wanted]
        rows = parts[0] if len(parts) == 1 else pl.concat(parts, how="diagonal")
        if start_ns is not None and start_ns > dataset.start_ns:
            rows = rows.filter(pl.col(kind.time) >= start_ns)
        if end_ns is not None and end_ns < dataset.end_ns:
            rows = rows.filter(pl.col(kind.time) < end_ns)
        return rows

    def commit(
        self,
        frame: pl.DataFrame,
        *,
        venue: str,
        symbol: str,
        kind: str,
        source: str,
        synthesis: dict[str, Any] | None = None,
        instrument: dict[str, Any] | None = None,
        skipped: dict[str, int] | None = None,
        covered: tuple[Gap, ...] = (),
        on_conflict: OnConflict = "fail",
        fresh: bool = False,
    ) -> Dataset:
        """Merges checked rows into a dataset, or makes it; `fresh` forgets what was stored.

        Repeating a commit changes nothing. `synthesis` marks the rows as synthetic: they never mix with real ones.
        Raises DataError for conflicting rows, for no rows, and where synthetic and real rows would mix.
        """
        form = kind_of(kind)
        where = f"{symbol} {kind} at {venue}"
        if frame.is_empty():
            raise DataError(f"{where}: no rows to store")
        folder = self.folder(venue, symbol, kind)
        with _locked(folder):
            stored = None if fresh else self.get(venue, symbol, kind)
            if stored is not None and stored.synthetic != (synthesis is not None):
                word = "synthetic" if stored.synthetic else "real"
                raise DataError(f"{where} holds {word} rows, which never mix with the others: use another --venue")
            before = stored or Dataset(venue, symbol, kind, synthetic=synthesis is not None)
            changed = {}
            for name, rows in _by_month(arranged(frame, form), form):
                month = before.months.get(name)
                changed[name] = rows if month is None else merged(_read(folder, month), rows, form, on_conflict, where)
            try:
                written = {name: _write_month(folder, name, rows, form) for name, rows in changed.items()}
                after = replace(
                    before,
                    months=dict(sorted({**before.months, **written}.items())),
                    source=tuple(dict.fromkeys((*before.source, source))),
                    instrument={**before.instrument, **(instrument or {})},
                    synthesis=synthesis or {},
                    covered=united((*before.covered, *covered)),
                    skipped={**before.skipped, **({source: skipped} if skipped else {})},
                )
                _write_manifest(folder, after)
            except BaseException:
                _sweep(folder, self.get(venue, symbol, kind) or before)
                raise
            _sweep(folder, after)
        return after


def _read(folder: Path, month: Month) -> pl.DataFrame:
    import polars as pl

    return pl.read_parquet(folder / month.file, glob=False, hive_partitioning=False)


def _by_month(frame: pl.DataFrame, kind: Kind) -> list[tuple[str, pl.DataFrame]]:
    """The rows of each month of the calendar (UTC), in order."""
    import polars as pl

    month = pl.from_epoch(pl.col(kind.time), time_unit="ns").dt.truncate("1mo").dt.strftime("%Y-%m").alias("month")
    parts = frame.with_columns(month).partition_by("month", as_dict=True, include_key=False, maintain_order=True)
    return sorted((str(key[0]), part) for key, part in parts.items())


def _write_month(folder: Path, name: str, rows: pl.DataFrame, kind: Kind) -> Month:
    """Writes the month under a name that holds its content hash; the same content is the same file.

    Raises DataError where a bar reaches into the next one.
    """
    if kind.family == "ohlcv":
        into = (rows["ts_close_ns"].shift(1) > rows["ts_open_ns"]).arg_true()
        if len(into):
            when = iso(int(rows["ts_open_ns"][into[0]]))
            raise DataError(f"the bar at {when} begins before the stored one ends: store these under another --venue")
    month = month_of(rows, kind, "")
    path = folder / f"month={name}.{month.content[:8]}.parquet"
    if not path.is_file():
        with atomic(path) as partial:
            rows.write_parquet(partial, compression="zstd", compression_level=1)
    return replace(month, file=path.name)


def _decoded(name: str, content: bytes) -> Dataset:
    import msgspec

    try:
        return msgspec.json.decode(content, type=Dataset)
    except msgspec.DecodeError as error:
        raise DataError(f"{name} is not readable ({error}): remove its folder and import the data again") from error


def _write_manifest(folder: Path, dataset: Dataset) -> None:
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(dataset), indent=1)
    with atomic(folder / MANIFEST) as partial:
        partial.write_bytes(text + b"\n")


def _sweep(folder: Path, dataset: Dataset) -> None:
    """Removes month files that the manifest does not name, and what an interrupted write left."""
    named = {month.file for month in dataset.months.values()}
    for path in [*folder.glob("month=*.parquet"), *folder.glob(".*.partial")]:
        if path.name not in named:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A path to write to that becomes `path` when the block ends well, and nothing when it does not."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        with partial.open("rb+") as written:
            os.fsync(written.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One writer at a time in this folder, over processes; folders made for nothing are removed again."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with alone(folder):  # without such a lock the last writer's manifest stands, whole
            yield
    except BaseException:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise
