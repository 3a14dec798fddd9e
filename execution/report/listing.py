"""What all pages share above and below, and executions as a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from execution.analyze import percent
from execution.report.charts import signed
from execution.report.page import Column, Html, document, join, link, note, paragraph, table, tag
from execution.report.words import moment, money, plural
from execution.tca import PARTS, ExecutionCost

if TYPE_CHECKING:
    from execution.report.run import Run

MOST_LISTED: Final = 2000


def loud(run: Run) -> list[Html]:
    """What nobody may overlook: whether the market was real."""
    synthetic = {settings.get("synthetic") for settings in run.settings}
    if synthetic == {True}:
        text = "SYNTHETIC market data. These costs say how the model works, not what a market pays or charges."
    elif True in synthetic:
        text = "Some of these executions ran on SYNTHETIC market data: do not read the totals as market costs."
    else:
        return []
    return [note(text, loud=True)]


def foot(run: Run) -> Html:
    """Which program made the numbers, and with which settings."""
    versions = sorted({str(settings["version"]) for settings in run.settings if "version" in settings})
    hashes = sorted({str(settings["config_hash"]) for settings in run.settings if "config_hash" in settings})
    made: list[object] = [" ".join(["Fillwright", ", ".join(versions)]).strip()]
    return join([*made, ", settings ", tag("code", ", ".join(hashes))] if hashes else made)


def list_page(run: Run, paged: dict[str, str]) -> str:
    """All executions in the order of the run, as many as a page holds."""
    shown = run.measured[:MOST_LISTED]
    body: list[Html] = [paragraph(link("Back to the report", "index.html")), *loud(run)]
    if len(shown) < len(run.measured):
        body.append(note(f"The first {len(shown):,} of {len(run.measured):,}; all of them are in costs.csv."))
    if len(paged) < len(run.measured):
        body.append(paragraph(f"The {len(paged):,} that cost the most have a page of their own; --pages makes more."))
    body.append(executions_table(shown, paged, run.currency))
    return document("All executions", *body, subtitle=plural(len(run.measured), "execution"), foot=foot(run))


def executions_table(costs: Sequence[ExecutionCost], paged: Mapping[str, str], unit: str) -> Html:
    """Executions, a line each, with the way to their pages."""
    several = len({cost.symbol for cost in costs}) > 1
    columns = [
        Column("execution", number=False),
        Column("shortfall", "bps"),
        Column("shortfall", unit or "money"),
        Column("start", "UTC", number=False),
        *([Column("symbol", number=False)] if several else []),
        Column("order", number=False),
        Column("filled", "%"),
        Column("fills"),
        Column("mostly", "bps", number=False),
    ]
    rows = []
    for cost in costs:
        page = paged.get(cost.execution_id)
        name = cost.execution_id if len(cost.execution_id) <= 24 else f"{cost.execution_id[:23]}…"
        row: list[object] = [link(name, page) if page else name, signed(cost.shortfall_bps), money(cost.shortfall)]
        row += [moment(cost.start_ts_ns), *([cost.symbol] if several else []), f"{cost.side} {cost.algo_type}"]
        row += [percent(cost.fill_rate), f"{cost.fills:,}", mostly(cost)]
        rows.append(row)
    return table(columns, rows, label="executions")


def mostly(cost: ExecutionCost) -> str:
    """The largest part of a shortfall."""
    shares = cost.parts.bps(cost.notional)
    known = [(share, name) for share, name in zip(shares, PARTS, strict=True) if share > 0]
    if not known:
        return ""
    share, name = max(known)
    return f"{name} {signed(share)}"
