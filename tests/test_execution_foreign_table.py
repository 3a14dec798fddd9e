"""Tables of orders and fills: what is recognised, what is understood, and one clear line for what is not."""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from core.errors import ConfigError, DataError
from execution.foreign.fields import FIELDS, folded, looks_like_orders, recognised
from execution.foreign.layout import Layout, preset, read_layout
from execution.foreign.reading import Choices, read_foreign
from research.times import iso

HEAD = "trade_id,order_id,symbol,side,qty,price,time,fee\n"
GOOD = "1,a,ATOM/USDT,buy,10,5.0,2025-01-01T00:00:10Z,0.1\n"


def read(tmp_path: Path, text: str, choices: Choices | None = None, name: str = "fills.csv") -> Any:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_foreign([tmp_path / name], choices)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,a,ATOM/USDT,buy,10,,2025-01-01,0", r"fills.csv, line 2: price is missing: a fill has a price above 0"),
        ("1,a,ATOM/USDT,buy,10,0,2025-01-01,0", r"fills.csv, line 2: price is 0: a fill has a price"),  # pitfall 30
        ("1,a,ATOM/USDT,buy,10,0.000,2025-01-01,0", r"line 2: price is 0"),
        ("1,a,ATOM/USDT,buy,10,-5,2025-01-01,0", r"line 2: price is -5"),
        ("1,a,ATOM/USDT,buy,0,5,2025-01-01,0", r"line 2: qty is missing or 0"),
        ("1,a,ATOM/USDT,buy,,5,2025-01-01,0", r"line 2: qty is missing or 0"),
        ("1,a,ATOM/USDT,buy,-10,5,2025-01-01,0", r"qty is -10, below 0: if that means a sell, say --signed-quantity"),
        ('1,a,ATOM/USDT,buy,"1,5",5,2025-01-01,0', r"column 'qty' \(qty\) has a decimal comma, was '1,5': write 1.5"),
        ('1,a,ATOM/USDT,buy,10,"1.234,5",2025-01-01,0', r"'price' \(price\) has a decimal comma.*write 1234.5"),
        ('1,a,ATOM/USDT,buy,10,"1,234.5",2025-01-01,0', r"has thousands separators, was '1,234.5': write 1234.5"),
        ("1,a,ATOM/USDT,buy,10,1'234.5,2025-01-01,0", r"has thousands separators"),
        ('1,a,ATOM/USDT,buy,"1,234",5,2025-01-01,0', r"may stand for thousands or for decimals.*write 1234 or 1.234"),
        ("1,a,ATOM/USDT,buy,10ATOM,5,2025-01-01,0", r"'qty' \(qty\) has a unit, was '10ATOM': write the number alone"),
        ("1,a,ATOM/USDT,buy,ten,5,2025-01-01,0", r"is not a number, was 'ten'"),
        ("1,a,ATOM/USDT,buy,inf,5,2025-01-01,0", r"is infinite"),
        ("1,a,ATOM/USDT,kaufen,10,5,2025-01-01,0", r"\(side\) is the unknown word 'kaufen': --side WORD=buy; known"),
        ("1,a,ATOM/USDT,,10,5,2025-01-01,0", r"line 2: order 'a' has no side"),
        ("1,a,,buy,10,5,2025-01-01,0", r"line 2: there is no symbol: .*--symbol"),
        ("1,,ATOM/USDT,buy,10,5,2025-01-01,0", r"line 2: there is no order id: .*--group fill"),
        ("1,a,ATOM/USDT,buy,10,5,,0", r"line 2: time is missing"),
        ("1,a,ATOM/USDT,buy,10,5,01/02/2025,0", r"'time' \(time\) is no time that can be read, was '01/02/2025'"),
        ("1,a,ATOM/USDT,buy,10,5,20250101,0", r"is not between 1990 and 2100, was '20250101'"),
        ("1,a,ATOM/USDT,buy,10,5,2025-01-01,0 USDT", r"\(fee\) has a unit"),
        ("1,a,ATOM/USDT,buy,10,5,2025-01-01,0\n1,a,ATOM/USDT,buy,11,5,2025-01-01,0",
         r"line 3: fill '1' of order 'a' is 11 at 5, but 10 at 5 in fills.csv, line 2"),
        ("1,a,ATOM/USDT,buy,10,5,2025-01-01,0\n2,a,ATOM/USDT,sell,11,5,2025-01-01,0",
         r"side of order 'a' is 'sell', but 'buy' in fills.csv, line 2"),
    ],
)  # fmt: skip
def test_a_bad_row_is_one_line_with_file_row_field_value_and_remedy(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, HEAD + row + "\n")
    assert "\n" not in str(caught.value)
    assert "--on-bad skip" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"fills.csv is empty"),
        (HEAD, r"fills.csv holds no rows"),
        (
            "order_id,side,qty,time\na,buy,1,2025-01-01\n",
            r"has no column that is known as price; it has order_id, side",
        ),
        ("a,b\n1,2\n", r"has no column that is known as qty, price, time.*--column qty=\.\.\."),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, text)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere.csv does not exist"):
        read_foreign([tmp_path / "nowhere.csv"])


