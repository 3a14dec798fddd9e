"""What each strategy holds, has on its way, and has in cash: exact to the lot, in the backtest's arithmetic."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from core.contracts import FillEvent, sign
from core.instrument import Instrument
from execution.contracts import ExecutionReport
from execution.intake import Request
from strategies.base import Account
from strategies.books import Books


@dataclass(slots=True)
class _Owned:
    books: Books
    owed: dict[str, int] = field(default_factory=dict)  # signed lots that parents at work have not filled yet


class Ledger:
    """One account per strategy, each with its own capital; orders of people are a strategy of their own."""

    def __init__(self, instrument: Instrument, capital: float, owner_of: Callable[[str], str]) -> None:
        """`owner_of`: the strategy of an execution id."""
        self._instrument = instrument
        self._capital = capital
        self._owner_of = owner_of
        self._owned: dict[str, _Owned] = {}

    def started(self, request: Request) -> None:
        """A parent is at work: its quantity is on its way."""
        lots = sign(request.algo.side) * self._instrument.lots(request.algo.total_quantity)
        self._of(request.strategy_id).owed[request.execution_id] = lots

    def filled(self, fill: FillEvent) -> None:
        """Lots and money move; what was on its way is held now."""
        execution = str(fill.meta["execution_id"])
        owned = self._of(self._owner_of(execution))
        change = owned.books.fill(fill)
        if execution in owned.owed:
            owned.owed[execution] -= change

    def ended(self, report: ExecutionReport) -> None:
        """A parent is over: nothing of it is on its way any more."""
        self._of(report.strategy_id).owed.pop(report.execution_id, None)

    def account(self, strategy_id: str, ts_ns: int, price: float) -> Account:
        """As of a bar's close."""
        owned = self._of(strategy_id)
        return owned.books.account(ts_ns, price, sum(owned.owed.values()))

    def positions(self) -> Mapping[str, float]:
        """Signed base quantity by strategy."""
        return {name: self._instrument.qty(one.books.lots) for name, one in self._owned.items()}

    def _of(self, strategy_id: str) -> _Owned:
        if strategy_id not in self._owned:
            self._owned[strategy_id] = _Owned(Books(self._instrument, self._capital))
        return self._owned[strategy_id]


class Past:
    """What once happened to a ledger, to happen again at its times."""

    def __init__(self) -> None:
        self._events: deque[tuple[int, Callable[[], None] | None]] = deque()

    def add(self, ts_ns: int, event: Callable[[], None]) -> None:
        self._events.append((ts_ns, event))

    def decided(self, ts_ns: int) -> None:
        """Strategies were asked here: what follows at this moment came after."""
        self._events.append((ts_ns, None))

    def until(self, ts_ns: int) -> bool:
        """Everything up to when strategies were asked at this moment; True where that was written down."""
        while self._events and self._events[0][0] <= ts_ns:
            at_ns, event = self._events.popleft()
            if event is not None:
                event()
            elif at_ns == ts_ns:
                return True
        return False

    def rest(self) -> None:
        """Everything that is left."""
        while self._events:
            _, event = self._events.popleft()
            if event is not None:
                event()
