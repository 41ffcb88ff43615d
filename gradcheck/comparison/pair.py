"""What the procedure asks of a framework: a candidate and its reference, as functions of arrays by name."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np

from gradcheck.comparison.levels import Level
from gradcheck.foundation.arrays import Array

Blocks: TypeAlias = Mapping[str, Array]
"""Outputs and gradients by name, as arrays of float64 whatever they were computed in."""


class Inputs(NamedTuple):
    """Where a candidate and its reference are evaluated.

    Attributes
    ----------
    point : dict of str to array
        The leaves that gradients are wanted of.
    cotangents : dict of str to array
        One for each output; none where values are compared and nothing else.
    """

    point: Mapping[str, Array]
    cotangents: Mapping[str, Array]


class Shaken(NamedTuple):
    """What the reference is where every operation is off as a level has it.

    Attributes
    ----------
    blocks : dict of str to array
    flips : int
        How many choices (comparisons, largest entries, orders) came out otherwise than without noise, whether or not they
        were then taken as they are without.
    """

    blocks: Blocks
    flips: int


class Pair(Protocol):
    """A candidate and its reference.

    Attributes
    ----------
    name : str
        Of both, as a title has it: ``"kernel against plain"``.
    given : Inputs
        Numbers of the candidate's own formats.
    formats : dict of str to str
        Of each block: in which the candidate stores it, ``"float32"``.
    doubt : str
        Why what the candidate has answered in a coarse format is no evidence against it; empty where it is.
    """

    @property
    def name(self) -> str: ...
    @property
    def given(self) -> Inputs: ...
    @property
    def formats(self) -> Mapping[str, str]: ...
    @property
    def doubt(self) -> str: ...

    def candidate(self, at: Inputs) -> Blocks:
        """The candidate's outputs and gradients."""
        ...

    def in_float32(self, at: Inputs) -> Blocks | None:
        """The same where all that floats is float32; None where the candidate is not made for that."""
        ...

    def exact(self, at: Inputs) -> Blocks | None:
        """The reference's in float64; None where it has no such path."""
        ...

    def shaken(self, at: Inputs, level: Level, seed: int, *, free: bool = False) -> Shaken:
        """The reference's under noise, with the choices that it makes there without; with its own where it is ``free``.

        Arguments are `moved` first. One seed is one noise, whatever becomes of choices.
        """
        ...

    def nearest(self, at: Inputs) -> Inputs:
        """The nearest numbers of the candidate's own formats."""
        ...


def output_block(name: str) -> str:
    """What an output is called beside the blocks of the gradient."""
    return name if name == "output" else f"output.{name}"


def moved(at: Inputs, level: Level, seed: int) -> Inputs:
    """Arguments and cotangents as a level may read them."""
    if not level.moved:
        return at
    draws = np.random.default_rng(seed)

    def read(array: Array) -> Array:
        found = draws.uniform(-level.moved, level.moved, array.shape)
        found *= array + level.least if level.least else array
        return np.asarray(np.add(found, array, out=found if found.ndim else None))

    return Inputs(*({name: read(array) for name, array in each.items()} for each in at))
