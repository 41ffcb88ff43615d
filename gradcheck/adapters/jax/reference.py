# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# (JAX's own annotations are partial.)
"""A JAX kernel and its reference as a pair: outputs and gradients of both, at the dtypes that were given."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr
from msgspec.structs import replace

from gradcheck.adapters.contract.breaches import under_contract
from gradcheck.adapters.jax.contract import asked as asked_about
from gradcheck.adapters.jax.derivatives import JaxFunction, lacks_forward
from gradcheck.adapters.jax.hyperparameters import hyperparameters
from gradcheck.adapters.jax.noise import Interpreter
from gradcheck.adapters.leaves import Function
from gradcheck.adapters.numbers import dtype_of
from gradcheck.candidates.precision import AS_GIVEN
from gradcheck.comparison.levels import Level, known_format
from gradcheck.comparison.noise import Choices, Noise
from gradcheck.comparison.pair import Blocks, Inputs, Shaken, moved, output_block
from gradcheck.comparison.procedure import compared
from gradcheck.errors import CallFailed, DataError
from gradcheck.foundation.arithmetic import UNITS
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called
from gradcheck.foundation.validation import Asked
from gradcheck.foundation.wording import enumerated
from gradcheck.oracles.directions import normal
from gradcheck.report import Report

BACKEND = "reverse"


def check_against(
    f: Callable[..., Any],
    reference: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    asked: Asked,
    contract: bool = True,
) -> Report:
    """What `gradcheck.check_jax` does where it is given a reference."""
    with jax.disable_jit(False), jax.transfer_guard("allow"):
        try:
            pair = JaxPair(f, reference, args, kwargs, asked)
            report = compared(pair, asked)
            if contract and pair.has_backward_of_its_own():
                report = under_contract(report, partial(_asked_about, pair))
        except jax.errors.JAXTypeError:  # what functions raise is a sentence by now
            raise DataError(
                "called within jax.jit, jax.vmap or jax.grad, where nothing has numbers: call it outside"
            ) from None
    unchecked = (*report.unchecked, *pair.kernel.unchecked, *pair.extra)
    return replace(report.labelled(BACKEND), notes=(*report.notes, *_notes(pair)), unchecked=unchecked)


class Typed(NamedTuple):
    """Arguments and cotangents as JAX has them."""

    point: Mapping[str, Any]
    cotangents: Mapping[str, Any]


class Trace(NamedTuple):
    """The reference with its backward pass, as equations; and the names of what these return, in order."""

    equations: ClosedJaxpr
    outputs: list[str]
    gradients: list[str]


class JaxPair:
    """A kernel and its reference (`gradcheck.comparison.pair.Pair`); blocks are outputs and gradients.

    The kernel is called under JAX's setting as it is found, but in 64 bits where it is given such numbers.

    Raises
    ------
    DataError
        Where the reference has not all outputs of the kernel, or others.
    CallFailed
        Where one raises, or the reference cannot be traced.
    """

    doubt = ""

    def __init__(
        self,
        f: Callable[..., Any],
        reference: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        asked: Asked,
    ) -> None:
        given, seed = asked._replace(dtype=AS_GIVEN if asked.dtype is None else asked.dtype), asked.seed
        arrays = [dtype_of(leaf) for leaf in jax.tree.leaves((args, dict(kwargs))) if not isinstance(leaf, float)]
        self.wide = given.dtype == "float64" or (given.dtype == AS_GIVEN and np.dtype(np.float64) in arrays)
        with self._setting():
            self.kernel = JaxFunction(f, args, kwargs, given, hyperparameters(args, kwargs))
            outputs = self.kernel.call(self.kernel.cast(self.kernel.point))
        self.reference = copy(self.kernel)
        self.reference.f, self.reference.name = reference, getattr(reference, "__name__", type(reference).__name__)
        self.name = f"{self.kernel.name} against {self.reference.name}"
        dtypes = {name: np.dtype(value.dtype) for name, value in outputs.items()}
        self._cast = {**self.kernel.given, **{output_block(name): dtype for name, dtype in dtypes.items()}}
        self.formats = {name: _format(dtype) for name, dtype in self._cast.items()}
        cotangents = {output_block(name): normal(output_block(name), value.shape, seed) for name, value in outputs.items()}
        self.given = self.nearest(Inputs(self.kernel.point, cotangents))
        self._trace = self._traced()
        self.extra = [name for name in cotangents if name not in self._trace.outputs]
        self._decided: tuple[Inputs | None, list[Array]] = (None, [])

    def candidate(self, at: Inputs) -> Blocks:
        """Outputs and gradients, at the dtypes that were given."""
        with self._setting():
            return _evaluated(self.kernel, self._typed(at))

    def in_float32(self, at: Inputs) -> Blocks | None:
        """The same in float32, if what it returns is float32 then."""
        point = {name: jnp.asarray(array, np.float32) for name, array in at.point.items()}
        try:
            outputs = self.kernel.call(point)
            if any(UNITS[_format(value.dtype)] > UNITS["float32"] for value in outputs.values()):
                return None
            cotangents = {
                output_block(name): jnp.asarray(at.cotangents[output_block(name)], value.dtype)
                for name, value in outputs.items()
            }
            return _evaluated(self.kernel, Typed(point, cotangents))
        except CallFailed:
            return None

    def exact(self, at: Inputs) -> Blocks | None:
        """The reference's equations in float64."""
        choices = Choices()
        found = self._interpreted(at, Noise(), choices)
        self._decided = at, choices.made
        return found

    def shaken(self, at: Inputs, level: Level, seed: int, *, free: bool = False) -> Shaken:
        """The same under noise."""
        if self._decided[0] is not at:
            self.exact(at)
        choices = Choices(self._decided[1], free=free)
        found = self._interpreted(moved(at, level, seed), Noise(level, seed), choices)
        return Shaken(found, choices.ended())

    def nearest(self, at: Inputs) -> Inputs:
        """Rounded to the dtypes of leaves and outputs."""
        return Inputs(*({name: _wide(np.asarray(a).astype(self._cast[name])) for name, a in each.items()} for each in at))

    def has_backward_of_its_own(self) -> bool:
        """Whether the kernel is a ``custom_vjp``: it then has no forward mode."""
        with self._setting():
            return bool(lacks_forward(self.kernel))

    def _setting(self) -> AbstractContextManager[Any]:
        return jax.enable_x64(True) if self.wide else nullcontext()

    def _typed(self, at: Inputs) -> Typed:
        return Typed(*({name: jnp.asarray(a, self._cast[name]) for name, a in each.items()} for each in at))

    def _traced(self) -> Trace:
        """In float64; where the reference refuses that, in its own dtypes, which are widened later."""
        with jax.enable_x64(True):
            try:
                return _trace(self.reference, Typed(*self.given))
            except CallFailed as failed:
                first = failed
        with self._setting():
            try:
                return _trace(self.reference, self._typed(self.given))
            except CallFailed:
                raise first from first.__cause__

    def _interpreted(self, at: Inputs, noise: Noise, choices: Choices) -> Blocks:
        values = [each[name] for each in at for name in sorted(each)]
        with jax.enable_x64(True):
            found = called(Interpreter(noise, choices).closed, self.reference.name, self._trace.equations, values)
        names = [*self._trace.outputs, *self._trace.gradients]
        return {name: _wide(array) for name, array in zip(names, found, strict=True)}


