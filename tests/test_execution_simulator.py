"""The specification's simulator: one execution on a frame of bars, through the very same market and machine."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from core import ids
from core.bars import Bars
from core.contracts import FillEvent, OrderIntent, RiskDecision, Side
from core.errors import DataError
from core.instrument import Instrument
from execution.base import BaseExecutor
from execution.children import Parent, child_meta
from execution.config import FillConfig
from execution.contracts import ExecutionAlgorithm, ExecutionReport
from execution.simulator import ExecutionSimulator
from execution.slippage import LinearSlippageModel, SlippageModel, SquareRootSlippageModel
from execution.spread import bar_spread
from execution.twap import TWAPExecutor
from research.data_reader import DataReader
from research.sample import write_sample
from research.times import parse_ns
from tests.markets import flat
from tests.naive import MINUTE_NS, START_NS, bars_of

SYMBOL = "ATOM/USDT"
INSTRUMENT = Instrument(SYMBOL, tick="0.01", lot="1", spread_bps=10.0, taker_fee_bps=10.0)


def frame(bars: Bars) -> pd.DataFrame:
    names = ("ts_open_ns", "ts_close_ns", "open", "high", "low", "close", "volume")
    return pd.DataFrame({name: getattr(bars, name) for name in names})


def market(minutes: int = 60, price: float = 100.0, volume: float = 1000.0) -> pd.DataFrame:
    return frame(flat(minutes, price, volume, reach=0.5))


def twap(qty: float = 100, seconds: int = 600, **params: Any) -> ExecutionAlgorithm:
    params.setdefault("order_type", "market")
    return ExecutionAlgorithm("TWAP", SYMBOL, params.pop("side", "buy"), qty, seconds, params)


def simulator(model: SlippageModel | None = None, **keywords: Any) -> ExecutionSimulator:
    keywords.setdefault("instrument", INSTRUMENT)
    return ExecutionSimulator(model or SquareRootSlippageModel(0.5), None, **keywords)


class PlanOnly(BaseExecutor):
    """Two halves, a minute apart, as market orders at times of its own."""

    def __init__(self, strategy_id: str, share: float = 0.5) -> None:
        super().__init__(strategy_id)
        self.share = share

    async def plan_execution(self, algo: ExecutionAlgorithm) -> list[OrderIntent]:
        await asyncio.sleep(0)
        parent = Parent(
            execution_id="x-plan",
            strategy_id=self.strategy_id,
            parent_intent_id="p",
            algo_type="TWAP",
            symbol=algo.symbol,
            side=algo.side,
            total_quantity=algo.total_quantity,
            start_ns=0,
        )
        return [
            OrderIntent(
                ids.child_id("x-plan", n), 0, self.strategy_id, algo.symbol, algo.side, "market",
                algo.total_quantity * self.share, meta=child_meta(parent, n, n * MINUTE_NS),
            )
            for n in range(2)
        ]  # fmt: skip


# ---------------------------------------------------------------- the interface


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("simulate_execution", ["self", "algo", "market_data"]),
        ("_plan_and_execute", ["self", "executor", "algo", "market_data"]),
        ("_apply_slippage", ["self", "intent", "market_price", "market_volume", "scheduled_ts_ns"]),
    ],
)
def test_the_methods_are_those_of_the_specification(method: str, parameters: list[str]) -> None:
    found = getattr(ExecutionSimulator, method)
    assert list(inspect.signature(found).parameters) == parameters
    assert not inspect.iscoroutinefunction(found)


def test_the_constructor_takes_a_model_and_a_reader() -> None:
    names = list(inspect.signature(ExecutionSimulator).parameters.values())
    assert [one.name for one in names[:2]] == ["slippage_model", "data_reader"]
    assert all(one.kind is inspect.Parameter.KEYWORD_ONLY for one in names[2:])


# ---------------------------------------------------------------- what comes out


def test_a_twap_is_filled_slice_by_slice_and_every_fill_pays() -> None:  # pitfall 20
    report = simulator().simulate_execution(twap(), market())
    assert (report.status, report.filled_quantity, report.slices_completed, report.slices_total) == (
        "completed",
        100,
        10,
        10,
    )
    assert [fill.ts_fill_ns for fill in report.fills] == [START_NS + k * MINUTE_NS for k in range(10)]
    assert all(fill.price > 100.05 for fill in report.fills)  # half of 10 bps, and impact
    assert report.total_fees == pytest.approx(sum(fill.qty * fill.price for fill in report.fills) * 1e-3)
    assert report.avg_fill_price == pytest.approx(sum(fill.price * fill.qty for fill in report.fills) / 100)
    assert (report.arrival_price, report.decision_price) == (100, 100)
    assert report.benchmark_vwap == pytest.approx(100)
    assert report.spread_bps == pytest.approx(10)


def test_a_fill_says_which_execution_it_belongs_to() -> None:
    report = simulator().simulate_execution(twap(), market())
    for index, fill in enumerate(report.fills):
        assert fill.meta["execution_id"] == report.execution_id
        assert fill.meta["slice_id"] == f"{report.execution_id}_{index}"


def test_selling_costs_what_buying_costs() -> None:
    bought, sold = (simulator().simulate_execution(twap(side=side), market()) for side in ("buy", "sell"))
    assert bought.avg_fill_price - 100 == pytest.approx(100 - sold.avg_fill_price, rel=1e-3)


def test_a_larger_order_costs_more_and_no_model_costs_the_spread_alone() -> None:
    small, large = (simulator().simulate_execution(twap(qty), market()) for qty in (100, 900))
    assert large.avg_fill_price > small.avg_fill_price
    free = simulator(SquareRootSlippageModel(0.0)).simulate_execution(twap(900), market())
    assert free.avg_fill_price == pytest.approx(100.05)


def test_the_same_call_gives_the_same_report() -> None:
    one = simulator()
    first, second = one.simulate_execution(twap(), market()), one.simulate_execution(twap(), market())
    assert first == second == simulator().simulate_execution(twap(), market())
    assert simulator(seed=1).simulate_execution(twap(), market()).execution_id != first.execution_id


def test_a_polars_frame_is_as_good_as_a_pandas_one() -> None:
    assert simulator().simulate_execution(twap(), pl.from_pandas(market())) == simulator().simulate_execution(
        twap(), market()
    )


def test_what_the_bars_say_later_does_not_change_what_happened() -> None:  # pitfall 24
    bars = frame(bars_of([100, 101, 99, 100, 102, 103, 99, 98, 97, 100, 104, 90, 20, 300, 100]))
    whole = simulator().simulate_execution(twap(order_type="limit"), bars)
    part = simulator().simulate_execution(twap(order_type="limit"), bars[:11])
    assert part == whole
    half = simulator().simulate_execution(twap(order_type="limit"), bars[:5])
    assert half.fills == whole.fills[: len(half.fills)]


def test_bars_that_end_first_leave_it_running() -> None:
    report = simulator().simulate_execution(twap(), market(minutes=4))
    assert (report.status, report.end_ts_ns, report.filled_quantity) == ("running", None, 40)


def test_a_start_inside_the_data_sees_only_what_was_before() -> None:
    bars = frame(bars_of([100, 110, 120, 130, 140, 150, 160, 170]))
    start = START_NS + 2 * MINUTE_NS + 1
    report = simulator().simulate_execution(twap(seconds=180, slice_count=3, start_ts_ns=start), bars)
    assert report.arrival_price == 110  # the close of the second bar
    assert report.fills[0].ts_fill_ns == START_NS + 3 * MINUTE_NS


def test_a_limit_order_is_no_gift_in_a_market_that_is_too_small() -> None:  # pitfall 21
    report = simulator(fills=FillConfig()).simulate_execution(twap(1_000_000, order_type="limit"), market(volume=100))
    assert report.filled_quantity <= 0.1 * 100 * 11
    assert report.status == "cancelled"


def test_the_gate_stands_between_the_parent_and_the_market() -> None:
    class Closed:
        def check(self, intent: OrderIntent, now_ns: int) -> RiskDecision:
            return RiskDecision(intent.intent_id, False, "closed for the day")

        def on_fill(self, fill: FillEvent) -> None:
            raise AssertionError("nothing was allowed to trade")

        def on_closed(self, closed: object) -> None: ...

        def on_parent(self, execution_id: str, symbol: str, side: Side, qty: float) -> None: ...

        def on_price(self, symbol: str, bid: float, ask: float, ts_ns: int) -> None: ...

    report = simulator(gate=Closed()).simulate_execution(twap(), market())
    assert (report.status, report.filled_quantity, report.unfilled_reason) == ("failed", 0, "closed for the day")


def test_settings_say_how_the_numbers_were_made() -> None:
    settings = simulator().simulate_execution(twap(), market()).settings
    assert settings["fill_model"] == "bars: takers at the open, limits through, 10% of volume for all orders together"
    assert "coefficient 0.5 x daily volatility" in settings["impact"]
    assert settings["spread_source"] == "instrument, 10 bps"
    plain = simulator(instrument=Instrument(SYMBOL)).simulate_execution(twap(), market()).settings
    assert plain["spread_source"] == "assumed: neither quotes nor the instrument tell, 5 bps"


@pytest.mark.parametrize(
    ("bars", "message"),
    [
        (market()[:0], "market_data of ATOM/USDT has no bars"),
        (market().drop(columns="volume"), "missing: volume"),
        (market()[::-1], "bars must be in order of time and not overlap"),
        (market().assign(close=float("nan")), "low <= open, close <= high"),
    ],
)
def test_bars_that_are_none_are_refused_in_one_line(bars: pd.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        simulator().simulate_execution(twap(), bars)


def test_an_algorithm_with_wrong_parameters_is_refused() -> None:
    with pytest.raises(ValueError, match="TWAP has no parameter 'slices'"):
        simulator().simulate_execution(twap(slices=3), market())


# ---------------------------------------------------------------- event loops, plans, models


def test_it_works_inside_a_running_event_loop_such_as_a_notebook() -> None:
    async def cell() -> ExecutionReport:
        return simulator().simulate_execution(twap(), market())

    assert asyncio.run(cell()) == simulator().simulate_execution(twap(), market())


def test_an_executor_that_can_only_plan_is_played_as_it_planned() -> None:
    report = simulator(executor=PlanOnly("planner")).simulate_execution(twap(), market())
    assert (report.status, report.filled_quantity) == ("completed", 100)
    assert [(fill.qty, fill.ts_fill_ns) for fill in report.fills] == [(50, START_NS), (50, START_NS + MINUTE_NS)]
    assert report.execution_id == "x-plan"


def test_an_executor_that_can_only_plan_needs_a_place_without_an_event_loop() -> None:
    async def cell() -> ExecutionReport:
        return simulator(executor=PlanOnly("planner")).simulate_execution(twap(), market())

    with pytest.raises(RuntimeError, match="cannot run inside an event loop"):
        asyncio.run(cell())


def test_a_plan_of_more_than_was_asked_for_is_refused() -> None:
    with pytest.raises(ValueError, match="must not exceed 100 ATOM/USDT"):
        simulator(executor=PlanOnly("planner", share=0.75)).simulate_execution(twap(), market())


def test_plan_and_execute_gives_the_fills_of_any_executor() -> None:
    one = simulator()
    fills = one._plan_and_execute(TWAPExecutor("mine", 4, "market", instrument=INSTRUMENT), twap(), market())
    assert [fill.qty for fill in fills] == [25] * 4
    planned = one._plan_and_execute(PlanOnly("planner"), twap(), market())
    assert [fill.qty for fill in planned] == [50, 50]


@pytest.mark.parametrize(("side", "price"), [("buy", 100.1), ("sell", 99.9)])
def test_apply_slippage_is_the_bare_models_answer(side: Any, price: float) -> None:
    intent = OrderIntent("i", 1, "s", SYMBOL, side, "market", 100, meta={"execution_id": "x"})
    fill = simulator(LinearSlippageModel(0.001))._apply_slippage(intent, 100.0, 100.0, 77)
    assert fill.price == pytest.approx(price)
    assert (fill.qty, fill.ts_fill_ns, fill.order_id, fill.meta["execution_id"]) == (100, 77, "i", "x")


# ---------------------------------------------------------------- with a data store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    write_sample(folder, end="2025-01-10")
    return folder


def test_instrument_spread_and_past_come_from_the_store(store: Path) -> None:
    reader = DataReader(store)
    bars = reader.read_ohlcv(SYMBOL, "1m", parse_ns("2025-01-09"), parse_ns("2025-01-09T02:00"))
    algo = ExecutionAlgorithm("TWAP", SYMBOL, "buy", 2000.0, 1800, {"order_type": "market"})
    report = ExecutionSimulator(SquareRootSlippageModel(0.5), reader).simulate_execution(algo, bars)
    assert report.status == "completed"
    assert report.venue == "sample"
    assert report.settings["spread_source"] == "quotes of sample"
    assert report.total_fees > 0
    # The week before is known: the impact is daily volatility times a root, not the bare formula's 5 % for 1 %.
    impact_bps = [1e4 * fill.meta["impact"] / fill.price for fill in report.fills]
    assert 0 < max(impact_bps) < 100


def test_a_bars_spread_is_that_of_the_quote_before_it(store: Path) -> None:
    reader = DataReader(store)
    bars = reader.bars(SYMBOL, "1m", parse_ns("2025-01-09"), parse_ns("2025-01-09T00:10"))
    quotes = reader.read_quotes(SYMBOL, parse_ns("2025-01-09"), parse_ns("2025-01-09T00:10"), format="polars")
    spread = bar_spread(bars, reader.instrument(SYMBOL), reader, 5.0)
    expected = [(ask - bid) / 2 for bid, ask in zip(quotes["bid"], quotes["ask"], strict=True)]
    assert spread.half.tolist() == pytest.approx(expected)
