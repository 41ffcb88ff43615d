# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# (JAX's own annotations are partial.)
"""JAX's derivatives: functions with ``custom_vjp`` or ``custom_jvp``, jitted or not, in reverse and forward mode."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import numpy as np

from gradcheck.adapters.contract.breaches import under_contract
from gradcheck.adapters.jax.contract import asked as asked_about
from gradcheck.adapters.leaves import Function, combine, settled
from gradcheck.adapters.numbers import arrays_of
from gradcheck.candidates.given import Gradient
from gradcheck.candidates.precision import Arithmetic
from gradcheck.checking.checker import checked, idle, with_notes
from gradcheck.errors import CallFailed, DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called
from gradcheck.foundation.validation import Asked
from gradcheck.oracles.directions import signs
from gradcheck.report import Report, joined

MODES = ("reverse", "forward")


def check_jax(
    f: Callable[..., Any], args: tuple[Any, ...], modes: tuple[str, ...] | None, asked: Asked, contract: bool = True
) -> Report:
    """What `gradcheck.check_jax` does."""
    unknown = [mode for mode in modes or () if mode not in MODES]
    if unknown or modes == ():
        raise DataError(f"modes: expected some of {', '.join(MODES)}, got {unknown[0] if unknown else modes!r}")
    # Whatever is set around the check: disable_jit would leave nothing to compile.
    with jax.enable_x64(True), jax.disable_jit(False), jax.transfer_guard("allow"):
        try:
            function, reports = _reports(f, args, modes, asked, contract)
        except jax.errors.JAXTypeError:  # what functions raise is a sentence by now
            raise DataError(
                "called within jax.jit, jax.vmap or jax.grad, where nothing has numbers: call it outside"
            ) from None
    notes = [] if modes or "forward" in reports else [f"{function.name} has no forward mode"]
    title = next(iter(reports.values())).title
    report = joined(f"{function.name}: {title}", [report.labelled(mode) for mode, report in reports.items()], notes)
    return with_notes(report, function.notes(), unchecked=function.unchecked)


def _reports(
    f: Callable[..., Any], args: tuple[Any, ...], modes: tuple[str, ...] | None, asked: Asked, contract: bool
) -> tuple[Function, dict[str, Report]]:
    function, arithmetic = settled(Function(f, args, asked, jax.numpy.asarray), reverse_of, asked)
    derivatives = Derivatives(function, asked.seed)
    custom = (contract or not modes) and not derivatives.has_forward()
    wanted = modes or (("reverse",) if custom else MODES)
    reports = {mode: _MODES[mode](derivatives, asked, arithmetic) for mode in MODES if mode in wanted}
    if custom and contract and "reverse" in reports:
        reports["reverse"] = under_contract(reports["reverse"], partial(asked_about, function))
    return function, reports


def _reverse(derivatives: "Derivatives", asked: Asked, arithmetic: Arithmetic) -> Report:
    function = derivatives.function
    report, claim = checked(
        function.loss, reverse_of(function), function.point, asked._replace(dtype=None), arithmetic=arithmetic
    )
    return with_notes(report, idle(claim, report.findings))


def _forward(derivatives: "Derivatives", asked: Asked, arithmetic: Arithmetic) -> Report:
    return checked(derivatives.moved, derivatives.forward, derivatives.origin, asked._replace(dtype=None))[0]


_MODES = {"reverse": _reverse, "forward": _forward}


def reverse_of(function: Function) -> Gradient:
    """By ``jax.vjp``."""
    name = f"the VJP of {function.name}"

    def gradient(arrays: Mapping[str, Array]) -> dict[str, Array]:
        out, pull = called(jax.vjp, name, function.call, typed(function.cast(arrays)))
        cotangents = {key: jax.numpy.asarray(function.cotangents[key], dtype=value.dtype) for key, value in out.items()}
        (found,) = called(pull, name, cotangents)
        return arrays_of(found)

    return gradient


class Derivatives:
    """Of a function at its arguments, for NumPy arrays by name, in either mode."""

    def __init__(self, function: Function, seed: int) -> None:
        self.function, self.origin = function, dict.fromkeys(function.point, 0.0)
        self.tangents = {name: signs(name, array.shape, seed) for name, array in function.point.items()}

    def moved(self, t: Mapping[str, float]) -> float:
        """The loss where each block has moved by t along its tangent."""
        return self.function.loss(self._along(t))

    def forward(self, t: Mapping[str, float]) -> dict[str, float]:
        """By ``jax.jvp``, one block at a time."""
        point = typed(self.function.cast(self._along(t)))
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
        point = typed(self.function.cast(self.function.point))
        try:
            jax.jvp(self.function.call, (point,), (point,))
        except (TypeError, CallFailed) as error:
            return "custom_vjp" not in str(error)
        return True

    def _along(self, t: Mapping[str, float]) -> dict[str, Array]:
        return {name: array + t[name] * self.tangents[name] for name, array in self.function.point.items()}


def typed(arrays: Mapping[str, Any]) -> dict[str, jax.Array]:
    """As JAX has them."""
    return {name: jax.numpy.asarray(array) for name, array in arrays.items()}
