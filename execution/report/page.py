"""The frame of an HTML page that opens offline: escaping, sections, tables, charts, and the files beside it.

Markup is `Html`; every other text is escaped wherever it goes in, so a symbol called `<script>` is shown as it is
called. A page loads nothing but `report.css`, `report.js` and `plotly.min.js`, which lie in its folder; with
`inline=True` the first two stand in the page. Light, dark and paper are the business of `report.css`.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import plotly.graph_objects as go  # type: ignore[import-untyped]

    from execution.report.charts import Spec

CSS: Final = "report.css"
JS: Final = "report.js"
PLOTLY: Final = "plotly.min.js"
ASSETS: Final = (CSS, JS, PLOTLY)
ICON: Final = (  # without one, browsers ask for favicon.ico
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath fill='none' "
    "stroke='%23D55E00' stroke-width='2' d='M1 14h4V9h5V4h5'/%3E%3C/svg%3E"
)
_EMPTY: Final = frozenset({"meta", "link", "br", "hr"})
_SAFE_ID = re.compile(r"[A-Za-z][\w-]*")


class Html(str):
    """Markup that is not escaped again."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; numbers stand to the right. The unit, where there is one, is shown with the name."""

    name: str
    unit: str = ""
    number: bool = True
    wrap: bool = False


def esc(value: object) -> Html:
    """The text of a value as markup; `Html` as it is."""
    if isinstance(value, Html):
        return value
    text = str(value)
    return Html(text if text.isalnum() else html.escape(text, quote=False))


def join(parts: Iterable[object], between: str = "") -> Html:
    """Parts, escaped where they are not markup, one after the other."""
    return Html(between.join(esc(part) for part in parts))


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """One element. Attributes: a trailing underscore is dropped, others become dashes; None and False leave one out."""
    opened = f"<{name}{_attributes(attributes)}>" if attributes else f"<{name}>"
    return Html(opened) if name in _EMPTY else Html(f"{opened}{join(children)}</{name}>")


def section(title: str, *body: object, id: str) -> Html:  # noqa: A002 - HTML's word
    """A part of the page that links can lead to."""
    return tag("section", tag("h2", title), *body, id=id)


def paragraph(*text: object, class_: str | None = None) -> Html:
    return tag("p", *text, class_=class_)


def link(text: object, target: str) -> Html:
    """A link to a file of the report or to a part of the page, never to a network."""
    if ":" in target:
        raise ValueError(f"a report links to its own files only, was {target!r}")
    return tag("a", text, href=target)


def tiles(figures: Iterable[tuple[str, object, object]]) -> Html:
    """Headline figures: label, value, and a line below."""
    return tag(
        "dl",
        *(
            tag("div", tag("dt", label), tag("dd", value), tag("dd", below, class_="below"))
            for label, value, below in figures
        ),
        class_="tiles",
    )


