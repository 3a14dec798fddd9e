"""A trader split over three real processes on a real redis-server, each of them killed at any moment."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core import codec, topics
from core.chance import generator
from execution.contracts import AlgoType
from live import entries
from live.wanted import Wanted
from research.sample import write_sample
from risk.kill import KillSwitch
from tests.redis_server import RedisServer, running
from tests.split import FILLWRIGHT, SERVICES, SYMBOL, WITHIN_S, Split, fills_of, name_of, place, reports_of

SPEED = 100.0
ALGORITHMS: tuple[AlgoType, ...] = ("TWAP", "VWAP", "POV", "Iceberg", "IS")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_sample(folder, start="2025-01-01", end="2025-01-10")
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """It is not killed here: what it has told the operating system is enough."""
    yield from running("--appendfsync", "everysec")


@pytest.fixture
def split(tmp_path: Path, server: RedisServer, data_dir: Path) -> Iterator[Split]:
    made = Split(tmp_path / server.prefix(), server, data_dir, speed=SPEED)
    yield made
    made.end()


def parents(qty: float, seconds: int) -> list[Wanted]:
    """One of each algorithm; POV has no way of completing, the others do."""
    return [
        Wanted(
            f"o-{kind}", SYMBOL, "buy", qty, kind, seconds, None, {} if kind == "POV" else {"completion": "complete"}
        )
        for kind in ALGORITHMS
    ]


def truth(split: Split, wanted: list[Wanted], reports: dict[str, dict[str, Any]]) -> None:
    """Reports say what the venue's journal says; no child doubled, none lost, none that nobody asked for."""
    sent = [entry["intent"]["intent_id"] for entry in orders(split)]
    assert len(set(sent)) == len(sent), "sent twice"
    risk = [entry for entry in split.entries("risk") if entry["k"] == "order" and entry["i"]["action"] == "new"]
    passed = [entry["i"]["intent_id"] for entry in risk if entry["ok"]]
    router = [
        entry for entry in split.entries("router") if entry["k"] == entries.ORDER and entry["i"]["action"] == "new"
    ]
    asked = [entry["i"]["intent_id"] for entry in router]
    assert len(set(passed)) == len(passed)
    assert len(set(asked)) == len(asked)
    shut = {entry["closed"]["intent_id"] for entry in split.entries("broker") if entry["k"] == "shut"}
    assert set(passed) <= set(sent) | shut, "a child that risk let pass was lost"
    assert set(sent) <= set(passed) <= set(asked), "somebody went round risk"
    fills = fills_of(split)
    for one in wanted:
        report = reports[name_of(one)]
        own = [fill for order, found in fills.items() if order.startswith(name_of(one)) for fill in found]
        assert sum(fill.qty for fill in own) == pytest.approx(report["filled_quantity"], abs=1e-9)
        assert report["filled_quantity"] <= one.quantity
        if report["filled_quantity"] < one.quantity:
            assert report["unfilled_reason"], report
        else:
            assert report["status"] == "completed"


def orders(split: Split) -> list[dict[str, Any]]:
    """What the venue was sent, cancels apart."""
    venue = [entry for entry in split.entries("broker") if entry["k"] == entries.VENUE and entry["intent"]]
    return [entry for entry in venue if entry["intent"]["action"] == "new"]


def test_three_processes_fill_an_order_from_the_command_line(split: Split) -> None:
    split.start()
    words = [
        "--id",
        "o-1",
        "--symbol",
        SYMBOL,
        "--side",
        "buy",
        "--quantity",
        "6",
        "--algo",
        "TWAP",
        "--duration",
        "120",
    ]
    words += ["--param", "order_type=market", "--param", "slice_count=2", "--wait"]
    for _ in range(2):  # once more changes nothing
        done = split.run("order", *words)
        assert done.returncode == 0, done.stderr + split.said("router")
        report = codec.from_json(done.stdout)
        assert report["status"] == "completed"
    split.stop()
    truth(split, [Wanted("o-1", SYMBOL, "buy", 6.0)], {report["execution_id"]: report})
    assert len(orders(split)) == 2


