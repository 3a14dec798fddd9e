from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from core.errors import ConfigError, DataError
from research.columns import Layout
from research.data_reader import DataReader
from research.importers import import_file, read_rows
from research.times import MINUTE_NS, parse_ns, period
from tests.real_data import real
from tests.test_research_store import minutes

START = parse_ns("2025-01-01")
START_MS = START // 1_000_000
HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)


def kline(k: int, unit: int = 1) -> str:
    start = (START_MS + k * 60_000) * unit
    return f"{start},6.50,6.60,6.40,6.55,10.5,{start + 60_000 * unit - 1},68.5,{7 + k},4.5,29.0,0"


def write(folder: Path, name: str, *lines: str) -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def bars_file(folder: Path, *rows: str, header: str = "time,open,high,low,close,volume") -> Path:
    return write(folder, "bars.csv", header, *rows)


def read(path: Path, **more: Any) -> pl.DataFrame:
    layout = Layout({"ts_open": "time"}, **more.pop("layout", {}))
    return read_rows(path, layout=layout, **more).frame


@pytest.mark.parametrize("unit", [1, 1000])
@pytest.mark.parametrize("header", [True, False])
def test_binance_klines_come_with_or_without_header_in_ms_or_us(tmp_path: Path, unit: int, header: bool) -> None:
    lines = [HEADER] * header + [kline(k, unit) for k in range(3)]
    rows = read_rows(write(tmp_path, "ATOMUSDT-1m-2025-01.csv", *lines))
    assert rows.kind == "ohlcv_1m"
    assert rows.frame.row(1, named=True) == {
        **{"ts_open_ns": START + MINUTE_NS, "ts_close_ns": START + 2 * MINUTE_NS},
        **{"open": 6.5, "high": 6.6, "low": 6.4, "close": 6.55, "volume": 10.5},
        **{"quote_volume": 68.5, "trades": 8, "taker_buy_volume": 4.5},
    }


def test_a_zip_and_a_gzip_hold_the_same_as_the_csv(tmp_path: Path) -> None:
    plain = write(tmp_path, "a.csv", *(kline(k) for k in range(3)))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(plain, "ATOMUSDT-1m-2025-01.csv")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    frames = [read_rows(tmp_path / name).frame for name in ("a.csv", "a.zip", "a.csv.gz")]
    assert frames[0].equals(frames[1])
    assert frames[0].equals(frames[2])


@pytest.mark.parametrize("header", ["agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker", ""])  # fmt: skip  # noqa: E501
def test_binance_aggtrades_tell_the_aggressor(tmp_path: Path, header: str) -> None:
    lines = [f"90,6.5,1.5,1,2,{START_MS},true", f"91,6.6,2.5,3,3,{START_MS + 1},False"]
    rows = read_rows(write(tmp_path, "ATOMUSDT-aggTrades-2025-01.csv", *[header] * bool(header), *lines))
    assert rows.kind == "trades"
    assert rows.frame.rows() == [(START, 6.5, 1.5, "sell", "90"), (START + 1_000_000, 6.6, 2.5, "buy", "91")]


def test_ccxt_arrays_are_read(tmp_path: Path) -> None:
    candles = [[START_MS + k * 60_000, 6.5, 7, 6.4, 6.5, 10] for k in range(3)]
    path = write(tmp_path, "candles.json", json.dumps(candles))
    assert read_rows(path).frame["ts_open_ns"].to_list() == [START + k * MINUTE_NS for k in range(3)]
    for wrong in ("[[1,2,3]]", '{"a": 1}', "no json"):
        with pytest.raises(DataError, match=r"candles\.json must hold \[\[milliseconds, open"):
            read_rows(write(tmp_path, "candles.json", wrong))


TIMES = {
    "1735689600": {},
    "1735689600.000": {},
    "1735689600000": {},
    "1735689600000000": {},
    "1735689600000000000": {},
    "2025-01-01": {},
    "2025-01-01 00:00:00": {},
    "2025-01-01T00:00:00Z": {"timezone": "Asia/Tokyo"},
    "2025-01-01T02:00:00+02:00": {},
    "2025-01-01 09:00:00": {"timezone": "Asia/Tokyo"},
    "2025-01-01T00:01": {"bar_stamp": "close"},
}


