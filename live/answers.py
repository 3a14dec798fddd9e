"""What a trader answers to requests from other processes: plain dictionaries in and out, no sockets.

    {"do": "new", "order": {...}}     {"do": "list"}     {"do": "show", "id": "o-1"}     {"do": "status"}
    {"do": "cancel", "id": "o-1", "reason": "..."}     {"do": "pause", ...}     {"do": "resume", ...}
    {"do": "amend", "id": "o-1", "quantity": 5.0, "duration_seconds": 600, "limit_price": 4.2}

An answer is {"ok": true, ...}, or {"ok": false, "error": "one line"}. What was asked for is in the journal, durably,
before it is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from core.errors import nearest
from execution.events import Amend, Cancel, Pause, Resume
from live.parents_table import report_facts
from live.trader import Trader
from live.wanted import Wanted

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
    wanted = Wanted.from_dict(order)
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


def _tell(wish: Callable[[Trader, str, Mapping[str, Any]], Pause | Resume | Cancel | Amend]) -> Any:
    def do(trader: Trader, asked: Mapping[str, Any]) -> Answer:
        name = trader.find(str(asked["id"]))
        if name in trader.engine.reports:
            raise ValueError(f"{asked['id']} has ended: {trader.report(name).status}")
        trader.tell(name, wish(trader, name, asked))
        return {"parent": parent_facts(trader, name)}

    return do


def _amend(trader: Trader, name: str, asked: Mapping[str, Any]) -> Amend:
    request, instrument = trader.engine.parents[name], trader.session.instrument
    quantity, seconds, limit = (asked.get(key) for key in ("quantity", "duration_seconds", "limit_price"))
    if quantity is None and seconds is None and limit is None:
        raise ValueError("an amendment needs quantity, duration_seconds or limit_price")
    ticks = None
    if limit is not None:
        ticks = instrument.ticks(float(limit)) if request.algo.side == "buy" else instrument.ticks_up(float(limit))
    return Amend(
        quantity=None if quantity is None else instrument.lots(float(quantity)),
        end_ns=None if seconds is None else request.start_ns + int(seconds) * NS,
        limit_ticks=ticks,
    )


def _status(trader: Trader, _asked: Mapping[str, Any]) -> Answer:
    return trader.facts()


_DO: Final[dict[str, Callable[[Trader, Mapping[str, Any]], Answer]]] = {
    "new": _new,
    "list": _list,
    "show": _show,
    "cancel": _tell(lambda _trader, _name, asked: Cancel(str(asked.get("reason") or "cancelled by request"))),
    "pause": _tell(lambda _trader, _name, asked: Pause(str(asked.get("reason") or "paused by request"))),
    "resume": _tell(lambda _trader, _name, _asked: Resume()),
    "amend": _tell(_amend),
    "status": _status,
}