@pytest.mark.slow
def test_three_processes_work_a_parent_of_each_algorithm(split: Split) -> None:
    async def scene() -> dict[str, dict[str, Any]]:
        split.start()
        async with await split.bus() as bus:
            for one in wanted:
                await place(bus, one)
            return await reports_of(bus, [name_of(one) for one in wanted], WITHIN_S)

    wanted = parents(20.0, 900)
    reports = asyncio.run(scene())
    split.stop()
    truth(split, wanted, reports)
    done = [one for one in reports.values() if one["status"] == "completed"]
    assert len(done) >= 4
    for name in SERVICES:
        verified = subprocess.run([FILLWRIGHT, "verify", split.folder / "var" / name / "journal"], check=False)
        assert verified.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_random_moments_no_child_is_doubled_and_none_is_lost(split: Split, seed: int) -> None:
    # pitfall 27, pitfall 28
    async def scene() -> dict[str, dict[str, Any]]:
        draw = generator(seed, "deaths of processes")
        names = [name_of(one) for one in wanted]
        split.start()
        async with await split.bus() as bus:
            for one in wanted:
                await place(bus, one)
            waiting = asyncio.create_task(reports_of(bus, names, WITHIN_S))
            for _ in range(12):
                await asyncio.sleep(float(draw.uniform(0.2, 1.6)))
                if waiting.done():
                    break
                victim = SERVICES[int(draw.integers(len(SERVICES)))]
                split.kill(victim)
                killed.append(victim)
                await asyncio.sleep(float(draw.uniform(0.0, 0.3)))
                split.start(victim)
            return await waiting

    killed: list[str] = []
    wanted = parents(40.0, 1800)
    reports = asyncio.run(scene())
    split.stop()
    assert len(killed) >= 6, killed
    truth(split, wanted, reports)
    assert sum(one["filled_quantity"] for one in reports.values()) > 100


@pytest.mark.slow
@pytest.mark.parametrize("how", ["file", "bus"])
def test_killed_by_the_switch_no_process_sends_anything_more(split: Split, how: str) -> None:
    # pitfall 29
    async def scene() -> tuple[int, dict[str, dict[str, Any]]]:
        split.start()
        switch = KillSwitch(split.switch)
        async with await split.bus() as bus:
            for one in wanted:
                await place(bus, one)
            async with asyncio.timeout(WITHIN_S):
                while len(orders(split)) < 5:
                    await asyncio.sleep(0.05)
            if how == "file":
                switch.trip("me", "test", 1)
            else:
                await bus.publish_json(topics.KILL, {"by": "me", "reason": "test"})
                async with asyncio.timeout(WITHIN_S):
                    while not switch.tripped():
                        await asyncio.sleep(0.001)
            await asyncio.sleep(1.0)  # the one that was on its way past the look at the switch, on a busy machine
            before = len(orders(split))
            reports = await reports_of(bus, [name_of(one) for one in wanted], WITHIN_S)
            split.kill("router")
            split.kill("broker")
            split.start("router", "broker")
            late = Wanted("late", SYMBOL, "buy", 50.0, "TWAP", 600)
            await place(bus, late)
            return before, await reports_of(bus, [name_of(late)], WITHIN_S) | reports

    wanted = parents(100.0, 7200)
    before, reports = asyncio.run(scene())
    split.stop()
    assert len(orders(split)) == before, "an order was sent after the latch"
    truth(split, wanted, reports)
    assert {reports[name_of(one)]["status"] for one in wanted} == {"cancelled"}
    refused = reports[name_of(Wanted("late", SYMBOL, "buy", 50.0))]
    assert refused["status"] == "failed"
    assert "kill switch" in refused["unfilled_reason"]
    assert split.switch.exists(), "still killed"


def test_without_a_server_a_process_says_so_in_one_line(tmp_path: Path, data_dir: Path) -> None:
    from tests.split import write_settings

    write_settings(tmp_path)
    done = subprocess.run(
        [FILLWRIGHT, "serve", "risk", "--bus", f"unix://{tmp_path}/none", "--data-dir", data_dir],
        cwd=tmp_path, capture_output=True, text=True, timeout=WITHIN_S,
    )  # fmt: skip
    assert done.returncode == 1
    assert re.fullmatch(r"error: .*none.*\n", done.stderr), done.stderr
