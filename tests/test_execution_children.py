"""The books of one parent's children: facts count once, lots come free only on evidence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution.children import Child, Children, Parent, Standing, child_meta

PARENT = Parent(
    execution_id="x-1",
    strategy_id="tester",
    parent_intent_id="p-1",
    algo_type="TWAP",
    symbol="ATOM/USDT",
    side="buy",
    total_quantity=12_345.0,
    start_ns=5,
)


def child(number: int = 0, lots: int = 10) -> Child:
    return Child(f"x-1-{number}", number, number, lots, False, 0)


def books(*children: Child) -> Children:
    made = Children()
    for one in children:
        made.add(one)
    return made


def test_meta_holds_what_fills_need_to_find_their_execution_and_never_the_size_of_the_parent() -> None:
    meta = child_meta(PARENT, 3, 77)
    assert meta == {
        "execution_id": "x-1",
        "slice_id": "x-1_3",
        "slice_idx": 3,
        "algo_type": "TWAP",
        "scheduled_ts_ns": 77,
        "parent_intent_id": "p-1",
    }
    assert PARENT.total_quantity not in meta.values()


def test_meta_names_the_venue_where_one_was_chosen() -> None:
    chosen = Parent(**{name: getattr(PARENT, name) for name in PARENT.__slots__ if name != "venue"}, venue="kraken")
    assert child_meta(chosen, 0, 0)["venue"] == "kraken"


def test_an_id_cannot_be_sent_twice() -> None:
    made = books(child())  # pitfall 18
    with pytest.raises(RuntimeError, match="x-1-0 was sent before"):
        made.add(child())


def test_a_repeated_fill_counts_once() -> None:
    one = child()
    made = books(one)
    assert made.fill(one, "a", 4)
    assert not made.fill(one, "a", 4)
    assert (made.filled, made.reserved, one.standing) == (4, 6, Standing.OPEN)


def test_a_full_fill_ends_the_child() -> None:
    one = child()
    made = books(one)
    made.fill(one, "a", 10)
    assert (made.reserved, made.live(), one.standing) == (0, [], Standing.CLOSED)


def test_a_close_frees_what_the_venue_did_not_fill() -> None:
    one = child()
    made = books(one)
    made.fill(one, "a", 4)
    assert made.close(one, 4)
    assert (made.filled, made.reserved, made.live()) == (4, 0, [])
    assert not made.close(one, 0)
    assert (made.filled, made.reserved) == (4, 0)


def test_a_close_before_its_fills_keeps_them_reserved() -> None:
    one = child()  # pitfall 37
    made = books(one)
    made.close(one, 7)
    assert (made.filled, made.reserved, made.live()) == (0, 7, [one])
    made.fill(one, "a", 7)
    assert (made.filled, made.reserved, made.live()) == (7, 0, [])


@pytest.mark.parametrize("total", [0, 3])
def test_a_venue_that_contradicts_itself_never_makes_reserved_lots_negative(total: int) -> None:
    one = child()
    made = books(one)
    made.fill(one, "a", 5)
    made.close(one, total)
    made.fill(one, "b", 20)
    assert (made.filled, made.reserved, one.reserved) == (25, 0, 0)


def test_live_children_come_oldest_first() -> None:
    first, second, third = child(0), child(1), child(2)
    made = books(first, second, third)
    made.close(second, 0)
    assert made.live() == [first, third]
    assert list(made) == [first, second, third]
    assert len(made) == 3


@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(0, 20), st.booleans()), max_size=40),
)
def test_the_sums_are_those_of_the_children(sizes: list[int], events: list[tuple[int, int, int, bool]]) -> None:
    made = books(*(child(number, lots) for number, lots in enumerate(sizes)))
    for number, fill, lots, closes in events:
        one = list(made)[number % len(sizes)]
        if closes:
            made.close(one, lots)
        else:
            made.fill(one, f"{one.number}-{fill}", lots)
        assert made.filled == sum(each.filled for each in made)
        assert made.reserved == sum(each.reserved for each in made)
        assert {each.number for each in made.live()} == {each.number for each in made if each.reserved}
