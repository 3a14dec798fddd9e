"""Paints docs/pictures/report.png: the first screen of the report of the nine-month example.

    python docs/make_report_picture.py

Needs Playwright and Chromium at /usr/bin/chromium. The fonts are those of the machine.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

from backtest.runner import command as backtest

ROOT: Final = Path(__file__).resolve().parents[1]
PICTURE: Final = ROOT / "docs" / "pictures" / "report.png"
WIDTH, HEIGHT = 1120, 945


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        words = ["--strategy", "trendline_break_v1", "--symbol", "ATOM/USDT", "--end", "2025-09-30", "--quiet"]
        words += ["--execution-config", str(ROOT / "config" / "execution.yaml"), "--data-dir", f"{folder}/data"]
        backtest.main([*words, "--output-dir", f"{folder}/run"], standalone_mode=False)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
            page.goto((Path(folder) / "run" / "report" / "index.html").as_uri())
            page.wait_for_selector("#waterfall .xtick")
            page.screenshot(path=PICTURE)
            browser.close()
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
