"""`fillwright replay`: every parent of a journal, made again without a venue and without market data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.console import DONE, FAILED, console, print_json, run
from live.parents_table import report_facts

if TYPE_CHECKING:
    from core.contracts import OrderIntent, RiskDecision
    from execution.contracts import ExecutionReport


@click.command("replay")
@click.argument("journal", type=click.Path(path_type=Path))
@click.option("--lenient", is_flag=True, help="Up to the first damage, instead of refusing a journal that has some.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines instead of a table.")
def command(journal: Path, lenient: bool, as_json: bool) -> int:
    """Make every parent of a trader's JOURNAL again and print what became of it.

    The parents hear what they heard, in that order, and must want what they wanted: where they do not, it was another
    version of the program, and that is said. Nothing is changed and nobody is asked. JOURNAL is a folder such as
    var/live/journal. Exit code 1 where the journal is damaged; `fillwright verify` lists the damage.
    """
    from core.errors import DataError
    from core.journal_read import read, survey

    found = survey(journal)
    if found.bad and not lenient:
        raise DataError(
            f"{journal}: the journal is damaged, {found.bad[0]}; `fillwright verify {journal}` lists all of it, "
            "--lenient reads up to there"
        )
    rebuilt = Rebuilt()

    def whole() -> Iterator[Mapping[str, Any]]:
        try:
            for entry in read(journal):
                yield entry.data
        except DataError:
            if not lenient:
                raise

    rebuilt.take(whole())
    facts = rebuilt.facts()
    if as_json:
        print_json({**facts, "damaged": bool(found.bad), "torn_bytes": found.torn_bytes})
    else:
        _show(facts, str(found.bad[0]) if found.bad else None, found.torn_bytes)
    return FAILED if found.bad else DONE


class Rebuilt:
    """The engine of a trader, from its journal alone."""

    def __init__(self) -> None:
        self._starts: list[dict[str, Any]] = []
        self._intake: Any = None
        self.entries = 0

    def take(self, journal: Iterator[Mapping[str, Any]]) -> None:
        """Raises JournalMismatchError, or DataError where the first entry is no start."""
        from core.errors import DataError
        from live import entries
        from live.engine import Engine
        from live.recovery import recall
        from live.session import intake_of

        first = next(journal, None)
        if first is None or first["k"] != entries.START:
            raise DataError("this is no trader's journal: it does not begin with a start")
        intake = intake_of(first["settings"], None)

        def watched() -> Iterator[Mapping[str, Any]]:
            yield self._started(first)
            for entry in journal:
                yield self._started(entry) if entry["k"] == entries.START else entry

        symbol = intake.instrument.symbol
        self.engine = Engine(
            _Nothing(), _Nothing(), _Nothing(), {symbol: intake.instrument}, lambda request: self._intake.work(request)
        )
        self.entries = recall(self.engine, watched())

    def facts(self) -> dict[str, Any]:
        """What there is to print."""
        engine = self.engine
        reports = [*engine.reports.values(), *engine.unfinished()]
        live = list(engine.orders.live())
        return {
            "entries": self.entries,
            "starts": len(self._starts),
            "version": self._starts[-1].get("version"),
            "last_ns": engine.now_ns,
            "killed": None if engine.latched is None else {"by": engine.latched[0], "reason": engine.latched[1]},
            "parents": [
                _parent(report) for report in sorted(reports, key=lambda one: (one.start_ts_ns, one.execution_id))
            ],
            "open_children": [
                {
                    "id": one.intent.intent_id,
                    "qty": one.intent.qty,
                    "filled": one.filled,
                    "standing": one.standing.value,
                }
                for one in live
            ],
        }

    def _started(self, entry: Mapping[str, Any]) -> Mapping[str, Any]:
        from live.session import intake_of

        self._starts.append(dict(entry))
        self._intake = intake_of(entry["settings"], None)
        return entry


class _Nothing:
    """Log, gate and switch of an engine that only remembers."""

    def append(self, entry: dict[str, Any]) -> None: ...
    def sync(self) -> None: ...
    def check(self, intent: OrderIntent, now_ns: int) -> RiskDecision:
        raise AssertionError(f"nothing is decided here, was asked for {intent.intent_id} at {now_ns}")

    def recall(self, intent: OrderIntent, decision: RiskDecision, now_ns: int) -> None: ...
    def on_parent(self, execution_id: str, symbol: str, side: Any, qty: float) -> None: ...
    def on_fill(self, fill: Any) -> None: ...
    def on_closed(self, closed: Any) -> None: ...
    def on_price(self, symbol: str, bid: float, ask: float, ts_ns: int) -> None: ...
    def tripped(self) -> bool:
        return False

    def trip(self, by: str, reason: str, ts_ns: int) -> None: ...
    def clear(self, by: str, reason: str, ts_ns: int) -> None: ...


def _parent(report: ExecutionReport) -> dict[str, Any]:
    return {
        **report_facts(report),
        "end_ns": report.end_ts_ns,
        "fills": len(report.fills),
    }


def _show(facts: dict[str, Any], damage: str | None, torn_bytes: int) -> None:
    from live.parents_table import parents_table
    from research.times import iso

    screen = console()
    screen.print(parents_table(facts["parents"]))
    starts = "1 start" if facts["starts"] == 1 else f"{facts['starts']} starts"
    screen.print(f"{facts['entries']:,} entries, {starts}, the last at {iso(facts['last_ns'])}")
    for child in facts["open_children"]:
        screen.print(
            f"may still trade: {child['id']} {child['qty']:g}, {child['filled']:g} filled, {child['standing']}"
        )
    if facts["killed"] is not None:
        screen.print(f"killed by {facts['killed']['by']}: {facts['killed']['reason']}", markup=False)
    if torn_bytes:
        screen.print(f"{torn_bytes:,} bytes at the end are torn: a start cuts them off")
    if damage is not None:
        screen.print(f"DAMAGED, read up to there: {damage}", markup=False)


if __name__ == "__main__":
    run(command)
