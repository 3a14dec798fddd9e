"""Plans of parents that share a setting, all at once.

The plan comes from the executor itself, once for the setting; what depends on side, quantity, minimum, start, duration
or slices is filled in for all of its parents. Curves are made together for those of one duration and number of slices.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.errors import FillwrightError
from execution.algorithm import Terms
from execution.base import BaseExecutor, Facts, RuleExecutor
from execution.batch_act import RULES
from execution.batch_columns import Intake
from execution.batch_intake import Ints, Setting
from execution.batch_tables import records
from execution.batch_usual import Known, UsualVolume
from execution.contracts import ExecutionAlgorithm
from execution.iceberg import IcebergExecutor
from execution.plan import MAX_SLICES, Plan
from execution.pov import POVExecutor
from execution.profile import blocks
from execution.shortfall import ISExecutor, trajectories
from execution.sliced import DEFAULT_SLICES, SlicedExecutor
from execution.twap import MarketOrderExecutor, TWAPExecutor
from execution.venue import Venue
from execution.vwap import VWAPExecutor
from execution.whole_lots import cumulative_rows

Floats = NDArray[np.float64]
FITS: Final = 2**62
KNOWN: Final = (TWAPExecutor, MarketOrderExecutor, VWAPExecutor, POVExecutor, ISExecutor, IcebergExecutor)


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


def plan_together(taken: Intake, place: int, rows: Ints, lots: Ints, least: Ints) -> Ints:
    """Fills in plans, briefs and curves of these parents of a setting; gives back those that must start one by one.

    lots, least: of all parents, quantities and minima.
    """
    setting, executor = taken.jobs.settings[place], taken.executors[place]
    assert isinstance(executor, RuleExecutor)
    params = _params(setting, executor)
    horizons = taken.jobs.duration_seconds[rows] * 1000
    slices = _slices(executor, params, horizons, lots[rows] // least[rows])
    fits = slices <= MAX_SLICES
    alone = rows[~fits]
    if len(alone) == len(rows):
        return alone
    if len(alone):
        rows, horizons, slices = rows[fits], horizons[fits], slices[fits]
    group = _Group(taken, setting, place, executor, params, rows, lots[rows], least[rows], horizons, slices)
    return np.concatenate((alone, group.plan()))


def _params(setting: Setting, executor: RuleExecutor) -> Any:
    return executor.params(ExecutionAlgorithm(setting.algo_type, setting.symbol, "buy", 1.0, 60, dict(setting.params)))


def _slices(executor: RuleExecutor, params: Any, horizons_ms: Ints, orders: Ints) -> Ints:
    """The slices of each parent; orders: as many as its quantity has of the venue's minimum."""
    if not isinstance(executor, SlicedExecutor):
        return np.full(len(horizons_ms), DEFAULT_SLICES)  # an iceberg has none, but leads as if it had
    lengths, which = np.unique(horizons_ms, return_inverse=True)
    wanted = np.array([executor.slices_of(params, _terms(length)) for length in lengths.tolist()], np.int64)[which]
    if isinstance(executor, POVExecutor):
        return wanted
    feasible: Ints = np.maximum(1, np.minimum(np.minimum(wanted, orders), horizons_ms))
    return feasible


def _terms(horizon_ms: int, quantity: int = 1, limit_ticks: int = 0, start_ns: int = 0) -> Terms:
    return Terms(quantity=quantity, horizon_ms=horizon_ms, limit_ticks=limit_ticks, start_ns=start_ns)


