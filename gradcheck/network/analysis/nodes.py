"""Records that behave as arrays do, as far as the meaning of a layer needs it: NumPy hands its functions over to them."""

import operator
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from math import prod
from typing import Any, cast

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from gradcheck.foundation.arrays import Array, zeros
from gradcheck.network.analysis.calculus import SAFETY, or_inf
from gradcheck.network.analysis.choices import Choice
from gradcheck.network.analysis.tape import Record, Rule
from gradcheck.network.reference.meaning import entrywise
from gradcheck.network.reference.primitives import Recorded, largest

RULES: dict[Any, Rule] = {}
"""Of NumPy's functions, all others of one argument ("unary"), the reference's primitives; modules of rules add theirs."""

COMPARISONS = (np.greater, np.greater_equal, np.less, np.less_equal)


class Node(Record, Recorded, NDArrayOperatorsMixin):
    """A record as an array."""

    __slots__ = ()

    @property
    def ndim(self) -> int:
        return self.value.ndim

    @property
    def size(self) -> int:
        return self.value.size

    @property
    def dtype(self) -> Any:
        return self.value.dtype

    @property
    def mT(self) -> "Node":  # noqa: N802, as an array calls it
        return self.swapaxes(-1, -2)

    @property
    def T(self) -> "Node":  # noqa: N802
        return self.transpose()

    @property
    def real(self) -> "Node":
        return self

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the analysis of rounding knows no array.{name}; it knows {_known()}")

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, key: Any) -> "Node":
        return self.tape.do(RULES[operator.getitem], (self,), {"key": key})

    def reshape(self, *shape: Any) -> "Node":
        return self.tape.do(RULES[np.reshape], (self,), {"shape": _spread(shape)})

    def transpose(self, *axes: Any) -> "Node":
        return self.tape.do(RULES[np.transpose], (self,), {"axes": _spread(axes) or tuple(reversed(range(self.ndim)))})

    def swapaxes(self, first: int, second: int) -> "Node":
        axes = list(range(self.ndim))
        axes[first], axes[second] = axes[second], axes[first]
        return self.transpose(*axes)

    def sum(self, axis: Any = None, keepdims: bool = False) -> "Node":
        options = {"axis": self._axes(axis), "keepdims": keepdims, "in_turn": self.tape.dtype == np.float32}
        return self.tape.do(RULES[np.sum], (self,), options)

    def mean(self, axis: Any = None, keepdims: bool = False) -> "Node":
        return self.sum(axis, keepdims) / float(prod(self.shape[i] for i in self._axes(axis)))

    def _axes(self, axis: Any) -> tuple[int, ...]:
        given = range(self.ndim) if axis is None else _spread((axis,))
        return tuple(each % self.ndim for each in given)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options:
            raise _unknown(getattr(ufunc, method))
        if ufunc in COMPARISONS:
            return Compared.of(ufunc, *inputs)
        if ufunc is np.power and isinstance(inputs[1], int | float):
            return power(*inputs)
        rule = RULES.get(ufunc) or (RULES["unary"] if _is_analytic(ufunc) else None)
        if rule is None:
            raise _unknown(ufunc)
        return self.tape.do(rule, inputs, {"ufunc": ufunc} if rule is RULES["unary"] else {})

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise _unknown(np.asarray)

    def __array_function__(self, function: Any, _types: Any, arguments: Any, options: Any) -> Any:
        if function not in FUNCTIONS:
            raise _unknown(function)
        return FUNCTIONS[function](*arguments, **options)

    def recorded(self, operation: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if operation is largest:
            options = {"choice": self.tape.choose(chosen(self, None))}
        elif operation is entrywise and options["layer"].joints:
            options = {**options, "choice": self.tape.choose(chosen(self, options["layer"].joints))}
        return self.tape.do(RULES[operation], arguments, options)

    @contextmanager
    def within(self, name: str) -> Generator[None]:
        self.tape.path.append(name)
        try:
            yield
        finally:
            self.tape.path.pop()


class Compared(NDArrayOperatorsMixin):
    """Which entries of a difference are positive, as NumPy's comparisons say: what `numpy.where` takes."""

    def __init__(self, mask: Array, choice: Choice, tape: Any) -> None:
        self.mask, self.choice, self.tape = mask, choice, tape

    @classmethod
    def of(cls, ufunc: Any, first: Any, second: Any) -> "Compared":
        """Compare; where choices are replayed, as was chosen then."""
        node: Any = first - second
        choice = node.tape.choose(chosen(node, (0.0,)))
        return cls(ufunc(choice.at, 0.0), choice, node.tape)

    def __bool__(self) -> bool:
        raise TypeError("the analysis of rounding knows no branches of Python's by the values of an array, only numpy.where")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if ufunc is not np.logical_not and ufunc is not np.invert:
            raise _unknown(ufunc)
        return Compared(~self.mask, self.choice, self.tape)

    def __array_function__(self, function: Any, _types: Any, arguments: Any, options: Any) -> Any:
        if function is not np.where:
            raise _unknown(function)
        return where(*arguments, **options)


def chosen(node: Node, joints: tuple[float, ...] | None) -> Choice:
    """What a result says of kinks there: of an activation, of a comparison with 0, or of candidates."""
    tape, none = node.tape, np.broadcast_to(False, node.shape)
    path = ".".join(filter(None, tape.path))
    if not tape.arithmetic or not (joints is None or joints):
        return Choice(node.value, zeros(node.shape), none, path, joints)
    variance: Array = np.broadcast_to(node.spread, node.shape)
    if joints is None:
        index = np.argmax(node.value, axis=-1)[..., None]
        variance = variance + np.take_along_axis(variance, index, axis=-1)
    choice = Choice(node.value, SAFETY * np.sqrt(or_inf(variance)), none, path, joints)
    return choice._replace(near=choice.close(tape.u))


def power(x: Node, exponent: float) -> Any:
    """``x**exponent``"""
    return x * x if exponent == 2 else x.tape.do(RULES["unary"], (x,), {"ufunc": partial(_raised, exponent)})


def _raised(exponent: float, z: Array) -> Array:
    return z**exponent


def where(condition: Any, first: Any, second: Any) -> Any:
    """`numpy.where`, of a condition that is made of records or of arrays."""
    compared = isinstance(condition, Compared)
    mask = condition.mask if compared else np.asarray(condition)
    tape = next(each.tape for each in (condition, first, second) if isinstance(each, Node | Compared))
    return tape.do(RULES[np.where], (first, second), {"mask": mask, "choice": condition.choice if compared else None})


def concatenate(arrays: Any, axis: int = 0) -> Any:
    """`numpy.concatenate`."""
    tape = next(each.tape for each in arrays if isinstance(each, Node))
    return tape.do(RULES[np.concatenate], tuple(arrays), {"axis": axis})


def broadcast(x: Node, shape: tuple[int, ...]) -> Any:
    """`numpy.broadcast_to`."""
    return x.tape.do(RULES[np.broadcast_to], (x,), {"shape": shape})


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.real: operator.attrgetter("real"),
    np.sum: Node.sum,
    np.mean: Node.mean,
    np.reshape: Node.reshape,
    np.transpose: Node.transpose,
    np.swapaxes: Node.swapaxes,
    np.where: where,
    np.concatenate: concatenate,
    np.broadcast_to: broadcast,
}


def _spread(given: tuple[Any, ...]) -> tuple[int, ...]:
    """Sizes or axes, given one by one or as a tuple."""
    return tuple(cast("Sequence[int]", given[0])) if len(given) == 1 and isinstance(given[0], tuple | list) else given


def _is_analytic(ufunc: Any) -> bool:
    """Whether it takes complex numbers one by one: slopes come from a complex step."""
    return ufunc.nin == ufunc.nout == 1 and "D->D" in ufunc.types


def _unknown(function: Any) -> TypeError:
    return TypeError(f"the analysis of rounding knows no numpy.{function.__name__}; it knows {_known()}")


def _known() -> str:
    """Names of all functions that have a rule."""
    return ", ".join(sorted({getattr(each, "__name__", str(each)) for each in (*RULES, *FUNCTIONS)}))
