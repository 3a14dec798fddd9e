"""A page as a reader's browser shows it: what it complains of, what it asks a network for, how wide it is."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

CHROMIUM = "/usr/bin/chromium"


@dataclass(frozen=True, slots=True)
class Seen:
    """`messages`: of the console, and errors. `asked`: addresses other than files. `width`: that the page takes, in
    pixels. `plots`, `drawn`: places for charts, and those with a chart in them."""

    messages: list[str]
    asked: list[str]
    width: int
    plots: int
    drawn: int


def seen(page: Path, *, width: int, scheme: Literal["light", "dark"] = "light") -> Seen:
    """Opens a file in Chromium. Without Chromium the test is skipped, in CI it fails."""
    if shutil.which(CHROMIUM) is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have Chromium: the Debian package chromium")
        pytest.skip("Chromium is absent: apt-get install chromium shows the pages to this test")
    from playwright.sync_api import sync_playwright

    messages: list[str] = []
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)
        tab = context.new_page()
        tab.on("console", lambda message: messages.append(message.text))
        tab.on("pageerror", lambda error: messages.append(str(error)))
        tab.on("request", lambda request: None if request.url[:5] in ("file:", "data:") else asked.append(request.url))
        tab.goto(page.absolute().as_uri())
        tab.wait_for_function("[...document.querySelectorAll('.plot')].every(plot => plot.querySelector('.main-svg'))")
        found = Seen(
            messages,
            asked,
            tab.evaluate("document.documentElement.scrollWidth"),
            tab.locator(".plot").count(),
            tab.locator(".plot .plot-container").count(),
        )
        browser.close()
    return found
