"""Workers on this machine: processes of loky, which joblib brings."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any, Final

from backtest.sweep.pools import DIED, ONE_THREAD, Answer, Died, Function, not_run
from backtest.sweep.work import Failed

ORPHAN_SECONDS: Final = 0.5  # after which a worker notices that it has no driver any more


def _begin_worker(driver: int) -> None:
    """Ctrl-C goes to all processes of a terminal: the driver ends its workers; without it, they end themselves."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_without, args=(driver,), daemon=True).start()


def _end_without(driver: int) -> None:
    """Ends this process, whatever it does, once its parent is another one: nobody would take its answer."""
    while os.getppid() == driver:
        time.sleep(ORPHAN_SECONDS)
    os._exit(1)


class LokyPool:
    """Processes of this machine. When one dies they all go, and the next task finds new ones."""

    def __init__(self, workers: int) -> None:
        self.most = 2 * workers
        self._workers = workers
        self._executor: Any = None
        self._running: list[Any] = []

    def submit(self, function: Function, *arguments: Any) -> object:
        from joblib.externals.loky import ProcessPoolExecutor  # type: ignore[import-untyped]

        if self._executor is None:
            self._executor = ProcessPoolExecutor(
                self._workers, initializer=_begin_worker, initargs=(os.getpid(),), env=ONE_THREAD
            )
        try:
            future = self._executor.submit(function, *arguments)
        except RuntimeError:  # a worker died since the last answer: a new pool takes the call
            self._end()
            return self.submit(function, *arguments)
        self._running.append(future)
        return future

    def finished(self) -> list[tuple[object, Answer]]:
        from joblib.externals.loky import FIRST_COMPLETED, wait

        done, _ = wait(self._running, return_when=FIRST_COMPLETED)
        answers: list[tuple[object, Answer]] = [(future, self._answer(future)) for future in done]
        self._running = [future for future in self._running if future not in done]
        if any(isinstance(answer, Died) for _, answer in answers):
            self._end()
        return answers

    def _answer(self, future: Any) -> Answer:
        from joblib.externals.loky import BrokenProcessPool, CancelledError

        try:
            answer: bytes | Failed = future.result()
        except (BrokenProcessPool, CancelledError):
            return DIED
        except Exception as error:  # noqa: BLE001 - settings that cannot be sent, a module that a worker has not
            return not_run(error)
        return answer

    def _end(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True, kill_workers=True)
            self._executor = None

    def close(self) -> None:
        self._end()
