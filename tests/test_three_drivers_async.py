"""The three-driver test, its async third: the same parents under the sync desk and over a bus, decision by decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from core.bars import Bars
from core.chance import generator
from core.contracts import FillEvent, OrderClosed, OrderIntent, RiskDecision, Side
from execution.benchmarks import Tape
from execution.config import FillConfig
from execution.contracts import AlgoType, ExecutionAlgorithm, ExecutionReport
from execution.desk import Desk
from execution.events import Amend, Cancel, Event, Pause, Resume, Step
from execution.executors import executor
from execution.market import BarMarket
from execution.parent import ParentOrder
from execution.profile import VolumeHistory
from tests.markets import IMPACT, INSTRUMENT, SYMBOL, Row, bars_of, cents, known, market_of, tapes
from tests.naive import MINUTE_NS, START_NS
from tests.parents import check_books
from tests.stage import Refuses, Stage, Storm, Told, Trace, trace

ALGORITHMS: tuple[AlgoType, ...] = ("TWAP", "VWAP", "Iceberg", "POV", "IS")
SECOND = 1_000_000_000


def past_bars() -> Bars:
    """Three days of five-minute bars before the start, busier at noon."""
    n = 3 * 288
    ts = START_NS - (n - np.arange(n)) * 5 * MINUTE_NS
    share = 1 + np.sin(np.linspace(0, 6 * np.pi, n)) / 2
    volume = np.round(400 * share * (0.5 + generator("three drivers").random(n)))
    price = np.full(n, 100.0)
    return Bars(SYMBOL, ts, ts + 5 * MINUTE_NS, price, price, price, price, volume)


HISTORY = VolumeHistory(past_bars())


def lively(seed: int) -> Bars:
    """Eight to thirty minutes of a market that moves about by ticks, trades in most minutes and breaks off in some."""
    draws = generator("lively", seed)
    n = int(draws.integers(8, 31))
    moves, jumps = draws.integers(-15, 16, n), draws.integers(-3, 4, n)
    up, down = draws.integers(0, 12, n), draws.integers(0, 12, n)
    rows: list[Row] = []
    price = 10_000
    for k in range(n):
        opens, closes = price + int(jumps[k]), price + int(jumps[k]) + int(moves[k])
        high, low = max(opens, closes) + int(up[k]), min(opens, closes) - int(down[k])
        volume = float(draws.integers(50, 3000)) if draws.random() < 0.9 else 0.0
        rows.append((cents(opens), cents(high), cents(low), cents(closes), volume))
        price = closes
    return bars_of(rows, pauses=[int(pause) for pause in 2 * (draws.random(n) < 0.05)])


def sometimes(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def given_names(names: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of the parameters, or none: what is left out has its default."""
    if "completion" not in names:
        return st.fixed_dictionaries({}, optional=names)
    extends = {"completion": st.just("extend"), "extend_seconds": st.sampled_from((60.0, 61.5))}
    others = {name: one for name, one in names.items() if name != "completion"}
    return st.fixed_dictionaries({}, optional=names) | st.fixed_dictionaries(extends, optional=others)


COMMON: dict[str, st.SearchStrategy[Any]] = {
    "completion": st.sampled_from(("cancel", "complete")),
    "completion_seconds": st.sampled_from((1.0, 30.0, 90.0)),
    "catch_up": st.integers(1, 4),
    "retries": st.integers(0, 3),
    "retry_seconds": st.sampled_from((0.5, 7.0, 60.0)),
    "stale_seconds": st.sampled_from((0.0, 30.0, 60.0, 300.0)),
    "pull_on_pause": st.booleans(),
    "limit_price": st.sampled_from((99.5, 100.0, 100.4)),
    "max_participation": st.sampled_from((0.05, 0.3, 0.6)),
}
SLICED: dict[str, st.SearchStrategy[Any]] = {
    **COMMON,
    "slice_count": st.integers(1, 12),
    "order_type": st.sampled_from(("limit", "market", "limit_then_cross")),
    "rest_share": st.sampled_from((0.0, 0.5, 0.65, 1.0)),
    "repeg_ticks": st.integers(1, 20),
    "cross_spreads": st.integers(0, 3),
}
PARAMS: dict[AlgoType, dict[str, st.SearchStrategy[Any]]] = {
    "TWAP": {**SLICED, "randomize_time": st.sampled_from((0.2, 0.5)), "randomize_size": st.sampled_from((0.3, 0.9))},
    "VWAP": {**SLICED, "reweight": st.booleans(), "max_stray": st.sampled_from((0.05, 0.5))},
    "POV": {
        **{name: one for name, one in SLICED.items() if name not in ("slice_count", "max_participation", "completion")},
        "interval_seconds": st.sampled_from((30.0, 60.0, 100.0)),
        "target_pov": st.sampled_from((0.1, 0.3)),
        "max_participation": st.sampled_from((0.3, 0.6)),
        "min_volume_threshold": st.sampled_from((0.0, 10.0, 200.0)),
        "of_total": st.booleans(),
        "own_in_tape": st.booleans(),
        "feed_forward": st.booleans(),
        "spike": st.sampled_from((0, 2)),
        "pov_completion": st.sampled_from(("strict", "complete", "sweep")),
    },
    "IS": {
        **SLICED,
        "half_life_seconds": st.sampled_from((0.001, 60.0, 1e9)),
        "volume_time": st.booleans(),
        "urgency": st.sampled_from(("low", "medium", "high")),
    },
    "Iceberg": {
        **{name: one for name, one in COMMON.items() if name != "max_participation"},
        "visible_ratio": st.sampled_from((0.05, 0.3, 1.0)),
        "replenish_threshold": st.sampled_from((0.2, 0.5, 1.0)),
        "clip_jitter": st.sampled_from((0.2, 0.9)),
        "levels": st.sampled_from(((1.0,), (0.6, 0.4), (3.0, 2.0, 1.0))),
        "level_ticks": st.integers(1, 20),
        "price": st.sampled_from(("fixed", "peg")),
        "repeg_ticks": st.integers(1, 20),
    },
}
REQUESTS: st.SearchStrategy[Event] = st.one_of(
    st.just(Pause()),
    st.just(Resume()),
    st.just(Cancel()),
    st.builds(Amend, quantity=sometimes(st.integers(1, 3000)), limit_ticks=sometimes(st.sampled_from((0, 9_990)))),
)