def facts(rows: Iterable[tuple[object, object]]) -> Html:
    """Names and what they are, as a list that folds on a phone."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in rows), class_="facts")


def note(*text: object, loud: bool = False) -> Html:
    """A remark in a box; loud for what nobody may overlook."""
    return tag("p", *text, class_="note loud" if loud else "note")


def details(summary: str, *body: object, open_: bool = False) -> Html:
    """What only some readers want to see; opens by itself on paper."""
    return tag("details", tag("summary", summary), *body, open=open_)


def table(columns: Sequence[Column], rows: Iterable[Sequence[object]], *, label: str, bold_last: bool = False) -> Html:
    """Rows of texts and markup; wider than the page, it scrolls inside its own box. `label` is for screen readers."""
    head = tag("tr", *(_heading(column) for column in columns))
    kinds = ["n" if column.number else "wrap" if column.wrap else "" for column in columns]
    ends = [('<th scope="row"', "</th>"), *[("<td", "</td>")] * (len(columns) - 1)]
    opened = [f'{end[0]} class="{kind}">' if kind else f"{end[0]}>" for end, kind in zip(ends, kinds, strict=True)]
    body = []
    for row in rows:  # by hand: pages consist of little else
        cells = [f"{start}{esc(cell)}{end}" for start, cell, (_, end) in zip(opened, row, ends, strict=True)]
        body.append(f"<tr>{''.join(cells)}</tr>")
    if bold_last and body:
        body[-1] = body[-1].replace("<tr>", '<tr class="sum">', 1)
    whole = tag("table", tag("thead", head), tag("tbody", Html("".join(body))))
    return tag("div", whole, class_="scroll", role="region", aria_label=label, tabindex="0")


def chart(figure: Spec | go.Figure, id: str, *, about: object = "") -> Html:  # noqa: A002 - HTML's word
    """A chart with its title above and `about`, what to see in it, below. `figure`: a dictionary as in
    `execution.report.charts`, or a plotly figure. `id`: letters, digits, - and _, once a page.
    """
    from core.codec import to_json

    if not _SAFE_ID.fullmatch(id):
        raise ValueError(f"a chart's id is made of letters, digits, - and _, was {id!r}")
    spec: dict[str, Any] = figure if isinstance(figure, dict) else json.loads(figure.to_json())
    layout = {name: value for name, value in spec["layout"].items() if name != "title"}
    title = str((spec["layout"].get("title") or {}).get("text") or "")
    data = to_json({"data": spec["data"], "layout": layout}).decode()
    return tag(
        "figure",
        tag("figcaption", title),
        tag("div", id=id, class_="plot", role="img", aria_label=title, style=f"height:{layout.get('height', 320)}px"),
        # inside a script element only "<" could end it, and in JSON it only occurs in texts
        tag("script", Html(data.replace("<", "\\u003c")), type="application/json"),
        paragraph(about, class_="about") if about else "",
        class_="chart",
    )


def document(
    title: str,
    *body: object,
    subtitle: object = "",
    nav: Mapping[str, str] | None = None,
    foot: object = "",
    assets: str = "",
    inline: bool = False,
) -> str:
    """The whole page. `nav`: texts and where they lead. `assets`: where the files of `write_assets` are, relative to
    the page, with a slash at its end; inline: the style and the script stand in the page and only plotly is beside it.
    """
    if inline:
        style, script = tag("style", Html(asset(CSS))), tag("script", Html(asset(JS)))
    else:
        style = tag("link", rel="stylesheet", href=assets + CSS)
        script = tag("script", src=assets + JS)
    drawn = any("<figure" in part for part in body if isinstance(part, Html))
    head = (
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href=ICON),
        tag("title", title),
        style,
    )
    links = tag("nav", *(link(text, target) for text, target in nav.items())) if nav else ""
    top = tag("header", tag("h1", title), paragraph(subtitle, class_="subtitle") if subtitle else "", links)
    scripts = (tag("script", src=assets + PLOTLY), script) if drawn else (script,)
    page = tag("body", top, tag("main", *body), tag("footer", foot) if foot else "", *scripts)
    whole = tag("html", tag("head", *head), page, lang="en")
    return f"<!doctype html>\n{whole}\n"


@cache
def asset(name: str) -> str:
    """The text of a file that ships with this package."""
    return (resources.files("execution.report") / name).read_text(encoding="utf-8")


def write_assets(folder: Path, *, inline: bool = False) -> None:
    """What pages in this folder need beside them: plotly, and unless inline the style and the script."""
    (folder / PLOTLY).write_bytes((resources.files("plotly") / "package_data" / PLOTLY).read_bytes())
    if not inline:
        for name in (CSS, JS):
            (folder / name).write_text(asset(name), encoding="utf-8")


def _heading(column: Column) -> Html:
    unit = tag("small", column.unit) if column.unit else ""
    return tag("th", column.name, " " if unit else "", unit, scope="col", class_="n" if column.number else None)


def _attributes(attributes: Mapping[str, object]) -> str:
    said = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        written = key.rstrip("_").replace("_", "-")
        said.append(f" {written}" if value is True else f' {written}="{html.escape(str(value))}"')
    return "".join(said)
