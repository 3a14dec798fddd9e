"""What is measured: the works, and who does each of them how.

A contender is one process: a script in the interpreter of its peer, or a module in ours. It does its work once (or a
second time, where the first one compiles) and prints one line of JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.peers import data

OURS: Final = "fillwright"
HERE: Final = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Contender:
    """`name` as the tables call it. `words` follow the folder of the data. `once`: in the first round alone."""

    name: str
    engine: str
    script: str
    words: tuple[str, ...] = ()
    once: bool = False

    def command(self, pythons: dict[str, Path], folder: Path) -> list[str]:
        python = str(pythons[self.engine])
        what = ["-m", f"benchmarks.peers.{self.script}"] if self.engine == OURS else [str(HERE / f"{self.script}.py")]
        return [python, *what, str(folder), *self.words]


@dataclass(frozen=True, slots=True)
class Work:
    name: str
    contenders: tuple[Contender, ...]

    @property
    def peers(self) -> frozenset[str]:
        return frozenset(one.engine for one in self.contenders) - {OURS}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of the data, and the numbers of parents that are compared."""

    bars: int = 390_000
    trades: int = 1_000_000
    rows: int = 5_000_000
    parents: tuple[int, ...] = (20, 200, 1000)
    slices: int = 100

    def write(self, folder: Path) -> None:
        data.write(folder, bars=self.bars, trades=self.trades, rows=self.rows, parents=self.parents, slices=self.slices)


def works(sizes: Sizes) -> tuple[Work, ...]:
    """All works on data of these sizes."""
    return (
        Work("bars", tuple(_bars(sizes.parents))),
        Work("trades", tuple(_trades(min(sizes.parents)))),
        Work("breakout", _BREAKOUT),
        Work("book", _BOOK),
    )


def _bars(parents: tuple[int, ...]) -> list[Contender]:
    found = [
        Contender("nautilus_trader", "nautilus", "peer_nautilus"),
        Contender("fillwright", OURS, "ours_bars"),
        Contender("fillwright, handler", OURS, "ours_bars", ("--handler",)),
    ]
    for count in parents:
        words = ("--parents", str(count))
        last = count == max(parents)
        found.append(Contender(f"nautilus_trader / {count}", "nautilus", "peer_nautilus", words, once=last))
        found.append(Contender(f"nautilus_trader, purged / {count}", "nautilus", "peer_nautilus", (*words, "--purge")))
        found.append(Contender(f"fillwright / {count}", OURS, "ours_bars", words))
        found.append(Contender(f"fillwright, handler / {count}", OURS, "ours_bars", (*words, "--handler")))
    return found


def _trades(parents: int) -> list[Contender]:
    words = ("--parents", str(parents))
    return [
        Contender("nautilus_trader", "nautilus", "peer_nautilus", ("--on", "trades")),
        Contender(f"nautilus_trader / {parents}", "nautilus", "peer_nautilus", ("--on", "trades", *words)),
        Contender("fillwright", OURS, "ours_ticks"),
        Contender(f"fillwright / {parents}", OURS, "ours_ticks", words),
        Contender(f"fillwright, bare / {parents}", OURS, "ours_ticks", (*words, "--bare")),
    ]


_BREAKOUT: Final = (
    Contender("vectorbt", "vectorbt", "peer_vectorbt"),
    Contender("vectorbt, once", "vectorbt", "peer_vectorbt", ("--once",)),
    Contender("backtesting.py, once", "backtesting", "peer_backtesting", ("--once",)),
    Contender("fillwright", OURS, "ours_breakout"),
    Contender("fillwright, once", OURS, "ours_breakout", ("--once",)),
    Contender("fillwright, bare", OURS, "ours_breakout", ("--bare",)),
    Contender("fillwright, TWAP", OURS, "ours_breakout", ("--slices", "10")),
)
_BOOK: Final = (
    Contender("hftbacktest, HashMap", "hftbacktest", "peer_hftbacktest", ("--depth", "hashmap")),
    Contender("hftbacktest, ROIVector", "hftbacktest", "peer_hftbacktest", ("--depth", "roivector")),
    Contender("hftbacktest, once", "hftbacktest", "peer_hftbacktest", ("--depth", "roivector", "--once")),
    Contender("fillwright", OURS, "ours_book"),
    Contender("fillwright, once", OURS, "ours_book", ("--once",)),
    Contender("fillwright, prepared", OURS, "ours_book", ("--prepared",)),
)


def prices(sizes: Sizes, folder: Path) -> dict[str, tuple[Contender, Contender, Path, Path]]:
    """The runs whose children are compared fill by fill: nautilus and ours, without spread and impact."""
    found: dict[str, Any] = {}
    parents = ("--parents", str(min(sizes.parents)))
    for on, ours in (("bars", "ours_bars"), ("trades", "ours_ticks")):
        theirs_file, ours_file = folder / f"children_{on}_nautilus.npz", folder / f"children_{on}_ours.npz"
        found[on] = (
            Contender("nautilus_trader", "nautilus", "peer_nautilus",
                      ("--on", on, *parents, "--children", str(theirs_file))),
            Contender("fillwright, bare", OURS, ours, (*parents, "--bare", "--children", str(ours_file))),
            theirs_file,
            ours_file,
        )  # fmt: skip
    return found
