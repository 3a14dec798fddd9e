"""Executions of a backtest, exported as others export theirs and imported again, cost what they cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.chance import generator
from core.errors import DataError
from execution.contracts import ExecutionReport
from execution.costs.completion import completed, read_market
from execution.foreign.layout import Layout
from execution.foreign.reading import Choices, Imported, read_foreign
from execution.reports import read_reports, write_reports
from execution.tca import BENCHMARKS, ExecutionCost, measure
from research.data_reader import DataReader
from research.sample import write_sample
from tests import foreign
from tests.backtests import PLAIN, Scripted, Wish, backtest, twap_config

AS_EXECUTION = Choices(layout=Layout(columns={"order_id": "execution"}))
PRICES = (
    *("decision_price", "arrival_price", "end_price", "benchmark_vwap", "benchmark_vwap_own", "benchmark_twap"),
    *("spread_bps", "market_volume"),
)
_PAIRS = st.lists(
    st.tuples(st.integers(1, 500), st.integers(900, 1100), st.integers(0, 3600)), min_size=1, max_size=6
).map(lambda drawn: [(qty / 10, price / 100, second) for qty, price, second in drawn])


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_sample(folder, end="2025-01-03")
    return folder


@pytest.fixture(scope="module")
def own(data_dir: Path) -> list[ExecutionReport]:
    """A backtest on the sample market: filled ones, partly filled ones, one that got nothing, buys and sells."""
    reader = DataReader(data_dir)
    bars = reader.bars("ATOM/USDT", venue="sample")
    wishes = [
        Wish(100, "buy", 500.0), Wish(300, "sell", 400.0, limit_price=20.0), Wish(500, "sell", 300.0),
        Wish(700, "buy", 90_000.0), Wish(900, "sell", 60.0), Wish(1300, "buy", 44.0), Wish(1301, "sell", 30_000.0),
    ]  # fmt: skip
    instrument = replace(PLAIN, venue="sample", tick="0.001", lot="0.01", taker_fee_bps=10.0, maker_fee_bps=2.0)
    result = backtest(
        bars, Scripted(*wishes), execution=twap_config(), capital=1e7, instrument=instrument, half_spread=0.002
    )
    reports = [replace(one, settings={**one.settings, "fill_model": "simulated"}) for one in result.reports]
    assert {one.filled_quantity == 0 for one in reports} == {True, False}
    assert {one.status for one in reports} == {"completed", "cancelled"}
    return reports


def by_start(reports: Sequence[ExecutionReport]) -> list[ExecutionReport]:
    return sorted(reports, key=lambda one: (one.start_ts_ns, one.execution_id))


def same_cost(left: ExecutionCost, right: ExecutionCost, *, but: Sequence[str] = ()) -> None:
    """Every number of the analysis, to the last bits; `but` names what the format cannot hold."""
    for field in fields(ExecutionCost):
        if field.name in but:
            continue
        a, b = getattr(left, field.name), getattr(right, field.name)
        if field.name == "parts":
            assert list(b) == pytest.approx(list(a), rel=1e-9, abs=1e-9, nan_ok=True), left.execution_id
        elif field.name == "against":
            for name in BENCHMARKS:
                for part in ("price", "cost", "notional"):
                    expected = pytest.approx(getattr(a[name], part), rel=1e-9, abs=1e-9, nan_ok=True)
                    assert getattr(b[name], part) == expected, (left.execution_id, name, part)
        elif isinstance(a, float):
            assert b == pytest.approx(a, rel=1e-9, abs=1e-9, nan_ok=True), (left.execution_id, field.name)
        else:
            assert b == a, (left.execution_id, field.name)


def test_a_table_of_own_executions_gives_the_same_analysis(own: list[ExecutionReport], tmp_path: Path) -> None:
    """CSV holds everything, also what each fill paid: all numbers come back, without any market data."""
    found = read_foreign([foreign.write_csv(tmp_path / "fills.csv", foreign.rows(own))], AS_EXECUTION)
    assert len(found.reports) == len(own)
    for ours, theirs in zip(by_start(own), found.reports, strict=True):
        same_cost(measure(ours), measure(theirs), but=["parent_intent_id"])


def test_parquet_gives_what_csv_gives(own: list[ExecutionReport], tmp_path: Path) -> None:
    table = foreign.rows(own)
    frame = pl.DataFrame(table, infer_schema_length=None)
    frame.write_parquet(tmp_path / "fills.parquet")
    columns = read_foreign([tmp_path / "fills.parquet"], AS_EXECUTION).reports
    text = read_foreign([foreign.write_csv(tmp_path / "fills.csv", table)], AS_EXECUTION).reports
    assert [replace(one, settings={}) for one in columns] == [replace(one, settings={}) for one in text]


def bare(report: ExecutionReport) -> ExecutionReport:
    """What a venue knows of an execution: no prices but those of the fills."""
    unknown = dict.fromkeys(PRICES, math.nan)
    return replace(report, **unknown, fills=tuple(replace(fill, meta={}) for fill in report.fills), notes={})  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["table", "ccxt", "fix"])
def test_all_three_formats_give_the_same_analysis_as_our_own(
    own: list[ExecutionReport], data_dir: Path, tmp_path: Path, form: str
) -> None:
    """Prices and spread come from the same stored market for both; algorithm and strategy are not in every format."""
    if form == "table":
        table = [{k: v for k, v in row.items() if not k.endswith("_price")} for row in foreign.rows(map(bare, own))]
        files, choices = [foreign.write_csv(tmp_path / "fills.csv", table)], AS_EXECUTION
    elif form == "ccxt":
        trades = foreign.write_json(tmp_path / "trades.json", foreign.ccxt_trades(own))
        files, choices = [trades, foreign.write_json(tmp_path / "orders.json", foreign.ccxt_orders(own))], Choices()
    else:
        files, choices = [foreign.write_fix(tmp_path / "s.log", foreign.fix_messages(own))], Choices()
    reader = DataReader(data_dir)
    found = read_foreign(files, replace(choices, in_tape=False), reader=reader)
    assert found.form == form
    market = read_market(
        reader, "ATOM/USDT", min(one.start_ts_ns for one in own), max(one.end_ts_ns or 0 for one in own)
    )
    lost = ["algo_type", "strategy_id", "venue", "parent_intent_id"] + (["unfilled_reason"] if form == "ccxt" else [])
    for ours, theirs in zip(by_start(own), found.reports, strict=True):
        same_cost(measure(completed(bare(ours), market)), measure(theirs), but=lost)
        assert theirs.settings["synthetic"] is True
        assert measure(theirs).measured


def test_imported_executions_are_read_by_what_reads_our_own(own: list[ExecutionReport], tmp_path: Path) -> None:
    found = read_foreign([foreign.write_csv(tmp_path / "fills.csv", foreign.rows(own))], AS_EXECUTION)
    write_reports(tmp_path / "executions.ndjson", found.reports)
    assert list(read_reports(tmp_path / "executions.ndjson")) == found.reports


def test_without_market_data_what_is_not_in_the_file_stays_unknown(own: list[ExecutionReport], tmp_path: Path) -> None:
    found = read_foreign([foreign.write_json(tmp_path / "t.json", foreign.ccxt_trades(own))])
    for one in found.reports:
        assert all(math.isnan(getattr(one, name)) for name in PRICES)
        assert {"no_decision_price", "no_arrival_price", "no_spread", "no_vwap"} <= set(measure(one).flags)
        assert one.total_quantity == one.filled_quantity
    assert [note for note in found.taken if "no ordered quantity" in note]
    assert [note for note in found.taken if "starts with its first fill" in note]


# ---- properties


def executions(drawn: Sequence[tuple[float, float, int]], side: Any, extra: float) -> ExecutionReport:
    fills = [
        foreign.fill(0, qty, price, side=side, ts_fill_ns=foreign.START + second * 10**9)
        for qty, price, second in drawn
    ]
    named = [replace(fill, fill_id=f"f{number}") for number, fill in enumerate(fills)]
    named.sort(key=lambda fill: (fill.ts_fill_ns, fill.fill_id))
    total = math.fsum(fill.qty for fill in named) + extra
    return foreign.report(*named, side=side, total=total)


def table_of(
    report: ExecutionReport, folder: Path, *, order: Sequence[int] | None = None, twice: bool = False
) -> Imported:
    rows = foreign.rows([report])
    rows = rows if order is None else [rows[k] for k in order]
    return read_foreign([foreign.write_csv(folder / "f.csv", rows + rows if twice else rows)], AS_EXECUTION)


@settings(max_examples=12, deadline=None)
@given(_PAIRS, st.sampled_from(["buy", "sell"]), st.sampled_from([0.0, 7.5]), st.integers(0, 99))
def test_whatever_was_traded_comes_back_in_any_order_of_rows_and_once(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[tuple[float, float, int]],
    side: Any,
    extra: float,
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("table")
    report = executions(drawn, side, extra)
    (plain,) = table_of(report, folder).reports
    same_cost(measure(report), measure(plain), but=["parent_intent_id"])
    assert [(one.qty, one.price, one.ts_fill_ns) for one in plain.fills] == [
        (one.qty, one.price, one.ts_fill_ns) for one in report.fills
    ]
    shuffled = generator(seed, "rows").permutation(len(foreign.rows([report]))).tolist()
    mixed = table_of(report, folder, order=shuffled)
    doubled = table_of(report, folder, order=shuffled, twice=True)
    assert replace(mixed.reports[0], settings={}) == replace(plain, settings={})
    assert replace(doubled.reports[0], settings={}) == replace(plain, settings={})
    assert doubled.repeated == len(report.fills)


@settings(max_examples=8, deadline=None)
@given(_PAIRS)
def test_buys_and_sells_mirror(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[float, float, int]]
) -> None:  # pitfall 30
    """The same fills sold instead of bought cost the opposite, but for the fees."""
    folder = tmp_path_factory.mktemp("table")
    (bought,) = table_of(executions(drawn, "buy", 5.0), folder).reports
    (sold,) = table_of(executions(drawn, "sell", 5.0), folder).reports
    buy, sell = measure(bought), measure(sold)
    assert buy.shortfall - buy.parts.fees == pytest.approx(-(sell.shortfall - sell.parts.fees), rel=1e-9, abs=1e-9)
    assert buy.parts.fees == sell.parts.fees


@settings(max_examples=8, deadline=None)
@given(_PAIRS, st.integers(0, 99))
def test_a_fix_log_says_the_same_in_any_order_of_lines_and_with_repeats(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[float, float, int]], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("fix")
    lines = foreign.fix_messages([executions(drawn, "buy", 3.0)])
    (plain,) = read_foreign([foreign.write_fix(folder / "a.log", lines)]).reports
    chance = generator(seed, "lines")
    mixed = [lines[k] for k in chance.permutation(len(lines)).tolist()]
    (again,) = read_foreign([foreign.write_fix(folder / "a.log", mixed + lines)]).reports
    assert replace(again, settings={}) == replace(plain, settings={})


# ---- what goes together


def test_orders_are_grouped_under_their_parent(tmp_path: Path) -> None:
    text = (
        "parent_id,order_id,symbol,side,order_qty,parent_qty,qty,price,time,fee\n"
        "p1,a,ATOM/USDT,buy,10,30,10,5.0,2025-01-01T00:00:10Z,0.1\n"
        "p1,b,ATOM/USDT,buy,20,30,15,5.1,2025-01-01T00:00:20Z,0.2\n"
        "p2,c,ATOM/USDT,sell,5,5,5,4.9,2025-01-01T00:00:05Z,0.3\n"
    )
    (tmp_path / "f.csv").write_text(text)
    second, first = read_foreign([tmp_path / "f.csv"]).reports
    assert (second.execution_id, second.total_quantity, second.slices_total) == ("p2", 5, 1)
    assert (first.execution_id, first.total_quantity, first.filled_quantity) == ("p1", 30, 25)
    assert (first.slices_completed, first.slices_total, first.status) == (1, 2, "cancelled")
    assert first.total_fees == pytest.approx(0.3)
    assert [fill.order_id for fill in first.fills] == ["a", "b"]


@pytest.mark.parametrize(("choice", "total"), [("orders", 30.0), ("fills", 25.0)])
def test_a_parent_without_a_quantity_is_not_guessed(tmp_path: Path, choice: Any, total: float) -> None:
    (tmp_path / "f.csv").write_text(
        "parent_id,order_id,symbol,side,order_qty,qty,price,time\n"
        "p1,a,ATOM/USDT,buy,10,10,5.0,2025-01-01T00:00:10Z\n"
        "p1,b,ATOM/USDT,buy,20,15,5.1,2025-01-01T00:00:20Z\n"
    )
    with pytest.raises(DataError, match=r"parent 'p1' has 2 orders that were not all filled.*--parent-quantity"):
        read_foreign([tmp_path / "f.csv"])
    (report,) = read_foreign([tmp_path / "f.csv"], Choices(parent_quantity=choice)).reports
    assert report.total_quantity == total


def test_an_order_that_got_nothing_is_opportunity_cost(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(
        "id,symbol,side,quantity,created_at,updated_at,status,reason,arrival_price,end_price\n"
        "a,ATOM/USDT,buy,10,2025-01-01T00:00:00Z,2025-01-01T01:00:00Z,canceled,too late,5.0,5.5\n"
        "b,ATOM/USDT,buy,10,2025-01-01T02:00:00Z,2025-01-01T02:00:00Z,rejected,no money,5.0,5.0\n"
        "c,ATOM/USDT,sell,4,2025-01-01T03:00:00Z,2025-01-01T03:10:00Z,filled,,5.0,5.0\n"
    )
    (tmp_path / "fills.csv").write_text("trade_id,order_id,qty,price,time,fee\n1,c,4,4.99,2025-01-01T03:05:00Z,0.02\n")
    cancelled, rejected, filled = read_foreign([tmp_path / "fills.csv", tmp_path / "orders.csv"]).reports
    assert (cancelled.status, cancelled.unfilled_reason) == ("cancelled", "too late")
    assert measure(replace(cancelled, decision_price=5.0)).shortfall == pytest.approx(5.0)
    assert (rejected.status, rejected.unfilled_reason, rejected.total_fees) == ("failed", "no money", 0.0)
    assert (filled.status, filled.side, filled.avg_fill_price) == ("completed", "sell", 4.99)


def test_a_file_of_orders_with_average_prices_needs_no_fills(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text(
        "order_id;symbol;side;size;filled;avg_price;created_at;status\n"
        "a;ATOM/USDT;buy;10;6;5.25;2025-01-01T00:00:00Z;cancelled\n"
    )
    (report,) = read_foreign([tmp_path / "o.csv"]).reports
    assert (report.filled_quantity, report.avg_fill_price, report.fills) == (6, 5.25, ())
    assert "no_fills" in measure(report).flags
    assert math.isnan(report.total_fees)


@pytest.mark.parametrize(
    ("currency", "fee", "expected"),
    [
        ("USDT", "0.5", 0.5), ("", "0.5", 0.5), ("ATOM", "0.01", 0.05), ("BNB", "0", 0.0), ("BNB", "0.001", math.nan),
        ("USDT", "", math.nan), ("USDT", "-0.5", -0.5),
    ],
)  # fmt: skip
def test_fees_are_in_quote_currency_or_unknown(tmp_path: Path, currency: str, fee: str, expected: float) -> None:
    (tmp_path / "f.csv").write_text(
        "trade_id,order_id,symbol,side,qty,price,time,fee,fee_currency\n"
        f"1,a,ATOM/USDT,buy,10,5.0,2025-01-01T00:00:10Z,{fee},{currency}\n"
    )
    (report,) = read_foreign([tmp_path / "f.csv"]).reports
    assert report.total_fees == pytest.approx(expected, nan_ok=True)
    assert ("no_fees" in measure(report).flags) == math.isnan(expected)
    (rated,) = read_foreign([tmp_path / "f.csv"], Choices(fee_rates={"BNB": 600.0}, fee_bps=1.0)).reports
    assert math.isfinite(rated.total_fees)


def test_a_symbol_is_known_by_its_name_in_the_store(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text(
        "trade_id,order_id,symbol,side,qty,price,time\n1,a,ATOMUSDT,buy,10,6.5,2025-01-01T10:00:00Z\n"
    )
    found = read_foreign([tmp_path / "f.csv"], reader=DataReader(data_dir))
    assert found.matched == {"ATOMUSDT": "ATOM/USDT"}
    assert math.isfinite(found.reports[0].arrival_price)


def test_a_market_record_of_nothing_is_said_not_invented(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text(
        "trade_id,order_id,symbol,side,qty,price,time\n1,a,BTC/USDT,buy,1,90000,2025-01-01T10:00:00Z\n"
        "2,b,ATOM/USDT,buy,1,6,2019-01-01T10:00:00Z\n"
    )
    found = read_foreign([tmp_path / "f.csv"], reader=DataReader(data_dir))
    assert all(math.isnan(one.arrival_price) for one in found.reports)
    assert "no market data is stored" in found.market["BTC/USDT"]
    assert "no quotes, trades or bars" in found.market["ATOM/USDT"]
