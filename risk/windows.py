"""What happened lately, forgotten when it leaves its window."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable


class Window:
    """Times of events."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: deque[int] = deque()

    def add(self, now_ns: int) -> None:
        self._times.append(now_ns)

    def count(self, now_ns: int, window_ns: int) -> int:
        """Events in (now - window, now]."""
        times = self._times
        while times and times[0] <= now_ns - window_ns:
            times.popleft()
        return len(times)


class Contents:
    """Who sent what: the newest order of each content."""

    __slots__ = ("_by_content", "_in_order")

    def __init__(self) -> None:
        self._by_content: dict[Hashable, tuple[int, str, Hashable]] = {}
        self._in_order: deque[tuple[int, str, Hashable]] = deque()

    def __len__(self) -> int:
        return len(self._by_content)

    def add(self, content: Hashable, intent_id: str, now_ns: int) -> None:
        self._by_content[content] = sent = (now_ns, intent_id, content)
        self._in_order.append(sent)

    def find(self, content: Hashable, now_ns: int, window_ns: int) -> tuple[int, str] | None:
        """(when, which order) was sent with this content in (now - window, now]."""
        oldest_ns, in_order, by_content = now_ns - window_ns, self._in_order, self._by_content
        while in_order and in_order[0][0] <= oldest_ns:
            old = in_order.popleft()
            if by_content.get(old[2]) is old:
                del by_content[old[2]]
        found = by_content.get(content)
        return None if found is None else found[:2]

    def drop(self, content: Hashable, intent_id: str) -> None:
        """This order came to nothing: another one may try the same."""
        found = self._by_content.get(content)
        if found is not None and found[1] == intent_id:
            del self._by_content[content]
