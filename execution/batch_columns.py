"""Parents at their start in rows and columns: `batch_plans` fills them in, `batch_pack` reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from execution.base import BaseExecutor
from execution.batch_intake import Handed, Jobs, hand_over
from execution.batch_usual import Key, UsualVolume
from execution.venue import Venue

Profiles = dict[Key, UsualVolume]


class Column:
    """Rows of different length, one behind the other."""

    def __init__(self, kind: type = np.int64) -> None:
        self._kind = kind
        self._parts: list[NDArray[Any]] = []
        self.length = 0

    def add(self, values: Any) -> int:
        """Where these values begin."""
        part: NDArray[Any] = np.asarray(values, self._kind).ravel()
        begin = self.length
        if len(part):
            self._parts.append(part)
        self.length += len(part)
        return begin

    def joined(self) -> NDArray[Any]:
        """All of it; what has been added in one piece is not copied."""
        if len(self._parts) == 1:
            return self._parts[0]
        return np.concatenate(self._parts) if self._parts else np.zeros(0, self._kind)


@dataclass(slots=True)
class Intake:
    """Parents at their start: rows of `Plan` and `Brief`, and the columns in which their curves and draws lie.

    looped: whether the loop plays them as the machine would. handed: those that have started one by one.
    """

    jobs: Jobs
    executors: Sequence[BaseExecutor]  # of the settings
    plans: NDArray[np.void]
    briefs: NDArray[np.void]
    looped: NDArray[np.bool_]
    handed: dict[int, Handed] = field(default_factory=dict)
    starts: Column = field(default_factory=Column)
    targets: Column = field(default_factory=Column)
    volume: Column = field(default_factory=Column)
    draws: Column = field(default_factory=lambda: Column(np.float64))
    profiles: Profiles = field(default_factory=dict)

    def at_start(self, venue: Venue, number: int) -> Handed:
        """The parent for the machine, which nobody has driven yet."""
        if number in self.handed:
            return self.handed.pop(number)
        return hand_over(venue, self.jobs[number], self.executors[self.jobs.setting[number]])
