"""Executions against history, in one plain synchronous loop: the sync driver for one parent at a time.

Bars, trades, quotes and trades, or an order book: the finest data that are given fill the orders, and the report says
which they were.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from core.bars import Bars
from core.contracts import FillEvent, OrderIntent
from core.errors import DataError
from core.instrument import Instrument
from execution.base import BaseExecutor
from execution.conditions import DAY_NS, WINDOW_DAYS
from execution.config import DEFAULT_FILLS, FillConfig
from execution.contracts import ExecutionAlgorithm, ExecutionReport
from execution.desk import Desk
from execution.executors import executor as make_executor
from execution.executors import work
from execution.market_data import MarketData
from execution.seats import Gate, Worked
from execution.slippage import SlippageModel
from execution.spread import bar_spread
from execution.twin import with_twin
from execution.venue import Venue, venue
from research.data_reader import DataReader

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from execution.ticks.venue import TickVenue

    Place = Venue | TickVenue


class ExecutionSimulator:
    """Simulates one execution on bars or on ticks; the specification's interface.

    Keyword arguments: `instrument` (grids, fees, spread; from the reader's data where it has the symbol), `executor`
    (instead of the one that `algo.algo_type` names), `gate` (risk), `fills` (participation, limit rule, queue,
    latency), `seed`.
    Works inside a running event loop too, such as a notebook, unless the executor can only plan.
    """

    def __init__(
        self,
        slippage_model: SlippageModel,
        data_reader: DataReader | None,
        *,
        instrument: Instrument | None = None,
        executor: BaseExecutor | None = None,
        gate: Gate | None = None,
        fills: FillConfig = DEFAULT_FILLS,
        permanent_share: float = 1 / 3,
        strategy_id: str = "simulation",
        seed: int = 0,
    ) -> None:
        self.slippage_model = slippage_model
        self.data_reader = data_reader
        self.strategy_id = strategy_id
        self._instrument = instrument
        self._executor = executor
        self._gate = gate
        self._fills = fills
        self._permanent_share = permanent_share
        self._seed = seed

    def simulate_execution(
        self, algo: ExecutionAlgorithm, market_data: pd.DataFrame | pl.DataFrame | MarketData
    ) -> ExecutionReport:
        """Works a parent from the first moment of the data, or from `params["start_ts_ns"]`, and reports.

        market_data: a pandas or polars frame of the period, of bars (the columns of `core.bars.COLUMNS`) or of trades
        (ts_ns, price, qty, and where known side); or `MarketData` with trades, quotes, an order book, and bars of the
        days before. `settings["fill_model"]` of the report says what filled the orders, `notes["twin"]` what they did
        to the market: see `execution.twin`.
        The report ends as it stands where the data end first: status "running".

        Raises ValueError for parameters that the algorithm refuses, DataError for data that are none.
        """
        report, _ = self._run(self._executor, algo, market_data)
        return report

    def _plan_and_execute(
        self, executor: BaseExecutor, algo: ExecutionAlgorithm, market_data: pd.DataFrame | pl.DataFrame | MarketData
    ) -> list[FillEvent]:
        """The fills of an execution by any executor, one that only plans included."""
        _, fills = self._run(executor, algo, market_data)
        return fills

    def _run(
        self, executor: BaseExecutor | None, algo: ExecutionAlgorithm, market_data: Any
    ) -> tuple[ExecutionReport, list[FillEvent]]:
        data = MarketData.of(market_data)
        place = self._ticks(algo.symbol, data) if data.has_ticks else self._bars(algo.symbol, data)
        if executor is None:
            executor = make_executor(
                algo.algo_type, self.strategy_id, volumes=place.volumes, seed=self._seed, **place.executor_arguments
            )
        start_ns = algo.params.get("start_ts_ns")
        return execute(place, executor, algo, start_ns=int(start_ns) if start_ns else None, gate=self._gate)

    def _bars(self, symbol: str, data: MarketData) -> Venue:
        bars = Bars.from_frame(symbol, data.bars)  # type: ignore[arg-type]
        if len(bars) == 0:
            raise DataError(f"market_data of {symbol} has no bars")
        instrument = self._known_instrument(symbol)
        before = self._bars_before(symbol, int(bars.ts_open_ns[0]))
        return venue(
            bars,
            instrument,
            self.slippage_model,
            spread=bar_spread(bars, instrument, self.data_reader, self._fills.assumed_spread_bps, before),
            fills=self._fills,
            permanent_share=self._permanent_share,
            before=before,
        )

    def _ticks(self, symbol: str, data: MarketData) -> TickVenue:
        from execution.ticks.feed import TickFeed
        from execution.ticks.venue import tick_venue

        instrument = self._known_instrument(symbol)
        feed = TickFeed.of(instrument, trades=data.trades, quotes=data.quotes, depth=data.depth)
        told = None if data.bars is None else Bars.from_frame(symbol, data.bars)
        return tick_venue(
            feed,
            instrument,
            self.slippage_model,
            reader=self.data_reader,
            fills=self._fills,
            permanent_share=self._permanent_share,
            before=self._bars_before(symbol, feed.start_ns) if told is None else told,
        )

    def _apply_slippage(
        self, intent: OrderIntent, market_price: float, market_volume: float, scheduled_ts_ns: int
    ) -> FillEvent:
        """The fill of a whole taking intent at one price by the bare model, without spread, volume cap or memory.

        The market does more; this is the model's own answer, for looking at a model.
        """
        slippage = self.slippage_model.calculate_slippage(intent.qty, market_volume, 0.0, market_price)
        price = market_price + slippage if intent.side == "buy" else market_price - slippage
        return FillEvent(
            f"{intent.intent_id}-f1",
            intent.intent_id,
            intent.symbol,
            intent.side,
            intent.qty,
            price,
            scheduled_ts_ns,
            meta=intent.meta,
        )

    def _known_instrument(self, symbol: str) -> Instrument:
        if self._instrument is not None:
            return self._instrument
        if self.data_reader is not None and self.data_reader.describe(symbol):
            return self.data_reader.instrument(symbol)
        return Instrument(symbol)

    def _bars_before(self, symbol: str, first_ns: int) -> Bars | None:
        """The days before this moment from the reader; None where it has none that fit."""
        if self.data_reader is None or not self.data_reader.describe(symbol, "ohlcv_1m"):
            return None
        try:
            return self.data_reader.bars(symbol, "1m", first_ns - WINDOW_DAYS * DAY_NS, first_ns)
        except DataError:
            return None


def execute(
    place: Place, executor: BaseExecutor, algo: ExecutionAlgorithm, *, start_ns: int | None = None,
    gate: Gate | None = None,
) -> tuple[ExecutionReport, list[FillEvent]]:  # fmt: skip
    """One parent, alone in a fresh market: its report, with the twin's word on its impact, and its fills as they came.

    `start_ns` None: when the data begin.
    """
    reports: list[ExecutionReport] = []
    fills: list[FillEvent] = []

    def on_fill(fill: FillEvent, _at: int) -> None:
        fills.append(fill)

    if isinstance(place, Venue):
        _play_bars(place, partial(work, executor, algo), start_ns, gate, on_fill, reports.append)
    else:
        _play_ticks(place, partial(work, executor, algo), start_ns, gate, on_fill, reports.append)
    (report,) = with_twin(reports, place)
    return report, fills


def _play_bars(
    place: Venue,
    worked: Callable[..., Worked],
    start_ns: int | None,
    gate: Gate | None,
    on_fill: Callable[[FillEvent, int], None],
    on_report: Callable[[ExecutionReport], None],
) -> None:
    bars, market = place.bars, place.market()
    start_ns = int(bars.ts_open_ns[0]) if start_ns is None else start_ns
    seen_bar = int(np.searchsorted(bars.ts_close_ns, start_ns, side="right")) - 1
    desk = Desk(market, place.tape, gate, place.settings, on_fill, on_report)
    desk.start(worked(start_ns=start_ns, price=market.mid(seen_bar)), start_ns, seen_bar)
    k = desk.next_bar(seen_bar)
    while k is not None:
        desk.play(k)
        k = desk.next_bar(k)
    desk.finish(len(bars) - 1)


def _play_ticks(
    place: TickVenue,
    worked: Callable[..., Worked],
    start_ns: int | None,
    gate: Gate | None,
    on_fill: Callable[[FillEvent, int], None],
    on_report: Callable[[ExecutionReport], None],
) -> None:
    from execution.ticks.desk import TickDesk

    market = place.market()
    start_ns = place.feed.start_ns if start_ns is None else start_ns
    market.run(start_ns)
    desk = TickDesk(market, place.tape, gate, place.settings, on_fill, on_report)
    desk.start(worked(start_ns=start_ns, price=market.mid(start_ns)), start_ns)
    end_ns = place.feed.end_ns + place.latency.response_ns
    desk.run(end_ns)
    desk.finish(max(market.now_ns, start_ns))
