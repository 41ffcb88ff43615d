"""Measuring a case: one process a backend, all of them alive, asked in turn, A B A B; whatever ends one is its row."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import msgspec
from msgspec.structs import replace

from gradcheck.bench.cases import Point
from gradcheck.bench.measuring import child
from gradcheck.bench.measuring.environment import of_child
from gradcheck.bench.measuring.job import Answer, Facts, Job, Settings
from gradcheck.bench.work.counts import Step
from gradcheck.builds import registry
from gradcheck.cases.files import case_to_table
from gradcheck.errors import BackendError, UnknownBackend
from gradcheck.foundation.processes import GRACE, LOADING, Ended, Process

FLOOR, VERIFICATION = "floor", "verification"
VERIFICATIONS = 3  # rounds of what takes seconds
SETTLING = 0.2  # seconds that idle threads of OpenMP may go on spinning for work (KMP_BLOCKTIME's default)

Watch: TypeAlias = Callable[[str, int], None]  # what is going on, and how many steps it is further


class Series(NamedTuple):
    """One call of one child: what has a number in every round."""

    name: str
    call: str


Seconds: TypeAlias = dict[Series, list[float]]


class Rounds(NamedTuple):
    """What came of the rounds on one case.

    Facts are of every child that had an answer, seconds one for each round, in order, of those that were not lost, and steps
    of the floor. ``lost`` says why there is no answer, ``no_reference`` why there is nothing to hold gradients against, and
    ``ended`` how a process ended that was started again and answered to the end.
    """

    facts: Mapping[str, Facts]
    seconds: Seconds
    steps: list[Step]
    lost: Mapping[str, str]
    no_reference: str
    ended: Mapping[str, str] = MappingProxyType({})


def labels(backends: Sequence[str]) -> dict[str, str]:
    """What to load by the name that it has in tables: of ``mine.py:attribute`` the attribute's.

    Raises
    ------
    BackendError
        Where a name is unknown or there twice. That a backend cannot be loaded is a row.
    """
    known, found = registry.registered(), dict[str, str]()
    for name in backends:
        target, _, label = name.rpartition(":")
        if not target and name not in known:
            registry.backend(name)  # raises, with the nearest name
        if target.endswith(".py") and not Path(target).is_file():
            raise UnknownBackend(f"backend {name!r}: {target}: no such file")
        if label in {*found, FLOOR, VERIFICATION}:
            raise BackendError(f"two backends are called {label!r}")
        found[label] = registry.absolute(name)
    return found


def rounds_of(settings: Settings) -> int:
    """Answers that a case takes, calibration included: of which `measure` calls its watch, one by one."""
    return settings.rounds + 2


class Child:
    """A process for one job, which loads while its parent starts others; close it.

    Where it ends it is started once more, and asked again: it may have been killed by somebody else, and then ``ended`` says
    how. Once there is something that ended it for good, which is ``lost``, it has an empty answer to everything.
    """

    def __init__(self, job: Job) -> None:
        self.lost, self.ended, self._job = "", "", job
        self._start()

    def facts(self) -> Facts | None:
        """What it found out before any clock runs: once, before anything else is asked."""
        return self._tried(self._prepared).facts

    def ask(self, call: str) -> Answer:
        """Its seconds of a call, in a block of them; of ``split`` the floor's steps."""
        return Answer() if self.lost else self._tried(lambda: self._timed(call))

    def close(self) -> None:
        """End the process."""
        self._process.close()

    def _start(self) -> None:
        self._ready = False
        self._process = Process(child.__name__, environment=of_child(self._job.threads))
        self._process.send(msgspec.json.encode(self._job))

    def _tried(self, asked: Callable[[], Answer]) -> Answer:
        try:
            answer = asked()
        except Ended as ended:
            if not self.ended:
                self.ended = str(ended)
                self._start()
                return self._tried(asked)
            answer = Answer(error=f"ended its process: {ended}")
        self.lost = answer.error
        return answer

    def _prepared(self) -> Answer:
        loaded = self._answer(LOADING)
        self._ready = not loaded.error
        return self._answer(self._job.settings.limit) if self._ready else loaded

    def _timed(self, call: str) -> Answer:
        if not self._ready and (prepared := self._prepared()).error:
            return prepared
        self._process.send(call.encode())
        return self._answer(self._job.settings.limit)

    def _answer(self, limit: float) -> Answer:
        try:
            return msgspec.json.decode(self._process.receive(limit + GRACE), type=Answer)
        except Ended as ended:
            if ended.timed_out:
                return Answer(error=f"no answer within {limit:g} s")
            raise
        except msgspec.MsgspecError:
            return Answer(error="wrote something else in the place of an answer")


def measure(point: Point, settings: Settings, watch: Watch) -> Rounds:
    """Ask every child in turn, round by round. The first round calibrates and is thrown away."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        table, path = case_to_table(point.case, Path()), str(Path(folder, "precise.npz"))
        job = Job(role="reference", case=table, threads=point.threads, settings=settings, reference=path)
        watch(f"{point.name}: extended precision", 0)
        no_reference = _reference(job)
        watch(f"{point.name}: loading", 1)
        jobs = _jobs(replace(job, reference="" if no_reference else path))
        # All of them load at once.
        children = {name: stack.enter_context(closing(Child(each))) for name, each in jobs.items()}
        facts = {name: found for name, each in children.items() if (found := each.facts()) is not None}
        seconds = _rounds(children, _order(facts), point, watch, settings.rounds)
        steps = children[FLOOR].ask("split").steps or []
    lost = {name: each.lost for name, each in children.items() if each.lost}
    ended = {name: each.ended for name, each in children.items() if each.ended and not each.lost}
    return Rounds(facts, seconds, steps, lost, no_reference, ended)


def _jobs(job: Job) -> dict[str, Job]:
    """By name, in the order of a round."""
    backends = labels(job.settings.backends).items()
    builds = {name: replace(job, role="backend", backend=backend) for name, backend in backends}
    verification = {VERIFICATION: replace(job, role="verification")} if job.settings.verification else {}
    return {FLOOR: replace(job, role="floor"), **builds, **verification}


def _reference(job: Job) -> str:
    """Have gradients in extended precision written; why not, where there are none."""
    with closing(Child(job)) as writer:
        facts = writer.facts()
    return facts.accuracy_note if facts else writer.lost


def _order(facts: Mapping[str, Facts]) -> list[Series]:
    """Of a round: the same call of every child, then the next, so that what is compared lies close in time."""
    calls = ("floor", "gradient", "loss", "products", "activations", VERIFICATION)
    return [Series(name, call) for call in calls for name, found in facts.items() if call in found.calls]


def _rounds(children: Mapping[str, Child], order: Sequence[Series], point: Point, watch: Watch, rounds: int) -> Seconds:
    """Seconds of every round, of those who answered to the end."""
    seconds: Seconds = {series: [] for series in order}
    for number in range(rounds + 1):
        for series in order:
            if series.call == VERIFICATION and number > VERIFICATIONS:
                continue
            took = children[series.name].ask(series.call).seconds
            if took is not None and number:
                seconds[series].append(took)
            if point.threads > 1:
                time.sleep(SETTLING)
        watch(f"{point.name}: round {number} of {rounds}", 1)
    return {series: each for series, each in seconds.items() if not children[series.name].lost}