@pytest.mark.parametrize("time", TIMES)
def test_times_are_understood_in_every_unit_and_form(tmp_path: Path, time: str) -> None:
    path = bars_file(tmp_path, f"{time},6.5,6.6,6.4,6.5,10")
    assert read(path, layout=TIMES[time])["ts_open_ns"].to_list() == [START]


@pytest.mark.parametrize("time", ["01/02/2025 00:00", "13/02/2025", "Feb 1 2025", "2025-13-01", "2025-1-2"])
def test_a_date_whose_order_would_have_to_be_guessed_is_a_bad_row(tmp_path: Path, time: str) -> None:
    with pytest.raises(DataError, match="row 2: time is missing or unreadable"):
        read(bars_file(tmp_path, f"{time},6.5,6.6,6.4,6.5,10"))


def test_each_time_of_a_column_is_read_as_it_is_written(tmp_path: Path) -> None:
    times = [
        "2025-01-01",
        "2025-01-01T00:01Z",
        "2025-01-01 01:02:00.000+01:00",
        "20250101-00:03:00",
        "2025-01-01 00:04",
    ]
    rows = [f"{time},6.5,6.6,6.4,6.5,10" for time in times]
    start = parse_ns("2025-01-01")
    assert read(bars_file(tmp_path, *rows))["ts_open_ns"].to_list() == [start + k * MINUTE_NS for k in range(5)]


def test_a_stated_time_unit_is_believed(tmp_path: Path) -> None:
    path = bars_file(tmp_path, f"{START_MS},6.5,6.6,6.4,6.5,10")
    with pytest.raises(DataError, match="time is not between 1990 and 2100: check the time unit"):
        read(path, layout={"time_unit": "us"})


def test_an_hour_that_the_clock_skips_or_repeats_is_a_bad_row(tmp_path: Path) -> None:
    for time in ("2025-03-30T02:30", "2025-10-26T02:30"):
        with pytest.raises(DataError, match="row 2: time is missing or unreadable"):
            read(bars_file(tmp_path, f"{time},6.5,6.6,6.4,6.5,10"), layout={"timezone": "Europe/Berlin"})


def test_parquet_with_real_times_and_several_symbols(tmp_path: Path) -> None:
    bars = minutes(START, [6.5, 6.6, 6.7]).drop("ts_close_ns")
    times = pl.from_epoch("ts_open_ns", time_unit="ns").dt.replace_time_zone("UTC").alias("t")
    both = pl.concat([bars.with_columns(times, symbol=pl.lit(name)) for name in ("ATOM", "ETH")])
    path = tmp_path / "bars.parquet"
    both.drop("ts_open_ns").write_parquet(path)
    layout = Layout({"ts_open": "t"})
    assert read_rows(path, layout=layout, where={"symbol": "ETH"}).frame["close"].to_list() == [6.5, 6.6, 6.7]
    with pytest.raises(DataError, match=r"holds several symbols \(ATOM, ETH\): choose one with --where symbol=ATOM"):
        read_rows(path, layout=layout)
    with pytest.raises(DataError, match="has no row with symbol=ETC: did you mean 'ETH'"):
        read_rows(path, layout=layout, where={"symbol": "ETC"})
    with pytest.raises(DataError, match="has no column 'coin' to select on"):
        read_rows(path, layout=layout, where={"coin": "ETH"})


def line(k: int, text: str) -> str:
    return f"{START_MS + k * 60_000},{text}"


