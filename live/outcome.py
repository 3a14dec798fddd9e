"""What a trader leaves behind: the files of a run, and the table at the end."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from execution.run_files import run_result, write_run
from execution.stored import program_version
from execution.tca import measure, pooled
from live.trader import Trader
from live.wanted import PEOPLE
from research.times import SECOND_NS, iso

if TYPE_CHECKING:
    from rich.table import Table

    from execution.contracts import ExecutionReport

STATUSES: Final = ("completed", "cancelled", "failed", "running")


def summary(trader: Trader) -> dict[str, Any]:
    """The figures of a run so far; the same in run.json, in the table and in --json."""
    reports = [*trader.engine.reports.values(), *trader.engine.unfinished()]
    counts = Counter(report.status for report in reports)
    cost = pooled(map(measure, reports)) if reports else None
    bars = trader.session.market.bars
    price = float(bars.close[-1]) if len(bars) else math.nan
    return {
        "tape_ns": trader.now_ns,
        "tape_over": trader.over,
        "parents": len(reports),
        "by_status": {status: counts[status] for status in STATUSES},
        "why": [
            {"status": status, "reason": reason, "parents": count}
            for (status, reason), count in sorted(_reasons(reports).items())
        ],
        "fills": len(trader.fills),
        "denials": sum(len(report.denials) for report in reports),
        "shortfall_bps": None if cost is None else cost.shortfall_bps,
        "fees": sum(fill.fee for fill in trader.fills),
        "accounts": {
            name: {
                "position": trader.ledger.account(name, trader.now_ns, price).position_qty,
                "cash": trader.ledger.account(name, trader.now_ns, price).cash,
            }
            for name in trader.ledger.positions()
        },
        "killed": trader.engine.killed,
        "epoch": trader.engine.epoch,
    }


def _reasons(reports: Iterable[ExecutionReport]) -> Counter[tuple[str, str]]:
    """Why parents ended before their quantity was done."""
    return Counter((one.status, one.unfilled_reason) for one in reports if one.unfilled_reason)


def write(trader: Trader, folder: Path) -> dict[str, Any]:
    """executions.ndjson, fills.parquet, equity.parquet and run.json, as a backtest writes them."""
    session, engine = trader.session, trader.engine
    bars, venue, market = session.market.bars, session.market.venue, session.market
    reports = [*engine.reports.values(), *engine.unfinished()]
    capital = session.settings.capital * max(1, len(session.files.strategies))
    result = run_result(
        bars, session.instrument, capital, reports, trader.fills, [venue.bar_of(fill) for fill in trader.fills]
    )
    identity = session.identity
    about = {
        "version": program_version(),
        "seed": session.settings.seed,
        "config_hash": market.config_hash,
        "strategy": {"id": " + ".join(identity["strategies"]) or PEOPLE, "params": identity["strategies"]},
        "symbol": session.instrument.symbol,
        "capital": capital,
        "period": {
            "start_ns": int(bars.ts_open_ns[0]),
            "end_ns": int(bars.ts_close_ns[-1]),
            "bars": len(bars),
            "gaps": int((bars.ts_open_ns[1:] > bars.ts_close_ns[:-1]).sum()),
            "longest_gap_s": float((bars.ts_open_ns[1:] - bars.ts_close_ns[:-1]).max(initial=0)) / 1e9,
        },
        "data": {
            "synthetic": market.dataset.synthetic,
            "venue": market.dataset.venue,
            "kind": market.dataset.kind,
            "data_id": market.dataset.data_id,
            "source": list(market.dataset.source),
            "synthesis": market.dataset.synthesis,
        },
        "instrument": identity["instrument"],
        "execution": session.files.execution,
        "risk": session.files.limits,
        "settings": venue.settings,
        "remarks": list(market.remarks),
        "summary": summary(trader),
    }
    owners = {report.execution_id: report.strategy_id for report in reports}
    return write_run(folder, result, about, owners.__getitem__)


def table(trader: Trader, found: dict[str, Any]) -> Table:
    """The summary for people."""
    from rich.table import Table
    from rich.text import Text

    market = trader.session.market
    out = Table(title=f"Paper trading {trader.session.instrument.symbol}", title_justify="left", title_style="bold")
    out.add_column("")
    out.add_column("", justify="right")
    out.show_header = False

    def line(label: str, value: str, *, style: str = "", last: bool = False) -> None:
        out.add_row(label, Text(value), style=style, end_section=last)

    kind = "SYNTHETIC market" if market.dataset.synthetic else "real"
    line("data", f"{kind}, venue {market.dataset.venue}", style="yellow" if market.dataset.synthetic else "")
    line("tape, UTC", f"{_second(trader.session.tape.first_ns)} to {_second(found['tape_ns'])}")
    line("start of this journal", f"number {found['epoch']}", last=True)
    line("parents", f"{found['parents']:,}")
    for status, count in found["by_status"].items():
        if count:
            line(f"  {status}", f"{count:,}")
    line("fills", f"{found['fills']:,}")
    line("denied by the risk gate", f"{found['denials']:,}")
    bps = found["shortfall_bps"]
    line("implementation shortfall, bps", "–" if bps is None or bps != bps else f"{bps:,.2f}", last=True)
    base, _, quote = trader.session.instrument.symbol.partition("/")
    for name, account in found["accounts"].items():
        line(f"{name}: position", f"{account['position']:,.8g} {base}")
        line(f"{name}: cash", f"{account['cash']:,.2f} {quote}".rstrip())
    line("kill switch", "TRIPPED" if found["killed"] else "not tripped", style="bold red" if found["killed"] else "")
    return out


def _second(ts_ns: int) -> str:
    return iso(ts_ns // SECOND_NS * SECOND_NS)
