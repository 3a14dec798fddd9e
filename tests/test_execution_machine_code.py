"""Kernels as machine code: the same answers, whatever is or is not on disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from execution import machine_code
from execution.kernel import kernel
from execution.kernel_calls import called_by, digest
from execution.machine_code import MachineCode, compiled_function
from execution.machine_code_cache import folders, keep, read
from execution.machine_entry import Image

ROOT = Path(__file__).resolve().parents[1]
KERNEL = """
import sys
from execution.machine_code import compiled_function
from execution.ticks.queue import front_after_change
fast = compiled_function(front_after_change)
print(fast(1, 2.0, 5.0, 10.0, 8.0, 1.0), "compiled" if "numba" in sys.modules else "found")
"""
COMPILED, FOUND = "4.5 compiled", "4.5 found"
BIAS = 3


class Sums(NamedTuple):
    whole: Any
    broken: Any


@kernel
def add_up(count: int, scale: float, sums: Sums, table: Any, squares: Any) -> float:
    """Numbers, columns of a tuple, records, and an array of two dimensions with strides."""
    total = 0.0
    for at in range(count):
        row = table[at]
        row.seen += 1
        sums.whole[at] = row.number * BIAS
        sums.broken[at] = scale * row.weight + squares[at, 1]
        total += sums.broken[at]
    return total


@kernel
def ratio(above: int, below: int) -> int:
    return above // below


@kernel
def is_above(value: float, level: float) -> bool:
    return value > level


def twice(value: int) -> int:
    return ratio(value, 1) * 2


@kernel
def pair(value: int) -> tuple[int, int]:
    return value, value


def code(function: Any) -> MachineCode:
    found = compiled_function(function)
    assert found is not None
    return found


def records(numbers: list[int]) -> NDArray[np.void]:
    table = np.zeros(len(numbers), np.dtype([("number", "i8"), ("weight", "f8"), ("seen", "i8")], align=True))
    table["number"] = numbers
    table["weight"] = np.arange(len(numbers)) / 4
    return table


@given(numbers=st.lists(st.integers(-(2**61), 2**61), max_size=20), scale=st.floats(-1e6, 1e6), strided=st.booleans())
def test_compiled_code_reads_and_writes_as_plain_python_does(numbers: list[int], scale: float, strided: bool) -> None:
    count = len(numbers)
    grid = np.arange(8.0 * count).reshape(count, 8)
    squares = grid[:, ::2] if strided else grid
    with_code, plain = (
        (Sums(np.zeros(count, np.int64), np.zeros(count)), records(numbers).view(np.recarray)) for _ in range(2)
    )
    fast, table = code(add_up), with_code[1].view(np.ndarray)
    for answer in (
        fast(count, scale, with_code[0], table, squares),
        fast.prepared((0, 0.0), with_code[0], table, squares)(count, scale),
    ):
        assert answer == add_up(count, scale, *plain, squares)
    assert with_code[0].whole.tolist() == plain[0].whole.tolist()
    assert with_code[0].broken.tolist() == plain[0].broken.tolist()
    assert table["seen"].tolist() == plain[1]["seen"].tolist() == [2] * count


def test_columns_that_may_only_be_read_are_read_by_the_same_code() -> None:
    table, squares, sums = records([1, 2]), np.ones((2, 2)), Sums(np.zeros(2, np.int64), np.zeros(2))
    first = code(add_up)(2, 1.0, sums, table, squares)
    squares.flags.writeable = False
    entries = len(code(add_up)._entries)
    assert code(add_up)(2, 1.0, sums, table, squares) == first
    assert len(code(add_up)._entries) == entries


def test_numbers_of_numpy_are_numbers() -> None:
    assert code(ratio)(np.int64(-7), np.int8(2)) == -4
    assert code(is_above)(np.float64(2), 1.0) == 1
    assert code(is_above)(0.5, 1.0) == 0


def test_what_is_no_number_and_no_column_is_refused() -> None:
    with pytest.raises(TypeError, match="takes numbers, columns, and tuples of these, no str"):
        code(ratio)("7", 2)
    with pytest.raises(TypeError, match=r"pair gives back .*, and not a number"):
        code(pair)(1)


def test_exceptions_of_kernels_come_out() -> None:
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        code(ratio)(1, 0)
    assert code(ratio)(7, 2) == 3


def test_a_prepared_call_refuses_other_numbers_than_it_was_prepared_for() -> None:
    halves = code(ratio).prepared((7, 2))
    assert halves(9, 2) == 4
    with pytest.raises(Exception, match="integer"):
        halves(9.5, 2)


def test_threads_share_a_function() -> None:
    def one(number: int) -> int:
        return sum(code(ratio)(number * 1000, 1 + at) for at in range(200))

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(one, range(40)))
    assert answers == [sum(number * 1000 // (1 + at) for at in range(200)) for number in range(40)]


def test_functions_of_one_name_are_told_apart() -> None:
    def adding(more: int) -> Any:
        def add(value: int) -> int:
            return value + more

        return add

    assert [code(adding(more))(1) for more in (1, 2)] == [2, 3]
    without_file: list[dict[str, Any]] = [{"__name__": "typed_in"}, {"__name__": "typed_in"}]
    for number, names in enumerate(without_file):
        exec(f"def add(value):\n    return value + {number}", names)
    assert [code(names["add"])(1) for names in without_file] == [1, 2]


def test_a_digest_knows_the_kernels_and_the_numbers_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert called_by(twice) == {ratio}
    before = digest(add_up)
    assert digest(add_up) == before
    monkeypatch.setitem(add_up.__globals__, "BIAS", 4)
    assert digest(add_up) != before


# ---------------------------------------------------------------- on disk


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is compiled from now on. One function has been, and is on disk."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    names: list[str] = []
    compiling = machine_code._compiled

    def spy(function: Any, kinds: Any, symbol: str) -> Any:
        names.append(function.__name__)
        return compiling(function, kinds, symbol)

    monkeypatch.setattr(machine_code, "_compiled", spy)
    assert MachineCode(ratio)(7, 2) == 3
    assert names.pop() == "ratio"
    return names


def kept(folder: Path) -> Path:
    """The one file in a folder."""
    (file,) = folder.iterdir()
    return file


def test_what_is_on_disk_is_not_compiled(tmp_path: Path, compiled: list[str]) -> None:
    assert MachineCode(ratio).is_kept
    assert MachineCode(ratio)(-7, 2) == -4
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        MachineCode(ratio)(1, 0)
    assert not compiled


@pytest.mark.parametrize("damage", ["cut off", "one bit", "empty", "no code", "no entry", "needs what is not there"])
def test_damaged_files_are_made_anew(
    tmp_path: Path, compiled: list[str], damage: str, capfd: pytest.CaptureFixture[str]
) -> None:
    file = kept(tmp_path)
    content = bytearray(file.read_bytes())
    if damage == "cut off":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "one bit":
        content[-100] ^= 1
        file.write_bytes(content)
    elif damage == "empty":
        file.write_bytes(b"")
    else:  # whole, but nothing that can be linked
        image = Image.from_bytes(bytes(content[16:]))
        if damage == "no code":
            image = image._replace(code=b"no object file")
        elif damage == "no entry":
            image = image._replace(symbol="another")
        else:
            image = image._replace(code=needy(image.symbol))
        keep([tmp_path], file.stem, image.to_bytes())
    assert MachineCode(ratio)(7, 2) == 3
    assert MachineCode(ratio)(7, 2) == 3
    assert compiled == ["ratio"]
    assert capfd.readouterr() == ("", "")


def needy(symbol: str) -> bytes:
    """Code whose entry calls a function that nobody has."""
    from llvmlite import binding as llvm  # type: ignore[import-untyped]

    text = f'declare i32 @nobody_has_this()\ndefine i32 @"{symbol}"() {{ %a = call i32 @nobody_has_this() ret i32 %a }}'
    machine = llvm.Target.from_default_triple().create_target_machine()
    return bytes(machine.emit_object(llvm.parse_assembly(text)))


def test_an_interrupted_write_is_no_file(tmp_path: Path, compiled: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    file = kept(tmp_path)
    file.unlink()
    monkeypatch.setattr(Path, "replace", refuse)
    assert MachineCode(ratio)(7, 2) == 3
    assert compiled == ["ratio"]
    assert not list(tmp_path.iterdir())


def refuse(*_: Any) -> None:
    raise OSError("the disk is full")


def test_code_for_another_processor_stays_where_it_is_and_is_not_used(
    tmp_path: Path, compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_name", lambda: "another")
    assert MachineCode(ratio)(7, 2) == 3
    assert compiled == ["ratio"]
    assert len(list(tmp_path.iterdir())) == 2


def test_code_of_an_older_source_is_taken_away(tmp_path: Path, compiled: list[str]) -> None:
    file = kept(tmp_path)
    function, setting, _, kinds = file.stem.rsplit("-", 3)
    file.rename(tmp_path / f"{function}-{setting}-0123456789abcdef-{kinds}{file.suffix}")
    assert MachineCode(ratio)(7, 2) == 3
    assert kept(tmp_path).name == file.name
    assert compiled == ["ratio"]


def test_where_no_folder_can_be_made_it_compiles_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "under"))
    assert MachineCode(ratio)(7, 2) == 3
    assert not MachineCode(ratio).is_kept


def test_without_a_setting_it_is_kept_beside_the_source_or_in_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    source = tmp_path / "file" / "source.py"
    places = folders(str(source))
    assert places == [tmp_path / "file" / "__pycache__", tmp_path / "home" / "fillwright"]
    (tmp_path / "file").touch()  # so nothing can be made beside the source
    keep(places, "function-setting-source-kinds", b"content")
    assert read(places, "function-setting-source-kinds") == b"content"
    assert kept(tmp_path / "home" / "fillwright").name == "function-setting-source-kinds.code"


# ---------------------------------------------------------------- processes


def run(folder: Path, *, under: Iterable[str] = (), program: str = KERNEL) -> str:
    words = [*under, sys.executable, "-c", program]
    settings = {**os.environ, "NUMBA_CACHE_DIR": str(folder)}
    done = subprocess.run(words, cwd=ROOT, env=settings, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_processes_that_compile_at_once_leave_one_whole_file_that_the_next_finds_without_numba(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as threads:
        said = list(threads.map(lambda _: run(tmp_path), range(2)))
    assert set(said) <= {COMPILED, FOUND}
    kept(tmp_path)
    assert run(tmp_path) == FOUND


def test_a_folder_that_may_only_be_read_is_not_written_to(tmp_path: Path) -> None:
    # Permissions do not bind root, unless it gives that power away.
    under = []
    if os.geteuid() == 0:
        under = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
        if shutil.which("setpriv") is None or subprocess.run([*under, "true"], check=False).returncode:
            pytest.skip("root can write everywhere, and setpriv cannot take that away here")
    tmp_path.chmod(0o500)
    try:
        assert run(tmp_path, under=under) == COMPILED
    finally:
        tmp_path.chmod(0o700)
    assert not list(tmp_path.iterdir())


def test_where_numba_does_not_load_there_is_no_code(tmp_path: Path) -> None:
    program = "import sys; sys.modules['numba'] = None\n" + KERNEL.partition("print")[0] + "print(fast)"
    assert run(tmp_path, program=program) == "None"
