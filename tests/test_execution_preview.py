"""Previews: the children that the machine itself would send, or one line that says why not and what would do."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.bars import Bars
from core.console import run
from core.contracts import Side
from core.instrument import Instrument
from execution.columns_chart import columns
from execution.contracts import AlgoType, ExecutionAlgorithm
from execution.executors import executor
from execution.preview import MOST_CHILDREN, Preview, duration_text, preview
from execution.preview_command import command
from execution.profile import VolumeHistory
from research.sample import ensure_sample
from tests.naive import MINUTE_NS, START_NS
from tests.parents import SYMBOL, past_bars

COARSE = Instrument(SYMBOL, tick="0.01", lot="1", spread_bps=10)
HOUR = 3600


def of(
    algo: AlgoType,
    quantity: float,
    seconds: int = HOUR,
    *,
    side: Side = "buy",
    instrument: Instrument = COARSE,
    mid: float = 10.0,
    volumes: VolumeHistory | None = None,
    expected_volume: float | None = None,
    **params: Any,
) -> Preview:
    if algo == "POV":
        params = {"min_volume_threshold": 0.0, **params}
    order = ExecutionAlgorithm(algo, SYMBOL, side, quantity, seconds, params)
    maker = executor(algo, "tester", instrument=instrument, volumes=volumes)
    return preview(order, maker, start_ns=START_NS, price=mid, expected_volume=expected_volume)


def lots(found: Preview) -> list[int]:
    return [child.lots for child in found.children]


def minutes(found: Preview) -> list[float]:
    return [(child.ts_ns - START_NS) / MINUTE_NS for child in found.children]


def said(found: Preview) -> str:
    return " ".join(found.remarks)


# ---------------------------------------------------------------- what is listed


def test_a_twap_lists_its_slices_with_times_and_sizes() -> None:
    found = of("TWAP", 1003, 7 * 60, slice_count=7)
    assert lots(found) == [143, 143, 143, 144, 143, 143, 144]  # G28
    assert minutes(found) == [0, 1, 2, 3, 4, 5, 6]
    assert [child.limit_price for child in found.children] == [10.0] * 7
    assert found.share == 1
    assert found.remarks == ()


def test_a_vwap_shows_the_volume_that_it_expects_and_its_part_of_it() -> None:
    morning = np.where(np.arange(1440) % 60 < 30, 30.0, 10.0)
    history = VolumeHistory(past_bars(np.tile(morning, (10, 1)), START_NS))
    found = of("VWAP", 120, volumes=history, slice_count=2, order_type="market")
    assert lots(found) == [90, 30]
    assert [child.expected_volume for child in found.children] == [900, 300]
    assert [child.participation for child in found.children] == pytest.approx([90 / 990, 30 / 330])
    assert [child.limit_price for child in found.children] == [None, None]
    assert found.profile_source is not None
    assert "days" in found.profile_source


def test_a_vwap_without_history_says_that_its_curve_is_uniform() -> None:
    found = of("VWAP", 120, slice_count=3)
    assert lots(found) == [40, 40, 40]
    assert found.profile_source == "uniform: no history"
    assert {child.expected_volume for child in found.children} == {None}


def test_a_pov_plays_the_volume_that_past_days_tell() -> None:
    history = VolumeHistory(past_bars(np.full((10, 1440), 90.0), START_NS))
    found = of("POV", 10_000, volumes=history, target_pov=0.1)
    assert len(found.children) == 60
    assert set(lots(found)) <= {9, 10, 11}  # the curve is in whole lots
    assert found.share == pytest.approx(0.06, abs=1e-4)


def test_a_pov_whose_own_trades_are_in_the_tape_gets_the_same_children() -> None:
    history = VolumeHistory(past_bars(np.full((10, 1440), 90.0), START_NS))
    apart = of("POV", 500, volumes=history, target_pov=0.1)
    together = of("POV", 500, volumes=history, target_pov=0.1, own_in_tape=True)
    assert lots(together) == lots(apart)
    assert together.share == 1


def test_an_iceberg_lists_its_clips() -> None:
    found = of("Iceberg", 100, visible_ratio=0.3, price="peg")
    assert lots(found) == [30, 30, 30, 10]
    assert {child.limit_price for child in found.children} == {9.99}
    assert "whenever that is" in said(found)


def test_a_quantity_in_quote_currency_becomes_lots_at_the_price() -> None:
    found = of("TWAP", 1000, quantity_currency="quote", slice_count=4)
    assert lots(found) == [25, 25, 25, 25]
    assert found.quantity == 100


def test_a_start_in_the_parameters_moves_all_children() -> None:
    found = of("TWAP", 10, slice_count=2, start_ts_ns=START_NS + HOUR * 10**9)
    assert minutes(found) == [60, 90]
    assert found.end_ns == START_NS + 2 * HOUR * 10**9


@given(
    algo=st.sampled_from(["TWAP", "VWAP", "Iceberg"]),
    quantity=st.integers(1, 5000),
    least=st.integers(1, 50),
    slices=st.integers(1, 100),
    side=st.sampled_from(["buy", "sell"]),
)
def test_children_sum_to_the_quantity_and_none_is_below_the_minimum(
    algo: AlgoType, quantity: int, least: int, slices: int, side: Side
) -> None:
    instrument = Instrument(SYMBOL, tick="0.01", lot="1", min_qty=str(least))
    params: dict[str, Any] = {} if algo == "Iceberg" else {"slice_count": slices}
    found = of(algo, quantity, side=side, instrument=instrument, **params)
    if quantity < least:
        assert found.refusal is not None
        assert f"the least is {least}" in found.refusal
        assert found.children == ()
        return
    assert found.refusal is None
    assert min(lots(found)) >= least  # pitfall 4
    if sum(lots(found)) < quantity:  # a display hardly above the minimum cannot take the rest in
        assert algo == "Iceberg"
        assert quantity - sum(lots(found)) < least
        assert "below the venue's minimum" in said(found)
        return
    assert sum(lots(found)) == quantity  # pitfall 2
    assert found.children[-1].cumulative == 1


# ---------------------------------------------------------------- what is refused, and what would do


def test_a_quantity_below_the_minimum_is_refused_with_the_least() -> None:
    found = of("TWAP", 3, instrument=Instrument(SYMBOL, lot="0.5", min_qty="5"))
    assert found.refusal == (
        "quantity 3 is below what the venue takes (a minimum quantity of 5 in steps of 0.5): the least is 5"
    )
    assert (found.children, found.share) == ((), 0)


@pytest.mark.parametrize("algo", ["TWAP", "VWAP", "Iceberg", "POV", "IS"])
def test_the_minimum_notional_counts_at_the_price(algo: AlgoType) -> None:
    fine = Instrument(SYMBOL, lot="0.01", min_notional=5)
    refused = of(algo, 1.25, instrument=fine, mid=3.998)  # pitfall 6
    assert refused.refusal is not None
    assert refused.refusal.endswith("a minimum notional of 5 at a price of 3.998 in steps of 0.01): the least is 1.26")
    assert of(algo, 1.26, instrument=fine, mid=3.998).refusal is None


def test_the_least_is_told_in_quote_currency_where_the_quantity_is() -> None:
    fine = Instrument(SYMBOL, lot="0.01", min_notional=5)
    refused = of("TWAP", 4, instrument=fine, mid=3.998, quantity_currency="quote").refusal
    assert refused is not None
    assert refused.endswith("the least is 5.04 in quote currency, 1.26 in base")
    assert of("TWAP", 5.04, instrument=fine, mid=3.998, quantity_currency="quote").refusal is None


def test_more_slices_than_the_quantity_allows_become_fewer_and_larger() -> None:
    found = of("TWAP", 50, slice_count=48, instrument=Instrument(SYMBOL, lot="1", min_qty="2"))
    assert lots(found) == [2] * 25  # pitfall 1
    assert found.slices == 25
    assert "48 slices were asked for, 25 larger ones are made: 50 lots" in said(found)
    assert "minimum of 2 lots each" in said(found)


def test_what_does_not_fit_the_lots_is_said() -> None:
    assert "10 of 10.7 can be traded" in said(of("TWAP", 10.7, slice_count=2))


def test_an_unknown_parameter_is_an_error_and_not_a_refusal() -> None:
    with pytest.raises(ValueError, match="did you mean 'slice_count'"):
        of("TWAP", 10, slice_cuont=2)


# ---------------------------------------------------------------- what a trader should know


def test_a_rate_that_is_too_low_says_which_would_do() -> None:
    found = of("POV", 500, target_pov=0.1, expected_volume=3000, slice_count=20, interval_seconds=None)
    needed = 0.143  # 500 / 3500, rounded up
    assert f"participation_rate {needed} would do" in said(found)
    assert "as the quantity" in said(found)
    enough = of("POV", 500, target_pov=needed, expected_volume=3000, slice_count=20, interval_seconds=None)
    assert enough.share > 0.93  # without a curve it begins one slice late


def test_a_pov_that_knows_of_no_volume_says_so() -> None:
    found = of("POV", 500)
    assert found.children == ()
    assert "there is no history" in said(found)


def test_few_slices_without_a_curve_are_called_imprecise() -> None:
    assert "20 or more keep within it" in said(of("POV", 50, 600, expected_volume=10_000))
    assert "20 or more" not in said(of("POV", 50, 1200, expected_volume=10_000))


def test_a_threshold_that_stops_everything_is_named() -> None:
    found = of("POV", 500, expected_volume=6000, min_volume_threshold=1000.0)
    assert "It pauses where a slice trades less than 1000; the median one is expected to trade 100" in said(found)


def test_being_most_of_the_volume_is_said() -> None:
    found = of("TWAP", 900, slice_count=3, expected_volume=900)
    assert {child.participation for child in found.children} == {0.5}
    assert "Slice 1 is 50% of its volume" in said(found)


def test_a_cap_that_does_not_let_all_through_says_what_would_do() -> None:
    found = of("TWAP", 900, slice_count=10, expected_volume=1000, max_participation=0.1)
    assert found.share < 1
    assert "max_participation 0.474 would do, or a duration of about" in said(found)


@pytest.mark.parametrize(("side", "limit", "word"), [("buy", 9.0, "below"), ("sell", 11.0, "above")])
def test_a_limit_away_from_the_market_is_said(side: Side, limit: float, word: str) -> None:
    assert f"The limit of {limit:g} is {word} the market at 10" in said(of("TWAP", 10, side=side, limit_price=limit))
    assert "The limit" not in said(of("TWAP", 10, side=side, limit_price=10.0))


def test_a_very_long_list_ends_somewhere_and_says_so() -> None:
    found = of("Iceberg", 20_000, display_quantity=1.0)
    assert len(found.children) == MOST_CHILDREN
    assert "Only the first 10,000" in said(found)


def test_the_preview_is_what_the_sync_driver_sends() -> None:
    """The same machine on real bars that trade as expected sends the same children."""
    from execution.simulator import ExecutionSimulator
    from execution.slippage import SquareRootSlippageModel

    opens = START_NS + np.arange(60, dtype=np.int64) * MINUTE_NS
    flat = np.full(60, 10.0)
    bars = Bars(SYMBOL, opens, opens + MINUTE_NS, flat, flat, flat, flat, np.full(60, 1e6))
    order = ExecutionAlgorithm("TWAP", SYMBOL, "buy", 1003, HOUR, {"slice_count": 12, "order_type": "market"})
    import pandas as pd

    names = ("ts_open_ns", "ts_close_ns", "open", "high", "low", "close", "volume")
    frame = pd.DataFrame({name: getattr(bars, name) for name in names})
    report = ExecutionSimulator(SquareRootSlippageModel(0.0), None, instrument=COARSE).simulate_execution(order, frame)
    found = of("TWAP", 1003, slice_count=12, order_type="market")
    assert [fill.qty for fill in report.fills] == [child.quantity for child in found.children]
    assert [fill.ts_fill_ns for fill in report.fills] == [child.ts_ns for child in found.children]


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5 s"), (60, "1 min"), (3600, "1 h"), (3601, "1 h 1 min"), (15_000, "4 h 10 min")]
)
def test_lengths_of_time_are_written_as_people_do(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


# ---------------------------------------------------------------- the chart


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=400), st.integers(20, 120), st.booleans())
def test_a_chart_fits_its_width(values: list[float], width: int, ascii_only: bool) -> None:
    lines = columns(values, width=width, ascii_only=ascii_only, left="00:00", right="04:00")
    assert max(map(len, lines)) <= width
    assert 9 <= len(lines) <= 10
    if ascii_only:
        assert all(line.isascii() for line in lines)


def test_a_chart_is_as_high_as_its_values() -> None:
    drawn = columns([1.0, 2.0, 0.0, math.nan], width=20, height=2, ascii_only=True)
    assert drawn == [
        "2 |    ##",
        "0 | ## ##",
        "  +-------------",
    ]


def test_no_values_are_no_chart() -> None:
    assert columns([], width=80) == []


# ---------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("preview") / "data"
    ensure_sample(folder)
    return folder


def outcome(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as leaving:
        run(command, [str(word) for word in words], prog_name="preview")
    out, err = capsys.readouterr()
    return leaving.value.code, out, err


def parent(folder: Path, algo: str = "TWAP", quantity: str = "50000", *more: object) -> tuple[object, ...]:
    words = ("--algo", algo, "--symbol", "ATOM/USDT", "--side", "buy", "--quantity", quantity, "--duration", "4h")
    return (*words, "--data-dir", folder, *more)


def test_the_command_shows_table_chart_and_where_everything_comes_from(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = outcome(capsys, *parent(store, "VWAP"))
    assert (code, err) == (0, "")
    assert "VWAP: buy 50,000 ATOM/USDT in 4 h" in out
    assert "SYNTHETIC" in out
    assert "2025-10-01 UTC (where the stored data ends)" in out
    assert "close of the stored bar of 2025-09-30T23:59" in out
    assert "7 weekday days" in out
    assert "quantity per slice" in out
    assert len([line for line in out.splitlines() if line.startswith(("00:", "01:", "02:", "03:"))]) == 48


def test_json_has_every_child_and_nothing_else_is_printed(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = parent(store, "vwap", "50000", "--param", "slice_count=100", "--json")
    code, out, err = outcome(capsys, *words)
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert len(found["children"]) == 100
    assert sum(child["lots"] for child in found["children"]) == 5_000_000
    assert found["sources"]["start"] == "where the stored data ends"
    assert found["algo"]["algo_type"] == "VWAP"


def test_a_long_table_is_cut_in_the_middle(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = outcome(capsys, *parent(store, "TWAP", "50000", "--param", "slice_count=100"))
    assert "40 more" in out


def test_without_data_it_works_from_the_price_and_makes_no_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "none"
    words = parent(folder, "VWAP", "100000USDT", "--price", "4", "--start", "2025-01-31T12:00")
    code, out, _ = outcome(capsys, *words)
    assert code == 0
    assert "uniform: no history" in out
    assert "25,000 ATOM/USDT" in out
    assert not folder.exists()


def test_without_data_and_time_it_begins_now(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = outcome(capsys, *parent(tmp_path / "none", "TWAP", "10", "--price", "4", "--json"))
    assert json.loads(out)["sources"]["start"] == "now"


def test_an_execution_config_gives_the_defaults(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "execution.yaml"
    path.write_text("execution:\n  algorithms:\n    - type: TWAP\n      default_slices: 3\n", encoding="utf-8")
    _, out, _ = outcome(capsys, *parent(store, "TWAP", "50000", "--execution-config", path, "--json"))
    assert len(json.loads(out)["children"]) == 3


def test_parameters_are_typed(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ("--param", "levels=0.5,0.3,0.2", "--param", "price=peg", "--param", "pull_on_pause=no", "--json")
    _, out, _ = outcome(capsys, *parent(store, "Iceberg", "1000", *more))
    params = json.loads(out)["algo"]["params"]
    assert params == {"levels": [0.5, 0.3, 0.2], "price": "peg", "pull_on_pause": False}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--algo", "TWPA"], 2, "Did you mean 'TWAP'?"),
        (["--quantity", "0.5"], 1, "TWAP of ATOM/USDT is refused: quantity 0.5 is below what the venue takes"),
        (["--param", "slicecount=4"], 1, "did you mean 'slice_count'"),
        (["--param", "slice_count=x"], 1, "slice_count"),
        (["--param", "slice_count"], 2, "--param takes name=value, was 'slice_count'"),
        (["--quantity", "100BTC"], 2, "--quantity of ATOM/USDT is in ATOM or USDT, was '100BTC'"),
        (["--quantity", "many"], 2, "--quantity must be a number"),
        (["--quantity", "5ATOM", "--quote"], 2, "leave one of them out"),
        (["--duration", "soon"], 2, "--duration must be a length such as 4h"),
        (["--duration", "25h"], 1, "duration_seconds must be between 1 and 86400"),
        (["--duration", "0.5s"], 2, "whole seconds"),
        (["--start", "2020-01-01"], 1, "no stored bar of ATOM/USDT lies before 2020-01-01: give --price"),
        (["--symbol", "ATOM/USD"], 1, "did you mean 'ATOM/USDT'"),
        (["--data-dir", "/nowhere"], 1, "no market data is stored in /nowhere: give --price"),
        (["--price", "-1"], 1, "price must be"),
    ],
)
def test_every_error_is_one_line(
    store: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    left, out, err = outcome(capsys, *parent(store), *words)
    assert (left, out) == (code, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


@pytest.mark.parametrize(
    ("text", "seconds"), [("4h", 14_400), ("90m", 5400), ("1h30m", 5400), ("1H 30M 5s", 5405), ("600", 600)]
)
def test_durations_are_read_as_people_write_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, seconds: int
) -> None:
    words = (*parent(tmp_path, "TWAP", "10", "--price", "4", "--start", "2025-01-01", "--json"), "--duration", text)
    _, out, _ = outcome(capsys, *words)
    assert json.loads(out)["algo"]["duration_seconds"] == seconds


def test_is_shows_where_its_trajectory_is_from_and_sends_less_and_less() -> None:
    found = of("IS", 1_000, 14_400, slice_count=8, urgency="high")
    assert found.trajectory == "half-life 3,600 s, a quarter of the horizon"
    assert lots(found) == sorted(lots(found), reverse=True)
    assert (sum(lots(found)), minutes(found)[:2]) == (1_000, [0, 30])
    assert found.to_dict()["trajectory"] == found.trajectory
    assert of("TWAP", 10).trajectory is None
