"""The twin run: the same period with and without our orders, and the difference of the two paths, which is our impact.

What a trade did to the market can be seen in no market but a simulated one: play the same period again with nobody of
us there. With side s, the fills q_i at p_i, half spreads h_i, the twin's mid m_i at the fill, and D_i where our earlier
trading held the price as the fill's minute began, as a fraction of it:

    taker   q_i * (s * (p_i - m_i) - h_i)       what it paid beyond the price and the spread of a market without us
    maker   q_i * s * m_i * D_i                 how far we had moved the market against it, or for it, before it filled

The first is what the fill model charged. The second stands in no fill and is part of a report's timing. "We" are all
parents that traded in the run: one pays for what another has moved.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

from core.bars import Bars
from core.contracts import FillEvent, sign
from core.instrument import Instrument
from execution.contracts import ExecutionReport
from execution.pressure import Pressure

NOTE: Final = "twin"


class Place(Protocol):
    """What was played, and can be played again: a venue of bars or of ticks."""

    @property
    def bars(self) -> Bars: ...
    @property
    def instrument(self) -> Instrument: ...
    def pressure(self) -> Pressure: ...
    def bar_of(self, fill: FillEvent) -> int: ...
    def mids_without_us(self, fills: Sequence[FillEvent]) -> list[float]: ...


def with_twin(reports: Iterable[ExecutionReport], place: Place) -> list[ExecutionReport]:
    """The reports of one run, all of them together, with their true impact in `notes["twin"]`.

    impact: money, positive when it cost. impact_bps: of filled quantity * arrival price. shift_bps: where all of our
    trading held the price after the parent's last fill, positive above the twin. A parent without fills: 0, NaN as
    null, and null.
    """
    told = list(reports)
    fills = sorted((fill for report in told for fill in report.fills), key=lambda fill: fill.ts_fill_ns)
    shifts = shifts_of(fills, place)
    mids = dict(zip((fill.fill_id for fill in fills), place.mids_without_us(fills), strict=True))
    return [_noted(report, shifts, mids, place) for report in told]


def shifts_of(fills: Iterable[FillEvent], place: Place) -> dict[int, tuple[float, float]]:
    """Displacement of the price as each bar with fills of ours began and as it ended, as fractions of the price."""
    net: dict[int, float] = {}
    for fill in fills:
        k = place.bar_of(fill)
        net[k] = net.get(k, 0.0) + sign(fill.side) * fill.qty
    pressure, shifts = place.pressure(), {}
    for k in sorted(net):
        before = pressure.displacement(k)
        if net[k] and place.bars.volume[k] > 0:
            pressure.traded(k, net[k])
        shifts[k] = (before, pressure.displacement(k + 1))
    return shifts


def _noted(
    report: ExecutionReport, shifts: Mapping[int, tuple[float, float]], mids: Mapping[str, float], place: Place
) -> ExecutionReport:
    money = place.instrument.notional
    side = sign(report.side)
    impact = 0.0
    for fill in report.fills:
        mid, before = mids[fill.fill_id], shifts[place.bar_of(fill)][0]
        moved = side * mid * before
        if fill.liquidity == "taker":
            moved = side * (fill.price - mid) - float(fill.meta.get("half_spread", 0.0))
        impact += math.copysign(money(fill.qty, abs(moved)), moved)
    paid = money(report.filled_quantity, report.arrival_price) if report.fills else 0.0
    last = shifts[place.bar_of(report.fills[-1])][1] if report.fills else None
    note = {
        "impact": impact,
        "impact_bps": 1e4 * impact / paid if paid > 0 else None,
        "shift_bps": None if last is None else 1e4 * last,
        "method": "path difference with a run of the same period without our orders",
    }
    return replace(report, notes={**report.notes, NOTE: note})
