"""Costs in columns are the costs of `measure`, one by one: from memory, from NDJSON and from Parquet, with a market."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from core import chance
from core.contracts import Liquidity, Side
from core.errors import DataError
from execution.analyze import row
from execution.contracts import ExecutionReport
from execution.costs import report_columns
from execution.costs.frames import costs_frame, costs_of_batches, pooled_frame, read_costs_frame
from execution.costs.frames_market import completed_tables, quality_frame
from execution.costs.market_record import MarketRecord
from execution.costs.measurement import measured
from execution.costs.report_columns import read_reports_tables, tables
from execution.costs.tables import EXECUTIONS, FILLS, Tables, arranged, read_tables, write_tables
from execution.reports import read_reports, write_reports
from execution.tca import BENCHMARKS, PARTS, measure, pooled
from tests.test_execution_tca import MINUTE_NS, START_NS, example, fill, report, reports, unsure

SECOND_NS = 1_000_000_000
PRICES = ("decision_price", "arrival_price", "end_price", "benchmark_vwap", "benchmark_vwap_own", "benchmark_twap")


@st.composite
def odd_reports(draw: st.DrawFn) -> ExecutionReport:
    """Reports in which anything may be missing, disagree or be impossible."""
    one = draw(reports())
    fields: dict[str, Any] = dict(
        zip((*PRICES, "market_volume"), draw(st.lists(unsure, min_size=7, max_size=7)), strict=True)
    )
    if draw(st.booleans()):
        fields["status"], fields["end_ts_ns"] = "running", None
    lost = draw(st.sampled_from(["", "", "fills", "one fill", "average", "fees", "part", "meta", "maker"]))
    fills = one.fills
    if lost == "fills":
        fills = ()
    elif lost == "one fill":
        fills = fills[1:]
    elif lost == "average":
        fills, fields["avg_fill_price"] = (), draw(unsure)
    elif lost == "fees":
        fields["total_fees"] = draw(st.sampled_from([math.nan, math.inf, 1.0]))
    elif lost == "part":
        fields["total_quantity"] = one.total_quantity / 7
    elif lost == "meta":
        told = draw(st.sampled_from(["0.01", None, math.nan, True, [1], 3]))
        fills = tuple(replace(part, meta={**part.meta, "half_spread": told}) for part in fills)
    elif lost == "maker":
        fills = tuple(replace(part, liquidity="maker") for part in fills)
    return replace(one, **fields, fills=fills)


def named(some: Sequence[ExecutionReport]) -> list[ExecutionReport]:
    return [replace(one, execution_id=f"x{n}", algo_type=("TWAP", "POV")[n % 2]) for n, one in enumerate(some)]


def check(frame: pl.DataFrame, wanted: list[dict[str, Any]]) -> None:
    """Every cell to 1e-9 of the money that moved in its row; NaN there is null here."""
    assert len(frame) == len(wanted)
    for found, right in zip(frame.to_dicts(), wanted, strict=True):
        assert list(found)[: len(right)] == list(right)
        prices = [right[name] for name in ("avg_fill_price", "decision_price", "arrival_price", "end_price")]
        known = [price for price in prices if not math.isnan(price)]
        near = max(known, default=1.0)
        money = near * max(right["total_quantity"], right["filled_quantity"])
        for name, value in right.items():
            if isinstance(value, float):
                if math.isnan(value):
                    assert found[name] is None, name
                    continue
                scale = abs(value)
                if name in (*PARTS, "shortfall"):
                    scale = max(scale, money, *(abs(right[part]) for part in PARTS if not math.isnan(right[part])))
                elif name.endswith("_bps"):
                    base = right["notional"]
                    if "slippage" in name:
                        base = (
                            right["filled_quantity"]
                            * right[name.removesuffix("_slippage_bps").replace("arrival", "arrival_price")]
                        )
                    scale = max(scale, 1e4 * money / base)
                assert found[name] == pytest.approx(value, abs=1e-9 * scale, rel=1e-9), name
            else:
                assert found[name] == value, name


@settings(max_examples=100)
@given(st.lists(odd_reports(), min_size=1, max_size=5))
def test_the_frame_is_measure_row_by_row_whatever_is_missing(some: list[ExecutionReport]) -> None:
    some = named(some)

    check(costs_frame(*tables(some)), [row(measure(one)) for one in some])


@settings(max_examples=50)
@given(st.lists(odd_reports(), min_size=1, max_size=6))
def test_pools_of_the_frame_are_pools_of_the_costs(some: list[ExecutionReport]) -> None:
    some = named(some)
    costs = [measure(one) for one in some]
    frame = pooled_frame(costs_frame(*tables(some)), ["algo_type"])

    for found in frame.to_dicts():
        mine = [cost for cost in costs if cost.algo_type == found["algo_type"]]
        right = pooled(mine)
        wanted = {
            "executions": right.executions,
            "measured": right.measured,
            "notional": right.notional,
            "shortfall": right.shortfall,
            **{name: getattr(right.parts, name) for name in PARTS},
            "fill_rate": right.fill_rate,
            "maker_share": right.maker_share,
            "participation": right.participation,
            "duration_s": right.duration_s,
            **{f"{name}_slippage_bps": right.against[name].bps for name in BENCHMARKS},
        }
        near = max(
            (p for c in mine for p in (c.avg_fill_price, c.arrival_price, c.decision_price) if p == p), default=1
        )
        money = near * math.fsum(max(cost.total_quantity, cost.filled_quantity) for cost in mine)
        for name, value in wanted.items():
            if value != value:
                assert found[name] is None, name
            else:
                scale = abs(value)
                if name in (*PARTS, "shortfall"):
                    scale = max(money, scale)
                if name.endswith("_bps"):
                    scale = max(scale, 1e4 * money / right.against[name.removesuffix("_slippage_bps")].notional)  # type: ignore[index]
                assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-9 * scale), name


def test_nothing_gives_no_rows_and_the_same_columns() -> None:
    empty, one = costs_frame(*tables([])), costs_frame(*tables([example("G3")]))

    assert len(empty) == 0
    assert empty.schema == one.schema
    assert one["shortfall"][0] == pytest.approx(32_540)
    assert one["flags"][0] == "no_vwap no_vwap_own no_twap no_market_volume"
    assert len(pooled_frame(empty)) == len(pooled_frame(empty, ["algo_type"])) == 0
    assert pooled_frame(one)["shortfall_bps"][0] == pytest.approx(65.08)


@settings(max_examples=40)
@given(some=st.lists(odd_reports(), min_size=1, max_size=4), size=st.integers(1, 4))
def test_a_file_gives_the_same_tables_in_batches_of_whole_executions(
    some: list[ExecutionReport], size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("reports") / "executions.ndjson"
    write_reports(path, named(some))

    batches = list(read_reports_tables(path, batch_fills=size))

    every = Tables(*(pl.concat(frames) for frames in zip(*batches, strict=True)))
    wanted = tables(read_reports(path))
    for found, right in zip(every, wanted, strict=True):
        assert_frame_equal(found, right)
    for executions, fills in batches:
        assert set(fills["execution_id"]) <= set(executions["execution_id"])
        assert executions["fills"].sum() == len(fills)
    assert_frame_equal(costs_of_batches(batches), costs_frame(*wanted))


def test_what_we_write_is_read_the_fast_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A field that `ExecutionReport` gets and the fast reader does not would make it slow, and nobody would notice."""

    def slow(*_: object) -> ExecutionReport:
        raise AssertionError("the slow way")

    path = tmp_path / "executions.ndjson"
    write_reports(
        path,
        [example("G3"), report(5, execution_id="y", denials=("too large",), settings={"seed": 1}, notes={"paused": 2})],
    )
    monkeypatch.setattr(report_columns, "report_of", slow)

    (batch,) = read_reports_tables(path)

    assert batch.executions["settings"].to_list() == ["{}", '{"seed":1}']
    assert batch.executions["denials"].to_list() == [0, 1]
    assert batch.fills["impact"].to_list() == [fill.meta["impact"] for fill in example("G3").fills]