BAD = {
    "open is NaN or infinite": line(1, "nan,6.6,6.4,6.5,10"),
    "high is NaN or infinite": line(1, "6.5,inf,6.4,6.5,10"),
    "close is missing or unreadable": line(1, "6.5,6.6,6.4,abc,10"),
    "volume is missing or unreadable": line(1, "6.5,6.6,6.4,6.5,"),
    "low is not above 0": line(1, "6.5,6.6,0,6.5,10"),
    "volume is negative": line(1, "6.5,6.6,6.4,6.5,-1"),
    "low <= open, close <= high is broken": line(1, "6.5,6.55,6.4,6.6,10"),
    "duplicate": line(0, "6.5,6.6,6.4,6.5,10"),
    "out of order": line(-1, "6.5,6.6,6.4,6.5,10"),
    "time is missing or unreadable": "soon,6.5,6.6,6.4,6.5,10",
}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_row_fails_the_import_and_is_named(tmp_path: Path, reason: str) -> None:
    good = [line(k, "6.5,6.6,6.4,6.5,10") for k in (0, 2, 3)]
    path = bars_file(tmp_path, good[0], BAD[reason], *good[1:])
    with pytest.raises(DataError) as refused:
        read(path)
    assert f"bars.csv: 1 of 4 rows are bad: row 3: {reason} (ts_open_ns=" in str(refused.value)
    assert "--on-bad skip" in str(refused.value)
    rows = read_rows(path, layout=Layout({"ts_open": "time"}), on_bad="skip")
    assert rows.skipped == {reason: 1}
    assert len(rows.frame) == (4 if reason == "out of order" else 3)
    assert rows.frame["ts_open_ns"].is_sorted()


def test_only_the_first_bad_rows_are_shown(tmp_path: Path) -> None:
    path = bars_file(tmp_path, *(line(k, "6.5,6.6,6.4,6.5,-1") for k in range(9)), line(9, "6.5,6.6,6.4,6.5,1"))
    with pytest.raises(DataError, match=r"9 of 10 rows are bad: row 2: .*; row 3: .*; row 4: .*; and 6 more; mend"):
        read(path)


def test_skipped_rows_are_counted_in_the_metadata_once(tmp_path: Path) -> None:
    path = bars_file(tmp_path, line(0, "6.5,6.6,6.4,6.5,10"), line(1, "6.5,6.6,6.4,6.5,-1"))
    for _ in range(2):
        layout = Layout({"ts_open": "time"})
        dataset = import_file(tmp_path / "data", path, symbol="A", venue="v", on_bad="skip", layout=layout)
    assert dataset.skipped == {"table bars.csv": {"volume is negative": 1}}
    assert dataset.rows == 1


def test_a_file_of_bad_rows_only_is_refused(tmp_path: Path) -> None:
    path = bars_file(tmp_path, line(0, "6.5,6.6,6.4,6.5,-1"))
    with pytest.raises(DataError, match="none of its 1 rows is good: 1 volume is negative"):
        read(path, on_bad="skip")


def test_hours_are_not_taken_for_minutes(tmp_path: Path) -> None:
    path = bars_file(tmp_path, *(line(60 * k, "6.5,6.6,6.4,6.5,10") for k in range(24)))
    with pytest.raises(DataError, match="3600 s apart at least, not 60 s as ohlcv_1m would be: choose the --kind"):
        read(path)
    assert len(read(path, kind="ohlcv_1h")) == 24


def test_quotes_and_trades_from_tables(tmp_path: Path) -> None:
    path = write(tmp_path, "quotes.csv", "time,bid,ask,bid_qty,ask_qty", f"{START},6.5,6.6,1,0", f"{START},6.5,6.5,1,2")
    layout = Layout({"ts": "time"})
    assert len(read_rows(path, kind="quotes", layout=layout).frame) == 2
    path = write(tmp_path, "quotes.csv", "time,bid,ask,bid_qty,ask_qty", f"{START},6.7,6.6,1,0")
    with pytest.raises(DataError, match="bid is above ask"):
        read_rows(path, kind="quotes", layout=layout)
    path = write(
        tmp_path, "trades.csv", "time,price,qty,side", f"{START},6.5,1,B", f"{START},6.5,1,", f"{START},6.5,1,x"
    )
    with pytest.raises(DataError, match="1 of 3 rows are bad: row 4: side is neither buy nor sell"):
        read_rows(path, kind="trades", layout=layout)
    kept = read_rows(path, kind="trades", layout=layout, on_bad="skip").frame
    assert kept["side"].to_list() == ["buy", None]


