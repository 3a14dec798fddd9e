"""One market of many parents, worked by the compiled loop: what `execution.desk.Desk` does, read from logs afterwards.

A run starts parents as it likes and plays bars in between; the account is known at every stop. Reports and fills are
made when all is over. Parents that the loop does not cover, and numbers beyond its tables, end the run (`left`): then
the whole of it belongs to the desk of the machine.
"""

from __future__ import annotations

from typing import Final, TypeGuard

import numpy as np
from numpy.typing import NDArray

from core.contracts import sign
from execution.batch_desk import BEGIN, FINISH, PLAY, SHORT, compiled
from execution.batch_grow import appended, roomier
from execution.batch_intake import Jobs
from execution.batch_pack import Ground, packed
from execution.batch_plans import intake, is_loop_parent
from execution.batch_tables import Fill, Order, Seat, Tables, written
from execution.desk import Worked
from execution.machine_code import MachineCode
from execution.parent import ParentOrder
from execution.venue import Venue

ROWS: Final = 4096  # of each log to begin with


class LoopRun:
    """The desk of one run. `lots`, `to_trade` (of the parents at work, signed) and `cash` are the account's."""

    def __init__(self, venue: Venue, ground: Ground, capital: float, loop: MachineCode) -> None:
        self._venue = venue
        self._code = loop
        self._last_bar = len(venue.bars) - 1
        self._tables = packed(ground, intake(venue, Jobs.one_by_one([])), np.zeros(0, np.int64), ROWS)
        self._handed: Tables | None = None  # those with which the code has been prepared
        self._tables.floors["cash"] = capital
        self._full = self._tables.floors["full"]
        self._lots, self._to_trade = self._tables.floors["lots"], self._tables.floors["to_trade"]
        self._cash, self._commands = self._tables.floors["cash"], self._tables.floors["commands"]
        self.parents: list[ParentOrder] = []
        self.begun_ns: list[int] = []  # when each of them came
        self.due = len(venue.bars)  # the next bar in which something can happen
        self.moved = True  # the account may have changed; whoever has looked at it says False

    @classmethod
    def of(cls, venue: Venue, capital: float) -> LoopRun | None:
        """None where there is no compiled loop, or it does not know such a venue."""
        ground = venue.ground
        loop = None if ground is None else compiled()
        return None if ground is None or loop is None else cls(venue, ground, capital, loop)

    @property
    def left(self) -> bool:
        """Whether this run is beyond the loop."""
        return self._full[0] > 0  # type: ignore[no-any-return]

    @property
    def lots(self) -> int:
        return int(self._lots[0])

    @property
    def to_trade(self) -> int:
        return int(self._to_trade[0])

    @property
    def cash(self) -> float:
        return float(self._cash[0])

    @property
    def commands(self) -> int:
        """How many have been sent."""
        return int(self._commands[0])

    def takes(self, worked: Worked) -> TypeGuard[ParentOrder]:
        """Whether the loop works this parent as the machine would."""
        return is_loop_parent(worked, self._venue)

    def start(self, parent: ParentOrder, now_ns: int, seen_bar: int, lots: int) -> None:
        """Puts a parent to work at `now_ns`, when bar `seen_bar` is the last one known; it counts as so many lots."""
        number = len(self.parents)
        self._to_trade[0] += sign(parent.parent.side) * lots
        self._tables = appended(self._tables, number, parent, now_ns, seen_bar)
        self.parents.append(parent)
        self.begun_ns.append(now_ns)
        self._make_room()
        self.moved = True
        self.due = self._run(BEGIN, number, now_ns, seen_bar)

    def play(self, until: int) -> None:
        """Plays the bars up to `until`, with it, in which something can happen."""
        self.moved = True
        while self.due <= until and not self.left:
            self.due = self._run(PLAY, self.due - 1, 0, until)
            if self._full[0] == SHORT:
                self._full[0] = 0
                self._make_room(double=True)

    def finish(self) -> None:
        """The data are over: those at work leave as they stand."""
        self._run(FINISH, 0, 0, self._last_bar)

    @property
    def orders(self) -> NDArray[np.void]:
        """The log of commands, in order of time: see `execution.batch_tables.Order`."""
        return written(Order, self._tables.orders, self.commands)

    @property
    def fills(self) -> NDArray[np.void]:
        """The log of fills that were heard, in that order: see `execution.batch_tables.Fill`."""
        return written(Fill, self._tables.fills, int(self._tables.floors["heard"][0]))

    @property
    def seats(self) -> NDArray[np.void]:
        """Where each parent stands: see `execution.batch_tables.Seat`."""
        return written(Seat, self._tables.seats, len(self.parents))

    def _run(self, what: int, number: int, now_ns: int, bar: int) -> int:
        """See `execution.batch_desk.run`."""
        if self._handed is not self._tables:
            self._enter = self._code.prepared((what, number, now_ns, bar), self._tables)
            self._handed = self._tables
        return self._enter(what, number, now_ns, bar)  # type: ignore[no-any-return]

    def _make_room(self, *, double: bool = False) -> None:
        self._tables = roomier(self._tables, double=double)