@pytest.mark.parametrize(
    "line",
    [
        "id;price",
        '{"execution_id":"x"}',
        '{"execution_id":1}',
        "[]",
        pytest.param({"side": "long"}, id="side"),
        pytest.param({"total_quantity": 0}, id="quantity"),
        pytest.param({"algo_type": " "}, id="algorithm"),
        pytest.param({"settings": 3}, id="settings"),
        pytest.param({"unknown": 3}, id="unknown field"),
        pytest.param({"fills": [{"fill_id": "f"}]}, id="fill"),
    ],
)
def test_what_is_refused_is_refused_in_the_same_words(line: str | dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "executions.ndjson"
    if isinstance(line, dict):
        line = json.dumps({**json.loads(json.dumps(example("G5").to_dict())), **line})
    path.write_text(line + "\n", encoding="utf-8")
    said = []
    for read in (read_reports, read_reports_tables):
        with pytest.raises(DataError) as refused:
            list(read(path))
        said.append(str(refused.value))

    assert said[0] == said[1]


def test_an_execution_that_is_reported_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "executions.ndjson"
    write_reports(path, [example("G3"), example("G3")])

    with pytest.raises(DataError, match="already reported in line 1"):
        list(read_reports_tables(path))


def test_tables_on_disk_give_the_same_costs_as_the_file(tmp_path: Path) -> None:
    path = tmp_path / "executions.ndjson"
    some = named([example("G3"), example("G4"), example("G5")])
    write_reports(path, some)

    assert write_tables(tmp_path / "tables", read_reports_tables(path, batch_fills=5)) == 2

    assert sorted(one.name for one in (tmp_path / "tables" / "fills").iterdir()) == [
        "part-00000.parquet",
        "part-00001.parquet",
    ]
    assert_frame_equal(read_costs_frame(tmp_path / "tables"), read_costs_frame(path))
    assert_frame_equal(pl.concat(one.fills for one in read_tables(tmp_path / "tables")), tables(some).fills)


def test_tables_that_cannot_be_written_or_read_are_one_line_and_leave_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    batch = tables([example("G3")])

    def broken() -> Any:
        yield batch
        raise DataError("stopped")

    with pytest.raises(DataError, match="stopped"):
        write_tables(folder, broken())
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="holds no tables"):
        list(read_tables(folder))
    write_tables(folder, [batch])
    with pytest.raises(DataError, match="is there already"):
        write_tables(folder, [batch])
    (folder / "fills" / "part-00000.parquet").unlink()
    with pytest.raises(DataError, match=r"part-00000.parquet is there for executions or for fills"):
        list(read_tables(folder))


