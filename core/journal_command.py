"""`fillwright verify`: is a journal what it was when it was written?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.console import DONE, FAILED, console, print_json, run

if TYPE_CHECKING:
    from core.journal_read import Survey

BEING_WRITTEN_S = 0.05


@click.command()
@click.argument("journal", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines instead of a table.")
def command(journal: Path, as_json: bool) -> int:
    """Check a trader's JOURNAL: every line, every number, from the first entry to the last.

    JOURNAL is the folder that a trader writes, or one of its segment files. Nothing is changed. The exit code is 1
    where something is bad (entries that were safe on disk have changed or are gone) or torn (the last write was cut
    short; the trader cuts it off when it starts).
    """
    survey = _survey(journal)
    if as_json:
        print_json({**_facts(survey), "sound": survey.sound})
    else:
        _show(survey)
    return DONE if survey.sound else FAILED


def _survey(journal: Path) -> Survey:
    from core.journal_read import survey

    found = survey(journal)
    if found.torn and not found.bad:
        time.sleep(BEING_WRITTEN_S)  # a trader at work may have been in the middle of a line
        found = survey(journal)
    return found


def _facts(survey: Survey) -> dict[str, object]:
    from core.codec import to_dict

    return to_dict(survey)


def _show(survey: Survey) -> None:
    from rich.table import Table

    table = Table(title=survey.folder, title_justify="left", show_header=False)
    table.add_row("entries", f"{survey.entries:,} in {survey.segments} segment{'s' * (survey.segments != 1)}")
    if survey.entries:
        table.add_row("numbers", f"{survey.first} to {survey.last}")
        table.add_row("written", f"{_moment(survey.first_ts_ns)} to {_moment(survey.last_ts_ns)}")
        table.add_row("kinds", ", ".join(f"{kind} {count:,}" for kind, count in survey.kinds.items()))
    table.add_row("torn", f"{survey.torn_bytes:,} bytes at the end" if survey.torn else "nothing")
    table.add_row("bad", f"{len(survey.bad)} places" if survey.bad else "nothing")
    console().print(table)
    for word, spots in (("bad", survey.bad), ("torn", survey.torn)):
        for spot in spots:
            console().print(f"{word}: {spot} ({spot.size:,} bytes)", markup=False)
    if survey.bad:
        console().print("No trader starts on this journal: restore it from a copy, or move it away.", markup=False)


def _moment(ts_ns: int | None) -> str:
    from datetime import UTC, datetime

    if ts_ns is None:
        return "-"
    try:
        return datetime.fromtimestamp(ts_ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S") + f".{ts_ns % 10**9:09d}"
    except (OverflowError, ValueError, OSError):
        return f"{ts_ns} ns"


if __name__ == "__main__":
    run(command)
