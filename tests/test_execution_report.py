"""The HTML report: what is on its pages and beside them, and what happens where something is missing or wrong."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtest.runner import command as backtest
from core.console import run as run_command
from core.contracts import FillEvent
from core.errors import ConfigError, DataError
from execution.contracts import ExecutionReport
from execution.report import Run, open_run
from execution.report import folder as folders
from execution.report.charts import Spec, figure, histogram, waterfall
from execution.report.command import command
from execution.report.groups import quantiles
from execution.report.one import MOST_BARS, MOST_FILLS, charts_of, drawn_fills, schedule, thinned
from execution.report.overview import distribution_of, intervals_of, waterfall_of
from execution.report.page import Html, chart, document, esc, join, link, tag
from execution.reports import write_reports
from execution.tca import PARTS, measure
from research.data_reader import DataReader
from research.sample import write_sample

ROOT = Path(__file__).resolve().parents[1]
MINUTE_NS = 60 * 10**9
START_NS = 1_735_742_940 * 10**9
OUTSIDE = re.compile(r"""(?:src|href)=["'](?:https?:)?//""")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve days of the sample market in data/, and a run over them in run/."""
    here = tmp_path_factory.mktemp("report")
    write_sample(here / "data", start="2025-01-01", end="2025-01-13")
    words = ["--strategy", "trendline_break_v1", "--symbol", "ATOM/USDT", "--data-dir", str(here / "data")]
    words += ["--execution-config", str(ROOT / "config" / "execution.yaml"), "--output-dir", str(here / "run")]
    backtest.main([*words, "--quiet", "--no-report"], standalone_mode=False)
    return here


@pytest.fixture(scope="module")
def opened(place: Path) -> Run:
    return open_run(place / "run", data_dir=place / "data")


@pytest.fixture(scope="module")
def written(opened: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return opened.write(tmp_path_factory.mktemp("written") / "report").parent


def filled(run: Run) -> ExecutionReport:
    return next(report for report in run.reports if report.fills)


def fill(number: int, price: float = 10.01, qty: float = 10.0, **meta: Any) -> FillEvent:
    said = {"half_spread": 0.01, "impact": 0.002, "slice_idx": number} | meta
    ids, when = (f"f{number}", f"o{number}"), START_NS + number * MINUTE_NS
    return FillEvent(*ids, "ATOM/USDT", "buy", qty, price, when, fee=0.1, liquidity="taker", meta=said)


def made(execution_id: str = "x-1", **other: Any) -> ExecutionReport:
    """An execution in memory: ten fills of ten, in a market that nobody stored."""
    known: dict[str, Any] = {
        "execution_id": execution_id, "symbol": "ATOM/USDT", "total_quantity": 100.0, "filled_quantity": 100.0,
        "remaining_quantity": 0.0, "avg_fill_price": 10.01, "total_fees": 1.0, "slices_completed": 10,
        "slices_total": 10, "status": "completed", "start_ts_ns": START_NS, "end_ts_ns": START_NS + 10 * MINUTE_NS,
        "decision_price": 10.0, "arrival_price": 10.0, "end_price": 10.0, "market_volume": 10_000.0,
        "fills": tuple(fill(number, scheduled_ts_ns=START_NS + number * MINUTE_NS) for number in range(10)),
    }  # fmt: skip
    return ExecutionReport(**(known | other))


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as leaving:
        run_command(command, [str(word) for word in words])
    assert isinstance(leaving.value.code, int)
    return leaving.value.code, *capsys.readouterr()


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def specs_of(page: Path) -> list[Spec]:
    found = re.findall(r'<script type="application/json">(.*?)</script>', page.read_text(encoding="utf-8"))
    return [json.loads(text) for text in found]


# ---------------------------------------------------------------- the frame


def test_text_is_escaped_and_markup_is_not() -> None:
    assert tag("p", "<b>&", tag("i", "x")) == "<p>&lt;b&gt;&amp;<i>x</i></p>"
    assert tag("a", "t", href='"><script>') == '<a href="&quot;&gt;&lt;script&gt;">t</a>'
    assert join(["<", Html("<br>")]) == "&lt;<br>"
    assert esc(3.5) == "3.5"


def test_a_chart_holds_data_that_cannot_end_its_script() -> None:
    spec = waterfall({"</script><script>": 1.0}, ("all", 1.0), title="t", what="cost", unit="bps")
    assert chart(spec, "one").count("</script>") == 1
    with pytest.raises(ValueError, match="letters, digits"):
        chart(spec, "one two")


def test_links_go_to_files_of_the_report_only() -> None:
    with pytest.raises(ValueError, match="its own files"):
        link("x", "https://example.org")


def test_a_page_for_itself_has_its_style_and_script_within() -> None:
    page = document("t", tag("p", "x"), inline=True)
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    assert "report.css" not in page.replace("business of report.css", "")


def test_a_plotly_figure_makes_the_same_chart_as_its_spec() -> None:
    spec = waterfall({"a": 1.0, "b": -2.0}, ("all", -1.0), title="t", what="cost", unit="bps")
    drawn = chart(figure(spec), "one")
    assert '"waterfall"' in drawn
    assert "<figcaption>t</figcaption>" in drawn


# ---------------------------------------------------------------- the charts


def test_every_chart_is_one_that_plotly_takes_and_every_axis_has_a_unit(opened: Run) -> None:
    report = filled(opened)
    cost = measure(report)
    specs = [waterfall_of(opened), distribution_of(opened), *charts_of(report, cost, opened.around(report)).values()]
    specs += [intervals_of(opened, by, groups) for by, groups in opened.breakdowns.items()]
    assert len(specs) == 11
    for spec in specs:
        figure(spec)  # refuses what plotly does not know
        assert spec["layout"]["title"]["text"]
        categories = {"x": spec["data"][0].get("orientation") != "h", "y": True}
        for letter in categories:
            axis = spec["layout"][f"{letter}axis"]
            names = [value for trace in spec["data"] for value in trace[letter]]
            if not all(isinstance(value, str) for value in names):
                said = axis["title"]["text"]
                assert ", " in said or said == "executions", spec["layout"]["title"]


def test_the_waterfall_ends_where_its_parts_do(opened: Run) -> None:
    (trace,) = waterfall_of(opened)["data"]
    *parts, total = trace["x"]
    assert trace["y"] == [*PARTS, "shortfall"]
    assert math.fsum(parts) == pytest.approx(total, abs=1e-5)
    assert total == pytest.approx(opened.total.shortfall_bps, rel=1e-6)


def test_an_unknown_part_is_called_unknown_and_not_zero() -> None:
    spec = waterfall({"delay": math.nan, "fees": 2.0}, ("sum", 2.0), title="t", what="cost", unit="bps")
    assert [label["text"] for label in spec["layout"]["annotations"]] == ["unknown", "2.00", "2.00"]


def test_the_histogram_counts_everybody_once(opened: Run) -> None:
    (trace,) = distribution_of(opened)["data"]
    assert sum(trace["y"]) == opened.total.measured


def test_a_histogram_of_executions_that_cost_the_same_has_a_width() -> None:
    (trace,) = distribution_of(Run((made("a"), made("b"))))["data"]
    assert sum(trace["y"]) == 2
    assert min(trace["width"]) > 0
    assert histogram([0.0, 1.0], [0], {"mean": math.nan}, title="t", what="w", unit="u")["layout"]["shapes"] == []


def test_the_schedule_is_drawn_as_the_report_has_it() -> None:
    one = made()
    steps = [[k * MINUTE_NS / 1e6, one.total_quantity * (k + 1) / 10] for k in range(10)]
    due = schedule(made(notes={"schedule": steps}))
    assert [share for _, share in due] == pytest.approx([*(k / 10 for k in range(1, 11)), 1.0])
    assert [when for when, _ in due[:10]] == [START_NS + k * MINUTE_NS for k in range(10)]
    assert schedule(one) == []


def test_a_limit_is_drawn_where_there_is_one() -> None:
    one, other = made(notes={"limit_price": 10.5}), made()
    run = Run((one,))
    names = [trace["name"] for trace in charts_of(one, run.measured[0], run.around(one))["price"]["data"]]
    assert "limit" in names
    assert "limit" not in str(charts_of(other, run.measured[0], run.around(one))["price"])


def test_many_fills_are_drawn_together_and_keep_quantity_and_money() -> None:
    fills = tuple(fill(number, price=10 + number / 1e4, qty=1.0) for number in range(5 * MOST_FILLS + 3))
    drawn = drawn_fills(made(fills=fills))
    assert len(drawn) <= MOST_FILLS
    assert math.fsum(mark.qty for mark in drawn) == pytest.approx(len(fills))
    money = math.fsum(mark.qty * mark.price for mark in drawn)
    assert money == pytest.approx(math.fsum(one.price for one in fills))


def test_many_bars_are_drawn_together_and_keep_range_and_volume(place: Path) -> None:
    bars = DataReader(place / "data").bars("ATOM/USDT")
    drawn = thinned(bars)
    assert len(drawn) <= MOST_BARS < len(bars)
    assert drawn.volume.sum() == pytest.approx(bars.volume.sum())
    assert (drawn.high.max(), drawn.low.min()) == (bars.high.max(), bars.low.min())


# ---------------------------------------------------------------- groups


def test_every_way_to_group_counts_every_execution_and_all_money_once(opened: Run) -> None:
    for by, groups in opened.breakdowns.items():
        assert sum(group.executions for group in groups) == len(opened.reports), by
        assert math.fsum(group.shortfall for group in groups) == pytest.approx(opened.total.shortfall), by
    assert {len(opened.breakdowns[by]) for by in ("size", "volatility")} <= {2, 3, 4, 5}


@given(st.lists(st.floats(1e-6, 1e9) | st.just(math.nan), min_size=1, max_size=60))
def test_quantiles_name_every_value_in_order(values: list[float]) -> None:
    labels, names = quantiles(values, " %")
    assert set(labels) <= set(names)
    assert all((label == "unknown") == math.isnan(value) for label, value in zip(labels, values, strict=True))
    ranked = sorted((value, names.index(label)) for label, value in zip(labels, values, strict=True) if value == value)
    assert all(one[1] <= other[1] for one, other in pairwise(ranked))


def test_without_market_data_sizes_are_in_money_and_volatility_is_unknown() -> None:
    run = Run(tuple(made(f"x-{k}", total_quantity=100.0 + k, filled_quantity=100.0 + k) for k in range(20)))
    assert [group.name for group in run.breakdowns["volatility"]] == ["unknown"]
    assert len(run.breakdowns["size"]) == 5
    assert "notional in USDT" in intervals_of(run, "size", run.breakdowns["size"])["layout"]["title"]["text"]


# ---------------------------------------------------------------- the folder


def test_the_report_has_pages_files_and_nothing_from_a_network(opened: Run, written: Path) -> None:
    names = files_of(written)
    assert {"index.html", "executions.html", "plotly.min.js", "report.css", "report.js"} <= set(names)
    assert sum(name.startswith("executions/") for name in names) == len(opened.reports)
    for name, content in names.items():
        if name.endswith(".html"):
            text = content.decode()
            assert len(content) < 1_000_000, name
            assert not OUTSIDE.search(text), name
            assert "SYNTHETIC" in text, name
            for target in re.findall(r'(?:href|src)="([^"#:]+)"', text):
                assert (written / name).parent.joinpath(target).exists(), f"{name} leads to {target}"


def test_the_page_says_what_the_tables_of_the_terminal_say(opened: Run, written: Path) -> None:
    text = (written / "index.html").read_text(encoding="utf-8")
    total = opened.total
    for value in (total.shortfall_bps, total.shortfall, total.parts.fees, total.against["vwap"].bps):
        assert f"{value:,.2f}".replace("-", "−") in text
    for words in (opened.about["config_hash"], opened.about["data"]["data_id"], "fill model", "spread from"):
        assert words in text


def test_the_same_run_gives_the_same_bytes(place: Path, written: Path, tmp_path: Path) -> None:
    again = open_run(place / "run", data_dir=place / "data").write(tmp_path / "again").parent
    assert files_of(again) == files_of(written)


def test_csv_parquet_and_frames_hold_the_same_numbers(opened: Run, written: Path) -> None:
    assert set(pl.read_parquet(written / "summary.parquet")["figure"]) >= {"shortfall", *PARTS}
    for name in ("summary", "costs", "groups", "fills"):
        one, other = pl.read_parquet(written / f"{name}.parquet"), pl.read_csv(written / f"{name}.csv")
        assert one.columns == other.columns
        assert len(one) == len(other) > 0
    costs = pl.read_parquet(written / "costs.parquet")
    assert costs.equals(opened.costs("polars"))
    pandas = opened.costs("pandas")
    assert list(pandas.columns) == costs.columns
    assert pandas["shortfall"].sum() == pytest.approx(opened.total.shortfall)
    assert len(opened.fills("polars")) == sum(len(report.fills) for report in opened.reports)
    assert list(opened.groups("hour", "polars")["group"]) == sorted(opened.groups("hour")["group"])


def test_only_the_dearest_get_pages_where_few_are_asked_for(opened: Run, tmp_path: Path) -> None:
    index = opened.write(tmp_path / "few", pages=3)
    names = {path.stem for path in (tmp_path / "few" / "executions").iterdir()}
    dearest = sorted(opened.measured, key=lambda cost: -cost.shortfall)[:3]
    assert names == {cost.execution_id for cost in dearest}
    assert "href=" in index.read_text(encoding="utf-8")


def test_ids_that_are_no_file_names_or_differ_by_case_alone_get_pages_of_their_own(tmp_path: Path) -> None:
    ids = ("a/b", "a?b", "A", "a", "..", "<i>", "é" * 300)
    Run(tuple(made(name) for name in ids)).write(tmp_path / "report")
    pages = [path.name for path in (tmp_path / "report" / "executions").iterdir()]
    assert len({name.casefold() for name in pages}) == len(ids)
    assert "&lt;i&gt;" in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")


def test_a_report_is_replaced_and_another_folder_is_not(opened: Run, tmp_path: Path) -> None:
    opened.write(tmp_path / "report", pages=1)
    opened.write(tmp_path / "report", pages=2)
    assert len(list((tmp_path / "report" / "executions").iterdir())) == 2
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(DataError, match="not a report's"):
        opened.write(tmp_path / "mine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "report"]


def test_a_report_that_fails_half_way_leaves_the_old_one(
    opened: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.write(tmp_path / "report", pages=1)
    before = files_of(tmp_path)

    def full_disk(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folders, "overview", full_disk)  # the last page
    with pytest.raises(DataError, match=r"report cannot be written: No space left on device"):
        opened.write(tmp_path / "report")
    assert files_of(tmp_path) == before
    with pytest.raises(DataError):
        opened.write(tmp_path / "new" / "deep" / "report")
    assert not (tmp_path / "new").exists()


# ---------------------------------------------------------------- little, nothing, and unknown


NOTHING = {
    "fills": (),
    "filled_quantity": 0.0,
    "remaining_quantity": 100.0,
    "avg_fill_price": math.nan,
    "total_fees": 0.0,
}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({}, "1 parent order worth"),
        ({"fills": ()}, "1 parent order worth"),
        (NOTHING, "1 parent order"),
        ({"decision_price": math.nan, "arrival_price": math.nan, "end_price": math.nan}, "none with a known shortfall"),
        ({"status": "running", "end_ts_ns": None}, "1 parent order"),
        ({"symbol": "ABC"}, "1 parent order"),
        ({"total_fees": math.nan, "market_volume": 0.0}, "none with a known shortfall"),
        ({"settings": {"synthetic": False, "version": "9"}}, "real"),
    ],
    ids=["plain", "no fills listed", "nothing filled", "no prices", "running", "no currency", "no fees", "real"],
)  # fmt: skip
def test_one_execution_with_gaps_makes_whole_pages(other: dict[str, Any], words: str, tmp_path: Path) -> None:
    index = Run((made(**other),)).write(tmp_path / "report")
    text = index.read_text(encoding="utf-8")
    assert words in text
    assert "nan" not in re.sub(r"<script.*?</script>", "", text).split("<main>")[1].casefold().split()
    page = (tmp_path / "report" / "executions" / "x-1.html").read_text(encoding="utf-8")
    assert "The market's price and volume are not shown" in page
    for spec in specs_of(tmp_path / "report" / "executions" / "x-1.html"):
        assert "NaN" not in json.dumps(spec)
        figure({**spec, "layout": {**spec["layout"], "title": {"text": ""}}})


def test_data_that_are_not_those_of_the_run_are_not_shown(place: Path, opened: Run) -> None:
    settings = {**opened.reports[0].settings, "data_id": "another"}
    run = Run((replace(opened.reports[0], settings=settings),), data_dir=place / "data")
    assert "are not those of the run (another)" in run.around(run.reports[0]).why_not
    nowhere = Run(opened.reports[:1], data_dir=place / "nowhere")
    assert "no bars of ATOM/USDT at sample" in nowhere.around(nowhere.reports[0]).why_not


def test_two_currencies_are_not_called_by_one_name(tmp_path: Path) -> None:
    run = Run((made("a"), made("b", symbol="ATOM/EUR", fills=())))
    assert run.currency == ""
    text = run.write(tmp_path / "report").read_text(encoding="utf-8")
    assert "different quote currencies (EUR, USDT)" in text


# ---------------------------------------------------------------- the commands


def test_the_command_writes_the_report_beside_the_run(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out"
    assert call(capsys, place / "run", "--output-dir", target, "--data-dir", place / "data", "--pages", 2)[0] == 0
    code, out, err = call(capsys, place / "run" / "executions.ndjson", "--output-dir", target, "--pages", 1, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["pages"] == 1
    assert (target / "index.html").exists()


def test_what_is_no_run_gets_one_clear_line(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call(capsys)
    assert (code, out) == (1, "")
    assert err == "error: var/backtest does not exist: `fillwright backtest` writes execution reports\n"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "empty holds no run: executions.ndjson is missing" in call(capsys, empty)[2]
    (empty / "executions.ndjson").touch()
    assert "holds no execution reports" in call(capsys, empty)[2]
    (empty / "executions.ndjson").write_text("{ not json")
    assert "executions.ndjson, line 1: not JSON" in call(capsys, empty)[2]
    write_reports(empty / "executions.ndjson", [made()])
    (empty / "run.json").write_bytes((place / "run" / "run.json").read_bytes())
    assert "is not the file that run.json beside it describes" in call(capsys, empty)[2]
    (empty / "run.json").write_text("[1]")
    assert "is not what a backtest writes" in call(capsys, empty)[2]
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_backtest_ends_with_a_report_unless_told_not_to(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--strategy", "trendline_break_v1", "--symbol", "ATOM/USDT", "--data-dir", str(place / "data")]
    words += ["--output-dir", str(tmp_path / "run"), "--end", "2025-01-05"]
    backtest.main(words, standalone_mode=False)
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == f"report: {tmp_path / 'run' / 'report' / 'index.html'}"
    assert (tmp_path / "run" / "report" / "index.html").exists()
    backtest.main([*words, "--no-report"], standalone_mode=False)
    assert "is of an earlier run" in capsys.readouterr().err
    (tmp_path / "run" / "report" / "fillwright-report").unlink()
    with pytest.raises(DataError, match="not a report's"):
        backtest.main(words, standalone_mode=False)


def test_a_word_that_is_no_group_execution_or_format_is_refused_with_the_nearest(opened: Run) -> None:
    with pytest.raises(ConfigError, match="hour"):
        opened.groups("hours")
    with pytest.raises(ConfigError, match="pandas or polars"):
        opened.costs("arrow")  # type: ignore[call-overload]
    with pytest.raises(DataError, match="has no execution 'x'"):
        opened.execution("x")
    with pytest.raises(DataError, match="no executions"):
        Run(())


# ---------------------------------------------------------------- notebooks


def test_reports_costs_and_runs_show_themselves_in_a_notebook(opened: Run) -> None:
    report, cost = opened.reports[0], opened.measured[0]
    assert report.execution_id in report._repr_html_()
    assert "SYNTHETIC" in report._repr_html_()
    for shown in (cost._repr_html_(), opened.total._repr_html_(), opened._repr_html_()):
        assert shown.startswith("<table>")
        assert all(name in shown for name in PARTS)
    assert "&lt;x&gt;" in made("<x>")._repr_html_()


def test_figures_for_notebooks_are_plotly_figures(opened: Run) -> None:
    import plotly.graph_objects as go  # type: ignore[import-untyped]

    charts = opened.execution(filled(opened).execution_id)
    assert set(charts) == {"price", "done", "volume", "cost"}
    for one in (opened.waterfall(), opened.by("hour"), opened.distribution(), *charts.values()):
        assert isinstance(one, go.Figure)
        assert one.layout.title.text
