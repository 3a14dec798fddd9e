"""The event-driven market against its slow twin, in a mirror, cut short, compiled and not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from execution.ticks.rows import Content
from tests.naive_ticks import Heard, Row, Wish
from tests.ticks import (
    CONTENTS,
    LATENCIES,
    MS,
    QUEUES,
    alike,
    as_heard,
    feed_of,
    feeds,
    market_of,
    mirrored,
    mirrored_wishes,
    play,
    twin,
    wish_lists,
)

END_NS = 1000 * MS


def told(content: Content, rows: list[Row], wishes: list[Wish], half: float = 0.5, **more: Any) -> list[Heard]:
    return as_heard(play(market_of(feed_of(content, rows), half_ticks=half, **more), wishes, END_NS))


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
@pytest.mark.parametrize("content", CONTENTS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_the_market_and_its_slow_twin_agree(content: Content, compiled: bool, data: st.DataObject) -> None:
    rows = data.draw(feeds(content))
    wishes = data.draw(wish_lists())
    queue, latency = data.draw(QUEUES), data.draw(LATENCIES)
    half = data.draw(st.sampled_from((0.0, 0.5, 1.0)))
    fast = told(content, rows, wishes, half, queue=queue, latency=latency, compiled=compiled)
    alike(fast, twin(content, queue, latency, half).play(rows, wishes))


@pytest.mark.parametrize("content", CONTENTS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_in_a_mirror_buys_are_sells(content: Content, data: st.DataObject) -> None:
    rows, wishes, queue = data.draw(feeds(content)), data.draw(wish_lists()), data.draw(QUEUES)
    straight = told(content, rows, wishes, queue=queue, compiled=False)
    turned = told(content, mirrored(rows), mirrored_wishes(wishes), queue=queue, compiled=False)
    alike([(h[0], h[1], h[2], h[3], 201 - h[4] if h[1] == "fill" else 0.0, h[5], h[6]) for h in turned], straight)


@pytest.mark.parametrize("content", CONTENTS)
@settings(max_examples=25, deadline=None)
@given(data=st.data(), cut_ms=st.integers(5, 100))
def test_the_future_changes_nothing(content: Content, data: st.DataObject, cut_ms: int) -> None:
    # pitfall 24: what is heard before a moment is the same whatever comes after it
    rows, wishes, latency = data.draw(feeds(content)), data.draw(wish_lists()), data.draw(LATENCIES)
    known = [row for row in rows if row[1] <= cut_ms * MS]
    if not known:
        return
    whole = told(content, rows, wishes, latency=latency, compiled=False)
    part = told(content, known, wishes, latency=latency, compiled=False)
    assert [h for h in whole if h[0] <= cut_ms * MS] == [h for h in part if h[0] <= cut_ms * MS]


@pytest.mark.parametrize("content", CONTENTS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_what_fills_obeys_the_laws_of_conservation(content: Content, data: st.DataObject) -> None:
    # pitfalls 20 to 23
    rows, wishes, latency = data.draw(feeds(content)), data.draw(wish_lists()), data.draw(LATENCIES)
    talk = play(market_of(feed_of(content, rows), half_ticks=0.5, latency=latency, compiled=False), wishes, END_NS)
    for wish in wishes:
        fills = [fill for fill in talk.fills if fill.order_id == wish.name]
        closes = [closed for closed in talk.closes if closed.intent_id == wish.name]
        total = sum(fill.qty for fill in fills)
        assert total <= wish.lots
        assert len(closes) <= (total < wish.lots)
        assert all(closed.cumulative_qty == total for closed in closes)
        assert len({fill.fill_id for fill in fills}) == len(fills)
        for fill in fills:
            assert fill.ts_fill_ns >= wish.sent_ns + latency.order_ns
            assert wish.expires_ns is None or fill.ts_fill_ns < wish.expires_ns
            if wish.limit is not None:
                assert wish.sign * (fill.price - wish.limit / 100) <= 1e-9
                assert fill.liquidity == "taker" or fill.price == wish.limit / 100
            else:
                assert fill.liquidity == "taker"
    if content == "trades":  # pitfall 22: each print is there once for all of ours, broken lots included
        for ts_ns in {fill.ts_fill_ns for fill in talk.fills}:
            printed = sum(row[3] for row in rows if row[1] <= ts_ns)
            assert sum(fill.qty for fill in talk.fills if fill.ts_fill_ns <= ts_ns) <= printed + 1e-9
    if content == "quotes and trades":  # takers alone: no more than was ever shown
        taken = sum(fill.qty for fill in talk.fills if fill.liquidity == "taker")
        assert taken <= sum(row[3] for row in rows if row[0] != 0)


@settings(max_examples=40, deadline=None)
@given(rows=feeds("trades"), lots=st.integers(2, 30), limit=st.integers(97, 104), sign=st.sampled_from((1, -1)))
def test_a_better_limit_never_fills_less_and_an_order_in_two_parts_fills_as_one(
    rows: list[Row], lots: int, limit: int, sign: int
) -> None:
    def filled(*parts: tuple[int, int]) -> int:
        wishes = [Wish(f"o{at}", 0, sign, size, price) for at, (size, price) in enumerate(parts)]
        start = (0, 0, 100 + 20 * sign, 1.0, 0)  # nobody takes
        talk = play(market_of(feed_of("trades", [start, *rows]), compiled=False), wishes, END_NS)
        return sum(round(fill.qty) for fill in talk.fills)

    whole = filled((lots, limit))
    assert filled((lots, limit + sign)) >= whole
    assert filled((lots // 2, limit), (lots - lots // 2, limit)) == whole
