"""nautilus_trader, hftbacktest, vectorbt and backtesting.py beside Fillwright, on the same work, in turn.

    python -m benchmarks.peers [--rounds N] [--only nautilus,hftbacktest] [--folder var/peers]

Makes a virtual environment for each peer and the data, runs round by round, one fresh process a measurement, in another
order each round, prints the tables and writes `results.json`, from which `python docs/make_performance.py` makes the
page. Seven rounds take about an hour: nautilus_trader with a thousand parents takes more than a minute each.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.peers.environments import PEERS, python_of
from benchmarks.peers.rounds import held_together, machine, measured, play
from benchmarks.peers.tables import TABLES
from benchmarks.peers.works import OURS, Sizes, prices, works
from core.errors import FillwrightError

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.peers", description="Peers on the same work.")
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--only", default=",".join(PEERS), help="the peers, with commas between them")
    arguments.add_argument("--folder", type=Path, default=ROOT / "var" / "peers", help="environments, data, results")
    chosen = arguments.parse_args()
    wanted = chosen.only.split(",")
    strangers = sorted(set(wanted) - set(PEERS))
    if strangers or chosen.rounds < 1:
        arguments.error(
            f"--only knows {', '.join(PEERS)}, not {', '.join(strangers)}" if strangers else "--rounds >= 1"
        )
    folder = chosen.folder.absolute()
    try:
        pythons = {peer: python_of(peer, folder) for peer in wanted}
        results = compared({**pythons, OURS: Path(sys.executable)}, chosen.rounds, Sizes(), folder)
    except FillwrightError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name, table in TABLES.items():
        print(f"{name}\n{table(results)}\n")
    print(f"wrote {folder / 'results.json'}")
    return 0


def compared(pythons: dict[str, Path], rounds: int, sizes: Sizes, folder: Path) -> dict[str, Any]:
    """All measurements of the works that these peers do; kept in `results.json` after each work."""
    place, kept = folder / "data", folder / "results.json"
    sizes.write(place)
    found: dict[str, Any] = {"machine": machine(), "works": {}, "prices": {}}
    for work in works(sizes):
        if not work.peers & pythons.keys():
            continue
        for engine in work.peers & pythons.keys():  # the first run after an installation compiles files, or finds them
            measured(next(one for one in work.contenders if one.engine == engine), pythons, place)
        found["works"][work.name] = play(work, rounds, pythons, place)
        written(found, kept)
    if "nautilus" in pythons:
        for name, (theirs, ours, their_file, our_file) in prices(sizes, place).items():
            measured(theirs, pythons, place)
            measured(ours, pythons, place)
            found["prices"][name] = held_together(their_file, our_file)
            written(found, kept)
    return found


def written(results: dict[str, Any], path: Path) -> None:
    """As a whole or not at all; works that were not measured this time keep their figures."""
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for part in ("works", "prices"):
        results[part] = {**before.get(part, {}), **results[part]}
    beside = path.with_suffix(".tmp")
    beside.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    beside.replace(path)


if __name__ == "__main__":
    sys.exit(main())
