"""How the market's volume enters a plan: counted when a slice begins, spikes spread, the next slice foreseen."""

from __future__ import annotations

from execution.kernel import kernel
from execution.plan import MAX_TAPE_LOTS, Curve, Plan, View


@kernel
def begin_slice(plan: Plan, view: View, slices_over: int, tape_lots: int) -> None:
    """A slice begins: nothing is sent in it yet, and what others traded in the one before is counted.

    slices_over: slices that have ended. tape_lots: others' volume since the start. A slice's volume beyond `spike`
    times the average of the slices before it is held back; with each slice that follows, a `spike_slices`-th part of
    what is held counts, rounded up.
    """
    tape = min(max(tape_lots, view.tape), MAX_TAPE_LOTS)
    fresh = tape - view.tape
    excess = 0
    if plan.spike > 0 and slices_over > 1:
        ordinary = plan.spike * (view.tape // (slices_over - 1))
        if view.tape > 0 and fresh > ordinary:
            excess = fresh - ordinary
    release = -(-view.held // plan.spike_slices)
    view.held += excess - release
    view.counted += fresh - excess + release
    view.last = fresh
    view.tape = tape
    view.sent_in_slice = 0


@kernel
def next_volume(plan: Plan, curve: Curve, view: View, slices_over: int) -> int:
    """Others' lots that the slice just begun will trade, as far as can be told.

    With an expected curve: its next step, scaled by how much more or less than expected has traded so far (between a
    sixteenth and sixteen times, by the part `persist_ppm` of it). Without: the average of the slices that are over. At
    most MAX_TAPE_LOTS, so that its product with a ratio stays below 2**63.
    """
    if len(curve.volume) > 0:
        if slices_over >= len(curve.volume):
            return 0
        before = curve.volume[slices_over - 1] if slices_over > 0 else 0
        expected = (curve.volume[slices_over] - before) * level(plan, curve, view, slices_over)
        return int(min(expected, float(MAX_TAPE_LOTS)))
    if slices_over == 0:
        return 0
    return view.counted // slices_over


@kernel
def level(plan: Plan, curve: Curve, view: View, slices_over: int) -> float:
    """The factor on expected volume after what has traded: 1 + persist * (seen / expected - 1), 1 while nothing is."""
    if slices_over == 0:
        return 1.0
    expected = curve.volume[min(slices_over, len(curve.volume)) - 1]
    if expected == 0:
        return 1.0
    ratio = min(max(view.counted / expected, 0.0625), 16.0)
    return 1.0 + plan.persist_ppm / 1_000_000 * (ratio - 1.0)


@kernel
def volume_room(plan: Plan, view: View, base_lots: int) -> int:
    """Lots that `cap_ppm` leaves to send in this slice, against a slice's volume."""
    return base_lots * plan.cap_ppm // 1_000_000 - view.sent_in_slice


@kernel
def is_thin(plan: Plan, view: View, slices_over: int) -> bool:
    """Whether the slice before traded less than the minimum; not known before one is over."""
    return plan.min_volume > 0 and slices_over > 0 and view.last < plan.min_volume
