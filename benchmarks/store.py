"""The store at size: rows per second and memory while writing and reading many symbols of one-minute bars.

    python benchmarks/store.py [--symbols N] [--days N] [--folder DIR]

The default, 500 symbols of 18.25 days, is 13 million rows: one twentieth of a year. It is written and read at a
quarter, a half and all of it; each reading is a fresh process that takes one symbol after the other, as a study of many
symbols does, and a lookup is what one symbol costs among so many. Beside it: polars alone, reading the same files.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from research.sample import SampleMarket, generate
from research.store import Store
from research.times import DAY_NS, iso, parse_ns

START = "2025-01-01"
VENUE = "bench"
YEAR_ROWS = 500 * 525_600
READING = """
import json, resource, sys, time
import numpy, polars, pandas
from research.data_reader import DataReader
folder, count = sys.argv[1], int(sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
reader = DataReader(folder)
begun = time.perf_counter()
rows = 0
for number in range(count):
    rows += len(reader.bars(f"COIN{number:03d}/USDT"))
took = time.perf_counter() - begun
begun = time.perf_counter()
for _ in range(20):
    reader.dataset("COIN000/USDT")
lookup = (time.perf_counter() - begun) / 20
files = [reader.store.source(one, month) for one in reader.describe()[:count] for month in one.months.values()]
begun = time.perf_counter()
for file in files:
    polars.read_parquet(file, glob=False, hive_partitioning=False)
bare = time.perf_counter() - begun
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"rows": rows, "s": took, "bare": bare, "lookup": lookup, "before": before, "after": after}))
"""


def main() -> None:
    arguments = argparse.ArgumentParser(description="Time the store at size.")
    arguments.add_argument("--symbols", type=int, default=500)
    arguments.add_argument("--days", type=float, default=18.25)
    arguments.add_argument("--folder", type=Path, default=None, help="where to write; a temporary folder if left out")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        measure(Path(folder), chosen.symbols, chosen.days)


def measure(folder: Path, symbols: int, days: float) -> None:
    end = iso(parse_ns(START) + int(days * DAY_NS))
    bars = generate(SampleMarket(), START, end)[0]
    store = Store(folder)
    written, seconds = 0, 0.0
    print(
        f"{'symbols':>8}{'rows':>12}{'write':>14}{'read':>14}{'of polars':>11}{'a lookup':>11}{'memory':>9}{'disk':>10}"
    )
    for count in (symbols // 4, symbols // 2, symbols):
        begun = time.perf_counter()
        for number in range(written, count):
            symbol = f"COIN{number:03d}/USDT"
            store.commit(bars, venue=VENUE, symbol=symbol, kind="ohlcv_1m", source="benchmark")
        seconds += time.perf_counter() - begun
        written = count
        found = json.loads(
            subprocess.run(
                [sys.executable, "-c", READING, str(folder), str(count)], check=True, capture_output=True, text=True
            ).stdout
        )
        rows = found["rows"]
        disk = sum(path.stat().st_size for path in folder.rglob("*.parquet"))
        print(
            f"{count:8}{rows:12,}{rows / seconds / 1e6:9.2f} M/s{rows / found['s'] / 1e6:10.2f} M/s"
            f"{found['s'] / found['bare']:10.2f}x{1e3 * found['lookup']:8.2f} ms"
            f"{found['after'] - found['before']:6.0f} MB{disk / rows:6.1f} B/row"
        )
    factor = YEAR_ROWS / rows
    print(
        f"\na year of 500 symbols ({YEAR_ROWS:,} rows) at these rates: {seconds * factor / 60:.0f} min to write, "
        f"{found['s'] * factor:.0f} s to read by one process, {disk * factor / 1e9:.1f} GB on disk"
    )


if __name__ == "__main__":
    main()
