"""Columns of text, as they stand in a file, into values: all of a column at once, and one clear line for a bad cell."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from core.errors import nearest
from execution.foreign.layout import Layout
from execution.foreign.records import Refusals, Refused
from execution.foreign.words import LIQUIDITY, MISSING, NO, SIDES, STATUSES, YES, odd_number, plain
from research import columns
from research.times import parse_ns

if TYPE_CHECKING:
    import polars as pl

FIRST_NS: Final = parse_ns("1990-01-01")
LAST_NS: Final = parse_ns("2100-01-01")


class Cells:
    """The columns of one file. Rows with a cell that cannot be meant are refused; `dropped` are those left out."""

    def __init__(self, places: Sequence[str], layout: Layout, refusals: Refusals) -> None:
        self.places = places
        self.layout = layout
        self.dropped: set[int] = set()
        self._refusals = refusals

    def refuse(self, row: int, problem: str, remedy: str, *, reason: str) -> None:
        """Refuses a row: raises DataError, or drops it, once."""
        if row not in self.dropped:
            try:
                raise self._refusals.refuse(self.places[row], problem, remedy, reason=reason)
            except Refused:
                self.dropped.add(row)

    def texts(self, column: pl.Series) -> list[str | None]:
        """Words without surrounding blanks; None where the cell says nothing."""
        return self._stripped(column).to_list()

    def numbers(self, name: str, column: pl.Series) -> list[float]:
        """Floats, correctly rounded; NaN where the cell says nothing."""
        import polars as pl

        if column.dtype != pl.String:
            return self._known_numbers(name, column)
        text = self._stripped(column)
        if self.layout.units_in_cells:
            text = text.str.replace(r"^([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*[A-Za-z][A-Za-z0-9]*$", "$1")
        number = text.cast(pl.Float64, strict=False)
        wrong = (number.is_null() & text.is_not_null()) | ~number.is_finite().fill_null(True)
        for row in wrong.arg_true().to_list():
            problem, remedy = odd_number(text[row])
            self.refuse(
                row, f"column {column.name!r} ({name}) {problem}, was {text[row]!r}", remedy, reason=f"{name} {problem}"
            )
        return number.fill_null(float("nan")).to_list()

    def units(self, column: pl.Series) -> list[str | None]:
        """The unit after each number, "DOGE" of "0.5DOGE"; None where there is none."""
        import polars as pl

        if column.dtype != pl.String:
            return [None] * len(column)
        return (
            column.str.strip_chars().str.extract(r"^[-+]?[\d.]+(?:[eE][-+]?\d+)?\s*([A-Za-z][A-Za-z0-9]*)$").to_list()
        )

    def times(self, name: str, column: pl.Series) -> list[int | None]:
        """Nanoseconds since the epoch; None where the cell says nothing."""
        import polars as pl

        if column.dtype == pl.String:
            column = self._stripped(column)
        said = column.is_not_null()
        if not said.any():
            return [None] * len(column)
        known = columns.Layout(time_unit=self.layout.time_unit, timezone=self.layout.timezone)
        times = columns.nanoseconds(column, known)
        outside = ~times.is_between(FIRST_NS, LAST_NS).fill_null(True)
        unread = times.is_null() & said
        for row in (unread | outside).arg_true().to_list():
            problem = "is no time that can be read" if unread[row] else "is not between 1990 and 2100"
            self.refuse(
                row,
                f"column {column.name!r} ({name}) {problem}, was {str(column[row])!r}",
                "numbers are s, ms, us or ns since 1970 (--time-unit), texts are 2025-01-31T12:30:05.250+01:00",
                reason=f"{name} {problem}",
            )
        return times.to_list()

    def sides(self, name: str, column: pl.Series) -> list[Any]:
        return self._worded(name, column, {**SIDES, **_plain(self.layout.sides)}, "--side WORD=buy")

    def statuses(self, name: str, column: pl.Series) -> list[Any]:
        return self._worded(name, column, {**STATUSES, **_plain(self.layout.statuses)}, "--status WORD=cancelled")

    def liquidity(self, name: str, column: pl.Series) -> list[Any]:
        """Maker, taker or None; a column named is_maker or is_taker holds yes and no."""
        word = re.sub(r"[^a-z]", "", column.name.casefold())
        words: dict[str, Any] = dict(LIQUIDITY)
        if word in ("ismaker", "maker", "istaker", "taker"):
            yes, no = ("maker", "taker") if word.endswith("maker") else ("taker", "maker")
            words |= dict.fromkeys(YES, yes) | dict.fromkeys(NO, no)
        return self._worded(name, column, words, "leave the cell empty where it is not known")

    def of_kind(self, kind: str) -> Callable[[str, pl.Series], list[Any]]:
        """The reader for a kind of field."""
        readers: dict[str, Callable[[str, pl.Series], list[Any]]] = {
            "text": lambda _name, column: self.texts(column),
            "number": self.numbers,
            "time": self.times,
            "side": self.sides,
            "status": self.statuses,
            "liquidity": self.liquidity,
        }
        return readers[kind]

    def _worded(self, name: str, column: pl.Series, words: Mapping[str, Any], remedy: str) -> list[Any]:
        texts = self.texts(column)
        folded = {text: plain(text) for text in set(texts) if text is not None}
        unknown = {text for text, word in folded.items() if word not in words}
        for row, text in enumerate(texts) if unknown else ():
            if text in unknown:
                self.refuse(
                    row,
                    f"column {column.name!r} ({name}) is the unknown word {text!r}",
                    f"{remedy}; {nearest(folded[text], words)}",
                    reason=f"{name} is an unknown word",
                )
        meanings: dict[str | None, Any] = {text: words.get(word) for text, word in folded.items()}
        return [meanings.get(text) for text in texts]

    def _stripped(self, column: pl.Series) -> pl.Series:
        import polars as pl

        if column.dtype.is_float():
            whole = bool((column.drop_nulls().drop_nans() % 1 == 0).all())
            column = column.cast(pl.Int64, strict=False) if whole else column
        text = column.cast(pl.String).str.strip_chars()
        return text.set(text.str.to_lowercase().is_in(MISSING).fill_null(False), None)

    def _known_numbers(self, name: str, column: pl.Series) -> list[float]:
        import polars as pl

        number = column.cast(pl.Float64, strict=False)
        for row in number.is_infinite().fill_null(False).arg_true().to_list():
            self.refuse(
                row, f"column {column.name!r} ({name}) is infinite", "write the number", reason=f"{name} is infinite"
            )
        return number.fill_null(float("nan")).to_list()


def _plain(words: Mapping[str, Any]) -> dict[str, Any]:
    return {plain(word): meaning for word, meaning in words.items()}
