"""The running trader: one asyncio process that follows the tape, hears requests and signals, and looks at the switch.

Everything that it does to the trader happens in one task, one thing after the other, between two steps of the tape.
"""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from typing import Any, Final, Literal

from core.bus import BusProto
from core.clock import Clock
from live.answers import answer
from live.ccxt_feed import Poller
from live.effects import Publish
from live.live_tape import LiveTape
from live.requests import RequestServer
from live.settings import MAX, ReplayFeed
from live.sweep import Residue
from live.trader import Trader

NS: Final = 1_000_000_000
SWITCH_S: Final = 0.25  # how often an idle trader looks at the kill switch
SLICE_NS: Final = 20_000_000  # of wall time that the tape may take before requests get their turn
STOPPED: Final = "the trader is stopping"


class Ending(Enum):
    """Why a trader has come to its end."""

    TAPE_OVER = "the tape is over"
    STOPPED = "it was stopped, and every parent has ended"
    LEFT = "it was stopped, and goes on where it is with the next start"
    AT_ONCE = "it was told twice to stop"


class Pace:
    """Tape time that follows the wall's, `speed` times as fast from `tape_ns` on; "max": as fast as it goes."""

    def __init__(self, clock: Clock, speed: float | Literal["max"], tape_ns: int) -> None:
        self._clock = clock
        self._speed = speed
        self._wall_ns = clock.now_ns()
        self._tape_ns = tape_ns

    def tape_ns(self) -> int | None:
        """Where the tape should be by now; None: as far as it goes."""
        if self._speed == MAX:
            return None
        return self._tape_ns + int((self._clock.now_ns() - self._wall_ns) * self._speed)

    def wait_s(self, tape_ns: int | None) -> float:
        """How long until the tape is there, and at most until the switch is to be looked at."""
        if self._speed == MAX:
            return 0.0
        if tape_ns is None:
            return SWITCH_S
        due_ns = self._wall_ns + (tape_ns - self._tape_ns) / self._speed
        return min(SWITCH_S, max(0.0, (due_ns - self._clock.now_ns()) / NS))


class Service:
    """`run` once. `on_look` is called now and then with the trader, for people who watch."""

    def __init__(
        self,
        trader: Trader,
        bus: BusProto,
        said: deque[Publish],
        *,
        clock: Clock,
        on_look: Callable[[Trader], None] = lambda _trader: None,
        on_residue: Callable[[Residue], None] = lambda _residue: None,
        feed: Poller | None = None,
        on_feed: Callable[[str], None] = lambda _line: None,
    ) -> None:
        """`said`: what the trader puts there is published after each step, in order.

        feed     what fills the trader's tape, where that is a live one; `on_feed` hears of it, in its thread
        """
        self.trader = trader
        self._bus = bus
        self._said = said
        self._clock = clock
        self._on_look = on_look
        self._on_residue = on_residue
        self._feed = feed
        self._on_feed = on_feed
        self._residue: Residue | None = None
        self._signals = 0
        self._call = asyncio.Event()

    async def run(self) -> Ending:
        """Until the tape is over, or it is stopped. Raises JournalError where nothing can be written any more."""
        settings = self.trader.session.settings
        if isinstance(settings.feed, ReplayFeed):
            self._pace = Pace(self._clock, settings.feed.speed, self.trader.now_ns)
        else:
            self._pace = Pace(self._clock, 1.0, self._clock.now_ns())
        with _signals(self._signal):  # first: who sees the socket may stop it
            async with RequestServer(settings.socket_path, self._answer):
                try:
                    self._listen()
                    return await self._loop(settings.on_stop)
                finally:
                    if self._feed is not None:
                        self._feed.stop()

    async def _loop(self, on_stop: str) -> Ending:
        trader = self.trader
        while True:
            if self._signals > 1:
                return Ending.AT_ONCE
            if self._signals:
                if on_stop == "resume":
                    return Ending.LEFT
                self._begin_to_stop(on_stop)
            self._guard()
            self._advance()
            await self._publish()
            self._on_look(trader)
            if trader.stopping is not None and not trader.engine.working:
                return Ending.STOPPED
            if trader.over:
                return Ending.TAPE_OVER
            await self._wait()

    def _advance(self) -> None:
        """Plays on to where the tape should be, for a while."""
        self._take_in()
        until_ns = self._pace.tape_ns()
        began_ns = self._clock.now_ns()
        while self.trader.step(until_ns):
            self._guard()
            if self._clock.now_ns() - began_ns > SLICE_NS:
                return

    def _listen(self) -> None:
        """The feed's thread begins; what it brings is taken in by the loop."""
        if self._feed is None:
            return
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop is over
                loop.call_soon_threadsafe(self._call.set)

        self._feed.start(wake, self._on_feed)

    def _take_in(self) -> None:
        """What the feed has brought, on record after everything that has been done."""
        tape = self.trader.session.tape
        if self._feed is None or not isinstance(tape, LiveTape):
            return
        while self._feed.batches:
            tape.take(self._feed.batches.popleft(), self._clock.now_ns(), self.trader.now_ns)

    def _guard(self) -> None:
        """The kill switch, whoever moved it."""
        self.trader.watch_switch()
        steady_ns = self._clock.now_ns()
        self.trader.ask(steady_ns)
        residue = self.trader.sweep(steady_ns)
        if residue is not None and residue != self._residue:
            self._on_residue(residue)
        self._residue = residue

    def _begin_to_stop(self, on_stop: str) -> None:
        if self.trader.stopping is None:
            if on_stop == "cancel":
                self.trader.stop(STOPPED)
            else:
                self.trader.stopping = STOPPED

    async def _wait(self) -> None:
        seconds = self._pace.wait_s(self.trader.next_ns)
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        self._call.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._call.wait(), seconds)

    async def _publish(self) -> None:
        while self._said:
            one = self._said.popleft()
            await self._bus.publish_json(one.topic, one.payload)

    def _answer(self, asked: object) -> dict[str, Any]:
        """In the same task group of one thread: no step of the tape is under way."""
        self._guard()
        self._advance()
        found = answer(self.trader, asked)
        self._call.set()
        return found

    def _signal(self) -> None:
        self._signals += 1
        self._call.set()


@contextmanager
def _signals(heard: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and Ctrl-C of this process are heard here while it runs."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, heard)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
