"""`fillwright plan`: where its numbers come from, what it prints, and one line for whatever is wrong."""

from __future__ import annotations

import json
import math
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DataError
from execution.conditions import Conditions
from execution.pretrade.chart import Dot, curve
from execution.pretrade.command import DURATIONS_S, command
from execution.pretrade.known import Told, known_market
from execution.preview_command import command as preview_command
from research.cli import data
from research.data_reader import DataReader
from research.sample import write_sample
from tests.real_data import real

ORDER = ("--side", "buy", "--quantity", "20000")
TOLD = ("--symbol", "XYZ/USD", "--price", "50", "--sigma", "2%", "--adv", "2e6")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plan") / "data"
    write_sample(str(folder), end="2025-01-15")
    return folder


def call(*words: str | Path, fails: bool = False, **environment: str) -> Result:
    result = CliRunner().invoke(command, [str(word) for word in words], standalone_mode=False, env=environment)
    if not fails and result.exception is not None:
        raise result.exception
    return result


def answer(*words: str | Path) -> Any:
    return json.loads(call(*words, "--json").stdout)


# ---------------------------------------------------------------- where the numbers come from


def test_the_market_is_that_of_the_stored_data_at_their_end(store: Path) -> None:
    reader = DataReader(store)
    known = known_market("ATOM/USDT", reader, Told(), venue=None, assumed_spread_bps=5)
    bars = reader.bars("ATOM/USDT")
    conditions = Conditions.of(bars)
    market = known.market
    assert market.price == bars.close[-1]
    assert market.volatility == conditions.volatility[-1]
    assert market.daily_volume == conditions.daily_volume[-1]
    assert (market.maker_fee_bps, market.taker_fee_bps) == (10.0, 10.0)
    quotes = reader.read_quotes("ATOM/USDT", format="polars")[-1440:]
    spreads = 2e4 * (quotes["ask"] - quotes["bid"]) / (quotes["ask"] + quotes["bid"])
    assert market.spread_bps == pytest.approx(float(spreads.to_numpy().mean()), rel=0.01)
    assert known.synthetic
    assert known.sources["spread"] == "quotes of sample"


def test_nothing_after_the_end_of_the_data_and_no_day_to_come_is_counted(store: Path) -> None:
    """Volumes of the days before: the newest window of a full day ends with the data."""  # pitfall 24
    reader = DataReader(store)
    outlook = known_market("ATOM/USDT", reader, Told(), venue=None, assumed_spread_bps=5).market.outlook
    bars = reader.bars("ATOM/USDT")
    per_day = bars.volume.reshape(14, 1440).sum(axis=1)
    assert outlook.past(86_400) == pytest.approx(per_day[::-1])


def test_what_the_user_tells_wins(store: Path) -> None:
    told = Told(price=7.0, volatility=0.01, daily_volume=1e5, spread_bps=1.0, fee_bps=2.0)
    known = known_market("ATOM/USDT", DataReader(store), told, venue=None, assumed_spread_bps=5)
    market = known.market
    assert (market.price, market.volatility, market.daily_volume, market.spread_bps) == (7.0, 0.01, 1e5, 1.0)
    assert (market.maker_fee_bps, market.taker_fee_bps) == (2.0, 2.0)
    assert {known.sources[name] for name in ("price", "volatility", "daily volume", "spread", "fees")} == {"told"}


def test_without_data_what_is_told_is_enough(tmp_path: Path) -> None:
    told = Told(price=50.0, volatility=0.02, daily_volume=1e6)
    known = known_market("XYZ/USD", DataReader(tmp_path), told, venue=None, assumed_spread_bps=5)
    assert (known.market.spread_bps, known.market.taker_fee_bps, known.synthetic) == (5, 0.0, False)
    assert known.sources["spread"] == "assumed: nobody tells"


@pytest.mark.parametrize(
    ("told", "options"),
    [(Told(), "--price, --sigma, --adv"), (Told(price=1.0, daily_volume=1.0), "--sigma")],
)
def test_without_data_the_options_that_are_missing_are_named(tmp_path: Path, told: Told, options: str) -> None:
    with pytest.raises(DataError, match=f"or tell what is known with {options}$"):
        known_market("XYZ/USD", DataReader(tmp_path), told, venue=None, assumed_spread_bps=5)


