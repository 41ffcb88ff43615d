"""A claimed gradient before any arithmetic: called, copied, examined, and its own rounding estimated."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gradcheck.candidates.form import Defect
from gradcheck.candidates.functions import gradients, loss_function
from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array, rms
from gradcheck.foundation.pytree import Pytree, take_apart
from gradcheck.oracles.directions import scales

REPRODUCED = 2.0**-26  # relative; beyond this a second call's answer is another answer, not rounding. Chosen, not derived.
JUMP = 1e-6  # relative to its block's scale; what changes more than this within one ulp is a kink, not rounding. Chosen.


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
    defects: dict[str, Defect]
    doubts: dict[str, Defect]
    notes: tuple[str, ...]
    precise: Callable[[], dict[str, Array]]


def examine(loss: Callable[[Any], Any], gradient: Callable[[Any], Any], at: Any, seed: int) -> Claim:
    """Call both, twice, on copies; take the gradient in float64 where it follows its input's dtype."""
    tree = take_apart(at)
    if not tree.arrays:
        raise DataError(f"at: nothing to check: {_instead(tree)}")
    for name, value in tree.arrays.items():
        if not np.isfinite(value).all():
            index = [int(i) for i in np.argwhere(~np.isfinite(value))[0]]
            raise DataError(f"at: {name} is {value[tuple(index)]} at {index}")
    first, defects, notes = gradients(gradient, tree, tree.arrays)
    second = gradients(gradient, tree, tree.arrays).blocks
    wide = {name: value.astype(np.float64, copy=False) for name, value in tree.arrays.items()}
    if any(value.dtype != np.float64 for value in tree.arrays.values()):
        promoted, trouble, _ = gradients(gradient, tree, wide)
        if not trouble and all(value.dtype == np.float64 for value in promoted.values()):
            first = second = promoted
            notes = (*notes, "judged in float64, which loss and gradient follow")
    shaky = Defect("nondeterministic", "its values change from call to call")
    doubts = {name: shaky for name in first if not _same(first[name], second.get(name))}
    del second
    function = loss_function(loss, tree, wide)

    def analytic(arrays: Mapping[str, Array]) -> Any:
        return loss(tree.rebuild(arrays))

    here, again = function(wide), function(wide)
    if not np.isfinite(here):
        defects = {name: defect for name, defect in defects.items() if defect.cause != "non-finite"}
        doubts |= dict.fromkeys(first, Defect("non-finite", f"the loss is {here} here"))
    elif not _same(np.asarray(here), np.asarray(again)):
        doubts |= dict.fromkeys(first, Defect("nondeterministic", "the loss changes from call to call"))
    rounding = _rounding(gradient, tree, wide, first, seed)
    good = {
        name: value.astype(np.float64, copy=False)
        for name, value in first.items()
        if name not in defects and np.isfinite(value).all()
    }

    def precise() -> dict[str, Array]:
        return gradients(gradient, tree, wide, np.longdouble).blocks

    return Claim(function, analytic, here, 2, wide, good, rounding, defects, doubts, notes, precise)


def _instead(tree: Pytree) -> str:
    """What a point holds that holds no floating array."""
    if not tree.leaves:
        return "it holds nothing"
    leaf, doors = tree.leaves[0], {"torch": "check_torch", "jax": "check_jax", "jaxlib": "check_jax"}
    kind = f"{type(leaf).__name__} of {leaf.dtype}" if hasattr(leaf, "dtype") else type(leaf).__name__
    door = doors.get(type(leaf).__module__.split(".")[0])
    hint = f" ({door} takes it as it is)" if door else ""
    return f"{tree.names[0]} is {kind}, expected a floating NumPy array or number{hint}"


def _same(first: Array, second: Array | None) -> bool:
    if second is None or first.shape != second.shape:
        return second is None
    with np.errstate(all="ignore"):
        if np.array_equal(first, second):
            return True
        return not np.any(np.abs(first - second) > REPRODUCED * np.max(np.abs(first), initial=0.0))


def _rounding(
    gradient: Callable[[Any], Any], tree: Pytree, wide: Mapping[str, Array], claimed: Mapping[str, Array], seed: int
) -> dict[str, Array]:
    """32 u |g| and what a move of one ulp changes, with a floor from its block in units of `scales`.

    A jump within one ulp is a kink.
    """
    rng = np.random.default_rng([seed, *b"ulps"])
    near = {n: _one_ulp(v.astype(claimed[n].dtype) if n in claimed else v, rng) for n, v in wide.items()}
    moved = gradients(gradient, tree, near).blocks
    del near
    bounds: dict[str, Array] = {}
    for name, g in claimed.items():
        u = float(np.finfo(g.dtype).eps) / 2
        bounds[name] = _bound(wide[name], g.astype(np.float64, copy=False), moved.pop(name, None), u)
    return bounds


def _bound(theta: Array, g: Array, moved: Array | None, u: float) -> Array:
    size, change = np.asarray(np.abs(g)), np.zeros(g.shape)
    if moved is not None and moved.shape == g.shape:
        with np.errstate(invalid="ignore"):  # a claim that is infinite is a defect, which is told elsewhere
            np.abs(np.subtract(moved, g, out=change), out=change)
    change[~(change <= JUMP * np.maximum(size, rms(g)))] = 0.0
    natural = scales(theta, g)
    np.divide(rms(change * natural), natural, out=natural)
    size *= 32 * u
    size += np.multiply(3, np.hypot(change, natural, out=natural), out=natural)
    return size


def _one_ulp(value: Array, rng: np.random.Generator) -> Array:
    towards = np.where(rng.random(value.shape) < 0.5, -np.inf, np.inf)
    return np.nextafter(value, towards.astype(value.dtype))
