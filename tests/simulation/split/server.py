"""The server of the simulated bus, as `core/bus_redis.py` uses one: streams, groups, and what each has not finished.

A message is kept for every group from the beginning, and comes to it at least once: what was given out and not finished
comes again, in order, to whoever takes over, and only who has a message can finish it. Ids are published once. While
the server is down nothing arrives.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from core.bus import encoded
from core.bus_groups import DeadLetter, order_key

if TYPE_CHECKING:
    from tests.simulation.split.bus import Client
    from tests.simulation.split.readers import SimulatedConsumer, SimulatedTape

MS: Final = 1_000_000
CLAIM_NS: Final = 550 * MS  # until what a replaced consumer may still have read is claimed


class Time(Protocol):
    """The world's."""

    now_ns: int

    def at(self, ns: int, what: Callable[[], object]) -> None: ...


@dataclass(frozen=True, slots=True)
class Weather:
    """How long messages take; `late` of a hundred up to `late_ns` more; when the server is down (from, until)."""

    hop_ns: int = 200_000
    late: int = 0
    late_ns: int = 0
    outages: tuple[tuple[int, int], ...] = ()


class Entry(NamedTuple):
    number: int
    topic: str
    message_id: str
    key: str
    data: bytes


@dataclass(slots=True)
class Given:
    """An entry that is not finished: who has it, and how often it has been given out."""

    to: str
    times: int = 1


@dataclass(eq=False, slots=True)
class Share:
    """What a group has of a topic."""

    group: str
    topic: str
    read: int = 0  # so many entries have been given out
    unfinished: dict[int, Given] = field(default_factory=dict)
    holder: SimulatedConsumer | None = None


class Server:
    """What everybody talks to."""

    def __init__(self, time: Time, draw: Callable[[int], int], weather: Weather) -> None:
        self.weather = weather
        self.streams: defaultdict[str, list[Entry]] = defaultdict(list)
        self.shares: dict[tuple[str, str], Share] = {}
        self.dead: list[DeadLetter] = []
        self.tapes: defaultdict[str, list[SimulatedTape]] = defaultdict(list)
        self.time = time
        self.draw = draw
        self._ids: set[tuple[str, str]] = set()
        self._epochs: dict[str, int] = {}

    def travel(self) -> int:
        """When what leaves now is there."""
        weather = self.weather
        ns = self.time.now_ns + 1 + self.draw(2 * weather.hop_ns)
        if weather.late and self.draw(100) < weather.late:
            ns += self.draw(weather.late_ns)
        for begins, ends in weather.outages:
            if begins <= ns < ends:
                ns = ends + self.draw(weather.hop_ns)
        return ns

    def post(self, topic: str, payload: dict[str, Any], message_id: str | None = None) -> None:
        """From somebody outside."""
        data, key = encoded(topic, payload), order_key(payload)
        self.time.at(self.travel(), lambda: self.append(topic, data, key, message_id))

    def append(self, topic: str, data: bytes, key: str, message_id: str | None) -> None:
        stream = self.streams[topic]
        if message_id is not None:
            if (topic, message_id) in self._ids:
                return
            self._ids.add((topic, message_id))
        number = len(stream)
        name = message_id if message_id is not None else f"m-{number}"
        stream.append(Entry(number, topic, name, key, data))
        for tape in self.tapes[topic]:
            tape.send(stream[number])
        for share in self.shares.values():
            if share.topic == topic:
                self._give(share)

    def join(self, consumer: SimulatedConsumer) -> None:
        """Its group's streams are its own, at once or when an older one can have nothing new any more; or never."""
        for topic in consumer.topics:
            share = self.shares.setdefault((consumer.group, topic), Share(consumer.group, topic))
            before = share.holder
            if before is None or before.name == consumer.name:
                self._claim(share, consumer)
            elif before.epoch < consumer.epoch:
                self.time.at(self.time.now_ns + CLAIM_NS, lambda share=share: self._claim(share, consumer))  # type: ignore[misc]

    def release(self, consumer: SimulatedConsumer) -> None:
        for share in self.shares.values():
            if share.holder is consumer:
                share.holder = None

    def again(self, share: Share, number: int, name: str) -> int:
        """One delivery more; 0 for whoever has it no more."""
        given = share.unfinished.get(number)
        if given is None or given.to != name:
            return 0
        given.times += 1
        return given.times

    def finish(self, share: Share, number: int, name: str) -> bool:
        """By whoever has it."""
        given = share.unfinished.get(number)
        if given is None or given.to != name:
            return False
        del share.unfinished[number]
        return True

    def give_up(self, share: Share, number: int, name: str, letter: DeadLetter) -> None:
        if self.finish(share, number, name):
            self.dead.append(letter)

    def next_epoch(self, name: str, above: int) -> int:
        self._epochs[name] = max(self._epochs.get(name, 0), above) + 1
        return self._epochs[name]

    def is_read_by(self, client: Client) -> bool:
        return any(share.holder is not None and share.holder.client is client for share in self.shares.values())

    @property
    def waiting(self) -> list[Entry]:
        """What groups have not finished."""
        return [
            self.streams[share.topic][number]
            for share in self.shares.values()
            for number in (*share.unfinished, *range(share.read, len(self.streams[share.topic])))
        ]

    def _claim(self, share: Share, consumer: SimulatedConsumer) -> None:
        if consumer.gone or (share.holder is not None and share.holder.epoch > consumer.epoch):
            return
        share.holder = consumer
        for number in sorted(share.unfinished):
            share.unfinished[number].to = consumer.name
            consumer.send(share, self.streams[share.topic][number], attempt=0)
        self._give(share)

    def _give(self, share: Share) -> None:
        holder, stream = share.holder, self.streams[share.topic]
        while holder is not None and not holder.gone and share.read < len(stream):
            share.unfinished[share.read] = Given(holder.name)
            share.read += 1
            holder.send(share, stream[share.read - 1], attempt=1)
