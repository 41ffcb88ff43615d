"""An existing Dask cluster as a pool."""

import logging
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from typing import Any

from gradcheck.campaign.child import judge_in_child, load_in_child
from gradcheck.campaign.plan import Plan, Table
from gradcheck.campaign.pools.protocol import line, linked
from gradcheck.campaign.results.record import Record
from gradcheck.errors import CallFailed, GradcheckError, LibraryNotInstalled
from gradcheck.foundation.processes import LOADING

CONNECTING = 10.0  # seconds that a scheduler may take to answer
ARRIVING = 60.0  # seconds that a cluster without workers may take to have one
LOGGERS = ("distributed", "distributed.client")  # those of distributed's that have a level of their own


class Cluster:
    """Tasks on an existing Dask cluster; a shard's cases are judged in a child process of its worker.

    Parameters
    ----------
    address : str
        Of its scheduler, ``tcp://host:port``.
    backends : tuple of str
        Loaded on one worker at once, to see that they can be had.

    Raises
    ------
    LibraryNotInstalled, CallFailed, BackendError
        Where ``distributed`` is absent, nobody answers at the address, or a backend cannot be had.
    """

    def __init__(self, address: str, backends: tuple[str, ...] = ()) -> None:
        self._where = f"--scheduler {address}"
        self._opened = ExitStack()
        try:
            self._client = self._connected(address)
            self._executor: Any = self._client.get_executor(pure=False)
            self._load(backends)
            self.jobs: int = max(1, sum(self._client.nthreads().values()))
        except Exception as error:
            self.close()
            raise self._failure(error) from None

    def run(self, function: Callable[..., Any], *args: Any) -> "Future[Any]":
        """On any worker."""
        try:
            return linked(self._executor.submit(function, *args), self._ran)
        except Exception as error:
            raise self._failure(error) from None

    def judge(self, plan: Plan, tables: list[Table]) -> "Iterable[Future[list[Record]]]":
        """A task for all of them."""
        yield self.run(judge_in_child, plan, tables)

    def close(self) -> None:
        """Cancel what waits, and leave the cluster as it is."""
        with suppress(Exception):  # of a scheduler that is gone
            self._opened.close()

    def _connected(self, address: str) -> Any:
        try:
            from distributed import Client
            from distributed.comm.addressing import resolve_address
        except ImportError:
            raise LibraryNotInstalled("--scheduler needs dask.distributed: pip install 'gradcheck[cluster]'") from None
        resolve_address(address)  # a client made of what is none would take long to go, and tell of it
        for logger in map(logging.getLogger, LOGGERS):  # whatever goes wrong is raised, in one line
            self._opened.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that versions differ
            client: Any = Client(address, timeout=CONNECTING, set_as_default=False)
        self._opened.callback(client.close, timeout=CONNECTING)
        return client

    def _load(self, backends: tuple[str, ...]) -> None:
        """On one worker. Where there is none yet, a task may make the cluster start one."""
        task = self.run(load_in_child, backends)
        with suppress(TimeoutError):
            task.result(ARRIVING)
        if not task.done() and not self._client.nthreads():
            raise CallFailed(f"{self._where}: no worker within {ARRIVING:g} s")
        task.result(LOADING)

    def _ran(self, task: "Future[Any]") -> Any:
        """Its result. A task that nobody here cancelled went down with the scheduler."""
        if task.cancelled():
            raise CallFailed(f"{self._where}: the connection to the scheduler was lost")
        error = task.exception()
        if error is not None:
            raise self._failure(error)
        return task.result()

    def _failure(self, error: BaseException) -> GradcheckError:
        """In one line, for a campaign to end with."""
        return error if isinstance(error, GradcheckError) else CallFailed(f"{self._where}: {line(error)}")
