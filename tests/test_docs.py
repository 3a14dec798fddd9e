"""The documents run: every ```bash and ```python block of README.md and docs/*.md is executed.

The blocks of a document run in order, each in a process of its own, in one empty folder that holds a copy of `config/`:
what they share is files. A block that cannot run everywhere says why behind its language (```bash needs=network) and is
skipped by name. Blocks in any other language (```text, ```sh, ```yaml) are only shown.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from execution.states import ENDED, MOVES, State
from tests.shell import Done, shell

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = {"bash": ["bash", "-euo", "pipefail", "-s"], "python": [sys.executable, "-"]}
EXAMPLE = (
    "-m", "backtest.runner", "--strategy", "trendline_break_v1", "--symbol", "ATOM/USDT", "--start", "2025-01-01",
    "--end", "2025-09-30", "--execution-config", "config/execution.yaml", "--capital", "10000",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Block:
    page: Path
    line: int
    language: str
    needs: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order. An unclosed fence fails."""
    found = []
    opened: tuple[int, str] | None = None
    body: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if not line.startswith("```"):
            body.append(line)
        elif opened is None:
            opened, body = (number, line[3:].strip()), []
        else:
            language, _, note = opened[1].partition(" ")
            found.append(Block(page, opened[0], language, note.removeprefix("needs="), "\n".join(body) + "\n"))
            opened = None
    assert opened is None, f"{page}: the fence in line {opened} is never closed"
    return found


BLOCKS = [block for page in PAGES for block in blocks(page)]
RUNNABLE = [block for block in BLOCKS if block.language in COMMANDS]


def run(command: list[str], folder: Path, text: str = "") -> Done:
    return shell(command, folder, text, NO_COLOR="1", COLUMNS="100", HOME=str(folder))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_the_page_runs(page: Path, folder: Path) -> None:
    for block in RUNNABLE:
        if block.page == page and not block.needs:
            done = run(COMMANDS[block.language], folder, block.text)
            said = f"{block.name} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
            assert done.returncode == 0, said
            assert "Traceback" not in done.stderr, said
    left_out = [f"{block.name} needs {block.needs}" for block in RUNNABLE if block.page == page and block.needs]
    if left_out:
        pytest.skip(f"all blocks ran but {', '.join(left_out)}")


def test_the_readme_and_the_guides_show_code_that_runs() -> None:
    assert {block.page.name for block in RUNNABLE} >= {"README.md", "data.md", "strategies.md"}


def test_every_language_is_known() -> None:
    """A slip such as ```pyhton would quietly not run."""
    known = {*COMMANDS, "text", "sh", "yaml", "mermaid", "json", ""}
    assert [block.name for block in BLOCKS if block.language not in known] == []


def test_every_make_target_that_a_page_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        text = page.read_text(encoding="utf-8")
        lines: list[str] = re.findall(r"^make ([a-z -]+)", text, re.MULTILINE)
        lines += re.findall(r"`make ([a-z -]+)`", text)
        named = {target for words in lines for target in words.split()}
        assert named <= targets, f"{page.name} names {sorted(named - targets)}"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make backtest" in readme
    assert "make test" in readme


def test_every_link_to_a_file_leads_somewhere() -> None:
    for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_guide_is_listed() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        if page.name != "index.md":
            assert f"({page.name})" in index, page.name


def test_the_picture_of_the_machine_is_its_table() -> None:
    """docs/architecture.md draws every legal move of execution/states.py, and no other."""
    (picture,) = [block for block in blocks(ROOT / "docs" / "architecture.md") if block.language == "mermaid"]
    drawn = set(re.findall(r"^ *(\S+) --> (\S+)$", picture.text, re.MULTILINE))
    moves = {(str(old), str(new)) for old, legal in MOVES.items() for new in legal}
    ends = {("[*]", str(State.PENDING))} | {(str(state), "[*]") for state in ENDED}
    assert drawn == moves | ends


def figures(line: str) -> list[float]:
    return [float(number.replace(",", "")) for number in re.findall(r"-?\d[\d,]*(?:\.\d+)?", line)]


def words(line: str) -> str:
    return " ".join(re.sub(r"-?\d[\d,]*(?:\.\d+)?|[─│┌┐└┘├┤┬┴┼]+", " ", line).split())


@pytest.mark.slow  # nine months once more: the example session has them in the quick run
def test_the_table_in_the_readme_is_what_the_example_prints(folder: Path) -> None:
    """Same rows; same figures up to 2 %, for processors differ in the last digit.

    With REFRESH_README=1 the table is put into README.md instead.
    """
    done = run([sys.executable, *EXAMPLE], folder)
    assert done.returncode == 0, done.stderr
    if os.environ.get("REFRESH_README"):
        table = "\n".join(line.rstrip() for line in done.stdout.splitlines() if line[:1] in tuple("│┌├└"))
        text = PAGES[0].read_text(encoding="utf-8")
        PAGES[0].write_text(re.sub(r"┌.*┘", table, text, flags=re.DOTALL), encoding="utf-8")
    printed = [line for line in done.stdout.splitlines() if line.startswith("│")]
    shown = [line for block in blocks(PAGES[0]) if block.language == "text" for line in block.text.splitlines()]
    shown = [line for line in shown if line.startswith("│")]
    assert [words(line) for line in shown] == [words(line) for line in printed]
    for old, new in zip(shown, printed, strict=True):
        assert figures(old) == pytest.approx(figures(new), rel=0.02, abs=0.5), f"README:  {old}\nnow:     {new}"
