"""Asking a user's functions of a pytree: always on copies, and what comes back copied, too."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import DTypeLike

from gradcheck.candidates.answer import Answer, Defect, changed, examined
from gradcheck.errors import CallFailed, DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called, name_of
from gradcheck.foundation.pytree import BARE, Pytree, take_apart
from gradcheck.verdict.causes import Cause

Loss: TypeAlias = Callable[[Mapping[str, Array]], float]


def loss_function(loss: Callable[[Any], Any], tree: Pytree, kept: Mapping[str, Array]) -> Loss:
    """The loss of arrays by name, which may change them: it gets copies of those that are kept."""
    what = name_of(loss) or "the loss"

    def function(arrays: Mapping[str, Array]) -> float:
        here = all(value is kept[name] for name, value in arrays.items())
        own = {name: value.copy() if value is kept[name] else value for name, value in arrays.items()}
        try:
            return _number(called(loss, what, tree.rebuild(own)), what)
        except CallFailed as failed:
            # math.log(-1e-9) raises where np.log gives nan: outside the domain, unless it is the point itself.
            if here or not isinstance(failed.__cause__, ArithmeticError | ValueError):
                raise
            return float("nan")

    return function


def _number(value: Any, what: str) -> float:
    """What a loss returned, if it is one real number."""
    array = np.asarray(value)
    if array.size == 1 and array.dtype.kind in "fiub":
        return float(array.reshape(()))
    got = f"an array of shape {array.shape}" if array.shape else repr(value)
    raise DataError(f"{what} returned {got}, expected a real number (check_vjp takes functions of many)")


def gradients(
    gradient: Callable[[Any], Any], tree: Pytree, arrays: Mapping[str, Array], dtype: DTypeLike | None = None
) -> Answer:
    """One call on copies, of another precision where one is given."""
    own = {name: value.astype(value.dtype if dtype is None else dtype) for name, value in arrays.items()}
    returned = take_apart(called(gradient, name_of(gradient) or "the gradient", tree.rebuild(own)), "the gradient")
    leaves = dict(zip(returned.names, returned.leaves, strict=True)) | returned.arrays
    answer = examined(leaves, arrays, lambda name: _absent(name, arrays[name], returned))
    strangers = [name for name in returned.arrays if name not in tree.names and list(arrays) != [BARE]]
    nothing = Defect(Cause.WRONG_STRUCTURE, "a gradient for what does not exist")
    # Worth knowing, and no verdict: the gradient of x.x/2 is x.
    shared = any(np.shares_memory(mine, leaf) for mine in own.values() for leaf in returned.leaves if _is_array(leaf))
    return Answer(
        {name: _copied(array, returned.arrays.get(name)) for name, array in answer.gradients.items()},
        {**changed(own, arrays, "input"), **answer.defects, **dict.fromkeys(strangers, nothing)},
        ("the gradient shares memory with its input",) if shared else (),
    )


def _copied(array: Array, copy: Array | None) -> Array:
    """Floating leaves were copied when they were taken apart."""
    return array if array is copy else array.astype(array.dtype if array.dtype.kind == "f" else np.float64)


def _absent(name: str, value: Array, returned: Pytree) -> str:
    if name == BARE and returned.leaves:
        return f"the gradient is a nesting of {len(returned.leaves)} leaves, expected an array of shape {value.shape}"
    return "no gradient was returned"


def _is_array(leaf: Any) -> TypeGuard[Array]:
    return isinstance(leaf, np.ndarray)
