"""Random parents in random markets, and what a driver did with one: every command and every fill, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from core.bars import Bars
from core.chance import generator
from core.contracts import FillEvent, OrderClosed, OrderIntent, RiskDecision, Side
from core.instrument import Instrument
from execution.batch import Batch, Job
from execution.config import FillConfig
from execution.contracts import AlgoType, ExecutionAlgorithm, ExecutionReport
from execution.desk import Desk
from execution.executors import executor, work
from execution.profile import VolumeHistory
from execution.slippage import LinearSlippageModel, SquareRootSlippageModel
from execution.spread import Spread
from execution.venue import Venue, venue
from tests.naive import MINUTE_NS, START_NS

SYMBOL = "ATOM/USDT"
ALGOS: tuple[AlgoType, ...] = ("TWAP", "VWAP", "POV", "Iceberg", "IS")
SECOND_NS = 1_000_000_000


class Command(NamedTuple):
    number: int
    action: str
    ts_ns: int
    slice_idx: int
    lots: int
    limit_ticks: int


class Fill(NamedTuple):
    child: int
    ts_ns: int
    bar: int
    lots: int
    maker: bool


@dataclass(slots=True)
class Trace:
    """What a driver did with one parent. Prices stand apart: they need agree to 1e-9 only."""

    commands: list[Command]
    fills: list[Fill]
    prices: list[float]
    status: str
    end_ns: int | None
    reason: str | None


def last_seen(place: Venue, ts_ns: int) -> int:
    """The last bar that has closed by then; -1: none."""
    return int(np.searchsorted(place.bars.ts_close_ns, ts_ns, side="right")) - 1


class Witness:
    """A gate that lets everything pass and writes it down."""

    def __init__(self, instrument: Instrument) -> None:
        self.commands: list[Command] = []
        self.fills: list[Fill] = []
        self.prices: list[float] = []
        self._instrument = instrument
        self._numbers: dict[str, int] = {}

    def check(self, intent: OrderIntent, now_ns: int) -> RiskDecision:
        if intent.action == "new":
            self._numbers[intent.intent_id] = len(self._numbers)
        number = self._numbers[intent.target_intent_id or intent.intent_id]
        ticks = 0 if intent.limit_price is None else self._instrument.ticks(intent.limit_price)
        assert (intent.type == "market") == (ticks == 0)
        lots = self._instrument.lots(intent.qty)
        self.commands.append(Command(number, intent.action, now_ns, int(intent.meta["slice_idx"]), lots, ticks))
        return RiskDecision(intent.intent_id, True)

    def filled(self, fill: FillEvent, bar: int) -> None:
        lots = self._instrument.lots(fill.qty)
        self.fills.append(Fill(self._numbers[fill.order_id], fill.ts_fill_ns, bar, lots, fill.liquidity == "maker"))
        self.prices.append(fill.price)

    def on_fill(self, fill: FillEvent) -> None:
        """`filled` hears of it, with the bar."""

    def on_closed(self, closed: OrderClosed) -> None:
        """Nothing is limited."""

    def on_parent(self, execution_id: str, symbol: str, side: Side, qty: float) -> None: ...

    def on_price(self, symbol: str, bid: float, ask: float, ts_ns: int) -> None:
        """Nothing is limited."""


def on_desk(place: Venue, job: Job) -> Trace:
    """The sync driver: the machine on a desk of its own."""
    assert job.executor is not None
    seen = last_seen(place, job.start_ns)
    market, witness = place.market(), Witness(place.instrument)
    reports: list[ExecutionReport] = []
    desk = Desk(market, place.tape, witness, {}, witness.filled, reports.append)
    parent = work(job.executor, job.algo, start_ns=job.start_ns, price=market.mid(seen), execution_id=job.execution_id)
    desk.start(parent, job.start_ns, seen)
    k = desk.next_bar(seen)
    while k is not None:
        desk.play(k)
        k = desk.next_bar(k)
    desk.finish(len(place.bars) - 1)
    (report,) = reports
    reason = None if report.status == "completed" else report.unfilled_reason
    return Trace(witness.commands, witness.fills, witness.prices, report.status, report.end_ts_ns, reason)


def in_batch(batch: Batch, number: int) -> Trace:
    """The rows of one parent of a batch."""
    commands = _rows(batch.children, Command._fields, "parent", number)
    fills = _rows(batch.fills, Fill._fields, "parent", number)
    end_ns = int(batch.parents["end_ns"][number])
    return Trace(
        [Command(*row) for row in commands],
        [Fill(*row) for row in fills],
        batch.fills["price"][batch.fills["parent"] == number].tolist(),
        str(batch.parents["status"][number]),
        None if end_ns < 0 else end_ns,
        str(batch.parents["reason"][number]) or None,
    )


def _rows(columns: Mapping[str, Any], names: tuple[str, ...], key: str, number: int) -> list[tuple[Any, ...]]:
    mine = columns[key] == number
    return list(zip(*(columns[name][mine].tolist() for name in names), strict=True))


def assert_same(got: Trace, expected: Trace) -> None:
    assert got.commands == expected.commands
    assert got.fills == expected.fills
    np.testing.assert_allclose(got.prices, expected.prices, rtol=1e-9, atol=0)
    assert (got.status, got.end_ns, got.reason) == (expected.status, expected.end_ns, expected.reason)


# ---------------------------------------------------------------- random markets


def wild_bars(seed: int, count: int, start_ns: int = START_NS) -> Bars:
    """One-minute bars in whole cents that jump and stand still, with outages, empty bars and spikes of volume."""
    draws = generator(seed, "wild bars")
    waits = np.where(draws.random(count) < 0.06, draws.integers(1, 12, count), 0)
    waits[0] = 0
    opens_ns = start_ns + (np.arange(count) + np.cumsum(waits)) * MINUTE_NS
    calm = draws.random() < 0.3
    moves = draws.integers(-2 if calm else -25, 3 if calm else 26, count)
    close = 10_000 + np.cumsum(moves)
    jumps = np.where(draws.random(count) < 0.1, draws.integers(-30, 31, count), 0)
    opened = np.concatenate(([10_000], close[:-1])) + jumps
    reach = draws.integers(0, 12, (2, count))
    high, low = np.maximum(opened, close) + reach[0], np.minimum(opened, close) - reach[1]
    volume = np.round(draws.lognormal(6, 1, count))
    volume[draws.random(count) < 0.08] = 0
    volume[draws.random(count) < 0.03] *= 40
    prices = [np.ascontiguousarray(column / 100) for column in (opened, high, low, close)]
    bars = Bars(SYMBOL, opens_ns, opens_ns + MINUTE_NS, prices[0], prices[1], prices[2], prices[3], volume)
    bars.check()
    return bars


PAST = VolumeHistory(wild_bars(7, 10_000, START_NS - 14_000 * MINUTE_NS))


@st.composite
def places(draw: st.DrawFn) -> Venue:
    seed, count = draw(st.integers(0, 2**32)), draw(st.integers(20, 120))
    bars = wild_bars(seed, count)
    instrument = Instrument(
        SYMBOL,
        tick=draw(st.sampled_from(("0.01", "0.01", "0.05", "0.0003"))),
        lot=draw(st.sampled_from(("1", "1", "0.1", "0.03"))),
        min_qty=draw(st.sampled_from(("0", "0", "2.5"))),
        min_notional=draw(st.sampled_from((0.0, 0.0, 200.0, 1000.0))),
        maker_fee_bps=1.0,
        taker_fee_bps=5.0,
    )
    models = (
        None,
        SquareRootSlippageModel(0.7),
        SquareRootSlippageModel(0.95),
        LinearSlippageModel(0.9),
        SquareRootSlippageModel(0.1, volatility=0.02),
    )
    before = wild_bars(seed + 1, 60, START_NS - 4_000 * MINUTE_NS) if draw(st.booleans()) else None
    half = draw(st.sampled_from((0.0, 0.005, 0.02, 0.1)))
    fills = FillConfig(
        max_participation=draw(st.sampled_from((0.05, 0.3, 1.0))),
        limit_rule=draw(st.sampled_from(("through", "touch"))),
    )
    return venue(
        bars,
        instrument,
        draw(st.sampled_from(models)),
        spread=Spread(np.full(count, half), "test"),
        fills=fills,
        permanent_share=draw(st.sampled_from((0.0, 1 / 3, 1.0))),
        before=before,
    )


# ---------------------------------------------------------------- random parents

_SECONDS = st.sampled_from((0.001, 1.0, 7.5, 30.0, 60.0, 90.0, 600.0))


def _some(**choices: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=choices)


_POLICIES = _some(
    completion=st.sampled_from(("cancel", "complete", "extend")),
    completion_seconds=_SECONDS,
    catch_up=st.integers(1, 5),
    retries=st.integers(0, 4),
    retry_seconds=st.sampled_from((0.0001, 1.0, 20.0)),
    stale_seconds=st.sampled_from((0.0, 30.0, 60.0, 120.0, 300.0)),
    limit_price=st.integers(9_950, 10_050).map(lambda cents: cents / 100),
    max_participation=st.sampled_from((0.02, 0.2, 0.6, 0.99)),
)
_SLICED = _some(
    order_type=st.sampled_from(("limit", "market", "limit_then_cross")),
    rest_share=st.sampled_from((0.0, 0.3, 0.65, 1.0)),
    repeg_ticks=st.integers(1, 20),
    cross_spreads=st.integers(0, 3),
)
_INTERVALS = st.one_of(
    st.builds(lambda count: {"slice_count": count}, st.integers(1, 40)),
    st.builds(lambda seconds: {"interval_seconds": seconds}, st.sampled_from((1.7, 20.0, 60.0, 150.0))),
    st.just({}),
)
_OWN: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "TWAP": _some(randomize_time=st.sampled_from((0.1, 0.5)), randomize_size=st.sampled_from((0.2, 0.9))),
    "VWAP": _some(
        reweight=st.booleans(),
        max_stray=st.sampled_from((0.0, 0.05, 1.0)),
        settle_at=st.sampled_from((0.1, 0.5, 1.0)),
        lookback_days=st.integers(1, 5),
    ),
    "IS": _some(
        urgency=st.sampled_from(("low", "medium", "high")),
        half_life_seconds=st.sampled_from((0.001, 20.0, 300.0, 1e9)),
        volume_time=st.booleans(),
        lookback_days=st.integers(1, 5),
    )
    | _some(risk_aversion=st.sampled_from((0.0, 1e-6, 1e-3, 1.0, 1e9)), impact_coefficient=st.sampled_from((0.1, 0.9))),
    "POV": _some(
        target_pov=st.sampled_from((0.01, 0.1, 0.2, 0.5)),
        max_participation=st.sampled_from((0.5, 0.7)),
        of_total=st.booleans(),
        own_in_tape=st.booleans(),
        min_volume_threshold=st.sampled_from((0.0, 100.0, 400.0)),
        feed_forward=st.booleans(),
        spike=st.integers(0, 6),
        spike_slices=st.integers(1, 5),
        pov_completion=st.sampled_from(("strict", "complete", "sweep")),
    ),
    "Iceberg": _some(
        visible_ratio=st.sampled_from((0.05, 0.3, 1.0)),
        display_quantity=st.sampled_from((3.0, 20.0, 200.0)),
        replenish_threshold=st.sampled_from((0.1, 0.5, 1.0)),
        clip_jitter=st.sampled_from((0.2, 0.9)),
        levels=st.sampled_from(((1.0,), (2.0, 1.0), (1.0, 1.0, 1.0, 1.0, 1.0))),
        level_ticks=st.integers(1, 5),
        price=st.sampled_from(("fixed", "peg")),
        repeg_ticks=st.integers(1, 10),
    ),
}


def refused_by(algo_type: AlgoType) -> tuple[str, ...]:
    """Policies that an algorithm refuses: POV says how it ends by `pov_completion`, an iceberg has no volume cap."""
    return {"POV": ("completion",), "Iceberg": ("max_participation",)}.get(algo_type, ())


@st.composite
def jobs(
    draw: st.DrawFn, algo_type: AlgoType, place: Venue, fixed: Mapping[str, Any] = MappingProxyType({})
) -> Job | None:
    """A parent that the algorithm takes, or None where it refuses what was drawn. fixed: parameters that are given."""
    params = {**draw(_POLICIES), **draw(_OWN[algo_type])}
    if algo_type != "Iceberg":
        params |= {**draw(_SLICED), **draw(_INTERVALS)}
    params |= fixed
    for name in refused_by(algo_type):
        params.pop(name, None)
    if params.get("completion") == "extend":
        params["extend_seconds"] = draw(_SECONDS)
    span_s = int(place.bars.ts_close_ns[-1] - START_NS) // SECOND_NS
    start_ns = (
        START_NS + draw(st.integers(-60, span_s + 60)) * SECOND_NS + draw(st.sampled_from((0, 0, 1, 123_456_789)))
    )
    if draw(st.booleans()):
        params["start_ts_ns"] = start_ns + draw(st.sampled_from((-30, 0, 15, 60, 333))) * SECOND_NS
    duration = draw(st.one_of(st.integers(1, 600), st.integers(600, 7_200)))
    side: Side = draw(st.sampled_from(("buy", "sell")))
    quantity = draw(st.integers(1, 3_000))
    arguments = place.executor_arguments if draw(st.booleans()) else {"instrument": place.instrument}
    volumes = draw(st.sampled_from((PAST, None)))
    execution_id = f"x-{draw(st.integers(0, 10**6))}"
    try:
        worker = executor(algo_type, "tester", volumes=volumes, **{**arguments, "seed": 3})
        algo = ExecutionAlgorithm(algo_type, SYMBOL, side, float(quantity), duration, params)
        price = place.market().mid(last_seen(place, start_ns))
        work(worker, algo, start_ns=start_ns, price=price, execution_id=execution_id)
    except ValueError:
        return None
    return Job(algo, start_ns, worker, execution_id)


class Case(NamedTuple):
    """A market and some parents for it."""

    place: Venue
    jobs: list[Job]

    def __repr__(self) -> str:
        """Without the market, which would fill pages: what is known of it, and the parents."""
        place = self.place
        words = f"{len(place.bars)} bars, {place.instrument}, {place.settings}, {place.fills}"
        return "\n".join((words, *(f"{job.algo} from {job.start_ns - START_NS} ns" for job in self.jobs)))


@st.composite
def batches(
    draw: st.DrawFn, algo_type: AlgoType, most: int = 6, fixed: Mapping[str, Any] = MappingProxyType({})
) -> Case:
    place = draw(places())
    drawn = [draw(jobs(algo_type, place, fixed)) for _ in range(most)]
    return Case(place, [job for job in drawn if job is not None])
