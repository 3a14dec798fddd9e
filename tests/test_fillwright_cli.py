"""The console script: quick, lazy, and helpful with a wrong word."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

import fillwright
from core.console import run
from fillwright.cli import VERBS, LazyGroup, Verb

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("numpy", "polars", "pandas", "numba", "rich", "msgspec", "yaml", "asyncio")


def fillwright_command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "fillwright", *words], cwd=ROOT, capture_output=True, text=True)


def test_help_lists_every_verb_with_its_line() -> None:
    done = fillwright_command("--help")
    assert done.returncode == 0
    for name, verb in VERBS.items():
        assert f"{name} " in done.stdout
        assert verb.help.split(".")[0] in done.stdout


def test_help_imports_nothing_heavy_and_no_verb() -> None:
    verbs = tuple(verb.target.partition(":")[0] for verb in VERBS.values())
    probe = (
        "import sys\nfrom fillwright.cli import main\nsys.argv = ['fillwright', '--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        f"print([name for name in {HEAVY + verbs} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.strip() == "[]"


def test_the_version_is_the_projects() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    assert fillwright.__version__ == version
    assert fillwright_command("--version").stdout == f"fillwright {version}\n"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = fillwright.nothing


def test_an_unknown_verb_names_the_nearest() -> None:
    done = fillwright_command("backtets")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(
        "error: no such command 'backtets': did you mean 'backtest'? Known: analyze, backtest,"
    )
    assert len(done.stderr.splitlines()) == 1


def test_without_a_verb_the_help_is_shown_and_the_usage_is_wrong() -> None:
    done = fillwright_command()
    assert done.returncode == 2
    assert "Commands:" in done.stderr


def test_every_verb_can_be_called() -> None:
    for name in VERBS:
        assert fillwright_command(name, "--help").returncode == 0, name


def test_a_verb_is_imported_when_it_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    group = LazyGroup(name="tool", verbs={"greet": Verb("tests.test_fillwright_cli:greet", "Say hello.")})
    with pytest.raises(SystemExit) as leaving:
        run(group, ["greet", "you"], prog_name="tool")
    assert (leaving.value.code, capsys.readouterr().out) == (0, "hello you\n")


@click.command()
@click.argument("whom")
def greet(whom: str) -> None:
    click.echo(f"hello {whom}")
