"""docs/fill_models.md: its tables are those of the stored figures, and the figures are those of a run today."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pytest

from tests.real_data import real
from tests.scripts import script

fill_models = script("benchmarks/fill_models.py")


@pytest.fixture(scope="module", autouse=True)
def fresh() -> Iterator[None]:
    """The markets of the study are large; nobody else needs them."""
    yield
    for kept in (fill_models.place_of, fill_models.feed_of, fill_models.frames):
        kept.cache_clear()


def test_the_tables_of_the_page_are_made_of_the_stored_figures() -> None:
    page = fill_models.PAGE.read_text(encoding="utf-8")
    assert fill_models.filled_in(page, fill_models.stored()) == page
    assert page.count("<!-- generated: ") == len(fill_models.PARTS)


def test_every_parent_was_played_on_every_kind_of_data() -> None:
    rows = fill_models.stored()
    assert sorted(rows["parent"].unique()) == list(range(fill_models.PARENTS))
    assert rows.group_by("parent").len()["len"].unique().to_list() == [len(fill_models.DATA)]
    assert set(rows["data"]) == set(fill_models.DATA)


@pytest.mark.parametrize("number", [1, 4])
def test_a_parent_played_today_gives_the_stored_figures(number: int) -> None:
    folder = real(fill_models.STOCKS.format("quotes")).parent
    parent = fill_models.parents(folder)[number]
    for data in ("bars", "trades", fill_models.BASE):
        (row,) = (
            fill_models.stored().filter((pl.col("parent") == number) & (pl.col("data") == data)).iter_rows(named=True)
        )
        now = fill_models.played(folder, parent, data)
        assert {name: now[name] for name in ("symbol", "algo", "side")} == {
            name: row[name] for name in ("symbol", "algo", "side")
        }
        for name in fill_models.FIGURES:
            expected = None if row[name] is None else pytest.approx(row[name], abs=2e-4)
            assert now[name] == expected, (data, name)
