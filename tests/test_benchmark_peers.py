"""Our side of the comparison with peers, on small data, held against what the work says; no peer is needed."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.peers import data, ours_bars, ours_book, ours_breakout, ours_ticks, tables
from benchmarks.peers.__main__ import written
from benchmarks.peers.environments import PEERS, python_of
from benchmarks.peers.rounds import held_together, play
from benchmarks.peers.works import OURS, Contender, Sizes, Work, prices, works
from core.errors import FillwrightError
from execution.run_files import RunResult
from execution.ticks.feed import TickFeed
from execution.ticks.prepared import best_of

BARS = 2000
STARTS = tuple(int(bar) for bar in data.parent_rows(BARS, 4))


@pytest.fixture(scope="module")
def minutes() -> dict[str, Any]:
    return data.minute_bars(BARS)


def on_bars(minutes: dict[str, Any], *, bare: bool, heard: bool = False) -> RunResult:
    strategy = ours_bars.HeardInTurn if heard else ours_bars.InTurn
    made = strategy(ours_bars.SYMBOL, ours_bars.Starts(STARTS))
    return ours_bars.engine(ours_bars.market(minutes, bare=bare), made).run()


def test_every_minute_of_a_parent_has_a_child_that_pays_the_next_open(minutes: dict[str, Any]) -> None:
    found = ours_bars.children(on_bars(minutes, bare=True))
    at = np.concatenate([start + np.arange(ours_bars.SLICES) for start in STARTS])
    assert found["ts_ns"].tolist() == minutes["close_ns"][at].tolist()
    assert found["qty"] == pytest.approx(np.full(len(at), ours_bars.QUANTITY / ours_bars.SLICES))
    assert found["price"] == pytest.approx(minutes["open"][at + 1], rel=1e-12)


def test_with_impact_and_spread_the_same_children_pay_more(minutes: dict[str, Any]) -> None:
    bare, whole = on_bars(minutes, bare=True), on_bars(minutes, bare=False)
    assert [(fill.ts_fill_ns, fill.qty) for fill in whole.fills] == [(one.ts_fill_ns, one.qty) for one in bare.fills]
    first = slice(ours_bars.SLICES)  # the parent that nobody has moved the market for
    for cheap, dear in zip(bare.fills[first], whole.fills[first], strict=True):
        assert dear.price >= cheap.price * (1 + ours_bars.SPREAD_BPS / 2e4)
    assert all(report.status == "completed" for report in whole.reports)


def test_a_handler_that_hears_every_bar_gets_the_same_fills(minutes: dict[str, Any]) -> None:
    told, heard = on_bars(minutes, bare=False), on_bars(minutes, bare=False, heard=True)
    assert [(one.ts_fill_ns, one.qty, one.price) for one in told.fills] == [
        (one.ts_fill_ns, one.qty, one.price) for one in heard.fills
    ]


def test_the_gate_of_the_study_is_that_of_the_example_with_a_larger_account() -> None:
    limits = ours_bars.limits()
    assert limits.limits.max_order_qty == 10_000 * ours_bars.CAPITAL / ours_bars.EXAMPLE_CAPITAL
    assert limits.limits.price_collar_bps == 500
    assert limits.parents == limits.venue_filters == "required"


def test_every_trade_is_heard_and_every_parent_filled_whole_from_its_start_on() -> None:
    n, parents = 60_000, 3
    columns = data.trade_ticks(n)
    starts = columns["ts_ns"][data.parent_rows(n, parents)].tolist()
    strategy = ours_ticks.HeardInTurn(ours_bars.SYMBOL, ours_bars.Starts(tuple(starts)))
    result = ours_ticks.engine(ours_ticks.market(columns, bare=True), strategy).run()
    found = ours_ticks.children(result)
    assert strategy.heard == n
    assert len(found["qty"]) == parents * ours_bars.SLICES
    assert sum(found["qty"]) == pytest.approx(parents * ours_bars.QUANTITY)
    for start_ns, report in zip(starts, result.reports, strict=True):
        assert report.start_ts_ns == start_ns
        assert report.status == "completed"


@pytest.mark.parametrize("window", [1, 2, 3, 7, 8, 120, 240])
def test_the_extreme_of_the_bars_before_is_that_of_each_window(window: int) -> None:
    high = data.minute_bars(600)["high"]
    for extreme, obvious in ((np.maximum, np.max), (np.minimum, np.min)):
        found = ours_breakout.before(high, window, extreme)
        assert np.isnan(found[:window]).all()
        windows = np.lib.stride_tricks.sliding_window_view(high, window)
        assert found[window:].tolist() == obvious(windows, axis=1)[:-1].tolist()


def test_the_breakout_ends_with_the_value_of_a_loop_over_the_bars() -> None:
    minutes = data.minute_bars(6000)
    close, opened = minutes["close"], minutes["open"]
    cash, held, trades = ours_bars.CAPITAL, 0.0, 0
    for k in range(240, len(close) - 1):
        if not held and close[k] > minutes["high"][k - 240 : k].max():
            held = 1.0
            cash -= opened[k + 1] * (1 + ours_bars.FEES["taker_fee_bps"] / 1e4)
        elif held and close[k] < minutes["low"][k - 120 : k].min():
            held, trades = 0.0, trades + 1
            cash += opened[k + 1] * (1 - ours_bars.FEES["taker_fee_bps"] / 1e4)
    result = ours_breakout.engine(ours_bars.market(minutes, bare=True), slices=0).run()
    assert trades > 3
    assert result.equity[-1] == pytest.approx(cash + held * close[-1], rel=1e-12)
    assert int(((result.position[1:] == 0) & (result.position[:-1] != 0)).sum()) == trades


def book(rows: int, slices: int) -> tuple[TickFeed, Any]:
    return ours_book.feed(data.book_rows(rows)), data.wakes(slices)


def test_orders_at_the_best_price_fare_the_same_on_a_prepared_feed() -> None:
    feed, wakes = book(40_000, 200)
    thin = best_of(feed)
    assert len(thin) < 0.6 * len(feed)
    (_, whole), (_, quick) = ours_book.timed(feed, wakes), ours_book.timed(thin, wakes)
    assert whole["orders"] > 200, "no slice was crossed"
    assert {**whole, "fills": 0} == {**quick, "fills": 0}


def test_files_and_a_round_of_processes_give_results_that_all_tables_show(tmp_path: Path) -> None:
    sizes = Sizes(bars=1500, trades=2000, rows=2000, parents=(2,), slices=3)
    sizes.write(tmp_path / "data")
    ours = [one for one in works(sizes)[2].contenders if one.name == "fillwright"]
    found = play(Work("breakout", tuple(ours)), 1, {OURS: Path(sys.executable)}, tmp_path / "data")
    (told,) = found["fillwright"]
    assert told is not None
    assert told["events"] == 1500
    assert 0 < told["run_s"] < told["wall_s"]
    assert 0 < told["run_cpu_s"] < told["cpu_s"]
    results = {"machine": {"load": 1.0}, "works": {"breakout": found}, "prices": {}}
    written(results, tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text())["works"]["breakout"] == found
    assert f"| fillwright | {tables.number(told['run_cpu_s'])} |" in tables.breakout(results)
    assert "Not measured yet" in tables.book(results)


def test_a_contender_that_fails_is_named_with_its_last_words(tmp_path: Path) -> None:
    nobody = Work("breakout", (Contender("fillwright", OURS, "ours_breakout"),))
    with pytest.raises(FillwrightError, match=r"fillwright: .*ours_breakout.* failed: FileNotFoundError.*bars.npz"):
        play(nobody, 1, {OURS: Path(sys.executable)}, tmp_path)


def test_results_of_other_works_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    written({"works": {"book": {"a": [1]}, "bars": {}}, "prices": {}}, path)
    written({"works": {"book": {"a": [2]}}, "prices": {"bars": {}}}, path)
    assert json.loads(path.read_text()) == {"works": {"book": {"a": [2]}, "bars": {}}, "prices": {"bars": {}}}


def test_ratios_are_taken_within_a_round_and_a_child_costs_what_parents_add() -> None:
    def run(seconds: float, children: int = 0) -> dict[str, Any]:
        return {"run_cpu_s": seconds, "children": children}

    work: dict[str, Any] = {
        "nautilus_trader": [run(4.0), run(6.0)],
        "nautilus_trader / 20": [run(10.0, 600), None],
        "fillwright": [run(0.1), run(0.2)],
        "fillwright / 20": [run(0.5, 600) | {"read_cpu_s": 0.01}, run(0.8, 600) | {"read_cpu_s": 0.03}],
    }
    rows = tables.bars({"works": {"bars": work}}).splitlines()
    assert "| nautilus_trader | 20 | 10 | 10,000 |  |  |  |" in rows
    assert "| fillwright | 0 | 0.15 [0.1 to 0.2] |  | 35 [30 to 40] |  |  |" in rows
    read = "0.02 [0.01 to 0.03]"
    assert f"| fillwright | 20 | 0.65 [0.5 to 0.8] | 833 [667 to 1,000] | 20 |  | {read} |" in rows


def test_children_of_two_runs_are_compared_one_by_one(tmp_path: Path) -> None:
    one: dict[str, Any] = {"ts_ns": np.array([0, 10]), "qty": np.array([1.0, 2.0]), "price": np.array([5.0, 6.0])}
    np.savez(tmp_path / "a.npz", **one)
    other: dict[str, Any] = {**one, "ts_ns": one["ts_ns"] + 3_000_000, "price": one["price"] + [0.0, 0.5]}
    np.savez(tmp_path / "b.npz", **other)
    found = held_together(tmp_path / "a.npz", tmp_path / "b.npz")
    assert (found["time_ms"], found["qty"], found["price"], found["mean_price"]) == (3.0, 0.0, 0.5, 0.25)
    fewer: dict[str, Any] = {name: one[name][:1] for name in one}
    np.savez(tmp_path / "c.npz", **fewer)
    with pytest.raises(FillwrightError, match="2 children and"):
        held_together(tmp_path / "a.npz", tmp_path / "c.npz")


def test_every_script_that_a_work_names_is_there(tmp_path: Path) -> None:
    pythons = {name: Path(sys.executable) for name in (*PEERS, OURS)}
    sizes = replace(Sizes(), parents=(1,))
    compared = [one for pair in prices(sizes, tmp_path).values() for one in pair[:2]]
    for one in [*compared, *(contender for work in works(sizes) for contender in work.contenders)]:
        words = one.command(pythons, tmp_path)
        script = words[2].replace(".", "/") + ".py" if words[1] == "-m" else words[1]
        assert (Path(__file__).resolve().parents[1] / script).is_file()


@pytest.mark.slow
def test_without_a_package_index_one_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(FillwrightError) as caught:
        python_of("backtesting", tmp_path)
    assert "backtesting==0.6.6 cannot be installed" in str(caught.value)
    assert "is a package index reachable?" in str(caught.value)
    assert "\n" not in str(caught.value)
