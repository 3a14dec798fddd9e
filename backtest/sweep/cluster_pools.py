"""Workers of a Dask or a Ray cluster, or of one that is started on this machine and ended with the sweep."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from backtest.sweep.pools import DIED, ONE_THREAD, Answer, Function, not_run
from backtest.sweep.work import Failed
from core.errors import ConfigError, FillwrightError

CONNECT_SECONDS: Final = 10.0


class DaskPool:
    """Workers of a Dask cluster, or of one that is started here."""

    def __init__(self, workers: int, address: str | None) -> None:
        try:
            import dask
            import distributed
        except ImportError as error:
            raise _missing("dask") from error
        made: Any = distributed  # which has no types
        self._cluster: Any = None
        if address is not None:
            _check_heard(address, "Dask scheduler")
        else:
            # Dask would let a task take four workers along before it gives up; `run` tries it once more, alone.
            with _environment(ONE_THREAD), dask.config.set({"distributed.scheduler.allowed-failures": 0}):
                self._cluster = made.LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address="127.0.0.1:0",
                    silence_logs=logging.CRITICAL,
                )
        try:
            self._client: Any = made.Client(address or self._cluster, set_as_default=False, timeout=CONNECT_SECONDS)
        except (OSError, TimeoutError) as error:
            raise FillwrightError(f"no Dask scheduler answers at {address}: {error}") from error
        self.most = 2 * max(1, sum(self._client.nthreads().values()))
        self._wait: Any = made.wait
        self._killed: Any = made.KilledWorker
        self._cancelled: Any = made.CancelledError
        self._running: list[Any] = []

    def submit(self, function: Function, *arguments: Any) -> object:
        future = self._client.submit(function, *arguments, pure=False, retries=0)
        self._running.append(future)
        return future

    def finished(self) -> list[tuple[object, Answer]]:
        with self._client.as_current():
            done = self._wait(self._running, return_when="FIRST_COMPLETED").done
        self._running = [future for future in self._running if future not in done]
        return [(future, self._answer(future)) for future in done]

    def _answer(self, future: Any) -> Answer:
        try:
            answer: bytes | Failed = future.result()  # computed again where the worker that held it has died since
        except self._killed:
            return DIED
        except self._cancelled as error:
            raise FillwrightError(
                "the Dask scheduler is gone: run the sweep again when it is back, what is done is kept"
            ) from error
        except Exception as error:  # noqa: BLE001 - as above
            return not_run(error)
        return answer

    def close(self) -> None:
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


class RayPool:
    """Workers of a Ray cluster, or of one that is started here."""

    def __init__(self, workers: int, address: str | None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves this machine but tasks
        try:
            import ray
        except ImportError as error:
            raise _missing("ray") from error
        self._ray: Any = ray
        if address is not None:
            _check_heard(address, "Ray cluster")
        told: dict[str, Any] = {"logging_level": logging.CRITICAL, "log_to_driver": False}
        try:
            if address is None:
                with _environment(ONE_THREAD):
                    ray.init(num_cpus=workers, include_dashboard=False, **told)
            else:
                ray.init(address=address, runtime_env={"env_vars": ONE_THREAD}, **told)
        except ConnectionError as error:
            raise FillwrightError(f"no Ray cluster answers at {address}: {error}") from error
        self.most = 2 * max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        self._running: list[Any] = []
        self._remote: dict[Function, Any] = {}

    def submit(self, function: Function, *arguments: Any) -> object:
        if function not in self._remote:
            self._remote[function] = self._ray.remote(num_cpus=1, max_retries=0)(function)
        ticket = self._remote[function].remote(*arguments)
        self._running.append(ticket)
        return ticket

    def finished(self) -> list[tuple[object, Answer]]:
        done, self._running = self._ray.wait(self._running, num_returns=1)
        return [(ticket, self._answer(ticket)) for ticket in done]

    def _answer(self, ticket: Any) -> Answer:
        errors = self._ray.exceptions
        try:
            answer: bytes | Failed = self._ray.get(ticket)
        except (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError):
            return DIED
        except Exception as error:  # noqa: BLE001 - as above
            return not_run(error)
        return answer

    def close(self) -> None:
        self._ray.shutdown()


def _check_heard(address: str, what: str) -> None:
    """Raises FillwrightError where nobody listens at an address, which the libraries would try for minutes."""
    host, separator, port = address.rpartition("://")[2].rpartition(":")
    if not separator:  # such as `auto`: Ray looks for one on this machine
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise FillwrightError(f"no {what} answers at {address}: {error}") from error


def _missing(extra: str) -> ConfigError:
    return ConfigError(f"--backend {extra} needs a package that is not installed: pip install 'fillwright[{extra}]'")


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """What processes that are started in the block inherit."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
