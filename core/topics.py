"""The names of the bus's topics; nobody spells one by hand."""

from __future__ import annotations

from typing import Final

PARENT: Final = "strat.parent"
INTENT: Final = "strat.intent"
RISK: Final = "risk.decision"
ORDERS: Final = "orders.new"
ACCEPTED: Final = "orders.accepted"
CLOSED: Final = "orders.closed"
FILLS: Final = "fills.new"
REPORT: Final = "exec.report"
ASK: Final = "orders.ask"
KILL: Final = "ctl.kill"
CLOCK: Final = "ctl.clock"
EPOCH: Final = "ctl.epoch"
REARM: Final = "ctl.rearm"


def trades(symbol: str) -> str:
    return f"md.trades.{symbol}"


def quotes(symbol: str) -> str:
    return f"md.quotes.{symbol}"


def bars(symbol: str) -> str:
    return f"md.bars.{symbol}"
