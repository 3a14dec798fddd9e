"""The small modules: error lines, checks, ids, chance, topics."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import checks, topics
from core.chance import Dice, generator, seed_of, uniform
from core.errors import ConfigError, DataError, FillwrightError, nearest
from core.ids import child_id, execution_id

ROOT = Path(__file__).resolve().parents[1]
part = st.one_of(st.integers(), st.text(), st.floats(allow_nan=False))


@pytest.mark.parametrize(
    ("word", "known", "line"),
    [
        ("TWAB", ["VWAP", "TWAP"], "did you mean 'TWAP'? Known: TWAP, VWAP"),
        ("twap", ["TWAP"], "did you mean 'TWAP'? Known: TWAP"),
        ("zzz", ["TWAP", "POV"], "known are POV, TWAP"),
        ("x", [], "none is known"),
    ],
)
def test_nearest_names_the_likely_word_and_all_that_are_known(word: str, known: list[str], line: str) -> None:
    assert nearest(word, known) == line


def test_every_error_of_ours_is_a_fillwright_error() -> None:
    assert issubclass(ConfigError, FillwrightError)
    assert issubclass(DataError, FillwrightError)


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (lambda value: checks.finite("f", value), [-1.0, 0, 1e308], [math.nan, math.inf, -math.inf]),
        (lambda value: checks.positive("f", value), [5e-324, 1], [0, -1, math.nan, math.inf]),
        (lambda value: checks.not_negative("f", value), [0, 0.0, 1], [-5e-324, math.nan, math.inf]),
        (lambda value: checks.between("f", value, 1, 2), [1, 1.5, 2], [0.999, 2.001, math.nan]),
        (lambda value: checks.one_of("f", value, ("a", "b")), ["a", "b"], ["c", "", None]),
        (lambda value: checks.named("f", value), ["a", "a b"], ["", " a", "a\n"]),
    ],
)
def test_checks_let_the_good_pass_and_name_field_and_value_of_the_bad(
    check: Callable[[Any], None], good: list[Any], bad: list[Any]
) -> None:
    for value in good:
        check(value)
    for value in bad:
        with pytest.raises(ValueError, match=r"^f must be .*, was ") as refused:
            check(value)
        assert str(refused.value).endswith((str(value), repr(value)))


@given(st.integers(), st.text(), st.text(), st.integers(0, 10**9))
def test_ids_fit_the_wire_and_repeat(seed: int, strategy: str, parent: str, number: int) -> None:
    execution = execution_id(seed, strategy, parent)
    assert execution == execution_id(seed, strategy, parent)
    assert re.fullmatch(r"[a-z0-9-]{1,32}", child_id(execution, number))


def test_executions_and_children_do_not_share_ids() -> None:
    # pitfall 18: two algorithms that both call their first order "1"
    executions = [execution_id(seed, f"s{s}", f"p{p}") for seed in range(5) for s in range(5) for p in range(200)]
    children = {child_id(execution, n) for execution in executions for n in range(3)}
    assert len(set(executions)) == 5_000
    assert len(children) == 15_000


@given(st.lists(part, min_size=1, max_size=4), st.lists(part, min_size=1, max_size=4))
def test_other_parts_have_other_chances(first: list[object], second: list[object]) -> None:
    assert (seed_of(*first) == seed_of(*second)) == (list(map(repr, first)) == list(map(repr, second)))


def test_draws_do_not_depend_on_order_or_on_numpys_own_seed() -> None:
    # pitfall 33: a fill model that seeds the process-wide generator
    first = generator(1, "sample", "ATOM/USDT").normal(size=3).tolist()
    generator(2, "other").normal(size=100)
    assert generator(1, "sample", "ATOM/USDT").normal(size=3).tolist() == first
    assert generator(1, "sample", "BTC/USDT").normal(size=3).tolist() != first


def test_a_uniform_draw_is_in_0_to_1_and_fair() -> None:
    draws = np.array([uniform(7, n) for n in range(4_000)])
    assert 0 <= draws.min() < 0.01
    assert 0.99 < draws.max() < 1
    assert abs(draws.mean() - 0.5) < 0.02


def test_chance_and_ids_are_the_same_in_every_process() -> None:
    code = (
        "from core.chance import *; from core.ids import *\n"
        "print(seed_of(1, 'a', 2.5), uniform(3, 'b'), generator(1, 'x').integers(0, 10**9, 3))\n"
        "print(execution_id(1, 's', 'p'))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(outputs) == 1
    assert outputs.pop()


def test_topics_of_symbols_do_not_collide() -> None:
    symbols = ("ATOM/USDT", "BTC/USDT")
    names = [make(symbol) for make in (topics.trades, topics.quotes, topics.bars) for symbol in symbols]
    assert len(set(names)) == 6
    assert topics.trades("ATOM/USDT") == "md.trades.ATOM/USDT"
    assert topics.FILLS == "fills.new"


def test_dice_are_splitmix64_and_fall_the_same_for_the_same_parts() -> None:
    dice = Dice("any")
    dice._state = 0
    assert [dice(1 << 64) for _ in range(2)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]  # Vigna's splitmix64.c
    one, same, other = Dice(7, "x"), Dice(7, "x"), Dice(7, "y")
    rolled = [one(6) for _ in range(100)]
    assert rolled == [same(6) for _ in range(100)] != [other(6) for _ in range(100)]
    assert set(rolled) == set(range(6))
