"""What a trader answers to requests from other processes: plain dictionaries in and out, no sockets.

    {"do": "new", "order": {...}}     {"do": "list"}     {"do": "show", "id": "o-1"}     {"do": "status"}
    {"do": "cancel", "id": "o-1", "reason": "..."}     {"do": "pause", ...}     {"do": "resume", ...}
    {"do": "amend", "id": "o-1", "quantity": 5.0, "duration_seconds": 600, "limit_price": 4.2}
    {"do": "rearm", "key": "...", "by": "...", "reason": "..."}; without a key it only says what is disabled

An answer is {"ok": true, ...}, or {"ok": false, "error": "one line"}. What was asked for is in the journal, durably,
before it is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from core.errors import nearest
from live.parents_table import report_facts
from live.trader import Trader
from live.wanted import wanted_of
from live.wishes import WISHES, wish_of

Answer = dict[str, Any]
NS: Final = 1_000_000_000


def answer(trader: Trader, asked: object) -> Answer:
    """Does what is asked for. Raises nothing for a request that makes no sense: the answer says so."""
    try:
        if not isinstance(asked, dict) or not isinstance(asked.get("do"), str):
            raise ValueError('a request is an object with "do"')
        do = _DO.get(asked["do"])
        if do is None:
            raise ValueError(f"do {asked['do']!r} is not known: {nearest(asked['do'], _DO)}")
        found = do(trader, asked)
        trader.sync()
        return {"ok": True, **found}
    except KeyError as error:
        return {"ok": False, "error": f"the request lacks {error}"}
    except (ValueError, TypeError) as error:
        return {"ok": False, "error": str(error)}


def parent_facts(trader: Trader, execution_id: str) -> Answer:
    """Where a parent stands."""
    report = trader.report(execution_id)
    request = trader.engine.parents.get(execution_id)
    standing = {"status": trader.standing(execution_id)} if report.status == "running" else {}
    return {
        **report_facts(report),
        **standing,
        "ended": execution_id in trader.engine.reports,
        "until_ns": None if request is None else request.start_ns + request.algo.duration_seconds * NS,
    }


def _new(trader: Trader, asked: Mapping[str, Any]) -> Answer:
    order = dict(asked["order"])
    if not order.get("id"):
        order["id"] = trader.next_order_id()
    wanted = wanted_of(order, trader.session.instrument.symbol)  # a slip of the pen does not use up the id
    before = trader.has(trader.name_of(wanted))
    trader.place(wanted)
    return {"known": before, "parent": parent_facts(trader, trader.name_of(wanted))}


def _list(trader: Trader, _asked: Mapping[str, Any]) -> Answer:
    names = dict.fromkeys((*trader.engine.parents, *trader.engine.reports))
    return {"parents": [parent_facts(trader, name) for name in names]}


def _show(trader: Trader, asked: Mapping[str, Any]) -> Answer:
    name = trader.find(str(asked["id"]))
    children = [
        {
            "id": order.intent.intent_id,
            "type": order.intent.type,
            "qty": order.intent.qty,
            "limit_price": order.intent.limit_price,
            "filled": order.filled,
            "standing": order.standing.value,
        }
        for order in trader.engine.orders.live()
        if order.intent.meta.get("execution_id") == name
    ]
    fills = [
        {"fill_id": fill.fill_id, "qty": fill.qty, "price": fill.price, "ts_ns": fill.ts_fill_ns}
        for fill in trader.report(name).fills
    ]
    return {"parent": parent_facts(trader, name), "children": children, "fills": fills}


def _tell(trader: Trader, asked: Mapping[str, Any]) -> Answer:
    name = trader.find(str(asked["id"]))
    if name in trader.engine.reports:
        raise ValueError(f"{asked['id']} has ended: {trader.report(name).status}")
    trader.tell(name, wish_of(asked, trader.engine.parents[name], trader.session.instrument))
    return {"parent": parent_facts(trader, name)}


def _rearm(trader: Trader, asked: Mapping[str, Any]) -> Answer:
    if asked.get("key") is not None:
        trader.rearm(str(asked["key"]), str(asked.get("by") or ""), str(asked.get("reason") or ""))
    return {"disabled": trader.gate.disabled}


def _status(trader: Trader, _asked: Mapping[str, Any]) -> Answer:
    engine = trader.engine
    return {
        "symbol": trader.session.instrument.symbol,
        "now_ns": trader.now_ns,
        "epoch": engine.epoch,
        "working": len(engine.unfinished()),
        "ended": len(engine.reports),
        "fills": len(trader.fills),
        "positions": dict(trader.ledger.positions()),
        "killed": engine.killed,
        "disabled": trader.gate.disabled,
        "stopping": trader.stopping,
    }


_DO: Final[dict[str, Callable[[Trader, Mapping[str, Any]], Answer]]] = {
    "new": _new,
    "list": _list,
    "show": _show,
    **dict.fromkeys(WISHES, _tell),
    "rearm": _rearm,
    "status": _status,
}
