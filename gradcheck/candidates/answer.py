"""What a candidate answers when it is asked for a gradient: its form, what the call did to its arguments, its repeats.

Both procedures ask so: `check` a function of a pytree, `verify` a build of a network.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gradcheck.foundation.arrays import Array, rms
from gradcheck.foundation.calling import one_line
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.entrywise import place


class Defect(NamedTuple):
    """What is wrong, or cannot be decided, before any arithmetic: its cause and one sentence."""

    cause: Cause
    sentence: str


class Answer(NamedTuple):
    """What a candidate said, and what of it cannot be compared at all.

    Attributes
    ----------
    gradients : dict of str to array
        By block: those of the right shape and with finite entries.
    defects : dict of str to Defect
        By block; ``"loss"`` for what concerns no single one.
    notes : tuple of str
        Noticed, and no verdict.
    losses : tuple of float
        From every call that returned one.
    shaken : dict of str to float
        By how much two calls differ, in root mean square over a block.
    unsupported : str
        Why there is no answer at all, where a build says that it knows no such network.
    """

    gradients: Mapping[str, Array] = {}
    defects: Mapping[str, Defect] = {}
    notes: tuple[str, ...] = ()
    losses: tuple[float, ...] = ()
    shaken: Mapping[str, float] = {}
    unsupported: str = ""


def examined(
    returned: Mapping[str, Any],
    like: Mapping[str, Array],
    absent: Callable[[str], str] = lambda _: "no gradient was returned",
) -> Answer:
    """What was returned by block, as arrays that may share its memory; ``absent`` says why a block may be missing."""
    gradients: dict[str, Array] = {}
    defects: dict[str, Defect] = {}
    for name, value in like.items():
        array, problem = comparable(returned[name], value) if name in returned else (None, absent(name))
        if problem:
            defects[name] = Defect(Cause.WRONG_STRUCTURE if array is None else Cause.NON_FINITE, problem)
        elif array is not None:
            gradients[name] = array
    return Answer(gradients, defects)


def comparable(value: Any, like: Array) -> tuple[Array | None, str]:
    """The gradient as an array, if it has the form of one, and why it cannot be compared."""
    try:
        array = np.asarray(value)
    except Exception as error:
        return None, f"the gradient is {described(value)} and no array: {one_line(error)}"
    if array.dtype.kind not in ("fiuc" if like.dtype.kind == "c" else "fiu"):
        return None, f"the gradient is {described(value)} of dtype {array.dtype}, expected real numbers"
    if array.shape != like.shape:
        return None, f"the gradient has shape {array.shape}, expected {like.shape}"
    if not np.isfinite(array).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        return array, f"the gradient is {array[index]} at {list(index)}"
    return array, ""


def described(value: Any) -> str:
    """A value that is not what it should be, in few words."""
    if value is None:
        return "None"
    shape = getattr(value, "shape", ())
    return f"a value of type {type(value).__name__}" + (f" and shape {tuple(shape)}" if shape else "")


def changed(own: Mapping[str, Any], given: Mapping[str, Array], what: str) -> dict[str, Defect]:
    """Which of its own copies of the arguments a call has changed, or thrown away."""
    defect = Defect(Cause.MUTATES_INPUT, f"the call changed this {what}")
    return {name: defect for name, value in given.items() if name not in own or not np.array_equal(own[name], value)}


def repeated(
    first: Mapping[str, Array],
    second: Mapping[str, Array],
    eps: Callable[[str], float],
    rounding: Mapping[str, Array] = {},
) -> Answer:
    """What two calls disagree on: a note where it may be the order of additions, a defect beyond that (`is_another`).

    Where a gradient is zero but for rounding, its own size says nothing of what another order of additions may change.

    Parameters
    ----------
    first, second : dict of str to array
    eps : callable
        From a block's name to the spacing of 1 in the arithmetic that it was computed in.
    rounding : dict of str to array, optional
        How far rounding may put each entry off, where that is known.
    """
    defects: dict[str, Defect] = {}
    notes: list[str] = []
    shaken: dict[str, float] = {}
    for name in (name for name in first if name in second and not np.array_equal(first[name], second[name])):
        difference = np.abs(first[name] - second[name])
        worst = place(int(np.argmax(difference)), difference.shape)
        change = f"from {first[name][worst]:.17g} to {second[name][worst]:.17g} at {list(worst)}"
        rounded = bool(np.all(difference <= rounding.get(name, 0.0)))
        if not rounded and is_another(first[name], second[name], eps(name)):
            defects[name] = Defect(Cause.NONDETERMINISTIC, f"a second call changed the gradient {change}")
        else:
            notes.append(f"{name}: the gradient changes from call to call, {change}")
            shaken[name] = rms(difference)
    return Answer(defects=defects, notes=tuple(notes), shaken=shaken)


def is_another(first: Array | float, second: Array | float, eps: float) -> bool:
    """Whether a second answer is another one, and not the first one rounded otherwise.

    The line is drawn at sqrt(eps) of the largest entry. Sums of 1e5 terms in another order move by 2e-5 in float32, dropping
    one sample in 1000 by 3e-3. In float64, at 2^-40 36 of 40 gradients that repeat to 1e-12 were refused, and at 2^-12 106
    of 400 that are shaken by 1e-15 to 1e-2 were accused as wrong.
    """
    with np.errstate(all="ignore"):
        return bool(np.any(np.abs(np.subtract(first, second)) > eps**0.5 * np.max(np.abs(first), initial=0.0)))
