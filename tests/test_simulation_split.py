"""The trader split over three processes, in worlds that go wrong; `docs/correctness.md` says what that shows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from core import topics
from tests.simulation.__main__ import again, kept
from tests.simulation.checker import ViolationError
from tests.simulation.mutants import planted
from tests.simulation.split.mutants import MUTANTS
from tests.simulation.split.scenario import scenario
from tests.simulation.split.world import World

QUICK, SLOW, CHUNK = 60, 500, 20
FOUND_WITHIN = 120
FOUND_AT_ONCE = (
    "passes_on_what_it_refused",
    "enlarges_orders",
    "allows_before_it_is_safe",
    "forgets_reservations",
    "writes_no_fills",
    "trades_while_killed",
)


def play(first: int, count: int, folder: Path) -> list[World]:
    worlds = []
    for seed in range(first, first + count):
        home = folder / str(seed)
        home.mkdir(exist_ok=True)
        (home / "kill").unlink(missing_ok=True)
        world = World(scenario(seed), home)
        try:
            world.run()
        except ViolationError as error:
            raise AssertionError(f"{error}; {again(seed, split=True)}") from error
        worlds.append(world)
    return worlds


@pytest.mark.parametrize("first", range(0, QUICK, CHUNK))
def test_every_invariant_holds_between_three_processes(first: int, tmp_path: Path) -> None:
    # pitfalls 8, 10, 11, 14, 17, 18, 27, 28, 29
    play(first, CHUNK, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(QUICK, QUICK + SLOW, 5 * CHUNK))
def test_every_invariant_holds_between_three_processes_in_many_worlds(first: int, tmp_path: Path) -> None:
    play(first, 5 * CHUNK, tmp_path)


@pytest.mark.parametrize("seed", kept(split=True))
def test_a_seed_that_failed_once_fails_no_more(seed: int, tmp_path: Path) -> None:
    play(seed, 1, tmp_path)


def test_the_same_seed_is_the_same_world(tmp_path: Path) -> None:  # pitfall 33
    for seed in (4, 11, 26):
        one, other = (play(seed, 1, tmp_path)[0] for _ in range(2))
        assert one.told == other.told
        assert one.now_ns == other.now_ns
        mine, theirs = one.server.streams, other.server.streams
        assert mine.keys() == theirs.keys()
        assert all(mine[topic] == theirs[topic] for topic in mine if topic != topics.CLOCK), "beats name their run"


@pytest.mark.slow
def test_the_worlds_go_wrong_in_every_way_and_parents_still_get_done(tmp_path: Path) -> None:
    worlds = play(1_000, 120, tmp_path)
    ended, states = Counter[str](), Counter[str]()
    for world in worlds:
        ended += world.told.ended
        states += Counter(world.told.states)
    assert min(ended[name] for name in ("Crashed", "BusError", "JournalError", "ReplacedError", "UnwrittenError")) >= 2
    assert min(states[name] for name in ("completed", "cancelled", "failed")) >= 10
    assert sum(world.told.killed for world in worlds) >= 5
    assert sum(world.told.fills for world in worlds) > 2 * len(worlds)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FOUND_AT_ONCE else pytest.mark.slow) for name in MUTANTS]
)
def test_a_planted_error_is_found(name: str, tmp_path: Path) -> None:
    within = 10 if name in FOUND_AT_ONCE else FOUND_WITHIN
    with planted(MUTANTS[name]):
        assert any(fails(seed, tmp_path) for seed in (*range(within), *kept(split=True)))


def fails(seed: int, folder: Path) -> bool:
    try:
        play(seed, 1, folder)
    except AssertionError:
        return True
    return False