def test_too_short_a_history_asks_for_what_it_cannot_tell(tmp_path: Path) -> None:
    table = tmp_path / "bars.csv"
    rows = [f"2025-01-01T00:0{k}:00,5,5,5,5,10" for k in range(5)]
    table.write_text("ts_open,open,high,low,close,volume\n" + "\n".join(rows) + "\n", encoding="utf-8")
    CliRunner().invoke(
        data, ["import", str(table), "--symbol", "NEW/USD", "--venue", "v", "--data-dir", str(tmp_path / "data")],
        catch_exceptions=False, standalone_mode=False,
    )  # fmt: skip
    with pytest.raises(DataError, match="bars of NEW/USD are too few to know volatility and volume: tell --sigma and"):
        known_market("NEW/USD", DataReader(tmp_path / "data"), Told(), venue=None, assumed_spread_bps=5)


# ---------------------------------------------------------------- the command


def test_the_table_has_every_part_that_a_trader_asks_for(store: Path) -> None:
    shown = call("--symbol", "ATOM/USDT", *ORDER, "--data-dir", store, COLUMNS="100", NO_COLOR="1").stdout
    for words in (
        "mean is also p50",
        "p5",
        "p95",
        "done %",
        "USDT",
        "efficient frontier",
        "L, M, H",
        "SYNTHETIC",
        "of its",
    ):
        assert words in shown
    narrow = call("--symbol", "ATOM/USDT", *ORDER, "--data-dir", store, COLUMNS="80", NO_COLOR="1").stdout
    assert "against the first" in shown
    assert "against the first" not in narrow
    assert "…" not in shown + narrow


def test_json_is_one_document_with_every_number(store: Path) -> None:
    found = answer("--symbol", "ATOM/USDT", *ORDER, "--data-dir", store)
    rows = found["forecasts"]
    assert len(rows) == len(DURATIONS_S) * 5
    assert found["recommended"] == rows[0]
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    for row in rows:
        assert row["cost"] == pytest.approx(row["mean_bps"] / 1e4 * found["order"]["notional"])
        assert row["mean_bps"] == pytest.approx(row["spread_bps"] + row["fees_bps"] + row["impact_bps"])
        assert row["p5_bps"] < row["p50_bps"] < row["p95_bps"]
        assert 0 <= row["completion"] <= 1
        assert row["reason"]
    points = found["frontier"]["points"]
    assert points[0]["half_life"] is None  # equal slices
    assert [point["expected_cost"] for point in points] == sorted(point["expected_cost"] for point in points)
    assert found["market"]["synthetic"] is True


def test_the_same_question_has_the_same_answer_to_the_byte(store: Path) -> None:
    words = ("--symbol", "ATOM/USDT", *ORDER, "--data-dir", store, "--json")
    assert call(*words).stdout == call(*words).stdout


def test_durations_that_are_named_are_the_ones_that_are_planned(tmp_path: Path) -> None:
    found = answer(*TOLD, *ORDER, "--duration", "4h", "--duration", "90m", "--data-dir", tmp_path)
    assert {row["duration_s"] for row in found["forecasts"]} == {5400, 14_400}
    (one,) = {row["duration_s"] for row in answer(*TOLD, *ORDER, "--duration", "600")["forecasts"]}
    assert one == 600


@pytest.mark.parametrize(
    ("options", "algo"),
    [
        (("--urgency", "high"), "IS"),
        (("--alpha-half-life", "5m", "--duration", "1h"), "IS"),
        (("--limit", "49"), "Iceberg"),
        (("--partial", "--quantity", "2e6", "--duration", "4h"), "POV"),
        ((), "TWAP"),
    ],
)
def test_the_recommendation_follows_what_is_asked(options: tuple[str, ...], algo: str) -> None:
    assert answer(*TOLD, *ORDER, *options)["recommended"]["algo"] == algo


