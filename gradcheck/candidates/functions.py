"""Asking a user's functions of a pytree: on copies, or on the user's own arrays moved in place. Answers are copied."""

from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import DTypeLike

from gradcheck.candidates.answer import Answer, Defect, changed, examined
from gradcheck.candidates.bounds import Box
from gradcheck.candidates.charts import Chart, lifted, pulled
from gradcheck.candidates.point import claims_of_held, is_array, is_whole
from gradcheck.errors import DataError, GradcheckError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called, name_of, one_line
from gradcheck.foundation.objects.pytree import BARE, Pytree, take_apart
from gradcheck.foundation.state.interrupts import Kept
from gradcheck.foundation.state.turns import Turns
from gradcheck.foundation.wording import shown
from gradcheck.verdict.causes import Cause

TURNS = Turns()  # with arrays of users, which are moved in place
Loss: TypeAlias = Callable[[Mapping[str, Array]], float]
Placing: TypeAlias = Callable[[Pytree, Mapping[str, Array]], AbstractContextManager[Any]]


@contextmanager
def on_copies(tree: Pytree, arrays: Mapping[str, Array]) -> Generator[Any]:
    """The point with these arrays in place of its own, which stay where they are."""
    yield tree.rebuild(arrays)


class InPlace(Kept[Any]):
    """The user's own arrays, with these values in them; they have their own again afterwards."""

    def __init__(self, tree: Pytree, arrays: Mapping[str, Array]) -> None:
        pairs = list(zip(tree.names, tree.leaves, strict=True))
        self._own = {name: leaf for name, leaf in pairs if name in arrays and is_lendable(leaf)}
        self._values = arrays
        self._point = tree.flat.rebuild([self._own.get(name, arrays.get(name, leaf)) for name, leaf in pairs])
        self._before: dict[str, Array] = {}

    def take(self) -> Any:
        """Moved."""
        self._before = {name: leaf.copy() for name, leaf in self._own.items()}
        for name, leaf in self._own.items():
            leaf[...] = self._values[name]
        return self._point

    def put_back(self) -> None:
        """As they were."""
        for name, value in self._before.items():
            self._own[name][...] = value


def is_lendable(leaf: Any) -> TypeGuard[Array]:
    """Whether a leaf can be moved in place."""
    return isinstance(leaf, np.ndarray) and leaf.flags.writeable


class Subject(NamedTuple):
    """What is to be judged: a loss and what claims to be its gradient, of a point, and how the point is put before them.

    What is moved are the ``coordinates``: the point's own arrays, but where ``charts`` say otherwise. With a ``box`` the
    loss is nan outside of it, and never called there; ``fast`` names what that holds fast. ``complex_blocks`` are those
    whose last axis has the real and the imaginary parts of complex numbers, each with the convention of its gradient.
    """

    loss: Callable[[Any], Any]
    gradient: Callable[[Any], Any]
    tree: Pytree
    place: Placing = on_copies
    dtype: str | None = None
    charts: Mapping[str, Chart] = {}
    box: Box | None = None
    fast: tuple[str, ...] = ()
    complex_blocks: Mapping[str, str] = {}

    @property
    def coordinates(self) -> dict[str, Array]:
        """Of the point, by block."""
        return {name: self.charts[name].start if name in self.charts else x for name, x in self.tree.arrays.items()}

    def point(self, arrays: Mapping[str, Array]) -> Any:
        """The point at these coordinates."""
        return self.tree.rebuild(lifted(self.charts, arrays))

    @property
    def names(self) -> tuple[str, str]:
        """What the two functions are called."""
        return name_of(self.loss) or "the loss", name_of(self.gradient) or "the gradient"


class Beside:
    """What a loss did at points beside the one in question, which is no answer there and no mistake of anybody's."""

    def __init__(self) -> None:
        self.calls, self.raised, self.changes = 0, Counter[str](), False

    def notes(self) -> tuple[str, ...]:
        """In sentences."""
        edges = (
            f"beside the point {what} ({n} of {self.calls} calls): the edge of its domain" for what, n in self.raised.items()
        )
        return (*edges, *(("the loss changes its argument: it was called on copies",) if self.changes else ()))


