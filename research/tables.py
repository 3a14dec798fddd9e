"""Files as they come (CSV, zip and gzip of CSV, Parquet, JSON) into frames of raw columns, with the row numbers."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import DataError, nearest

if TYPE_CHECKING:
    import polars as pl

ROW = "_row"
"""The number of a row in its file: the line of a CSV file, else counted from 1."""

_Number = float | None
_Candle = tuple[int, _Number, _Number, _Number, _Number, _Number]


def read_table(path: Path, names: Sequence[str] = (), separator: str = ",") -> pl.DataFrame:
    """The file's columns and `ROW`. CSV columns are text: what they mean is decided, and refused, later.

    `names` are the columns of a CSV file without a header; a first line that begins with a number is taken for data.
    `separator` is the character between the cells of a CSV file.
    Raises DataError where the file is absent, empty, or not what its name says.
    """
    import polars as pl

    if not path.is_file():
        raise DataError(f"{path} does not exist, or is not a file")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty")
    suffix = path.suffix.lower()
    try:
        if suffix in {".parquet", ".pq"}:
            frame = pl.read_parquet(path, glob=False, hive_partitioning=False).with_row_index(ROW, 1)
        elif suffix == ".zip":
            frame = _read_zip(path, names, separator)
        elif suffix == ".json":
            frame = _read_candles(path)
        else:
            content = path.read_bytes()
            frame = _read_csv(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content, names, separator)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{path} is not readable: {str(error).strip().splitlines()[0]}") from error
    except (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not readable: {error}") from error
    if frame.is_empty():
        raise DataError(f"{path} holds no rows")
    return frame


def only(frame: pl.DataFrame, where: dict[str, str], path: Path) -> pl.DataFrame:
    """The rows whose columns have these values. Raises DataError for an unknown column and where no row is left."""
    import polars as pl

    for column, value in where.items():
        if column not in frame.columns:
            known = [name for name in frame.columns if name != ROW]
            raise DataError(f"{path} has no column {column!r} to select on: {nearest(column, known)}")
        text = frame[column].cast(pl.String)
        kept = frame.filter(text == value)
        if kept.is_empty():
            there = [str(one) for one in text.unique().sort().head(20).to_list()]
            raise DataError(f"{path} has no row with {column}={value}: {nearest(value, there)}")
        frame = kept
    return frame


def _read_zip(path: Path, names: Sequence[str], separator: str) -> pl.DataFrame:
    import polars as pl

    with zipfile.ZipFile(path) as archive:
        members = sorted(name for name in archive.namelist() if name.lower().endswith(".csv"))
        if not members:
            raise DataError(f"{path} holds no .csv file")
        return pl.concat([_read_csv(archive.read(name), names, separator) for name in members], how="diagonal")


def _read_csv(content: bytes, names: Sequence[str], separator: str) -> pl.DataFrame:
    import polars as pl

    first = content.lstrip(b"\xef\xbb\xbf")[:65536].split(b"\n", 1)[0].decode()
    header = not _is_number(first.split(separator, 1)[0])
    frame = pl.read_csv(content, separator=separator, has_header=header, infer_schema=False)
    if not header:
        if len(frame.columns) > len(names):
            raise DataError(
                f"the CSV file has no header and {len(frame.columns)} columns, "
                f"where {len(names) or 'none'} are known: add a header line that names them"
            )
        frame.columns = list(names[: len(frame.columns)])
    else:
        frame.columns = [name.strip() for name in frame.columns]
    return frame.with_row_index(ROW, 2 if header else 1)


def _read_candles(path: Path) -> pl.DataFrame:
    """ccxt's OHLCV arrays: [[ms, open, high, low, close, volume], ...]."""
    import msgspec
    import polars as pl

    names = ("ts_open", "open", "high", "low", "close", "volume")
    try:
        rows = msgspec.json.decode(path.read_bytes(), type=list[_Candle])
    except msgspec.DecodeError as error:
        raise DataError(
            f"{path} must hold [[milliseconds, open, high, low, close, volume], ...], as ccxt gives it: {error}"
        ) from error
    schema = {name: pl.Int64 if name == "ts_open" else pl.Float64 for name in names}
    return pl.DataFrame(rows, schema=schema, orient="row").with_row_index(ROW, 1)


def _is_number(field: str) -> bool:
    try:
        float(field.strip().strip('"'))
    except ValueError:
        return False
    return True
