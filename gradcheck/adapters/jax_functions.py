# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# (JAX's own annotations are partial.)
"""JAX's derivatives: functions with ``custom_vjp`` or ``custom_jvp``, jitted or not, in reverse and forward mode."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from gradcheck.adapters.leaves import argument_leaves, as_numpy, combine, draw, name_of, output_leaves
from gradcheck.checking.checker import check
from gradcheck.errors import CallFailed, DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called
from gradcheck.oracles.directions import signs
from gradcheck.report import Report, joined

MODES = ("reverse", "forward")


def check_jax(
    f: Callable[..., Any], args: tuple[Any, ...], modes: tuple[str, ...] | None, accuracy: float, seed: int
) -> Report:
    """What `gradcheck.check_jax` does."""
    unknown = [mode for mode in modes or () if mode not in MODES]
    if unknown or modes == ():
        raise DataError(f"modes: expected some of {', '.join(MODES)}, got {unknown[0] if unknown else modes!r}")
    with jax.enable_x64(True):
        function = JaxFunction(f, args, seed)
        known = MODES if modes or function.has_forward() else MODES[:1]
        asked = {
            "reverse": (function.loss, function.reverse, function.point),
            "forward": (function.moved, function.forward, function.origin),
        }
        reports = [check(*asked[m], accuracy=accuracy, seed=seed).labelled(m) for m in known if m in (modes or known)]
    notes = [] if known is MODES else [f"{function.name} has no forward mode"]
    return joined(f"{function.name}: {reports[0].title}", reports, notes)


class JaxFunction:
    """A function at its arguments, as losses and gradients of NumPy arrays by name, in either mode."""

    def __init__(self, f: Callable[..., Any], args: tuple[Any, ...], seed: int) -> None:
        self.f, self.name, self.seed = f, name_of(f), seed
        self.arguments = argument_leaves(args, self.name)
        self.point = self.arguments.arrays
        self.origin = dict.fromkeys(self.point, 0.0)
        self.tangents = {name: signs(name, array.shape, seed) for name, array in self.point.items()}
        self.cotangents = draw(_arrays(self.call(self.point)), seed)

    def call(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """Floating outputs by path."""
        return output_leaves(called(self.f, self.name, *self.arguments.rebuild(_typed(arrays))), self.name)

    def loss(self, arrays: Mapping[str, Array]) -> float:
        """The outputs reduced by the cotangents."""
        return combine(_arrays(self.call(arrays)), self.cotangents)

    def reverse(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """By ``jax.vjp``."""
        out, pull = called(jax.vjp, f"the VJP of {self.name}", self.call, _typed(arrays))
        cotangent = {name: jax.numpy.asarray(self.cotangents[name], dtype=value.dtype) for name, value in out.items()}
        (found,) = called(pull, f"the VJP of {self.name}", cotangent)
        return _arrays(found)

    def moved(self, t: Mapping[str, float]) -> float:
        """The loss where each block has moved by t along its tangent."""
        return self.loss(self._along(t))

    def forward(self, t: Mapping[str, float]) -> dict[str, float]:
        """By ``jax.jvp``, one block at a time."""
        point = _typed(self._along(t))
        found: dict[str, float] = {}
        for name in point:
            tangents = {
                other: jax.numpy.asarray(self.tangents[name] if other == name else np.zeros(array.shape), dtype=array.dtype)
                for other, array in point.items()
            }
            _, products = called(jax.jvp, f"the JVP of {self.name}", self.call, (point,), (tangents,))
            found[name] = combine(_arrays(products), self.cotangents)
        return found

    def has_forward(self) -> bool:
        """Whether JAX has a forward mode for it: it has none for a ``custom_vjp``."""
        typed = _typed(self.point)
        try:
            jax.jvp(self.call, (typed,), (typed,))
        except (TypeError, CallFailed) as error:
            return "custom_vjp" not in str(error)
        return True

    def _along(self, t: Mapping[str, float]) -> dict[str, Array]:
        return {name: array + t[name] * self.tangents[name] for name, array in self.point.items()}


def _typed(arrays: Mapping[str, Any]) -> dict[str, jax.Array]:
    return {name: jax.numpy.asarray(array) for name, array in arrays.items()}


def _arrays(values: Mapping[str, Any]) -> dict[str, Array]:
    return {name: as_numpy(value) for name, value in values.items()}
