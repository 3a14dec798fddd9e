"""Exit codes and one-line errors, as a caller sees them."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from core import console
from core.console import run
from core.errors import ConfigError, DataError

ROOT = Path(__file__).resolve().parents[1]


@click.group()
def tool() -> None:
    """A command to try things with."""


@tool.command()
@click.option(
    "--kind", type=click.Choice(["config", "data", "file", "full", "bug", "interrupt", "exit", "fine"]), required=True
)
def work(kind: str) -> int | None:
    match kind:
        case "config":
            raise ConfigError("config/x.yaml: slices\n  must be at least 1, was 0")
        case "data":
            raise DataError("no bars")
        case "file":
            Path("/no/such/file").read_text(encoding="utf-8")
        case "full":
            raise OSError(28, "No space left on device")
        case "bug":
            raise KeyError("price")
        case "interrupt":
            raise KeyboardInterrupt
        case "exit":
            return 1
    click.echo("done")
    return None


def outcome(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as leaving:
        run(tool, words, prog_name="tool")
    out, err = capsys.readouterr()
    return leaving.value.code, out, err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["work", "--kind", "config"], 1, "error: config/x.yaml: slices must be at least 1, was 0"),
        (["work", "--kind", "data"], 1, "error: no bars"),
        (["work", "--kind", "file"], 1, "error: /no/such/file: No such file or directory"),
        (["work", "--kind", "full"], 1, "error: No space left on device"),
        (["work", "--kind", "interrupt"], 130, "error: interrupted"),
        (["work", "--kind", "q"], 2, "error: Invalid value for '--kind': 'q' is not one of"),
        (["work"], 2, "error: Missing option '--kind'."),
        (["work", "--kinds", "x"], 2, "error: No such option '--kinds'."),
        (["wrk"], 2, "error: No such command 'wrk'."),
    ],
)
def test_a_problem_is_one_line_and_its_exit_code(
    capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    left, out, err = outcome(capsys, *words)
    assert left == code
    assert out == ""
    assert err.strip().startswith(message)
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err


def test_a_misspelled_choice_is_told_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Did you mean 'config'? (see: tool work --help)" in outcome(capsys, "work", "--kind", "confg")[2]
    assert "Did you mean" not in outcome(capsys, "work", "--kind", "q")[2]


def test_wrong_usage_names_the_help_to_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert "(see: tool work --help)" in outcome(capsys, "work")[2]


def test_a_bug_says_where_it_happened_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = outcome(capsys, "work", "--kind", "bug")
    assert code == 1
    assert err.startswith("error: unexpected KeyError at test_core_console.py:")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("words", [["--debug", "work", "--kind", "data"], ["work", "--kind", "data", "--debug"]])
def test_debug_anywhere_shows_the_traceback_too(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    code, _, err = outcome(capsys, *words)
    assert code == 1
    assert "Traceback" in err
    assert err.endswith("error: no bars\n")


def test_debug_behind_a_double_dash_belongs_to_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    @click.argument("words", nargs=-1)
    def echo(words: tuple[str, ...]) -> None:
        click.echo(" ".join(words))

    with pytest.raises(SystemExit):
        run(echo, ["--debug", "a", "--", "--debug"])
    assert capsys.readouterr().out == "a --debug\n"


def test_success_help_and_own_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(capsys, "work", "--kind", "fine") == (0, "done\n", "")
    assert outcome(capsys, "work", "--kind", "exit") == (1, "", "")
    code, out, _ = outcome(capsys, "--help")
    assert (code, out.splitlines()[0]) == (0, "Usage: tool [OPTIONS] COMMAND [ARGS]...")


def test_input_that_ends_before_a_question_is_answered_is_a_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def ask() -> None:
        click.confirm("sure?")

    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(SystemExit) as leaving:
        run(ask, [])
    assert leaving.value.code == 1
    assert "error: the input ended before it answered" in capsys.readouterr().err


def spawn(code: str, **settings: Any) -> subprocess.Popen[bytes]:
    script = f"import click, sys\nfrom core.console import *\n@click.command()\ndef main():\n{code}\nrun(main)\n"
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **settings}
    return subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, **settings)


def test_a_reader_that_goes_away_ends_the_command_without_a_word() -> None:
    process = spawn("    for n in range(100000): click.echo('x' * 50)")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait() == 1
    process.stderr.close()


def test_a_full_disk_under_stdout_is_reported() -> None:
    with Path("/dev/full").open("wb") as full:
        process = spawn("    click.echo('x')", stdout=full)
        _, err = process.communicate()
    assert (process.returncode, err) == (1, b"error: No space left on device\n")


def test_ctrl_c_in_a_real_process_is_one_line_and_130() -> None:
    process = spawn("    click.echo('ready'); sys.stdout.flush()\n    import threading; threading.Event().wait(120)")
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err.strip()) == (130, b"error: interrupted")


def test_a_table_is_not_squeezed_into_80_columns_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.table import Table

    def show() -> str:
        table = Table("a" * 70, "b" * 70)
        table.add_row("1" * 70, "2" * 70)
        console.console().print(table)
        return capsys.readouterr().out

    monkeypatch.delenv("COLUMNS", raising=False)
    assert "2" * 70 in show()
    monkeypatch.setenv("COLUMNS", "100")
    assert "2" * 70 not in show()
    monkeypatch.setenv("COLUMNS", "wide")
    assert "2" * 70 in show()


def test_json_is_one_line_with_null_for_nan(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_json({"b": float("nan"), "a": [1, 0.1]})
    out, err = capsys.readouterr()
    assert (json.loads(out), err) == ({"a": [1, 0.1], "b": None}, "")
    assert out == '{"a":[1,0.1],"b":null}\n'


def test_notes_go_to_stderr_unless_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    console.note("making the sample market")
    console.note("nothing", quiet=True)
    assert capsys.readouterr() == ("", "making the sample market\n")


def test_progress_is_silent_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress("reading", total=2) as bar:
        bar.advance()
        bar.at(2, 2)
        bar.title("still reading")
    assert capsys.readouterr() == ("", "")


PROGRESS = "    with progress('reading', total=2, quiet={quiet}) as bar: bar.advance(); bar.title('more'); bar.at(2, 2)"


def on_a_terminal(code: str, exits: int = 0, **environment: str) -> bytes:
    """What a command writes to stderr when that is a terminal."""
    ours, theirs = pty.openpty()
    process = spawn(code, stderr=theirs, env={**os.environ, "TERM": "xterm", **environment})
    out, _ = process.communicate(timeout=120)
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # Linux answers so at the end of a terminal
            break
        if not part:
            break
        seen += part
    os.close(ours)
    assert (process.returncode, out) == (exits, b"")
    return seen


def test_progress_shows_title_and_time_left_on_a_terminal() -> None:
    seen = on_a_terminal(PROGRESS.format(quiet=False))
    assert b"more" in seen
    assert b"100%" in seen
    assert b"left" in seen


def test_progress_is_silent_when_quiet_or_on_a_dumb_terminal() -> None:
    assert on_a_terminal(PROGRESS.format(quiet=True)) == b""
    assert on_a_terminal(PROGRESS.format(quiet=False), TERM="dumb") == b""


def test_the_word_error_is_red_unless_no_color_is_set() -> None:
    failing = "    raise click.UsageError('no')"
    assert b"\x1b[31m" in on_a_terminal(failing, exits=2, NO_COLOR="")
    assert b"\x1b" not in on_a_terminal(failing, exits=2, NO_COLOR="1")
