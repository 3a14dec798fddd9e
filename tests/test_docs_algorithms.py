"""docs/algorithms.md says what the code does: its tables and its states are generated, its pictures are there."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import fields
from pathlib import Path

import pytest

from execution.params import Common, IcebergParams, IsParams, PovParams, TwapParams, VwapParams
from execution.plan import Policy
from execution.states import ENDED, MOVES, State
from tests.scripts import script

make_tables = script("docs/make_tables.py")
DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = (DOCS / "algorithms.md").read_text(encoding="utf-8")
KINDS = {"TWAP": TwapParams, "VWAP": VwapParams, "Iceberg": IcebergParams, "POV": PovParams, "IS": IsParams}


def part(name: str) -> str:
    found = re.search(rf"<!-- generated: {name} -->\n(.*?)<!-- end -->", PAGE, re.DOTALL)
    assert found is not None, name
    return found[1]


def test_the_page_is_what_the_code_says() -> None:
    assert make_tables.filled_in(PAGE) == PAGE, "run python docs/make_tables.py"


def test_every_generated_part_is_on_the_page_once() -> None:
    assert sorted(re.findall(r"<!-- generated: (\w+) -->", PAGE)) == sorted(make_tables.PARTS)


@pytest.mark.parametrize("algo", KINDS)
def test_every_parameter_is_in_a_table_of_its_algorithm(algo: str) -> None:
    listed = set(re.findall(r"^\| `(\w+)`", part(algo) + part("shared") + part("policies"), re.MULTILINE))
    assert listed >= {field.name for field in fields(KINDS[algo])}


@pytest.mark.parametrize("kind", [Policy, Common, *KINDS.values()])
def test_every_field_says_what_it_means(kind: type) -> None:
    says = make_tables.meanings(kind)
    assert [field.name for field in fields(kind) if not says.get(field.name)] == []


def test_defaults_are_those_of_the_executor() -> None:
    assert "| `min_volume_threshold` | number | 1000 |" in part("POV")  # its parameter alone would be 0
    assert "| `order_type` | `limit`, `market`, `limit_then_cross` | `market` |" in part("POV")


def test_the_states_are_the_table_of_moves() -> None:
    drawn = set(re.findall(r"^ +(\S+) --> (\S+)$", part("states"), re.MULTILINE))
    moves = {(str(old), str(new)) for old, legal in MOVES.items() for new in legal}
    assert drawn == moves | {("[*]", "pending")} | {(str(state), "[*]") for state in ENDED}
    assert len(drawn) == sum(map(len, MOVES.values())) + 1 + len(ENDED)
    assert {old for old, _ in drawn} == {*map(str, State), "[*]"}


def test_a_part_that_nobody_makes_is_an_error() -> None:
    with pytest.raises(KeyError, match="Twap"):
        make_tables.filled_in("<!-- generated: Twap -->\n<!-- end -->")


@pytest.mark.parametrize("algo", [name.lower() for name in KINDS])
def test_every_algorithm_has_its_picture(algo: str) -> None:
    assert f"(pictures/{algo}.svg)" in PAGE
    root = ET.parse(DOCS / "pictures" / f"{algo}.svg").getroot()
    assert root.tag.endswith("svg")
    assert len(list(root.iter())) > 100
