"""A run that has ended, opened: its executions, what they cost, and the charts and tables of that.

from execution.report import open_run

run = open_run("var/backtest")
run.costs("pandas")          # one row per execution
run.groups("hour")           # cost by hour, with intervals
run.waterfall()              # a plotly figure
run.write("my-report")       # the HTML folder
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, overload

from core.errors import ConfigError, DataError, nearest
from execution.contracts import ExecutionReport
from execution.report.markets import Around, markets
from execution.tca import ExecutionCost, Pooled, measure, pooled

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go  # type: ignore[import-untyped]
    import polars as pl

    from execution.report.groups import Group

REPORTS: Final = "executions.ndjson"
RUN: Final = "run.json"


@dataclass(frozen=True, eq=False)
class Run:
    """Executions with their costs, in the order of the file. Make one with `open_run`, or of reports in memory.

    name: what the report calls it. about: what `run.json` says, or nothing. data_dir: the store where the market's
    bars are looked for; None: nowhere.
    """

    reports: tuple[ExecutionReport, ...]
    name: str = "executions"
    about: dict[str, Any] = field(default_factory=dict)
    data_dir: Path | None = None

    def __post_init__(self) -> None:
        if not self.reports:
            raise DataError(f"{self.name} holds no executions: there is nothing to report on")

    @cached_property
    def measured(self) -> tuple[ExecutionCost, ...]:
        """Every execution, measured."""
        return tuple(map(measure, self.reports))

    @cached_property
    def total(self) -> Pooled:
        """All executions as one."""
        return pooled(self.measured)

    @cached_property
    def markets(self) -> dict[tuple[str, str], Around]:
        return markets(self.reports, self.data_dir)

    def around(self, report: ExecutionReport | ExecutionCost) -> Around:
        """The market of an execution's symbol at its venue."""
        return self.markets[report.symbol, report.venue]

    @property
    def currency(self) -> str:
        """The quote currency where all executions share one, else nothing."""
        names = {report.symbol.partition("/")[2] for report in self.reports}
        return names.pop() if len(names) == 1 else ""

    @cached_property
    def settings(self) -> list[dict[str, Any]]:
        """The different settings that the executions ran under."""
        different: list[dict[str, Any]] = []
        for report in self.reports:
            if report.settings not in different:
                different.append(dict(report.settings))
        return different

    @cached_property
    def breakdowns(self) -> dict[str, tuple[Group, ...]]:
        """Costs by algorithm, venue, hour, size and volatility."""
        from execution.report.groups import breakdowns

        return breakdowns(self)

    @overload
    def costs(self, format: Literal["pandas"] = ...) -> pd.DataFrame: ...
    @overload
    def costs(self, format: Literal["polars"]) -> pl.DataFrame: ...
    def costs(self, format: str = "pandas") -> pd.DataFrame | pl.DataFrame:  # noqa: A002 - as in DataReader
        """One row per execution: the columns of `fillwright analyze --output`, and what the market was like before."""
        from execution.report.frames import costs_frame, handed_out

        return handed_out(costs_frame(self), format)

    @overload
    def groups(self, by: str, format: Literal["pandas"] = ...) -> pd.DataFrame: ...
    @overload
    def groups(self, by: str, format: Literal["polars"]) -> pl.DataFrame: ...
    def groups(self, by: str, format: str = "pandas") -> pd.DataFrame | pl.DataFrame:  # noqa: A002
        """One row per group. `by`: algorithm, venue, hour, size or volatility. Raises ConfigError for another word."""
        from execution.report.frames import groups_frame, handed_out

        return handed_out(groups_frame(self._by(by)), format)

    @overload
    def fills(self, format: Literal["pandas"] = ...) -> pd.DataFrame: ...
    @overload
    def fills(self, format: Literal["polars"]) -> pl.DataFrame: ...
    def fills(self, format: str = "pandas") -> pd.DataFrame | pl.DataFrame:  # noqa: A002
        """One row per fill, with the spread and the impact that it paid."""
        from execution.report.frames import fills_frame, handed_out

        return handed_out(fills_frame(self), format)

    def waterfall(self) -> go.Figure:
        """The parts of the shortfall, in basis points of paper notional."""
        from execution.report.charts import figure
        from execution.report.overview import waterfall_of

        return figure(waterfall_of(self))

    def by(self, by: str) -> go.Figure:
        """Shortfall by algorithm, venue, hour, size or volatility, with 95 % intervals."""
        from execution.report.charts import figure
        from execution.report.overview import intervals_of

        return figure(intervals_of(self, by, self._by(by)))

    def distribution(self) -> go.Figure:
        """How many executions cost how much."""
        from execution.report.charts import figure
        from execution.report.overview import distribution_of

        return figure(distribution_of(self))

    def execution(self, execution_id: str) -> dict[str, go.Figure]:
        """The charts of one execution: price, done, volume, cost. Raises DataError for an id that is not in the run."""
        from execution.report.charts import figure
        from execution.report.one import charts_of

        for report, cost in zip(self.reports, self.measured, strict=True):
            if report.execution_id == execution_id:
                return {name: figure(spec) for name, spec in charts_of(report, cost, self.around(report)).items()}
        known = [report.execution_id for report in self.reports]
        raise DataError(f"{self.name} has no execution {execution_id!r}: {nearest(execution_id, known)}")

    def write(self, folder: str | Path, *, pages: int | None = None) -> Path:
        """Writes the report: HTML pages, CSV and Parquet. Returns the page to open. `pages`: as `--pages`."""
        from execution.report.folder import PAGES, write_report

        return write_report(self, Path(folder), pages=PAGES if pages is None else pages)

    def _repr_html_(self) -> str:
        from execution.report.notebook import pooled_html

        return pooled_html(self.total, self.currency)

    def _by(self, by: str) -> Sequence[Group]:
        if by not in self.breakdowns:
            raise ConfigError(f"costs by {by!r} are not known: {nearest(by, self.breakdowns)}")
        return self.breakdowns[by]


