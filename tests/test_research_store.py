from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import DataError
from research.dataset import Dataset, content_hash, united
from research.place import MANIFEST
from research.store import Store
from research.times import MINUTE_NS, parse_ns

JANUARY = parse_ns("2025-01-31T23:58")


def minutes(first_ns: int, closes: list[float], volume: float = 10.0) -> pl.DataFrame:
    """One-minute bars that close at these prices and open where the one before closed."""
    opens = [closes[0], *closes[:-1]]
    times = [first_ns + k * MINUTE_NS for k in range(len(closes))]
    return pl.DataFrame(
        {
            "ts_open_ns": times,
            "ts_close_ns": [time + MINUTE_NS for time in times],
            "open": opens,
            "high": [max(pair) for pair in zip(opens, closes, strict=True)],
            "low": [min(pair) for pair in zip(opens, closes, strict=True)],
            "close": closes,
            "volume": [volume] * len(closes),
        }
    )


def commit(store: Store, frame: pl.DataFrame, **more: object) -> Dataset:
    settings: dict[str, object] = {"venue": "binance", "symbol": "ATOM/USDT", "kind": "ohlcv_1m", "source": "test"}
    return store.commit(frame, **{**settings, **more})  # type: ignore[arg-type]


def stored(store: Store, dataset: Dataset) -> pl.DataFrame:
    return store.scan(dataset).collect()


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_bars_are_one_file_a_month_and_come_back_as_they_were(tmp_path: Path) -> None:
    store, bars = Store(tmp_path), minutes(JANUARY, [6.5, 6.6, 6.4, 6.45])
    dataset = commit(store, bars)
    assert sorted(dataset.months) == ["2025-01", "2025-02"]
    names = files(tmp_path / "venue=binance" / "symbol=ATOM%2FUSDT" / "kind=ohlcv_1m")
    assert [name.split(".")[0] for name in names] == ["dataset", "month=2025-01", "month=2025-02"]
    assert stored(store, dataset).equals(bars)
    assert store.datasets() == [dataset]
    assert (dataset.rows, dataset.start_ns, dataset.end_ns) == (4, JANUARY, JANUARY + 4 * MINUTE_NS)


def test_a_scan_opens_only_the_months_it_needs(tmp_path: Path) -> None:
    store = Store(tmp_path)
    dataset = commit(store, minutes(JANUARY, [6.5, 6.6, 6.4, 6.45]))
    folder = store.folder("binance", "ATOM/USDT", "ohlcv_1m")
    (folder / dataset.months["2025-01"].file).unlink()
    february = parse_ns("2025-02-01")
    assert len(store.scan(dataset, february).collect()) == 2
    with pytest.raises(DataError, match=r"month=2025-01\.\w+\.parquet is missing: `fillwright data check`"):
        store.scan(dataset, february - 1)


def test_the_same_rows_twice_change_nothing(tmp_path: Path) -> None:
    store, bars = Store(tmp_path), minutes(JANUARY, [6.5, 6.6, 6.4])
    once = commit(store, bars)
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    assert commit(store, bars) == once
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(6)), st.integers(1, 5))
def test_the_order_of_overlapping_imports_does_not_matter(order: list[int], width: int) -> None:
    import tempfile

    bars = minutes(JANUARY, [6.5, 6.6, 6.4, 6.45, 6.3, 6.2])
    with tempfile.TemporaryDirectory() as folder:
        for first in order:
            dataset = commit(Store(folder), bars[first : first + width])
        assert stored(Store(folder), dataset).equals(bars)
        assert dataset.gaps == ()


def test_conflicting_rows_are_refused_and_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    commit(store, minutes(JANUARY, [6.5, 6.6, 6.4]))
    before = files(tmp_path)
    with pytest.raises(DataError) as refused:
        commit(store, minutes(JANUARY - MINUTE_NS, [6.5, 6.5, 6.6, 6.7]))
    line = str(refused.value)
    assert "1 new row(s) conflict with what is stored: 2025-02-01 (high 6.6 stored, 6.7 new, low 6.4" in line
    assert "--on-conflict keep or replace" in line
    assert files(tmp_path) == before


def test_conflicts_are_settled_as_told(tmp_path: Path) -> None:
    new = minutes(JANUARY, [6.5, 6.7, 6.4, 6.1])
    for side, close in (("keep", 6.6), ("replace", 6.7)):
        store = Store(tmp_path / side)
        commit(store, minutes(JANUARY, [6.5, 6.6, 6.4]))
        closes = stored(store, commit(store, new, on_conflict=side))["close"].to_list()
        assert closes == [6.5, close, 6.4, 6.1]


def test_a_column_that_one_source_does_not_know_is_filled_from_the_other(tmp_path: Path) -> None:
    store, bars = Store(tmp_path), minutes(JANUARY, [6.5, 6.6])
    commit(store, bars)
    dataset = commit(store, bars[:1].with_columns(pl.lit(65.0).alias("quote_volume")))
    assert stored(store, dataset)["quote_volume"].to_list() == [65.0, None]
    assert commit(store, bars) == dataset


def test_equal_trades_without_ids_are_kept_apart_but_not_doubled(tmp_path: Path) -> None:
    store = Store(tmp_path)
    trades = pl.DataFrame({"ts_ns": [JANUARY, JANUARY, JANUARY + 1], "price": [6.5] * 3, "qty": [1.0] * 3})
    for rows in (trades, trades[1:], trades):
        dataset = commit(store, rows, kind="trades")
    assert stored(store, dataset).equals(trades)


