"""Contracts made from columns, and lists that are made when somebody reads them."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass

import pytest

from core.bulk import Deferred, made


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: float = 0.0


def test_contracts_made_from_columns_equal_those_made_one_by_one() -> None:
    assert made(Point, 3, x=range(3), y=[0.5, 1.5, 2.5]) == [Point(0, 0.5), Point(1, 1.5), Point(2, 2.5)]
    assert made(Point, 0, x=[], y=[]) == []


def test_every_field_needs_a_column_and_every_column_a_field() -> None:
    with pytest.raises(ValueError, match="Point is made from the columns x, y, was x"):
        made(Point, 1, x=[1])


class Counted:
    """Makes a list, and counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> list[int]:
        self.calls += 1
        return [3, 1, 2]


def test_a_deferred_list_knows_its_length_and_is_made_once_when_it_is_read() -> None:
    make = Counted()
    later = Deferred(3, make)
    assert len(later) == 3
    assert later
    assert make.calls == 0
    assert list(later) == [3, 1, 2]
    assert (later[0], later[-1], later[1:], sorted(later), 2 in later) == (3, 2, [1, 2], [1, 2, 3], True)
    assert make.calls == 1


def test_a_deferred_list_stands_for_the_list() -> None:
    later = Deferred(3, Counted())
    plain = [3, 1, 2]
    assert later == plain
    assert plain == later
    assert later == Deferred(3, Counted())
    assert later != [3, 1]
    assert later != (3, 1, 2)  # as a list does
    assert repr(later) == "[3, 1, 2]"
    assert pickle.loads(pickle.dumps(later)) == [3, 1, 2]
    assert copy.copy(later) == [3, 1, 2]
    with pytest.raises(TypeError, match="unhashable"):
        hash(later)
    assert not Deferred(0, list)


def test_what_fails_while_it_is_made_fails_again() -> None:
    def broken() -> list[int]:
        raise ValueError("no")

    later = Deferred(1, broken)
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            list(later)
