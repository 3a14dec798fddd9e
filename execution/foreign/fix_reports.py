"""FIX execution reports (35=8, FIX 4.0 to 5.0) into rows: fills once, busts and corrections applied.

Tags read: 6 AvgPx, 11 ClOrdID, 12 Commission, 13 CommType, 14 CumQty, 15 Currency, 17 ExecID, 19 ExecRefID,
20 ExecTransType, 30 LastMkt, 31 LastPx, 32 LastQty, 34 MsgSeqNum, 35 MsgType, 37 OrderID, 38 OrderQty, 39 OrdStatus,
41 OrigClOrdID, 44 Price, 52 SendingTime, 54 Side, 55 Symbol, 58 Text, 60 TransactTime, 137 MiscFeeAmt, 138 MiscFeeCurr,
150 ExecType, 151 LeavesQty, 479 CommCurrency, 851 LastLiquidityInd, and the parent's id in a tag of your choice.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from core.errors import ConfigError
from execution.foreign.cells import FIRST_NS, LAST_NS
from execution.foreign.fix_log import Message, read_messages
from execution.foreign.naming import Naming
from execution.foreign.records import Ending, Fill, Refusals, Refused, Row, Source
from execution.foreign.words import odd_number
from research.times import parse_ns

_SIDES: Final = {"1": "buy", "2": "sell", "3": "buy", "4": "sell", "5": "sell", "6": "sell"}
_STATUSES: Final[Mapping[str, Ending]] = {
    **dict.fromkeys("0156789ADE", "running"),
    **{"2": "completed", "B": "completed", "8": "failed"},
    **dict.fromkeys("34C", "cancelled"),
}
_BUST, _CORRECT = "H", "G"
_STATUS_REQUEST = "I"


@dataclass(slots=True)
class _Log:
    """What the reports of all files say together.

    Keys are (order, ExecID). `fills`: the row of a fill. `means`: what a correction corrects.
    """

    order_of: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    fills: dict[tuple[str, str], int] = field(default_factory=dict)
    means: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    undone: set[tuple[str, str]] = field(default_factory=set)
    corrections: list[tuple[tuple[str, str], Row]] = field(default_factory=list)
    seen: set[tuple[str, ...]] = field(default_factory=set)


def read_fix(
    paths: Iterable[Path],
    naming: Naming,
    refusals: Refusals,
    *,
    checksum: bool = True,
    parent_tag: int | None = None,
) -> tuple[list[Row], list[Source]]:
    """The rows of the execution reports in logs. Other messages are passed over and counted.

    A report that comes again (the same ExecID of the same order, 43=Y or not) counts once. A bust (150=H, or 20=1)
    takes the fill of its ExecRefID back, a correction (150=G, 20=2) replaces it, wherever in the log they stand.
    Raises DataError naming file, line, tag, value and remedy; ConfigError where simplefix is not installed.
    """
    reports: list[Message] = []
    sources: list[Source] = []
    for path in paths:
        others: Counter[str] = Counter()
        mine: list[Message] = []
        for message in read_messages(path, refusals, checksum=checksum):
            kind = message.text(35) or "?"
            if kind == "8":
                mine.append(message)
            else:
                others[kind] += 1
        sources.append(Source(path.name, "fix", len(mine), "execution reports"))
        if others:
            kinds = ", ".join(f"{count} of type {kind}" for kind, count in sorted(others.items()))
            sources[-1].said.append(f"other messages: {kinds}")
        reports += mine
    log = _Log(_order_ids(reports))
    repeated = 0
    for message in reports:
        try:
            repeated += not _take(_Report(message, refusals), log, naming, parent_tag)
        except Refused:
            continue
    if repeated:
        sources[-1].said.append(f"{repeated} reports came again and count once")
    if log.undone or log.corrections:
        sources[-1].said.append(f"{len(log.undone)} busts and {len(log.corrections)} corrections applied")
    return _final(log), sources


class _Report:
    """One execution report, read with the same refusals as a table."""

    def __init__(self, message: Message, refusals: Refusals) -> None:
        self.where = message.where
        self.text = message.text
        self._refusals = refusals

    def number(self, tag: int, nth: int = 1) -> float:
        text = self.text(tag, nth)
        if text is None:
            return math.nan
        try:
            number = float(text)
        except ValueError:
            number = math.inf
        if math.isinf(number):
            problem, remedy = odd_number(text)
            raise self.refuse(f"tag {tag} {problem}, was {text!r}", remedy, reason=f"tag {tag} {problem}")
        return number

    def time(self) -> int:
        """TransactTime, or SendingTime where it is not there: 20250131-12:30:05.123456789, UTC."""
        text = self.text(60) or self.text(52)
        if text is None:
            raise self.refuse("there is no TransactTime (tag 60)", "a report has a time", reason="no TransactTime")
        whole, _, fraction = text.partition(".")
        day, _, clock = whole.partition("-")
        try:
            if len(day) != 8 or not clock or (fraction and not fraction.isdecimal()):
                raise ValueError(text)
            ns = parse_ns(f"{day[:4]}-{day[4:6]}-{day[6:]}T{clock}")
        except (ValueError, ConfigError) as error:
            raise self._no_time(text) from error
        ns += int(f"{fraction:0<9}"[:9]) if fraction else 0
        if not FIRST_NS <= ns < LAST_NS:
            raise self._no_time(text)
        return ns

    def refuse(self, problem: str, remedy: str, *, reason: str) -> Refused:
        return self._refusals.refuse(self.where, problem, remedy, reason=reason)

    def _no_time(self, text: str) -> Refused:
        return self.refuse(
            f"TransactTime (tag 60) is {text!r}", "a time is 20250131-12:30:05.250, UTC", reason="no TransactTime"
        )

    @property
    def kind(self) -> str:
        """ExecType as FIX 4.4 has it: F a fill, G a correction, H a bust, I the answer to a status request."""
        transaction = self.text(20) or "0"
        if transaction in "123":
            return {"1": _BUST, "2": _CORRECT, "3": _STATUS_REQUEST}[transaction]
        said = self.text(150)
        if said in ("1", "2") or (said is None and self.text(39) in ("1", "2")):
            return "F" if self.number(32) > 0 else "0"
        return said or "0"


def _order_ids(reports: Iterable[Message]) -> dict[str, str]:
    """ClOrdID -> what the order is called: its OrderID, which stays when ClOrdIDs change, else its first ClOrdID."""
    before: dict[str, str] = {}
    called: dict[str, str] = {}
    for message in reports:
        client, order, original = message.text(11), message.text(37), message.text(41)
        if client and order and order != "NONE":
            called.setdefault(client, order)
        if client and original and client != original:
            before[client] = original
    for client in [*before, *before.values()]:
        first, chain = client, {client}
        while first in before and before[first] not in chain and first not in called:
            first = before[first]
            chain.add(first)
        called.setdefault(client, called.get(first, first))
    return called


def _take(report: _Report, log: _Log, naming: Naming, parent_tag: int | None) -> bool:
    """Adds a report to the log; False for one that was there before."""
    client, order = report.text(11), report.text(37)
    order_id = order if order and order != "NONE" else log.order_of.get(client or "", client or "")
    if not order_id:
        raise report.refuse(
            "there is no OrderID (tag 37) and no ClOrdID (tag 11)", "a report has one", reason="no order id"
        )
    symbol = naming.of(report.text(55))
    if naming.unwanted(symbol):
        return True
    exec_id, kind = report.text(17), report.kind
    if exec_id and exec_id != "0":
        same = (order_id, exec_id, kind)
        if same in log.seen:
            return False
        log.seen.add(same)
    side = report.text(54)
    if side is not None and side not in _SIDES:
        raise report.refuse(f"Side (tag 54) is {side!r}", "1 buys, 2, 5 and 6 sell", reason="unknown side")
    row = _row(report, order_id, symbol, None if side is None else _SIDES[side], kind, parent_tag)
    if kind in (_BUST, _CORRECT):
        reference = report.text(19)
        if reference is None:
            raise report.refuse(
                "there is no ExecRefID (tag 19)", "a bust or correction says which fill it means", reason="no ExecRefID"
            )
        if kind == _BUST:
            log.undone.add((order_id, reference))
        else:
            log.corrections.append(((order_id, reference), row))
            if exec_id:
                log.means[(order_id, exec_id)] = (order_id, reference)
            row = replace(row, fill=None)
    if row.fill is not None and exec_id:
        log.fills[(order_id, exec_id)] = len(log.rows)
    log.rows.append(row)
    return True


def _row(
    report: _Report, order_id: str, symbol: str | None, side: Any, kind: str, parent_tag: int | None
) -> Row:  # fmt: skip
    ts_ns, word = report.time(), report.text(39)
    if word is not None and word not in _STATUSES:
        raise report.refuse(
            f"OrdStatus (tag 39) is {word!r}", "FIX knows 0 to 9 and A to E", reason="unknown OrdStatus"
        )
    status = None if word is None else _STATUSES[word]
    qty = report.number(38)
    average = report.number(6)
    return Row(
        where=report.where,
        ts_ns=ts_ns,
        rank=report.number(14) if report.number(14) >= 0 else 0.0,
        order_id=order_id,
        symbol=symbol,
        side=side,
        parent_id=None if parent_tag is None else report.text(parent_tag),
        order_qty=qty if qty > 0 else math.nan,
        order_ns=ts_ns if kind in ("0", "A") and not report.number(14) > 0 else None,
        end_ns=ts_ns if status not in (None, "running") else None,
        status=status,
        reason=report.text(58) if status in ("cancelled", "failed") else None,
        filled_qty=report.number(14),
        avg_price=average,
        limit_price=report.number(44),
        currency=report.text(15),
        fill=_fill(report, ts_ns) if kind in ("F", _CORRECT) else None,
    )


def _fill(report: _Report, ts_ns: int) -> Fill:
    price, qty = report.number(31), report.number(32)
    if not qty > 0:
        raise report.refuse(
            f"LastQty (tag 32) is {qty:g}", "a fill has a quantity above 0", reason="fill without a quantity"
        )
    if not price > 0:  # pitfall 30
        raise report.refuse(
            f"LastPx (tag 31) is {price:g}", "a fill has a price above 0", reason="fill without a price"
        )
    fee, currency = _fee(report, qty)
    return Fill(
        fill_id=report.text(17),
        qty=qty,
        price=price,
        ts_ns=ts_ns,
        fee=fee,
        fee_currency=currency,
        liquidity={"1": "maker", "2": "taker"}.get(report.text(851) or ""),  # type: ignore[arg-type]
        venue=report.text(30),
    )


def _fee(report: _Report, qty: float) -> tuple[float, str | None]:
    """Commission and other fees of a fill; NaN where the message says none, or says it in per cent (13=2)."""
    commission = report.number(12)
    if not math.isnan(commission):
        per = report.text(13) or "3"
        fee = commission * qty if per == "1" else commission if per == "3" else math.nan
        return fee, report.text(479)
    paid: list[float] = []
    while not math.isnan(amount := report.number(137, len(paid) + 1)):
        paid.append(amount)
    currencies = {report.text(138, nth) for nth in range(1, len(paid) + 1)}
    if not paid or len(currencies) > 1:
        return math.nan, None
    return math.fsum(paid), currencies.pop()


def _final(log: _Log) -> list[Row]:
    """All rows, with busted fills gone and corrected ones as they were corrected last."""
    rows = list(log.rows)
    fills = dict(log.fills)
    for key, right in sorted(log.corrections, key=lambda one: (one[1].ts_ns or 0, one[1].rank, one[1].where)):
        first = _first(log, key)
        place = fills.get(first)
        if place is None:  # the original is not in the log
            fills[first] = len(rows)
            rows.append(right)
            continue
        wrong, fill = rows[place].fill, right.fill
        assert wrong is not None
        assert fill is not None
        fee = wrong.fee if math.isnan(fill.fee) else fill.fee
        kept = replace(fill, fill_id=wrong.fill_id, ts_ns=wrong.ts_ns, fee=fee)
        rows[place] = replace(rows[place], fill=kept)
    for key in log.undone:
        place = fills.get(_first(log, key))
        if place is not None:
            rows[place] = replace(rows[place], fill=None)
    return rows


def _first(log: _Log, key: tuple[str, str]) -> tuple[str, str]:
    """The fill that a reference means, through corrections of corrections."""
    passed = {key}
    while key in log.means and log.means[key] not in passed:
        key = log.means[key]
        passed.add(key)
    return key
