"""Every crash point and every moment for a kill, one after the other: fixed executions, nothing sampled."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import pytest

from broker.faults import Faults
from core.contracts import OrderIntent
from execution.config import FillConfig
from execution.contracts import AlgoType, ExecutionAlgorithm
from execution.events import Amend, Pause, Resume
from execution.intake import Request
from live.questions import Patience
from tests.lines import KilledError, Lines
from tests.markets import SYMBOL
from tests.naive import START_NS
from tests.simulation.process import Process
from tests.simulation.scenario import ALGORITHMS, Bus, Draws, Scenario, limits
from tests.simulation.world import World
from tests.test_live_engine import Trader
from tests.test_three_drivers_async import lively

MARKET: Final = 40  # a seed whose minutes trade up and down
SECOND: Final = 1_000_000_000

_TRY_ON: Final = {"retries": 100, "retry_seconds": 7.0}  # the gate refuses every third intent
GOLDEN: Final[dict[str, tuple[AlgoType, float, int, dict[str, Any]]]] = {
    "TWAP": ("TWAP", 600.0, 480, {"slice_count": 6, "order_type": "limit_then_cross", "completion": "complete"}),
    "TWAP at random": ("TWAP", 400.0, 400, {"randomize_time": 0.5, "randomize_size": 0.3, "order_type": "market"}),
    "VWAP": ("VWAP", 500.0, 480, {"slice_count": 6, "order_type": "limit_then_cross"}),
    "POV": ("POV", 700.0, 480, {"interval_seconds": 60.0, "target_pov": 0.1, "order_type": "market"}),
    "IS": ("IS", 500.0, 420, {"slice_count": 5, "half_life_seconds": 60.0, "order_type": "limit_then_cross"}),
    "Iceberg": (
        "Iceberg",
        300.0,
        400,
        {"visible_ratio": 0.3, "price": "peg", "levels": (0.6, 0.4), "clip_jitter": 0.2},
    ),
}


def golden(name: str) -> dict[str, Any]:
    """A market, a parent in it, and requests to it: paused, resumed and amended on its way."""
    kind, quantity, seconds, params = GOLDEN[name]
    return {
        "bars": lively(MARKET),
        "half": 0.01,
        "impact": True,
        "fills": FillConfig(max_participation=0.3, limit_rule="touch"),
        "algo": ExecutionAlgorithm(kind, SYMBOL, "buy", quantity, seconds, {**_TRY_ON, **params}),
        "refused": 3,
        "requests": [
            (START_NS + 130 * SECOND, Pause()),
            (START_NS + 170 * SECOND, Resume()),
            (START_NS + 250 * SECOND, Amend(quantity=int(quantity) - 50)),
        ],
        "start": -1,
    }


@pytest.mark.parametrize("name", GOLDEN)
def test_a_trader_that_dies_at_any_line_of_its_journal_ends_as_if_nothing_had_happened(name: str) -> None:
    # pitfalls 27, 28
    scene = golden(name)
    whole = Trader(scene, Lines(), [])
    whole.run()
    count = len(whole.lines.written)
    assert count > 30
    assert len(whole.fills) > 1
    wanted = _orders(whole.lines)
    for line in range(count):
        for torn in (False, True):
            lines, requests = Lines(dies_at=line, torn=torn), list[dict[str, Any]]()
            with suppress(KilledError):
                Trader(scene, lines, requests).run()
            assert len(lines.written) == line + (not torn)
            lines.dies_at = None
            again = Trader(scene, lines, requests)
            again.run()
            assert _orders(lines) == wanted
            assert again.gate.commands == whole.gate.commands
            sent = [request["intent"]["intent_id"] for request in requests if request["intent"]]
            assert len(set(sent)) == len(sent), "sent twice"
            assert again.fills == whole.fills
            ours, theirs = again.engine.reports.get("x-1"), whole.engine.reports.get("x-1")
            assert (ours and ours.fills) == (theirs and theirs.fills)


def _orders(lines: Lines) -> list[OrderIntent]:
    return [OrderIntent.from_dict(entry["i"]) for entry in lines.read() if entry["k"] == "order"]


# ---------------------------------------------------------------- the kill switch


SHORT: Final[dict[AlgoType, dict[str, Any]]] = {kind: {"slice_count": 4} for kind in ("TWAP", "VWAP", "IS")}
QUICK: Final = (("TWAP", False), ("TWAP", True), ("Iceberg", False))
KILLS: Final = [
    pytest.param(kind, by_hand, id=f"{kind}-{'by hand' if by_hand else 'told'}", marks=slow)
    for kind in ALGORITHMS
    for by_hand in (False, True)
    for slow in ([] if (kind, by_hand) in QUICK else [pytest.mark.slow],)
]


class Kind(Draws):
    """Nothing that only might happen does."""

    def happens(self, in_a_hundred: int) -> bool:
        return False


def recorded(kind: AlgoType) -> Scenario:
    """A world in which only the venue goes wrong: a parent of this kind works, and another one beside it."""
    bars = lively(MARKET)
    begins = int(bars.ts_open_ns[0])
    algo = ExecutionAlgorithm(kind, SYMBOL, "buy", 400.0, 300, SHORT.get(kind, {}))
    other = replace(algo, algo_type="TWAP", total_quantity=200.0, params={"order_type": "market", "slice_count": 4})
    return Scenario(
        seed=1,
        bars=bars,
        half=0.01,
        impact=True,
        fills=FillConfig(max_participation=0.3, limit_rule="touch"),
        requests=(
            Request("x-0", "p-0", "tester", algo, begins + 61 * SECOND, 100.0),
            Request("x-1", "p-1", "tester", other, begins + 75 * SECOND, 100.0),
        ),
        operators=(),
        faults=Faults(lost_answer=0.2, late_news=0.2, lost_request=0.1, cut_fill=0.5),
        patience=Patience(),
        limits=limits(Kind(0)),
        bus=Bus(),
        deaths=(),
        jumps=(),
        full_at=None,
        sync_fails_at=None,
        kill_store_fails=False,
        segment_bytes=1 << 20,
    )


class Killed(World):
    """Killed before its n-th step, by a word to the trader or by hand past it; then it dies and comes back."""

    def __init__(self, scenario: Scenario, step: int | None, by_hand: bool) -> None:
        super().__init__(scenario)
        self._kill_at, self._by_hand = step, by_hand
        self.sent_before: int | None = None

    def _step(self, latest_ns: int) -> None:
        if self.told.steps == self._kill_at:
            self.sent_before = len(self.sent)
            if self._by_hand:
                self.kill.on = True
                self._at(self.now_ns + SECOND, lambda: self._live(Process.watch))
            else:
                self._live(lambda process: process.kill("operator"))
        super()._step(latest_ns)

    def reborn(self) -> Process:
        """Dies at rest, loses power, and begins again."""
        self._die()
        self._birth()
        assert self.process is not None
        return self.process


@pytest.mark.parametrize(("kind", "by_hand"), KILLS)
def test_after_a_kill_at_any_event_nothing_is_sent_and_the_venue_is_empty(kind: AlgoType, by_hand: bool) -> None:
    # pitfalls 27, 29
    whole = Killed(recorded(kind), None, by_hand)
    steps = whole.run().steps
    assert len(whole.sent) > 4
    for step in range(1, steps):
        world = Killed(recorded(kind), step, by_hand)
        world.run()
        assert world.sent_before == len(world.sent), f"sent after a kill at step {step}"
        assert not world.truth.open_orders()
        process = world.reborn()
        assert process.engine.latched is not None, f"not killed after a restart, killed at step {step}"
        assert process.engine.killed
        with pytest.raises(ValueError, match="kill switch"):
            process.start(replace(recorded(kind).requests[0], execution_id="x-9"))
        assert world.sent_before == len(world.sent)
