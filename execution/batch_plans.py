"""Plans and curves of many parents at a time, as the loop's tables have them.

Parents of a setting are planned together (`execution.batch_groups`). Those with more of their own (draws by their id, a
trajectory by the market of the moment, a quantity that is no ordinary number) start one by one, as on the desk.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Final

import numpy as np

from execution.algorithm import Algorithm
from execution.batch_act import RULES
from execution.batch_columns import Intake, Profiles
from execution.batch_groups import FITS, is_shared, plan_together
from execution.batch_intake import Handed, Jobs, executor_of, hand_over
from execution.batch_lots import EXACT, least_lots, lots_of
from execution.batch_tables import Brief, dtype_of, records
from execution.contracts import MAX_DURATION_SECONDS
from execution.desk import Worked
from execution.parent import MOST_DOUBLINGS, ParentOrder
from execution.plan import NS_PER_MS, Plan
from execution.venue import Venue

__all__ = ["EXACT", "FITS", "Intake", "Profiles", "draws_of", "intake", "is_loop_parent"]
SPARE_DRAWS: Final = 64  # a pegged clip that is pulled back draws again


def intake(venue: Venue, jobs: Jobs, first: int = 0, profiles: Profiles | None = None) -> Intake:
    """The parents at their start. first: the number of the first, for messages. profiles: usual volumes that were read
    for other parents of the same settings; what is read now is added, and other threads may do so at the same time.

    Raises ValueError naming the job where its algorithm refuses it.
    """
    bars, count = venue.bars, len(jobs)
    if count and len(bars) == 0:
        raise ValueError(f"the venue of {bars.symbol} has no bars")
    executors = [executor_of(venue, setting) for setting in jobs.settings]
    taken = Intake(
        jobs, executors, np.zeros(count, dtype_of(Plan)), np.zeros(count, dtype_of(Brief)), np.zeros(count, np.bool_)
    )
    if profiles is not None:
        taken.profiles = profiles
    if count == 0:
        return taken
    seen = np.searchsorted(bars.ts_close_ns, jobs.start_ns, side="right") - 1
    taken.briefs["start_ns"] = taken.briefs["now_ns"] = jobs.start_ns
    taken.briefs["seen_bar"] = seen
    lots, least = lots_of(venue.instrument, jobs.quantity), least_lots(venue, seen)
    plain = (lots >= least) & (jobs.duration_seconds >= 1) & (jobs.duration_seconds <= MAX_DURATION_SECONDS)
    alone = np.ones(count, np.bool_)
    for place, executor in enumerate(executors):
        mine = plain & (jobs.setting == place)
        if mine.any() and is_shared(jobs.settings[place], executor, venue):
            alone[mine] = False
            alone[plan_together(taken, place, np.flatnonzero(mine), lots, least)] = True
    for number in np.flatnonzero(alone).tolist():
        try:
            handed = hand_over(venue, jobs[number], executors[jobs.setting[number]])
        except ValueError as error:
            raise ValueError(f"job {first + number}: {error}") from error
        _take(taken, number, handed, venue)
    _check(taken, venue)
    return taken


def _take(taken: Intake, number: int, handed: Handed, venue: Venue) -> None:
    """A parent that has started by itself."""
    taken.handed[number] = handed
    taken.plans["quantity"][number] = handed.lots(venue.instrument)
    taken.looped[number] = is_loop_parent(handed.worked, venue)
    if not taken.looped[number]:
        return
    order = handed.order
    taken.plans[number] = records(Plan, [order.plan])[0]
    brief = taken.briefs[number]
    brief["rule"] = RULES.index(order.algorithm.due)
    brief["start_ns"] = order.parent.start_ns
    brief["retries"], brief["retry_ms"] = order.algorithm.retries, order.algorithm.retry_ms
    curve = order.curve
    for name, values in (
        ("starts", curve.starts_ms),
        ("targets", curve.targets),
        ("volume", curve.volume),
        ("draws", draws_of(order.algorithm, order.plan)),
    ):
        begin = getattr(taken, name).add(values)
        brief[f"{name}_from"], brief[f"{name}_to"] = begin, begin + len(values)


@cache
def _grid(step: str) -> Fraction:
    return Fraction(step)


def is_loop_parent(machine: Worked, venue: Venue) -> bool:
    """Whether the loop plays this parent as the machine would, in a venue that it knows."""
    if not isinstance(machine, ParentOrder) or machine.instrument != venue.instrument:
        return False
    plan, curve, algorithm = machine.plan, machine.curve, machine.algorithm
    lot, tick = _grid(venue.instrument.lot), _grid(venue.instrument.tick)
    return (
        algorithm.due in RULES
        and plan.quantity * lot.numerator < EXACT
        and plan.limit_ticks * tick.numerator < EXACT
        and (len(curve.volume) == 0 or curve.volume[-1] < EXACT)
        and (algorithm.retry_ms << MOST_DOUBLINGS) * NS_PER_MS < FITS
    )


def _check(taken: Intake, venue: Venue) -> None:
    """The same for those that share a plan; curves of volume hold less than MAX_TAPE_LOTS."""
    lot, tick = Fraction(venue.instrument.lot).numerator, Fraction(venue.instrument.tick).numerator
    most = FITS // NS_PER_MS >> MOST_DOUBLINGS
    fits = (taken.plans["quantity"] <= (EXACT - 1) // lot) & (taken.plans["limit_ticks"] <= (EXACT - 1) // tick)
    taken.looped &= fits & (taken.briefs["retry_ms"] < most)


def draws_of(algorithm: Algorithm, plan: Plan) -> list[float]:
    """The draws of as many children as a display with jitter is likely to need."""
    if plan.jitter_ppm == 0:
        return []
    smallest = max(plan.min_lots, plan.display * (1_000_000 - plan.jitter_ppm) // 1_000_000 // plan.levels, 1)
    return [algorithm.draw(number) for number in range(SPARE_DRAWS + min(10_000, 2 * plan.quantity // smallest))]
