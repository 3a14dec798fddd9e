"""The report in a browser, from a file and without a network: desktop, phone and paper, light and dark.

With SCREENSHOTS=folder the pages are also painted there, to be looked at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backtest.runner import command as backtest
from research.sample import write_sample
from tests.browser import Scheme, chromium, tab

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[1]
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
COVERED = """() => [...document.querySelectorAll("body *")].filter(one => {
    const box = one.getBoundingClientRect();
    return box.width > 0 && box.right > innerWidth + 1 && !one.closest(".scroll, pre, .plot");
}).map(one => one.outerHTML.slice(0, 80))"""
INK = """() => [...document.querySelectorAll(".plot .xtick text")].map(one => getComputedStyle(one).fill)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve days of the sample market, as `fillwright backtest` reports them."""
    here = tmp_path_factory.mktemp("browser")
    write_sample(here / "data", start="2025-01-01", end="2025-01-13")
    words = ["--strategy", "trendline_break_v1", "--symbol", "ATOM/USDT", "--data-dir", str(here / "data")]
    words += ["--execution-config", str(ROOT / "config" / "execution.yaml"), "--output-dir", str(here / "run")]
    backtest.main([*words, "--quiet"], standalone_mode=False)
    return here / "run" / "report"


@pytest.fixture(scope="module")
def pages(report: Path) -> list[Path]:
    """The first page, the list, and an execution that has all charts."""
    filled = next(
        path for path in sorted((report / "executions").iterdir()) if 'id="cost" class="plot"' in path.read_text()
    )
    return [report / "index.html", report / "executions.html", filled]


def opened(browser: Browser, path: Path, size: str, scheme: Scheme, said: list[str]) -> Page:
    """The page, drawn; what goes wrong is in `said`."""
    width, height = SIZES[size]
    page = tab(browser, said, width=width, height=height, scheme=scheme)
    page.goto(path.as_uri())
    page.wait_for_function("() => [...document.querySelectorAll('.plot')].every(one => one.querySelector('.xtick'))")
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{path.stem}-{size}-{scheme}.png", full_page=True)
    return page


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        ("desktop", "light"),
        ("phone", "dark"),
        pytest.param("desktop", "dark", marks=pytest.mark.slow),
        pytest.param("phone", "light", marks=pytest.mark.slow),
    ],
)
def test_every_page_is_drawn_whole_and_quietly(browser: Browser, pages: list[Path], size: str, scheme: Scheme) -> None:
    for path in pages:
        said: list[str] = []
        page = opened(browser, path, size, scheme, said)
        assert said == []
        assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0], path.name
        assert page.evaluate(COVERED) == [], path.name
        charts = page.locator(".plot").count()
        assert charts == {"index": 5, "executions": 0}.get(path.stem, 4)
        for number in range(charts):
            plot = page.locator(".plot").nth(number)
            assert plot.locator(".main-svg").count() >= 1
            box, drawn = plot.bounding_box(), plot.locator(".main-svg").first.bounding_box()
            assert box is not None
            assert drawn is not None
            assert drawn["width"] == pytest.approx(box["width"], abs=2)
        inks = set(page.evaluate(INK))
        assert inks <= ({"rgb(23, 32, 42)"} if scheme == "light" else {"rgb(232, 236, 240)"})
        page.context.close()


def test_on_paper_nothing_is_cut_off_and_everything_is_open(browser: Browser, pages: list[Path]) -> None:
    for path in (pages[0], pages[2]):
        said: list[str] = []
        page = opened(browser, path, "desktop", "dark", said)
        page.set_viewport_size({"width": 688, "height": 974})  # A4 less its margins, at 96 dots per inch
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        page.wait_for_function(
            "() => [...document.querySelectorAll('.plot .main-svg')].every(one => one.clientWidth <= 688)"
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= 688
        assert page.locator("details:not([open])").count() == 0
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert set(page.evaluate(INK)) == {"rgb(0, 0, 0)"}
        if folder := os.environ.get("SCREENSHOTS"):
            page.screenshot(path=Path(folder) / f"{path.stem}-paper.png", full_page=True)
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert said == []
        assert len(page.pdf(format="A4")) > 10_000
        page.context.close()


def test_links_lead_to_the_executions_and_back(browser: Browser, pages: list[Path]) -> None:
    page = opened(browser, pages[0], "phone", "light", [])
    page.locator("#worst th a").first.click()
    page.wait_for_selector("text=Schedule against done")
    page.get_by_role("link", name="the report").click()
    page.wait_for_selector("text=Execution report: trendline_break_v1")
    page.context.close()


def test_a_page_without_plotly_beside_it_says_so(browser: Browser, pages: list[Path], tmp_path: Path) -> None:
    for name in ("index.html", "report.css", "report.js"):
        (tmp_path / name).write_bytes((pages[0].parent / name).read_bytes())
    page = tab(browser, [], width=SIZES["desktop"][0])
    page.goto((tmp_path / "index.html").as_uri())
    assert page.get_by_text("The chart needs plotly.min.js").count() == 5
    page.context.close()
