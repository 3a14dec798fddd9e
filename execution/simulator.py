"""Executions against historical bars, in one plain synchronous loop: the sync driver for one parent at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.bars import Bars
from core.contracts import FillEvent, OrderIntent
from core.errors import DataError
from core.instrument import Instrument
from execution.base import BaseExecutor
from execution.conditions import DAY_NS, WINDOW_DAYS
from execution.config import DEFAULT_FILLS, FillConfig
from execution.contracts import ExecutionAlgorithm, ExecutionReport
from execution.desk import Desk, Gate
from execution.executors import executor as make_executor
from execution.executors import work
from execution.slippage import SlippageModel
from execution.spread import bar_spread
from execution.venue import venue
from research.data_reader import DataReader

if TYPE_CHECKING:
    import pandas as pd


class ExecutionSimulator:
    """Simulates one execution on bars; the specification's interface.

    Keyword arguments: `instrument` (grids, fees, spread; from the reader's data where it has the symbol), `executor`
    (instead of the one that `algo.algo_type` names), `gate` (risk), `fills` (participation, limit rule), `seed`.
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

    def simulate_execution(self, algo: ExecutionAlgorithm, market_data: pd.DataFrame) -> ExecutionReport:
        """Works a parent from the open of the first bar, or from `params["start_ts_ns"]`, and reports.

        market_data: OHLCV bars of the period, with the columns of `core.bars.COLUMNS`; a pandas or polars frame.
        The report ends as it stands where the bars end first: status "running".

        Raises ValueError for parameters that the algorithm refuses, DataError for bars that are none.
        """
        bars = Bars.from_frame(algo.symbol, market_data)
        if len(bars) == 0:
            raise DataError(f"market_data of {algo.symbol} has no bars")
        report, _ = self._run(self._executor, algo, bars)
        return report

    def _plan_and_execute(
        self, executor: BaseExecutor, algo: ExecutionAlgorithm, market_data: pd.DataFrame
    ) -> list[FillEvent]:
        """The fills of an execution by any executor, one that only plans included."""
        _, fills = self._run(executor, algo, Bars.from_frame(algo.symbol, market_data))
        return fills

    def _run(
        self, executor: BaseExecutor | None, algo: ExecutionAlgorithm, bars: Bars
    ) -> tuple[ExecutionReport, list[FillEvent]]:
        instrument = self._known_instrument(algo.symbol)
        place = venue(
            bars,
            instrument,
            self.slippage_model,
            spread=bar_spread(bars, instrument, self.data_reader, self._fills.assumed_spread_bps),
            fills=self._fills,
            permanent_share=self._permanent_share,
            before=self._bars_before(bars),
        )
        if executor is None:
            executor = make_executor(
                algo.algo_type,
                self.strategy_id,
                volumes=place.volumes,
                seed=self._seed,
                **place.executor_arguments,
            )
        market = place.market()
        start_ns = int(algo.params.get("start_ts_ns") or bars.ts_open_ns[0])
        seen_bar = int(np.searchsorted(bars.ts_close_ns, start_ns, side="right")) - 1
        reports: list[ExecutionReport] = []
        fills: list[FillEvent] = []
        desk = Desk(market, place.tape, self._gate, place.settings, lambda fill, _k: fills.append(fill), reports.append)
        desk.start(work(executor, algo, start_ns=start_ns, price=market.mid(seen_bar)), start_ns, seen_bar)
        k = desk.next_bar(seen_bar)
        while k is not None:
            desk.play(k)
            k = desk.next_bar(k)
        desk.finish(len(bars) - 1)
        return reports[0], fills

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

    def _bars_before(self, bars: Bars) -> Bars | None:
        """The days before the first bar from the reader; None where it has none that fit."""
        if self.data_reader is None or not self.data_reader.describe(bars.symbol, "ohlcv_1m"):
            return None
        first = int(bars.ts_open_ns[0])
        try:
            return self.data_reader.bars(bars.symbol, "1m", first - WINDOW_DAYS * DAY_NS, first)
        except DataError:
            return None
