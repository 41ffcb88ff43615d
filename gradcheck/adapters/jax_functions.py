# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# (JAX's own annotations are partial.)
"""JAX's derivatives: functions with ``custom_vjp`` or ``custom_jvp``, jitted or not, in reverse and forward mode."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from gradcheck.adapters.leaves import Function, arrays_of, combine
from gradcheck.checking.checker import check
from gradcheck.errors import CallFailed, DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called
from gradcheck.foundation.validation import Asked
from gradcheck.oracles.directions import signs
from gradcheck.report import Report, joined

MODES = ("reverse", "forward")


def check_jax(f: Callable[..., Any], args: tuple[Any, ...], modes: tuple[str, ...] | None, asked: Asked) -> Report:
    """What `gradcheck.check_jax` does."""
    unknown = [mode for mode in modes or () if mode not in MODES]
    if unknown or modes == ():
        raise DataError(f"modes: expected some of {', '.join(MODES)}, got {unknown[0] if unknown else modes!r}")
    with jax.enable_x64(True):
        function = Function(f, args, asked.seed, jax.numpy.asarray)
        derivatives = Derivatives(function, asked.seed)
        wanted = modes or (MODES if derivatives.has_forward() else ("reverse",))
        questions = {
            "reverse": (function.loss, derivatives.reverse, function.point),
            "forward": (derivatives.moved, derivatives.forward, derivatives.origin),
        }
        reports = [check(*questions[mode], **asked._asdict()).labelled(mode) for mode in MODES if mode in wanted]
    notes = [] if modes or "forward" in wanted else [f"{function.name} has no forward mode"]
    return joined(f"{function.name}: {reports[0].title}", reports, notes)


class Derivatives:
    """Of a function at its arguments, for NumPy arrays by name, in either mode."""

    def __init__(self, function: Function, seed: int) -> None:
        self.function, self.origin = function, dict.fromkeys(function.point, 0.0)
        self.tangents = {name: signs(name, array.shape, seed) for name, array in function.point.items()}

    def reverse(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """By ``jax.vjp``."""
        name, cotangents = f"the VJP of {self.function.name}", self.function.cotangents
        out, pull = called(jax.vjp, name, self.function.call, _typed(arrays))
        typed = {key: jax.numpy.asarray(cotangents[key], dtype=value.dtype) for key, value in out.items()}
        (found,) = called(pull, name, typed)
        return arrays_of(found)

    def moved(self, t: Mapping[str, float]) -> float:
        """The loss where each block has moved by t along its tangent."""
        return self.function.loss(self._along(t))

    def forward(self, t: Mapping[str, float]) -> dict[str, float]:
        """By ``jax.jvp``, one block at a time."""
        point = _typed(self._along(t))
        found: dict[str, float] = {}
        for name in point:
            tangents = {
                other: jax.numpy.asarray(self.tangents[name] if other == name else np.zeros(array.shape), dtype=array.dtype)
                for other, array in point.items()
            }
            _, products = called(jax.jvp, f"the JVP of {self.function.name}", self.function.call, (point,), (tangents,))
            found[name] = combine(arrays_of(products), self.function.cotangents)
        return found

    def has_forward(self) -> bool:
        """Whether JAX has a forward mode for it: it has none for a ``custom_vjp``."""
        typed = _typed(self.function.point)
        try:
            jax.jvp(self.function.call, (typed,), (typed,))
        except (TypeError, CallFailed) as error:
            return "custom_vjp" not in str(error)
        return True

    def _along(self, t: Mapping[str, float]) -> dict[str, Array]:
        return {name: array + t[name] * self.tangents[name] for name, array in self.function.point.items()}


def _typed(arrays: Mapping[str, Any]) -> dict[str, jax.Array]:
    return {name: jax.numpy.asarray(array) for name, array in arrays.items()}
