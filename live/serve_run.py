"""What the processes of a split trader have in common: journals that belong together, and how they end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Coroutine, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from core.errors import FillwrightError
from execution.stored import program_version
from live import entries
from live.engine import Log
from live.session import OtherSettingsError, differences

MOST_DIFFERENCES: Final = 5


class OtherRunError(FillwrightError):
    """A journal belongs to another run of the broker's."""


def begin(
    journal: Log,
    found: Iterable[Mapping[str, Any]],
    identity: Mapping[str, Any],
    run_name: str,
    now_ns: int,
    epoch: int | None = None,
) -> int:
    """Writes that a process begins, and returns its number: `epoch`, or the one after the journal's last.

    Raises OtherRunError where the journal belongs to another run, OtherSettingsError where settings have changed.
    """
    starts = [entry for entry in found if entry["k"] == entries.START]
    if starts:
        last = starts[-1]
        if last["run"] != run_name:
            raise OtherRunError(
                f"this journal belongs to run {last['run']}, the broker's to run {run_name}: "
                "all processes go on together, or all begin with empty folders and another --prefix"
            )
        found_other = differences(last["settings"], identity)
        if found_other:
            raise OtherSettingsError(
                f"the journal was written under other settings: {'; '.join(found_other[:MOST_DIFFERENCES])}. "
                "Restore them, or begin with an empty folder and another --prefix"
            )
    epoch = 1 + last_epoch(starts) if epoch is None else epoch
    journal.append(
        {"k": entries.START, "t": now_ns, "epoch": epoch, "settings": dict(identity), "version": program_version()}
        | {"run": run_name}
    )
    journal.sync()
    return epoch


def last_epoch(found: Iterable[Mapping[str, Any]]) -> int:
    """Of the newest start in a journal; 0 where there is none."""
    return max((int(entry["epoch"]) for entry in found if entry["k"] == entries.START), default=0)


async def first(*jobs: Awaitable[object]) -> None:
    """Runs them together until the first one ends; the others are cancelled, and what it raised is raised."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        await _unwrapped(task)


async def until_stopped(job: Coroutine[Any, Any, object]) -> None:
    """Runs it until it ends, or until SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):  # a platform without signals for event loops
            loop.add_signal_handler(number, stop.set)
    await first(job, stop.wait())


def who_and_why(payload: Mapping[str, Any]) -> tuple[str, str]:
    """Of a message on `ctl.kill`."""
    by, reason = str(payload.get("by") or "").strip(), str(payload.get("reason") or "").strip()
    return by or "unknown", reason or "no reason given"


async def _unwrapped(task: Awaitable[object]) -> None:
    """One error instead of a group that holds one."""
    try:
        await task
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