def test_bad_rows_can_be_left_out_counted_by_reason(tmp_path: Path) -> None:
    text = HEAD + GOOD + "2,b,ATOM/USDT,buy,10,0,2025-01-01,0\n3,c,ATOM/USDT,buy,x,5,2025-01-01,0\n"
    found = read(tmp_path, text, Choices(on_bad="skip"))
    assert [one.execution_id for one in found.reports] == ["a"]
    assert found.skipped == {"fill without a price": 1, "qty is not a number": 1}


def test_nothing_left_is_an_error_not_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no usable row is left: 1 fill without a price"):
        read(tmp_path, HEAD + "2,b,ATOM/USDT,buy,10,0,2025-01-01,0\n", Choices(on_bad="skip"))
    with pytest.raises(DataError, match=r"no order of BTC/USDT; there are orders of ATOM/USDT"):
        read(tmp_path, HEAD + GOOD, Choices(symbol="BTC/USDT"))


def test_a_map_that_names_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'siz' for qty: did you mean 'size'"):
        read(tmp_path, HEAD.replace("qty", "size") + GOOD, Choices(layout=Layout(columns={"qty": "siz"})))
    with pytest.raises(ValueError, match=r"unknown field 'qyt': did you mean 'qty'"):
        Layout(columns={"qyt": "size"})
    (tmp_path / "map.yaml").write_text("columns: {qyt: size}\n")
    with pytest.raises(ConfigError, match=r"map.yaml.*unknown field 'qyt': did you mean 'qty'.*line 1"):
        read_layout(tmp_path / "map.yaml")


@pytest.mark.parametrize(
    ("time", "unit", "expected"),
    [
        ("1735689600", "auto", "2025-01-01"), ("1735689600000", "auto", "2025-01-01"),
        ("1735689600000000", "auto", "2025-01-01"), ("1735689600000000000", "auto", "2025-01-01"),
        ("1735689600.25", "auto", "2025-01-01T00:00:00.25"), ("2025-01-01T00:00:00.000000007Z", "auto",
         "2025-01-01T00:00:00.000000007"), ("1735689600123456789", "ns", "2025-01-01T00:00:00.123456789"),
        ("2024-12-31T20:30-03:30", "auto", "2025-01-01"), ("2025-01-01 00:00:00 UTC", "auto", "2025-01-01"),
        ("1735689600000", "ms", "2025-01-01"), ("2025-01-01T01:00:00+01:00", "auto", "2025-01-01"),
        ("2025-01-01 00:00:00", "auto", "2025-01-01"), ("20250101-00:00:05.250", "auto", "2025-01-01T00:00:05.25"),
        ("20250101;000005", "auto", "2025-01-01T00:00:05"), ("2025-01-01", "auto", "2025-01-01"),
    ],
)  # fmt: skip
def test_times_are_understood_in_any_unit(tmp_path: Path, time: str, unit: Any, expected: str) -> None:
    text = HEAD + f"1,a,ATOM/USDT,buy,10,5.0,{time},0.1\n"
    (report,) = read(tmp_path, text, Choices(layout=Layout(time_unit=unit))).reports
    assert iso(report.fills[0].ts_fill_ns) == expected


