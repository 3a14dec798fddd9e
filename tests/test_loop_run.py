"""Several parents in one market: the compiled loop and the desk of the machine decide alike, and report alike."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from backtest.vetting import conduct_of
from core.contracts import FillEvent, RiskDecision
from core.contracts import OrderIntent as Intent
from execution.batch import Job
from execution.batch_reports import Told, told
from execution.batch_run import LoopRun
from execution.contracts import ExecutionReport
from execution.desk import Desk, Gate
from execution.executors import work
from execution.parent import ParentOrder
from execution.run_files import result_of, run_result
from execution.venue import Venue
from risk.clearance import clears
from risk.gate import RiskGate
from risk.limits import RiskLimits
from tests import batches
from tests.risks import NO_KILL, loose

PARENTS = 7
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


class Case(NamedTuple):
    """A market, and parents that come to it in order of time."""

    place: Venue
    jobs: list[Job]

    def __repr__(self) -> str:
        return repr(batches.Case(self.place, self.jobs))

    def parents(self) -> list[tuple[int, Job, ParentOrder]]:
        """Each with the last bar known when it comes."""
        return [(batches.last_seen(self.place, job.start_ns), job, self.parent(job)) for job in self.jobs]

    def parent(self, job: Job) -> ParentOrder:
        assert job.executor is not None
        seen = batches.last_seen(self.place, job.start_ns)
        price = float(self.place.bars.close[seen] if seen >= 0 else self.place.bars.open[0])
        made = work(
            job.executor,
            job.algo,
            start_ns=job.start_ns,
            price=price,
            execution_id=job.execution_id,
            parent_intent_id=job.execution_id,
        )
        assert isinstance(made, ParentOrder)
        return made


@st.composite
def crowds(draw: st.DrawFn) -> Case:
    """Parents of all algorithms and both sides, many at the same time."""
    place = draw(batches.places())
    span_ns = int(place.bars.ts_close_ns[-1] - place.bars.ts_open_ns[0])
    jobs = []
    for number in range(draw(st.integers(2, PARENTS))):
        job = draw(batches.jobs(draw(st.sampled_from(batches.ALGOS)), place))
        if job is not None:
            early_ns = int(place.bars.ts_open_ns[0]) + (job.start_ns * 7 + number) % max(1, span_ns // 3)
            jobs.append(Job(job.algo, early_ns, job.executor, f"x-{number}"))
    case = Case(place, sorted(jobs, key=lambda job: job.start_ns))
    try:
        case.parents()
    except ValueError:  # another price, another minimum
        assume(False)
    return case


class Played(NamedTuple):
    reports: list[ExecutionReport]
    fills: list[FillEvent]
    bars: list[int]


def by_desk(case: Case, gate: Gate | None = None) -> Played:
    """The machine: every parent at one desk."""
    place = case.place
    played = Played([], [], [])

    def hear(fill: FillEvent, bar: int) -> None:
        played.fills.append(fill)
        played.bars.append(bar)

    desk = Desk(place.market(), place.tape, gate, place.settings, hear, played.reports.append)
    parents = case.parents()
    for k in range(-1, len(place.bars)):
        if k >= 0 and desk.next_bar(k - 1) == k:
            desk.play(k)
        for seen, job, parent in parents:
            if seen == k:
                desk.start(parent, job.start_ns, k)
    desk.finish(len(place.bars) - 1)
    return played


def by_loop(case: Case) -> LoopRun | None:
    """The loop; None where it does not cover a parent, or drew for fewer clips than were shown."""
    run = LoopRun.of(case.place, 1_000.0)
    assert run is not None
    for seen, job, parent in case.parents():
        if not run.takes(parent):
            return None
        run.play(seen)
        run.start(parent, job.start_ns, seen, parent.plan.quantity)
    run.play(len(case.place.bars) - 1)
    if run.left:
        return None
    run.finish()
    return run


def same(got: Any, expected: Any, path: str = "") -> None:
    """Equal, floats to 1e-9 of their value (what is a small difference of prices: of a price)."""
    if isinstance(expected, dict):
        assert list(got) == list(expected), path
        for name in expected:
            same(got[name], expected[name], f"{path}.{name}")
    elif isinstance(expected, list | tuple):
        assert len(got) == len(expected), path
        for at, (one, other) in enumerate(zip(got, expected, strict=True)):
            same(one, other, f"{path}[{at}]")
    elif isinstance(expected, float):
        near = math.isclose(got, expected, rel_tol=1e-9, abs_tol=1e-7 if path.endswith("impact") else 0.0)
        assert near or (math.isnan(got) and math.isnan(expected)), (path, got, expected)
    else:
        assert got == expected, path


def check_account(case: Case, got: Told) -> None:
    """From columns and from the objects that are made of them: the same to the last bit."""
    bars, instrument = case.place.bars, case.place.instrument
    columns = result_of(bars, instrument, 1_000.0, *got)
    objects = run_result(bars, instrument, 1_000.0, got.reports, got.fills, got.moves.bar.tolist())
    for name in ("ts_ns", "equity", "cash", "position"):
        assert getattr(columns, name).tobytes() == getattr(objects, name).tobytes(), name
    assert (columns.reports, columns.fills) == (objects.reports, objects.fills)


def check_alike(case: Case) -> None:
    run = by_loop(case)
    assume(run is not None)
    assert run is not None
    witness = batches.Witness(case.place.instrument)
    expected = by_desk(case, witness)
    got = told(run, case.place)
    orders = run.orders
    commands = list(
        zip(
            np.where(orders["cancel"] > 0, "cancel", "new").tolist(),
            *(orders[name].tolist() for name in ("ts_ns", "slice_idx", "lots", "limit_ticks")),
            strict=True,
        )
    )
    assert commands == [tuple(command)[1:] for command in witness.commands]
    assert got.moves.bar.tolist() == expected.bars
    check_account(case, got)
    same([fill.to_dict() for fill in got.fills], [fill.to_dict() for fill in expected.fills], "fills")
    ordered = sorted(expected.reports, key=lambda report: int(report.execution_id[2:]))
    mine = sorted(got.reports, key=lambda report: int(report.execution_id[2:]))
    same([report.to_dict() for report in mine], [report.to_dict() for report in ordered], "reports")
    money = sum((1 if fill.side == "sell" else -1) * fill.qty * fill.price - fill.fee for fill in got.fills)
    assert run.cash == pytest.approx(1_000.0 + money, rel=1e-9, abs=1e-6)
    assert run.to_trade == 0 or any(report.status == "running" for report in mine)


@settings(max_examples=25, suppress_health_check=QUIET)
@given(crowds())
def test_parents_in_one_market_do_the_same_in_the_loop_and_at_the_desk(case: Case) -> None:
    # pitfalls 8, 9, 11, 13, 14, 16, 25: shared budget, shared impact, one queue for all, wakes in order
    check_alike(case)


@pytest.mark.slow
@settings(max_examples=800, suppress_health_check=QUIET, database=None)
@given(crowds())
def test_hundreds_of_crowds_do_the_same_in_the_loop_and_at_the_desk(case: Case) -> None:
    check_alike(case)


# ---------------------------------------------------------------- the gate's verdict on a whole run


class Asking:
    """The real gate, and whether it has refused anything."""

    def __init__(self, gate: RiskGate) -> None:
        self.gate = gate
        self.refused: list[str] = []
        self.on_parent, self.on_fill = gate.on_parent, gate.on_fill
        self.on_closed, self.on_price = gate.on_closed, gate.on_price

    def check(self, intent: Intent, now_ns: int) -> RiskDecision:
        decision = self.gate.check(intent, now_ns)
        if not decision.allowed:
            self.refused.append(str(decision.reason))
        return decision


def gate_of(limits: RiskLimits, place: Venue) -> RiskGate:
    return RiskGate(limits, kill=NO_KILL, instruments={batches.SYMBOL: place.instrument})


@st.composite
def limits_near(draw: st.DrawFn) -> RiskLimits:
    """Limits about as large as what these parents do: some loose, some tight."""
    some = st.sampled_from((1.0, 3.0, 30.0, 300.0, 3e3, 1e5, 1e6))
    counts = st.sampled_from((1, 2, 3, 5, 10, 1000))
    ages = st.sampled_from((1.0, 59.0, 61.0, 600.0, 1e5))
    return loose(
        **{
            "limits": {
                "max_order_qty": draw(some),
                "max_order_notional": 100 * draw(some),
                "max_position_qty": draw(some),
                "max_open_orders": draw(counts),
                "price_collar_bps": draw(st.sampled_from((0.1, 10.0, 1000.0))),
                "max_reference_age_s": draw(ages),
            },
            "account": {
                "max_open_notional": 100 * draw(some),
                "buying_power": 100 * draw(some),
                "max_open_orders": draw(counts),
                "max_daily_loss": draw(some),
            },
            "rate": {"window_s": draw(ages), "max_orders": draw(counts), "max_cancels": draw(counts)},
            "repeats": {"window_s": draw(ages), "max_executions": draw(counts)},
            "rejects": {"window_s": draw(ages), "last_orders": 1001, "max_rejects": draw(counts)},
            "intents": {"duplicate_window_s": draw(ages)},
        }
    )


@settings(max_examples=60, suppress_health_check=QUIET)
@given(crowds(), st.lists(st.sampled_from(range(13)), max_size=3), limits_near())
def test_what_is_cleared_as_a_whole_the_gate_passes_order_by_order(
    case: Case, tight: list[int], near: RiskLimits
) -> None:
    limits = one_by_one(near, tight)
    run = by_loop(case)
    assume(run is not None)
    assert run is not None
    if clears(gate_of(limits, case.place), conduct_of(run, case.place)):
        asking = Asking(gate_of(limits, case.place))
        by_desk(case, asking)
        assert asking.refused == []


def one_by_one(near: RiskLimits, tight: list[int]) -> RiskLimits:
    """Loose limits but for a few of these."""
    names = [
        *(("limits", name) for name in ("max_order_qty", "max_order_notional", "max_position_qty", "max_open_orders")),
        *(("limits", name) for name in ("price_collar_bps", "max_reference_age_s")),
        *(("account", name) for name in ("max_open_notional", "buying_power", "max_open_orders", "max_daily_loss")),
        ("rate", "*"),
        ("repeats", "*"),
        ("intents", "duplicate_window_s"),
    ]
    changes: dict[str, Any] = {}
    for at in tight:
        section, name = names[at]
        theirs = getattr(near, section)
        chosen = [f for f in theirs.__dataclass_fields__ if name in ("*", f)]
        changes.setdefault(section, {}).update({f: getattr(theirs, f) for f in chosen})
    return loose(**{"limits": {"max_reference_age_s": 1e7}, **changes})
