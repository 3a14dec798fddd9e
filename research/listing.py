"""Datasets and findings on the screen: tables for people, JSON for machines."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from core.console import console, print_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from research.dataset import Dataset
    from research.verify import Finding


def show(stored: Iterable[Dataset], as_json: bool) -> None:
    if as_json:
        print_json([one.summary() for one in stored])
        return
    from rich.table import Table
    from rich.text import Text

    from research.times import SECOND_NS, period

    screen = console()
    wide = screen.width >= 100
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("venue", "symbol", "kind", "period (UTC)"):
        table.add_column(name, no_wrap=name != "period (UTC)", overflow="fold")
    for name in ("rows", "gaps", "missing")[: 3 if wide else 2]:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("origin", no_wrap=True)
    for one in stored:
        when = period(one.start_ns // SECOND_NS * SECOND_NS, -(-one.end_ns // SECOND_NS) * SECOND_NS)
        counts = [f"{value:,}" for value in (one.rows, len(one.gaps), one.missing_bars)][: 3 if wide else 2]
        cells = (one.venue, one.symbol, one.kind, when, *counts, "SYNTHETIC" if one.synthetic else "real")
        table.add_row(*map(Text, cells))
    screen.print(table)


def show_findings(findings: list[Finding], shown_gaps: int) -> None:
    from research.times import period

    show([one.dataset for one in findings], as_json=False)
    say = partial(console().print, markup=False, soft_wrap=True)
    for finding in findings:
        gaps = sorted(finding.dataset.gaps, key=lambda gap: gap[0] - gap[1])
        for start, end in gaps[:shown_gaps]:
            minutes = (end - start) / 60e9
            say(f"{finding.dataset.symbol} at {finding.dataset.venue}: gap of {minutes:,.0f} min, {period(start, end)}")
        if len(gaps) > shown_gaps > 0:
            say(f"{finding.dataset.symbol} at {finding.dataset.venue}: and {len(gaps) - shown_gaps} more gaps")
        if finding.dataset.zero_volume:
            minutes_without = f"{finding.dataset.zero_volume:,} of {finding.dataset.rows:,} bars have no volume"
            say(f"{finding.dataset.symbol} at {finding.dataset.venue}: {minutes_without}")
        for problem in finding.problems:
            say(f"broken: {problem}", style="red")
    broken = sum(bool(one.problems) for one in findings)
    say(f"checked {len(findings)}: {f'{broken} broken' if broken else 'all sound'}")
