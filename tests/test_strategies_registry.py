"""Strategies by id, by import string, and with parameters from file and command line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from core import yaml_text
from core.contracts import OHLCVBar, OrderIntent
from core.errors import ConfigError, FillwrightError
from strategies import registry
from strategies.base import Account, Strategy
from strategies.trendline_break_v1 import TrendlineBreakParams, TrendlineBreakV1

SHIPPED = Path(__file__).resolve().parents[1] / "config" / "strategies.yaml"
MODULE = """
from dataclasses import dataclass
from strategies.base import Strategy

@dataclass(frozen=True)
class Params:
    depth: int = 3

class Mine(Strategy[Params]):
    strategy_id = "{id}"
    params_type = Params

    def on_bar(self, bar, account):
        return ()
"""


@dataclass(frozen=True)
class Params:
    depth: int = 3


class Quiet(Strategy[Params]):
    strategy_id = "quiet_v1"
    params_type = Params

    def on_bar(self, bar: OHLCVBar, account: Account) -> Sequence[OrderIntent]:
        return ()


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.setattr(sys, "path", list(sys.path))


def config(folder: Path, text: str) -> Path:
    path = folder / "strategies.yaml"
    path.write_text(text)
    return path


def test_the_shipped_strategies_are_known() -> None:
    assert registry.known() == ("rsi_tema_bb_v1", "trendline_break_v1")
    for name in registry.known():
        assert registry.find(name).strategy_id == name


def test_an_unknown_id_names_the_nearest_and_lists_all() -> None:
    with pytest.raises(FillwrightError) as refused:
        registry.make("trendline_brake_v1", "ATOM/USDT")
    assert str(refused.value) == (
        "unknown strategy 'trendline_brake_v1': did you mean 'trendline_break_v1'? "
        "Known: rsi_tema_bb_v1, trendline_break_v1; your own: --strategy package.module:ClassName"
    )


@pytest.mark.parametrize("name", ["rsi_tema_bb_v1", "trendline_break_v1"])
def test_the_shipped_file_says_every_default_as_it_is(name: str) -> None:
    assert yaml_text.read(SHIPPED).data["strategies"][name] == asdict(registry.find(name).params_type())
    assert registry.make(name, "ATOM/USDT", config_path=SHIPPED).params == registry.make(name, "ATOM/USDT").params


def test_overrides_win_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    path = config(tmp_path, "strategies: {trendline_break_v1: {window: 99, threshold: 0.5}}")
    made = registry.make("trendline_break_v1", "BTC/USDT", {"threshold": 0.25}, path, seed=5)
    assert isinstance(made, TrendlineBreakV1)
    assert made.params == TrendlineBreakParams(window=99, threshold=0.25)
    assert (made.symbol, made.seed) == ("BTC/USDT", 5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("strategies: {trendline_break_v1: {windw: 9}}", ["strategies.trendline_break_v1", "windw", "'window'"]),
        ("strategies: {trendline_break_v1: {window: 1}}", ["strategies.trendline_break_v1", "window", "was 1"]),
        ("strategies: {trendline_break_v1: {window: many}}", ["window", "whole number", "'many'"]),
        ("strategies: {trendline_brake_v1: {window: 9}}", ["trendline_brake_v1", "did you mean 'trendline_break_v1'"]),
        ("strategy: {}", ["strategy", "did you mean 'strategies'"]),
        ("strategies: [1]", ["strategies", "mapping"]),
        ("strategies: {trendline_break_v1: {window: [", ["line 1"]),
    ],
)
def test_a_file_that_cannot_be_meant_is_one_clear_line(tmp_path: Path, text: str, words: list[str]) -> None:
    path = config(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        registry.make("trendline_break_v1", "ATOM/USDT", config_path=path)
    line = str(refused.value)
    assert "\n" not in line
    assert all(word in line for word in [str(path), *words]), line


def test_an_override_that_cannot_be_meant_names_the_strategy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"parameters of trendline_break_v1: threshold: must be .* was 2"):
        registry.make("trendline_break_v1", "ATOM/USDT", {"threshold": 2.0})


def test_sections_of_strategies_that_are_not_imported_are_passed_over(tmp_path: Path) -> None:
    path = config(tmp_path, "strategies: {somebody_elses: {x: 1}}")
    assert registry.make("trendline_break_v1", "ATOM/USDT", config_path=path).params == TrendlineBreakParams()


def test_a_registered_class_is_found_by_its_id() -> None:
    assert registry.register(Quiet) is Quiet
    assert registry.register(Quiet) is Quiet, "twice is no harm"
    assert "quiet_v1" in registry.known()
    assert isinstance(registry.make("quiet_v1", "ATOM/USDT", {"depth": 4}), Quiet)


def test_an_id_belongs_to_one_class() -> None:  # pitfall 18
    class Taken(Quiet):
        strategy_id = "trendline_break_v1"

    with pytest.raises(FillwrightError, match=r"'trendline_break_v1' of .*Taken belongs to .*TrendlineBreakV1"):
        registry.register(Taken)


def test_an_import_string_finds_a_class_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_quiet_module.py").write_text(MODULE.format(id="mine_v1"))
    monkeypatch.chdir(tmp_path)
    path = config(tmp_path, "strategies: {mine_v1: {depth: 8}}")
    made: Strategy[Any] = registry.make("my_quiet_module:Mine", "ATOM/USDT", config_path=path)
    assert made.params.depth == 8
    assert "mine_v1" in registry.known()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("no_such_module:Mine", "strategy 'no_such_module:Mine': cannot import 'no_such_module': No module named"),
        ("strategies.trendline_break_v1:TrendlineBreak", "did you mean 'TrendlineBreakV1'"),
        ("strategies.base:Account", "is not a strategy: it must be a subclass of strategies.base.Strategy"),
        ("strategies.base:SignalStrategy", "is not complete: it must define on_signal, signal"),
        (":Mine", "cannot import ''"),
    ],
)
def test_an_import_string_that_leads_nowhere_is_one_clear_line(name: str, line: str) -> None:
    with pytest.raises(FillwrightError) as refused:
        registry.find(name)
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("attribute", "value"), [("strategy_id", "with blank"), ("params_type", dict)])
def test_a_class_that_lacks_what_a_strategy_needs_is_refused(attribute: str, value: object) -> None:
    broken = type("Broken", (Quiet,), {attribute: value})
    with pytest.raises(FillwrightError, match=f"Broken: {attribute} must be"):
        registry.register(broken)


def test_the_names_are_known_without_importing_numpy() -> None:
    code = "import sys, strategies.registry as r; r.known(); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
