"""A column chart in a terminal: plain text, as wide as there is room, in ASCII where the terminal knows no more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

_EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
_HALVES: Final = " .#"  # nothing, half a row, a row


def columns(
    values: Sequence[float], *, width: int, height: int = 8, ascii_only: bool = False, left: str = "", right: str = ""
) -> list[str]:
    """Columns from left to right over an axis, with the largest value beside the top and `left` and `right` below.

    More values than columns are put together by their means; fewer are drawn wider. Values below 0, and NaN, count as
    0; what is above 0 is always seen. No values: no lines. No line is longer than `width`, of at least 20.
    """
    if not values:
        return []
    clean = [value if value > 0 else 0.0 for value in values]  # NaN is not above 0
    label = _short(max(clean))
    room = max(20, width) - len(label) - 4
    means = _fit(clean, room)
    wide = max(1, room // len(means))
    steps = _HALVES if ascii_only else _EIGHTHS
    full = len(steps) - 1
    top = max(means) or 1.0
    levels = [max(1, round(mean / top * height * full)) if mean > 0 else 0 for mean in means]
    gap = " " if wide > 1 else ""
    upright, corner, flat = ("|", "+", "-") if ascii_only else ("│", "└", "─")
    lines = []
    for row in range(height - 1, -1, -1):
        cells = (steps[min(full, max(0, level - row * full))] for level in levels)
        drawn = "".join(cell * (wide - len(gap)) + gap for cell in cells)
        beside = label if row == height - 1 else "0" if row == 0 else ""
        lines.append(f"{beside:>{len(label)}} {upright} {drawn}".rstrip())
    span = wide * len(means)
    lines.append(f"{'':{len(label)}} {corner}{flat * (span + 1)}")
    if 0 < len(left) + len(right) < span:
        lines.append(f"{'':{len(label)}}   {left}{right:>{span - len(left)}}".rstrip())
    return lines


def _fit(values: list[float], room: int) -> list[float]:
    """As many values as there is room for: means of neighbours."""
    if len(values) <= room:
        return values
    edges = [k * len(values) // room for k in range(room + 1)]
    return [math.fsum(values[a:b]) / (b - a) for a, b in pairwise(edges)]


def _short(value: float) -> str:
    """Three digits: 1042 is 1.04k."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
