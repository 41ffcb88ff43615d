"""`Tour`: what steps share, which is networks, data, how long to train, and what has been trained already."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from gradcheck.builds import registry
from gradcheck.cases.case import Case
from gradcheck.foundation.arrays import Array
from gradcheck.network.batch import Batch, Parameters
from gradcheck.network.layers import Activation, Arctan, Dense, Layer
from gradcheck.network.losses import Logistic
from gradcheck.network.network import Network, layers_with
from gradcheck.training.descent import FIXED, Builder, train
from gradcheck.training.history import History
from gradcheck.training.optimizers import Optimizer
from gradcheck.training.starts import outputs
from gradcheck.training.user_data import UserData, read_user_data
from gradcheck.verification.verifier import DEFAULT

GRID = 100  # points a side of a map
ITERATIONS = 10_000
DEPTHS = ((), (8,), (3, 4), (4, 5, 8, 4))  # units of the hidden layers
QUICK = 20  # times fewer iterations


class Tour:
    """One walk through the steps; where it is quick, with fewer iterations and points."""

    def __init__(self, quick: bool = False, data: Path | None = None) -> None:
        self.quick, self.data = quick, data
        self._trained: dict[Any, History] = {}

    @cached_property
    def case(self) -> Case:
        """Two moons, 2-15-1."""
        return moons_case(15)

    @cached_property
    def batch(self) -> Batch:
        """The 400 points and their labels, -1 or +1."""
        return self.case.batch

    @cached_property
    def user_data(self) -> UserData | None:
        """Read from ``data``, a file as LIBSVM writes it, where there is one."""
        return None if self.data is None else read_user_data(self.data)

    def shortened(self, iterations: int) -> int:
        """So many iterations, or a part of them."""
        return iterations // QUICK if self.quick else iterations

    def trained(
        self,
        case: Case,
        optimizer: Optimizer = FIXED,
        backend: Builder = "manual",
        *,
        iterations: int = ITERATIONS,
        record_every: int = 1,
    ) -> History:
        """The history of a training; the same one is not run twice."""
        key = case, optimizer, backend
        if key not in self._trained:
            self._trained[key] = train(case, backend, optimizer, self.shortened(iterations), record_every=record_every)
        return self._trained[key]


def moons_case(*hidden: int, activation: Activation | None = None, seed: int = 0) -> Case:
    """Two moons and hidden layers of these widths; at the output arctan, as everywhere unless another is asked for."""
    layers = [layer for units in hidden for layer in (Dense(units), activation or Arctan())]
    return Case(Network((2,), (*layers, Dense(1), Arctan()), Logistic()), data="two-moons", samples=400, seed=seed)


def installed_builds() -> list[str]:
    """Of those that `gradcheck.verify` compares by default."""
    return [name for name in DEFAULT if registry.version(registry.BUILT_IN[name].requires)]


def name_of(layer: Layer) -> str:
    """``arctan``"""
    return type(layer).__name__.lower()


def widths(network: Network) -> str:
    """``2-15-1``"""
    units = (network.shapes[index + 1][0] for index in layers_with(network, "weight"))
    return "-".join(map(str, [*network.inputs, *units]))


def grid() -> Array:
    """The unit square, row by row from below."""
    axis = np.linspace(0, 1, GRID)
    across, up = np.meshgrid(axis, axis)
    return np.column_stack([across.ravel(), up.ravel()])


def probabilities(network: Network, parameters: Parameters) -> Array:
    """Of the label +1 over the `grid`, exp(z) / (1 + exp(z)), as a square."""
    return expit(outputs(network, parameters, grid())).reshape(GRID, GRID)
