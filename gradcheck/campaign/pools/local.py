"""The processes of this machine as a pool: a few threads, each with a child process in which it has cases judged."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, InvalidStateError
from contextlib import closing, suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

from gradcheck.campaign.child import Child, Known
from gradcheck.campaign.plan import Plan, Table
from gradcheck.campaign.pools.protocol import line
from gradcheck.campaign.results.record import Record
from gradcheck.errors import CallFailed, GradcheckError
from gradcheck.foundation.processes import Group, Stopped


class Task(NamedTuple):
    """What a worker does with its child, by name, and the future of what comes of it."""

    name: str
    work: Callable[[Child], Any]
    outcome: "Future[Any]"

    def do(self, child: Child) -> None:
        """Do it, unless nobody waits for it any more."""
        if self.outcome.cancelled():
            return
        with suppress(InvalidStateError):  # cancelled meanwhile
            try:
                self.outcome.set_result(self.work(child))
            except Stopped:
                self.outcome.cancel()
            except GradcheckError as error:
                self.outcome.set_exception(error)
            except Exception as error:
                self.outcome.set_exception(CallFailed(f"{self.name}: {line(error)}"))


class Worker(Thread):
    """A thread that does one task after the other, until there is None or it is stopped."""

    def __init__(self, tasks: "SimpleQueue[Task | None]", known: Known) -> None:
        super().__init__(daemon=True)  # children end with their parent, however it ends
        self.task: Task | None = None
        self._tasks, self._known, self._group = tasks, known, Group()
        self.start()

    def run(self) -> None:
        """In a thread of its own."""
        with self._group.here(), closing(Child(self._known)) as child:
            while not self._group.stopped and (task := self._tasks.get()) is not None:
                self.task = task  # before it is looked whether it was cancelled: who cancels it looks in this order, too
                task.do(child)
                self.task = None

    def stop(self) -> None:
        """End its processes, and thereby what it does."""
        self._group.stop()


class Local:
    """A pool of this machine: a dead process costs at most its own case, and tasks that are cancelled end at once.

    Parameters
    ----------
    backends : tuple of str
        Each worker loads them at once, so that no case pays for it.

    Raises
    ------
    BackendError
        Where one cannot be had.
    """

    def __init__(self, jobs: int, backends: tuple[str, ...] = ()) -> None:
        self.jobs = jobs
        self._tasks, self._known = SimpleQueue[Task | None](), Known()
        self._workers = [Worker(self._tasks, self._known) for _ in range(jobs)]
        try:
            for loading in [self._begin("loading", lambda child: child.load(backends)) for _ in range(jobs)]:
                loading.result()
        except BaseException:
            self.close()
            raise

    def run(self, function: Callable[..., Any], *args: Any) -> "Future[Any]":
        """In a thread of this process, for functions that start processes of their own."""
        return self._begin(function.__name__, lambda _: function(*args))

    def judge(self, plan: Plan, tables: list[Table]) -> "Iterable[Future[list[Record]]]":
        """A task for each case."""
        for table in tables:
            yield self._begin("a case", lambda child, table=table: [child.judge(plan, table)])

    def close(self) -> None:
        """Drop what waits, stop the workers, and wait until their processes have ended."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.stop()
            self._tasks.put(None)
        for worker in workers:
            worker.join()
        with suppress(Empty):
            while True:
                if (task := self._tasks.get_nowait()) is not None:
                    task.outcome.cancel()

    def _begin(self, name: str, work: Callable[[Child], Any]) -> "Future[Any]":
        task = Task(name, work, Future())
        task.outcome.add_done_callback(lambda _: self._free(task))
        self._tasks.put(task)
        return task.outcome

    def _free(self, task: Task) -> None:
        """Where nobody waits for a task any more, put another worker in the place of the one that does it."""
        if not task.outcome.cancelled():
            return
        task.outcome.set_running_or_notify_cancel()  # wakes who waits for it
        for index, worker in enumerate(self._workers):
            if worker.task is task:
                worker.stop()
                self._workers[index] = Worker(self._tasks, self._known)
