"""A trader split over three real processes on a real redis-server, each of them killed at any moment."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core import codec, topics
from core.chance import generator
from core.contracts import OrderIntent
from execution.contracts import AlgoType
from live import entries
from live.wanted import Wanted
from research.sample import write_sample
from risk.kill import KillSwitch
from tests.redis_server import RedisServer, own_redis_server, running  # noqa: F401 - a fixture
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


@pytest.mark.slow
def test_a_router_that_was_held_up_gets_nothing_done_after_another_has_taken_over(split: Split) -> None:
    # pitfall 28
    async def scene() -> dict[str, dict[str, Any]]:
        split.start()
        async with await split.bus() as bus:
            await place(bus, wanted)
            await _until(lambda: len(orders(split)) >= 3)
            held_up = split.take_over("router")
            try:
                await _until(lambda: "parents at work" in split.said("router").partition("parents at work")[2])
                before = len(orders(split))
                await _until(lambda: len(orders(split)) >= before + 2)
                held_up.send_signal(signal.SIGCONT)
                assert held_up.wait(timeout=WITHIN_S) == 1
            finally:
                held_up.kill()
            for topic, meta in ((topics.INTENT, {"epoch": 1}), (topics.ORDERS, {"epoch": 1, "gate_epoch": 1})):
                late = {"execution_id": name_of(wanted), "slice_id": topic, **meta}
                intent = OrderIntent(f"late-{topic[0]}", 0, "people", SYMBOL, "buy", "market", 1.0, meta=late)
                await bus.publish_json(topic, intent.to_dict())
            return await reports_of(bus, [name_of(wanted)], WITHIN_S)

    wanted = Wanted("o-1", SYMBOL, "buy", 40.0, "TWAP", 2400, None, {"completion": "complete", "slice_count": 20})
    reports = asyncio.run(scene())
    split.stop()
    assert "another router has taken over: this is start number 1, that one number 2" in split.said("router")
    assert reports[name_of(wanted)]["filled_quantity"] == 40.0
    assert sum(fill.qty for found in fills_of(split).values() for fill in found) == pytest.approx(40.0)
    risk = {entry["i"]["intent_id"]: entry for entry in split.entries("risk") if entry["k"] == "order"}
    assert "R20 epoch 1 is over, the current one is 2" in risk["late-s"]["why"]
    shut = {entry["closed"]["intent_id"]: entry["closed"] for entry in split.entries("broker") if entry["k"] == "shut"}
    assert shut["late-o"]["reason"] == "R20 router number 1 is over, number 2 has taken over"


@pytest.mark.slow
def test_redis_killed_under_them_every_parent_still_ends_with_exact_quantities(
    tmp_path: Path,
    own_redis_server: RedisServer,  # noqa: F811
    data_dir: Path,
) -> None:
    async def scene() -> dict[str, dict[str, Any]]:
        draw = generator(7, "deaths of the server")
        split.start()
        async with await split.bus() as bus:
            for one in wanted:
                await place(bus, one)
            waiting = asyncio.create_task(reports_of(bus, [name_of(one) for one in wanted], WITHIN_S))
            await _until(lambda: len(orders(split)) >= 3)
            for _ in range(4):
                await asyncio.sleep(float(draw.uniform(0.3, 1.2)))
                own_redis_server.kill()
                await asyncio.sleep(float(draw.uniform(0.0, 0.5)))
                own_redis_server.start()
            assert not waiting.done(), "it was over before the last death"
            return await waiting

    wanted = parents(30.0, 1800)
    split = Split(tmp_path / "own", own_redis_server, data_dir, speed=SPEED)
    try:
        reports = asyncio.run(scene())
        split.stop()
    finally:
        split.end()
    truth(split, wanted, reports)
    assert sum(one["filled_quantity"] for one in reports.values()) > 100


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():
            await asyncio.sleep(0.05)


def test_without_a_server_a_process_says_so_in_one_line(tmp_path: Path, data_dir: Path) -> None:
    from tests.split import write_settings

    write_settings(tmp_path)
    done = subprocess.run(
        [FILLWRIGHT, "serve", "risk", "--bus", f"unix://{tmp_path}/none", "--data-dir", data_dir],
        cwd=tmp_path, capture_output=True, text=True, timeout=WITHIN_S,
    )  # fmt: skip
    assert done.returncode == 1
    assert re.fullmatch(r"error: .*none.*\n", done.stderr), done.stderr
