"""The trader in worlds that go wrong, from one seed each; `docs/correctness.md` says what that shows."""

from __future__ import annotations

from collections import Counter

import pytest

from broker.faults import Faults
from tests.simulation.__main__ import again, kept
from tests.simulation.checker import ViolationError
from tests.simulation.mutants import MUTANTS, planted
from tests.simulation.scenario import scenario
from tests.simulation.world import World

QUICK, SLOW, CHUNK = 150, 5_000, 50
FOUND_WITHIN = 60


def play(first: int, count: int) -> list[World]:
    worlds = []
    for seed in range(first, first + count):
        world = World(scenario(seed))
        try:
            world.run()
        except ViolationError as error:
            raise AssertionError(f"{error}; {again(seed)}") from error
        worlds.append(world)
    return worlds


@pytest.mark.parametrize("first", range(0, QUICK, CHUNK))
def test_every_invariant_holds_after_every_event(first: int) -> None:
    # pitfalls 8, 9, 10, 11, 14, 17, 18, 27, 28, 29, 37, 40
    play(first, CHUNK)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(QUICK, QUICK + SLOW, 2 * CHUNK))
def test_every_invariant_holds_after_every_event_of_thousands_of_worlds(first: int) -> None:
    play(first, 2 * CHUNK)


@pytest.mark.parametrize("seed", kept())
def test_a_seed_that_failed_once_fails_no_more(seed: int) -> None:
    play(seed, 1)


def test_the_same_seed_is_the_same_world() -> None:  # pitfall 33
    for seed in (3, 11, 26):
        one, other = (play(seed, 1)[0] for _ in range(2))
        assert one.told == other.told
        assert one.venue.log == other.venue.log
        assert one.truth.fills == other.truth.fills


def test_the_worlds_go_wrong_in_every_way_and_parents_still_get_done() -> None:
    worlds = play(1_000, 60)
    struck = {fault.fault for world in worlds for fault in world.venue.log}
    assert struck == {name for name in Faults.__dataclass_fields__ if not name.endswith("_ns")}
    states = Counter(state for world in worlds for state in world.told.states)
    assert min(states[name] for name in ("completed", "cancelled", "failed")) >= 3
    assert sum(world.told.lives for world in worlds) > 2 * len(worlds)
    assert sum(world.told.killed for world in worlds) >= 3
    assert sum(world.told.fills for world in worlds) > 2 * len(worlds)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_error_is_found(name: str) -> None:
    with planted(MUTANTS[name]):
        assert any(fails(seed) for seed in range(FOUND_WITHIN))


def fails(seed: int) -> bool:
    try:
        World(scenario(seed)).run()
    except ViolationError:
        return True
    return False
