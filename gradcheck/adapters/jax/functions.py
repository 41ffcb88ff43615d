# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# (JAX's own annotations are partial.)
"""JAX's derivatives: functions with ``custom_vjp`` or ``custom_jvp``, jitted or not, in reverse and forward mode."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from gradcheck.adapters.contract.breaches import under_contract
from gradcheck.adapters.jax.contract import asked as asked_about
from gradcheck.adapters.jax.derivatives import (
    Derivatives,
    JaxFunction,
    forward_of,
    lacks_forward,
    lacks_reverse,
    reverse_of,
)
from gradcheck.adapters.jax.hyperparameters import hyperparameters
from gradcheck.adapters.jax.second_order import second_order
from gradcheck.adapters.leaves import settled
from gradcheck.candidates.precision import Arithmetic
from gradcheck.checking.checker import checked, idle, with_notes
from gradcheck.errors import CallFailed, DataError, DescriptionError
from gradcheck.foundation.validation import Asked
from gradcheck.foundation.wording import shown
from gradcheck.report import Report, joined

MODES = ("reverse", "forward")


class Wanted(NamedTuple):
    """Which derivatives are asked about, and whether the contract is."""

    modes: tuple[str, ...] | None = None
    order: int = 1
    contract: bool = True

    def checked(self) -> "Wanted":
        """The same, if it can be asked for."""
        modes = (self.modes,) if isinstance(self.modes, str) else self.modes
        unknown = [mode for mode in modes or () if mode not in MODES]
        if unknown or modes == ():
            raise DataError(f"modes: expected some of {', '.join(MODES)}, got {shown(unknown[0] if unknown else modes)}")
        if isinstance(self.order, bool) or self.order not in (1, 2):
            raise DescriptionError(f"expected 1 or 2, got {shown(self.order)}", "order")
        if self.order == 2 and modes is not None and "reverse" not in modes:
            raise DataError("order: the second derivative is that of reverse mode: ask for 'reverse', too")
        return self._replace(modes=modes)


def own_dtype(dtype: Any, kwargs: Mapping[str, Any]) -> tuple[str | None, Mapping[str, Any]]:
    """The dtype to judge in, which is a name: ``jnp.float32`` is an argument of the function."""
    try:
        return (dtype, kwargs) if dtype is None or isinstance(dtype, str) else (None, {**kwargs, "dtype": np.dtype(dtype)})
    except TypeError:
        return dtype, kwargs


def check_jax(
    f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], wanted: Wanted, asked: Asked
) -> Report:
    """What `gradcheck.check_jax` does."""
    wanted = wanted.checked()
    # Whatever is set around the check: disable_jit would leave nothing to compile.
    with jax.disable_jit(False), jax.transfer_guard("allow"):
        try:
            return _in_64_bits(f, args, kwargs, wanted, asked)
        except jax.errors.JAXTypeError:  # what functions raise is a sentence by now
            raise DataError(
                "called within jax.jit, jax.vmap or jax.grad, where nothing has numbers: call it outside"
            ) from None


def _in_64_bits(
    f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], wanted: Wanted, asked: Asked
) -> Report:
    """In these; a function that insists on less, under the setting that its user has."""
    constants = hyperparameters(args, kwargs)
    own = bool(jax.config.read("jax_enable_x64"))
    first: CallFailed | None = None
    with jax.enable_x64(True):
        try:
            subject = _Subject.of(JaxFunction(f, args, kwargs, asked, constants), wanted, asked)
            if own or not subject.function.as_given or np.float64 in subject.function.given.values():
                return subject.judged()
        except CallFailed as failed:
            if own:
                raise
            first = failed
    with jax.enable_x64(False):
        try:
            subject = _Subject.of(JaxFunction(f, args, kwargs, asked, constants), wanted, asked)
        except CallFailed:
            if first is None:
                raise
            raise first from first.__cause__
        subject.function.refused = subject.function.refused or (str(first) if first else "")
        return subject.judged()


class _Subject(NamedTuple):
    """A function in the arithmetic in which it is judged, and the modes that are asked of it and that it has."""

    function: JaxFunction
    arithmetic: Arithmetic
    asked: Asked
    wanted: Wanted
    modes: tuple[str, ...]
    custom: bool
    notes: tuple[str, ...]

    @classmethod
    def of(cls, function: JaxFunction, wanted: Wanted, asked: Asked) -> "_Subject":
        """Of one as it is given."""
        modes = wanted.modes or MODES
        no_reverse = lacks_reverse(function) if "reverse" in modes else ""
        if no_reverse and (wanted.modes or wanted.order == 2):
            instead = "order=2 is the derivative of that" if wanted.order == 2 else 'modes=("forward",) judges the other one'
            raise DataError(f"{function.name} has no reverse mode ({no_reverse}): {instead}")
        function, arithmetic = settled(function, forward_of if no_reverse or "reverse" not in modes else reverse_of, asked)
        asks = wanted.contract or wanted.order == 2 or not wanted.modes
        no_forward = lacks_forward(function) if asks and not no_reverse else ""
        there = [mode for mode in modes if mode != (no_reverse and "reverse") and (wanted.modes or not no_forward)]
        if no_forward and not wanted.modes:
            there = ["reverse"]
        return cls(
            function,
            arithmetic,
            asked,
            wanted,
            tuple(there),
            bool(no_forward),
            tuple(_lacking(function, wanted, no_reverse, no_forward)),
        )

    def judged(self) -> Report:
        """In every mode."""
        reports = {mode: getattr(self, f"_{mode}")() for mode in MODES if mode in self.modes}
        if self.custom and self.wanted.contract and "reverse" in reports:
            reports["reverse"] = under_contract(reports["reverse"], partial(asked_about, self.function))
        title = next(iter(reports.values())).title
        parts = [report.labelled(mode) for mode, report in reports.items()]
        if self.wanted.order == 2:
            parts += second_order(self.function, self.arithmetic, reports["reverse"], self.wanted.modes or MODES, self.asked)
        report = joined(f"{self.function.name}: {title}", parts, self.notes)
        return with_notes(report, self.function.notes(), unchecked=self.function.unchecked)

    def _reverse(self) -> Report:
        function, asked = self.function, self.asked._replace(dtype=None)
        report, claim = checked(function.loss, function.gradient, function.point, asked, arithmetic=self.arithmetic)
        return with_notes(report, idle(claim, report.findings))

    def _forward(self) -> Report:
        derivatives = Derivatives(self.function, self.asked.seed)
        asked = self.asked._replace(dtype=None)
        return checked(derivatives.moved, derivatives.forward, derivatives.origin, asked)[0]


def _lacking(function: JaxFunction, wanted: Wanted, no_reverse: str, no_forward: str) -> Iterator[str]:
    if no_reverse:
        yield f"{function.name} has no reverse mode, and is judged in forward mode alone: {no_reverse}"
    if no_forward and not wanted.modes:
        yield f"{function.name} has no forward mode"
