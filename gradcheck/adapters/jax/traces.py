# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# (JAX's own annotations are partial.)
"""Traces of JAX: those within another one, and the coarsest arithmetic of all."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr

from gradcheck.adapters.numbers import dtype_of


def eps_of(dtype: Any) -> float:
    """The spacing of 1; 0 of what is no real floating number."""
    return float(jnp.finfo(dtype).eps) if jnp.issubdtype(dtype, jnp.floating) else 0.0


def coarsest(jaxpr: Jaxpr) -> float:
    """The spacing of 1 in the coarsest arithmetic of a trace, and of all traces within it."""
    lines = (line for each in all_within(jaxpr) for line in each.eqns)
    return max((eps_of(dtype_of(variable.aval)) for line in lines for variable in line.outvars), default=0.0)


def all_within(jaxpr: Jaxpr) -> Iterator[Jaxpr]:
    """A trace and those within it, each once: the bodies of calls, loops and branches."""
    seen, todo = set[int](), [jaxpr]
    while todo:
        each = todo.pop()
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            todo += [inner for line in each.eqns for inner in _called(line.params)]


def _called(parameters: Mapping[str, Any]) -> Iterator[Jaxpr]:
    """Traces that an operation calls, alone or several."""
    for value in parameters.values():
        for each in value if isinstance(value, (tuple, list)) else (value,):
            trace = each.jaxpr if isinstance(each, ClosedJaxpr) else each
            if isinstance(trace, Jaxpr):
                yield trace


def rewritten(jaxpr: Jaxpr, line_of: Callable[[Any], Any]) -> Jaxpr:
    """The same with other operations in the place of its own, in the traces within it, too."""

    def inner(value: Any) -> Any:
        if isinstance(value, ClosedJaxpr):
            return value.replace(jaxpr=rewritten(value.jaxpr, line_of))
        if isinstance(value, Jaxpr):
            return rewritten(value, line_of)
        return type(value)(map(inner, value)) if type(value) in (tuple, list) else value

    lines = [line.replace(params={name: inner(each) for name, each in line.params.items()}) for line in jaxpr.eqns]
    return jaxpr.replace(eqns=[line_of(line) for line in lines])
