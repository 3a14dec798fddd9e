"""Runs simulated worlds: `python -m tests.simulation --seeds 5000`. A seed that fails is printed and kept.

With `--split` those of the trader that is split over processes.
"""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import click

from tests.simulation.checker import ViolationError
from tests.simulation.mutants import MUTANTS, planted
from tests.simulation.scenario import scenario
from tests.simulation.split.mutants import MUTANTS as SPLIT_MUTANTS
from tests.simulation.split.scenario import scenario as split_scenario
from tests.simulation.split.world import Told as SplitTold
from tests.simulation.split.world import World as SplitWorld
from tests.simulation.world import Told, World

SEEDS: Final = Path(__file__).parent.parent / "seeds"


def kept(*, split: bool = False) -> list[int]:
    """Seeds that have failed at some time."""
    lines = _file(split=split).read_text(encoding="utf-8").splitlines()
    return [int(line.split("#")[0]) for line in lines if line[:1].isdigit()]


def keep(seed: int, what: str, *, split: bool = False) -> None:
    if seed not in kept(split=split):
        with _file(split=split).open("a", encoding="utf-8") as file:
            file.write(f"{seed}  # {what[:100]}\n")


def again(seed: int, *, split: bool = False) -> str:
    """How to see it once more."""
    return f"python -m tests.simulation --start {seed} --seeds 1 {'--split' if split else '--faults'}"


def _file(*, split: bool) -> Path:
    return SEEDS / ("split_once_failed.txt" if split else "once_failed.txt")


@click.command()
@click.option("--seeds", default=1000, show_default=True, help="How many worlds.")
@click.option("--start", default=0, show_default=True, help="The first seed.")
@click.option("--split", is_flag=True, help="Of three processes and their bus.")
@click.option("--mutant", type=click.Choice([*MUTANTS, *SPLIT_MUTANTS]), help="With an error planted: it should fail.")
@click.option("--faults", is_flag=True, help="List the venue's faults in each world of one process.")
def main(seeds: int, start: int, split: bool, mutant: str | None, faults: bool) -> None:
    """Plays simulated worlds and checks the invariants after every event. Exit code 1 where one is violated."""
    if mutant is not None and mutant not in (SPLIT_MUTANTS if split else MUTANTS):
        raise click.UsageError(f"--mutant {mutant} belongs to worlds {'without' if split else 'with'} --split")
    total: Counter[str] = Counter()
    failed = 0
    for seed in range(start, start + seeds):
        try:
            total.update(_play_split(seed, mutant) if split else _play(seed, mutant, faults=faults))
        except ViolationError as error:
            failed += 1
            click.echo(f"seed {seed}: {error}\n  again: {again(seed, split=split)}")
            if mutant is None:
                keep(seed, str(error), split=split)
    click.echo(f"{seeds} worlds, {failed} failed: " + ", ".join(f"{n} {name}" for name, n in total.items()))
    sys.exit(bool(failed))


def _play(seed: int, mutant: str | None, *, faults: bool) -> Counter[str]:
    world = World(scenario(seed))
    try:
        with planted(MUTANTS[mutant]) if mutant else nullcontext():
            told = world.run()
    finally:
        if faults:
            began_ns = int(world.scenario.bars.ts_open_ns[0])
            for struck in world.venue.log:
                click.echo(f"  {(struck.ts_ns - began_ns) / 1e9:10.3f} s {struck.fault} {struck.subject}")
    return _counted(told, "steps", "lives", "checks", "children", "fills", "faults", "killed")


def _play_split(seed: int, mutant: str | None) -> Counter[str]:
    with TemporaryDirectory() as folder, planted(SPLIT_MUTANTS[mutant]) if mutant else nullcontext():
        told = SplitWorld(split_scenario(seed), Path(folder)).run()
    return _counted(told, "steps", "lives", "checks", "children", "fills", "replaced", "killed") + told.ended


def _counted(told: Told | SplitTold, *names: str) -> Counter[str]:
    return Counter(told.states) + Counter({name: int(getattr(told, name)) for name in names})


if __name__ == "__main__":
    main()
