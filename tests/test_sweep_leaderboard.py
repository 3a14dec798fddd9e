"""Settings in order, and what a leaderboard may say of them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backtest.sweep.leaderboard import Leaderboard, judge, rank
from backtest.sweep.luck import Luck
from backtest.sweep.plan import Plan
from backtest.sweep.work import do
from core.codec import from_json
from tests.shell import shell
from tests.sweeps import market, planned

STRATEGIES = {
    "type": "backtest",
    "strategies": [{"id": "trendline_break_v1", "threshold": [0.01, 0.02]}, {"id": "rsi_tema_bb_v1"}],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return market(tmp_path_factory.mktemp("sweep"))


def results_of(plan: Plan, data: Path) -> dict[int, Any]:
    """Every task, computed here."""
    found = {}
    for place, task in enumerate(plan.tasks):
        answer = do(task.work, str(data))
        assert isinstance(answer, bytes), answer
        found[place] = from_json(answer)
    return found


def ranked(plan: Plan, results: dict[int, Any], by: Any = "shortfall", **more: Any) -> Leaderboard:
    return rank(plan, results, by, **more)


def test_the_cheapest_comes_first_and_the_others_stand_behind_it(data: Path) -> None:
    plan = planned(data, seeds=[0, 1])
    results = results_of(plan, data)
    board = ranked(plan, results)
    means = [one.mean for one in board.places]
    assert means == sorted(means)
    for one in board.places[1:]:
        assert one.paired
        assert one.behind == pytest.approx(one.mean - means[0], abs=0.5)  # pairs weigh by their mean notional
        assert one.behind_interval.low < one.behind < one.behind_interval.high
        assert 0 < one.p <= 1
    for one in board.places:
        mine = [results[k] for k, task in enumerate(plan.tasks) if task.setting == one.setting]
        costs = [cost for result in mine for cost in result["orders"]["shortfall"]["cost"]]
        notional = [size for result in mine for size in result["orders"]["shortfall"]["notional"]]
        assert one.mean == pytest.approx(1e4 * sum(costs) / sum(notional))
        assert one.fill_rate == pytest.approx(sum(result["figures"]["fill_rate"] for result in mine) / 2)
    assert board.lead_deflated == pytest.approx(board.lead - board.lead_by_chance)
    assert any("SYNTHETIC" in line for line in board.remarks)


def test_a_setting_that_failed_under_a_condition_is_not_ranked(data: Path) -> None:
    plan = planned(data, seeds=[0, 1])
    results = results_of(plan, data)
    del results[4]
    board = ranked(plan, results)
    assert sorted(one.setting for one in board.places) == [0, 2]
    assert board.tried == 3
    assert any(line.startswith("1 settings are not ranked") for line in board.remarks)
    assert "nothing to rank" in ranked(plan, {}).verdict
    assert "nothing to compare it with" in ranked(plan, {k: results[k] for k in (0, 3)}).verdict


def test_settings_that_do_the_same_are_not_said_to_differ(data: Path) -> None:
    plan = planned(data, algorithms=[{"type": "POV", "max_participation": [0.5, 0.6]}])
    board = ranked(plan, results_of(plan, data))
    assert board.verdict.startswith("Nothing separates these settings")
    assert board.places[1].p == 1.0


def test_the_words_are_those_of_the_numbers() -> None:
    clear = Luck(5.0, 2.0, 0.001, (1.0, 0.01, 0.02))
    assert "chance hardly explains its distance to any other" in judge("A", clear, "shortfall")
    assert judge("A", replace(clear, p_pairs=(1.0, 0.01, 0.3)), "return").startswith(
        "A earned most; 1 of the 2 others may be as good"
    )
    open_ = replace(clear, p_lead=0.4, p_pairs=(1.0, 0.6, 0.7))
    assert judge("A", open_, "shortfall") == (
        "Nothing separates these settings: A is first by no more than chance explains. It leads the mean of all by "
        "5.00 bps; where none is better than another, the best of 3 leads by 2.00 bps on average, and as far as this "
        "one in 40.0 % of the cases."
    )


def test_only_the_places_asked_for_are_shown_and_all_count(data: Path) -> None:
    plan = planned(data)
    results = results_of(plan, data)
    board = ranked(plan, results, shown=1)
    assert len(board.places) == 1
    assert board.verdict == ranked(plan, results).verdict
    assert board.tried == 3
    assert any("2 more settings are ranked" in line for line in board.remarks)


def test_strategies_are_ranked_by_what_they_earn_a_day(data: Path) -> None:
    plan = planned(data, study=STRATEGIES, algorithms=[{"type": "TWAP"}], periods=[{"start": "2025-01-01"}])
    results = results_of(plan, data)
    board = ranked(plan, results, "return")
    means = [one.mean for one in board.places]
    assert means == sorted(means, reverse=True)
    assert [one.clusters for one in board.places] == [4, 4, 4]
    for one in board.places:
        days = results[one.setting]["orders"]["return"]
        grown = math.prod(1 - loss for loss in days["cost"])
        assert grown - 1 == pytest.approx(results[one.setting]["figures"]["total_return"], abs=1e-9)
        assert one.mean == pytest.approx(-1e4 * sum(days["cost"]) / 4)
    assert board.places[0].label.startswith(("trendline_break_v1 threshold=", "rsi_tema_bb_v1"))


def test_the_command_prints_json_and_refuses_what_cannot_be_ranked(data: Path, tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(
        "sweep:\n"
        "  study: {type: parents, parents: 3, seconds: [300]}\n"
        "  algorithms: [{type: MARKET}, {type: TWAP}]\n"
        "  symbols: [ATOM/USDT]\n"
        "  periods: [{start: 2025-01-02, end: 2025-01-02}]\n"
    )
    command = ["fillwright", "sweep", "--config", "sweep.yaml", "--data-dir", str(data), "--workers", "1"]
    done = shell([*command, "--json"], tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["tasks"], told["computed"], told["kept"], told["failures"]) == (2, 2, 0, [])
    assert [one["rank"] for one in told["leaderboard"]["places"]] == [1, 2]
    assert done.stderr == ""
    refused = shell([*command, "--by", "return"], tmp_path)
    assert refused.returncode == 1
    assert "--by return: a study of parents earns nothing" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
