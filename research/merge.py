"""New rows into stored ones: the same row twice counts once, and two different rows of one key are a conflict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from core.errors import DataError
from research.schema import Kind, arranged, dtype
from research.times import iso

if TYPE_CHECKING:
    import polars as pl

OnConflict = Literal["fail", "keep", "replace"]


def merged(stored: pl.DataFrame, new: pl.DataFrame, kind: Kind, on_conflict: OnConflict, where: str) -> pl.DataFrame:
    """Stored and new rows in order of time; rows of one time stamp stay in the order they came.

    A null that the other side knows is filled in, and is no conflict.
    Raises DataError naming the first conflicting rows, unless `on_conflict` says which side to believe.
    """
    import polars as pl

    if not kind.key or not _keyed(stored, new, kind, where):
        rows = _counted_union(stored, new)
    else:
        clash = _conflicts(stored, new, kind)
        if len(clash) and on_conflict == "fail":
            raise DataError(_conflict_line(clash, kind, where))
        if len(clash) and on_conflict == "keep":
            new = new.join(clash, on=kind.key, how="anti", maintain_order="left")
        both = [name for name in new.columns if name not in stored.columns]
        stored = stored.with_columns(pl.lit(None, dtype(name)).alias(name) for name in both)
        updated = stored.update(new, on=kind.key, how="left")
        added = new.join(stored, on=kind.key, how="anti", maintain_order="left")
        rows = pl.concat([updated, added], how="diagonal")
    return arranged(rows.sort(kind.time, maintain_order=True), kind)


def _keyed(stored: pl.DataFrame, new: pl.DataFrame, kind: Kind, where: str) -> bool:
    """Whether the rows carry their key; all of them or none, else a row could not be told from its twin."""
    have = [all(name in frame.columns and not frame[name].null_count() for name in kind.key) for frame in (stored, new)]
    if have[0] != have[1]:
        names = " and ".join(kind.key)
        which = "stored rows have, new ones have not" if have[0] else "new rows have, stored ones have not"
        raise DataError(f"{where}: {names} must be in all rows or in none ({which}); use another --venue")
    return have[0]


def _counted_union(stored: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """The union of rows without a key: the k-th copy of a row is the same row as the k-th copy on the other side."""
    import polars as pl

    columns = [name for name in new.columns if name in stored.columns]

    def counted(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(pl.int_range(pl.len()).over(columns).alias("copy"))

    join_on = [*columns, "copy"]
    added = counted(new).join(counted(stored), on=join_on, how="anti", nulls_equal=True, maintain_order="left")
    return pl.concat([stored, added.drop("copy")], how="diagonal")


def _conflicts(stored: pl.DataFrame, new: pl.DataFrame, kind: Kind) -> pl.DataFrame:
    """Key, time and both values of every new row that differs from the stored row of the same key."""
    import polars as pl

    shared = [name for name in new.columns if name in stored.columns and name not in kind.key]
    pairs = new.join(stored, on=kind.key, how="inner", suffix="_stored", maintain_order="left")
    differs = [(pl.col(name) != pl.col(f"{name}_stored")).fill_null(value=False) for name in shared]
    return pairs.filter(pl.any_horizontal(differs))


def _conflict_line(clash: pl.DataFrame, kind: Kind, where: str) -> str:
    lines = []
    for row in clash.head(3).iter_rows(named=True):
        changed = [
            f"{name} {row[f'{name}_stored']} stored, {row[name]} new"
            for name in kind.columns
            if f"{name}_stored" in row and None not in (row[name], row[f"{name}_stored"])
            if row[name] != row[f"{name}_stored"]
        ]
        lines.append(f"{iso(row[kind.time])} ({', '.join(changed)})")
    more = f" and {len(clash) - 3} more" if len(clash) > 3 else ""
    return (
        f"{where}: {len(clash)} new row(s) conflict with what is stored: {'; '.join(lines)}{more}; "
        "choose --on-conflict keep or replace, or another --venue"
    )
