"""Chance is data: every draw is a function of a seed and of what it is for, so order and threads do not matter."""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np


def seed_of(*parts: object) -> int:
    """A 64-bit seed from any words and numbers; the same parts give the same seed in every process."""
    text = "\x1f".join(repr(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def generator(*parts: object) -> np.random.Generator:
    """A numpy generator for these parts: `generator(seed, "sample", symbol)`."""
    return np.random.Generator(np.random.PCG64(seed_of(*parts)))


def uniform(*parts: object) -> float:
    """One draw in [0, 1) for these parts."""
    return (seed_of(*parts) >> 11) * 2.0**-53


class Dice:
    """Integers one after the other, a tenth of the price of a generator's: for simulations that draw all the time.

    `dice(n)` is in [0, n). One step of splitmix64 (Steele, Lea and Flood, 2014) a draw; modulo n, so n should be small.
    """

    def __init__(self, *parts: object) -> None:
        self._state = seed_of(*parts)

    def __call__(self, n: int) -> int:
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return (mixed ^ (mixed >> 31)) % n


_MASK: Final = (1 << 64) - 1