def _trace(function: Function, at: Typed) -> Trace:
    """Of a function with its backward pass, at numbers that do not matter."""
    outputs: list[str] = []

    def both(point: Mapping[str, Any], cotangents: Mapping[str, Any]) -> Any:
        found, pull = jax.vjp(function.call, dict(point))
        _refuse_other_outputs(function, found, cotangents)
        outputs[:] = sorted(map(output_block, found))
        ((gradients),) = pull(
            {name: jnp.asarray(cotangents[output_block(name)], value.dtype) for name, value in found.items()}
        )
        values = {output_block(name): value for name, value in found.items()}
        return [values[name] for name in outputs], [gradients[name] for name in sorted(point)]

    try:
        equations = called(jax.make_jaxpr(both), function.name, dict(at.point), dict(at.cotangents))
    except (DataError, CallFailed) as error:  # without what JAX has to say of its own frames
        raise type(error)(str(error)) from error.__cause__
    return Trace(equations, list(outputs), sorted(at.point))


def _refuse_other_outputs(function: Function, found: Mapping[str, Any], cotangents: Mapping[str, Any]) -> None:
    for name, value in found.items():
        mine = cotangents.get(output_block(name))
        if mine is None:
            raise DataError(
                f"reference: {function.name} returns {enumerated(sorted(map(output_block, found)))}, "
                f"the kernel {enumerated(sorted(cotangents))}"
            )
        if mine.shape != value.shape:
            raise DataError(
                f"reference: {output_block(name)} has shape {value.shape} in {function.name}, {mine.shape} in the kernel"
            )


def _evaluated(function: Function, at: Typed) -> Blocks:
    outputs, pull = called(jax.vjp, function.name, function.call, dict(at.point))
    cotangents = {name: at.cotangents[output_block(name)] for name in outputs}
    (gradients,) = called(pull, f"the VJP of {function.name}", cotangents)
    return {
        **{output_block(name): _wide(value) for name, value in outputs.items()},
        **{n: _wide(g) for n, g in gradients.items()},
    }


def _asked_about(pair: JaxPair, judged: Any) -> Any:
    with pair._setting():  # pyright: ignore[reportPrivateUsage]
        return asked_about(pair.kernel, judged)


def _format(dtype: Any) -> str:
    return known_format(np.dtype(dtype).name)


def _wide(value: Any) -> Array:
    return np.asarray(value).astype(np.float64)


def _notes(pair: JaxPair) -> Iterator[str]:
    yield from (f"{name}: the reference returns no such output: not looked at" for name in pair.extra)
    yield from pair.kernel.notes()
