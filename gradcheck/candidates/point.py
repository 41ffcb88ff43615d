"""The point that a user hands in: what is moved in it, what is handed on as it is, and what has to be refused.

Nothing that holds numbers is passed over: a leaf is a real floating array, which is moved; or whole numbers, which stay as
they are and are named; or it is refused with the sentence that says what to hand in instead.
"""

from collections.abc import Callable, Mapping, Sequence
from numbers import Number
from typing import Any, TypeGuard, cast

import numpy as np

from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.objects.captured import within
from gradcheck.foundation.objects.pytree import Pytree, is_movable, take_apart
from gradcheck.foundation.wording import enumerated, shown

DOORS = {"torch": "check_torch", "jax": "check_jax", "jaxlib": "check_jax"}
EXPECTED = "expected a floating NumPy array or number"
COMPLEX = (
    "check says by complex= which gradient is meant, 'conjugate' (dL/dx + i dL/dy, PyTorch's) or 'holomorphic-transpose' "
    "(dL/dx - i dL/dy, JAX's and Autograd's); else hand in its real and imaginary parts"
)
REGISTER = "register its class with optree, jax.tree_util or torch.utils._pytree, or hand in its arrays"


def point_of(at: Any, complex_too: bool = False) -> Pytree:
    """The point taken apart; its complex leaves are moved, too, where that is asked for.

    Raises
    ------
    DataError
        Where there is nothing to move in it, not all of that is finite, or a leaf holds numbers that nobody moves.
    """
    tree = take_apart(at)
    leaves = list(zip(tree.names, tree.leaves, strict=True))
    if complex_too:
        tree = tree._replace(arrays={name: np.array(leaf) for name, leaf in leaves if is_movable(leaf) or is_complex(leaf)})
    for name, leaf in leaves:
        if name in tree.arrays:
            continue
        if problem := refusal(leaf):
            raise DataError(f"at: {name} is {problem}")
    if not tree.arrays:
        what = f"{leaves[0][0]} is {described(leaves[0][1])}, {EXPECTED}" if leaves else ""
        raise DataError(f"at: nothing to check: {what or 'it holds nothing'}")
    for name, value in tree.arrays.items():
        if not np.isfinite(value).all():
            index = [int(i) for i in np.argwhere(~np.isfinite(value))[0]]
            raise DataError(f"at: {name} is {value[tuple(index)]} at {index}")
    return tree


def held(tree: Pytree) -> dict[str, str]:
    """Leaves of whole numbers, which are handed on as they are: what each is."""
    return {name: described(leaf) for name, leaf in zip(tree.names, tree.leaves, strict=True) if is_whole(leaf)}


def handed_on(passed: Mapping[str, str]) -> list[str]:
    """A note on each of these."""
    return [f"{name}: {what}, handed on as it is" for name, what in passed.items()]


def brought_notes(names: Sequence[str], whose: str) -> list[str]:
    """A note on the variables that a function brings along, if there are some."""
    return [f"held as they are: {enumerated(names)}, which {whose} brings along"] if names else []


def is_complex(leaf: Any) -> bool:
    """Whether a leaf is a complex number, or an array of these of NumPy's."""
    return isinstance(leaf, complex) or (isinstance(leaf, np.ndarray | np.generic) and _dtype(leaf).kind == "c")


def is_whole(leaf: Any) -> bool:
    """Whether a leaf is a whole number, a truth value in an array, or an array of these."""
    return (isinstance(leaf, int) and not isinstance(leaf, bool)) or _dtype(leaf).kind in "iub"


def is_array(value: Any) -> TypeGuard[Array]:
    """Whether it is an array of real or complex numbers, of whichever library."""
    return _dtype(value).kind in "fc" and getattr(value, "shape", None) is not None


def is_number(value: Any) -> bool:
    """Whether it is an array or a number that is not whole."""
    return isinstance(value, float | complex) or is_array(value)


def refusal(leaf: Any, counts: Callable[[Any], bool] = is_number) -> str:
    """Why a leaf cannot stand in a point, and what could; empty where it can.

    Of an object of an unknown class what it holds decides, as far as it ``counts``.
    """
    kind: str = _dtype(leaf).kind
    if is_movable(leaf) or is_whole(leaf):
        return ""
    if isinstance(leaf, complex) or kind == "c":
        return f"{described(leaf)}: only real arrays are moved; {COMPLEX}"
    if hasattr(leaf, "__next__"):
        return f"a {type(leaf).__name__}, which can be read only once: hand in a list"
    if kind == "f":
        door = DOORS.get(type(leaf).__module__.split(".")[0])
        return f"{described(leaf)}, {EXPECTED}" + (f" ({door} takes it as it is)" if door else "")
    if isinstance(leaf, np.ndarray | np.generic):
        entries = np.asarray(cast("Any", leaf)).ravel().tolist() if kind == "O" else []
        return f"{described(leaf)}: {EXPECTED}" if kind == "V" or any(map(counts, entries)) else ""
    if isinstance(leaf, Number) and leaf not in (True, False):
        return f"{described(leaf)}, {EXPECTED}"
    path, value = next(within(leaf, "", counts), ("", None))
    if value is None:
        return ""
    return f"a {type(leaf).__name__}, in which {path or 'it'} ({described(value)}) is moved by nobody: {REGISTER}"


def _dtype(leaf: Any) -> Any:
    """NumPy's of an array of any library, bfloat16 as a floating one; that of objects where there is none."""
    dtype = getattr(leaf, "dtype", None)
    if dtype is None and hasattr(leaf, "__array__"):
        dtype = np.asarray(leaf).dtype
    try:
        found = np.dtype(object if dtype is None else dtype)
    except TypeError:
        name = str(dtype).rpartition(".")[2]  # torch.float32
        found = np.dtype(getattr(np, name, np.float32 if "float" in name else object))
    return np.dtype(np.float32) if "float" in str(dtype) and found.kind == "V" else found


def described(leaf: Any) -> str:
    """What a leaf is, in few words."""
    if hasattr(leaf, "dtype"):
        return f"{type(leaf).__name__} of {leaf.dtype}"
    return f"{type(leaf).__name__}, {shown(leaf)}" if isinstance(leaf, int | float | complex) else type(leaf).__name__


def claims_of_held(tree: Pytree, returned: Mapping[str, Any]) -> None:
    """Refuse a claim for a leaf that is not moved.

    Zeros are what many fill in where there is no gradient; so is JAX's ``float0``.

    Raises
    ------
    DataError
        With the leaf's name and what it is.
    """
    for name, what in held(tree).items():
        claim = returned.get(name)
        kind = _dtype(claim).kind
        filled = kind in "iubf" or isinstance(claim, int | float)
        nothing = claim is None or kind == "V" or (filled and not np.any(claim))
        if not nothing and claim is not tree.leaves[tree.names.index(name)]:
            raise DataError(
                f"at: {name} is {what}, which is not moved, and the gradient has a claim for it: make it floating"
            )
