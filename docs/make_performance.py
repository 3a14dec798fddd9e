"""Writes the tables of docs/performance.md.

    python docs/make_performance.py [var/peers/results.json] [--bench]

With a file of `python -m benchmarks.peers`, its figures are taken over; with `--bench`, the benchmarks of our own that
the page shows are run, which takes minutes. Everything is kept in docs/performance.json, round by round, and the page's
parts between `<!-- generated: NAME -->` and `<!-- end -->` are made of that; a test compares the two.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.peers.tables import TABLES

ROOT = Path(__file__).resolve().parents[1]
PAGE, STORED = ROOT / "docs" / "performance.md", ROOT / "docs" / "performance.json"
OWN = ("nine_months", "engine_scaling", "batch", "fills", "startup")
_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    arguments = argparse.ArgumentParser(description="Make the tables of docs/performance.md.")
    arguments.add_argument("results", type=Path, nargs="?", help="what `python -m benchmarks.peers` wrote")
    arguments.add_argument("--bench", action="store_true", help=f"run {', '.join(OWN)} anew")
    chosen = arguments.parse_args()
    figures = stored()
    if chosen.results is not None:
        figures["peers"] = json.loads(chosen.results.read_text(encoding="utf-8"))
    if chosen.bench:
        figures["own"] = {name: printed(name) for name in OWN}
    STORED.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(filled_in(PAGE.read_text(encoding="utf-8"), figures), encoding="utf-8")
    print(f"wrote {PAGE.name} and {STORED.name}")


def stored() -> dict[str, Any]:
    """The figures that the page shows."""
    found: dict[str, Any] = json.loads(STORED.read_text(encoding="utf-8"))
    return found


def printed(name: str) -> str:
    """What a benchmark prints. Raises CalledProcessError where it fails."""
    print(f"running benchmarks/{name}.py", file=sys.stderr)
    words = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py")]
    return subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout.strip("\n")


def part(name: str, figures: dict[str, Any]) -> str:
    """A generated part. Raises KeyError for one that nobody makes."""
    if name in OWN:
        return f"```text\n{figures['own'].get(name, f'not measured yet: python benchmarks/{name}.py')}\n```"
    return TABLES[name](figures["peers"])


def filled_in(page: str, figures: dict[str, Any]) -> str:
    """The page with every generated part made anew."""
    return _PART.sub(lambda found: f"{found[1]}{part(found[2], figures)}\n{found[3]}", page)


if __name__ == "__main__":
    main()
