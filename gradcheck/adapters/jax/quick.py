# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# (JAX's own annotations are partial.)
"""One compilation of the whole in place of one for each operation, where that pays and changes nothing."""

from collections.abc import Callable, Mapping
from time import process_time
from typing import Any, TypeAlias

import jax
import numpy as np
from jax.extend.core import Jaxpr

from gradcheck.adapters.jax.traces import all_within
from gradcheck.adapters.numbers import arrays_of
from gradcheck.foundation.arrays import Array

Arrays: TypeAlias = Mapping[str, Any]
Evaluated: TypeAlias = Callable[..., dict[str, Any]]

# Seconds of all processors; what is faster is not compiled. Small functions take 5 to 15 ms and 0.1 to 0.3 s to compile, for
# some 40 evaluations: no gain. 200 steps of a GRU and 100 of a differential equation take 1.2 s at every call, since JAX
# compiles loops anew, and 1 s to compile for good.
SLOW = 0.02
LOOPS = ("scan", "while", "cond")


class Quick:
    """A function of arrays by name, compiled as soon as a call has shown that it is slow.

    Unless it refuses to be traced, or answers otherwise then: it goes on operation by operation.

    Parameters
    ----------
    f : callable
    often : bool
        Whether it is asked twenty times or more, as pays for a compilation where no loop is compiled at each call.
    """

    def __init__(self, f: Evaluated, *, often: bool) -> None:
        self.f, self.often = f, often
        self._settled: dict[tuple[Any, ...], Evaluated] = {}
        self._calls: dict[tuple[Any, ...], int] = {}

    def __call__(self, *given: Arrays) -> dict[str, Any]:
        """What it returns."""
        kind = tuple(np.dtype(array.dtype) for each in given for array in each.values())
        if kind in self._settled:
            return self._settled[kind](*given)
        begin = process_time()  # of the clock on the wall others may take
        found = jax.block_until_ready(self.f(*given))
        spent = process_time() - begin
        self._calls[kind] = self._calls.get(kind, 0) + 1
        settled = self._settle(found, spent, self._calls[kind] > 1, given)
        if settled is None:
            return found
        self._settled[kind] = settled
        return found if settled is self.f else settled(*given)  # as it is answered from now on, to the last digit

    def _settle(self, found: Arrays, spent: float, again: bool, given: tuple[Arrays, ...]) -> Evaluated | None:
        """By what it is evaluated from now on; None where that is not known yet: JAX compiles operations at first."""
        if spent < SLOW:
            return self.f if again else None
        try:
            trace = jax.jit(self.f).trace(*given)
            loops = _has_loops(trace.jaxpr.jaxpr)
            if not again and (not loops or self._settled):  # another dtype than the first is mostly asked for once
                return None
            if not loops and not self.often:
                return self.f
            compiled = trace.lower().compile()
            return compiled if _same(arrays_of(compiled(*given)), arrays_of(found)) else self.f
        except Exception:  # values decide in Python, or NumPy computes
            return self.f


def _has_loops(trace: Jaxpr) -> bool:
    return any(line.primitive.name in LOOPS for jaxpr in all_within(trace) for line in jaxpr.eqns)


def _same(found: Mapping[str, Array], expected: Mapping[str, Array]) -> bool:
    """To rounding."""
    return found.keys() == expected.keys() and all(map(_alike, found.values(), (expected[name] for name in found)))


def _alike(found: Array, expected: Array) -> bool:
    line = float(np.finfo(expected.dtype).eps) ** 0.5 * float(np.max(np.abs(expected), initial=0.0))
    return found.shape == expected.shape and bool(np.allclose(found, expected, rtol=0.0, atol=line, equal_nan=True))
