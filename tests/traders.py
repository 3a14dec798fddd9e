"""Traders for tests: their settings, journals in memory that die at a line, and processes that are killed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from core import codec
from core.contracts import FillEvent
from core.journal_read import read
from live.session import Session, open_session, read_files
from live.settings import LiveSettings, ReplayFeed, StrategySettings
from live.trader import Trader
from live.wanted import Wanted
from research.data_reader import DataReader
from research.sample import write_sample
from risk.kill import KillSwitch
from tests.lines import Lines

ROOT = Path(__file__).resolve().parents[1]
SYMBOL = "ATOM/USDT"
STRATEGY = "trendline_break_v1"
WITHIN_S = 180.0  # only a process that hangs takes that long


def sample(folder: Path, *, end: str = "2025-01-05") -> Path:
    """A data folder with the first days of the sample market."""
    write_sample(folder, start="2025-01-01", end=end)
    return folder


def execution_file(folder: Path, algo: str) -> Path:
    """The execution settings that ship, with another default algorithm."""
    settings = yaml.safe_load((ROOT / "config" / "execution.yaml").read_text())
    settings["execution"]["routing"]["default_algo"] = algo
    file = folder / f"{algo}.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


def settings(folder: Path, *, algo: str = "TWAP", strategies: Sequence[str] = (STRATEGY,), **more: Any) -> LiveSettings:
    """Of a trader over the whole sample, with everything of its own below `folder`."""
    return replace(
        LiveSettings(
            folder=str(folder / "live"),
            strategies=tuple(StrategySettings(id=name, symbol=SYMBOL) for name in strategies),
            strategies_config=str(ROOT / "config" / "strategies.yaml"),
            execution_config=str(execution_file(folder, algo)),
            risk_config=str(ROOT / "config" / "risk.yaml"),
            feed=ReplayFeed(symbol=SYMBOL, speed="max"),
        ),
        **more,
    )


def session(data: Path, wanted: LiveSettings) -> Session:
    return open_session(read_files(wanted), DataReader(data))


@dataclass
class Life:
    """A trader's lives over one pair of journals."""

    session: Any  # makes a fresh one: a market remembers who traded in it
    kill: KillSwitch
    journal: Lines = field(default_factory=Lines)
    venue: Lines = field(default_factory=Lines)
    orders: tuple[Wanted, ...] = ()

    def open(self, *, accept_settings: bool = False) -> Trader:
        """A trader that goes on where the journals end."""
        trader = Trader(self.session(), self.journal, self.venue.append, kill=self.kill, orders=self.orders)
        trader.open(self.journal.read(), self.venue.read(), accept_settings=accept_settings)
        return trader

    def run(self) -> Trader:
        """From wherever the journals end to the end of the tape."""
        return to_the_end(self.open())


def to_the_end(trader: Trader) -> Trader:
    while trader.step():
        pass
    return trader


def until(trader: Trader, ts_ns: int) -> Trader:
    """Plays up to a time of the tape."""
    while trader.step(ts_ns):
        pass
    return trader


def reported(trader: Trader) -> dict[str, dict[str, Any]]:
    """Every report as it is written; NaN is None there, and equals itself."""
    return {name: codec.from_json(codec.to_json(report)) for name, report in trader.engine.reports.items()}


def filled(fills: Iterable[FillEvent]) -> float:
    return sum(fill.qty for fill in fills)


# ---- processes


def config_folder(folder: Path, *, risk: Any = None, **more: Any) -> Path:
    """A working directory with the settings that ship; `more` goes into live.yaml."""
    config = folder / "config"
    config.mkdir(parents=True)
    for name in ("execution.yaml", "risk.yaml", "strategies.yaml", "live.yaml"):
        (config / name).write_text((ROOT / "config" / name).read_text())
    live = yaml.safe_load((config / "live.yaml").read_text())
    feed = {"type": "replay", "symbol": SYMBOL, "speed": "max", **more.pop("feed", {})}
    (config / "live.yaml").write_text(yaml.safe_dump({**live, "strategies": [], "feed": feed, **more}))
    return folder


def fillwright(folder: Path, *words: str, timeout: float = WITHIN_S) -> subprocess.CompletedProcess[str]:
    """A command in a working directory, to its end."""
    return subprocess.run(_command(*words), cwd=folder, capture_output=True, text=True, timeout=timeout)


def started(folder: Path, *words: str) -> subprocess.Popen[str]:
    """`fillwright trade` as a process of its own."""
    return subprocess.Popen(
        _command("trade", "--no-report", "--json", *words),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ready(process: subprocess.Popen[str], folder: Path, *, within_s: float = WITHIN_S) -> None:
    """Waits until a trader answers."""
    for _ in range(int(within_s / 0.02)):
        if (folder / "var" / "live" / "trader.sock").exists():
            return
        if process.poll() is not None:
            raise AssertionError(f"the trader ended with {process.returncode}: {process.communicate()}")
        time.sleep(0.02)
    raise AssertionError("the trader does not answer")


def noted(process: subprocess.Popen[str], folder: Path, kind: str) -> None:
    """Waits until a trader has written an entry of this kind."""
    for _ in range(int(WITHIN_S / 0.05)):
        journal = folder / "var" / "live" / "journal"
        if journal.exists() and any(entry.kind == kind for entry in read(journal, lenient=True)):
            return
        if process.poll() is not None:
            raise AssertionError(f"the trader ended with {process.returncode}: {process.communicate()}")
        time.sleep(0.05)
    raise AssertionError(f"the trader writes no {kind}")


def written(folder: Path) -> int:
    """Bytes in both journals."""
    return sum(file.stat().st_size for name in ("journal", "venue") for file in (folder / name).glob("*.ndjson"))


def orders_file(folder: Path, *orders: dict[str, Any]) -> str:
    (folder / "orders.ndjson").write_text("".join(json.dumps(one) + "\n" for one in orders))
    return "orders.ndjson"


def _command(*words: str) -> list[str]:
    return [sys.executable, "-c", "from fillwright.cli import main; main()", *words]
