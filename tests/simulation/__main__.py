"""Runs simulated worlds: `python -m tests.simulation --seeds 5000`. A seed that fails is printed and kept."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import click

from tests.simulation.checker import ViolationError
from tests.simulation.mutants import MUTANTS, planted
from tests.simulation.scenario import scenario
from tests.simulation.world import World

SEEDS: Final = Path(__file__).parent.parent / "seeds" / "once_failed.txt"


def kept() -> list[int]:
    """Seeds that have failed at some time."""
    return [int(line.split("#")[0]) for line in SEEDS.read_text(encoding="utf-8").splitlines() if line[:1].isdigit()]


def keep(seed: int, what: str) -> None:
    if seed not in kept():
        with SEEDS.open("a", encoding="utf-8") as file:
            file.write(f"{seed}  # {what[:100]}\n")


def again(seed: int) -> str:
    """How to see it once more."""
    return f"python -m tests.simulation --start {seed} --seeds 1 --faults"


@click.command()
@click.option("--seeds", default=1000, show_default=True, help="How many worlds.")
@click.option("--start", default=0, show_default=True, help="The first seed.")
@click.option("--mutant", type=click.Choice(list(MUTANTS)), help="With an error planted: it should fail.")
@click.option("--faults", is_flag=True, help="List the faults of each world.")
def main(seeds: int, start: int, mutant: str | None, faults: bool) -> None:
    """Plays simulated worlds and checks the invariants after every event. Exit code 1 where one is violated."""
    total: Counter[str] = Counter()
    failed: list[int] = []
    for seed in range(start, start + seeds):
        world = World(scenario(seed))
        try:
            with planted(mutant) if mutant else nullcontext():
                told = world.run()
        except ViolationError as error:
            failed.append(seed)
            click.echo(f"seed {seed}: {error}\n  again: {again(seed)}")
            if mutant is None:
                keep(seed, str(error))
        else:
            total.update(told.states)
            for name in ("steps", "lives", "checks", "children", "fills", "faults"):
                total[name] += getattr(told, name)
            total["killed"] += told.killed
        if faults:
            began_ns = int(world.scenario.bars.ts_open_ns[0])
            for struck in world.venue.log:
                click.echo(f"  {(struck.ts_ns - began_ns) / 1e9:10.3f} s {struck.fault} {struck.subject}")
    click.echo(f"{seeds} worlds, {len(failed)} failed: " + ", ".join(f"{n} {name}" for name, n in total.items()))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