def test_foreign_tables_may_lack_what_is_not_needed() -> None:
    executions = pl.DataFrame(
        {"execution_id": ["x"], "symbol": ["A"], "side": ["buy"], "total_quantity": [10], "filled_quantity": [10],
         "start_ts_ns": [0], "arrival_price": [100.0]}
    )  # fmt: skip
    fills = pl.DataFrame({"execution_id": ["x"], "qty": [10], "price": [101.0], "ts_fill_ns": [5]})

    frame = costs_frame(arranged(executions, "executions"), arranged(fills, "fills"))

    assert frame["arrival_slippage_bps"][0] == pytest.approx(100.0)
    assert "no_fees" in frame["flags"][0]
    assert list(arranged(fills, "fills").columns) == list(FILLS)
    assert list(arranged(executions, "executions").columns) == list(EXECUTIONS)
    with pytest.raises(DataError, match="the table of fills has no column 'price'"):
        arranged(fills.drop("price"), "fills")


# ---- with a market


def market(*, seed: int = 3, gap: bool = True) -> MarketRecord:
    """Twenty minutes of quotes and trades, a change every second or so, silent for a while in between."""
    rng = chance.generator(seed, "market")
    ts = START_NS - 120 * SECOND_NS + (rng.uniform(0, 1500, 1500).cumsum() * SECOND_NS / 750).astype("int64")
    if gap:
        ts[700:] += 45 * MINUTE_NS
    mid = 100 + rng.normal(0, 0.01, len(ts)).cumsum()
    half = rng.uniform(0.005, 0.02, len(ts))
    return MarketRecord.of(
        "ATOM/USDT",
        quotes=pl.DataFrame({"ts_ns": ts, "bid": mid - half, "ask": mid + half}),
        trades=pl.DataFrame({"ts_ns": ts + 1, "price": mid, "qty": rng.exponential(5, len(ts))}),
    )