@st.composite
def scenes(draw: st.DrawFn, algo_type: AlgoType) -> dict[str, Any]:
    """A market and a parent in it."""
    return {
        "bars": draw(tapes() if draw(st.integers(0, 4)) == 0 else st.integers(0, 10**6).map(lively)),
        "half": draw(st.sampled_from((0.0, 0.01, 0.05))),
        "impact": draw(st.booleans()),
        "fills": FillConfig(
            max_participation=draw(st.sampled_from((0.1, 1.0))), limit_rule=draw(st.sampled_from(("through", "touch")))
        ),
        "algo": ExecutionAlgorithm(
            algo_type,
            SYMBOL,
            draw(st.sampled_from(("buy", "sell"))),
            float(draw(st.integers(1, 2000))),
            draw(st.integers(20, 900)),
            draw(given_names(PARAMS[algo_type])),
        ),
        "refused": draw(st.sampled_from((0, 0, 3, 2))),
        "requests": sorted(
            draw(st.lists(st.tuples(st.integers(1, 700).map(lambda s: START_NS + s * SECOND), REQUESTS), max_size=3)),
            key=lambda request: request[0],
        ),
        "start": draw(st.sampled_from((-1, -1, 0, 1))),
    }


def market_in(scene: dict[str, Any]) -> BarMarket:
    return market_of(
        scene["bars"],
        slippage=IMPACT if scene["impact"] else None,
        half=scene["half"],
        fills=scene["fills"],
        conditions=known(scene["bars"]),
    )


def start_of(scene: dict[str, Any]) -> int:
    bars, start = scene["bars"], scene["start"]
    return int(bars.ts_close_ns[start]) if start >= 0 else int(bars.ts_open_ns[0])


def parent_in(scene: dict[str, Any], number: int = 1) -> Told:
    algo: ExecutionAlgorithm = scene["algo"]
    made = executor(algo.algo_type, "tester", volumes=HISTORY, instrument=INSTRUMENT, seed=7)
    parent = made.start(algo, start_ns=start_of(scene), execution_id=f"x-{number}", price=100.0)
    return Told(parent, scene["requests"])


def refuses_in(scene: dict[str, Any]) -> Refuses:
    """Refuses every second or third intent, cancels too, always the same ones."""
    every = scene["refused"]
    return lambda intent: every > 0 and sum(intent.intent_id.encode()) % every == 0


class Recorder:
    """A gate that keeps what it is asked."""

    def __init__(self, refuses: Refuses) -> None:
        self.commands: list[Trace] = []
        self._refuses = refuses

    def check(self, intent: OrderIntent, now_ns: int) -> RiskDecision:
        self.commands.append(trace(intent))
        allowed = not self._refuses(intent)
        return RiskDecision(intent.intent_id, allowed, None if allowed else "not today")

    def on_fill(self, fill: FillEvent) -> None: ...
    def on_closed(self, closed: OrderClosed) -> None: ...
    def on_parent(self, execution_id: str, symbol: str, side: Side, qty: float) -> None: ...
    def on_price(self, symbol: str, bid: float, ask: float, ts_ns: int) -> None: ...


Played = tuple[list[Trace], list[FillEvent], list[ExecutionReport]]