def loss_function(subject: Subject, kept: Mapping[str, Array], beside: Beside, dtypes: Mapping[str, DTypeLike] = {}) -> Loss:
    """The loss of arrays by name, which may change them: it gets copies of those that are kept, in its own dtypes.

    Where it raises, or returns no number, the point is outside its domain, unless it is the very point that is kept:
    math.log(-1e-9) raises where np.log gives nan, and a solver where it does not converge.
    """
    what, _ = subject.names

    def function(arrays: Mapping[str, Array]) -> float:
        here = all(value is kept[name] for name, value in arrays.items())
        own = {name: value.astype(dtypes.get(name, value.dtype), copy=value is kept[name]) for name, value in arrays.items()}
        own = lifted(subject.charts, own)
        if subject.box and not subject.box.holds(own):
            return float("nan")
        beside.calls += 1
        try:
            with subject.place(subject.tree, own) as point:
                value = _number(called(subject.loss, what, point), what)
            beside.changes |= here and bool(changed(own, lifted(subject.charts, kept), ""))
            return value
        except GradcheckError as failed:
            if here or isinstance(failed.__cause__, MemoryError):
                raise
            beside.raised[_without_numbers(failed)] += 1
            return float("nan")

    return function


def _without_numbers(failed: GradcheckError) -> str:
    """What happened, alike for all points at which it did."""
    cause, words = failed.__cause__, one_line(failed).split(" raised ")[0]
    return f"{words} raised {type(cause).__name__}" if cause is not None else one_line(failed)


def _number(value: Any, what: str) -> float:
    """What a loss returned, if it is one real number."""
    array = np.asarray(value)
    if array.size == 1 and array.dtype.kind in "fiub":
        return float(array.reshape(()))
    if array.size == 1 and array.dtype.kind == "c":
        raise DataError(f"{what} returned {shown(value)}, expected a real number: take its real part, or its square")
    got = f"an array of shape {array.shape}" if array.shape else repr(value)
    raise DataError(f"{what} returned {got}, expected a real number (check_vjp takes functions of many)")


def gradients(subject: Subject, arrays: Mapping[str, Array], dtype: DTypeLike | None = None) -> Answer:
    """One call, of another precision where one is given."""
    tree = subject.tree
    arrays = subject.box.clipped(arrays) if subject.box else arrays
    at = lifted(subject.charts, arrays)
    own = {name: value.astype(value.dtype if dtype is None else np.result_type(value, dtype)) for name, value in at.items()}
    with subject.place(tree, own) as point:
        returned = take_apart(called(subject.gradient, subject.names[1], point), "the gradient")
    leaves = dict(zip(returned.names, returned.leaves, strict=True)) | returned.arrays
    claims_of_held(tree, leaves)
    answer = examined(leaves, at, lambda name: _absent(name, at[name], returned))
    strangers = [name for name in leaves if name not in tree.names and list(arrays) != [BARE] and _claims(leaves[name])]
    nothing = Defect(Cause.WRONG_STRUCTURE, "a gradient for what does not exist")
    # Worth knowing, and no verdict: the gradient of x.x/2 is x.
    shared = any(np.shares_memory(mine, leaf) for mine in own.values() for leaf in returned.leaves if _is_array(leaf))
    claimed = {name: _copied(array, returned.arrays.get(name)) for name, array in answer.gradients.items()}
    return Answer(
        pulled(subject.charts, arrays, claimed),
        {**changed(own, at, "input"), **answer.defects, **dict.fromkeys(strangers, nothing)},
        ("the gradient shares memory with its input",) if shared else (),
    )


def _claims(leaf: Any) -> bool:
    return isinstance(leaf, float) or is_whole(leaf) or is_array(leaf)


def _copied(array: Array, copy: Array | None) -> Array:
    """Floating leaves were copied when they were taken apart."""
    return array if array is copy else array.astype(array.dtype if array.dtype.kind in "fc" else np.float64)


def _absent(name: str, value: Array, returned: Pytree) -> str:
    if name == BARE and returned.leaves:
        return f"the gradient is a nesting of {len(returned.leaves)} leaves, expected an array of shape {value.shape}"
    return "no gradient was returned"


def _is_array(leaf: Any) -> TypeGuard[Array]:
    return isinstance(leaf, np.ndarray)
