"""Values to try: a list of them, a range, or one; all combinations of several, or draws."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

from core import checks, config
from core.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

Block = Mapping[str, Any]
MOST_SETTINGS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """low <= value <= high: `steps` values of a grid, evenly over the scale, or any of them drawn.

    Where both ends are whole numbers, the values are.
    """

    low: float | int
    high: float | int
    steps: int = 5
    scale: Literal["linear", "log"] = "linear"

    def __post_init__(self) -> None:
        checks.between("steps", self.steps, 2, 1000)
        for name in ("low", "high"):
            (checks.positive if self.scale == "log" else checks.finite)(name, getattr(self, name))
        if self.low >= self.high:
            raise ValueError(f"low must be below high, was {self.low} and {self.high}")

    def at(self, share: float) -> float | int:
        """The value at this part of the scale, 0 to 1."""
        if self.scale == "log":
            value = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + share * (self.high - self.low)
        value = min(max(value, self.low), self.high)
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        return round(value) if whole else float(f"{value:.6g}")  # six digits: what is typed in later is what was tried

    def grid(self) -> list[float | int]:
        return list(dict.fromkeys(self.at(step / (self.steps - 1)) for step in range(self.steps)))


Axis = Range | tuple[Any, ...]


def axes_of(block: Block, where: str) -> dict[str, Axis]:
    """The values to try under each name. Raises ConfigError naming the place."""
    return {name: _axis(value, f"{where}.{name}") for name, value in block.items()}


def _axis(value: Any, where: str) -> Axis:
    if isinstance(value, Mapping):
        return config.parse(value, Range, source=where)
    if not isinstance(value, list | tuple):
        return (value,)
    if not value:
        raise ConfigError(f"{where}: must hold at least one value")
    if any(isinstance(one, list | tuple | Mapping) for one in value):
        raise ConfigError(f"{where}: must be a value, a list of values, or low, high, steps and scale")
    return tuple(dict.fromkeys(value))


def combinations(axes: Mapping[str, Axis]) -> Iterator[dict[str, Any]]:
    """Every combination, the last name changing first. No names: one empty combination."""
    columns = [axis.grid() if isinstance(axis, Range) else axis for axis in axes.values()]
    if math.prod(map(len, columns)) > MOST_SETTINGS:
        raise ConfigError(
            f"the values make {math.prod(map(len, columns)):,} combinations, more than {MOST_SETTINGS:,}: "
            "take fewer, or search at random"
        )
    for values in product(*columns):
        yield dict(zip(axes, values, strict=True))


def drawn(axes: Mapping[str, Axis], chance: np.random.Generator) -> dict[str, Any]:  # noqa: TID251 - a type, no draw
    """One combination, each value drawn evenly."""
    return {
        name: axis.at(chance.random()) if isinstance(axis, Range) else axis[int(chance.integers(len(axis)))]
        for name, axis in axes.items()
    }