def test_times_of_one_column_may_have_more_or_fewer_digits(tmp_path: Path) -> None:
    """As Python's isoformat writes them: no fraction where it is 0."""
    times = [
        "2025-01-01T00:00:00",
        "2025-01-01T00:00:00.250000",
        "2025-01-01",
        "2025-01-01T01:00:01+01:00",
        "1735689602",
    ]
    rows = [f"{k},a,ATOM/USDT,buy,10,5.0,{time},0.1\n" for k, time in enumerate(times)]
    (report,) = read(tmp_path, HEAD + "".join(rows)).reports
    assert [iso(fill.ts_fill_ns)[10:] for fill in report.fills] == ["", "", "T00:00:00.25", "T00:00:01", "T00:00:02"]


def test_an_hour_that_a_zone_has_twice_is_refused(tmp_path: Path) -> None:
    text = HEAD + "1,a,ATOM/USDT,buy,10,5.0,2025-10-26 02:30:00,0.1\n"
    with pytest.raises(DataError, match=r"no time that can be read, was '2025-10-26 02:30:00'"):
        read(tmp_path, text, Choices(layout=Layout(timezone="Europe/Berlin")))


def test_times_without_a_zone_are_of_the_zone_that_is_said(tmp_path: Path) -> None:
    text = HEAD + "1,a,ATOM/USDT,buy,10,5.0,2025-01-01 01:00:00,0.1\n"
    (report,) = read(tmp_path, text, Choices(layout=Layout(timezone="Europe/Berlin"))).reports
    assert iso(report.fills[0].ts_fill_ns) == "2025-01-01"


@pytest.mark.parametrize("word", ["buy", "BUY", " b ", "B", "1", "Long", "bid", "Bought"])
def test_words_for_a_buy(tmp_path: Path, word: str) -> None:
    assert read(tmp_path, HEAD + GOOD.replace("buy", word)).reports[0].side == "buy"


@pytest.mark.parametrize("word", ["sell", "SELL", "s", "2", "-1", "short", "ask", "Sell_Short"])
def test_words_for_a_sell(tmp_path: Path, word: str) -> None:
    assert read(tmp_path, HEAD + GOOD.replace("buy", word)).reports[0].side == "sell"


def test_own_words_may_be_taught(tmp_path: Path) -> None:
    layout = Layout(sides={"Kauf": "buy"}, statuses={"Erledigt": "completed"})
    text = "order_id,symbol,side,qty,price,time,status\na,ATOM/USDT,kauf,1,5,2025-01-01,ERLEDIGT\n"
    assert read(tmp_path, text, Choices(layout=layout)).reports[0].side == "buy"


def test_quantities_below_zero_are_sells_where_that_is_said(tmp_path: Path) -> None:
    text = "order_id,symbol,qty,price,time\na,ATOM/USDT,-3,5,2025-01-01\nb,ATOM/USDT,4,5,2025-01-02\n"
    sold, bought = read(tmp_path, text, Choices(layout=Layout(signed_quantity=True))).reports
    assert (sold.side, sold.filled_quantity, bought.side) == ("sell", 3.0, "buy")
    text = "order_id,symbol,side,qty,price,time\na,ATOM/USDT,buy,-3,5,2025-01-01\n"
    with pytest.raises(DataError, match=r"qty is -3, but side is buy"):
        read(tmp_path, text, Choices(layout=Layout(signed_quantity=True)))


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_any_usual_separator_is_seen(tmp_path: Path, separator: str) -> None:
    assert read(tmp_path, (HEAD + GOOD).replace(",", separator)).reports[0].filled_quantity == 10


def test_a_packed_table_is_read(tmp_path: Path) -> None:
    (tmp_path / "f.csv.gz").write_bytes(gzip.compress((HEAD + GOOD).replace(",", ";").encode()))
    assert read_foreign([tmp_path / "f.csv.gz"]).reports[0].filled_quantity == 10


