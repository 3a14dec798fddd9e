"""A page as a reader's browser shows it: Chromium, from a file and without a network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Request

CHROMIUM: Final = "/usr/bin/chromium"
WITHIN_MS: Final = 180_000.0  # only what hangs takes that long
Scheme = Literal["light", "dark"]


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser. Without Chromium the test is skipped, in CI it fails."""
    if shutil.which(CHROMIUM) is None:
        if os.environ.get("CI"):
            pytest.fail(f"CI must have Chromium at {CHROMIUM}: the Debian package chromium")
        pytest.skip(f"pages are NOT looked at: there is no Chromium at {CHROMIUM} (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    # Containers run as root, without a sandbox, and have little shared memory.
    words = ["--no-sandbox", "--disable-dev-shm-usage"]
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=words, timeout=WITHIN_MS)
        try:
            yield found
        finally:
            found.close()


def tab(browser: Browser, said: list[str], *, width: int, height: int = 800, scheme: Scheme = "light") -> Page:
    """An empty tab of its own. `said` hears what its pages complain of, and what they ask a network for."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, offline=True)
    context.set_default_timeout(WITHIN_MS)
    page = context.new_page()

    def logged(message: ConsoleMessage) -> None:
        said.append(f"{message.type}: {message.text}")

    def asked(request: Request) -> None:
        if not request.url.startswith(("file:", "data:")):
            said.append(f"asked for {request.url}")

    page.on("console", logged)
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.on("request", asked)
    return page


@dataclass(frozen=True, slots=True)
class Seen:
    """`said`: what the page complained of, and addresses other than files. `width`: that the page takes, in pixels.
    `plots`, `drawn`: places for charts, and those with a chart in them."""

    said: list[str]
    width: int
    plots: int
    drawn: int


def seen(path: Path, *, width: int, scheme: Scheme = "light") -> Seen:
    """Opens a file in a browser of its own and looks at it once its charts are drawn."""
    said: list[str] = []
    with chromium() as browser:
        page = tab(browser, said, width=width, scheme=scheme)
        page.goto(path.absolute().as_uri())
        page.wait_for_function("[...document.querySelectorAll('.plot')].every(plot => plot.querySelector('.main-svg'))")
        return Seen(
            said,
            page.evaluate("document.documentElement.scrollWidth"),
            page.locator(".plot").count(),
            page.locator(".plot .plot-container").count(),
        )
