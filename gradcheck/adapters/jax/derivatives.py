# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# (JAX's own annotations are partial.)
"""A function of JAX at its arguments, and its derivatives in either mode, for NumPy arrays by name."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradcheck.adapters.jax.quick import Quick
from gradcheck.adapters.jax.traces import all_within
from gradcheck.adapters.leaves import Function, combine
from gradcheck.adapters.numbers import arrays_of
from gradcheck.candidates.complex_points import TRANSPOSE
from gradcheck.candidates.given import Gradient
from gradcheck.candidates.precision import Arithmetic
from gradcheck.checking.checker import checked, idle, with_notes
from gradcheck.errors import CallFailed
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called
from gradcheck.foundation.validation import Asked
from gradcheck.oracles.directions import signs
from gradcheck.report import Report

# What JAX says of a function that has no such mode at all, whoever wrote it.
NO_REVERSE = ("Reverse-mode differentiation does not work for", "Transpose rule (for reverse-mode differentiation)")
NO_FORWARD = ("can't apply forward-mode autodiff (jvp) to a custom_vjp",)


class JaxFunction(Function):
    """Of JAX's arrays; compiled as a whole where that pays."""

    def __init__(
        self,
        f: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        asked: Asked,
        constants: Collection[str] = (),
    ) -> None:
        self.make_quick()
        super().__init__(f, args, kwargs, asked, jnp, jnp.asarray, constants)

    def make_quick(self) -> None:
        """Compile anew what is asked from now on."""
        self._outputs, self._pulled, self._pushed = Quick(self.call), Quick(self._pull, self._is_written), Quick(self.pushed)

    def _is_written(self) -> bool:
        """Whether somebody has written a backward function that is in it."""
        trace = jax.make_jaxpr(self.call)(typed(self.cast(self.point)))
        return any("custom_vjp" in line.primitive.name for each in all_within(trace.jaxpr) for line in each.eqns)

    def outputs(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """By name."""
        return self._outputs(typed(arrays))

    def gradient(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """By ``jax.vjp``."""
        return arrays_of(self._pulled(typed(self.cast(arrays))))

    def products(self, arrays: Mapping[str, Array], tangents: Mapping[str, Array]) -> dict[str, Array]:
        """By ``jax.jvp``."""
        point = typed(self.cast(arrays))
        along = {name: jnp.asarray(tangents[name], dtype=array.dtype) for name, array in point.items()}
        return arrays_of(self._pushed(point, along))

    def _pull(self, point: Mapping[str, jax.Array]) -> dict[str, Any]:
        name = f"the VJP of {self.name}"
        out, pull = called(jax.vjp, name, self.call, dict(point))
        cotangents = {key: jnp.asarray(self.cotangents[key], dtype=value.dtype) for key, value in out.items()}
        return called(pull, name, cotangents)[0]

    def pushed(self, point: Mapping[str, jax.Array], tangents: Mapping[str, jax.Array]) -> dict[str, Any]:
        """By ``jax.jvp``, of JAX's arrays and operation by operation."""
        return called(jax.jvp, f"the JVP of {self.name}", self.call, (dict(point),), (dict(tangents),))[1]


def reverse_of(function: JaxFunction) -> Gradient:
    """Its gradient."""
    return function.gradient


def forward_of(function: JaxFunction) -> Gradient:
    """Where that has none, the products with one tangent."""

    def products(arrays: Mapping[str, Array]) -> dict[str, Array]:
        return function.products(arrays, {name: np.ones(array.shape) for name, array in function.point.items()})

    return products


class Derivatives:
    """Of a function in forward mode, each block moving along one tangent."""

    def __init__(self, function: JaxFunction, seed: int) -> None:
        self.function, self.origin = function, dict.fromkeys(function.point, 0.0)
        self.tangents = {name: signs(name, array.shape, seed) for name, array in function.point.items()}

    def moved(self, t: Mapping[str, float]) -> float:
        """The loss where each block has moved by t along its tangent."""
        return self.function.loss(self._along(t))

    def forward(self, t: Mapping[str, float]) -> dict[str, float]:
        """By ``jax.jvp``, one block at a time."""
        point, still = self._along(t), {name: np.zeros(array.shape) for name, array in self.function.point.items()}
        return {name: self._product(point, {**still, name: self.tangents[name]}) for name in point}

    def _product(self, point: Mapping[str, Array], tangents: Mapping[str, Array]) -> float:
        return combine(self.function.products(point, tangents), self.function.cotangents)

    def _along(self, t: Mapping[str, float]) -> dict[str, Array]:
        return {name: array + t[name] * self.tangents[name] for name, array in self.function.point.items()}


def judged(function: JaxFunction, arithmetic: Arithmetic, asked: Asked) -> Report:
    """Its gradient against differences."""
    complex_blocks = dict.fromkeys(function.complex, TRANSPOSE)
    report, claim = checked(
        function.loss, function.gradient, function.point, asked, arithmetic, complex_blocks=complex_blocks
    )
    return with_notes(report, idle(claim, report.findings))


def judged_forward(function: JaxFunction, asked: Asked) -> Report:
    """Its products with tangents against differences."""
    moving = Derivatives(function, asked.seed)
    return checked(moving.moved, moving.forward, moving.origin, asked)[0]


def lacks_reverse(function: JaxFunction) -> str:
    """What JAX says where a function has no reverse mode; empty where it has, or where what it raises is another thing."""
    return _lacks(lambda: function.gradient(function.point), NO_REVERSE)


def lacks_forward(function: JaxFunction) -> str:
    """The same of forward mode: a ``custom_vjp`` has none, and lowering it says so at once."""
    point = typed(function.cast(function.point))
    lowered = jax.jit(partial(function.pushed, point)).lower
    return _lacks(lambda: called(lowered, function.name, point), NO_FORWARD) or _lacks(
        lambda: forward_of(function)(function.point), NO_FORWARD
    )


def _lacks(derivative: Callable[[], Any], said: tuple[str, ...]) -> str:
    try:
        derivative()
    except CallFailed as failed:
        found = (str(failed)[str(failed).index(sentence) :] for sentence in said if sentence in str(failed))
        return next(found, "").partition(". ")[0].partition(" (ad.py")[0]
    return ""


def typed(arrays: Mapping[str, Any]) -> dict[str, jax.Array]:
    """As JAX has them."""
    return {name: jnp.asarray(array) for name, array in arrays.items()}
