"""A curve in a terminal: text lines, in Unicode where the terminal can, else in ASCII."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple


class Dot(NamedTuple):
    x: float
    y: float
    mark: str = ""  # one character instead of a dot


def curve(dots: Sequence[Dot], *, width: int, height: int, x_title: str, y_title: str, ascii_only: bool) -> list[str]:
    """The dots, in order, joined by lines; finite numbers. Axes begin at their least value. No dots: no lines.

    Marked dots are drawn last, so that they are seen.
    """
    if not dots:
        return []
    dot, trail, corner, floor, wall = ("o", ".", "+", "-", "|") if ascii_only else ("●", "·", "└", "─", "┤")
    left, right = min(d.x for d in dots), max(d.x for d in dots)
    low, high = min(d.y for d in dots), max(d.y for d in dots)

    def place(d: Dot) -> tuple[int, int]:
        column = round((d.x - left) / (right - left) * (width - 1)) if right > left else 0
        row = round((high - d.y) / (high - low) * (height - 1)) if high > low else height - 1
        return row, column

    cells = [[" "] * width for _ in range(height)]
    for first, second in pairwise(dots):
        for row, column in _between(place(first), place(second)):
            cells[row][column] = trail
    for d in sorted(dots, key=lambda d: bool(d.mark)):
        row, column = place(d)
        cells[row][column] = d.mark or dot
    labels = {0: f"{high:,.1f}", height - 1: f"{low:,.1f}"}
    edge = max(len(label) for label in labels.values())
    lines = [y_title]
    for row, line in enumerate(cells):
        lines.append(f"{labels.get(row, ''):>{edge}} {wall}{''.join(line)}".rstrip())
    lines.append(f"{'':>{edge}} {corner}{floor * width}")
    foot = f"{left:,.1f}"
    lines.append(f"{'':>{edge}}  {foot}{f'{right:,.1f}':>{width - len(foot)}}")
    lines.append(f"{'':>{edge}}  {x_title:^{width}}".rstrip())
    return lines


def _between(start: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    """The cells on the line between two cells, both ends left out."""
    steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
    return [
        (round(start[0] + (end[0] - start[0]) * k / steps), round(start[1] + (end[1] - start[1]) * k / steps))
        for k in range(1, steps)
    ]
