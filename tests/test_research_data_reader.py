from __future__ import annotations

from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError, DataError
from research.data_reader import DataReader
from research.sample import write_sample
from research.store import Store
from research.times import MINUTE_NS, iso, parse_ns
from tests.test_research_store import JANUARY, commit, minutes


@pytest.fixture
def reader(tmp_path: Path) -> DataReader:
    """Ten minutes of bars over the end of January, five trades and three quotes."""
    store = Store(tmp_path)
    bars = minutes(parse_ns("2025-01-31T23:55"), [6.0 + k / 10 for k in range(10)])
    commit(store, bars, instrument={"tick": "0.001", "taker_fee_bps": 10.0})
    times = [JANUARY + k for k in (0, 5, 5, 8, 9)]
    trades = pl.DataFrame({"ts_ns": times, "price": [6.5] * 5, "qty": [1.0, 2.0, 3.0, 4.0, 5.0]})
    trades = trades.with_columns(
        side=pl.Series(["buy", None, "sell", "buy", "sell"]), trade_id=pl.Series(list("abcde"))
    )
    commit(store, trades, kind="trades", instrument={"lot": "0.01"})
    sides = {"bid": [6.4] * 3, "ask": [6.6] * 3, "bid_qty": [1.0] * 3, "ask_qty": [2.0] * 3}
    commit(store, pl.DataFrame({"ts_ns": times[:3], **sides}), kind="quotes")
    return DataReader(tmp_path)


def test_intervals_are_half_open_by_open_time(reader: DataReader) -> None:
    frame = reader.read_ohlcv("ATOM/USDT", "1m", JANUARY, JANUARY + 3 * MINUTE_NS)
    assert frame["ts_open_ns"].tolist() == [JANUARY, JANUARY + MINUTE_NS, JANUARY + 2 * MINUTE_NS]
    assert len(reader.read_ohlcv("ATOM/USDT", "1m", JANUARY + 1, JANUARY + 3 * MINUTE_NS + 1)) == 3
    assert reader.read_trades("ATOM/USDT", JANUARY + 5, JANUARY + 9)["trade_id"].tolist() == ["b", "c", "d"]


