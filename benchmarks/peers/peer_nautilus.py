"""nautilus_trader's BacktestEngine with its TWAP algorithm, on bars or trades. Run by an interpreter that has it.

Parents begin a millisecond after the close of their bar: at the very close its timers fire before the bar is known.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import nautilus_trader  # type: ignore[import-not-found]
import numpy as np
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig  # type: ignore[import-not-found]
from nautilus_trader.config import LoggingConfig, StrategyConfig  # type: ignore[import-not-found]
from nautilus_trader.examples.algorithms.twap import TWAPExecAlgorithm  # type: ignore[import-not-found]
from nautilus_trader.model.currencies import BTC, USDT  # type: ignore[import-not-found]
from nautilus_trader.model.data import Bar, BarType, TradeTick  # type: ignore[import-not-found]
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide  # type: ignore[import-not-found]
from nautilus_trader.model.identifiers import ExecAlgorithmId, Venue  # type: ignore[import-not-found]
from nautilus_trader.model.objects import Money, Quantity  # type: ignore[import-not-found]
from nautilus_trader.test_kit.providers import TestInstrumentProvider  # type: ignore[import-not-found]
from nautilus_trader.trading.strategy import Strategy  # type: ignore[import-not-found]

AFTER_NS = 1_000_000
INSTRUMENT = TestInstrumentProvider.btcusdt_binance()
MINUTES = BarType.from_str(f"{INSTRUMENT.id}-1-MINUTE-LAST-EXTERNAL")


class Settings(StrategyConfig, frozen=True):  # type: ignore[misc,call-arg]
    starts_ns: list[int]
    ticks: bool
    purge: bool


class Parents(Strategy):  # type: ignore[misc]
    """Sends a parent to the TWAP algorithm at each of its times, and counts what its handler hears."""

    def on_start(self) -> None:
        self.heard = 0
        self.sent = 0
        if self.config.ticks:
            self.subscribe_trade_ticks(INSTRUMENT.id)
        else:
            self.subscribe_bars(MINUTES)
        for number, start_ns in enumerate(self.config.starts_ns):
            self.clock.set_time_alert_ns(f"parent {number}", start_ns + AFTER_NS, self.send)

    def send(self, _event: Any) -> None:
        if self.config.purge:
            self.cache.purge_closed_positions(self.clock.timestamp_ns(), 0)
        side = OrderSide.SELL if self.sent % 2 else OrderSide.BUY
        self.sent += 1
        self.submit_order(
            self.order_factory.market(
                instrument_id=INSTRUMENT.id,
                order_side=side,
                quantity=Quantity.from_str("3.000000"),
                exec_algorithm_id=ExecAlgorithmId("TWAP"),
                exec_algorithm_params={"horizon_secs": 1800.0, "interval_secs": 60.0},
            )
        )

    def on_bar(self, bar: Any) -> None:  # noqa: ARG002
        self.heard += 1

    def on_trade_tick(self, tick: Any) -> None:  # noqa: ARG002
        self.heard += 1


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--on", choices=("bars", "trades"), default="bars")
    arguments.add_argument("--parents", type=int, default=0)
    arguments.add_argument("--purge", action="store_true")
    arguments.add_argument("--children", type=Path, help="write the children and their fills to this file")
    chosen = arguments.parse_args()
    ticks = chosen.on == "trades"
    starts = []
    if chosen.parents:
        starts = [int(ts) for ts in np.load(chosen.folder / f"parents_{chosen.parents}.npz")[f"{chosen.on}_ns"]]
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False))
    engine.add_venue(
        venue=Venue("BINANCE"),
        oms_type=OmsType.NETTING,
        account_type=AccountType.CASH,
        base_currency=None,
        starting_balances=[Money(1e9, USDT), Money(100_000.0, BTC)],
        trade_execution=ticks,
        bar_execution=not ticks,
    )
    engine.add_instrument(INSTRUMENT)
    begun = time.perf_counter()
    data = trade_ticks(np.load(chosen.folder / "trades.npz")) if ticks else bars(np.load(chosen.folder / "bars.npz"))
    engine.add_data(data)
    build_s = time.perf_counter() - begun
    engine.add_strategy(Parents(Settings(starts_ns=starts, ticks=ticks, purge=chosen.purge)))
    engine.add_exec_algorithm(TWAPExecAlgorithm())
    begun, begun_cpu = time.perf_counter(), time.process_time()
    engine.run()
    run_s, run_cpu_s = time.perf_counter() - begun, time.process_time() - begun_cpu
    filled = [order for order in engine.kernel.cache.orders() if order.filled_qty > 0]
    children = sorted((order.ts_last, float(order.filled_qty), float(order.avg_px)) for order in filled)
    if chosen.children:
        columns = np.array(children).reshape(-1, 3)
        times = np.array([ts_ns for ts_ns, _, _ in children], np.int64)
        np.savez(chosen.children, ts_ns=times, qty=columns[:, 1], price=columns[:, 2])
    told = {
        "version": nautilus_trader.__version__,
        "run_s": run_s,
        "run_cpu_s": run_cpu_s,
        "build_s": build_s,
        "events": len(data),
        "heard": engine.kernel.trader.strategies()[0].heard,
        "children": len(children),
        "mean_price": float(np.mean([price for _, _, price in children])) if children else None,
    }
    print(json.dumps(told))


def bars(columns: Any) -> Any:
    prices = [columns[name] for name in ("open", "high", "low", "close", "volume")]
    closes = columns["close_ns"].astype(np.uint64)
    return Bar.from_raw_arrays_to_list(MINUTES, 2, 6, *prices, closes, closes)


def trade_ticks(columns: Any) -> Any:
    times = columns["ts_ns"].astype(np.uint64)
    sides = np.where(columns["side"] > 0, 1, 2).astype(np.uint8)
    names = [str(number) for number in range(len(times))]
    return TradeTick.from_raw_arrays_to_list(
        INSTRUMENT.id, 2, 6, columns["price"], columns["qty"], sides, names, times, times
    )


if __name__ == "__main__":
    main()
