"""Asking a user's functions: on copies, and whatever comes back or is raised becomes an array, a defect or one sentence."""

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import DTypeLike

from gradcheck.candidates.form import Defect, comparable
from gradcheck.errors import CallFailed, DataError, GradcheckError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.pytree import BARE, Pytree, take_apart

Loss: TypeAlias = Callable[[Mapping[str, Array]], float]


def loss_function(
    loss: Callable[[Any], Any], tree: Pytree, kept: Mapping[str, Array]
) -> Callable[[Mapping[str, Array]], float]:
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


def name_of(f: Any) -> str:
    """What a function is called, where it has a name worth telling."""
    name = str(getattr(f, "__name__", ""))
    return "" if name == "<lambda>" else name


def called(f: Callable[..., Any], what: str, *args: Any, **kwargs: Any) -> Any:
    """The result of a function of the user's; whatever it raises becomes one sentence."""
    try:
        return f(*args, **kwargs)
    except GradcheckError:
        raise
    except Exception as error:
        message = " ".join(str(error).split()) or "without a message"
        frame = traceback.extract_tb(error.__traceback__)[-1]
        raise CallFailed(
            f"{what} raised {type(error).__name__}: {message} ({Path(frame.filename).name}:{frame.lineno})"
        ) from error


def guarded(f: Callable[..., Any], role: str) -> Callable[..., Any]:
    """The function, under its own name or that of its role; what it raises is one sentence."""
    name = name_of(f) or role

    def function(*args: Any) -> Any:
        return called(f, name, *args)

    function.__name__ = name
    return function


def _number(value: Any, what: str) -> float:
    """What a loss returned, if it is one real number."""
    array = np.asarray(value)
    if array.size == 1 and array.dtype.kind in "fiub":
        return float(array.reshape(()))
    got = f"an array of shape {array.shape}" if array.shape else repr(value)
    raise DataError(f"{what} returned {got}, expected a real number (check_vjp takes functions of many)")


class Gradients(NamedTuple):
    """One call of a gradient: its blocks by name, what is wrong with its form, what was noticed."""

    blocks: dict[str, Array]
    defects: dict[str, Defect]
    notes: tuple[str, ...]


def gradients(
    gradient: Callable[[Any], Any], tree: Pytree, arrays: Mapping[str, Array], dtype: DTypeLike | None = None
) -> Gradients:
    """One call on copies, of another precision where one is given; what comes back is copied, too."""
    own = {name: value.astype(value.dtype if dtype is None else dtype) for name, value in arrays.items()}
    returned = take_apart(called(gradient, name_of(gradient) or "the gradient", tree.rebuild(own)), "the gradient")
    leaves = dict(zip(returned.names, returned.leaves, strict=True)) | returned.arrays
    changed = Defect("mutates-input", "the call changed this input")
    defects = {name: changed for name in arrays if not np.array_equal(own[name], arrays[name])}
    blocks: dict[str, Array] = {}
    for name, value in arrays.items():
        array, problem = comparable(leaves[name], value) if name in leaves else (None, _absent(name, value, returned))
        if problem:
            defects[name] = Defect("wrong-structure" if array is None else "non-finite", problem)
        if array is not None:
            fresh = array is returned.arrays.get(name)
            blocks[name] = array if fresh else array.astype(array.dtype if array.dtype.kind == "f" else np.float64)
    strangers = [name for name in returned.arrays if name not in tree.names and list(arrays) != [BARE]]
    defects |= dict.fromkeys(strangers, Defect("wrong-structure", "a gradient for what does not exist"))
    # Worth knowing, and no verdict: the gradient of x.x/2 is x.
    shared = any(np.shares_memory(mine, leaf) for mine in own.values() for leaf in returned.leaves if _is_array(leaf))
    return Gradients(blocks, defects, ("the gradient shares memory with its input",) if shared else ())


def _absent(name: str, value: Array, returned: Pytree) -> str:
    if name == BARE and returned.leaves:
        return f"the gradient is a nesting of {len(returned.leaves)} leaves, expected an array of shape {value.shape}"
    return "no gradient was returned"


def _is_array(leaf: Any) -> TypeGuard[Array]:
    return isinstance(leaf, np.ndarray)
