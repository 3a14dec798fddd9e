"""Many symbols: what reading one costs does not depend on how many others there are, in files or in memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from core.bars import Bars
from research.data_reader import DataReader
from research.place import Folder
from research.sample import SampleMarket, generate
from research.store import Store

READING = """
import resource, sys
from research.data_reader import DataReader
reader = DataReader(sys.argv[1])
reader.bars("COIN000/USDT")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = sum(len(reader.bars(f"COIN{number:03d}/USDT")) for number in range(int(sys.argv[2])))
print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def filled(folder: Path, symbols: int, end: str) -> int:
    """A store of so many symbols with the same bars; how many rows each has."""
    bars = generate(SampleMarket(), "2025-01-01", end)[0]
    for number in range(symbols):
        Store(folder).commit(bars, venue="many", symbol=f"COIN{number:03d}/USDT", kind="ohlcv_1m", source="a test")
    return len(bars)


def test_a_symbol_opens_its_own_files_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path, 12, "2025-01-02")
    opened: list[str] = []
    manifests = Folder.manifests

    def noted(self: Folder, venue: str | None, symbol: str | None, kind: str | None) -> object:
        for name, content in manifests(self, venue, symbol, kind):
            opened.append(name)
            yield name, content

    monkeypatch.setattr(Folder, "manifests", noted)
    assert isinstance(DataReader(tmp_path).bars("COIN003/USDT"), Bars)
    assert opened
    assert all("COIN003" in name for name in opened)


@pytest.mark.slow
def test_a_twentieth_of_a_year_of_500_symbols_is_read_in_the_memory_of_one(tmp_path: Path) -> None:
    """13.7 million rows, 0.9 GB as columns; an eighth of them may be held at most while all are gone through."""
    rows = filled(tmp_path, 500, "2025-01-20")
    done = subprocess.run(
        [sys.executable, "-c", READING, str(tmp_path), "500"], check=True, capture_output=True, text=True
    )
    read, grown_kib = map(int, done.stdout.split())
    assert read == 500 * rows == 13_680_000
    assert grown_kib * 1024 < read * 7 * 8 / 8
