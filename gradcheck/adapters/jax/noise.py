# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# (JAX's own annotations are partial.)
"""A trace of JAX under noise: evaluated equation by equation in float64, each result off as a level of arithmetic has it.

What a trace makes narrower stays as wide as it is. Loops and branches are taken as they come, with their bodies in the place
of a call; primitives that nobody knows, and kernels that a trace only calls, are one operation.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from gradcheck.adapters.jax.evaluating import rule
from gradcheck.adapters.jax.primitives import BODIES, CHOICES, COPIES, FACTORS, NATIVE, PASSED, SUMS
from gradcheck.comparison.noise import Choices, Noise
from gradcheck.foundation.arrays import Array

Values = list[Array]
WIDE = np.dtype(np.float64)


class Interpreter:
    """One evaluation under one noise.

    Parameters
    ----------
    noise : Noise
    choices : Choices
        In the order in which the equations come.
    """

    def __init__(self, noise: Noise, choices: Choices) -> None:
        self.noise, self.choices = noise, choices

    def closed(self, trace: ClosedJaxpr, values: Iterable[Array]) -> Values:
        """What a trace returns."""
        return self.evaluated(trace.jaxpr, [*map(widened, trace.consts), *values])

    def evaluated(self, trace: Jaxpr, values: Iterable[Array]) -> Values:
        """The same, of one whose constants are arguments; what is needed no more is forgotten."""
        known: dict[Any, Array] = dict(zip((*trace.constvars, *trace.invars), values, strict=True))
        last = {variable: i for i, line in enumerate(trace.eqns) for variable in _variables(line.invars)}
        kept = set(_variables(trace.outvars))
        for i, line in enumerate(trace.eqns):
            found = self._equation(line, [_value(known, each) for each in line.invars])
            known.update(zip(line.outvars, found, strict=True))
            for variable in {*_variables(line.invars), *line.outvars}:
                if last.get(variable, i) == i and variable not in kept:
                    known.pop(variable, None)
        return [_value(known, each) for each in trace.outvars]

    def _equation(self, line: Any, values: Values) -> Values:
        name = line.primitive.name
        if name in self.LOOPS:
            return self.LOOPS[name](self, line.params, values)
        if name in BODIES:
            body = line.params[BODIES[name]]
            return self.closed(body, values) if isinstance(body, ClosedJaxpr) else self.evaluated(body, values)
        if name in self.ORDERS:
            return self.ORDERS[name](self, line, values)
        if name in COPIES:
            return bound(line, values)
        if name in CHOICES or not any(map(floats, values)):
            return [self._taken(each) if any(map(floats, values)) else each for each in bound(line, values)]
        return self._rounded(line, name, values)

    def _rounded(self, line: Any, name: str, values: Values) -> Values:
        """Sums with noise on their terms; what comes out, off by a roundoff."""
        if name not in SUMS:
            return [self._settled(each, self.noise.result) for each in bound(line, values)]
        n = SUMS[name](line.params, values)
        if name in FACTORS:
            values = [self.noise.factor(each, n) if floats(each) else each for each in values]
        else:
            values = [self.noise.term(each, n) if floats(each) and i not in PASSED.get(name, ()) else each
                      for i, each in enumerate(values)]  # fmt: skip
        return [self._settled(each, lambda sums: self.noise.total(sums, n)) for each in bound(line, values)]

    def _settled(self, found: Array, off: Callable[[Array], Array]) -> Array:
        return off(found) if floats(found) else self._taken(found)

    def _taken(self, choice: Array) -> Array:
        return self.choices.taken(choice).astype(choice.dtype)

    def _converted(self, line: Any, values: Values) -> Values:
        """A narrower floating format is none; whole numbers are a choice."""
        found = bound(line, values)
        return [self._taken(found[0])] if floats(values[0]) and not floats(found[0]) else found

    def _sorted(self, line: Any, values: Values) -> Values:
        """All operands in the order of the first ones."""
        axis = line.params["dimension"]
        places = np.indices(values[0].shape)[axis]
        order = self._taken(bound(line, [*values, places])[-1])
        return [np.take_along_axis(each, order, axis) for each in values]

    def _top(self, line: Any, values: Values) -> Values:
        """The entries at the places that are chosen."""
        _, places = bound(line, values)
        chosen = self._taken(places)
        return [np.take_along_axis(values[0], chosen, line.params.get("axis", -1)), chosen]

    def _pooled(self, line: Any, values: Values) -> Values:
        """What stands or falls at the largest entry of each window: that which is largest without noise."""
        source, operand = values
        free = bound(line, values)[0]
        found = bound(line, [source, self.choices.without(operand)])[0]
        self.choices.flips += int(np.count_nonzero(free != found))
        return [self.noise.result(free if self.choices.free else found)]

    def _scan(self, params: Mapping[str, Any], values: Values) -> Values:
        consts, carried = params["num_consts"], params["num_carry"]
        fixed, carry, rows = values[:consts], values[consts : consts + carried], values[consts + carried :]
        steps: list[tuple[int, Values]] = []
        for t in reversed(range(params["length"])) if params["reverse"] else range(params["length"]):
            found = self.closed(params["jaxpr"], [*fixed, *carry, *(row[t] for row in rows)])
            carry = found[:carried]
            steps.append((t, found[carried:]))
        steps.sort(key=lambda step: step[0])
        shapes = params["jaxpr"].out_avals[carried:]
        empty = [np.zeros((0, *aval.shape), aval.dtype) for aval in shapes]
        return [*carry, *([np.stack(each) for each in zip(*(row for _, row in steps), strict=True)] if steps else empty)]

    def _while(self, params: Mapping[str, Any], values: Values) -> Values:
        tested, done = params["cond_nconsts"], params["body_nconsts"]
        condition, fixed, carry = values[:tested], values[tested : tested + done], values[tested + done :]
        while bool(self.closed(params["cond_jaxpr"], [*condition, *carry])[0].all()):
            carry = self.closed(params["body_jaxpr"], [*fixed, *carry])
        return carry

    def _branch(self, params: Mapping[str, Any], values: Values) -> Values:
        branches = params["branches"]
        return self.closed(branches[int(np.clip(int(values[0]), 0, len(branches) - 1))], values[1:])

    LOOPS = {"scan": _scan, "while": _while, "cond": _branch}  # noqa: RUF012 - a table
    ORDERS = {  # noqa: RUF012
        "convert_element_type": _converted,
        "sort": _sorted,
        "top_k": _top,
        "select_and_scatter_add": _pooled,
        "select_and_gather_add": _pooled,
    }


def bound(line: Any, values: Sequence[Array]) -> Values:
    """What a primitive makes of numbers, in float64 where it is known what that means."""
    params, operands = line.params, list[Any](values)
    if evaluate := rule(line.primitive.name, operands):
        found = evaluate({name: _wide(each) for name, each in params.items()}, *operands)
        return [np.asarray(found)]
    if line.primitive.name in NATIVE or any(isinstance(each, Jaxpr | ClosedJaxpr) for each in _flat(params)):
        avals = [each.aval.dtype for each in line.invars]
        operands = [np.asarray(each).astype(dtype) for each, dtype in zip(operands, avals, strict=True)]
    else:
        params = {name: _wide(each) for name, each in params.items()}
    found = line.primitive.bind(*map(jnp.asarray, operands), **params)
    return [widened(each) for each in (found if line.primitive.multiple_results else (found,))]


def widened(value: Any) -> Array:
    """As NumPy has it, what floats in float64."""
    if jnp.issubdtype(value.dtype, jax.dtypes.extended):
        return value
    array = np.asarray(value)
    return array.astype(WIDE) if jnp.issubdtype(array.dtype, jnp.floating) else array


def floats(value: Any) -> bool:
    """Whether noise is put on it."""
    return getattr(value.dtype, "kind", "") in "fc"


def _wide(parameter: Any) -> Any:
    """Float64 in the place of a narrower format."""
    try:
        floating = isinstance(parameter, type | np.dtype) and jnp.issubdtype(parameter, jnp.floating)
    except TypeError:
        return parameter
    return WIDE if floating else parameter


def _flat(params: Mapping[str, Any]) -> Iterable[Any]:
    for each in params.values():
        yield from each if isinstance(each, tuple | list) else (each,)


def _variables(atoms: Iterable[Any]) -> Iterable[Any]:
    return (atom for atom in atoms if not isinstance(atom, Literal))


def _value(known: Mapping[Any, Array], atom: Any) -> Array:
    return widened(np.asarray(atom.val)) if isinstance(atom, Literal) else known[atom]
