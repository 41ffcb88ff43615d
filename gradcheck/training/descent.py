"""Training: any backend, any way downhill, verified on the way."""

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
from gradcheck.foundation.calling import called
from gradcheck.foundation.validation import count_of
from gradcheck.foundation.wording import shown
from gradcheck.report import Report
from gradcheck.training.history import History, Record
from gradcheck.training.objective import Objective
from gradcheck.training.optimizers import GradientDescent, Halt, Iterate, MiniBatch, Optimizer
from gradcheck.verdict.findings import Verdict
from gradcheck.verification.verifier import verify

Builder: TypeAlias = str | Backend | Callable[..., Any]
OnIteration: TypeAlias = Callable[[Record], object]
FIXED = GradientDescent(0.5)


def train(
    case: Case,
    backend: Builder = "manual",
    optimizer: Optimizer = FIXED,
    iterations: int = 10_000,
    *,
    record_every: int = 1,
    verify_every: int | None = None,
    on_iteration: OnIteration | None = None,
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
    objective = _objective(case, backend, optimizer)
    log = Log(objective, on_iteration)
    stopped, iteration, iterate = "", 0, None
    with np.errstate(all="ignore"):  # what overflows is seen in the numbers
        try:
            for iteration, iterate in zip(range(iterations + 1), optimizer.walk(objective), strict=False):
                stopped = _not_finite(iterate, objective) or guard.finding(iteration, iterate, objective, log)
                if stopped:
                    break
                if iteration % record_every == 0:
                    log.write(iteration, iterate)
        except Halt as halt:
            stopped = str(halt)
        assert iterate is not None  # an optimizer yields the start before all else
        if not log.records or log.records[-1].iteration != iteration:
            log.write(iteration, iterate)
    return History(
        parameters={name: value.copy() for name, value in objective.named(iterate.at).items()},
        records=tuple(log.records),
        stopped=f"{stopped} at iteration {iteration}" if stopped else "",
        report=guard.report,
    )


class Log:
    """The records so far, and the time that is the descent's own."""

    def __init__(self, objective: Objective, on_iteration: OnIteration | None) -> None:
        self.objective, self.on_iteration = objective, on_iteration
        self.records: list[Record] = []
        self.started = time.perf_counter()

    @contextmanager
    def clock_stopped(self) -> Generator[None]:
        """What happens inside takes no time."""
        began = time.perf_counter()
        yield
        self.started += time.perf_counter() - began

    def write(self, iteration: int, iterate: Iterate) -> None:
        """Record an iterate, and hand the record to whoever watches."""
        loss = iterate.loss if iterate.whole else self.objective.loss(iterate.at)
        seconds = time.perf_counter() - self.started
        self.records.append(Record(iteration, loss, iterate.step, self.objective.evaluations, seconds))
        if self.on_iteration:
            with self.clock_stopped():
                self.on_iteration(self.records[-1])


class Guard:
    """Verifies the backend where training has come to."""

    def __init__(self, case: Case, backend: Builder, every: int | None) -> None:
        self.case, self.backend, self.every = case, backend, every
        self.report: Report | None = None

    def finding(self, iteration: int, iterate: Iterate, objective: Objective, log: Log) -> str:
        """What is wrong with the backend here; empty where nothing is, or where it is not time to look."""
        if self.every is None or iteration % self.every:
            return ""
        before, here = self.report, msgspec.structs.replace(self.case, init=Given.of(objective.named(iterate.at)))
        with log.clock_stopped():
            self.report = verify(here, [self.backend])
        if self.report.verdict is not Verdict.WRONG:
            return ""
        what = "loss" if self.report.wrong == frozenset({"loss"}) else "gradient"
        return f"the {what} turned wrong" if before else f"the {what} is wrong"


def _check(case: object, optimizer: object, on_iteration: object) -> None:
    if not isinstance(case, Case):
        raise DescriptionError(f"expected a case, got {shown(case)}", "case")
    if not isinstance(optimizer, Optimizer):
        raise DescriptionError(f"expected GradientDescent, Armijo or MiniBatch, got {shown(optimizer)}", "optimizer")
    if on_iteration is not None and not callable(on_iteration):
        raise DescriptionError(f"expected a function, got {shown(on_iteration)}", "on_iteration")


def _objective(case: Case, backend: Builder, optimizer: Optimizer) -> Objective:
    ((name, found),) = registry.resolve([backend]).items()
    parameters = case.parameters
    if not parameters:
        raise DescriptionError("the network has no parameters: there is nothing to train", "case.network")
    if isinstance(optimizer, MiniBatch) and (least := case.network.least_samples) > 1:
        rest = len(case.batch.inputs) % optimizer.size or optimizer.size
        if rest < least:
            sentence = f"the last batch of an epoch has {rest} sample, a normalisation over it needs {least}"
            raise DescriptionError(sentence, "optimizer.size")
    return Objective(called(found.build, name, case.network), name, parameters, case.batch)


def _not_finite(iterate: Iterate, objective: Objective) -> str:
    if not math.isfinite(iterate.loss):
        return f"the loss is {iterate.loss}"
    if not np.isfinite(iterate.gradient).all():
        return f"the gradient of {objective.not_finite(iterate.gradient)}"
    return "" if np.isfinite(iterate.at).all() else objective.not_finite(iterate.at)
