"""Ways downhill, each a row of plain data with one generator: the iterates."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Annotated, NamedTuple

import numpy as np
from msgspec import Meta

from gradcheck.errors import DescriptionError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.describe import Description
from gradcheck.training.objective import Objective


class Iterate(NamedTuple):
    """A point, the step that led there (0 at the start), and loss and gradient there: of the ``whole`` batch or a part."""

    at: Array
    step: float
    loss: float
    gradient: Array
    whole: bool = True


class Halt(Exception):
    """Why an optimizer goes no further."""


class Optimizer(Description, frozen=True):
    """Base of the ways downhill. Immutable data: a walk keeps its own state, so that one optimizer serves many."""

    @abstractmethod
    def walk(self, objective: Objective) -> Iterator[Iterate]:
        """The iterates, the start first, without end; raises `Halt` where there is no next one."""


class GradientDescent(Optimizer, frozen=True):
    """A fixed step along minus the gradient of the whole batch: ``x - step * g(x)``.

    Parameters
    ----------
    step : float
        Larger than 0.

    Raises
    ------
    DescriptionError
        ``step: expected float > 0.0, got -1``
    """

    step: Annotated[float, Meta(gt=0)]

    def walk(self, objective: Objective) -> Iterator[Iterate]:
        return _steps_of(self.step, objective, repeat(None))


class Armijo(Optimizer, frozen=True):
    """Steps found by backtracking along minus the gradient (Armijo 1966, doi:10.2140/pjm.1966.16.1).

    A step s is accepted if ``f(x - s g) <= f(x) - decrease * s * |g|^2``, else s is multiplied by ``shrink``. The next
    search starts from twice the step that was accepted. Where none is, or the gradient is 0, descent stops and says so.

    Parameters
    ----------
    first : float
        The first step that is tried.
    shrink, decrease : float
        Both between 0 and 1.
    most : int
        Steps that are tried in one search.

    Raises
    ------
    DescriptionError
        ``shrink: expected float < 1.0, got 2``
    """

    first: Annotated[float, Meta(gt=0)] = 1.0
    shrink: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    decrease: Annotated[float, Meta(gt=0, lt=1)] = 1e-4
    most: Annotated[int, Meta(ge=1)] = 50

    def walk(self, objective: Objective) -> Iterator[Iterate]:
        at, step, trial = objective.start, 0.0, self.first
        while True:
            loss, gradient = objective.loss_and_gradient(at)
            iterate = Iterate(at, step, loss, gradient)
            yield iterate
            step = self._accepted(objective, iterate, trial)
            at, trial = at - step * gradient, 2 * step

    def _accepted(self, objective: Objective, iterate: Iterate, first: float) -> float:
        wide = iterate.gradient.astype(np.float64)
        squared = float(wide @ wide)
        if not squared:
            raise Halt("the gradient is 0")
        step = first
        for _ in range(self.most):
            if objective.loss(iterate.at - step * iterate.gradient) <= iterate.loss - self.decrease * step * squared:
                return step
            step *= self.shrink
        tried = f"no step from {first:.3g} down to {step / self.shrink:.3g}"
        raise Halt(f"{tried} decreases the loss by {self.decrease:g} of what its slope promises")


class MiniBatch(Optimizer, frozen=True):
    """Stochastic descent: a fixed step along minus the gradient of ``size`` samples.

    An epoch is one permutation of all samples; its last batch is smaller where ``size`` does not divide their number. An
    iteration is one step, not one epoch. The loss of the whole batch costs an evaluation of its own, and is known only where
    it is recorded: every ``record_every`` iterations of `gradcheck.train`.

    Parameters
    ----------
    step : float
        Larger than 0.
    size : int
        Samples in a batch, no more than there are.
    seed : int
        Of the permutations.

    Raises
    ------
    DescriptionError
        ``size: expected int >= 1, got 0``
    """

    step: Annotated[float, Meta(gt=0)]
    size: Annotated[int, Meta(ge=1)]
    seed: Annotated[int, Meta(ge=0)] = 0

    def walk(self, objective: Objective) -> Iterator[Iterate]:
        if self.size > objective.samples:
            raise DescriptionError(f"the batch has {objective.samples} samples, got {self.size}", "optimizer.size")
        return _steps_of(self.step, objective, self._batches(objective.samples))

    def _batches(self, samples: int) -> Iterator[Array]:
        rng = np.random.default_rng(self.seed)
        while True:
            order = rng.permutation(samples)
            for first in range(0, samples, self.size):
                yield order[first : first + self.size]


def _steps_of(length: float, objective: Objective, batches: Iterable[Array | None]) -> Iterator[Iterate]:
    """Fixed steps, each by the gradient of the next of these batches; None is the whole."""
    at, step = objective.start, 0.0
    for chosen in batches:
        loss, gradient = objective.loss_and_gradient(at, chosen)
        yield Iterate(at, step, loss, gradient, whole=chosen is None)
        step = length
        at = at - step * gradient
