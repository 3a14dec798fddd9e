"""The async driver: parents at work over a bus, each child published at its time and never before.

Children go to `strat.intent`, where the risk gate takes them; what became of them comes back on `risk.decision`,
`orders.accepted`, `fills.new` and `orders.closed`, the market on `md.*`; a report goes to `exec.report` when its parent
has ended. All decisions are the switchboard's; this file only waits and publishes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from core import topics
from core.clock import Clock, WallClock
from core.contracts import OrderIntent
from core.instrument import Instrument
from execution.adapters import Listener, Signal, timer_of
from execution.contracts import ExecutionReport
from execution.desk import Worked
from execution.events import Amend, Cancel, Pause, Resume
from execution.switchboard import Command, Switchboard

if TYPE_CHECKING:
    from core.bus import BusProto

Request = Pause | Resume | Amend | Cancel
STOPPED = "stopped by request"


class Conductor:
    """Works parents over a bus, from the moment it is made; `run` once.

    `clock`: the machine's unless given; with a `ManualClock` time passes when that is moved. The other arguments are
    those of `execution.switchboard.Switchboard`. Repeated, late and shuffled messages are harmless.
    """

    def __init__(
        self,
        bus: BusProto,
        instruments: Mapping[str, Instrument],
        *,
        clock: Clock | None = None,
        daily_volumes: Mapping[str, float] | None = None,
        own_in_tape: bool = False,
        on_refused: Callable[[str, str], None] = lambda _topic, _reason: None,
    ) -> None:
        self._bus = bus
        self._timer = timer_of(clock if clock is not None else WallClock())
        self._board = Switchboard(
            instruments, daily_volumes=daily_volumes, own_in_tape=own_in_tape, on_refused=on_refused
        )
        self._listener = Listener(bus, self._board.topics, self._timer)
        self._requests: deque[Callable[[int], list[Command]]] = deque()
        self._stop_by_ns: int | None = None

    @property
    def working(self) -> bool:
        """Whether a parent is at work."""
        return self._board.working

    @property
    def refused(self) -> int:
        """Messages that could not be read."""
        return self._board.refused

    def mid(self, symbol: str) -> float:
        """What the market data so far say of a symbol's price; NaN while nothing is known of it."""
        feed = self._board.feeds.get(symbol)
        return math.nan if feed is None else feed.mid

    def start(self, parent: Worked, *, decision_price: float | None = None) -> str:
        """Puts a parent to work and returns its execution id; it may start at any time in the future.

        Raises ValueError for a symbol without an instrument, an execution that has been here before, or after `stop`.
        """
        if self._stop_by_ns is not None:
            raise ValueError("the conductor is stopping: it takes no more parents")
        execution_id = self._board.admit(parent, decision_price=decision_price)
        self._ask(partial(self._board.begin, execution_id))
        return execution_id

    def tell(self, execution_id: str, request: Request) -> None:
        """Pauses, resumes, amends or cancels a parent; one that has ended stays as it is."""
        self._ask(partial(self._board.tell, execution_id, request))

    def stop(self, reason: str = STOPPED, *, within_seconds: float = 30.0) -> None:
        """Cancels every parent; `run` returns when all have ended on evidence, or after so many seconds."""
        self._stop_by_ns = self._timer.now_ns() + round(within_seconds * 1e9)
        self._ask(partial(self._board.tell_all, Cancel(reason)))

    async def run(self, *, forever: bool = False) -> list[ExecutionReport]:
        """Works until no parent is left, `forever` until `stop`; either way until the bus is closed.

        Returns the reports of the parents that have not ended, as they stand: none, unless `stop` ran out of time or
        the bus was closed. Raises RuntimeError where a child cannot be published because the bus is closed.
        """
        async with self._listener as listener:
            while True:
                while self._requests:
                    await self._publish(self._requests.popleft()(self._timer.now_ns()))
                if self._over(forever):
                    break
                heard = await listener.next(self._until_ns())
                now_ns = self._timer.now_ns()
                if heard is Signal.END:
                    break
                if heard is Signal.TIME:
                    await self._publish(self._board.wake(now_ns))
                elif not isinstance(heard, Signal):
                    await self._publish(self._board.hear(*heard, now_ns))
        return self._board.unfinished()

    def _over(self, forever: bool) -> bool:
        if self._stop_by_ns is not None:
            return not self.working or self._timer.now_ns() >= self._stop_by_ns
        return not (forever or self.working)

    def _until_ns(self) -> int | None:
        return min((ts_ns for ts_ns in (self._board.wake_ns, self._stop_by_ns) if ts_ns is not None), default=None)

    def _ask(self, request: Callable[[int], list[Command]]) -> None:
        self._requests.append(request)
        self._listener.call()

    async def _publish(self, commands: list[Command]) -> None:
        for command in commands:
            topic = topics.INTENT if isinstance(command, OrderIntent) else topics.REPORT
            await self._bus.publish_json(topic, command.to_dict())