def open_run(path: str | Path = "var/backtest", *, data_dir: str | Path | None = "data") -> Run:
    """The run in a folder that `fillwright backtest` wrote, or in a file of execution reports (NDJSON).

    data_dir: the store of market data, for prices, sizes and volatility around the executions; None does without.
    Raises DataError where there is no run, a file is broken, or the reports are not those that run.json sealed.
    """
    from execution.reports import read_reports

    source = Path(path)
    file = source / REPORTS if source.is_dir() else source
    if source.is_dir() and not file.exists():
        raise DataError(
            f"{source} holds no run: {REPORTS} is missing; `fillwright backtest --output-dir {source}` writes one"
        )
    about = _about(file.parent / RUN, file) if source.is_dir() or file.name == REPORTS else {}
    return Run(tuple(read_reports(file)), str(path), about, None if data_dir is None else Path(data_dir))


def _about(path: Path, reports: Path) -> dict[str, Any]:
    """What run.json says, nothing where there is none. Raises DataError where it is not of these reports."""
    from core.codec import from_json

    if not path.exists() or not reports.exists():
        return {}
    try:
        about = from_json(path.read_bytes())
    except (ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}; run the backtest again") from error
    if not isinstance(about, dict):
        raise DataError(f"{path} is not what a backtest writes: a JSON object is expected; run the backtest again")
    files = about.get("files")
    sealed = files.get(REPORTS) if isinstance(files, dict) else None
    if isinstance(sealed, dict) and "sha256" in sealed:
        found = hashlib.sha256(reports.read_bytes()).hexdigest()
        if found != sealed["sha256"]:
            raise DataError(
                f"{reports} is not the file that {path.name} beside it describes (SHA-256 {found[:12]}, expected "
                f"{str(sealed['sha256'])[:12]}): run the backtest again, or move {path.name} away"
            )
    return about