@st.composite
def in_the_market(draw: st.DrawFn) -> ExecutionReport:
    start = START_NS + draw(st.integers(-200, 4000)) * SECOND_NS
    side: Side = draw(st.sampled_from(["buy", "sell"]))
    fills = []
    for n in range(draw(st.integers(0, 5))):
        meta: dict[str, Any] = draw(
            st.sampled_from([{}, {}, {"mid": 100.0}, {"half_spread": 0.01, "mid": 99.9}, {"mid": -1}, {"mid": "x"}])
        )
        one = fill(draw(st.floats(0.1, 10)), draw(st.floats(99, 101)), n=n, side=side, fee=0.01, **meta)
        made: Liquidity = draw(st.sampled_from(["maker", "taker"]))
        fills.append(replace(one, liquidity=made, ts_fill_ns=start + draw(st.integers(-5, 600)) * SECOND_NS))
    known: dict[str, Any] = {name: draw(st.sampled_from([math.nan, 100.0])) for name in PRICES}
    quantity = math.fsum(one.qty for one in fills) + draw(st.sampled_from([0.0, 1.0])) or 1.0
    settings: dict[str, Any] = draw(st.sampled_from([{}, {"fill_model": "bars"}]))
    whole = report(quantity, fills, side=side, start_ts_ns=start, settings=settings, **known)
    ended = draw(st.sampled_from([None, start + 300 * SECOND_NS]))
    return replace(whole, end_ts_ns=ended, status="running" if ended is None else "completed")


@settings(max_examples=40)
@given(st.lists(in_the_market(), min_size=1, max_size=4), st.integers(0, 3))
def test_completion_and_quality_are_those_of_single_reports(some: list[ExecutionReport], seed: int) -> None:
    some = named(some)
    record = market(seed=seed)
    records = {"ATOM/USDT": record}
    whole = completed_tables(tables(some), records)
    costs, quality = costs_frame(*whole), quality_frame(whole, records)

    right = [measured(one, record) for one in some]

    check(costs, [row(one.cost) for one in right])
    for found, wanted in zip(quality.to_dicts(), (one.row() for one in right), strict=True):
        for name, value in found.items():
            if math.isnan(wanted[name]):
                assert value is None, name
            else:
                assert value == pytest.approx(wanted[name], rel=1e-9, abs=1e-7), name


def test_without_a_record_of_its_symbol_nothing_about_the_market_is_known() -> None:
    batch = tables([example("G3")])

    assert_frame_equal(completed_tables(batch, {}).executions, batch.executions)
    quality = quality_frame(batch, {})
    assert quality.null_count().row(0) == (1,) * len(quality.columns)


def test_a_file_with_a_market_gets_the_columns_of_both(tmp_path: Path) -> None:
    path = tmp_path / "executions.ndjson"
    write_reports(path, [report(3, [fill(3, 100.0)])])
    asked: list[tuple[str, int, int]] = []

    def markets(symbol: str, start_ns: int, end_ns: int) -> MarketRecord:
        asked.append((symbol, start_ns, end_ns))
        return market(gap=False)

    frame = read_costs_frame(path, markets)

    assert asked == [("ATOM/USDT", START_NS, START_NS + 15 * MINUTE_NS)]
    assert frame["arrival_price"][0] is not None
    assert frame["markout_10s_bps"][0] is not None
