"""docs/performance.md shows the figures that are stored beside it, and all of them."""

from __future__ import annotations

import re

from benchmarks.peers.tables import TABLES
from tests.scripts import script

make_performance = script("docs/make_performance.py")
PAGE = make_performance.PAGE.read_text(encoding="utf-8")


def test_the_page_is_made_of_the_stored_figures() -> None:
    assert make_performance.filled_in(PAGE, make_performance.stored()) == PAGE, (
        "python docs/make_performance.py renews it"
    )


def test_every_table_is_on_the_page_once() -> None:
    shown = re.findall(r"<!-- generated: (\w+) -->", PAGE)
    assert sorted(shown) == sorted([*TABLES, *make_performance.OWN])
