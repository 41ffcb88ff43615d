# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# (JAX's own annotations are partial.)
"""The first answer of a JAX function, and how it is asked again."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from gradcheck.adapters.contract.breaches import shortly
from gradcheck.adapters.contract.first import First, Gradients, Refused
from gradcheck.adapters.jax.traces import eps_of
from gradcheck.adapters.leaves import Function
from gradcheck.adapters.numbers import arrays_of
from gradcheck.foundation.arrays import Array

Arrays: TypeAlias = Mapping[str, jax.Array]
Pull: TypeAlias = Callable[[Arrays], tuple[Arrays]]


class Both(NamedTuple):
    """Outputs, and the gradients to their cotangents."""

    outputs: Arrays
    gradients: Arrays


class Examined(First):
    """A function with its first answer, which later ones are held against.

    Attributes
    ----------
    given, cotangents : dict of str to jax.Array
        Point and cotangents of the first answer, in the dtype that is judged.
    pull : callable
        The backward pass of the first answer.
    compiled : bool
        Whether it can be under ``jax.jit``, which saves time with what is asked later.
    breaks_when_traced : bool
        Whether it is known to answer otherwise there.
    """

    def __init__(self, function: Function, judged: Collection[str]) -> None:
        self.function, self.compiled, self.breaks_when_traced = function, False, False
        self.given = self.typed(function.point)
        outputs, self.pull = vjp(self.call, self.given)
        drawn = function.cotangents
        self.cotangents = {name: jnp.asarray(drawn[name], dtype=value.dtype) for name, value in outputs.items()}
        gradients = self.backward(self.cotangents)
        spacing = max(eps_of(value.dtype) for value in (*self.given.values(), *outputs.values()))
        super().__init__(judged, function.point, wide(outputs), gradients, lambda by: self.backward(self.times(by)), spacing)

    def typed(self, point: Gradients) -> Arrays:
        """As the function is given it."""
        return {name: jnp.asarray(array) for name, array in self.function.cast(point).items()}

    def times(self, factor: float) -> Arrays:
        """The cotangents times a factor."""
        return {name: factor * cotangent for name, cotangent in self.cotangents.items()}

    def backward(self, cotangents: Arrays) -> dict[str, Array]:
        """The backward pass of the first answer again."""
        return wide(self.pull(cotangents)[0])

    def call(self, moved: Arrays, outputs: Collection[str] | None = None) -> dict[str, Any]:
        """These outputs, or all, where these leaves stand in place of the point's; the others are constants."""
        found = self.function.call({**self.given, **moved})
        return {name: value for name, value in found.items() if outputs is None or name in outputs}

    def both(self, moved: Arrays, cotangents: Arrays) -> Both:
        """Forward and backward pass: of the outputs that have a cotangent, by the leaves that are moved."""
        outputs, pull = vjp(partial(self.call, outputs=frozenset(cotangents)), moved)
        return Both(outputs, pull(cotangents)[0])

    def batched(self, points: Arrays, cotangents: Arrays) -> Both:
        """The same through ``vmap``, of stacked points."""
        outputs, pull = vjp(jax.vmap(self.call), points)
        return Both(outputs, pull(cotangents)[0])


def vjp(f: Callable[..., Any], point: Arrays) -> tuple[Arrays, Pull]:
    """``jax.vjp``; what is raised there is the forward pass's."""
    try:
        return jax.vjp(f, point)
    except Exception as error:
        raise Refused(f"it is refused: it {shortly(error)}") from error


def wide(arrays: Arrays) -> dict[str, Array]:
    """In float64, where differences do not round."""
    return {name: array.astype(np.float64) for name, array in arrays_of(arrays).items()}
