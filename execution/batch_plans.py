"""Plans and curves of many parents at a time, as the loop's tables have them.

A plan comes from the executor itself, once for all parents that share setting, side, duration and number of slices;
what depends on the quantity alone is filled in for all of them at once. Parents with more of their own (draws by their
id, a trajectory by the market of the moment, a quantity that is no ordinary number) start one by one, as on the desk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.errors import FillwrightError
from core.instrument import MAX_LOTS, Instrument
from execution.algorithm import Algorithm, Terms
from execution.base import BaseExecutor, Facts, RuleExecutor
from execution.batch_act import RULES
from execution.batch_intake import Handed, Ints, Jobs, Setting, executor_of, hand_over
from execution.batch_tables import Brief, dtype_of, records
from execution.contracts import MAX_DURATION_SECONDS, ExecutionAlgorithm
from execution.desk import Worked
from execution.iceberg import IcebergExecutor
from execution.parent import MOST_DOUBLINGS, ParentOrder
from execution.plan import NS_PER_MS, Plan
from execution.pov import POVExecutor
from execution.profile import Profile, cumulative_rows
from execution.shortfall import ISExecutor, trajectories
from execution.sliced import SlicedExecutor
from execution.twap import MarketOrderExecutor, TWAPExecutor
from execution.venue import Venue
from execution.vwap import VWAPExecutor

EXACT: Final = 2**53  # below it a float holds every integer
FITS: Final = 2**62
SPARE_DRAWS: Final = 64  # a pegged clip that is pulled back draws again
KNOWN: Final = (TWAPExecutor, MarketOrderExecutor, VWAPExecutor, POVExecutor, ISExecutor, IcebergExecutor)


Profiles = dict[tuple[int, int, int, int], Profile]  # by setting, start, horizon and slices
MOST_PROFILES: Final = 10_000


class Column:
    """Rows of different length, one behind the other."""

    def __init__(self, kind: type = np.int64) -> None:
        self._kind = kind
        self._parts: list[NDArray[Any]] = []
        self.length = 0

    def add(self, values: Any) -> int:
        """Where these values begin."""
        part: NDArray[Any] = np.asarray(values, self._kind).ravel()
        begin = self.length
        self._parts.append(part)
        self.length += len(part)
        return begin

    def joined(self) -> NDArray[Any]:
        return np.concatenate(self._parts) if self._parts else np.zeros(0, self._kind)


@dataclass(slots=True)
class Intake:
    """Parents at their start: rows of `Plan` and `Brief`, and the columns in which their curves and draws lie.

    looped: whether the loop plays them as the machine would. handed: those that have started one by one.
    """

    jobs: Jobs
    executors: Sequence[BaseExecutor]  # of the settings
    plans: NDArray[np.void]
    briefs: NDArray[np.void]
    looped: NDArray[np.bool_]
    handed: dict[int, Handed] = field(default_factory=dict)
    starts: Column = field(default_factory=Column)
    targets: Column = field(default_factory=Column)
    volume: Column = field(default_factory=Column)
    draws: Column = field(default_factory=lambda: Column(np.float64))
    profiles: Profiles = field(default_factory=dict)

    def at_start(self, venue: Venue, number: int) -> Handed:
        """The parent for the machine, which nobody has driven yet."""
        if number in self.handed:
            return self.handed.pop(number)
        return hand_over(venue, self.jobs[number], self.executors[self.jobs.setting[number]])


def intake(venue: Venue, jobs: Jobs, first: int = 0, profiles: Profiles | None = None) -> Intake:
    """The parents at their start. first: the number of the first, for messages. profiles: known from other parents.

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
    lots, least = lots_of(venue.instrument, jobs.quantity), _least_lots(venue, seen)
    plain = (lots >= least) & (jobs.duration_seconds >= 1) & (jobs.duration_seconds <= MAX_DURATION_SECONDS)
    alone = np.ones(count, np.bool_)
    for place, executor in enumerate(executors):
        mine = plain & (jobs.setting == place)
        if mine.any() and is_shared(jobs.settings[place], executor, venue):
            alone[mine] = False
            for group in _Group.all(taken, jobs.settings[place], executor, np.flatnonzero(mine), lots, least):
                alone[group.plan()] = True
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


# ---- quantities and minima


