"""`fillwright compare`, `python -m execution.compare`: execution algorithms side by side, with what chance explains."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click

from core.console import console, print_json, run
from core.errors import DataError
from execution.analyze import DEFAULT_REPORTS, TABLE_STYLE, bps, percent, read_costs

if TYPE_CHECKING:
    from rich.table import Table

    from execution.costs.comparison import Contrast, Row, Yardstick
    from execution.costs.statistics import Interval
    from execution.tca import ExecutionCost

YARDSTICKS: Final = ("arrival", "vwap", "twap", "shortfall")
SIGNIFICANT: Final = 0.05
FLIPS_FOR_5_PERCENT: Final = 6
"""Sign flips of k symbol-days give no p-value below 2 / 2^k: 0.0625 with five."""


@click.command("compare")
@click.option(
    "--reports", "files", multiple=True, default=(DEFAULT_REPORTS,), show_default=True, metavar="FILE...",
    type=click.Path(path_type=Path), help="Execution reports, NDJSON; several files may follow.",
)  # fmt: skip
@click.argument("more", nargs=-1, metavar="", type=click.Path(path_type=Path))
@click.option(
    "--benchmark", type=click.Choice(YARDSTICKS), default="arrival", show_default=True,
    help="What the fills are measured against; shortfall also counts fees and what was not filled.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the bootstrap and the permutations.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines instead of tables.")
def command(files: tuple[Path, ...], more: tuple[Path, ...], benchmark: str, seed: int, as_json: bool) -> None:
    """Execution algorithms side by side, in basis points against a benchmark.

    \b
    Means are weighted by notional; 95 % intervals count whole symbol-days, because orders of one day share its
    market. Where the same parents ran under several algorithms they are compared in pairs, which needs far fewer
    orders. Positive is worse. docs/tca.md explains every number.

    \b
      fillwright compare --reports var/backtest/executions.ndjson --benchmark vwap
      fillwright compare --reports twap.ndjson pov.ndjson --benchmark shortfall
    """
    from execution.costs.comparison import contrast, summarize
    from execution.reports import provenance, shared_settings

    yardstick = cast("Yardstick", benchmark)
    costs: dict[Path, list[ExecutionCost]] = {}
    settings: list[dict[str, Any]] = []
    for path in (*files, *more):
        if path in costs:
            raise DataError(f"{path} is named twice: every file counts once")
        costs[path], ran_under = read_costs(path)
        settings += [one for one in ran_under if one not in settings]
    groups = labelled(costs)
    rows = [summarize(label, group, yardstick, seed=seed) for label, group in groups.items()]
    contrasts = contrast(groups, yardstick, seed=seed)
    verdict = judge(rows, contrasts, yardstick)
    notes = remarks(rows, contrasts, yardstick)
    if as_json:
        print_json(
            {
                "benchmark": benchmark,
                "algorithms": rows,
                "contrasts": contrasts,
                "verdict": verdict,
                "remarks": notes,
                "settings": shared_settings(settings),
            }
        )
        return
    screen = console()
    screen.print(_rows_table(rows, yardstick))
    screen.print()
    if contrasts:
        screen.print(_contrasts_table(contrasts))
        screen.print()
    screen.print(verdict, style="bold", markup=False)
    screen.print()
    for line in [*notes, *provenance(settings)]:
        screen.print(line, style="dim", markup=False)


def labelled(costs: dict[Path, list[ExecutionCost]]) -> dict[str, list[ExecutionCost]]:
    """The executions by algorithm; by venue too where there are several, by file where files share algorithms."""
    by_venue = len({cost.venue for group in costs.values() for cost in group}) > 1

    def algorithm(cost: ExecutionCost) -> str:
        return f"{cost.algo_type} at {cost.venue or 'an unknown venue'}" if by_venue else cost.algo_type

    in_files = Counter(name for group in costs.values() for name in {algorithm(cost) for cost in group})
    by_file = max(in_files.values()) > 1
    files = _short_names(list(costs))
    groups: dict[str, list[ExecutionCost]] = defaultdict(list)
    for path, group in costs.items():
        for cost in group:
            groups[algorithm(cost) + (f" ({files[path]})" if by_file else "")].append(cost)
    return dict(sorted(groups.items()))


def judge(rows: Sequence[Row], contrasts: Sequence[Contrast], yardstick: Yardstick) -> str:
    """What the numbers allow to say about which algorithm was cheapest, in words that do not say more.

    Who fills less only where it is cheap wins against every benchmark of fills; the verdict then says so.
    """
    known = sorted((row for row in rows if row.orders), key=lambda row: row.mean)
    if not known:
        return "No execution has a known cost against this benchmark."
    if len(known) == 1:
        return (
            f"Only {known[0].label} can be measured here: there is nothing to compare it with. "
            "Run the same parents under another algorithm and give both files."
        )
    best = known[0]

    def others(of: Sequence[Contrast]) -> str:
        return ", ".join(one.second if one.first == best.label else one.first for one in of)

    full = max(row.fill_rate for row in known)
    selective = yardstick != "shortfall" and best.fill_rate < full - 0.01
    caveat = (
        f" It filled {percent(best.fill_rate)} % where another filled {percent(full)} %, and fills alone do not show "
        "the cost of the rest: --benchmark shortfall does."
        if selective
        else ""
    )
    its = [one for one in contrasts if best.label in (one.first, one.second)]
    open_ones = [one for one in its if not (one.p_holm < SIGNIFICANT and one.cheaper == best.label)]
    if not open_ones:
        where = " in its fills" if selective else ""
        p = max(one.p_holm for one in its)
        return (
            f"{best.label} was the cheapest{where}, {bps(best.mean)} bps; chance hardly explains the difference to "
            f"{others(its)} (adjusted p {_p(p)}).{caveat}"
        )
    needs = max((one.for_1bp for one in open_ones), default=math.nan)
    unit = "pairs" if all(one.paired for one in open_ones) else "orders per algorithm"
    sees = max((one.detectable for one in open_ones), default=math.nan)
    need = ""
    if math.isfinite(needs) and math.isfinite(sees):
        need = f" These would show {bps(sees)} bps; to see 1 bp takes about {_count(needs)} {unit}."
    return (
        f"{best.label} has the lowest mean, {bps(best.mean)} bps, but these executions do not show that it is cheaper "
        f"than {others(open_ones)}: chance may explain the difference.{need}{caveat}"
    )


def remarks(rows: Sequence[Row], contrasts: Sequence[Contrast], yardstick: Yardstick) -> list[str]:
    """What a reader must know before using the table."""
    from execution.costs.statistics import FEW_CLUSTERS

    lines = ["1 bp needs: orders per algorithm, or pairs, like these to see 1 bp (two-sided 5 %, power 80 %)"]
    left_out = sum(row.left_out for row in rows)
    if left_out:
        lines.append(f"{left_out} executions have no known cost against {yardstick} and are left out (nothing filled?)")
    rates = [row.fill_rate for row in rows if math.isfinite(row.fill_rate)]
    if yardstick != "shortfall" and rates and (min(rates) < 0.99 or max(rates) - min(rates) > 0.01):
        lines.append("this benchmark looks at fills only: the cost of what was not filled is in --benchmark shortfall")
    if any(1 < row.clusters < FEW_CLUSTERS for row in rows):
        lines.append(
            f"intervals from fewer than {FEW_CLUSTERS} symbol-days: Student's t over days; else the bootstrap's"
        )
    if any(row.clusters == 1 for row in rows):
        lines.append("all executions of one symbol and day share its market: nothing shows what another day would do")
    if any(one.paired and one.clusters < FLIPS_FOR_5_PERCENT for one in contrasts):
        lines.append(f"sign flips of fewer than {FLIPS_FOR_5_PERCENT} symbol-days cannot give a p below 0.05")
    for row in rows:
        width = row.interval.high - row.interval.low
        if abs(row.winsorised - row.mean) > width / 4:
            lines.append(
                f"a few executions make much of {row.label}'s mean: with the most extreme 1 % at either end moved to "
                f"the 1 % quantiles it is {bps(row.winsorised)} bps"
            )
    if any(not one.paired for one in contrasts):
        lines.append(
            "algorithms that worked different parents: their orders may differ in size, hour and market, and that is "
            "in the difference; run the same parents under each for a fair one"
        )
    if any(one.paired and one.p_t == one.p_t for one in contrasts):
        lines.append(
            "t p: cluster-robust paired t test; flip p: sign flips of whole symbol-days; Holm p: that, corrected"
        )
    return lines


def _short_names(paths: list[Path]) -> dict[Path, str]:
    """The shortest ends of the paths that tell them apart, without the suffix."""
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = {path: str(Path(*path.parts[-depth:]).with_suffix("")) for path in paths}
        if len(set(names.values())) == len(paths):
            return names
    return {path: str(path) for path in paths}


def _rows_table(rows: Sequence[Row], yardstick: Yardstick) -> Table:
    from rich.table import Table

    what = "implementation shortfall" if yardstick == "shortfall" else f"fills against {yardstick}"
    table = Table(title=f"{what}, in basis points; positive is worse", **TABLE_STYLE)
    table.add_column("algorithm", overflow="fold", min_width=9)
    for name in ("orders", "days", "mean", "95 % interval", "median", "sd", "filled %", "1 bp needs"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.label,
            f"{row.orders:,}",
            f"{row.clusters:,}",
            bps(row.mean),
            _span(row.interval),
            bps(row.median),
            bps(row.sd),
            percent(row.fill_rate),
            _count(row.orders_for_1bp),
        )
    return table


def _contrasts_table(contrasts: Sequence[Contrast]) -> Table:
    from rich.table import Table

    table = Table(title="differences, first less second, in basis points", **TABLE_STYLE)
    table.add_column("", overflow="fold", min_width=11)
    for name in ("n", "bps", "95 % interval", "t p", "flip p", "Holm p", "1 bp needs"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in contrasts:
        table.add_row(
            f"{one.first} - {one.second}",
            f"{one.n:,} pairs" if one.paired else f"{one.n:,} / {one.n_second:,}",
            bps(one.mean),
            _span(one.interval),
            _p(one.p_t),
            _p(one.p_sign_flip),
            _p(one.p_holm),
            _count(one.for_1bp),
        )
    return table


def _span(interval: Interval) -> str:
    return f"{bps(interval.low)} to {bps(interval.high)}" if math.isfinite(interval.low) else "-"


def _p(value: float) -> str:
    if math.isnan(value):
        return "-"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _count(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else "-"


if __name__ == "__main__":
    run(command)
