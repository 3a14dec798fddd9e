"""Downloads, against a real HTTP server on this machine that speaks as much of Binance's REST as they need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigError, DataError
from research.data_reader import DataReader
from research.dataset import Dataset
from research.download import download, missing
from research.store import Store
from research.times import MINUTE_NS, parse_ns
from tests import exchanges
from tests.test_research_store import commit, minutes

pytest.importorskip("ccxt")

START = parse_ns("2025-01-01")
START_MS = START // 1_000_000
OUTAGE = range(1500, 1620)  # minutes without bars
MINUTES = 4000
# Quiet for hours, then many trades in one millisecond, then one a second.
TRADES = [*([7_200_000] * 900), *(7_200_001 + 1_000 * k for k in range(1_600))]


class Handler(exchanges.Handler):
    server: Venue

    def get(self) -> None:
        name, query = self.path_name(), self.query()
        if name == "exchangeInfo":
            return self.answer(self.markets())
        if len(self.server.asked) >= self.server.fail_after and self.server.failures > 0:
            self.server.failures -= 1
            return self.answer({"msg": "busy"}, 503)
        start, limit = int(query["startTime"]), int(query["limit"])
        self.server.asked.append(start)
        return self.answer(klines(start, limit) if name == "klines" else trades(start, int(query["endTime"]), limit))


class Venue(exchanges.Server):
    """`fail_after` n answers of data, the next `failures` ones are HTTP 503."""

    handler = Handler

    def __init__(self) -> None:
        super().__init__()
        self.fail_after, self.failures = 10**9, 0
        self.asked: list[int] = []


def klines(start: int, limit: int) -> list[list[Any]]:
    first = max(0, -(-(start - START_MS) // 60_000))
    there = [k for k in range(first, MINUTES) if k not in OUTAGE][:limit]
    return [
        [START_MS + k * 60_000, "6.5", "6.7", "6.4", f"{6.5 + k % 10 / 100:.2f}", "10.5", 0, "0", 1, "0", "0", "0"]
        for k in there
    ]


def trades(start: int, end: int, limit: int) -> list[dict[str, Any]]:
    there = [k for k, ms in enumerate(TRADES) if start <= START_MS + ms <= end][:limit]
    return [
        {"a": k, "p": "6.5", "q": "1.5", "f": k, "l": k, "T": START_MS + TRADES[k], "m": k % 2 == 0, "M": True}
        for k in there
    ]


@pytest.fixture
def venue() -> Iterator[Venue]:
    server = Venue()
    with exchanges.serving(server):
        yield server


def fetch(folder: Path, venue: Venue, length_min: int = MINUTES, **more: Any) -> Dataset:
    settings = {"exchange": "binance", "symbol": "ATOM/USDT", "start_ns": START, "pause": lambda _: None, **more}
    settings.setdefault("end_ns", START + length_min * MINUTE_NS)
    return download(folder, endpoint=venue.address, **settings)


def test_bars_are_fetched_page_by_page_with_the_facts_of_the_market(tmp_path: Path, venue: Venue) -> None:
    progress: list[tuple[int, int]] = []
    dataset = fetch(tmp_path, venue, on_progress=lambda done, total: progress.append((done, total)))
    assert (dataset.venue, dataset.rows, dataset.synthetic) == ("binance", MINUTES - len(OUTAGE), False)
    assert [(end - start) // MINUTE_NS for start, end in dataset.gaps] == [len(OUTAGE)]
    assert progress[-1] == (MINUTES * MINUTE_NS, MINUTES * MINUTE_NS)
    assert len(progress) == len(venue.asked) >= 4
    instrument = DataReader(tmp_path).instrument("ATOM/USDT")
    assert (instrument.tick, instrument.lot, instrument.min_qty, instrument.min_notional) == (
        "0.001",
        "0.01",
        "0.01",
        5,
    )
    assert instrument.taker_fee_bps == 10


def test_a_second_run_asks_for_nothing_and_a_longer_one_only_for_the_rest(tmp_path: Path, venue: Venue) -> None:
    fetch(tmp_path, venue, 2500)
    asked = len(venue.asked)
    fetch(tmp_path, venue, 2500)
    assert len(venue.asked) == asked
    fetch(tmp_path, venue)
    assert venue.asked[asked:] == [START_MS + 2500 * 60_000, START_MS + 3500 * 60_000]


def test_a_failing_network_is_retried_with_growing_pauses(tmp_path: Path, venue: Venue) -> None:
    venue.fail_after, venue.failures = 2, 4
    pauses: list[float] = []
    assert fetch(tmp_path, venue, pause=pauses.append).rows == MINUTES - len(OUTAGE)
    assert pauses == [0.5, 1.0, 2.0, 4.0]


def test_a_download_that_breaks_off_goes_on_where_it_stopped(tmp_path: Path, venue: Venue) -> None:
    venue.fail_after, venue.failures = 2, 100
    with pytest.raises(DataError, match=r"binance does not answer after 7 tries .*the same command goes on from there"):
        fetch(tmp_path, venue)
    (broken,) = Store(tmp_path).datasets()
    assert broken.rows == 2000
    venue.failures = 0
    whole = fetch(tmp_path, venue)
    assert venue.asked[2] == broken.end_ns // 1_000_000
    assert whole == fetch(tmp_path / "at once", venue)


def test_ctrl_c_keeps_what_came(tmp_path: Path, venue: Venue) -> None:
    def interrupted(done: int, total: int) -> None:
        if done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path, venue, on_progress=interrupted)
    (kept,) = Store(tmp_path).datasets()
    assert kept.rows == len(klines(0, 10**6)[: kept.rows]) >= 2000
    assert fetch(tmp_path, venue).rows == MINUTES - len(OUTAGE)


def test_trades_are_fetched_over_quiet_hours_and_crowded_milliseconds(tmp_path: Path, venue: Venue) -> None:
    dataset = fetch(tmp_path, venue, 240, kind="trades")
    got = DataReader(tmp_path).read_trades("ATOM/USDT", format="polars")
    assert got["trade_id"].to_list() == [str(k) for k in range(len(TRADES))]
    assert got["ts_ns"].to_list() == [(START_MS + ms) * 1_000_000 for ms in TRADES]
    assert got["side"][:2].to_list() == ["sell", "buy"]
    asked = len(venue.asked)
    assert fetch(tmp_path, venue, 240, kind="trades").data_id == dataset.data_id
    assert len(venue.asked) - asked <= 2  # at most the quiet hours at the end


def test_a_period_without_anything_is_an_error_that_stores_nothing(tmp_path: Path, venue: Venue) -> None:
    after = START + (MINUTES + 10) * MINUTE_NS
    with pytest.raises(
        DataError, match="binance has no ohlcv_1m of ATOM/USDT for 2025-01-03T18:50 to 2025-01-03T19:50"
    ):
        fetch(tmp_path, venue, start_ns=after, end_ns=after + 60 * MINUTE_NS)
    assert list(tmp_path.iterdir()) == []


def test_wrong_arguments_are_explained(tmp_path: Path, venue: Venue) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"symbol": "ATOMUSDT"}, "symbol 'ATOMUSDT' is unknown at binance: did you mean ATOM/USDT"),
        ({"exchange": "binanze"}, "exchange 'binanze' is unknown to ccxt: did you mean binance"),
        ({"kind": "quotes"}, "bars .* and trades can be downloaded, not quotes"),
        ({"end_ns": START}, "start must be before end"),
    ]
    for more, reason in cases:
        with pytest.raises((ConfigError, DataError), match=reason):
            fetch(tmp_path, venue, **more)
    with pytest.raises(ConfigError, match="endpoint must be an address such as"):
        download(tmp_path, exchange="binance", symbol="ATOM/USDT", start_ns=START, endpoint="localhost")
    assert list(tmp_path.iterdir()) == []


def test_without_ccxt_the_line_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ccxt", None)
    with pytest.raises(ConfigError, match=r"not installed: pip install 'fillwright\[ccxt\]'"):
        download(tmp_path, exchange="binance", symbol="ATOM/USDT", start_ns=START)


def test_only_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    bars = minutes(START, [6.5] * 10)
    dataset = commit(Store(tmp_path), bars[2:8], covered=((START + 7 * MINUTE_NS, START + 9 * MINUTE_NS),))
    parts = missing(dataset, START, START + 12 * MINUTE_NS)
    assert [((a - START) // MINUTE_NS, (b - START) // MINUTE_NS) for a, b in parts] == [(0, 2), (9, 12)]
    assert missing(dataset, START + 3 * MINUTE_NS, START + 5 * MINUTE_NS) == []
    assert missing(None, 5, 9) == [(5, 9)]
