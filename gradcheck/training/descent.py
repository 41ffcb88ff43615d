"""Training: any backend, any way downhill, and the verifier looking in."""

import math
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeAlias

import msgspec
import numpy as np

from gradcheck.builds import registry
from gradcheck.builds.protocol import Backend
from gradcheck.cases.case import Case, Given
from gradcheck.errors import DescriptionError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called
from gradcheck.foundation.validation import count_of
from gradcheck.foundation.wording import shown
from gradcheck.report import Report
from gradcheck.training.history import History, Record
from gradcheck.training.objective import Objective
from gradcheck.training.optimizers import GradientDescent, Halt, Optimizer, Point
from gradcheck.verdict.findings import Verdict
from gradcheck.verification.verifier import verify

Builder: TypeAlias = str | Backend | Callable[..., Any]
Watch: TypeAlias = Callable[[Record], object]
TOUR = GradientDescent(0.5)


def train(
    case: Case,
    backend: Builder = "manual",
    optimizer: Optimizer = TOUR,
    iterations: int = 10_000,
    *,
    record_every: int = 1,
    verify_every: int | None = None,
    on_iteration: Watch | None = None,
) -> History:
    """Minimise the loss of a case, from its parameters on. The case stays as it is.

    Parameters
    ----------
    case : Case
    backend : str, backend or function
        A registered name, ``module:attribute``, ``path/to/file.py:attribute``, or a function
        ``(network, parameters, batch) -> (loss, gradients)``.
    optimizer : GradientDescent, Armijo or MiniBatch
    iterations : int
        Steps to make.
    record_every : int
        Record the start, every so many iterations, and the last one.
    verify_every : int, optional
        Call `gradcheck.verify` at the parameters that are reached, at the start and every so many iterations, and stop where
        something is wrong.
    on_iteration : function, optional
        Called with each `Record` as it is made.

    Returns
    -------
    History
        Also where it stopped early: a loss, gradient or parameter is not finite, verification found something wrong, or the
        optimizer found no step.

    Raises
    ------
    DescriptionError, DataError, BackendError, CallFailed
        Where an argument cannot be, or the backend raises or does not return a loss and gradients.

    Examples
    --------
    >>> import gradcheck
    >>> case = gradcheck.load("examples/two_moons.toml")
    >>> history = gradcheck.train(case, optimizer=gradcheck.Armijo(), iterations=100)
    >>> bool(history.losses[-1] < history.losses[0])
    True
    """
    _check(case, optimizer, on_iteration)
    iterations, record_every = count_of(iterations, "iterations", 0), count_of(record_every, "record_every")
    guard = Guard(case, backend, None if verify_every is None else count_of(verify_every, "verify_every"))
    objective = _objective(case, backend)
    diary = Diary(objective, on_iteration)
    stopped, iteration, point = "", 0, None
    with np.errstate(all="ignore"):  # what overflows is seen in the numbers
        try:
            for iteration, point in zip(range(iterations + 1), optimizer.walk(objective), strict=False):
                stopped = _not_finite(point, objective)
                if not stopped and guard.due(iteration):
                    with diary.aside():
                        stopped = guard.verdict(objective.named(point.at))
                if stopped:
                    break
                if iteration % record_every == 0:
                    diary.write(iteration, point)
        except Halt as halt:
            stopped = str(halt)
        assert point is not None  # an optimizer yields the start before all else
        if not diary.records or diary.records[-1].iteration != iteration:
            diary.write(iteration, point)
    return History(
        parameters={name: value.copy() for name, value in objective.named(point.at).items()},
        records=tuple(diary.records),
        stopped=f"{stopped} at iteration {iteration}" if stopped else "",
        report=guard.report,
    )


class Guard:
    """Verifies the backend where training has come to."""

    def __init__(self, case: Case, backend: Builder, every: int | None) -> None:
        self.case, self.backend, self.every = case, backend, every
        self.report: Report | None = None

    def due(self, iteration: int) -> bool:
        """Whether to look now."""
        return self.every is not None and iteration % self.every == 0

    def verdict(self, parameters: dict[str, Array]) -> str:
        """What is wrong with the backend at these parameters; empty where nothing is."""
        before, here = self.report, msgspec.structs.replace(self.case, init=Given.of(parameters))
        self.report = verify(here, [self.backend])
        if self.report.verdict is not Verdict.WRONG:
            return ""
        what = "loss" if self.report.wrong == frozenset({"loss"}) else "gradient"
        return f"the {what} turned wrong" if before else f"the {what} is wrong"


class Diary:
    """The records so far, and the time that is the descent's own."""

    def __init__(self, objective: Objective, tell: Watch | None) -> None:
        self.objective, self.tell = objective, tell
        self.records: list[Record] = []
        self.started = time.perf_counter()

    @contextmanager
    def aside(self) -> Generator[None]:
        """What happens inside takes no time."""
        began = time.perf_counter()
        yield
        self.started += time.perf_counter() - began

    def write(self, iteration: int, point: Point) -> None:
        """Record a point, and tell whoever watches."""
        loss = point.loss if point.whole else self.objective.loss(point.at)
        seconds = time.perf_counter() - self.started
        self.records.append(Record(iteration, loss, point.step, self.objective.evaluations, seconds))
        if self.tell:
            with self.aside():
                self.tell(self.records[-1])


def _check(case: object, optimizer: object, on_iteration: object) -> None:
    if not isinstance(case, Case):
        raise DescriptionError(f"expected a case, got {shown(case)}", "case")
    if not isinstance(optimizer, Optimizer):
        raise DescriptionError(f"expected GradientDescent, Armijo or MiniBatch, got {shown(optimizer)}", "optimizer")
    if on_iteration is not None and not callable(on_iteration):
        raise DescriptionError(f"expected a function, got {shown(on_iteration)}", "on_iteration")


def _objective(case: Case, backend: Builder) -> Objective:
    ((name, found),) = registry.resolve([backend]).items()
    parameters = case.parameters
    if not parameters:
        raise DescriptionError("the network has no parameters: there is nothing to train", "case.network")
    return Objective(called(found.build, name, case.network), name, parameters, case.batch)


def _not_finite(point: Point, objective: Objective) -> str:
    if not math.isfinite(point.loss):
        return f"the loss is {point.loss}"
    if not np.isfinite(point.gradient).all():
        return f"the gradient of {objective.not_finite(point.gradient)}"
    return "" if np.isfinite(point.at).all() else objective.not_finite(point.at)