def test_trades_with_and_without_ids_do_not_mix(tmp_path: Path) -> None:
    store = Store(tmp_path)
    trades = pl.DataFrame({"ts_ns": [JANUARY], "price": [6.5], "qty": [1.0]})
    commit(store, trades.with_columns(pl.lit("a1").alias("trade_id")), kind="trades")
    with pytest.raises(DataError, match="trade_id must be in all rows or in none"):
        commit(store, trades, kind="trades")


def test_gaps_within_and_between_months_are_told(tmp_path: Path) -> None:
    store = Store(tmp_path)
    bars = minutes(parse_ns("2025-01-31T23:50"), [6.5] * 20)
    dataset = commit(store, pl.concat([bars[:3], bars[5:8], bars[12:]]))
    start = bars["ts_open_ns"].to_list()
    assert dataset.gaps == ((start[3], start[5]), (start[8], start[12]))
    assert dataset.missing_bars == 6
    assert commit(store, bars[3:5]).gaps == ((start[8], start[12]),)


def test_a_bar_that_reaches_into_a_stored_one_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    commit(store, minutes(JANUARY, [6.5, 6.6]))
    with pytest.raises(DataError, match="begins before the stored one ends"):
        commit(store, minutes(JANUARY + MINUTE_NS // 2, [6.5]))


def test_synthetic_and_real_rows_never_mix(tmp_path: Path) -> None:
    store = Store(tmp_path)
    commit(store, minutes(JANUARY, [6.5]), synthesis={"seed": 1})
    with pytest.raises(DataError, match="holds synthetic rows, which never mix"):
        commit(store, minutes(JANUARY + MINUTE_NS, [6.5]))


def test_the_data_id_says_what_is_stored_and_not_how_it_came(tmp_path: Path) -> None:
    bars = minutes(JANUARY, [6.5, 6.6, 6.4, 6.3])
    whole = commit(Store(tmp_path / "a"), bars)
    commit(Store(tmp_path / "b"), bars[2:])
    assert commit(Store(tmp_path / "b"), bars[:2]).data_id == whole.data_id
    other = commit(Store(tmp_path / "c"), bars.with_columns(pl.col("volume") + 1e-9))
    assert other.data_id != whole.data_id


def test_nulls_and_empty_texts_hash_apart() -> None:
    hashes = {content_hash(pl.DataFrame({"side": column})) for column in (["", "buy"], [None, "buy"], ["buy", ""])}
    assert len(hashes) == 3


def test_a_dataset_without_rows_is_refused_and_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no rows to store"):
        commit(Store(tmp_path), minutes(JANUARY, [6.5])[:0])
    assert list(tmp_path.iterdir()) == []


def test_a_failed_first_write_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    with pytest.raises(OSError, match="No space left"):
        commit(Store(tmp_path), minutes(JANUARY, [6.5]))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_later_write_leaves_the_files_that_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    commit(store, minutes(JANUARY, [6.5]))
    before = files(tmp_path)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("research.store._write_manifest", interrupted)
    with pytest.raises(KeyboardInterrupt):
        commit(store, minutes(JANUARY, [6.5, 6.6, 6.4]))
    assert files(tmp_path) == before


def test_an_unreadable_manifest_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    commit(store, minutes(JANUARY, [6.5]))
    (store.folder("binance", "ATOM/USDT", "ohlcv_1m") / MANIFEST).write_text("{")
    with pytest.raises(DataError, match=r"dataset\.json is not readable .*: remove its folder and import the data"):
        store.datasets()


@pytest.mark.skipif(os.name != "posix", reason="kills a process with a signal")
@pytest.mark.parametrize("step", ["write_parquet", "_write_manifest", "_sweep"])
def test_a_killed_import_leaves_the_store_as_it_was_or_as_it_should_be(tmp_path: Path, step: str) -> None:
    store = Store(tmp_path)
    before = commit(store, minutes(JANUARY, [6.5, 6.6, 6.4]))
    target = {"write_parquet": "pl.DataFrame"}.get(step, "research.store")
    script = f"""
        import os, signal
        import polars as pl
        import research.store
        from tests.test_research_store import JANUARY, commit, minutes
        def killed(*args, **kwargs):
            os.kill(os.getpid(), signal.SIGKILL)
        setattr({target}, {step!r}, killed)
        commit(research.store.Store({str(tmp_path)!r}), minutes(JANUARY, [6.5, 6.6, 6.4, 6.3]))
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False, env=_path())
    assert ended.returncode == -signal.SIGKILL
    (now,) = store.datasets()
    assert now.rows == (4 if step == "_sweep" else before.rows)
    assert len(stored(store, now)) == now.rows
    after = commit(store, minutes(JANUARY, [6.5, 6.6, 6.4, 6.3]))
    assert after.rows == 4
    named = {MANIFEST, *(month.file for month in after.months.values())}
    assert {path.name for path in store.folder("binance", "ATOM/USDT", "ohlcv_1m").iterdir()} == named


def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    script = """
        import sys
        from research.store import Store
        from research.times import MINUTE_NS
        from tests.test_research_store import JANUARY, commit, minutes
        for k in range(int(sys.argv[2]), 12, 2):
            commit(Store(sys.argv[1]), minutes(JANUARY + k * MINUTE_NS, [6.5]))
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    writers = [subprocess.Popen([*command, first], env=_path()) for first in "01"]
    assert [writer.wait(300) for writer in writers] == [0, 0]
    (dataset,) = Store(tmp_path).datasets()
    assert (dataset.rows, dataset.gaps) == (12, ())


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=8))
def test_united_intervals_hold_the_same_points(parts: list[tuple[int, int]]) -> None:
    intervals = [(start, start + length) for start, length in parts]
    whole = united(intervals)
    assert {k for a, b in whole for k in range(a, b)} == {k for a, b in intervals for k in range(a, b)}
    assert all(before[1] < after[0] for before, after in pairwise(whole))


def _path() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