def on_desk(scene: dict[str, Any]) -> Played:
    market, gate = market_in(scene), Recorder(refuses_in(scene))
    parent = parent_in(scene)
    fills: list[FillEvent] = []
    desk = Desk(market, Tape(market.bars), gate, {}, lambda fill, _k: fills.append(fill))
    start = scene["start"]
    desk.start(parent, start_of(scene), start)
    k = desk.next_bar(start)
    while k is not None:
        desk.play(k)
        k = desk.next_bar(k)
    desk.finish(len(market.bars) - 1)
    return gate.commands, fills, [parent.report()]


def on_bus(scene: dict[str, Any]) -> Played:
    parent = parent_in(scene)
    stage = Stage(market_in(scene), refuses_in(scene))
    stage.play([parent], [scene["start"]])
    if parent.ended:
        (told,) = stage.reports
        assert (told.status, told.fills) == (parent.report().status, parent.report().fills)
    return stage.commands, stage.fills, [parent.report()]


def check_same_decisions(scene: dict[str, Any]) -> None:
    try:
        parent_in(scene)
    except ValueError:  # refused before the first child, the same under every driver
        assume(False)
    assume(scene["start"] < len(scene["bars"]) - 1)
    desk, bus = on_desk(scene), on_bus(scene)
    assert bus[0] == desk[0]
    assert bus[1] == desk[1]
    assert bus[2] == desk[2]


@pytest.mark.parametrize("algo_type", ALGORITHMS)
def test_the_desk_and_the_bus_make_the_same_decisions(algo_type: AlgoType) -> None:
    @settings(max_examples=30, suppress_health_check=list(HealthCheck))
    @given(scenes(algo_type))
    def same(scene: dict[str, Any]) -> None:
        check_same_decisions(scene)

    same()


@pytest.mark.slow
@pytest.mark.parametrize("algo_type", ALGORITHMS)
def test_the_desk_and_the_bus_make_the_same_decisions_for_thousands_of_parents(algo_type: AlgoType) -> None:
    @settings(max_examples=2000, suppress_health_check=list(HealthCheck))
    @given(scenes(algo_type))
    def same(scene: dict[str, Any]) -> None:
        check_same_decisions(scene)

    same()


# ---------------------------------------------------------------- a bus that shuffles, delays and repeats


@dataclass
class Checked:
    """A parent whose books are looked at after every event."""

    parent: ParentOrder

    @property
    def ended(self) -> bool:
        return self.parent.ended

    @property
    def listens(self) -> bool:
        return self.parent.listens

    def report(self) -> ExecutionReport:
        return self.parent.report()

    def on(self, event: Event, now_ns: int) -> Step:
        step = self.parent.on(event, now_ns)
        check_books(self.parent)
        assert self.parent.children.filled + self.parent.children.reserved <= self.parent.quantity
        return step


def check_storm(scene: dict[str, Any], seed: int) -> None:
    try:
        parent = parent_in(scene).parent
    except ValueError:
        assume(False)
    assume(scene["start"] < len(scene["bars"]) - 1)
    assert isinstance(parent, ParentOrder)
    refuses = refuses_in(scene)
    storm = Storm(market_in(scene), lambda intent: intent.action == "new" and refuses(intent), seed=seed)
    storm.play([Checked(parent)], [scene["start"]])
    assert parent.ended
    assert storm.unfinished == []
    names = [command[1] for command in storm.commands]
    assert len(set(names)) == len(names), "a child or a cancel was sent twice"
    report = parent.report()
    assert sorted(fill.fill_id for fill in report.fills) == sorted(fill.fill_id for fill in storm.fills)
    assert report.filled_quantity == sum(fill.qty for fill in storm.fills) <= report.total_quantity
    assert not storm.market.busy, "something of an ended parent is still in the market"
    assert storm.reports[-1].fills == report.fills
    assert storm.reports[-1].status == report.status


@pytest.mark.parametrize("algo_type", ALGORITHMS)
def test_nothing_is_lost_or_doubled_on_a_bus_that_shuffles_delays_and_repeats(algo_type: AlgoType) -> None:
    # pitfall 8, pitfall 9, pitfall 37
    @settings(max_examples=30, suppress_health_check=list(HealthCheck))
    @given(scenes(algo_type), st.integers(0, 10**6))
    def holds(scene: dict[str, Any], seed: int) -> None:
        check_storm(scene, seed)

    holds()


@pytest.mark.slow
@pytest.mark.parametrize("algo_type", ALGORITHMS)
def test_nothing_is_lost_or_doubled_in_hundreds_of_storms(algo_type: AlgoType) -> None:
    @settings(max_examples=500, suppress_health_check=list(HealthCheck))
    @given(scenes(algo_type), st.integers(0, 10**6))
    def holds(scene: dict[str, Any], seed: int) -> None:
        check_storm(scene, seed)

    holds()
