"""The fields of a table of orders and fills, and the names under which other people's files have them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

Kind = Literal["text", "number", "time", "side", "liquidity", "status"]
Role = Literal["fills", "orders"]


class Field(NamedTuple):
    """`names` are tried in order, folded as `folded` does; `orders` are further names in a file of orders only."""

    kind: Kind
    names: str
    orders: str = ""


_TIMES = """
    ts time timestamp datetime exectime executiontime executedat tradetime transacttime filltime filledat tsfill date
    createdat createtime"""
_SIZES = "qty quantity size amount shares volume vol"
# In the order in which they are looked for: a column of the file is taken once.
FIELDS: Final[Mapping[str, Field]] = {
    "fill_id": Field("text", "fillid tradeid execid ibexecid matchid dealid transactionid executionid id"),
    "order_id": Field(
        "text",
        "orderid order ordid iborderid brokerageorderid orderno ordernumber oid clordid clientorderid orderlinkid",
        "id",
    ),
    "parent_id": Field("text", "parentid parentorderid parent parentintentid metaorderid basketid executionid"),
    "symbol": Field(
        "text", "symbol ticker pair instrument market productid product instrumentid security coin contract"
    ),
    "side": Field("side", "side buysell bs direction action tradeside"),
    "order_qty": Field(
        "number",
        "orderqty orderquantity orderedqty orderedquantity ordersize origqty originalqty requestedqty totalquantity",
        _SIZES,
    ),
    "parent_qty": Field("number", "parentqty parentquantity parentsize parentorderqty"),
    "qty": Field(
        "number",
        "fillqty fillquantity fillsize lastqty lastshares execqty executedqty executed filledqty filledquantity "
        f"filledsize filled {_SIZES} basesize",
    ),
    "price": Field("number", "price fillprice execprice executionprice tradeprice lastpx lastprice px"),
    "time": Field("time", _TIMES),
    "fee": Field(
        "number", "fee fees commission ibcommission comm feeamount commissionamount tradingfee totalfee feepaid"
    ),
    "fee_currency": Field(
        "text", "feecurrency feecoin feeasset feeccy commissionasset commissioncurrency ibcommissioncurrency"
    ),
    "liquidity": Field(
        "liquidity",
        "liquidity takerormaker makertaker takermaker lastliquidityind liquidityindicator role "
        "ismaker istaker maker taker",
    ),
    "filled_qty": Field(
        "number", "", "filledqty filledquantity filledsize filled executedqty executed cumqty cumexecqty"
    ),
    "avg_price": Field("number", "avgprice averageprice avgpx avgfillprice averagefillprice average filledavgprice"),
    "limit_price": Field("number", "limitprice orderprice", "price px"),
    "order_time": Field(
        "time",
        "ordertime orderts orderedat submittedat submittime submitted placedat placed arrivaltime entrytime "
        "orderplacementtime",
        _TIMES,
    ),
    "end_time": Field(
        "time",
        "endtime closedat closetime doneat completedat canceltime canceledat cancelledat updatedat updatetime "
        "lastupdate",
    ),
    "decision_time": Field("time", "decisiontime signaltime decidedat"),
    "status": Field("status", "status orderstatus ordstatus state"),
    "reason": Field("text", "reason rejectreason cancelreason unfilledreason"),
    "algorithm": Field("text", "algorithm algo algotype executionalgorithm"),
    "strategy": Field("text", "strategy strategyid portfolio book"),
    "venue": Field("text", "venue exchange lastmkt marketcenter destination"),
    "currency": Field("text", "currency quotecurrency pricecurrency currencyprimary"),
    "decision_price": Field("number", "decisionprice decisionmid"),
    "arrival_price": Field("number", "arrivalprice arrivalmid arrival"),
    "end_price": Field("number", "endprice endmid"),
    "vwap": Field("number", "vwap benchmarkvwap intervalvwap marketvwap"),
    "vwap_own": Field("number", "vwapown benchmarkvwapown"),
    "twap": Field("number", "twap benchmarktwap intervaltwap"),
    "spread_bps": Field("number", "spreadbps"),
    "market_volume": Field("number", "marketvolume intervalvolume"),
    "half_spread": Field("number", "halfspread"),
    "impact": Field("number", "impact"),
    "mid": Field("number", "mid midprice"),
}
OF_FILLS: Final = (
    *("fill_id", "qty", "price", "time", "fee", "fee_currency", "liquidity"),
    *("half_spread", "impact", "mid"),
)
_ORDER_SIGNS: Final = ("order_qty", "limit_price", "order_time", "end_time", "status")
_OF_ORDERS: Final = frozenset(("type", "ordertype", "tif", "timeinforce", "remaining", "leavesqty"))
_UNITS = re.compile(r"(?<=[^a-z0-9])(?:ns|us|ms|utc|gmt)\)?$")


def folded(name: str) -> str:
    """Letters and digits in lower case, without a unit at the end: "Fill Time (ms)" is filltime."""
    return re.sub(r"[^a-z0-9]", "", _UNITS.sub("", name.strip().casefold()))


def recognised(there: Iterable[str], given: Mapping[str, str], role: Role) -> dict[str, str]:
    """Our field -> the file's column: those that the column map gives, and for the others the first known name."""
    columns = list(there)
    found = dict(given)
    taken = set(given.values())
    for name, field in FIELDS.items():
        if name in found or (role == "orders" and name in OF_FILLS):
            continue
        known = f"{field.names} {field.orders}" if role == "orders" else field.names
        by_name = {folded(column): column for column in reversed(columns) if column not in taken}
        match = next((by_name[word] for word in known.split() if word in by_name), None)
        if match is not None:
            found[name] = match
            taken.add(match)
    return {name: found[name] for name in FIELDS if name in found}


def looks_like_orders(columns: Iterable[str]) -> int:
    """How much a file looks like one of orders, above 0, rather than one of fills, below 0."""
    names = list(columns)
    words = {folded(name) for name in names}
    as_orders, as_fills = recognised(names, {}, "orders"), recognised(names, {}, "fills")
    signs = sum(name in as_orders and name in as_fills for name in _ORDER_SIGNS)
    signs += sum(name in as_orders for name in ("filled_qty", "avg_price")) + len(words & _OF_ORDERS)
    signs -= 2 * sum(name in as_fills for name in ("fee", "fee_currency", "liquidity"))
    return signs - (2 if folded(as_fills.get("fill_id", "id")) != "id" else 0)
