"""What a run came to: its figures, and the table that shows them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from backtest.metrics import Performance, performance
from execution.tca import BPS, measure, pooled
from research.times import DAY_NS, iso

if TYPE_CHECKING:
    from rich.table import Table

    from backtest.engine import BacktestResult
    from execution.contracts import ExecutionReport

STATUSES: Final = ("completed", "cancelled", "failed", "running")


@dataclass(frozen=True, slots=True)
class Cost:
    """An amount in quote currency, and in basis points of the notional it is measured on; NaN where unknown."""

    money: float
    bps: float


@dataclass(frozen=True, slots=True)
class Costs:
    """What the fills of a run cost; positive is worse. The same sums as `execution.tca`, over all executions.

    notional: filled quantity at decision prices, on which every `bps` but the shortfall's is measured. `arrival` is
    spread + impact + timing, `total` is arrival + fees. `delay` is the move from decision to arrival, `opportunity`
    what the market did to the quantity that was not filled, and `shortfall` all of it together; basis points of these
    three are of the paper notional, as in `fillwright analyze`.
    """

    notional: float
    spread: Cost
    impact: Cost
    timing: Cost
    arrival: Cost
    fees: Cost
    total: Cost
    delay: Cost
    opportunity: Cost
    shortfall: Cost


@dataclass(frozen=True, slots=True)
class Summary:
    """capital, final_equity: quote currency. fill_rate: traded / ordered notional. denials: refusals by the gate."""

    capital: float
    final_equity: float
    performance: Performance
    executions: int
    by_status: dict[str, int]
    fills: int
    fill_rate: float
    denials: int
    first_denial: str | None
    unfilled: dict[str, int]
    costs: Costs

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def summarize(result: BacktestResult, *, capital: float, multiplier: float = 1.0) -> Summary:
    """The figures of a run. What has no answer (no trades, no variance) is NaN."""
    reports = result.reports
    denials = [denial for report in reports for denial in report.denials]
    # what follows a semicolon is special to one execution: "end of horizon; the rest of 0.18 is below the minimum"
    reasons = Counter(report.unfilled_reason.split(";")[0] for report in reports if report.unfilled_reason)
    counts = Counter(report.status for report in reports)
    return Summary(
        capital=capital,
        final_equity=float(result.equity[-1]),
        performance=performance(result.ts_ns, result.equity, result.fills, multiplier=multiplier),
        executions=len(reports),
        by_status={status: counts[status] for status in STATUSES},
        fills=len(result.fills),
        fill_rate=pooled(map(measure, reports)).fill_rate,
        denials=len(denials),
        first_denial=denials[0] if denials else None,
        unfilled=dict(sorted(reasons.items(), key=lambda one: (-one[1], one[0]))),
        costs=costs_of(reports),
    )


def costs_of(reports: Iterable[ExecutionReport]) -> Costs:
    """Sums of money over sums of notional. Nothing filled: NaN."""
    all_ = pooled(map(measure, reports))
    arrival = all_.against["arrival"]
    parts = all_.parts

    def cost(money: float) -> Cost:
        return Cost(money, BPS * money / all_.traded if all_.traded > 0 else math.nan)

    return Costs(
        notional=all_.traded,
        spread=cost(parts.spread),
        impact=cost(parts.impact),
        timing=cost(parts.timing),
        arrival=Cost(arrival.cost, arrival.bps),
        fees=cost(parts.fees),
        total=cost(arrival.cost + parts.fees),
        delay=Cost(parts.delay, all_.parts_bps.delay),
        opportunity=Cost(parts.opportunity, all_.parts_bps.opportunity),
        shortfall=Cost(all_.shortfall, all_.shortfall_bps),
    )


def table(summary: Summary, about: dict[str, Any]) -> Table:
    """The summary for people: what was run, what it earned, how it was executed, what that cost."""
    from rich.table import Table
    from rich.text import Text

    quote = about["symbol"].partition("/")[2]
    out = Table(
        title=f"Backtest of {about['strategy']['id']} on {about['symbol']}", title_justify="left", title_style="bold"
    )
    out.add_column("", no_wrap=True)
    out.add_column("", justify="right", overflow="fold")
    out.add_column("bps", justify="right", no_wrap=True)
    out.show_header = False

    def line(label: str, value: str, bps: str = "", *, style: str = "", last: bool = False) -> None:
        out.add_row(label, Text(value), bps, style=style, end_section=last)

    data, period, earned = about["data"], about["period"], summary.performance
    if data["synthetic"]:
        line("data", f"SYNTHETIC market, venue {data['venue']}", style="yellow")
    else:
        line("data", f"real, venue {data['venue']}")
    line("period, UTC", period_text(period))
    line("bars", bars_text(period))
    line("execution", execution_text(about), last=True)

    line("capital", f"{summary.capital:,.2f} {quote}")
    line("final equity", f"{summary.final_equity:,.2f} {quote}")
    line("return", percent(earned.total_return), style="bold")
    line("Sharpe ratio, annual", number(earned.sharpe))
    line("max drawdown", percent(earned.max_drawdown))
    line("trades (round trips)", f"{earned.trades:,}, {percent(earned.win_rate)} won")
    line("time in the market", percent(earned.exposure), last=True)

    line("executions", f"{summary.executions:,}")
    for status, count in summary.by_status.items():
        if count:
            line(f"  {status}", f"{count:,}")
    line("fills", f"{summary.fills:,}")
    line("fill rate", percent(summary.fill_rate))
    line("denied by the risk gate", f"{summary.denials:,}", last=True)

    costs = summary.costs
    line("cost of the fills (+ is worse)", quote, "bps", style="dim")
    for label, cost in (("  spread", costs.spread), ("  impact", costs.impact), ("  timing", costs.timing)):
        line(label, number(cost.money), number(cost.bps))
    line("= slippage against arrival", number(costs.arrival.money), number(costs.arrival.bps))
    line("+ fees", number(costs.fees.money), number(costs.fees.bps))
    line("= total", number(costs.total.money), number(costs.total.bps), style="bold")
    line("on a filled notional of", number(costs.notional), last=True)

    line("+ delay", number(costs.delay.money), number(costs.delay.bps))
    line("+ opportunity (unfilled)", number(costs.opportunity.money), number(costs.opportunity.bps))
    line("= implementation shortfall", number(costs.shortfall.money), number(costs.shortfall.bps), style="bold")
    return out


def notes(summary: Summary, about: dict[str, Any]) -> list[str]:
    """Lines below the table: what the data are, what was assumed, why orders were refused or stayed unfilled."""
    lines = []
    if about["data"]["synthetic"]:
        lines.append("SYNTHETIC market data: these figures say how the model works, not what a market pays or charges")
    lines += about["remarks"]
    lines.append(f"spread: {about['settings']['spread_source']}; impact: {about['settings']['impact']}")
    if summary.first_denial is not None:
        lines.append(f"first of {summary.denials:,} denials: {summary.first_denial}")
    for reason, count in list(summary.unfilled.items())[:3]:
        lines.append(f"{count:,} of {summary.executions:,} executions not filled to the end: {reason}")
    return lines


def next_steps(folder: Path, names: Sequence[str]) -> list[str]:
    """Where the files are, and what to do with them."""
    import shlex

    reports = shlex.quote(str(folder / names[0]))
    return [
        f"written to {folder}: {', '.join(names)}",
        f"next: fillwright analyze --execution-reports {reports} --output execution_analysis.csv",
        f"      fillwright compare --reports {reports} --benchmark vwap",
    ]


def bars_text(period: dict[str, Any]) -> str:
    """How many bars there are, and what is missing between them."""
    gaps, minutes = period["gaps"], period["longest_gap_s"] / 60
    missing = f", {gaps} gap{'s' if gaps > 1 else ''}, longest {minutes:,.0f} min" if gaps else ", no gaps"
    return f"{period['bars']:,}{missing}"


def period_text(period: dict[str, Any]) -> str:
    """From the first open to the last close; whole days by the first and the last of them."""
    start, end = period["start_ns"], period["end_ns"]
    if start % DAY_NS or end % DAY_NS:
        return f"{iso(start)} to {iso(end)}"
    return f"{iso(start)} to {iso(end - DAY_NS)}, {(end - start) // DAY_NS:,} days"


def execution_text(about: dict[str, Any]) -> str:
    if about["execution"] is None:
        return "each parent one market order"
    routing = about["execution"].routing
    if routing.router in ("rules", "learn"):
        return f"routed: {routing.router}"
    return f"{routing.router or routing.default_algo} by default"


def number(value: float) -> str:
    """Two decimals, a dash for unknown, and no minus before a zero."""
    return "–" if math.isnan(value) else f"{round(value, 2) + 0.0:,.2f}"


def percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:,.2f} %"