def test_files_that_are_no_files_of_data_are_refused_in_one_line(tmp_path: Path) -> None:
    cases = {
        "absent.csv": (None, "does not exist"),
        "empty.csv": (b"", "is empty"),
        "header.csv": (b"time,open\n", "holds no rows"),
        "wrong.csv": (b"a,b\n1,2\n", "has no column for ts_open_ns, open, high, low, close, volume of ohlcv_1m"),
        "bare.csv": (b"1735689600000,6.5" + b",1" * 20 + b"\n", "no header and 22 columns"),
        "ragged.csv": (b"time,open\n1,2\n1,2,3\n", "is not readable"),
        "no.parquet": (b"PAR1", "is not readable"),
        "no.zip": (b"PK", "is not readable"),
        "latin.csv": ("zeit,öffnung\n".encode("latin-1"), "is not readable"),
    }
    for name, (content, reason) in cases.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(DataError) as refused:
            read_rows(path)
        assert reason in str(refused.value)
        assert name in str(refused.value) or name == "bare.csv"
        assert "\n" not in str(refused.value)
    with zipfile.ZipFile(tmp_path / "void.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(DataError, match=r"holds no \.csv file"):
        read_rows(tmp_path / "void.zip")


def test_a_column_map_must_name_columns_that_exist(tmp_path: Path) -> None:
    path = bars_file(tmp_path, line(0, "6.5,6.6,6.4,6.5,10"))
    with pytest.raises(ConfigError, match="the column map names 'opn', which ohlcv_1m has not: did you mean 'open'"):
        read_rows(path, layout=Layout({"ts_open": "time", "opn": "open"}))
    with pytest.raises(DataError, match="has no column 'tim': did you mean 'time'"):
        read_rows(path, layout=Layout({"ts_open": "tim"}))
    with pytest.raises(ConfigError, match="timezone must be a name such as Europe/Berlin, was 'Mars'"):
        Layout(timezone="Mars")


def test_a_failed_import_stores_nothing(tmp_path: Path) -> None:
    path = bars_file(tmp_path, line(0, "6.5,6.6,6.4,6.5,-1"))
    with pytest.raises(DataError):
        import_file(tmp_path / "data", path, symbol="A", venue="v", layout=Layout({"ts_open": "time"}))
    assert not (tmp_path / "data").exists()


def test_real_bars_come_in_with_their_outage_in_the_gap_report(tmp_path: Path) -> None:
    path = real("binance_spot_1m_202104_05.parquet")
    settings: dict[str, Any] = {"symbol": "ATOM/USDT", "venue": "binance", "where": {"symbol": "ATOMUSDT"}}
    dataset = import_file(tmp_path, path, layout=Layout({"ts_open": "open_time_ms"}), **settings)
    assert import_file(tmp_path, path, layout=Layout({"ts_open": "open_time_ms"}), **settings) == dataset
    assert (dataset.rows, dataset.synthetic, dataset.missing_bars) == (42_915, False, 284)
    # The exchange was away from the bar of 04:00 to that of 08:45, 285 minutes from open to open.
    assert [period(*gap) for gap in dataset.gaps] == ["2021-04-25T04:01 to 2021-04-25T08:45"]
    bars = DataReader(tmp_path).bars("ATOM/USDT", "1m", parse_ns("2021-05-19"), parse_ns("2021-05-20"))
    assert 1 - bars.low.min() / bars.high.max() == pytest.approx(0.59, abs=0.005)


def test_real_trades_come_in_with_their_aggressors(tmp_path: Path) -> None:
    dataset = import_file(tmp_path, real("binance_xrpeth_spot_aggtrades_201910.parquet"), symbol="XRP/ETH", venue="b")
    assert (dataset.kind, dataset.rows) == ("trades", 12_477)
    trades = DataReader(tmp_path).read_trades("XRP/ETH", format="polars")
    assert trades["qty"].sum() == pytest.approx(5.55e6, rel=1e-3)
    assert (trades["side"] == "buy").mean() == pytest.approx(0.523, abs=0.02)


def test_real_blocks_keep_their_382_systematic_gaps(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"symbol": "ATOM/USDT:USDT", "venue": "bybit", "where": {"symbol": "ATOMUSDT"}}
    layout = Layout({"ts_open": "ts", "quote_volume": "turnover"})
    dataset = import_file(tmp_path, real("bybit_perp_1m_blocks_202409_202505.parquet"), layout=layout, **settings)
    assert {(end - start) // MINUTE_NS for start, end in dataset.gaps} == {801}
    assert (len(dataset.gaps), dataset.zero_volume) == (382, 130)
