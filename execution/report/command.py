"""`fillwright report`, `python -m execution.report.command`: the report of a run as pages that open offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from core.console import console, print_json, progress, run

if TYPE_CHECKING:
    from execution.report.run import Run

DEFAULT_RUN: Final = Path("var/backtest")
REPORT: Final = "report"
_path = click.Path(path_type=Path)


@click.command("report")
@click.argument("source", default=DEFAULT_RUN, metavar="[RUN]", type=_path)
@click.option("--output-dir", type=_path, help="Where the report goes.  [default: report/ in the folder of the run]")
@click.option(
    "--pages", type=click.IntRange(min=0), metavar="N",
    help="Pages of their own for the N executions that cost the most.  [default: 500]",
)  # fmt: skip
@click.option("--data-dir", default="data", show_default=True, type=_path, help="Where the market data is stored.")
@click.option("--quiet", is_flag=True, help="No progress.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines: the page, and how many of what.")
def command(
    source: Path, output_dir: Path | None, pages: int | None, data_dir: Path, quiet: bool, as_json: bool
) -> None:
    """What the executions of a run cost, as a report: HTML pages that open offline, CSV and Parquet.

    RUN is the folder of a backtest, by default var/backtest, or a file of execution reports (NDJSON). Prices, sizes and
    volatility around the executions come from the market data in --data-dir, where they are those of the run.
    docs/report.md shows what is in it.

    \b
      fillwright report
      fillwright report var/backtest --output-dir my-report --pages 50
    """
    from execution.report.run import open_run

    with progress(f"reading {source}", quiet=quiet or as_json):
        opened = open_run(source, data_dir=data_dir)
    folder = output_dir or (source if source.is_dir() else source.parent) / REPORT
    index = write(opened, folder, pages=pages, quiet=quiet or as_json)
    if as_json:
        made = len(list((folder / "executions").iterdir()))
        print_json({"index": str(index), "executions": len(opened.reports), "pages": made})
        return
    console().print(f"report: {index}", markup=False, soft_wrap=True)


def write(opened: Run, folder: Path, *, pages: int | None = None, quiet: bool = True) -> Path:
    """Writes the report with progress on a terminal. Raises DataError where it cannot."""
    from execution.report.folder import PAGES, write_report

    count = min(PAGES if pages is None else pages, len(opened.reports))
    with progress("writing the report", total=count, quiet=quiet) as bar:
        return write_report(opened, folder, pages=count, advance=bar.advance)


if __name__ == "__main__":
    run(command)
