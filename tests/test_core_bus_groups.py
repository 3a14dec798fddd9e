"""What groups are made of: order keys, pauses, and lanes that keep each key in order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.bus import InMemoryBus
from core.bus_groups import Lanes, Message, order_key, wait_s


@pytest.mark.parametrize(
    ("payload", "key"),
    [
        ({"meta": {"execution_id": "x-1"}, "symbol": "A"}, "x-1"),
        ({"execution_id": "x-2", "symbol": "A"}, "x-2"),
        ({"order_id": "x-0123456789-7", "symbol": "A"}, "x-0123456789"),
        ({"intent_id": "x-0123456789-7-c1"}, "x-0123456789"),
        ({"intent_id": "mine", "symbol": "A", "meta": {}}, "A"),
        ({"symbol": "A", "meta": None}, "A"),
        ({"n": 1}, ""),
    ],
)
def test_a_message_is_ordered_by_its_parent_else_by_its_symbol(payload: dict[str, Any], key: str) -> None:
    assert order_key(payload) == key


def test_pauses_double_up_to_half_a_minute() -> None:
    assert [wait_s(0.1, attempt) for attempt in (1, 2, 3, 10, 10_000)] == [0.1, 0.2, 0.4, 30.0, 30.0]


def test_a_group_needs_a_delivery() -> None:
    with pytest.raises(ValueError, match="deliveries must be at least 1, was 0"):
        InMemoryBus(deliveries=0)


@given(st.lists(st.tuples(st.sampled_from(["add", "take", "done", "wait", "again", "drop"]), st.integers(0, 99))))
def test_lanes_give_out_each_key_in_order_and_one_at_a_time(script: list[tuple[str, int]]) -> None:
    lanes, sources = Lanes(), [object(), object()]
    added: list[Message] = []  # unfinished, as they came
    held: list[Message] = []
    waiting: list[Message] = []
    for number, (word, pick) in enumerate(script):
        if word == "add":
            key = pick % 5
            added.append(Message("t", str(key), str(number), b"", sources[key % 2]))
            lanes.add(added[-1])
        elif word == "take" and lanes:
            held.append(lanes.take())
        elif word in ("done", "wait") and held:
            message = held.pop(pick % len(held))
            if word == "done":
                lanes.done(message)
                added.remove(message)
            else:
                lanes.wait(message)
                waiting.append(message)
        elif word == "again" and waiting:
            lanes.again(waiting.pop(pick % len(waiting)))
        elif word == "drop":
            source = sources[pick % 2]
            assert lanes.drop(source) == sum(message.source is source for message in held)
            added = [message for message in added if message.source is not source or message in held]
            waiting = [message for message in waiting if message in added]
        heads = {message.key: message for message in reversed(added)}
        free = [message for message in heads.values() if message not in held and message not in waiting]
        assert all(message is heads[message.key] for message in (*held, *waiting))
        assert bool(lanes) == bool(free)
        assert len(lanes) == len(added)
