"""What holds for the project as a whole; the rules of import themselves are `make lint`'s."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("core", "research", "strategies", "execution", "risk", "broker", "backtest", "live", "fillwright")
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
HEAVY = (
    *("numpy", "pandas", "polars", "numba", "scipy", "ccxt", "plotly", "redis", "simplefix", "bidask"),
    *("joblib", "distributed", "ray", "obstore"),
)


def tracked() -> list[Path]:
    """The files of the project as git knows them, new ones that are not ignored included."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip("not a git checkout")
    return [path for name in done.stdout.splitlines() if (path := ROOT / name).is_file()]


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["backtest", "--help"], ["data", "--help"]], ids=" ".join)
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    probe = (
        "import sys\nfrom fillwright.cli import main\n"
        f"sys.argv = ['fillwright', *{words!r}]\n"
        "try: main()\nexcept SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names in a wheel built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_the_wheel_holds_every_module_and_the_configuration(wheel: list[str]) -> None:
    assert {str(path.relative_to(ROOT)) for path in SOURCES} <= set(wheel)
    assert {f"fillwright/config/{path.name}" for path in (ROOT / "config").glob("*.yaml")} <= set(wheel)


def test_the_wheel_holds_nothing_else(wheel: list[str]) -> None:
    tops = {name.partition("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    assert not [name for name in wheel if "/test_" in name or name.endswith((".pyc", ".parquet"))]


def test_every_package_is_checked_by_the_tools() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert set(PACKAGES) == set(project["importlinter"]["root_packages"])
    assert set(PACKAGES) == set(project["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert {*PACKAGES, "tests"} <= set(project["mypy"]["files"])


def fields() -> Iterator[tuple[Path, int, str, str]]:
    """Every annotated name in a class body or a signature: file, line, name, annotation."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                yield path, node.lineno, node.target.id, ast.unparse(node.annotation)
            elif isinstance(node, ast.arg) and node.annotation is not None:
                yield path, node.lineno, node.arg, ast.unparse(node.annotation)


def test_times_that_travel_are_integers_of_nanoseconds_and_say_so() -> None:
    """A `ts` without its unit, or a `*_ns` that is a float, is how units get mixed up (pitfall 16)."""
    bare = re.compile(r"(^|_)(ts|timestamp|deadline)$")
    wrong = [
        f"{path.relative_to(ROOT)}:{line} {name}: {annotation}"
        for path, line, name, annotation in fields()
        if (bare.search(name) and annotation in ("int", "float", "int | None", "float | None"))
        or (name.endswith("_ns") and "float" in annotation)
    ]
    assert wrong == []


def test_no_file_names_the_machine_it_was_written_on() -> None:
    banned = re.compile(
        r"/(?:work|home|root|Users)/[a-z]|localhost:\d|\b(?:10|192\.168)\.\d+\.\d+\.\d+|pypi\.[a-z]+\.internal"
    )
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if path != Path(__file__).resolve() and banned.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number} {line.strip()[:80]}")
    assert found == []


def test_the_locks_name_no_package_index_and_hash_everything() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "://" not in text
        assert "-index" not in text
        pinned = re.findall(r"^[A-Za-z0-9][^\s;\\]*==[^\s;\\]+", text, re.MULTILINE)
        assert pinned
        assert text.count("--hash=") >= len(pinned)


def test_no_file_is_empty_but_markers_of_packages() -> None:
    empty = {path.name for path in tracked() if path.stat().st_size == 0}
    assert empty <= {"__init__.py", "py.typed"}


def test_every_module_says_what_it_is() -> None:
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        if text:
            assert ast.get_docstring(ast.parse(text)), f"{path.relative_to(ROOT)} does not say what it is"
