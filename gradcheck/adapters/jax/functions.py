# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# (JAX's own annotations are partial.)
"""JAX's derivatives: functions with ``custom_vjp`` or ``custom_jvp``, jitted or not, in reverse and forward mode."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from gradcheck.adapters.asked import MODES, order_and_modes
from gradcheck.adapters.contract.breaches import under_contract
from gradcheck.adapters.jax.contract import asked as asked_about
from gradcheck.adapters.jax.derivatives import (
    JaxFunction,
    forward_of,
    judged,
    judged_forward,
    lacks_forward,
    lacks_reverse,
    reverse_of,
)
from gradcheck.adapters.jax.hyperparameters import hyperparameters
from gradcheck.adapters.jax.second_order import second_order
from gradcheck.adapters.jax.stopped import explained
from gradcheck.adapters.leaves import settled
from gradcheck.candidates.precision import Arithmetic
from gradcheck.checking.checker import with_notes
from gradcheck.errors import CallFailed, DataError
from gradcheck.foundation.validation import Asked
from gradcheck.report import Report, joined


class Wanted(NamedTuple):
    """Which derivatives are asked about, and whether the contract is."""

    modes: tuple[str, ...] | None
    order: int
    contract: bool

    @classmethod
    def of(cls, modes: str | tuple[str, ...] | None, order: object, contract: bool) -> "Wanted":
        """If they can be asked for.

        Raises
        ------
        DescriptionError
            Where there is no such order.
        DataError
            Where there is no such mode, or not the one that a second derivative needs.
        """
        number, several = order_and_modes(order, modes)
        return cls(several, number, contract)


def own_dtype(dtype: Any, kwargs: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """The dtype to judge in, which is a name: ``jnp.float32`` is an argument of the function."""
    try:
        return (dtype, kwargs) if dtype is None or isinstance(dtype, str) else (None, {**kwargs, "dtype": np.dtype(dtype)})
    except TypeError:
        return dtype, kwargs


def check_jax(
    f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], wanted: Wanted, asked: Asked
) -> Report:
    """What `gradcheck.check_jax` does."""
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
    first, refused = None, ""
    with jax.enable_x64(True):
        try:
            subject = _Subject.of(JaxFunction(f, args, kwargs, asked, constants), wanted, asked)
            if own or not subject.function.as_given or np.float64 in subject.function.given.values():
                return subject.judged()
            refused = subject.function.refused
        except CallFailed as failed:
            if own or asked.dtype == "float64":
                raise
            first, refused = failed, str(failed)
    with jax.enable_x64(False):
        try:
            subject = _Subject.of(JaxFunction(f, args, kwargs, asked, constants), wanted, asked)
        except CallFailed:
            if first is None:
                raise
            raise first from first.__cause__
        subject.function.refused = refused
        return subject.judged()


class _Subject(NamedTuple):
    """A function in the arithmetic in which it is judged, and the modes that are asked of it and that it has."""

    function: JaxFunction
    arithmetic: Arithmetic
    asked: Asked
    wanted: Wanted
    modes: tuple[str, ...]
    lacking: Mapping[str, str]

    @classmethod
    def of(cls, function: JaxFunction, wanted: Wanted, asked: Asked) -> "_Subject":
        """Of one as it is given."""
        modes = wanted.modes or MODES
        no_reverse = lacks_reverse(function) if "reverse" in modes else ""
        if no_reverse and (wanted.modes or wanted.order == 2):
            instead = "order=2 is the derivative of that" if wanted.order == 2 else 'modes=("forward",) judges the other one'
            raise DataError(f"{function.name} has no reverse mode: {instead} ({no_reverse})")
        function, arithmetic = settled(function, forward_of if no_reverse or "reverse" not in modes else reverse_of, asked)
        no_forward = lacks_forward(function) if not no_reverse else ""
        if no_forward and "forward" in (wanted.modes or ()):
            raise DataError(
                f'{function.name} has no forward mode: modes=("reverse",) judges the other one (it {no_forward})'
            )
        lacking = {"reverse": no_reverse, "forward": no_forward}
        there = tuple(mode for mode in modes if not lacking[mode])
        return cls(function, arithmetic, asked, wanted, there, lacking)

    def judged(self) -> Report:
        """In every mode."""
        asked, function = self.asked._replace(dtype=None), self.function
        reports: dict[str, Report] = {}
        if "reverse" in self.modes:
            reports["reverse"] = explained(function, judged(function, self.arithmetic, asked), self.arithmetic, asked)
        if "forward" in self.modes:
            reports["forward"] = judged_forward(function, asked)
        if self.lacking["forward"] and self.wanted.contract:
            reports["reverse"] = under_contract(reports["reverse"], partial(asked_about, function))
        title = next(iter(reports.values())).title
        parts = [report.labelled(mode) for mode, report in reports.items()]
        if self.wanted.order == 2:
            parts += second_order(function, self.arithmetic, reports["reverse"], self.wanted.modes, asked)
        report = joined(f"{function.name}: {title}", parts, list(self._notes()))
        return with_notes(report, function.notes(), unchecked=function.unchecked)

    def _notes(self) -> Iterator[str]:
        name = self.function.name
        if self.lacking["reverse"]:
            yield f"{name} has no reverse mode, and is judged in forward mode alone: {self.lacking['reverse']}"
        if self.lacking["forward"] and not self.wanted.modes:
            yield f"{name} has no forward mode"