@dataclass(slots=True)
class _Group:
    """Parents of one setting: their rows, and a column each of what they do not share."""

    taken: Intake
    setting: Setting
    place: int
    executor: Any
    params: Any
    rows: Ints
    lots: Ints
    least: Ints
    horizons: Ints
    slices: Ints

    def plan(self) -> Ints:
        """Fills in what it can; gives back the rows for which that is not so."""
        taken, rows, params = self.taken, self.rows, self.params
        buying, selling = self._limits()
        if max(buying, selling) >= FITS:
            return rows
        facts = self._facts(buying)
        try:
            schedule = self.executor.schedule(params, facts.first, facts)
        except ValueError:  # each of them says for itself what is wrong
            return rows
        self._brief()
        plans, sides = taken.plans, taken.jobs.side[rows]
        plans.put(rows, records(Plan, [schedule.plan]))  # a tenth of the price of assigning
        plans["side"][rows] = sides
        plans["quantity"][rows] = self.lots
        plans["min_lots"][rows] = self.least
        plans["horizon_ms"][rows] = self.horizons
        plans["limit_ticks"][rows] = np.where(sides > 0, buying, selling)
        for horizon, cuts, mine in self._alike():
            plans["completion_ms"][rows[mine]] = self.executor.lead_ms(params, _terms(horizon), cuts)
        if isinstance(self.executor, IcebergExecutor):
            return self._show()
        plans["slices"][rows] = self.slices
        if isinstance(self.executor, TWAPExecutor):
            plans["nominal"][rows] = -(-self.lots // self.slices)
            return rows[:0]
        for horizon, cuts, mine in self._alike():
            self._curve(rows[mine], self.lots[mine], replace(facts, first=_terms(horizon)), cuts)
        return rows[:0]

    def _limits(self) -> tuple[int, int]:
        """The worst price of buyers and that of sellers, in ticks; 0: none."""
        price, grid = self.params.limit_price, self.executor.instrument
        return (0, 0) if price is None else (grid.ticks(price), grid.ticks_up(price))

    def _facts(self, limit_ticks: int) -> Facts:
        """Of the first of them, a buyer."""
        start_ns = self.params.start_ts_ns
        if start_ns is None:
            start_ns = int(self.taken.briefs["start_ns"][self.rows[0]])
        return Facts(
            symbol=self.setting.symbol,
            instrument=self.executor.instrument,
            side=1,
            min_lots=int(self.least[0]),
            seed=(),
            first=_terms(int(self.horizons[0]), int(self.lots[0]), limit_ticks, start_ns),
            price=None,
        )

    def _brief(self) -> None:
        """What they are told besides the plan."""
        briefs, rows, params = self.taken.briefs, self.rows, self.params
        self.taken.looped[rows] = True
        briefs["rule"][rows] = RULES.index(self.executor.due)
        briefs["retries"][rows] = params.retries
        briefs["retry_ms"][rows] = round(params.retry_seconds * 1000)
        if params.start_ts_ns is not None:
            briefs["start_ns"][rows] = params.start_ts_ns

    def _alike(self) -> Iterator[tuple[int, int, Ints | slice]]:
        """Horizons and slices, and where the parents that have them stand."""
        keys = self.horizons * (MAX_SLICES + 1) + self.slices
        distinct, which, counts = np.unique(keys, return_inverse=True, return_counts=True)
        order, ends = np.argsort(which, kind="stable"), np.cumsum(counts)
        for key, end, count in zip(distinct.tolist(), ends.tolist(), counts.tolist(), strict=True):
            horizon, cuts = divmod(key, MAX_SLICES + 1)
            yield horizon, cuts, slice(None) if len(distinct) == 1 else order[end - count : end]

    def _curve(self, rows: Ints, lots: Ints, facts: Facts, slices: int) -> None:
        """Curves of parents of one horizon and number of slices."""
        executor, params, horizon = self.executor, self.params, facts.first.horizon_ms
        known, places, which = self._expect(rows, horizon, slices)
        if isinstance(executor, POVExecutor):
            self.taken.plans["nominal"][rows] = lots
            return
        kappa = 0.0 if isinstance(executor, VWAPExecutor) else executor.kappa(params, facts)[0]
        shares = known.weights[places]
        if isinstance(executor, VWAPExecutor):
            shares /= shares.sum(axis=1, keepdims=True)
        targets, nominal = np.empty((len(rows), slices), np.int64), np.empty(len(rows), np.int64)
        for some in blocks(len(rows), slices):
            if isinstance(executor, VWAPExecutor):
                part = cumulative_rows(shares[which[some]], lots[some])
            else:
                clock = shares[which[some]] if params.volume_time else None
                part = trajectories(lots[some], slices, kappa * horizon, clock)
            targets[some] = part
            nominal[some] = np.diff(part, axis=1, prepend=0).max(axis=1)
        self._place(rows, targets)
        self.taken.plans["nominal"][rows] = nominal  # an ordinary slice is the largest

    def _expect(self, rows: Ints, horizon: int, slices: int) -> tuple[Known, Ints, Ints]:
        """Curves of expected volume, one for all that begin at the same moment; what is known, where these moments
        stand in it, and which of them each parent's is."""
        taken = self.taken
        starts, which = np.unique(taken.briefs["start_ns"][rows], return_inverse=True)
        known = self._usual(horizon, slices).at(starts)
        places = known.rows(starts)
        if 2 * len(starts) >= len(known.starts_ns):  # most of the table: as it stands, without a copy
            begins = taken.volume.add(known.lots) + slices * places
        else:
            begins = taken.volume.add(known.lots[places]) + slices * np.arange(len(starts))
        taken.briefs["volume_from"][rows] = begins[which]
        taken.briefs["volume_to"][rows] = (begins + slices * known.is_known[places])[which]
        return known, places, which

    def _usual(self, horizon: int, slices: int) -> UsualVolume:
        key = (self.place, horizon, slices)
        found = self.taken.profiles.get(key)
        if found is None:  # of two threads that come here at a time, the second takes what the first has made
            executor, params, symbol = self.executor, self.params, self.setting.symbol
            least = params.min_volume_threshold if isinstance(executor, VWAPExecutor) else 0.0
            fresh = UsualVolume(
                lambda starts: executor.past_profiles(symbol, starts, horizon, slices, params.lookback_days, least),
                slices,
                executor.instrument,
                weighted=isinstance(executor, VWAPExecutor) or getattr(params, "volume_time", False),
            )
            found = self.taken.profiles.setdefault(key, fresh)
        return found

    def _place(self, rows: Ints, targets: Ints) -> None:
        width = targets.shape[1]
        begins = self.taken.targets.add(targets) + width * np.arange(len(rows))
        self.taken.briefs["targets_from"][rows] = begins
        self.taken.briefs["targets_to"][rows] = begins + width

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
        self._place(rows, cumulative_rows(shares, display))
        small: Ints = rows[display // self.least < levels]
        return small
