"""What a sweep tries: values, settings, tasks, and the keys under which results are found again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from backtest.sweep.contenders import contenders
from backtest.sweep.kept import Kept
from backtest.sweep.plan import Plan
from backtest.sweep.settings import load_sweep
from backtest.sweep.values import Range, axes_of, combinations
from backtest.sweep.work import Failed, do
from core.chance import generator
from core.config import find
from core.errors import ConfigError, DataError
from research.data_reader import DataReader
from research.sample import SampleMarket, generate
from research.store import Store
from tests.sweeps import SYMBOL, market, planned, settings_of

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return market(tmp_path_factory.mktemp("sweep"))


def labels(**changes: Any) -> list[str]:
    return [one.label for one in contenders(settings_of(**changes), "sweep.yaml")]


def keys(plan: Plan) -> list[str]:
    return [task.key for task in plan.tasks]


def test_a_range_gives_even_steps_of_its_scale_and_whole_numbers_where_both_ends_are() -> None:
    assert Range(low=0.0, high=1.0, steps=3).grid() == [0.0, 0.5, 1.0]
    assert Range(low=0.01, high=1.0, steps=3, scale="log").grid() == [0.01, 0.1, 1.0]
    assert Range(low=1, high=4, steps=7).grid() == [1, 2, 3, 4]


def test_all_combinations_are_tried_each_once() -> None:
    axes = axes_of({"a": [1, 2, 2], "b": {"low": 0, "high": 1, "steps": 2}, "c": "x"}, "here")
    found = list(combinations(axes))
    assert found == [{"a": a, "b": b, "c": "x"} for a in (1, 2) for b in (0, 1)]
    assert list(combinations({})) == [{}]


def test_settings_are_every_combination_of_the_grid() -> None:
    assert labels() == [
        "MARKET",
        "TWAP default_slices=2 order_type=market",
        "TWAP default_slices=5 order_type=market",
    ]


def test_more_draws_with_the_same_seed_are_the_same_ones_and_others() -> None:
    algorithms = [{"type": "POV", "target_pov": {"low": 0.01, "high": 0.5, "scale": "log"}}, {"type": "TWAP"}]
    few = labels(algorithms=algorithms, search={"type": "random", "settings": 5})
    more = labels(algorithms=algorithms, search={"type": "random", "settings": 12})
    assert len(set(few)) == 5
    assert len(set(more)) == 12
    assert more[:5] == few
    assert labels(algorithms=algorithms, search={"type": "random", "settings": 5, "seed": 1}) != few


def test_a_random_search_ends_where_the_values_do() -> None:
    assert sorted(labels(search={"type": "random", "settings": 50})) == sorted(labels())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"algorithms": [{"type": "TWAB"}]}, "algorithms[0].type: unknown type 'TWAB': did you mean 'TWAP'?"),
        ({"algorithms": [{"type": "TWAP", "slices": 3}]}, "TWAP.slices: unknown setting: "),
        ({"algorithms": [{"type": "TWAP", "default_slices": [5, 0]}]}, "default_slices: must be between 1"),
        ({"algorithms": [{"type": "TWAP", "urgency": "very"}]}, "urgency"),
        ({"algorithms": [{"type": "POV", "target_pov": {"low": 0.3, "high": 0.1}}]}, "low: must be below high"),
        ({"algorithms": [{"type": "POV", "target_pov": []}]}, "target_pov: must hold at least one value"),
        ({"algorithms": [{"type": "MARKET", "default_slices": 3}]}, "MARKET is each parent as one market order"),
        ({"symbols": []}, "symbols: must name at least one"),
        ({"seeds": [1, 1]}, "seeds: must name each once, was 1 2 times"),
        ({"study": {"type": "parents", "notional": [5, 1]}}, "notional: must be the smaller and the larger"),
        ({"study": {"type": "backtest", "strategies": [{"name": "x"}]}}, "strategies[0].id: must be a strategy's id"),
        (
            {"study": {"type": "backtest", "strategies": [{"id": "trendline_break_v1", "treshold": 1}]}},
            "treshold: trendline_break_v1 has no such parameter: did you mean 'threshold'?",
        ),
        (
            {
                "study": {"type": "backtest", "strategies": [{"id": "trendline_break_v1"}]},
                "algorithms": [{"type": "TWAP", "urgency": "high"}],
            },
            "TWAP.urgency: unknown setting",
        ),
    ],
)
def test_what_cannot_be_meant_is_one_line_with_its_place(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as found:
        contenders(settings_of(**changes), "sweep.yaml")
    assert says in str(found.value)
    assert "\n" not in str(found.value)


def test_the_file_that_ships_can_be_meant() -> None:
    file = find("sweep.yaml")
    assert file is not None
    assert len(contenders(load_sweep(file), str(file))) > 10


def test_every_setting_meets_every_condition_and_conditions_stand_together(data: Path) -> None:
    made = planned(data, seeds=[0, 1])
    assert [(task.condition, task.setting) for task in made.tasks] == [(c, s) for c in (0, 1) for s in (0, 1, 2)]
    assert len(set(keys(made))) == 6
    assert made.synthetic


def test_unknown_data_are_said_before_a_task_is_run(data: Path) -> None:
    with pytest.raises(DataError, match="ATOM/USD"):
        planned(data, symbols=["ATOM/USD"])


def test_a_key_changes_with_whatever_decides_the_result(data: Path) -> None:
    first = keys(planned(data))[1]
    changed: list[dict[str, Any]] = [
        {"study": {"type": "parents", "parents": 5, "seconds": [300]}},
        {"study": {"type": "parents", "parents": 4, "seconds": [301]}},
        {"algorithms": [{"type": "MARKET"}, {"type": "TWAP", "default_slices": 2, "order_type": "limit"}]},
        {"algorithms": [{"type": "MARKET"}, {"type": "VWAP"}]},
        {"seeds": [1]},
        {"periods": [{"start": "2025-01-02"}]},
        {"venue": "sample"},
    ]
    found = [keys(planned(data, **one))[1] for one in changed]
    assert len({first, *found}) == len(changed) + 1


def test_a_key_does_not_change_with_what_else_is_tried(data: Path) -> None:
    assert set(keys(planned(data))) < set(keys(planned(data, seeds=[3, 0])))


def test_keys_are_the_same_in_every_process(data: Path) -> None:
    code = (
        "from pathlib import Path; from tests.sweeps import planned; "
        f"print([task.key for task in planned(Path({str(data)!r})).tasks])"
    )
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
        )  # fmt: skip
        assert done.stdout.strip() == str(keys(planned(data)))


def test_data_of_another_month_leave_results_alone_and_changed_data_do_not(tmp_path: Path) -> None:
    data = market(tmp_path)
    before = keys(planned(data))
    store = Store(data)
    stored = store.get("sample", SYMBOL, "ohlcv_1m")
    assert stored is not None
    later, _ = generate(SampleMarket(), "2025-03-01", "2025-03-02")
    told: dict[str, Any] = {"venue": "sample", "symbol": SYMBOL, "kind": "ohlcv_1m", "source": "test"}
    told |= {"synthesis": stored.synthesis, "instrument": stored.instrument}
    store.commit(later, **told)
    assert keys(planned(data)) == before
    again = DataReader(data).read_ohlcv(SYMBOL, format="polars").with_columns(volume=pl.col("volume") * 2)
    store.commit(again, **told, fresh=True)
    assert not set(keys(planned(data))) & set(before)


def test_the_same_parents_work_under_every_setting(data: Path) -> None:
    made = planned(data)
    orders = []
    for task in made.tasks:
        answer = do(task.work, str(data))
        assert isinstance(answer, bytes)
        kept = Kept(data.parent / "kept")
        kept.put(task.key, answer)
        orders.append(kept.get(task.key)["orders"]["shortfall"])
    assert len(set(orders[0]["parent"])) == 4
    assert all(one["parent"] == orders[0]["parent"] for one in orders)
    assert all(one["notional"] == pytest.approx(orders[0]["notional"]) for one in orders)
    assert orders[1]["cost"] != orders[2]["cost"]


def test_a_worker_with_other_data_or_another_version_says_so_instead_of_computing(data: Path) -> None:
    from dataclasses import replace

    work = planned(data).tasks[0].work
    for changed, says in (
        (replace(work, data="0" * 16), "holds other data of ATOM/USDT"),
        (replace(work, version="0.0.0"), "the sweep is of 0.0.0: install that one"),
    ):
        answer = do(changed, str(data))
        assert isinstance(answer, Failed)
        assert says in answer.reason


def test_a_result_that_the_disk_has_damaged_is_no_result(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.put("ab12", b'{"figures": 1}')
    assert kept.get("ab12") == {"figures": 1}
    file = tmp_path / "ab" / "ab12.json"
    whole = file.read_bytes()
    for damaged in (whole[:-1], whole[:20], b"", whole.replace(b"1}", b"2}")):
        file.write_bytes(damaged)
        assert "ab12" not in kept
    file.with_suffix(".99.partial").write_bytes(b"half")
    kept.sweep_up()
    assert [path.name for path in (tmp_path / "ab").iterdir()] == ["ab12.json"]


def test_draws_differ_from_draw_to_draw() -> None:
    values = {Range(low=0.0, high=1.0).at(generator(0, "sweep", k).random()) for k in range(50)}
    assert len(values) == 50