@pytest.mark.parametrize("model", ["square_root", "linear", "power", "almgren", "fixed_bps", "none"])
def test_every_impact_model_can_be_planned_with(tmp_path: Path, model: str) -> None:
    config = tmp_path / "execution.yaml"
    config.write_text(f"execution:\n  slippage:\n    model: {model}\n", encoding="utf-8")
    words = (*TOLD, *ORDER, "--duration", "4h", "--execution-config", config)
    rows = answer(*words)["forecasts"]
    assert all(math.isfinite(row["mean_bps"]) and row["impact_bps"] >= 0 for row in rows)
    shown = call(*words).stdout
    assert ("no frontier" in shown) == (model in ("fixed_bps", "none"))


def test_a_choice_that_another_beats_in_cost_and_risk_says_so() -> None:
    shown = call(*TOLD, *ORDER, "--duration", "4h", COLUMNS="200").stdout
    found = answer(*TOLD, *ORDER, "--duration", "4h")
    best, rows = found["recommended"], found["forecasts"]
    better = min((row for row in rows if row["sd_bps"] < best["sd_bps"]), key=lambda row: row["mean_bps"])
    assert (best["algo"], better["algo"]) == ("TWAP", "IS")
    assert f"by this model IS over 4h costs {best['mean_bps'] - better['mean_bps']:.1f} bps less" in shown
    assert "by this model" not in call(*TOLD, *ORDER, "--duration", "4h", "--urgency", "high", COLUMNS="200").stdout


def test_a_schedule_that_is_too_fast_for_the_volume_says_so() -> None:
    words = (*TOLD, "--side", "buy", "--quantity", "12000", "--urgency", "high", "--duration", "4h")
    row = answer(*words)["recommended"]
    assert (row["algo"], row["completion"] > 0.9, row["participation"] < 0.1) == ("IS", True, True)
    assert "its busiest part would be 12% of the volume then, and at most 10% is traded" in call(*words).stdout


def test_the_command_that_shows_the_children_finds_the_same_market(store: Path) -> None:
    shown = call("--symbol", "ATOM/USDT", *ORDER, "--data-dir", store, "--urgency", "high", COLUMNS="300").stdout
    (line,) = [line for line in shown.splitlines() if line.startswith("its children: ")]
    words = shlex.split(line.removeprefix("its children: "))
    assert words[:2] == ["fillwright", "preview"]
    result = CliRunner().invoke(preview_command, [*words[2:], "--json"], catch_exceptions=False, standalone_mode=False)
    found = json.loads(result.stdout)
    order = answer("--symbol", "ATOM/USDT", *ORDER, "--data-dir", store, "--urgency", "high")["recommended"]["order"]
    assert found["algo"] == order
    assert found["share"] == 1


def test_selling_costs_what_buying_costs() -> None:
    bought = answer(*TOLD, "--side", "buy", "--quantity", "5e3")
    sold = answer(*TOLD, "--side", "sell", "--quantity", "5e3")
    for one, other in zip(bought["forecasts"], sold["forecasts"], strict=True):
        assert (one.pop("order")["side"], other.pop("order")["side"]) == ("buy", "sell")
        assert one == other


def test_an_order_beyond_the_market_is_told_so() -> None:
    shown = call(*TOLD, "--side", "buy", "--quantity", "1e9", "--duration", "1h", COLUMNS="100").stdout
    assert "volume suffices with a chance of 0% only" in shown
    assert "left out, because the volume in their time will not suffice" in shown


