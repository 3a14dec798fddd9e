"""The sync driver: parents in one market, through the gate, visiting only the bars that matter."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.bars import Bars
from core.contracts import FillEvent, OrderClosed, OrderIntent, RiskDecision, Side
from core.instrument import Instrument
from execution.benchmarks import Tape
from execution.conditions import FEWEST_BARS
from execution.config import FillConfig
from execution.contracts import ExecutionAlgorithm, ExecutionReport
from execution.desk import Desk, Gate
from execution.market import BarMarket
from execution.parent import ParentOrder
from execution.spread import bar_spread
from execution.twap import MarketOrderExecutor, TWAPExecutor
from execution.venue import venue
from tests.markets import ALL, IMPACT, INSTRUMENT, SYMBOL, bars_of, flat, known, market_of, tapes
from tests.naive import MINUTE_NS, START_NS
from tests.real_data import real

TENTH = FillConfig(max_participation=0.1)


@dataclass
class Played:
    reports: list[ExecutionReport] = field(default_factory=list)
    fills: list[tuple[int, FillEvent]] = field(default_factory=list)
    visited: list[int] = field(default_factory=list)

    def report(self, number: int) -> ExecutionReport:
        return next(report for report in self.reports if report.execution_id == f"x-{number}")

    def by_bar(self) -> dict[int, float]:
        found: dict[int, float] = {}
        for k, fill in self.fills:
            found[k] = found.get(k, 0.0) + fill.qty
        return found


def parent(
    number: int,
    start_ns: int,
    qty: float = 100,
    *,
    side: Side = "buy",
    seconds: int = 600,
    slices: int = 10,
    order_type: Any = "market",
    whole: bool = False,
    **params: Any,
) -> ParentOrder:
    executor = (
        MarketOrderExecutor("tester", instrument=INSTRUMENT)
        if whole
        else TWAPExecutor("tester", slices, order_type, instrument=INSTRUMENT)
    )
    algo = ExecutionAlgorithm("TWAP", SYMBOL, side, qty, seconds, params)
    return executor.start(algo, start_ns=start_ns, execution_id=f"x-{number}", price=100.0)


def play(
    market: BarMarket, starts: dict[int, list[ParentOrder]], *, gate: Gate | None = None, every: bool = False
) -> Played:
    """Starts parents at the close of the bars named (-1: before the first), visits what must be (or every) bar."""
    played = Played()
    desk = Desk(
        market,
        Tape(market.bars),
        gate,
        {"made": "by hand"},
        lambda fill, k: played.fills.append((k, fill)),
        played.reports.append,
    )
    n = len(market.bars)

    def begin(k: int) -> None:
        now_ns = int(market.bars.ts_close_ns[k]) if k >= 0 else int(market.bars.ts_open_ns[0])
        for one in starts.get(k, []):
            desk.start(one, now_ns, k)

    begin(-1)
    for k in range(n):
        if every or desk.next_bar(k - 1) == k:
            played.visited.append(k)
            desk.play(k)
        begin(k)
    desk.finish(n - 1)
    assert not desk.working
    return played


class Recorder:
    """A gate that keeps what it hears, and refuses what `refuses` names."""

    def __init__(self, *refuses: str) -> None:
        self.refuses = refuses
        self.checked: list[tuple[OrderIntent, int]] = []
        self.heard: list[FillEvent | OrderClosed] = []
        self.prices: list[tuple[float, float, int]] = []

    def check(self, intent: OrderIntent, now_ns: int) -> RiskDecision:
        self.checked.append((intent, now_ns))
        allowed = not intent.intent_id.endswith(self.refuses) if self.refuses else True
        return RiskDecision(intent.intent_id, allowed, None if allowed else "not today")

    def on_fill(self, fill: FillEvent) -> None:
        self.heard.append(fill)

    def on_closed(self, closed: OrderClosed) -> None:
        self.heard.append(closed)

    def on_parent(self, execution_id: str, symbol: str, side: Side, qty: float) -> None: ...

    def on_price(self, symbol: str, bid: float, ask: float, ts_ns: int) -> None:
        self.prices.append((bid, ask, ts_ns))


def test_a_parent_started_at_a_close_trades_from_the_next_open() -> None:  # pitfall 24
    bars = bars_of([(100, 100, 100, 100, 1000), (103, 103, 103, 103, 1000), (104, 104, 104, 104, 1000)])
    played = play(market_of(bars), {0: [parent(1, START_NS + MINUTE_NS, whole=True)]})
    report = played.report(1)
    assert (report.avg_fill_price, report.arrival_price, report.start_ts_ns) == (103, 100, START_NS + MINUTE_NS)
    assert report.fills[0].ts_fill_ns == START_NS + MINUTE_NS


def test_slices_are_filled_in_their_own_bars_not_all_in_the_first() -> None:  # pitfall 20
    rising = bars_of([(100 + k, 100 + k, 100 + k, 100 + k, 1000) for k in range(12)])
    played = play(market_of(rising), {-1: [parent(1, START_NS)]})
    assert played.by_bar() == dict.fromkeys(range(10), 10)
    report = played.report(1)
    assert report.avg_fill_price == pytest.approx(np.mean(range(100, 110)))
    assert (report.status, report.filled_quantity, report.slices_completed) == ("completed", 100, 10)


def test_only_bars_in_which_something_can_happen_are_visited() -> None:
    played = play(market_of(flat(5000)), {99: [parent(1, START_NS + 100 * MINUTE_NS, seconds=36_000, slices=3)]})
    assert played.report(1).filled_quantity == 100
    assert len(played.visited) <= 6
    assert min(played.visited) >= 100


@given(tapes(), st.sampled_from(("limit", "market")), st.booleans(), st.integers(1, 400), st.integers(1, 10))
@settings(max_examples=60)
def test_visiting_idle_bars_changes_nothing(bars: Bars, kind: str, impact: bool, qty: int, slices: int) -> None:
    """The twin of every run visits all bars; a bar in which nothing of ours happens has nothing to say."""

    def run(*, every: bool) -> Played:
        market = market_of(bars, slippage=IMPACT if impact else None, half=0.01, fills=TENTH)
        one = parent(1, START_NS, qty, seconds=300, slices=slices, order_type=kind)
        two = parent(2, int(bars.ts_close_ns[1]), qty, side="sell", seconds=240, slices=2)
        return play(market, {-1: [one], 1: [two]}, every=every)

    lazy, diligent = run(every=False), run(every=True)
    assert lazy.reports == diligent.reports
    assert lazy.fills == diligent.fills
    assert set(lazy.visited) <= set(diligent.visited)


@given(tapes(), st.integers(1, 11), st.booleans(), st.sampled_from(("limit", "market")))
@settings(max_examples=60)
def test_what_comes_after_the_cut_changes_nothing_before_it(bars: Bars, cut: int, impact: bool, kind: str) -> None:
    # pitfall 24
    cut = min(cut, len(bars))
    conditions = known(bars)

    def run(shown: Bars) -> Played:
        market = market_of(shown, slippage=IMPACT if impact else None, half=0.01, fills=TENTH, conditions=conditions)
        return play(market, {-1: [parent(1, START_NS, 300, seconds=400, slices=4, order_type=kind)]})

    whole, part = run(bars), run(bars[:cut])
    assert [(k, fill) for k, fill in whole.fills if k < cut] == part.fills
    if whole.reports[0].end_ts_ns is not None and whole.reports[0].end_ts_ns < bars.ts_close_ns[cut - 1]:
        assert whole.reports[0] == part.reports[0]


def test_parents_share_the_volume_of_a_bar() -> None:  # pitfall 22
    market = market_of(flat(8), fills=TENTH)
    both = [parent(n, START_NS, 150, side=side, whole=True) for n, side in ((1, "buy"), (2, "sell"))]  # type: ignore[arg-type]
    played = play(market, {-1: both})
    assert played.by_bar() == {0: 100, 1: 100, 2: 100}
    assert [report.filled_quantity for report in played.reports] == [150, 150]


def test_data_that_end_first_leave_the_parent_running() -> None:
    played = play(market_of(flat(4)), {-1: [parent(1, START_NS)]})
    report = played.report(1)
    assert (report.status, report.end_ts_ns, report.filled_quantity, report.unfilled_reason) == (
        "running",
        None,
        40,
        None,
    )
    assert report.end_price == 100


def test_at_the_end_of_the_horizon_what_is_open_is_cancelled() -> None:  # pitfall 16
    """A limit far away: nothing fills, nothing stays in the market."""
    market = market_of(flat(20, reach=0.5), half=0.5)
    played = play(market, {-1: [parent(1, START_NS, order_type="limit", limit_price=50.0)]})
    report = played.report(1)
    assert (report.status, report.filled_quantity, report.unfilled_reason) == ("cancelled", 0, "end of horizon")
    assert report.end_ts_ns == START_NS + 10 * MINUTE_NS
    assert not market.busy


def test_an_outage_longer_than_the_horizon_ends_the_parent_at_its_time() -> None:
    bars = bars_of([(100, 100, 100, 100, 1000)] * 3 + [(60, 61, 59, 60, 1000)] * 3, pauses=(0, 0, 0, 285))
    played = play(market_of(bars), {-1: [parent(1, START_NS)]})
    report = played.report(1)
    assert report.end_ts_ns is not None
    assert report.status == "cancelled"
    assert all(fill.ts_fill_ns < START_NS + 10 * MINUTE_NS for fill in report.fills)
    assert {fill.price for fill in report.fills} == {100}


def test_a_shorter_outage_is_caught_up_within_bounds() -> None:  # pitfall 13
    bars = bars_of([(100, 100, 100, 100, 1000)] * 12, pauses=(0, 0, 4))
    played = play(market_of(bars), {-1: [parent(1, START_NS, stale_seconds=60)]})
    assert max(played.by_bar().values()) <= 3 * 10
    assert played.report(1).filled_quantity <= 100


# ---------------------------------------------------------------- the gate


def test_nothing_reaches_the_market_that_the_gate_has_not_seen() -> None:
    gate = Recorder()
    played = play(market_of(flat(12)), {-1: [parent(1, START_NS)]}, gate=gate)
    assert {fill.order_id for _, fill in played.fills} <= {intent.intent_id for intent, _ in gate.checked}
    assert [event for event in gate.heard if isinstance(event, FillEvent)] == [fill for _, fill in played.fills]
    assert all(intent.ts_local_ns == now_ns for intent, now_ns in gate.checked)


def test_the_gate_knows_the_price_that_the_parent_knows_and_no_later_one() -> None:
    gate = Recorder()
    bars = bars_of([(100 + k, 100 + k, 100 + k, 100 + k, 1000) for k in range(12)])
    play(market_of(bars, half=0.5), {-1: [parent(1, START_NS, seconds=300, slices=5)]}, gate=gate)
    seen = {ts_ns: (bid, ask) for bid, ask, ts_ns in gate.prices}
    assert seen[START_NS] == (99.5, 100.5)
    for k in range(4):
        assert seen[START_NS + (k + 1) * MINUTE_NS] == (99.5 + k, 100.5 + k)


def test_a_refused_child_stands_in_the_report_with_its_reason_and_never_trades() -> None:
    gate = Recorder("-0")
    played = play(market_of(flat(12)), {-1: [parent(1, START_NS)]}, gate=gate)
    report = played.report(1)
    assert report.denials == ("x-1-0: not today",)
    assert "x-1-0" not in {fill.order_id for fill in report.fills}
    assert report.filled_quantity == 100  # the refused lots went with a later slice


def test_a_parent_refused_for_ever_fails_and_says_why() -> None:  # pitfall 14
    gate = Recorder(*"0123456789")
    played = play(market_of(flat(12)), {-1: [parent(1, START_NS)]}, gate=gate)
    report = played.report(1)
    assert (report.status, report.filled_quantity, report.unfilled_reason) == ("failed", 0, "not today")
    assert len(report.denials) == 4  # once, and three more times


def test_a_child_that_the_venue_rejects_is_given_back_to_the_gate() -> None:  # pitfall 26
    gate = Recorder()
    market = market_of(flat(12))
    market.instrument = INSTRUMENT.__class__(SYMBOL, tick="0.01", lot="1", min_qty="20")
    played = play(market, {-1: [parent(1, START_NS)]}, gate=gate)
    rejected = [event for event in gate.heard if isinstance(event, OrderClosed) and event.status == "rejected"]
    assert rejected
    assert played.report(1).status == "failed"
    assert "rejected by the venue" in str(played.report(1).unfilled_reason)


# ---------------------------------------------------------------- what a report says of the market


def test_the_report_has_prices_and_benchmarks_of_its_own_interval() -> None:
    bars = bars_of([(100 + k, 100 + k, 100 + k, 100 + k, 1000) for k in range(8)])
    market = market_of(bars, half=0.05, fills=ALL)
    played = play(market, {1: [parent(1, START_NS + 2 * MINUTE_NS, 100, seconds=180, slices=3)]})
    report = played.report(1)
    assert (report.decision_price, report.arrival_price) == (101, 101)
    assert report.market_volume == 3000  # bars 2, 3 and 4
    assert report.benchmark_vwap == pytest.approx(103)
    assert report.benchmark_twap == pytest.approx((101 + 102 + 103) / 3)
    own = (103 * 3000 + 33 * 102.05 + 33 * 103.05 + 34 * 104.05) / 3100
    assert report.benchmark_vwap_own == pytest.approx(own)
    assert report.spread_bps == pytest.approx(2e4 * 0.05 / 101)
    assert report.end_price == 103  # what was known when the last fill came, at the open of bar 4
    assert report.settings == {"made": "by hand"}


def test_a_parent_that_starts_at_the_very_last_close_reports_what_little_there_is() -> None:
    bars = flat(3)
    played = play(market_of(bars), {2: [parent(1, START_NS + 3 * MINUTE_NS)]})
    report = played.report(1)
    assert (report.status, report.filled_quantity, report.arrival_price) == ("running", 0, 100)
    assert report.market_volume == 1000


# ---------------------------------------------------------------- real bars


def real_bars() -> Bars:
    """ATOM/USDT, 2021-04-20 to 2021-05-20: an outage of 285 minutes, and a day on which it fell 59 %."""
    frame = pl.read_parquet(real("binance_spot_1m_202104_05.parquet")).filter(pl.col("symbol") == "ATOMUSDT")
    opens = frame["open_time_ms"].to_numpy() * 1_000_000
    columns = {name: frame[name].to_numpy() for name in ("open", "high", "low", "close", "volume")}
    bars = Bars(SYMBOL, opens, opens + MINUTE_NS, **columns)
    bars.check()
    return bars


@pytest.mark.parametrize("kind", ["limit", "market"])
def test_on_real_bars_with_an_outage_and_a_crash_every_law_holds(kind: str) -> None:
    bars = real_bars()
    instrument = Instrument(SYMBOL, tick="0.001", lot="0.001", taker_fee_bps=10, maker_fee_bps=10, min_notional=10)
    assumed = bar_spread(bars, instrument, None, 5.0)
    market = venue(bars, instrument, IMPACT, spread=assumed, fills=TENTH).market()
    executor = TWAPExecutor("tester", 10, kind, instrument=instrument)  # type: ignore[arg-type]
    played = Played()
    desk = Desk(market, Tape(bars), None, {}, lambda f, k: played.fills.append((k, f)), played.reports.append)
    for k in range(len(bars)):
        if desk.next_bar(k - 1) == k:
            desk.play(k)
        if k % 97 == 0:
            side: Side = "buy" if k % 2 else "sell"
            start_ns = int(bars.ts_close_ns[k])
            algo = ExecutionAlgorithm("TWAP", SYMBOL, side, 2000.0, 1800)
            one = executor.start(algo, start_ns=start_ns, execution_id=f"x-{k}", price=float(bars.close[k]))
            desk.start(one, start_ns, k)
    desk.finish(len(bars) - 1)

    gaps = bars.ts_open_ns[1:] - bars.ts_close_ns[:-1]
    assert gaps.max() == 284 * MINUTE_NS  # 285 minutes from open to open
    assert len(played.reports) == len(range(0, len(bars), 97))
    for k, qty in played.by_bar().items():
        assert qty <= 0.1 * bars.volume[k] * (1 + 1e-9)
    for report in played.reports:
        assert report.filled_quantity <= report.total_quantity
        assert report.filled_quantity == pytest.approx(sum(fill.qty for fill in report.fills))
        assert report.done or report is played.reports[-1]
        for fill in report.fills:
            assert report.start_ts_ns <= fill.ts_fill_ns <= report.start_ts_ns + 1800 * 1_000_000_000
    # Behind the first half hour, in which no volatility is known, 2,000 ATOM in half an hour cost little.
    taken = [(k, fill) for k, fill in played.fills if fill.liquidity == "taker" and k >= FEWEST_BARS]
    assert taken
    assert max(abs(fill.price / bars.open[k] - 1) for k, fill in taken) < 0.01
