"""Where tasks run: processes of this machine (loky), a Dask cluster or a Ray cluster, behind four words.

A pool takes a few tasks at a time, so no scheduler holds a long list of them, and it sends settings, never data. What
a worker prints or how it dies is its own affair: a task whose worker died is answered with `DIED`, and with it, on
some pools, tasks of others that died along with it; `run` tries them again one at a time, and whose worker dies then
has failed by itself.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal, Protocol, TypeVar

from backtest.sweep.work import Failed
from core.errors import ConfigError

Key = TypeVar("Key")
Function = Callable[..., bytes | Failed]
BackendName = Literal["loky", "dask", "ray"]
# One thread a worker: as many workers as there are cores keep them all busy, and share no cache.
ONE_THREAD: Final = dict.fromkeys(
    ("NUMBA_NUM_THREADS", "POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)


class Died:
    """The worker of a task is gone, and nobody knows why."""


DIED: Final = Died()
Answer = bytes | Failed | Died


class Pool(Protocol):
    """`most`: so many tasks are given to it at a time."""

    most: int

    def submit(self, function: Function, *arguments: Any) -> object:
        """Starts a call and returns its ticket."""

    def finished(self) -> list[tuple[object, Answer]]:
        """Tickets and answers of calls that have ended since; waits for one at least."""

    def close(self) -> None:
        """Ends what it has started, calls at work included."""


def run(
    pool: Pool, function: Function, calls: Iterable[tuple[Key, tuple[Any, ...]]]
) -> Iterator[tuple[Key, bytes | Failed]]:
    """Every call's answer as it ends; calls are a key and arguments."""
    waiting = deque(calls)
    running: dict[object, tuple[Key, tuple[Any, ...]]] = {}
    suspects: list[tuple[Key, tuple[Any, ...]]] = []
    while waiting or running:
        while waiting and len(running) < pool.most:
            call = waiting.popleft()
            running[pool.submit(function, *call[1])] = call
        for ticket, answer in pool.finished():
            call = running.pop(ticket)
            if isinstance(answer, Died):
                suspects.append(call)
            else:
                yield call[0], answer
    for key, arguments in suspects:
        pool.submit(function, *arguments)
        ((_, answer),) = pool.finished()
        if isinstance(answer, Died):
            answer = Failed("its worker process died: out of memory, or ended by what it ran")
        yield key, answer


@contextmanager
def pool_of(backend: BackendName, *, address: str | None = None, workers: int | None = None) -> Iterator[Pool]:
    """A pool, ended with the block. `address`: of a cluster that runs; None: workers on this machine.

    Raises ConfigError where the extra is not installed, FillwrightError where no cluster answers.
    """
    if address is not None and backend == "loky":
        raise ConfigError("--address is of a cluster: add --backend dask or --backend ray")
    if address is not None and workers is not None:
        raise ConfigError("--workers is of this machine: a cluster has the workers that it has")
    workers = workers or available_cores()
    pool: Pool
    match backend:
        case "loky":
            from backtest.sweep.loky_pool import LokyPool

            pool = LokyPool(workers)
        case "dask":
            from backtest.sweep.cluster_pools import DaskPool

            pool = DaskPool(workers, address)
        case "ray":
            from backtest.sweep.cluster_pools import RayPool

            pool = RayPool(workers, address)
    try:
        yield pool
    finally:
        pool.close()


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def not_run(error: Exception) -> Failed:
    """The answer for a call that did not begin: settings that cannot be sent, a module that a worker has not."""
    return Failed(" ".join(f"the worker could not run it: {type(error).__name__}: {error}".split())[:400])
