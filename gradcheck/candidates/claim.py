"""A claimed gradient before any arithmetic: called, copied, examined, and its own rounding estimated."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gradcheck.candidates.answer import Answer, Defect, is_another, repeated
from gradcheck.candidates.functions import gradients, loss_function
from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array, norm, rms
from gradcheck.foundation.pytree import Pytree, take_apart
from gradcheck.oracles.directions import scales
from gradcheck.verdict.causes import Cause

EPS = float(np.finfo(float).eps)
# Relative to its block's scale; what changes more than this within one ulp is a kink, not rounding. At 1e-10 or 1e-2 no
# verdict of 674 changed; at 1e9 17 of 40 exact kinks were undecided.
JUMP = 1e-6
NOTHING = 1e-10  # of the contribution of the whole gradient


class Claim(NamedTuple):
    """What there is to be judged.

    Attributes
    ----------
    function : callable
        The loss of float64 arrays by name.
    analytic : callable
        The loss of arrays by name as it is, for complex ones.
    loss : float
        At the point.
    evaluations : int
        Of the loss, spent so far.
    point, gradient : dict of str to array
        In float64; the gradient holds the blocks that can be compared.
    rounding : dict of str to array
        How far the gradient's own rounding may put each entry off.
    unit : dict of str to float
        Unit roundoff of the dtype that each block's gradient came in.
    defects, doubts : dict of str to Defect
        What is wrong, and what cannot be decided, before any comparison, by block.
    notes : tuple of str
    precise : callable
        The gradient where all numbers have the precision of long double, as far as it follows.
    """

    function: Callable[[Mapping[str, Array]], float]
    analytic: Callable[[Mapping[str, Array]], Any]
    loss: float
    evaluations: int
    point: dict[str, Array]
    gradient: dict[str, Array]
    rounding: dict[str, Array]
    unit: dict[str, float]
    defects: dict[str, Defect]
    doubts: dict[str, Defect]
    notes: tuple[str, ...]
    precise: Callable[[], Mapping[str, Array]]


def examine(loss: Callable[[Any], Any], gradient: Callable[[Any], Any], at: Any, seed: int) -> Claim:
    """Call both, twice, on copies; take the gradient in float64 where it follows its input's dtype."""
    tree = _point(at)
    wide = {name: value.astype(np.float64, copy=False) for name, value in tree.arrays.items()}
    answer, repeats = _asked_twice(gradient, tree, wide)
    claimed = answer.gradients
    function = loss_function(loss, tree, wide)

    def analytic(arrays: Mapping[str, Array]) -> Any:
        return loss(tree.rebuild(arrays))

    def precise() -> Mapping[str, Array]:
        return gradients(gradient, tree, wide, np.longdouble).gradients

    here, again = function(wide), function(wide)
    defects, doubts = dict(answer.defects), dict(repeats.defects)
    if not np.isfinite(here):  # what it says of a loss that is none is nobody's fault
        defects = {name: defect for name, defect in defects.items() if defect.cause is not Cause.NON_FINITE}
        doubts |= dict.fromkeys(wide, Defect(Cause.NON_FINITE, f"the loss is {here} here"))
    elif here != again and is_another(here, again, EPS):
        doubts |= dict.fromkeys(wide, Defect(Cause.NONDETERMINISTIC, "the loss changes from call to call"))
    rounding = _rounding(gradient, tree, wide, claimed, seed)
    kept = {name: value.astype(np.float64, copy=False) for name, value in claimed.items() if name not in defects}
    unit = {name: float(np.finfo(value.dtype).eps) / 2 for name, value in claimed.items()}
    notes = (*answer.notes, *repeats.notes)
    return Claim(function, analytic, here, 2, wide, kept, rounding, unit, defects, doubts, notes, precise)


def _point(at: Any) -> Pytree:
    """The point taken apart, if there is something to move in it and all of that is finite."""
    tree = take_apart(at)
    if not tree.arrays:
        raise DataError(f"at: nothing to check: {_instead(tree)}")
    for name, value in tree.arrays.items():
        if not np.isfinite(value).all():
            index = [int(i) for i in np.argwhere(~np.isfinite(value))[0]]
            raise DataError(f"at: {name} is {value[tuple(index)]} at {index}")
    return tree


