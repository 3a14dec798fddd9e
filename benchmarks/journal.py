"""How many entries a second the journal takes, without and with fdatasync, beside a bare loop of as many bytes.

    python benchmarks/journal.py [--entries N] [--folder DIR]

Entries are those of a parent that hears a quote, about 150 bytes a line. `group of 16` is a sync for every 16 entries,
as a trader does before it sends an order. Opening is the check of the whole journal, reading its decoding.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from core.journal import Fsync, Journal
from core.journal_lines import line_of
from core.journal_read import read

ENTRY = {
    "k": "heard", "t": 1_700_000_000_123_456_789, "x": "x-0123456789",
    "e": {"type": "Market", "bid_ticks": 10_001, "ask_ticks": 10_003, "ts_ns": 1_700_000_000_123_000_000},
}  # fmt: skip


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--entries", type=int, default=200_000, help="without sync; with sync a hundredth of it")
    arguments.add_argument("--folder", type=Path, help="on which disk; the system's temporary folder unless given")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        place = Path(folder)
        many, few = chosen.entries, max(100, chosen.entries // 100)
        print(f"{'entries per second':24}{'journal':>12}{'bare write':>12}{'journal / bare':>16}")
        row("no sync", journal(place / "never", "never", many, 0), bare(place / "bare-never", many, 0))
        row(
            "fdatasync, group of 16", journal(place / "group", "on_sync", 8 * few, 16), bare(place / "b16", 8 * few, 16)
        )
        row("fdatasync each", journal(place / "always", "always", few, 0), bare(place / "bare-always", few, 1))
        size = sum(path.stat().st_size for path in (place / "never").glob("*.ndjson"))
        opening = rate(lambda: Journal(place / "never").close(), many)
        reading = rate(lambda: sum(1 for _ in read(place / "never")), many)
        print(f"\nopening checks {opening:,.0f} entries a second, reading decodes {reading:,.0f}")
        print(f"an entry is {size / many:.0f} bytes")


def row(name: str, ours: float, theirs: float) -> None:
    print(f"{name:24}{ours:12,.0f}{theirs:12,.0f}{ours / theirs:16.2f}")


def journal(folder: Path, fsync: Fsync, count: int, group: int) -> float:
    def write() -> None:
        with Journal(folder, fsync=fsync) as target:
            for number in range(1, count + 1):
                target.append(ENTRY)
                if group and number % group == 0:
                    target.sync()

    return rate(write, count)


def bare(path: Path, count: int, group: int) -> float:
    """The same number of bytes, ready made: `os.write`, and fdatasync after so many."""
    body = (
        b'{"n":123456,"b":123456,"e":{"ask_ticks":10003,"bid_ticks":10001,"ts_ns":1700000000123000000,"type":"Market"},'
        b'"k":"heard","t":1700000000123456789,"x":"x-0123456789"}'
    )
    line = line_of(body)

    def write() -> None:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        for number in range(1, count + 1):
            os.write(handle, line)
            if group and number % group == 0:
                os.fdatasync(handle)
        os.close(handle)

    return rate(write, count)


def rate(call: Callable[[], object], count: int) -> float:
    begun = time.perf_counter()
    call()
    return count / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
