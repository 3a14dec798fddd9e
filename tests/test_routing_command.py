"""The router in a backtest, and `fillwright router`: explain, stats, reset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from core.errors import DataError
from core.journal_read import survey
from execution.config import ExecutionConfig, RoutingConfig
from execution.routing.chooser import Chooser
from execution.routing.decision import Decision
from execution.routing.ledger import Memory, read_entries, write_entries
from execution.routing.settings import LearningConfig
from execution.run_files import FILES, write_run
from fillwright.cli import fillwright
from tests.backtests import Scripted, Wish, backtest, flat
from tests.routing import ALGORITHMS


class Unnamed(Scripted):
    """A script whose parents do not name their algorithm."""

    def parent(self, *args: Any, **meta: Any) -> Any:
        meta.pop("algo_type", None)
        return super().parent(*args, **meta)


def settings(router: str | None, **routing: Any) -> ExecutionConfig:
    return ExecutionConfig(routing=RoutingConfig(router=router, **routing))


def run(router: str | None, *wishes: Wish, **routing: Any) -> tuple[Any, Memory]:
    memory = Memory()
    result = backtest(flat(400, volume=1e5), Unnamed(*wishes), execution=settings(router, **routing), ledger=memory)
    return result, memory


WISHES = tuple(Wish(5 * k, "buy" if k % 2 else "sell", 50 + k, seconds=300 * (1 + k % 3)) for k in range(40))


def invoke(*words: str) -> Result:
    return CliRunner().invoke(fillwright, ["router", *words], catch_exceptions=True)


def test_without_a_router_every_parent_has_the_default_and_nothing_is_written() -> None:
    result, memory = run(None, *WISHES[:5])
    assert {report.algo_type for report in result.reports} == {"TWAP"}
    assert memory.entries == []


def test_the_router_chooses_per_parent_in_a_backtest() -> None:
    wishes = (Wish(0, "buy", 10, seconds=60), Wish(1, "buy", 10, seconds=600), Wish(2, "buy", 2000, seconds=6000))
    result, memory = run("rules", *wishes)
    decisions = [Decision.from_dict(entry["decision"]) for entry in memory.entries if entry["k"] == "route"]
    assert [one.rule for one in decisions] == ["urgent", "default", "large"]
    assert [report.algo_type for report in result.reports] == ["IS", "TWAP", "VWAP"]
    assert {report.execution_id for report in result.reports} == {one.execution_id for one in decisions}
    assert sum(entry["k"] == "route-outcome" for entry in memory.entries) == 3


def test_one_algorithm_for_all_and_a_parent_that_names_its_own() -> None:
    result, memory = run("VWAP", *WISHES[:5])
    assert {report.algo_type for report in result.reports} == {"VWAP"}
    assert {entry["decision"]["decided_by"] for entry in memory.entries if entry["k"] == "route"} == {"wish"}
    named = backtest(flat(60), Scripted(Wish(0, "buy", 10, seconds=600)), execution=settings("VWAP"))
    assert [report.algo_type for report in named.reports] == ["TWAP"]


def test_a_learning_backtest_is_the_same_each_time_and_its_ledger_replays(tmp_path: Path) -> None:
    (one, first), (other, second) = (run("learn", *WISHES, learning=LearningConfig(min_orders=10)) for _ in range(2))
    assert first.entries == second.entries
    assert one.reports == other.reports
    assert len({report.algo_type for report in one.reports}) > 1
    write_entries(tmp_path / "router", first.entries)
    again = Chooser(settings("learn"), "learn", algorithms=ALGORITHMS)
    again.restore(read_entries(tmp_path / "router"))
    assert len(again.decisions) == len(again.outcomes) == 40
    assert survey(tmp_path / "router").sound


def test_no_parent_is_lost_or_doubled_and_one_that_nobody_can_work_is_refused() -> None:
    result, memory = run("rules", Wish(0, "buy", 10, seconds=90_000), Wish(1, "buy", 20, seconds=600))
    by_quantity = {report.total_quantity: report for report in result.reports}
    assert len(result.reports) == 2
    assert by_quantity[10].status == "failed"
    assert "no algorithm can work it: TWAP: duration_seconds" in str(by_quantity[10].unfilled_reason)
    assert by_quantity[20].filled_quantity == 20
    assert memory.entries[0]["decision"]["decided_by"] == "nothing"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    _, memory = run("learn", *WISHES, learning=LearningConfig(min_orders=10))
    write_entries(tmp_path / "router", memory.entries)
    return tmp_path / "router"


def test_explain_tells_alternatives_propensity_and_outcome(state: Path) -> None:
    name = read_entries(state)[0]["decision"]
    for word in (name["execution_id"], name["parent_intent_id"]):
        shown = invoke("explain", word, "--state", str(state))
        assert shown.exit_code == 0, shown.output
        for text in (name["execution_id"], "rule default", "propensity", "forecast", "surprise", *ALGORITHMS):
            assert text in shown.output
    found = json.loads(invoke("explain", name["execution_id"], "--state", str(state), "--json").output)
    assert Decision.from_dict(found["decision"]).to_dict() == Decision.from_dict(name).to_dict()
    assert found["outcome"]["execution_id"] == name["execution_id"]


def test_stats_count_and_reset_forgets_but_keeps_the_record(state: Path) -> None:
    before = json.loads(invoke("stats", "--state", str(state), "--json").output)
    assert (before["decisions"], before["outcomes"]) == (40, 40)
    assert before["experience"] > 30
    assert sum(row["orders"] for row in before["contexts"]) == pytest.approx(before["experience"])
    assert "surprise" in invoke("stats", "--state", str(state)).output
    assert invoke("reset", "--state", str(state), "--reason", "a new fee", "--yes").exit_code == 0
    after = json.loads(invoke("stats", "--state", str(state), "--json").output)
    assert (after["decisions"], after["experience"], after["contexts"]) == (40, 0, [])


def test_what_is_not_there_is_said_in_one_line(tmp_path: Path, state: Path) -> None:
    missing = invoke("stats", "--state", str(tmp_path / "nowhere"))
    assert missing.exit_code != 0
    assert "no router has written there" in str(missing.exception)
    unknown = invoke("explain", "x-nobody", "--state", str(state))
    assert "has no decision on 'x-nobody'" in str(unknown.exception)


@pytest.mark.parametrize("word", ["lern", "TWAPP", "Iceberg:high", "learn:low", "TWAP:now"])
def test_a_router_that_there_is_not_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match=r"router|urgency"):
        RoutingConfig(router=word)
    done = CliRunner().invoke(fillwright, ["backtest", "--strategy", "s", "--symbol", "A/B", "--router", word])
    assert done.exit_code == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"arms": ("TWAP",)}, "at least two different"),
        ({"arms": ("TWAP", "TWAP")}, "at least two different"),
        ({"arms": ("TWAP", "SNIPER")}, "arms must be one of"),
        ({"arms": ("TWAP", "VWAP:soon")}, "urgency of VWAP:soon"),
        ({"min_propensity": 0.5}, "min_propensity"),
        ({"half_life_days": 0.0}, "half_life_days"),
        ({"prior_orders": 0.0}, "prior_orders"),
    ],
)
def test_bad_learning_settings_are_refused_by_name(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        LearningConfig(**changes)


def test_the_decisions_of_a_run_come_and_go_with_its_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = {"version": "1", "config_hash": "c", "seed": 0, "data": {"venue": "sim"}}

    def write(routed: list[dict[str, Any]]) -> None:
        write_run(tmp_path, result, about, lambda _execution: "s", routed=routed)

    result, memory = run("rules", *WISHES[:5])
    write(memory.entries)
    assert read_entries(tmp_path) == memory.entries
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def full(_file: Path) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("execution.run_files.sync", full)
    with pytest.raises(DataError, match="cannot be written"):
        write(memory.entries[:2])
    monkeypatch.undo()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    write([])
    assert not (tmp_path / "router").exists()
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == sorted(FILES)
