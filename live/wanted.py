"""Parents that people ask for: over the socket, or in a file."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from core import checks, codec
from core.contracts import SIDES, Contract, OrderIntent, Side
from core.errors import ConfigError, DataError, nearest
from core.frozen import EMPTY
from execution.contracts import ALGO_TYPES, AlgoType
from research.times import parse_ns

PEOPLE: Final = "orders"  # the strategy of what no strategy has asked for


@dataclass(frozen=True, slots=True)
class Wanted(Contract):
    """A parent by its id: the same id again is the same parent. `start`: in a file, not before this time of the tape.

    What is None stands in the execution settings.
    """

    id: str
    symbol: str
    side: Side
    quantity: float
    algo: AlgoType | None = None
    duration_seconds: int | None = None
    limit_price: float | None = None
    params: dict[str, Any] = field(default=EMPTY)
    start: str | None = None

    def __post_init__(self) -> None:
        checks.named("id", self.id)
        checks.named("symbol", self.symbol)
        checks.one_of("side", self.side, SIDES)
        checks.positive("quantity", self.quantity)
        if self.algo is not None:
            checks.one_of("algo", self.algo, ALGO_TYPES)
        if self.start is not None:
            try:
                parse_ns(self.start, "start")
            except ConfigError as error:
                raise ValueError(str(error)) from error

    @property
    def start_ns(self) -> int:
        return 0 if self.start is None else parse_ns(self.start, "start")

    def intent(self, now_ns: int) -> OrderIntent:
        meta: dict[str, Any] = {"params": dict(self.params)}
        if self.algo is not None:
            meta["algo_type"] = self.algo
        if self.duration_seconds is not None:
            meta["duration_seconds"] = self.duration_seconds
        kind: Any = "market" if self.limit_price is None else "limit"
        return OrderIntent(self.id, now_ns, PEOPLE, self.symbol, self.side, kind, self.quantity, self.limit_price, meta)


def wanted_of(told: object, symbol: str) -> Wanted:
    """The order that somebody wrote or sent, for a trader of this symbol.

    Raises ValueError in words that a person can act on.
    """
    if not isinstance(told, dict):
        raise ValueError("an order is an object with id, symbol, side and quantity")
    known = [field.name for field in fields(Wanted)]
    for name in told:
        if name not in known:
            raise ValueError(f"an order has no {name!r}: {nearest(str(name), known)}")
    for name in ("id", "symbol", "side", "quantity"):
        if told.get(name) is None:
            raise ValueError(f"{name} is missing")
    for name, value in told.items():
        kinds, what = _KINDS[name]
        if value is not None and (not isinstance(value, kinds) or isinstance(value, bool)):
            raise ValueError(f"{name} must be {what}, was {value!r}")
    for name, words in (("side", SIDES), ("algo", ALGO_TYPES)):
        if told.get(name) is not None and told[name] not in words:
            raise ValueError(f"{name} {told[name]!r} is not known: {nearest(told[name], words)}")
    if told["symbol"] != symbol:
        raise ValueError(f"symbol {told['symbol']!r} is not traded here: {nearest(told['symbol'], [symbol])}")
    return Wanted.from_dict(told)


_KINDS: Final[dict[str, tuple[tuple[type, ...], str]]] = {
    **dict.fromkeys(("id", "symbol", "side", "algo", "start"), ((str,), "text")),
    **dict.fromkeys(("quantity", "limit_price"), ((int, float), "a number")),
    "duration_seconds": ((int,), "a whole number of seconds"),
    "params": ((dict,), "an object of the algorithm's parameters"),
}


def read_wanted(path: Path, symbol: str) -> tuple[Wanted, ...]:
    """The parents of a file, one JSON object a line, in order of their times; equal ones as they stand.

    Raises DataError naming the line: what cannot be read, another symbol than the trader's, an id that comes twice.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    found: dict[str, Wanted] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            one = wanted_of(codec.from_json(line), symbol)
        except ValueError as error:
            raise DataError(f"{path} line {number}: {error}") from error
        if one.id in found:
            raise DataError(f"{path} line {number}: id {one.id!r} stands twice")
        found[one.id] = one
    return tuple(sorted(found.values(), key=lambda one: one.start_ns))
