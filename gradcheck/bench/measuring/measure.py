"""Measuring a case: one process a backend, all of them alive, asked in turn, A B A B; whatever ends one is its row."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, TypeAlias, TypeVar

from msgspec.structs import replace

from gradcheck.bench.cases import Point
from gradcheck.bench.measuring.job import Facts, Job, Role, Settings
from gradcheck.bench.measuring.process import Child, Lost
from gradcheck.bench.work.counts import Step
from gradcheck.builds import registry
from gradcheck.cases.files import case_to_table
from gradcheck.errors import BackendError, UnknownBackend

FLOOR, VERIFICATION = "floor", "verification"
VERIFIED = "manual"
VERIFICATIONS = 3  # rounds of what takes seconds
SETTLING = 0.2  # seconds that idle threads of OpenMP may go on spinning for work (KMP_BLOCKTIME's default)

T = TypeVar("T")
Watch: TypeAlias = Callable[[str, int], None]  # what is going on, and how many steps it is further


class Series(NamedTuple):
    """One call of one child: what has a number in every round."""

    name: str
    call: str


class Rounds(NamedTuple):
    """What came of the rounds on one case.

    Attributes
    ----------
    facts : mapping of str to Facts
        Of every child that had an answer.
    seconds : mapping of Series to list of float
        One for each round, in order; none of children that were lost.
    steps : list of Step
        Of the floor.
    lost : mapping of str to str
        Why there is no answer.
    no_reference : str
        Why there is nothing to hold gradients against.
    """

    facts: Mapping[str, Facts]
    seconds: Mapping[Series, list[float]]
    steps: list[Step]
    lost: Mapping[str, str]
    no_reference: str


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


def measure(point: Point, settings: Settings, watch: Watch) -> Rounds:
    """Ask every child in turn, round by round. The first round calibrates and is thrown away."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        job, path = _job(point, settings), Path(folder, "precise.npz")
        watch(f"{point.name}: extended precision", 0)
        no_reference = _reference(job, path)
        watch(f"{point.name}: loading", 1)
        jobs = _jobs(job, settings, "" if no_reference else str(path))
        # All of them load at once.
        children = _Children({name: stack.enter_context(closing(Child(each))) for name, each in jobs.items()})
        facts = {name: found for name in jobs if (found := children.ask(name, Child.facts)) is not None}
        seconds = _rounds(children, _order(facts), point, settings, watch)
        steps = children.ask(FLOOR, Child.steps) or []
    return Rounds(facts, seconds, steps, children.lost, no_reference)


class _Children:
    """By name, whoever still answers, and why others do not."""

    def __init__(self, children: Mapping[str, Child]) -> None:
        self._children = children
        self.lost: dict[str, str] = {}

    def ask(self, name: str, question: Callable[[Child], T]) -> T | None:
        """The answer; None of one that is lost."""
        if name in self.lost:
            return None
        try:
            return question(self._children[name])
        except Lost as lost:
            self.lost[name] = str(lost)
            return None


def _job(point: Point, settings: Settings) -> Job:
    table = case_to_table(point.case, Path())
    return Job(role=Role.FLOOR, case=table, threads=point.threads, seconds=settings.seconds, limit=settings.limit)


def _jobs(job: Job, settings: Settings, reference: str) -> dict[str, Job]:
    """By name, in the order of a round."""
    build = replace(job, role=Role.BACKEND, device=settings.device, arithmetic=settings.arithmetic, reference=reference)
    builds = {name: replace(build, backend=backend) for name, backend in labels(settings.backends).items()}
    verification = {VERIFICATION: replace(job, role=Role.VERIFICATION, backend=VERIFIED)} if settings.verification else {}
    return {FLOOR: job, **builds, **verification}


def _reference(job: Job, path: Path) -> str:
    """Have gradients in extended precision written; why not, where there are none."""
    with closing(Child(replace(job, role=Role.REFERENCE, reference=str(path)))) as child:
        try:
            return child.facts().accuracy_note
        except Lost as lost:
            return str(lost)


def _order(facts: Mapping[str, Facts]) -> list[Series]:
    """Of a round: the same call of every child, then the next, so that what is compared lies close in time."""
    calls = ("floor", "gradient", "loss", "products", "activations", VERIFICATION)
    return [Series(name, call) for call in calls for name, found in facts.items() if call in found.calls]


def _rounds(
    children: _Children, order: Sequence[Series], point: Point, settings: Settings, watch: Watch
) -> dict[Series, list[float]]:
    """Seconds of every round, of those who answered to the end."""
    seconds: dict[Series, list[float]] = {series: [] for series in order}
    for number in range(settings.rounds + 1):
        for series in order:
            if series.call == VERIFICATION and number > VERIFICATIONS:
                continue
            took = children.ask(series.name, lambda child, call=series.call: child.seconds(call))
            if took is not None and number:
                seconds[series].append(took)
            if point.threads > 1:
                time.sleep(SETTLING)
        watch(f"{point.name}: round {number} of {settings.rounds}", 1)
    return {series: each for series, each in seconds.items() if series.name not in children.lost}