def test_numbers_of_real_bars_are_those_of_the_market(tmp_path: Path) -> None:
    file = real("binance_btcusdt_1m_20260610_17.parquet")
    words = ["import", str(file), "--symbol", "BTC/USDT", "--venue", "binance", "--data-dir", str(tmp_path)]
    CliRunner().invoke(data, words, catch_exceptions=False, standalone_mode=False)
    found = answer("--symbol", "BTC/USDT", "--side", "sell", "--quantity", "200", "--data-dir", tmp_path)
    market = found["market"]
    assert market["synthetic"] is False
    assert market["daily_volume"] == pytest.approx(15_200, rel=0.02)  # as its source states
    assert market["volatility"] == pytest.approx(0.0218, rel=0.05)
    # 1.3 % of a day: the law says 2/3 * 0.5 * sigma * sqrt(0.013), its permanent third a little less or more
    law = 1e4 * 2 / 3 * 0.5 * market["volatility"] * math.sqrt(200 / market["daily_volume"])
    assert found["recommended"]["impact_bps"] == pytest.approx(law, rel=0.1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--quantity", "0"), "must be a finite number above 0, was 0"),
        (("--quantity", "nan"), "must be a finite number above 0, was nan"),
        (("--side", "hold"), "'hold' is not one of 'buy', 'sell'"),
        (("--duration", "2d"), "must be between 1 second and 1 day, was '2d'"),
        (("--duration", "4x"), "must be a number and s, m, h or d, such as 4h, was '4x'"),
        (("--sigma", "450%"), r"must be above 0 and below 1 \(4.5% is 0.045\), was '450%'"),
        (("--sigma", "much"), "must be a fraction such as 0.045 or 4.5%, was 'much'"),
        (("--spread-bps", "-1"), "must be a finite number of at least 0, was -1"),
        (("--passive", "2"), "2.0 is not in the range 0<=x<=1"),
        (("--execution-config", "nowhere.yaml"), "nowhere.yaml"),
    ],
)
def test_what_is_wrong_is_one_line(words: tuple[str, ...], message: str) -> None:
    result = call(*TOLD, *ORDER, *words, fails=True)
    assert result.exception is not None
    with pytest.raises(type(result.exception), match=message):
        raise result.exception
    assert result.stdout == ""


def test_an_unknown_symbol_names_the_nearest_and_the_way_out(store: Path) -> None:
    result = call("--symbol", "ATM/USDT", *ORDER, "--data-dir", store, fails=True)
    assert isinstance(result.exception, DataError)
    text = str(result.exception)
    assert "did you mean 'ATOM/USDT'?" in text
    assert text.endswith("or tell what is known with --price, --sigma, --adv")


def test_a_venue_that_is_named_must_be_there_even_where_all_is_told(store: Path) -> None:
    for symbol in ("ATOM/USDT", "XYZ/USD"):
        words = ("--symbol", symbol, *ORDER, *TOLD[2:], "--venue", "nowhere", "--data-dir", store)
        assert isinstance(call(*words, fails=True).exception, DataError)


# ---------------------------------------------------------------- the chart


def drawn(dots: list[Dot], **change: Any) -> list[str]:
    settings: dict[str, Any] = {"width": 20, "height": 5, "x_title": "risk", "y_title": "cost", "ascii_only": True}
    return curve(dots, **{**settings, **change})


def test_a_curve_of_three_points_looks_like_this() -> None:
    assert drawn([Dot(0, 10), Dot(5, 2, "M"), Dot(10, 0)]) == [
        "cost",
        "10.0 |o.",
        "     |  ...",
        "     |     ....",
        "     |         .M....",
        " 0.0 |               ....o",
        "     +--------------------",
        "      0.0             10.0",
        "              risk",
    ]


def test_unicode_is_used_where_the_terminal_has_it() -> None:
    plain, rich = "\n".join(drawn([Dot(0, 1), Dot(9, 0)])), "\n".join(drawn([Dot(0, 1), Dot(9, 0)], ascii_only=False))
    assert plain.isascii()
    assert "●" in rich
    assert "└" in rich


def test_no_dots_are_no_lines_and_one_dot_is_one_dot() -> None:
    assert drawn([]) == []
    assert "".join(drawn([Dot(3, 3)])).count("o") == 1 + "cost".count("o")


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=30))
def test_every_chart_has_its_size_and_its_ends(points: list[tuple[float, float]]) -> None:
    lines = drawn([Dot(x, y) for x, y in points])
    assert len(lines) == 5 + 4
    body = [line.partition("|")[2] for line in lines[1:6]]
    assert max(map(len, body)) <= 20
    assert any("o" in line for line in body)
    assert np.isfinite(points).all()