def lots_of(instrument: Instrument, quantity: NDArray[np.float64]) -> Ints:
    """`Instrument.lots` of each quantity; 0 for what is no quantity or more than MAX_LOTS.

    A quotient that is further from an integer than its rounding errors is rounded down as it stands; what lies closer
    is asked one by one, unless it is the integer's own quantity.
    """
    lot = Fraction(instrument.lot)
    found = np.zeros(len(quantity), np.int64)
    with np.errstate(over="ignore", invalid="ignore"):
        steps = quantity * lot.denominator / lot.numerator
    sane = (quantity > 0) & (steps < MAX_LOTS)
    nearest = np.rint(np.where(sane, steps, 0.0))
    exact = max(lot.numerator, lot.denominator) < EXACT
    on_grid = sane & exact & (nearest * lot.numerator < EXACT) & (nearest * lot.numerator / lot.denominator == quantity)
    clear = sane & exact & ~on_grid & (np.abs(steps - nearest) > 1e-9 * (1 + nearest))
    found[on_grid] = nearest[on_grid]
    found[clear] = np.floor(steps[clear])
    for number in np.flatnonzero((sane & ~on_grid & ~clear) | (steps == MAX_LOTS)).tolist():
        found[number] = instrument.lots(float(quantity[number]))
    return found


def _least_lots(venue: Venue, seen: Ints) -> Ints:
    """The venue's minimum as known after the last bar that each parent has seen."""
    instrument, bars = venue.instrument, venue.bars
    if instrument.min_notional == 0 and Fraction(instrument.min_qty) == 0:
        return np.ones(len(seen), np.int64)
    known, which = np.unique(seen, return_inverse=True)
    prices = [float(bars.close[k] if k >= 0 else bars.open[0]) for k in known.tolist()]
    return np.array([instrument.min_lots(price) for price in prices], np.int64)[which]


# ---- parents that share a plan


def is_shared(setting: Setting, executor: BaseExecutor, venue: Venue) -> bool:
    """Whether plans of this setting depend on nothing but duration, side, start, minimum and lots."""
    if type(executor) not in KNOWN or not isinstance(executor, RuleExecutor):
        return False
    if executor.instrument != venue.instrument or setting.algo_type != executor.algo_type:
        return False
    try:
        params = _params(setting, executor)
    except (ValueError, FillwrightError):
        return False  # each parent says what is wrong
    if params.quantity_currency != "base":
        return False
    own = (getattr(params, name, 0) for name in ("randomize_time", "randomize_size", "clip_jitter", "risk_aversion"))
    return not any(own)


def _params(setting: Setting, executor: RuleExecutor) -> Any:
    return executor.params(ExecutionAlgorithm(setting.algo_type, setting.symbol, "buy", 1.0, 60, dict(setting.params)))


