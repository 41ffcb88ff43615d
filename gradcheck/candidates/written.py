"""A call as people write it: several positional arguments, further ones, lists of numbers and whole numbers.

It becomes one point and two functions of it; what was made of what was written is said in notes.
"""

import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from gradcheck.candidates.answer import described
from gradcheck.candidates.point import described as what
from gradcheck.candidates.point import is_array, is_number, is_whole
from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import standing_for
from gradcheck.foundation.objects.captured import within
from gradcheck.foundation.objects.pytree import BARE, flatten, is_movable
from gradcheck.foundation.validation import Function
from gradcheck.foundation.wording import enumerated

VECTOR = "a list of numbers, handed on as an array"


class Written(NamedTuple):
    """Functions of one point, and what to say of how they were written.

    Attributes
    ----------
    loss, gradient : callable
    at : pytree
        Of several arguments a dict by their names.
    names : tuple of str
        Of the arguments, where there are several.
    notes, unchecked : tuple of str
    """

    loss: Function
    gradient: Function
    at: Any
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()

    def by_name(self, value: Any) -> Any:
        """One thing for each of several arguments, as a dict like the point."""
        each = _one_for_each(value, self.names)
        return value if each is None else each


def as_written(loss: Function, gradient: Function, at: Any, more: Sequence[Any], args: Any) -> Written:
    """What is asked by ``check(loss, gradient, at, *more, args=args)``."""
    rest: tuple[Any, ...] = cast("tuple[Any, ...]", args) if isinstance(args, tuple) else (args,)
    given = (at, *more)
    names = _parameters(loss, len(given) + len(rest))
    own = names[: len(given)] if more else (BARE,)
    taken = dict(zip(own, map(_vector, given), strict=True))
    listed = [name for name, value in zip(own, given, strict=True) if taken[name] is not value]
    point, raised = _floating(taken if more else taken[BARE])
    brought = [f"args[{name}]" if name.isdecimal() else name for name in names[len(given) :]]
    held = tuple(name for name, value in zip(brought, rest, strict=True) if any(within(value, name, is_array)))
    notes = [
        *(f"held as they are: {enumerated(held)}, given by args" for _ in held[:1]),
        *(f"{n}: {VECTOR}" for n in listed),
    ]
    notes += [f"{name}: {number}, taken as floating" for name, number in raised.items() if name not in listed]
    if more or rest:
        loss, gradient = _spread(loss, more, rest), _gathered(gradient, own, more, rest)
    return Written(loss, gradient, point, own if more else (), tuple(notes), held)


def _parameters(loss: Function, count: int) -> tuple[str, ...]:
    """What a function calls its first arguments; their numbers where it does not say."""
    try:
        parameters = inspect.signature(loss).parameters.values()
    except (TypeError, ValueError):
        parameters = ()
    names = [each.name for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return tuple(names[:count]) if len(names) >= count else tuple(map(str, range(count)))


def _spread(loss: Function, more: Sequence[Any], rest: tuple[Any, ...]) -> Function:
    def function(at: Any) -> Any:
        return loss(*(at.values() if more else (at,)), *rest)

    return standing_for(function, loss)


def _gathered(gradient: Function, names: Sequence[str], more: Sequence[Any], rest: tuple[Any, ...]) -> Function:
    def function(at: Any) -> Any:
        if not more:
            return gradient(at, *rest)
        found = gradient(*at.values(), *rest)
        each = _one_for_each(found, names)
        if each is None:
            form = f"{len(cast('Sequence[Any]', found))} of them" if isinstance(found, list | tuple) else described(found)
            raise DataError(f"the gradient returned {form}, expected a tuple of one each for {enumerated(names)}")
        return each

    return standing_for(function, gradient)


def _one_for_each(value: Any, names: Sequence[str]) -> dict[str, Any] | None:
    """The parts of a list, tuple or array by the names of as many arguments."""
    if not isinstance(value, list | tuple | np.ndarray) or (isinstance(value, np.ndarray) and not value.ndim):
        return None
    parts = list(cast("Sequence[Any]", value))
    return dict(zip(names, parts, strict=True)) if len(parts) == len(names) else None


def _vector(value: Any) -> Any:
    """A list of numbers, or of lists of these of one length, is an array, as SciPy takes it."""
    leaves = flatten(value, what="at").leaves if cast("Any", type(value)) is list else ()
    if not leaves or not all(map(_is_number, leaves)):
        return value
    try:
        array: Array = np.array(value)
    except ValueError:  # rows of several lengths
        return value
    return array if array.dtype.kind in "iufc" and array.size == len(leaves) else value


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, int | float | complex | np.generic) and not isinstance(leaf, bool)


def _floating(at: Any) -> tuple[Any, dict[str, str]]:
    """Whole numbers as floating ones where there is nothing else, and what each was; beside others they are indices."""
    flat = flatten(at, none_is_leaf=False, what="at")
    whole = [is_whole(leaf) and getattr(leaf, "dtype", np.dtype(int)).kind != "b" for leaf in flat.leaves]
    if not any(whole) or any(is_movable(leaf) or is_number(leaf) for leaf in flat.leaves):
        return at, {}
    pairs = list(zip(flat.leaves, whole, strict=True))
    raised = {name: what(leaf) for name, (leaf, of) in zip(flat.names, pairs, strict=True) if of}
    return flat.rebuild([_as_float(leaf) if of else leaf for leaf, of in pairs]), raised


def _as_float(leaf: Any) -> Any:
    return leaf.astype(float) if hasattr(leaf, "astype") else float(leaf)
