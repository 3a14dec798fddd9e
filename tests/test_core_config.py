"""Settings become frozen dataclasses, or one line that says what is wrong and where."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import checks
from core.config import config_hash, find, load, parse
from core.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class Twap:
    type: Literal["TWAP"] = "TWAP"
    slices: int = 10
    order: Literal["limit", "market"] = "limit"

    def __post_init__(self) -> None:
        checks.between("slices", self.slices, 1, 10_000)


@dataclass(frozen=True, kw_only=True)
class Pov:
    type: Literal["POV"]
    target_pov: float
    cap_qty: float | None = None


@dataclass(frozen=True, kw_only=True)
class Fees:
    maker_bps: float = 0.0
    taker_bps: float = 0.0

    def __post_init__(self) -> None:
        if self.maker_bps > self.taker_bps:
            raise ValueError("fees of makers must not exceed those of takers")


@dataclass(frozen=True, kw_only=True)
class Settings:
    name: str
    algorithms: tuple[Twap | Pov, ...] = ()
    fees: Fees = field(default_factory=Fees)
    by_symbol: dict[str, Fees] = field(default_factory=dict)
    levels: list[int] = field(default_factory=list)
    span: tuple[float, float] = (0.0, 1.0)
    active: bool = True
    cap: float | Literal["none"] = "none"
    note: str | None = None
    extra: Any = None


def settings(**data: Any) -> Settings:
    return parse({"name": "n", **data}, Settings, source="x.yaml")


def test_plain_data_becomes_frozen_settings() -> None:
    made = settings(
        algorithms=[{"type": "TWAP", "slices": 5}, {"type": "POV", "target_pov": 1, "cap_qty": 2}],
        fees={"taker_bps": 7.5},
        by_symbol={"ATOM/USDT": {"maker_bps": 1, "taker_bps": 2}},
        levels=[1, 2],
        span=[1, 2.5],
        cap=3,
        extra={"free": ["form"]},
    )
    assert made.algorithms == (Twap(slices=5), Pov(type="POV", target_pov=1.0, cap_qty=2.0))
    assert made.fees == Fees(taker_bps=7.5)
    assert made.by_symbol == {"ATOM/USDT": Fees(maker_bps=1, taker_bps=2)}
    assert (made.levels, made.span, made.cap, made.extra) == ([1, 2], (1.0, 2.5), 3.0, {"free": ["form"]})
    assert type(made.span[0]) is float
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError, match="frozen"):
        made.by_symbol["x"] = Fees()


def test_a_heading_with_everything_under_it_commented_out_means_the_defaults() -> None:
    assert settings(algorithms=None, fees=None, by_symbol=None, levels=None) == Settings(name="n")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"nmae": 1}, "x.yaml: nmae: unknown setting: did you mean 'name'? Known: active, algorithms"),
        ({"name": 5}, "x.yaml: name: must be text, was 5; put it in quotes"),
        ({"name": None}, "x.yaml: name: must be text, was empty"),
        ({"name": True}, "x.yaml: name: must be text, was true; put it in quotes"),
        ({"active": 1}, "x.yaml: active: must be true or false, was 1"),
        ({"active": "maybe"}, "x.yaml: active: must be true or false, was 'maybe'"),
        ({"levels": [1, 2.0]}, "x.yaml: levels[1]: must be a whole number, was 2.0"),
        ({"levels": [True]}, "x.yaml: levels[0]: must be a whole number, was true"),
        ({"levels": "12"}, "x.yaml: levels: must be a list, was '12'"),
        ({"span": [1]}, "x.yaml: span: must be a list of 2, was [1]"),
        ({"fees": {"taker_bps": "high"}}, "x.yaml: fees.taker_bps: must be a finite number, was 'high'"),
        ({"fees": {"taker_bps": float("nan")}}, "x.yaml: fees.taker_bps: must be a finite number, was nan"),
        ({"fees": {"taker_bps": "inf"}}, "x.yaml: fees.taker_bps: must be a finite number, was 'inf'"),
        ({"fees": {"taker_bps": 10**400}}, "x.yaml: fees.taker_bps: must be a finite number, was 1000"),
        ({"fees": {"taker_bps": False}}, "x.yaml: fees.taker_bps: must be a finite number, was false"),
        ({"fees": [1]}, "x.yaml: fees: must be a mapping of names to values, was [1]"),
        ({"fees": {"maker_bps": 2}}, "x.yaml: fees: fees of makers must not exceed those of takers"),
        ({"by_symbol": {"B": {"x": 1}}}, "x.yaml: by_symbol.B.x: unknown setting: known are maker_bps, taker_bps"),
        ({"by_symbol": {"A\nB": 1}}, "x.yaml: by_symbol.A B: must be a mapping of names to values, was 1"),
        ({"by_symbol": {5: {}}}, "x.yaml: by_symbol: a key must be text, was 5; put it in quotes"),
        ({"cap": "much"}, "x.yaml: cap: must be a finite number or none, was 'much'"),
        ({"algorithms": [{"slices": 5}]}, "x.yaml: algorithms[0]: needs a type; known are POV, TWAP"),
        ({"algorithms": [{"type": "TWAB"}]}, "x.yaml: algorithms[0].type: unknown type 'TWAB': did you mean 'TWAP'?"),
        ({"algorithms": [{"type": None}]}, "x.yaml: algorithms[0].type: unknown type empty: known are POV, TWAP"),
        ({"algorithms": ["TWAP"]}, "x.yaml: algorithms[0]: must be a mapping of names to values, was 'TWAP'"),
        ({"algorithms": [{"type": "POV"}]}, "x.yaml: algorithms[0].target_pov: is missing; it must be a finite number"),
        (
            {"algorithms": [{"type": "TWAP"}, {"type": "TWAP", "slices": 0}]},
            "x.yaml: algorithms[1].slices: must be between 1 and 10000, was 0",
        ),
        (
            {"algorithms": [{"type": "TWAP", "order": "limt"}]},
            "x.yaml: algorithms[0].order: must be one of limit, market, was 'limt': did you mean 'limit'?",
        ),
    ],
)
def test_what_cannot_be_meant_is_one_line_with_file_and_path(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        settings(**data)
    assert str(refused.value).startswith(message)
    assert len(str(refused.value).splitlines()) == 1


def test_a_missing_required_setting_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^settings: name: is missing; it must be text$"):
        parse({}, Settings)


def test_text_that_is_a_number_does_for_a_float_and_switch_words_for_a_bool() -> None:
    made = settings(fees={"taker_bps": "1e5"}, active="off")
    assert made.fees.taker_bps == 100_000.0
    assert made.active is False
    assert settings(active="Yes").active is True


def test_a_file_is_named_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / "execution.yaml"
    file.write_text("name: n\nalgorithms:\n  - type: TWAP\n    slices: 5\n  - type: TWAP\n    slices: -1\n")
    with pytest.raises(ConfigError) as refused:
        load(file, Settings)
    assert str(refused.value) == f"{file}: algorithms[1].slices: must be between 1 and 10000, was -1 (line 6)"


@pytest.mark.parametrize("text", ["", "# nothing yet\n"])
def test_an_empty_file_says_what_is_expected(tmp_path: Path, text: str) -> None:
    file = tmp_path / "empty.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"empty\.yaml: is empty; expected a mapping with name, algorithms, fees"):
        load(file, Settings)


def test_a_list_at_the_top_has_no_path(tmp_path: Path) -> None:
    file = tmp_path / "list.yaml"
    file.write_text("- 1\n")
    with pytest.raises(ConfigError) as refused:
        load(file, Settings)
    assert str(refused.value) == f"{file}: must be a mapping of names to values, was [1] (line 1)"


def test_a_mapping_of_settings_can_be_loaded(tmp_path: Path) -> None:
    file = tmp_path / "fees.yaml"
    file.write_text("a: {taker_bps: 1}\nb:\n")
    assert load(file, dict[str, Fees]) == {"a": Fees(taker_bps=1.0), "b": Fees()}


def test_the_hash_follows_the_settings_and_nothing_else() -> None:
    first = settings(by_symbol={"A": {}, "B": {}}, cap=1)
    assert config_hash(first) == config_hash(settings(cap=1.0, by_symbol={"B": {}, "A": {}}))
    assert config_hash(first) != config_hash(settings(by_symbol={"A": {}}, cap=1))
    assert config_hash(settings(algorithms=[{"type": "TWAP"}])) != config_hash(settings())


def test_the_hash_is_the_same_in_every_process() -> None:
    code = "from tests.test_core_config import settings, config_hash; print(config_hash(settings(extra={'b','a','c'})))"
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(hashes) == 1
    assert len(hashes.pop().strip()) == 16


def test_the_working_directory_wins_over_what_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    installed = find("risk.yaml")
    assert installed is not None
    assert installed.read_bytes() == (ROOT / "config" / "risk.yaml").read_bytes()
    assert find("no-such-file.yaml") is None
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "risk.yaml").write_text("")
    assert find("risk.yaml") == Path("config/risk.yaml")


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([f.name for f in dataclasses.fields(Settings)]), plain))
def test_any_data_makes_settings_or_one_line(data: dict[str, Any]) -> None:
    refusal = "settings: none"
    try:
        parse(data, Settings)
    except ConfigError as error:
        refusal = str(error)
    assert refusal.startswith("settings: ")
    assert len(refusal.splitlines()) == 1


@given(
    st.builds(
        Settings,
        name=st.text(),
        algorithms=st.lists(
            st.builds(Twap, slices=st.integers(1, 10_000))
            | st.builds(Pov, type=st.just("POV"), target_pov=st.floats(allow_nan=False, allow_infinity=False))
        ).map(tuple),
        levels=st.lists(st.integers()),
        active=st.booleans(),
        note=st.none() | st.text(),
    )
)
def test_settings_that_are_written_out_are_read_back(made: Settings) -> None:
    assert parse(dataclasses.asdict(made), Settings) == made
