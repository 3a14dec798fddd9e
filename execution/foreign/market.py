"""Foreign reports and the stored market: what the files do not know of prices, where there is data for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from core.errors import DataError
from execution.contracts import ExecutionReport
from research.times import DAY_NS

if TYPE_CHECKING:
    from research.data_reader import DataReader

_APART: Final = 2 * DAY_NS  # executions with more time between them are looked up apart
_SPAN: Final = 31 * DAY_NS  # of market data in memory at once


def with_market(
    reports: Sequence[ExecutionReport], reader: DataReader, *, in_tape: bool
) -> tuple[list[ExecutionReport], dict[str, str]]:
    """The reports, completed where the store has their market, and for each symbol where prices came from, or why not.

    in_tape: whether the fills are part of the market's volume.
    """
    from execution.costs.completion import completed, read_market

    made: dict[str, ExecutionReport] = {}
    market: dict[str, str] = {}
    for symbol in sorted({report.symbol for report in reports}):
        datasets = reader.describe(symbol)
        if not datasets:
            market[symbol] = "no market data is stored: prices that the file does not know stay unknown"
            continue
        synthetic = any(one.synthetic for one in datasets)
        for batch in _batches([report for report in reports if report.symbol == symbol]):
            start_ns, end_ns = batch[0].start_ts_ns, max(map(_end, batch))
            try:
                record = read_market(
                    reader, symbol, start_ns, end_ns + 1, venue=batch[0].venue or None, after_ns=DAY_NS // 24
                )
            except DataError as error:
                market.setdefault(symbol, str(error))
                continue
            market[symbol] = record.source
            for report in batch:
                whole = completed(report, record, own_in_tape=in_tape)
                made[report.execution_id] = replace(whole, settings={**whole.settings, "synthetic": synthetic})
    return [made.get(report.execution_id, report) for report in reports], market


def _batches(reports: Sequence[ExecutionReport]) -> Iterator[list[ExecutionReport]]:
    """Reports in order of their start, together while they are near each other and the whole is not long."""
    batch: list[ExecutionReport] = []
    end_ns = 0
    for report in sorted(reports, key=lambda one: one.start_ts_ns):
        if batch and (report.start_ts_ns > end_ns + _APART or report.start_ts_ns > batch[0].start_ts_ns + _SPAN):
            yield batch
            batch, end_ns = [], 0
        batch.append(report)
        end_ns = max(end_ns, _end(report))
    if batch:
        yield batch


def _end(report: ExecutionReport) -> int:
    """When the last thing happened that is known of."""
    return max([report.end_ts_ns or report.start_ts_ns, *(fill.ts_fill_ns for fill in report.fills)])
