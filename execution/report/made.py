"""How the numbers of a report were made: the data, the models, the settings and their hash, remarks, the files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from execution.analyze import remarks
from execution.report.page import Html, details, facts, join, link, paragraph, tag
from execution.report.words import plural

if TYPE_CHECKING:
    from execution.report.run import Run

_SAID: Final = {
    "vwap_source": "VWAP from",
    "spread_source": "spread from",
    "fill_model": "fill model",
    "impact": "impact model",
    "config_hash": "hash of the settings",
    "data_id": "data id",
}
_CODES: Final = frozenset({"config_hash", "data_id", "seed", "version"})


def made(run: Run, files: Sequence[str]) -> list[Html]:
    """The section's body. files: names of the data files beside the page."""
    body: list[Html] = [facts(_statements(run))]
    said = [*remarks(run.measured), *map(str, run.about.get("remarks") or ())]
    if said:
        body += [tag("h3", "Remarks"), tag("ul", *(tag("li", line) for line in said))]
    linked = join((link(name, name) for name in files), ", ")
    body += [tag("h3", "The same numbers as files"), paragraph("Beside this page, CSV and Parquet: ", linked, ".")]
    if run.about:
        shown = {name: value for name, value in run.about.items() if name not in ("summary", "files", "remarks")}
        body.append(details("All settings of the run", tag("pre", _pretty(shown))))
    return body


def _statements(run: Run) -> list[tuple[object, object]]:
    """Data first, then every setting, in the order of the reports."""
    said = {name: _all(run, name) for name in dict.fromkeys(name for one in run.settings for name in one)}
    kind = {"[True]": "SYNTHETIC", "[False]": "real", "[]": "the reports do not say whether they were real"}
    lines: list[tuple[object, object]] = [
        ("market data", kind.get(str(said.pop("synthetic", [])), "SYNTHETIC for some executions, real for others"))
    ]
    if covered := _covered(run.about.get("period")):
        lines.append(("bars of the run", covered))
    for name, values in said.items():
        text = ", ".join(str(value) for value in values[:4]) + (" and others" if len(values) > 4 else "")
        lines.append((_SAID.get(name, name.replace("_", " ")), tag("code", text) if name in _CODES else text))
    for (symbol, venue), around in run.markets.items():
        where = f"{symbol} at {venue}" if venue else symbol
        shown = "bars of the store" if around.bars is not None else f"not shown: {around.why_not}"
        lines.append((f"prices of {where}", shown))
    return lines


def _covered(period: Any) -> str:
    """What run.json says about the bars; nothing where it says nothing."""
    from research.times import iso

    try:
        start, end, bars, gaps = (int(period[name]) for name in ("start_ns", "end_ns", "bars", "gaps"))
    except (TypeError, KeyError, ValueError):
        return ""
    return f"{bars:,} from {iso(start)} to {iso(end)} UTC, {plural(gaps, 'gap') if gaps else 'no gaps'}"


def _all(run: Run, name: str) -> list[Any]:
    values: list[Any] = []
    for settings in run.settings:
        if name in settings and settings[name] not in values:
            values.append(settings[name])
    return values


def _pretty(value: object) -> str:
    import msgspec

    from core.codec import to_json

    return msgspec.json.format(to_json(value), indent=2).decode()