@dataclass(slots=True)
class _Group:
    """Parents of one setting, side, duration and number of slices."""

    taken: Intake
    setting: Setting
    executor: Any
    params: Any
    rows: Ints
    lots: Ints
    least: Ints
    slices: int

    @classmethod
    def all(
        cls, taken: Intake, setting: Setting, executor: BaseExecutor, rows: Ints, lots: Ints, least: Ints
    ) -> Iterator[_Group]:
        assert isinstance(executor, RuleExecutor)
        params, jobs = _params(setting, executor), taken.jobs
        keys = jobs.duration_seconds[rows] * 2 + (jobs.side[rows] > 0)
        for key in np.unique(keys):
            some = rows[keys == key]
            cuts = np.ones(len(some), np.int64)
            if isinstance(executor, SlicedExecutor):
                terms = Terms(quantity=1, horizon_ms=int(key) // 2 * 1000, limit_ticks=0, start_ns=0)
                cuts[:] = executor.slices_of(params, terms)
                if not isinstance(executor, POVExecutor):
                    cuts = np.maximum(1, np.minimum(np.minimum(cuts, terms.horizon_ms), lots[some] // least[some]))
            for slices in np.unique(cuts).tolist():
                mine = some[cuts == slices]
                yield cls(taken, setting, executor, params, mine, lots[mine], least[mine], slices)

    def plan(self) -> Ints:
        """Fills in plans, briefs and curves; gives back the rows for which that cannot be done together."""
        taken, rows, params = self.taken, self.rows, self.params
        side = int(taken.jobs.side[rows[0]])
        first = self._terms(0)
        facts = Facts(
            symbol=self.setting.symbol,
            instrument=self.executor.instrument,
            side=side,
            min_lots=int(self.least[0]),
            seed=(),
            first=first,
            price=None,
        )
        try:
            schedule = self.executor.schedule(params, first, facts)
        except ValueError:  # each of them says for itself what is wrong
            return rows
        taken.plans[rows] = records(Plan, [schedule.plan])[0]
        taken.plans["quantity"][rows] = self.lots
        taken.plans["min_lots"][rows] = self.least
        taken.looped[rows] = True
        briefs = taken.briefs
        briefs["rule"][rows] = RULES.index(self.executor.due)
        briefs["retries"][rows] = params.retries
        briefs["retry_ms"][rows] = round(params.retry_seconds * 1000)
        if params.start_ts_ns is not None:
            briefs["start_ns"][rows] = params.start_ts_ns
        if isinstance(self.executor, IcebergExecutor):
            return self._show()
        if isinstance(self.executor, TWAPExecutor):
            taken.plans["nominal"][rows] = -(-self.lots // self.slices)
            return rows[:0]
        profiles, which = self._profiles()
        self._expect(profiles, which)
        if isinstance(self.executor, POVExecutor):
            taken.plans["nominal"][rows] = self.lots
        elif isinstance(self.executor, VWAPExecutor):
            shares = np.array([one.weights / one.weights.sum() for one in profiles])
            self._aim(cumulative_rows(shares[which], self.lots))
        else:
            kappa, _ = self.executor.kappa(params, facts)
            steepness = kappa * first.horizon_ms
            if not params.volume_time:
                self._aim(trajectories(self.lots, self.slices, steepness))
                return rows[:0]
            targets = np.zeros((len(rows), self.slices), np.int64)
            for number, one in enumerate(profiles):
                mine = which == number
                targets[mine] = trajectories(self.lots[mine], self.slices, steepness, one.weights)
            self._aim(targets)
        return rows[:0]

    def _terms(self, at: int) -> Terms:
        """Of one parent of the group."""
        jobs, row, params = self.taken.jobs, self.rows[at], self.params
        limit = 0
        if params.limit_price is not None:
            grid = self.executor.instrument
            limit = (grid.ticks if jobs.side[row] > 0 else grid.ticks_up)(params.limit_price)
        return Terms(
            quantity=int(self.lots[at]),
            horizon_ms=int(jobs.duration_seconds[row]) * 1000,
            limit_ticks=limit,
            start_ns=int(jobs.start_ns[row]) if params.start_ts_ns is None else params.start_ts_ns,
        )

    def _profiles(self) -> tuple[list[Profile], Ints]:
        """The usual volume from each moment at which a parent of the group begins, and whose is whose."""
        starts = self.taken.briefs["start_ns"][self.rows]
        _, firsts, which = np.unique(starts, return_index=True, return_inverse=True)
        return [self._profile(self._terms(at)) for at in firsts.tolist()], which

    def _profile(self, terms: Terms) -> Profile:
        params, known = self.params, self.taken.profiles
        place = int(self.taken.jobs.setting[self.rows[0]])
        key = (place, terms.start_ns, terms.horizon_ms, self.slices)
        profile = known.get(key)
        if profile is None:
            least = params.min_volume_threshold if isinstance(self.executor, VWAPExecutor) else 0.0
            days = params.lookback_days
            profile = self.executor.past_profile(self.setting.symbol, terms, self.slices, days, least)
            if len(known) < MOST_PROFILES:
                known[key] = profile
        return profile

    def _expect(self, profiles: Sequence[Profile], which: Ints) -> None:
        """Curves of volume: one for all that begin at the same moment."""
        curves = [one.expected(self.executor.instrument) for one in profiles]
        begins = np.array([self.taken.volume.add(curve) for curve in curves], np.int64)
        lengths = np.array([len(curve) for curve in curves], np.int64)
        self.taken.briefs["volume_from"][self.rows] = begins[which]
        self.taken.briefs["volume_to"][self.rows] = (begins + lengths)[which]

    def _aim(self, targets: Ints) -> None:
        """Targets, shape (parents, slices); an ordinary slice is the largest."""
        self._place(targets)
        steps = np.diff(targets, axis=1, prepend=0)
        self.taken.plans["nominal"][self.rows] = steps.max(axis=1)

    def _place(self, targets: Ints) -> None:
        begin = self.taken.targets.add(targets)
        width = targets.shape[1]
        self.taken.briefs["targets_from"][self.rows] = begin + width * np.arange(len(self.rows))
        self.taken.briefs["targets_to"][self.rows] = begin + width * np.arange(1, len(self.rows) + 1)

    def _show(self) -> Ints:
        """The display of an iceberg; parents whose minimum allows fewer levels than told start by themselves."""
        params, plans, rows = self.params, self.taken.plans, self.rows
        levels = len(params.levels)
        if params.display_quantity is not None:
            display = np.full(len(rows), self.executor.instrument.lots(params.display_quantity))
        else:
            display = (self.lots * params.visible_ratio).astype(np.int64)
        display = np.minimum(self.lots, np.maximum(display, self.least * levels))
        plans["display"][rows] = display
        plans["nominal"][rows] = self.lots
        plans["levels"][rows] = levels
        weights = np.array(params.levels)
        shares = np.broadcast_to(weights / weights.sum(), (len(rows), levels))
        self._place(cumulative_rows(shares, display))
        small: Ints = rows[display // self.least < levels]
        return small
