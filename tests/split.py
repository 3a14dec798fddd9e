"""A trader split over real processes on a real redis-server: started, killed, started again, and looked at."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from core import topics
from core.bus_redis import RedisStreamBus
from core.contracts import FillEvent
from core.ids import execution_id
from core.journal_read import read
from live import entries
from live.wanted import PEOPLE, Wanted
from tests.redis_server import RedisServer

ROOT: Final = Path(__file__).resolve().parents[1]
FILLWRIGHT: Final = Path(sys.executable).with_name("fillwright")
SERVICES: Final = ("broker", "risk", "router")
SYMBOL: Final = "ATOM/USDT"
SEED: Final = 0
WITHIN_S: Final = 300.0  # only what hangs takes that long


class Split:
    """Three processes in `folder` on `server`; `speed` tape seconds per second. `stop` them in the end."""

    def __init__(self, folder: Path, server: RedisServer, data_dir: Path, *, speed: float = 300.0) -> None:
        self.folder = folder
        self._server = server
        self.data_dir = data_dir
        self._speed = speed
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.switch = folder / "kill"
        folder.mkdir(parents=True, exist_ok=True)
        write_settings(folder)

    def start(self, *names: str) -> None:
        for name in names or SERVICES:
            self._processes[name] = self._process(name)

    def _process(self, name: str, *more: str) -> subprocess.Popen[bytes]:
        command = [
            str(FILLWRIGHT), "serve", name, "--bus", self._server.url, "--data-dir", str(self.data_dir),
            "--prefix", self.folder.name, *(["--speed", str(self._speed)] if name == "broker" else []), *more,
        ]  # fmt: skip
        with (self.folder / f"{name}.out").open("ab") as out:
            return subprocess.Popen(command, cwd=self.folder, stdout=out, stderr=out)

    def take_over(self, name: str) -> subprocess.Popen[bytes]:
        """Holds a process up and starts another one on a copy of its journals; returns the one that is held up."""
        held_up = self._processes[name]
        held_up.send_signal(signal.SIGSTOP)
        shutil.copytree(self.folder / "var" / name, self.folder / "other" / name)
        self._processes[name] = self._process(name, "--folder", "other")
        return held_up

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`fillwright serve ...`, to its end."""
        command = [str(FILLWRIGHT), "serve", *words, "--bus", self._server.url, "--prefix", self.folder.name]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=WITHIN_S, check=False)

    def kill(self, name: str) -> None:
        """kill -9."""
        process = self._processes.pop(name)
        assert process.poll() is None, f"{name} had ended by itself: {self.said(name)}"
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """In order, by SIGTERM; raises where one had ended before, or ends otherwise than in order."""
        codes = {}
        for name, process in self._processes.items():
            codes[name] = process.poll()
            process.terminate()
        for name, process in self._processes.items():
            try:
                code = process.wait(timeout=WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            assert codes[name] is None, f"{name} had ended by itself with {codes[name]}: {self.said(name)}"
            assert code == 0, f"{name} ended with {code}: {self.said(name)}"
        self._processes.clear()

    def end(self) -> None:
        """However it stands."""
        for process in self._processes.values():
            process.kill()
            process.wait()

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.out").read_text()

    async def bus(self) -> RedisStreamBus:
        return await RedisStreamBus.connect(self._server.url, prefix=self.folder.name)

    def entries(self, name: str, journal: str = "journal") -> list[dict[str, Any]]:
        folder = self.folder / "var" / name / journal
        begun = any(folder.glob("*.ndjson"))  # the folder is there a moment before its first file
        return [entry.data for entry in read(folder, lenient=True)] if begun else []


def write_settings(folder: Path) -> None:
    """The shipped ones, without strategies, and with limits that time running fast does not meet."""
    shutil.copytree(ROOT / "config", folder / "config")
    live = yaml.safe_load((folder / "config/live.yaml").read_text())
    live |= {"folder": "var", "strategies": [], "fsync": "never", "seed": SEED}
    live["feed"] |= {"symbol": SYMBOL}
    for name in ("start", "end"):
        live["feed"].pop(name, None)
    (folder / "config/live.yaml").write_text(yaml.safe_dump(live))
    risk = yaml.safe_load((folder / "config/risk.yaml").read_text())
    risk["kill_switch_file"] = "kill"
    risk["limits"] |= {"max_reference_age_s": 36_000, "max_order_notional": 1e9, "max_position_qty": 1e6}
    risk["account"] |= {"max_open_notional": 1e9, "buying_power": 1e9, "max_daily_loss": 1e9}
    risk["intents"] |= {"max_age_s": 36_000}
    risk["rate"] |= {"max_orders": 10_000, "max_cancels": 10_000}
    risk["repeats"] |= {"max_executions": 10_000}
    (folder / "config/risk.yaml").write_text(yaml.safe_dump(risk))


def name_of(wanted: Wanted) -> str:
    return execution_id(SEED, PEOPLE, wanted.id)


async def place(bus: RedisStreamBus, wanted: Wanted) -> None:
    """What `fillwright order` would say."""
    await bus.publish_json(topics.PARENT, wanted.intent(0).to_dict(), message_id=f"{topics.PARENT}/{wanted.id}")


async def reports_of(bus: RedisStreamBus, names: Sequence[str], within_s: float) -> dict[str, dict[str, Any]]:
    """The newest report of each execution, once all have one; in a group, so that none is missed."""
    found: dict[str, dict[str, Any]] = {}
    async with asyncio.timeout(within_s), bus.consume("test", topics.REPORT) as consumer:
        async for delivery in consumer:
            found[delivery.payload["execution_id"]] = delivery.payload
            await consumer.done(delivery)
            if set(names) <= found.keys():
                break
    return found


def fills_of(split: Split) -> dict[str, list[FillEvent]]:
    """By order, from the venue made again from its own journal: the truth."""
    from broker.paper import PaperVenue
    from live.session import open_session, read_files
    from live.settings import load_live
    from research.data_reader import DataReader

    here = Path.cwd()
    os.chdir(split.folder)
    try:
        session = open_session(read_files(load_live("config/live.yaml")), DataReader(split.data_dir))
    finally:
        os.chdir(here)
    venue = PaperVenue("paper", session.tape.market)
    venue.restore(entry for entry in split.entries("broker") if entry["k"] == entries.VENUE)
    found: dict[str, list[FillEvent]] = {}
    for fill in venue.fills_since(0):
        found.setdefault(fill.order_id, []).append(fill)
    return found
