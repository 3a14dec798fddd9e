"""`fillwright compare`: who was cheaper, and what the numbers allow to say about it."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest

from core import chance
from core.console import run
from core.contracts import Side, sign
from execution.compare import command, judge, labelled, remarks
from execution.contracts import ExecutionReport
from execution.costs.comparison import DAY_NS, contrast, summarize
from execution.reports import write_reports
from execution.tca import ExecutionCost, measure
from tests.test_execution_tca import START_NS, fill, golden, report

ROOT = Path(__file__).resolve().parents[1]
Algo = Literal["TWAP", "VWAP", "POV"]


def order(
    cost_bps: float, n: int, *, algo: Algo = "TWAP", side: Side = "buy", qty: float = 10.0, **fields: Any
) -> ExecutionReport:
    """An execution that cost so much against an arrival price of 100, one a day."""
    filled = fields.pop("filled", qty)
    price = 100 * (1 + sign(side) * cost_bps / 1e4)
    market: dict[str, Any] = {
        "decision_price": 100.0,
        "arrival_price": 100.0,
        "end_price": 100.0,
        "benchmark_vwap": 100.0,
    }
    return report(
        qty,
        [fill(filled, price, side=side)] if filled else [],
        **{
            "execution_id": f"{algo}-{n}",
            "parent_intent_id": f"parent-{n}",
            "algo": algo,
            "side": side,
            "start_ts_ns": START_NS + n * DAY_NS,
            **market,
            **fields,
        },
    )


def costs(values: list[float], **fields: Any) -> list[ExecutionCost]:
    return [measure(order(value, n, **fields)) for n, value in enumerate(values)]


def outcome(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as leaving:
        run(command, [str(word) for word in words], prog_name="compare")
    out, err = capsys.readouterr()
    return leaving.value.code, out, err


def document(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    code, out, err = outcome(capsys, *words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[Path, Path]:
    """The ten pairs of the worked example as executions, buys and sells in turns."""
    lines = golden("tca_pairs.csv")
    paths = tmp_path / "twap.ndjson", tmp_path / "pov.ndjson"
    algos: tuple[Algo, Algo] = ("TWAP", "POV")
    for path, algo, column in zip(paths, algos, ("first", "second"), strict=True):
        write_reports(
            path,
            [order(float(line[column]), n, algo=algo, side="sell" if n % 2 else "buy") for n, line in enumerate(lines)],
        )
    return paths


def test_the_same_parents_are_compared_in_pairs_as_in_the_worked_example(
    pairs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """G10; the t test and the exact test disagree at 5 %, and both are shown."""
    (one,) = document(capsys, "--reports", *pairs)["contrasts"]

    assert (one["first"], one["second"], one["paired"], one["n"]) == ("POV", "TWAP", True, 10)
    assert one["mean"] == pytest.approx(-1.13)
    assert one["p_t"] == pytest.approx(0.0463359, abs=1e-6)
    assert one["p_sign_flip"] == one["p_holm"] == pytest.approx(52 / 1024)
    assert one["interval"]["low"] == pytest.approx(-2.237225, abs=1e-5)
    assert one["interval"]["high"] == pytest.approx(-0.022775, abs=1e-5)
    assert one["for_1bp"] == math.ceil(7.84888 * 1.547794**2)


def test_a_difference_that_chance_may_explain_is_not_called_a_win(
    pairs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = document(capsys, "--reports", *pairs)["verdict"]

    assert verdict.startswith("POV has the lowest mean")
    assert "do not show that it is cheaper than TWAP" in verdict
    assert "19 pairs" in verdict


def test_a_clear_difference_is_called_one() -> None:
    first = [5 + n % 3 for n in range(20)]
    groups = {"POV": costs([value + 2 + 0.1 * (n % 2) for n, value in enumerate(first)]), "TWAP": costs([*first])}
    rows = [summarize(label, group, "arrival") for label, group in groups.items()]

    verdict = judge(rows, contrast(groups, "arrival"), "arrival")

    assert verdict.startswith("TWAP was the cheapest, 5.95 bps; chance hardly explains the difference to POV")


def test_a_win_by_filling_only_what_was_cheap_is_called_that() -> None:
    groups = {"POV": costs([5 + n % 3 for n in range(20)]), "TWAP": costs([n % 2 for n in range(20)], filled=6.0)}
    verdicts = [
        judge(
            [summarize(label, group, yardstick) for label, group in groups.items()],
            contrast(groups, yardstick),
            yardstick,
        )
        for yardstick in ("arrival", "shortfall")
    ]

    assert verdicts[0].startswith("TWAP was the cheapest in its fills")
    assert "It filled 60.0 % where another filled 100.0 %" in verdicts[0]
    assert "It filled" not in verdicts[1]


def test_means_are_weighted_by_notional_and_the_spread_is_of_single_orders() -> None:
    group = [measure(order(10.0, 0, qty=90.0)), measure(order(20.0, 1, qty=10.0))]

    row = summarize("TWAP", group, "arrival")  # pitfall 30

    assert row.mean == pytest.approx(11.0)
    assert row.median == pytest.approx(15.0)
    assert row.sd == pytest.approx(math.sqrt(50))
    assert row.interval.low <= 11 <= row.interval.high
    assert row.orders_for_1bp == math.ceil(2 * 7.84888 * 50)


def test_executions_of_one_symbol_and_day_are_one_cluster() -> None:
    hours = [START_NS + n * 3_600_000_000_000 for n in range(5)]
    group = [measure(order(float(n), 0, start_ts_ns=ts_ns)) for n, ts_ns in enumerate(hours)]
    other = measure(order(3.0, 0, symbol="BTC/USDT"))

    assert summarize("TWAP", group, "arrival").clusters == 1
    assert math.isnan(summarize("TWAP", group, "arrival").interval.low)
    assert summarize("TWAP", [*group, other], "arrival").clusters == 2


def test_what_filled_nothing_is_left_out_of_fill_benchmarks_and_counted_but_is_in_the_shortfall() -> None:
    group = [measure(order(5.0, 0)), measure(order(0.0, 1, filled=0.0, end_price=101.0, status="cancelled"))]

    arrival, shortfall = (summarize("TWAP", group, yardstick) for yardstick in ("arrival", "shortfall"))

    assert (arrival.orders, arrival.left_out) == (1, 1)
    assert (shortfall.orders, shortfall.left_out) == (2, 0)
    assert arrival.fill_rate == 0.5
    assert shortfall.mean == pytest.approx((5 + 100) / 2)


def test_different_parents_are_compared_as_samples_and_the_reader_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = chance.generator(3)
    path = tmp_path / "executions.ndjson"
    mixed = [
        order(float(rng.normal(5, 20)), n, algo=algo, parent_intent_id=f"{algo}{n}")
        for n in range(15)
        for algo in ("TWAP", "VWAP", "POV")
    ]
    write_reports(path, mixed)

    found = document(capsys, "--reports", path)

    assert [(one["first"], one["second"]) for one in found["contrasts"]] == [
        ("POV", "TWAP"),
        ("POV", "VWAP"),
        ("TWAP", "VWAP"),
    ]
    assert not any(one["paired"] for one in found["contrasts"])
    assert all(one["p_sign_flip"] is None and one["p_holm"] >= one["p_t"] for one in found["contrasts"])
    assert any("different parents" in line for line in found["remarks"])


def test_a_parent_of_another_quantity_or_side_is_not_a_partner() -> None:
    first = costs([1.0, 2.0, 4.0])
    for fields in ({"qty": 11.0}, {"side": "sell"}):
        (one,) = contrast({"A": first, "B": costs([1.0, 3.0, 5.0], **fields)}, "arrival")
        assert not one.paired


def test_a_few_chance_partners_do_not_stand_for_all() -> None:
    first = costs([float(n) for n in range(10)])
    second = [measure(order(float(n), n, parent_intent_id=f"parent-{n}" if n < 3 else f"own-{n}")) for n in range(10)]

    (one,) = contrast({"A": first, "B": second}, "arrival")

    assert not one.paired
    assert one.n == 10


def test_a_parent_that_one_algorithm_worked_twice_has_no_single_partner() -> None:
    first = costs([1.0, 2.0, 4.0, 3.0])
    twice = measure(order(50.0, 0, execution_id="again"))

    (one,) = contrast({"A": [*first, twice], "B": costs([2.0, 3.0, 6.0, 3.0])}, "arrival")

    assert (one.paired, one.n) == (True, 3)
    assert one.mean == pytest.approx(-1.0)


def test_pairs_that_contradict_the_means_of_all_executions_make_no_winner() -> None:
    """Dear orders that only one algorithm got spoil its mean; on the orders of both it is the cheaper one."""
    values = [5 + 0.1 * (n % 3) for n in range(12)]
    dear = [measure(order(500.0, 100 + n)) for n in range(3)]
    groups = {
        "POV": [*costs(values), *dear],
        "TWAP": costs([value + 2 + 0.1 * (n % 2) for n, value in enumerate(values)]),
    }
    rows = [summarize(label, group, "arrival") for label, group in groups.items()]

    (one,) = contrast(groups, "arrival")

    assert (one.paired, one.cheaper) == (True, "POV")
    assert one.p_holm < 0.05
    assert judge(rows, [one], "arrival").startswith("TWAP has the lowest mean")


def test_one_algorithm_has_nothing_to_be_compared_with_and_still_gets_its_row(
    pairs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = outcome(capsys, "--reports", pairs[0], "--benchmark", "vwap")

    assert code == 0
    assert [line.split()[:4] for line in out.splitlines() if line.startswith("TWAP")] == [["TWAP", "10", "10", "9.10"]]
    assert "nothing to compare it with" in out


def test_files_may_follow_the_option_or_repeat_it(pairs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    follow = outcome(capsys, "--reports", *pairs, "--benchmark", "vwap")
    repeat = outcome(capsys, "--reports", pairs[0], "--benchmark", "vwap", "--reports", pairs[1])

    assert follow == repeat
    assert follow[0] == 0


def test_labels_say_the_venue_and_the_file_only_where_that_tells_apart() -> None:
    here = costs([1.0])
    there = [measure(order(1.0, 0, venue="binance"))]
    a, b, c = Path("runs/a/executions.ndjson"), Path("runs/b/executions.ndjson"), Path("pov.ndjson")
    pov = costs([1.0], algo="POV")

    assert list(labelled({a: here})) == ["TWAP"]
    assert list(labelled({a: here, c: pov})) == ["POV", "TWAP"]
    assert list(labelled({a: here + there})) == ["TWAP at binance", "TWAP at paper"]
    assert list(labelled({a: here, b: here})) == ["TWAP (a/executions)", "TWAP (b/executions)"]
    assert list(labelled({a: here, c: here})) == ["TWAP (executions)", "TWAP (pov)"]


def test_executions_without_a_known_benchmark_are_said_to_be_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "executions.ndjson"
    write_reports(path, [order(1.0, n) for n in range(3)])

    found = document(capsys, "--reports", path, "--benchmark", "twap")

    assert found["algorithms"][0]["orders"] == 0
    assert found["algorithms"][0]["mean"] is None
    assert found["verdict"] == "No execution has a known cost against this benchmark."


def test_fill_rates_below_one_point_to_the_shortfall() -> None:
    row = summarize("TWAP", [measure(order(1.0, n, filled=5.0)) for n in range(12)], "arrival")

    assert any("--benchmark shortfall" in line for line in remarks([row], [], "arrival"))
    assert not any("--benchmark shortfall" in line for line in remarks([row], [], "shortfall"))


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--reports", "twap.ndjson", "--benchmark", "vwop"], 2, "'vwop' is not one of 'arrival', 'vwap', 'twap'"),
        (["--reports", "none.ndjson"], 1, "none.ndjson does not exist"),
        (["--reports", "twap.ndjson", "twap.ndjson"], 1, "twap.ndjson is named twice"),
        (["--reports", "twap.ndjson", "bad.ndjson"], 1, "bad.ndjson, line 1: not JSON"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    words: list[str],
    code: int,
    says: str,
    pairs: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(pairs[0].parent)
    Path("bad.ndjson").write_text("id;price\n", encoding="utf-8")

    found, out, err = outcome(capsys, *words)

    assert (found, out) == (code, "")
    assert says in err
    assert err.count("\n") == 1


def test_two_comparisons_print_the_same_whatever_the_hash_seed(pairs: tuple[Path, Path]) -> None:
    said = [
        subprocess.run(
            [sys.executable, "-m", "execution.compare", "--reports", *map(str, pairs)],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "5")
    ]
    assert said[0] == said[1]
    assert b"differences, first less second" in said[0]


def test_the_order_of_the_files_changes_nothing(pairs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert document(capsys, "--reports", *pairs) == document(capsys, "--reports", *reversed(pairs))


def test_a_mirrored_market_gives_the_same_comparison() -> None:
    """pitfall 30: a sell costs what a buy costs."""
    values = [3.0, -1.0, 8.0, 4.0]
    bought, sold = (summarize("TWAP", costs(values, side=side), "arrival") for side in ("buy", "sell"))

    for name in ("orders", "clusters", "mean", "median", "sd", "winsorised", "design_effect", "orders_for_1bp"):
        assert getattr(sold, name) == pytest.approx(getattr(bought, name)), name
    assert sold.interval.low == pytest.approx(bought.interval.low)
