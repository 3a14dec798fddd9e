"""Chance is data: every draw is a function of a seed and of what it is for, so order and threads do not matter."""

from __future__ import annotations

import hashlib

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
