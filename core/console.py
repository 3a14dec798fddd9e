"""How commands talk to people: exit codes, one-line errors, tables on stdout, progress on stderr.

A command is a plain click command; `run` is its entry, from the console script and from `python -m package.module`:

    if __name__ == "__main__":
        run(command)

rich is imported only when something is drawn, so that `--help` stays quick.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from click.exceptions import NoArgsIsHelpError

from core.errors import FillwrightError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
# Files and pipes have no width of their own; 80 columns would break table cells in the middle of a number.
FILE_WIDTH = 200


def run(command: click.Command, args: Sequence[str] | None = None, prog_name: str | None = None) -> NoReturn:
    """Run a click command and leave the process with its exit code.

    0 done; 1 failed (FillwrightError, OSError, or a bug): one line on stderr; 2 wrong usage: one line on stderr;
    130 interrupted by Ctrl-C. A reader of stdout that went away (`| head`) is a silent 1. A command may return its own
    exit code as an int. `--debug` anywhere before a `--` adds the traceback.
    """
    words, debug = _without_debug(list(sys.argv[1:] if args is None else args))
    try:
        result = command.main(words, prog_name, standalone_mode=False)
        sys.stdout.flush()  # a full disk or a closed pipe shows here, where it can still be explained
    except SystemExit:
        raise  # click and rich leave this way when a pipe closes
    except BrokenPipeError:
        _drop_stdout()
        code = FAILED
    except BaseException as error:  # noqa: BLE001 - the outermost frame: whatever happened becomes one line
        if debug:
            traceback.print_exc()
        code, message = _explain(error)
        if message:
            click.secho("error: ", fg="red", bold=True, nl=False, err=True, color=_colour())
            click.echo(message, err=True)
    else:
        # click answers --help and --version with 0, ctx.exit(n) with n, and hands through what the command returned.
        code = result if type(result) is int else DONE
    sys.exit(code)


def console() -> Console:
    """A rich console on stdout: honours NO_COLOR, takes COLUMNS or 200 columns where stdout is not a terminal."""
    return _rich_console(stderr=False)


def print_json(value: object) -> None:
    """One line of JSON on stdout: what `--json` prints, and nothing else goes there. NaN becomes null."""
    from core.codec import to_json

    click.echo(to_json(value))


def note(message: str, *, quiet: bool = False) -> None:
    """A line for people on stderr, so that stdout stays clean for tables and JSON."""
    if not quiet:
        click.echo(message, err=True)


class Tracker:
    """What `progress` yields. Every method is a no-op when nothing is shown."""

    def __init__(self, bar: Progress | None = None, task: TaskID | None = None) -> None:
        self._bar = bar
        self._task = task

    @property
    def shown(self) -> bool:
        """Whether anybody sees it."""
        return self._bar is not None

    def advance(self, steps: float = 1) -> None:
        """So many steps more are done."""
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, steps)

    def at(self, done: float, total: float | None = None) -> None:
        """So many steps are done altogether, of `total` if that has become known."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total)

    def title(self, text: str) -> None:
        """What is being done now."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=text)


@contextmanager
def progress(title: str, total: float | None = None, *, quiet: bool = False) -> Iterator[Tracker]:
    """A progress bar with the time left, on stderr; gone when done. Silent when quiet or stderr is not a terminal.

    with progress("reading", total=len(files), quiet=quiet) as bar:
        for file in files:
            ...
            bar.advance()

    `total=None` shows elapsed time only, until `bar.at(done, total)` tells more.
    """
    if quiet or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield Tracker()
        return
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_rich_console(stderr=True), transient=True) as bar:
        yield Tracker(bar, bar.add_task(title, total=total))


def _without_debug(words: list[str]) -> tuple[list[str], bool]:
    end = words.index("--") if "--" in words else len(words)
    kept = [word for word in words[:end] if word != "--debug"]
    return kept + words[end:], len(kept) < end


def _explain(error: BaseException) -> tuple[int, str]:
    """The exit code and the one line for an error; an empty line where silence is right."""
    match error:
        case KeyboardInterrupt():
            return INTERRUPTED, "interrupted"
        case click.Abort():
            unanswered = isinstance(error.__context__, EOFError)
            return (FAILED, "the input ended before it answered") if unanswered else (INTERRUPTED, "interrupted")
        case NoArgsIsHelpError():
            error.show()
            return USAGE, ""
        case click.UsageError():
            return USAGE, _usage(error)
        case click.ClickException():
            return error.exit_code, _one_line(error.format_message())
        case OSError():
            return FAILED, _os_error(error)
        case FillwrightError():
            return FAILED, _one_line(str(error))
        case _:
            return FAILED, _bug(error)


def _usage(error: click.UsageError) -> str:
    message = _one_line(error.format_message())
    if isinstance(error, click.BadParameter) and error.param is not None and isinstance(error.param.type, click.Choice):
        message += _meant(error.message, error.param.type)
    if error.ctx is None:
        return message
    return f"{message} (see: {error.ctx.command_path} --help)"


def _meant(message: str, known: click.Choice[object]) -> str:
    """The choice that a misspelled one is nearest to, as click does for options; nothing where none is near."""
    said = message.split("'")
    folded = {str(one).casefold(): str(one) for one in known.choices}
    close = get_close_matches(said[1].casefold() if len(said) > 1 else "", folded, n=1)
    return f" Did you mean '{folded[close[0]]}'?" if close else ""


def _os_error(error: OSError) -> str:
    what = error.strerror or str(error) or type(error).__name__
    where = f"{error.filename}: " if error.filename is not None else ""
    return _one_line(f"{where}{what}")


def _bug(error: BaseException) -> str:
    """Not the reader's fault: say so, and where it happened, without a page of frames."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return _one_line(f"unexpected {type(error).__name__}{place}: {error} (--debug shows the traceback)")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _colour() -> bool | None:
    """None lets click look at the stream."""
    return False if os.environ.get("NO_COLOR") else None


def _drop_stdout() -> None:
    """What is still buffered goes nowhere, so that the interpreter's last flush does not complain."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def _rich_console(*, stderr: bool) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else int(_columns() or FILE_WIDTH)
    return Console(stderr=stderr, width=width, highlight=False, emoji=False)


def _columns() -> str | None:
    columns = os.environ.get("COLUMNS", "")
    return columns if columns.isdecimal() and int(columns) > 0 else None
