"""A store in a bucket is read as one in a folder is; nobody writes to it, and every failure is one line."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import ConfigError, DataError
from research.data_reader import DataReader
from research.place import place_of
from research.sample import SampleMarket, ensure_sample, write_sample
from research.store import Store
from research.verify import verify
from tests.object_store import Bucket, bucket_of
from tests.shell import shell

SYMBOL = "ATOM/USDT"


KINDS = 2  # the sample has bars and quotes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two symbols, three days over two months each."""
    made = tmp_path_factory.mktemp("market")
    for symbol in (SYMBOL, "NEAR/USDT"):
        write_sample(made / "below", SampleMarket(symbol=symbol), start="2025-01-30", end="2025-02-02")
    return made


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Bucket]:
    """One for all tests: clients remember where a bucket is."""
    with bucket_of(folder) as bucket:
        yield bucket


@pytest.fixture
def bucket(served: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    for name, value in served.settings.items():
        monkeypatch.setenv(name, value)
    served.asked.clear()
    return served


URL = "s3://market/below"


def test_a_bucket_gives_the_same_bars_as_the_folder_it_was_copied_from(folder: Path, bucket: Bucket) -> None:
    here, there = DataReader(folder / "below"), DataReader(URL)
    assert there.describe() == here.describe()
    assert there.read_ohlcv(SYMBOL, "5m", format="polars").equals(here.read_ohlcv(SYMBOL, "5m", format="polars"))
    assert there.instrument(SYMBOL) == here.instrument(SYMBOL)


@pytest.mark.parametrize("written", [URL, URL + "/", Path(URL), "s3:/market/below"])
def test_a_url_survives_having_been_a_path(written: str | Path, bucket: Bucket) -> None:
    assert {one.symbol for one in Store(written).datasets(kind="quotes")} == {SYMBOL, "NEAR/USDT"}


def test_only_the_month_that_is_asked_for_is_fetched(bucket: Bucket) -> None:
    reader = DataReader(URL)
    january = reader.dataset(SYMBOL).months["2025-01"]
    frame = reader.read_ohlcv(SYMBOL, "1m", january.start_ns, january.end_ns, format="polars")
    assert len(frame) == january.rows
    fetched = {one.split()[1] for one in bucket.asked if one.endswith(".parquet")}
    assert [Path(key).name for key in fetched] == [january.file]


def test_a_symbol_is_looked_up_and_not_searched_among_all_others(bucket: Bucket) -> None:
    DataReader(URL).dataset(SYMBOL)
    assert not any("NEAR" in one for one in bucket.asked)


@pytest.fixture
def copied(bucket: Bucket, folder: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The store once more in the same bucket, to be damaged."""
    copy = folder / request.node.name
    shutil.copytree(folder / "below", copy)
    yield copy
    shutil.rmtree(copy)


def test_a_store_that_is_checked_is_checked_wherever_it_lies(copied: Path) -> None:
    store = Store(f"s3://market/{copied.name}")
    assert all(verify(store, one).problems == () for one in store.datasets())
    torn = next(copied.rglob("month=2025-02*.parquet"))
    torn.write_bytes(torn.read_bytes()[:-10])
    assert sum(len(verify(store, one).problems) for one in store.datasets()) == 1


def test_an_object_that_is_gone_is_one_line(copied: Path) -> None:
    for gone in copied.rglob("month=2025-02*.parquet"):
        gone.unlink()
    with pytest.raises(DataError, match=r"ATOM/USDT at sample.* cannot be read: .*data check"):
        DataReader(f"s3://market/{copied.name}").bars(SYMBOL)


def test_a_bucket_is_never_written_to(bucket: Bucket) -> None:
    with pytest.raises(DataError, match="read only: store the data in a folder"):
        write_sample(URL, SampleMarket(), start="2025-01-30", end="2025-01-31")
    with pytest.raises(DataError, match="no market data is stored in s3://market/empty, and a bucket is read only"):
        ensure_sample("s3://market/empty")


def test_a_bucket_that_does_not_answer_is_one_line(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(DataError, match="s3://nowhere cannot be read: "):
        DataReader("s3://nowhere").describe()


def test_without_the_package_a_bucket_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    monkeypatch.setitem(sys.modules, "obstore.exceptions", None)
    with pytest.raises(ConfigError, match=r"pip install 'fillwright\[cloud\]'"):
        place_of("s3://market/below")


def test_commands_read_a_bucket(bucket: Bucket, tmp_path: Path) -> None:
    listed = shell(["fillwright", "data", "list", "--data-dir", URL, "--json"], tmp_path)
    assert [one["symbol"] for one in json.loads(listed.stdout)] == [SYMBOL] * KINDS + ["NEAR/USDT"] * KINDS
    period = ["--start", "2025-01-30", "--end", "2025-01-31"]
    refused = shell(["fillwright", "data", "sample", "--data-dir", URL, *period], tmp_path)
    assert refused.returncode == 1
    assert "read only" in refused.stderr