@given(st.integers(-3, 14), st.integers(1, 12))
def test_every_interval_holds_what_a_plain_filter_would_keep(start: int, length: int) -> None:
    folder = Path(_filled())
    first = parse_ns("2025-01-31T23:55")
    wanted = [k for k in range(10) if start <= k < start + length]
    reader = DataReader(folder)
    ends = (first + start * MINUTE_NS, first + (start + length) * MINUTE_NS)
    if not wanted:
        with pytest.raises(DataError, match="no data from"):
            reader.bars("ATOM/USDT", "1m", *ends)
    else:
        bars = reader.bars("ATOM/USDT", "1m", *ends)
        assert ((bars.ts_open_ns - first) // MINUTE_NS).tolist() == wanted


def test_pandas_and_polars_hold_the_same(reader: DataReader) -> None:
    for read in (reader.read_ohlcv, reader.read_trades, reader.read_quotes):
        one, other = read("ATOM/USDT"), read("ATOM/USDT", format="polars")
        assert isinstance(one, pd.DataFrame)
        assert isinstance(other, pl.DataFrame)
        assert list(one.columns) == other.columns
        for name in other.columns:
            assert [None if pd.isna(value) else value for value in one[name].tolist()] == other[name].to_list()


def test_an_unknown_format_is_refused(reader: DataReader) -> None:
    with pytest.raises(ConfigError, match="format must be one of pandas, polars, was 'arrow'"):
        reader.read_ohlcv("ATOM/USDT", format="arrow")  # type: ignore[call-overload]


def test_longer_bars_are_put_together_from_shorter_ones(reader: DataReader) -> None:
    frame = reader.read_ohlcv("ATOM/USDT", "5m", format="polars")
    assert frame.rows() == [
        (parse_ns("2025-01-31T23:55"), parse_ns("2025-02-01"), 6.0, 6.4, 6.0, 6.4, 50.0),
        (parse_ns("2025-02-01"), parse_ns("2025-02-01T00:05"), 6.4, 6.9, 6.4, 6.9, 50.0),
    ]
    assert len(reader.bars("ATOM/USDT", "5m", parse_ns("2025-02-01"))) == 1
    with pytest.raises(DataError, match="no 5m bar opens in 2025-01-31T23:58 to 2025-01-31T23:59"):
        reader.bars("ATOM/USDT", "5m", JANUARY, JANUARY + MINUTE_NS)
    with pytest.raises(DataError, match="no ohlcv_30s data for ATOM/USDT"):
        reader.read_ohlcv("ATOM/USDT", "30s")


def test_nine_months_of_bars_load_at_once(tmp_path: Path) -> None:
    write_sample(tmp_path)
    reader = DataReader(tmp_path)
    reader.bars("ATOM/USDT", end_ns=parse_ns("2025-01-02"))
    times = []
    for _ in range(5):
        start = perf_counter()
        bars = reader.bars("ATOM/USDT")
        times.append(perf_counter() - start)
    assert len(bars) == 393_120
    assert bars.close.dtype == np.float64
    assert min(times) < 2.0  # some 30 ms on a quiet machine; rows one by one would take longer than this on any


def test_an_unknown_symbol_names_the_nearest_and_what_there_is(reader: DataReader) -> None:
    with pytest.raises(DataError) as refused:
        reader.bars("ATOMUSDT")
    line = str(refused.value)
    assert "no data for symbol 'ATOMUSDT'" in line
    assert "did you mean 'ATOM/USDT'?" in line
    assert "Stored: ATOM/USDT at binance: ohlcv_1m 2025-01-31T23:55 to 2025-02-01T00:05; " in line


def test_an_unknown_kind_venue_and_period_name_what_there_is(reader: DataReader) -> None:
    with pytest.raises(DataError, match=r"no ohlcv_1m data for ATOM/USDT at venue 'kraken'.* Stored: ATOM/USDT at bin"):
        reader.bars("ATOM/USDT", venue="kraken")
    with pytest.raises(DataError, match=r"no data from 2025-03-01 to 2025-04-01 .* 2025-01-31T23:55 to 2025-02-01T00"):
        reader.bars("ATOM/USDT", "1m", parse_ns("2025-03-01"), parse_ns("2025-04-01"))
    with pytest.raises(ConfigError, match="unknown kind of data 'trade': did you mean 'trades'"):
        reader.dataset("ATOM/USDT", "trade")
    with pytest.raises(ConfigError, match="timeframe must be a number and s, m, h or d"):
        reader.bars("ATOM/USDT", "minute")


def test_start_must_be_before_end(reader: DataReader) -> None:
    for end in (JANUARY, JANUARY - 1):
        with pytest.raises(ConfigError, match="start must be before end"):
            reader.bars("ATOM/USDT", "1m", JANUARY, end)


def test_a_quiet_stretch_of_trades_is_empty_and_one_outside_the_data_an_error(reader: DataReader) -> None:
    assert reader.read_trades("ATOM/USDT", JANUARY + 1, JANUARY + 5).empty
    with pytest.raises(DataError, match="no data from"):
        reader.read_trades("ATOM/USDT", JANUARY + 10, JANUARY + 20)


def test_an_outage_is_named(tmp_path: Path) -> None:
    bars = minutes(JANUARY, [6.5] * 10)
    commit(Store(tmp_path), pl.concat([bars[:2], bars[8:]]))
    start = JANUARY + 3 * MINUTE_NS
    with pytest.raises(DataError, match=f"with a gap from {iso(JANUARY + 2 * MINUTE_NS)} to 2025-02-01T00:06"):
        DataReader(tmp_path).bars("ATOM/USDT", "1m", start, start + MINUTE_NS)


def test_several_venues_must_be_told_apart(reader: DataReader) -> None:
    commit(reader.store, minutes(JANUARY, [7.5]), venue="bybit")
    for read in (reader.bars, reader.instrument):
        with pytest.raises(DataError, match="several venues: name one of binance, bybit"):
            read("ATOM/USDT")
    assert reader.bars("ATOM/USDT", venue="bybit").close.tolist() == [7.5]
    assert len(reader.read_trades("ATOM/USDT")) == 5


def test_no_store_at_all_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no market data is stored in .*nowhere: get real data with `fillwright data "):
        DataReader(tmp_path / "nowhere").bars("ATOM/USDT")
    assert DataReader(tmp_path / "nowhere").describe() == []


def test_the_instrument_holds_what_any_data_of_the_symbol_knows(reader: DataReader) -> None:
    instrument = reader.instrument("ATOM/USDT")
    assert (instrument.tick, instrument.lot, instrument.taker_fee_bps) == ("0.001", "0.01", 10.0)
    assert (instrument.symbol, instrument.venue) == ("ATOM/USDT", "binance")


FILLS = pl.DataFrame(
    {
        "strategy_id": ["a", "b", "a"],
        "execution_id": ["x1", "x2", "x1"],
        "fill_id": ["1", "2", "3"],
        "order_id": ["o"] * 3,
        "venue": ["sim"] * 3,
        "symbol": ["ATOM/USDT"] * 3,
        "side": ["buy"] * 3,
        "qty": [1.0, 2.0, 3.0],
        "price": [6.5] * 3,
        "ts_fill_ns": [JANUARY + 2, JANUARY + 1, JANUARY],
        "fee": [0.0] * 3,
        "liquidity": ["taker"] * 3,
    }
)


def test_fills_come_from_the_folder_of_a_run_or_from_the_store(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    FILLS.write_parquet(run / "fills.parquet")
    reader = DataReader(tmp_path / "data")
    for path in (run, run / "fills.parquet"):
        assert reader.read_fills("a", path=path)["fill_id"].tolist() == ["3", "1"]
    commit(reader.store, FILLS.sort("ts_fill_ns"), kind="fills")
    assert reader.read_fills("a")["fill_id"].tolist() == ["3", "1"]
    assert reader.read_fills("a", JANUARY + 1, JANUARY + 2, format="polars").is_empty()


def test_missing_fills_are_explained(tmp_path: Path) -> None:
    reader = DataReader(tmp_path / "data")
    with pytest.raises(DataError, match="no fills are stored in"):
        reader.read_fills("a")
    with pytest.raises(DataError, match=r"fills\.parquet does not exist: name the output folder of a backtest"):
        reader.read_fills("a", path=tmp_path)
    FILLS.write_parquet(tmp_path / "fills.parquet")
    with pytest.raises(DataError, match="no fills of strategy 'c': known are a, b"):
        reader.read_fills("c", path=tmp_path)
    FILLS.drop("fee").write_parquet(tmp_path / "fills.parquet")
    with pytest.raises(DataError, match="holds no fills: the columns fee are missing"):
        reader.read_fills("a", path=tmp_path)
    (tmp_path / "fills.parquet").write_text("no parquet")
    with pytest.raises(DataError, match="is not a Parquet file"):
        reader.read_fills("a", path=tmp_path)


_FOLDERS: list[object] = []


def _filled() -> str:
    """One folder of ten bars for all examples of a property."""
    import tempfile

    if not _FOLDERS:
        folder = tempfile.TemporaryDirectory()
        commit(Store(folder.name), minutes(parse_ns("2025-01-31T23:55"), [6.0 + k / 10 for k in range(10)]))
        _FOLDERS.append(folder)
    return str(_FOLDERS[0].name)  # type: ignore[attr-defined]
