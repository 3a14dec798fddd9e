"""Foreign files in, execution reports out: what `fillwright import-fills` does, for Python."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from core import checks
from core.errors import DataError
from execution.contracts import ExecutionReport
from execution.foreign.layout import Grouping, Layout
from execution.foreign.money import Fees
from execution.foreign.naming import Naming
from execution.foreign.orders import Gathered, gathered
from execution.foreign.parents import UNNAMED, Assembly, ParentQuantity
from execution.foreign.records import Refusals, Row, Source

if TYPE_CHECKING:
    from research.data_reader import DataReader

Form = Literal["auto", "table", "ccxt", "fix"]
FORMS: Final[tuple[Form, ...]] = ("auto", "table", "ccxt", "fix")
_TABLES: Final = (".csv", ".tsv", ".parquet", ".pq", ".gz", ".zip")
_FIX_HEAD: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """All that may be said about foreign files. Everything has a default; docs/foreign_fills.md explains it.

    symbol: only this one; also what rows are about that name none. venue: where rows that name none were traded.
    algorithm: what traded, where the file does not say. fee_bps: what fees were, where the file does not say.
    fee_rates: price of one unit of a currency in quote currency. multiplier: what one unit of quantity is, such as
    0.01 coins a contract. in_tape: whether our fills are part of the market's volume; False for paper trading.
    """

    form: Form = "auto"
    layout: Layout = field(default_factory=Layout)
    orders: Path | None = None
    symbol: str | None = None
    venue: str | None = None
    algorithm: str = UNNAMED
    strategy: str = ""
    parent_quantity: ParentQuantity | None = None
    parent_tag: int | None = None
    fee_bps: float = math.nan
    fee_rates: Mapping[str, float] = field(default_factory=dict)
    multiplier: float = 1.0
    checksum: bool = True
    in_tape: bool = True
    on_bad: Literal["fail", "skip"] = "fail"

    def __post_init__(self) -> None:
        checks.positive("multiplier", self.multiplier)
        checks.named("algorithm", self.algorithm)
        if not math.isnan(self.fee_bps):
            checks.finite("fee_bps", self.fee_bps)
        for currency, rate in self.fee_rates.items():
            checks.positive(f"fee_rates[{currency}]", rate)


@dataclass(slots=True, kw_only=True)
class Imported:
    """What came of it. `taken`: assumption -> how many executions it was made for. `skipped`: reason -> rows."""

    form: str
    reports: list[ExecutionReport]
    sources: list[Source]
    orders: int
    repeated: int
    without_id: int
    matched: dict[str, str]
    skipped: dict[str, int]
    taken: dict[str, int]
    market: dict[str, str]


def read_foreign(
    paths: Sequence[Path | str], choices: Choices | None = None, *, reader: DataReader | None = None
) -> Imported:  # fmt: skip
    """Execution reports of foreign orders and fills, oldest first, not yet written anywhere.

    reader: where market data is stored; what the files do not know of arrival, end and benchmark prices comes from
    there (`execution.costs.completion.completed`), or stays unknown.
    Raises DataError naming file, row, field, value and remedy; ConfigError for choices that cannot be meant.
    """
    choices = choices or Choices()
    files = [Path(path) for path in paths]
    form = _form([*files, *([choices.orders] if choices.orders else [])]) if choices.form == "auto" else choices.form
    stored = sorted({one.symbol for one in reader.describe()}) if reader is not None else ()
    naming = Naming(choices.layout.symbols, choices.symbol, stored)
    refusals = Refusals(skip=choices.on_bad == "skip")
    rows, sources = _read(files, form, choices, naming, refusals)
    rows = [_told(row, choices) for row in rows]
    listed = any(source.role == "orders" for source in sources) and any(source.role != "orders" for source in sources)
    group: Grouping = choices.layout.group
    found = gathered(rows, refusals, group=group, amended=form == "fix", listed=listed)
    if not found.orders:
        raise DataError(f"{', '.join(map(str, files))}: {_nothing(naming, refusals)}")
    assembly = Assembly(
        fees=Fees(rates=choices.fee_rates, bps=choices.fee_bps),
        parent_quantity=choices.parent_quantity,
        algorithm=choices.algorithm,
        settings=_settings(files, form, choices),
    )
    reports = assembly.reports(found.orders)
    market: dict[str, str] = {}
    if reader is not None:
        from execution.foreign.market import with_market

        reports, market = with_market(reports, reader, in_tape=choices.in_tape)
    return _imported(form, reports, sources, found, naming, refusals, assembly.said, market)


def _read(
    files: Sequence[Path], form: Form, choices: Choices, naming: Naming, refusals: Refusals
) -> tuple[list[Row], list[Source]]:
    if form == "table":
        from execution.foreign.table import read_tables

        return read_tables(files, choices.layout, naming, refusals, orders=choices.orders)
    every = [*files, *([choices.orders] if choices.orders else [])]
    if form == "fix":
        from execution.foreign.fix_reports import read_fix

        return read_fix(every, naming, refusals, checksum=choices.checksum, parent_tag=choices.parent_tag)
    from execution.foreign.ccxt_json import read_ccxt

    rows: list[Row] = []
    sources: list[Source] = []
    for path in every:
        of_file, source = read_ccxt(path, naming, refusals)
        rows += of_file
        sources.append(source)
    return rows, sources


def _form(files: Sequence[Path]) -> Form:
    """What the files are, by name and first bytes; all must be alike. Raises DataError."""
    forms = {path: _form_of(path) for path in files}
    if len(set(forms.values())) > 1:
        said = ", ".join(f"{path} is {form}" for path, form in forms.items())
        raise DataError(
            f"the files are of different forms ({said}): import them one by one, or say which with --format"
        )
    return next(iter(forms.values()))


def _form_of(path: Path) -> Form:
    if not path.is_file():
        raise DataError(f"{path} does not exist, or is not a file")
    if path.suffix.lower() in {".parquet", ".pq", ".zip"}:
        return "table"
    with path.open("rb") as file:
        head = file.read(_FIX_HEAD)
    if not head.strip():
        raise DataError(f"{path} is empty")
    if b"8=FIX" in head:
        return "fix"
    if path.suffix.lower() == ".json" or head.lstrip()[:1] in (b"[", b"{"):
        return "ccxt"
    if path.suffix.lower() in _TABLES or head.count(b",") or head.count(b";"):
        return "table"
    raise DataError(f"{path} is not known by name or content: say what it is with --format table, ccxt or fix")


def _told(row: Row, choices: Choices) -> Row:
    """The row with what the choices say of all rows."""
    changes: dict[str, Any] = {}
    if choices.venue and row.venue is None:
        changes["venue"] = choices.venue
    if choices.strategy and row.strategy is None:
        changes["strategy"] = choices.strategy
    if choices.multiplier != 1.0:
        for name in ("order_qty", "parent_qty", "filled_qty"):
            changes[name] = getattr(row, name) * choices.multiplier
        if row.fill is not None:
            changes["fill"] = replace(row.fill, qty=row.fill.qty * choices.multiplier)
    return replace(row, **changes) if changes else row


def _settings(files: Sequence[Path], form: Form, choices: Choices) -> dict[str, Any]:
    """How the numbers were made, for the foot of every table."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted([*files, *([choices.orders] if choices.orders else [])]):
        digest.update(path.read_bytes())
    settings: dict[str, Any] = {
        "fills": f"imported from {', '.join(path.name for path in files)} ({form})",
        "fills_id": digest.hexdigest(),
    }
    if choices.fee_rates:
        settings["fee_rates"] = dict(choices.fee_rates)
    if not math.isnan(choices.fee_bps):
        settings["fee_bps"] = choices.fee_bps
    return settings


def _nothing(naming: Naming, refusals: Refusals) -> str:
    if naming.others:
        return f"no order of {naming.only}; there are orders of {', '.join(sorted(naming.others)[:12])}"
    if refusals.counts:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(refusals.counts.items()))
        return f"no usable row is left: {reasons}"
    return "there is no order"


def _imported(
    form: str,
    reports: list[ExecutionReport],
    sources: list[Source],
    found: Gathered,
    naming: Naming,
    refusals: Refusals,
    taken: Counter[str],
    market: dict[str, str],
) -> Imported:
    skipped = dict(sorted(refusals.counts.items()))
    if naming.others:
        skipped["other symbols: " + ", ".join(sorted(naming.others)[:12])] = naming.others.total()
    return Imported(
        form=form,
        reports=reports,
        sources=sources,
        orders=len(found.orders),
        repeated=found.repeated,
        without_id=found.without_id,
        matched=dict(sorted(naming.matched.items())),
        skipped=skipped,
        taken=dict(taken.most_common()),
        market=market,
    )