def _asked_twice(gradient: Callable[[Any], Any], tree: Pytree, wide: Mapping[str, Array]) -> tuple[Answer, Answer]:
    """The answer, in float64 where it follows, and what a second one says otherwise."""
    first = gradients(gradient, tree, tree.arrays)
    second = gradients(gradient, tree, tree.arrays)
    repeats = repeated(first.gradients, second.gradients, lambda name: float(np.finfo(first.gradients[name].dtype).eps))
    late = {name: _late(defect) for name, defect in second.defects.items() if name not in first.defects}
    repeats = repeats._replace(defects={**repeats.defects, **late})
    del second
    if all(value.dtype == np.float64 for value in tree.arrays.values()):
        return first, repeats
    promoted = gradients(gradient, tree, wide)
    if promoted.defects or any(value.dtype != np.float64 for value in promoted.gradients.values()):
        return first, repeats
    note = "judged in float64, which loss and gradient follow"
    return first._replace(gradients=promoted.gradients, notes=(*first.notes, note)), repeats


def _late(defect: Defect) -> Defect:
    """Of a second call, where the first one had none."""
    return Defect(Cause.NONDETERMINISTIC, f"a second call answered otherwise: {defect.sentence}")


def _instead(tree: Pytree) -> str:
    """What a point holds that holds no floating array."""
    if not tree.leaves:
        return "it holds nothing"
    leaf, doors = tree.leaves[0], {"torch": "check_torch", "jax": "check_jax", "jaxlib": "check_jax"}
    kind = f"{type(leaf).__name__} of {leaf.dtype}" if hasattr(leaf, "dtype") else type(leaf).__name__
    door = doors.get(type(leaf).__module__.split(".")[0])
    hint = f" ({door} takes it as it is)" if door else ""
    return f"{tree.names[0]} is {kind}, expected a floating NumPy array or number{hint}"


def _rounding(
    gradient: Callable[[Any], Any], tree: Pytree, wide: Mapping[str, Array], claimed: Mapping[str, Array], seed: int
) -> dict[str, Array]:
    """32 u |g| and what a move of one ulp changes, with a floor from its block in units of `scales`.

    A jump within one ulp is a kink.
    """
    rng = np.random.default_rng([seed, *b"ulps"])
    near = {n: _one_ulp(v.astype(claimed[n].dtype) if n in claimed else v, rng) for n, v in wide.items()}
    moved = dict(gradients(gradient, tree, near).gradients)
    del near
    bounds: dict[str, Array] = {}
    whole = norm(np.array([norm(g * scales(wide[name], g)) for name, g in claimed.items()]))
    for name, g in claimed.items():
        u = float(np.finfo(g.dtype).eps) / 2
        bounds[name] = _bound(wide[name], g.astype(np.float64, copy=False), moved.pop(name, None), u, whole)
    return bounds


def _bound(theta: Array, g: Array, moved: Array | None, u: float, whole: float) -> Array:
    size, change = np.asarray(np.abs(g)), np.zeros(g.shape)
    if moved is not None and moved.shape == g.shape:
        with np.errstate(invalid="ignore"):  # a claim that is infinite is a defect, which is told elsewhere
            np.abs(np.subtract(moved, g, out=change), out=change)
    natural = scales(theta, g)
    # What is nothing beside the whole gradient is no kink either: of a zero all is rounding.
    change[~(change <= np.maximum(JUMP * np.maximum(size, rms(g)), NOTHING * whole / natural))] = 0.0
    np.divide(rms(change * natural), natural, out=natural)
    size *= 32 * u
    size += np.multiply(3, np.hypot(change, natural, out=natural), out=natural)
    return size


def _one_ulp(value: Array, rng: np.random.Generator) -> Array:
    towards = np.where(rng.random(value.shape) < 0.5, -np.inf, np.inf)
    return np.nextafter(value, towards.astype(value.dtype))