def test_several_files_of_fills_are_one_import_and_overlaps_count_once(tmp_path: Path) -> None:
    (tmp_path / "january.csv").write_text(HEAD + GOOD)
    (tmp_path / "february.csv").write_text(HEAD + GOOD + GOOD.replace("1,a", "2,a"))
    found = read_foreign([tmp_path / "january.csv", tmp_path / "february.csv"])
    assert found.reports[0].filled_quantity == 20
    assert found.repeated == 1


def test_fills_of_orders_that_are_not_listed_are_refused(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("order_id,symbol,side,size,status\nz,ATOM/USDT,buy,1,cancelled\n")
    (tmp_path / "f.csv").write_text(HEAD + GOOD)
    with pytest.raises(DataError, match=r"f.csv, line 2: order 'a' is not in the file of orders"):
        read_foreign([tmp_path / "f.csv"], Choices(orders=tmp_path / "o.csv"))


def test_an_order_id_may_be_used_again_for_another_symbol(tmp_path: Path) -> None:
    text = HEAD + GOOD + GOOD.replace("ATOM/USDT", "ETH/USDT")
    assert [one.execution_id for one in read(tmp_path, text).reports] == ["a:ATOM/USDT:buy", "a:ETH/USDT:buy"]


def test_a_liquidity_that_is_not_known_is_said(tmp_path: Path) -> None:
    found = read(tmp_path, HEAD + GOOD)
    assert found.taken["liquidity unknown: counted as taker"] == 1
    (maker,) = read(tmp_path, HEAD.replace("fee", "is_maker") + GOOD.replace(",0.1\n", ",True\n")).reports
    assert maker.fills[0].liquidity == "maker"


def test_fees_that_were_earned_are_costs_below_zero(tmp_path: Path) -> None:
    (report,) = read(tmp_path, HEAD + GOOD.replace(",0.1\n", ",-0.1\n"), Choices(layout=Layout(fees="earned"))).reports
    assert report.total_fees == 0.1


def test_contracts_are_multiplied(tmp_path: Path) -> None:
    (report,) = read(tmp_path, HEAD + GOOD, Choices(multiplier=0.01)).reports
    assert report.filled_quantity == pytest.approx(0.1)


def test_a_parquet_file_with_typed_columns_is_read(tmp_path: Path) -> None:
    frame = pl.DataFrame({
        "order_id": [7, 8], "symbol": ["ATOM/USDT"] * 2, "side": [1, 2], "qty": [1, 2], "price": [5.5, math.nan],
        "time": [1735689600000, 1735689700000], "status": ["filled", "cancelled"],
    })  # fmt: skip
    frame.head(1).write_parquet(tmp_path / "f.parquet")
    (report,) = read_foreign([tmp_path / "f.parquet"]).reports
    assert (report.execution_id, report.side, report.avg_fill_price) == ("7", "buy", 5.5)
    frame.write_parquet(tmp_path / "f.parquet")
    with pytest.raises(DataError, match=r"f.parquet, row 2: price is missing"):
        read_foreign([tmp_path / "f.parquet"])


# ---- names


def test_no_name_means_two_fields_of_fills() -> None:
    seen: dict[str, str] = {}
    for name, field in FIELDS.items():
        for word in field.names.split():
            assert word not in seen or {name, seen[word]} == {"fill_id", "parent_id"}, word
            assert folded(word) == word
            seen[word] = name


def test_names_are_folded() -> None:
    assert folded("Fill Time (ms)") == folded("fillTime") == folded("FILL_TIME_NS") == "filltime"
    assert folded("status") == "status"
    assert folded("Date(UTC)") == "date"


def test_a_column_is_taken_once_and_the_map_goes_first() -> None:
    columns = ["id", "order_id", "qty", "price", "time", "size"]
    assert recognised(columns, {"qty": "size"}, "fills")["qty"] == "size"
    found = recognised(["fill_id", "execution_id", "order_id"], {}, "fills")
    assert found == {"fill_id": "fill_id", "order_id": "order_id", "parent_id": "execution_id"}


def test_files_of_orders_and_fills_are_told_apart() -> None:
    assert (
        looks_like_orders(["id", "symbol", "side", "type", "price", "quantity", "filled", "status", "created_at"]) > 0
    )
    assert looks_like_orders(["trade_id", "order_id", "symbol", "side", "price", "qty", "fee", "fee_coin", "time"]) < 0
    assert looks_like_orders(["order_id", "qty", "price", "time"]) <= 0


# ---- ready-made maps


def test_binance_trade_history_of_today(tmp_path: Path) -> None:
    """Cells carry their currency; fills of one second are one order, as the file has no order ids."""
    text = (
        "Date(UTC),Pair,Side,Price,Executed,Amount,Fee\n"
        "2021-06-05 16:36:56,DOGEEUR,BUY,0.31031,500DOGE,155.15500000EUR,0.5DOGE\n"
        "2021-06-05 16:36:56,DOGEEUR,BUY,0.31032,100DOGE,31.032EUR,0.1DOGE\n"
        "2022-03-28 13:01:36,SOLBUSD,SELL,110.03,0.1800000000SOL,19.8054BUSD,0.0198054BUSD\n"
    )
    bought, sold = read(tmp_path, text, Choices(layout=preset("binance-trades"))).reports
    assert (bought.symbol, bought.filled_quantity, len(bought.fills)) == ("DOGEEUR", 600, 2)
    assert bought.total_fees == pytest.approx(0.5 * 0.31031 + 0.1 * 0.31032)
    assert (sold.side, sold.total_fees) == ("sell", 0.0198054)


def test_binance_trade_history_of_2018(tmp_path: Path) -> None:
    text = (
        "Date(UTC),Market,Type,Price,Amount,Total,Fee,Fee Coin\n"
        "2018-10-24 02:06:18,ASTBTC,SELL,0.00001426,263,0.00375038,0.00000375,BTC\n"
        "2018-10-25 02:06:18,XLMETH,BUY,0.00012345,123,0.01518435,0.001,BNB\n"
    )
    found = read(tmp_path, text, Choices(layout=preset("binance-trades-2018")))
    assert found.reports[0].total_fees == 0.00000375
    assert math.isnan(found.reports[1].total_fees)
    assert any("fees in BNB" in note for note in found.taken)


def test_interactive_brokers_flex_trades(tmp_path: Path) -> None:
    """Sells have quantities below 0, commissions are cash flows, rows of other levels are left out."""
    text = (
        '"ClientAccountID","CurrencyPrimary","Symbol","DateTime","Quantity","TradePrice","IBCommission",'
        '"IBCommissionCurrency","Buy/Sell","IBOrderID","IBExecID","Exchange","LevelOfDetail"\n'
        '"U1","USD","AAPL","20250105;153000","100","243.5","-1","USD","BUY","77","e1","ISLAND","EXECUTION"\n'
        '"U1","USD","AAPL","20250105;153001","50","243.6","-0.5","USD","BUY","77","e2","ARCA","EXECUTION"\n'
        '"U1","USD","AAPL","20250105;153001","150","243.53","-1.5","USD","BUY","77","","--","ORDER"\n'
        '"U1","USD","MSFT","20250105;160000","-10","420","-1","USD","SELL","78","e3","ISLAND","EXECUTION"\n'
    )
    choices = Choices(layout=preset("ibkr-flex").given(timezone="America/New_York"))
    apple, microsoft = read(tmp_path, text, choices).reports
    assert (apple.filled_quantity, apple.total_fees, apple.venue) == (150, 1.5, "")
    assert [fill.meta["venue"] for fill in apple.fills] == ["ISLAND", "ARCA"]
    assert iso(apple.start_ts_ns) == "2025-01-05T20:30"
    assert (microsoft.side, microsoft.filled_quantity, microsoft.venue) == ("sell", 10, "ISLAND")


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'ibkr-flex'"):
        preset("ibkr-flx")
