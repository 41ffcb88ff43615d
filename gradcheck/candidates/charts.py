"""Coordinates of a block: what is moved in its place, where not every array of its shape is a point.

A loss f on such points is judged as f(lift(s)), s being free, and its claimed gradient g as pull(s, g) = J(s)^T g, with J
the derivative of the lift. Where that is a projection, s has the block's own shape and entries.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from gradcheck.foundation.arrays import Array


class Chart(NamedTuple):
    """Coordinates of one block.

    Attributes
    ----------
    start : array
        The coordinates of the point in question.
    lift : callable
        From coordinates to the block.
    pull : callable
        From coordinates and a gradient by the block to the gradient by the coordinates.
    """

    start: Array
    lift: Callable[[Array], Array]
    pull: Callable[[Array, Array], Array]


def lifted(charts: Mapping[str, Chart], arrays: Mapping[str, Array]) -> Mapping[str, Array]:
    """The blocks at these coordinates; those that have no chart are their own."""
    return {n: charts[n].lift(value) if n in charts else value for n, value in arrays.items()} if charts else arrays


def pulled(charts: Mapping[str, Chart], arrays: Mapping[str, Array], gradients: Mapping[str, Array]) -> dict[str, Array]:
    """The gradient by the coordinates."""
    if not charts:
        return dict(gradients)
    return {n: charts[n].pull(arrays[n], g) if n in charts else g for n, g in gradients.items()}
