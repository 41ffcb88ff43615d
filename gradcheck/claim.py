"""A claimed gradient before any arithmetic: called, copied, examined, and its own rounding estimated."""

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from gradcheck.arrays import Array, rms
from gradcheck.errors import CallFailed, DataError, GradcheckError
from gradcheck.oracles.directions import scales
from gradcheck.pytree import Pytree, take_apart

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
    defects, doubts : dict of str to str
        What is wrong, and what cannot be decided, before any comparison: one sentence each, by block.
    notes : tuple of str
    """

    function: Callable[[Mapping[str, Array]], float]
    analytic: Callable[[Mapping[str, Array]], Any]
    loss: float
    evaluations: int
    point: dict[str, Array]
    gradient: dict[str, Array]
    rounding: dict[str, Array]
    defects: dict[str, str]
    doubts: dict[str, str]
    notes: tuple[str, ...]


def examine(loss: Callable[[Any], Any], gradient: Callable[[Any], Any], at: Any, seed: int) -> Claim:
    """Call both, twice, on copies; take the gradient in float64 where it follows its input's dtype."""
    tree = take_apart(at)
    first, defects, notes = _gradients(gradient, tree, tree.arrays)
    second = _gradients(gradient, tree, tree.arrays).blocks
    wide = {name: value.astype(np.float64) for name, value in tree.arrays.items()}
    if any(value.dtype != np.float64 for value in tree.arrays.values()):
        promoted, trouble, _ = _gradients(gradient, tree, wide)
        if not trouble and all(value.dtype == np.float64 for value in promoted.values()):
            first = second = promoted
            notes = (*notes, "judged in float64, which loss and gradient follow")
    doubts = {name: "its values change from call to call" for name in first if not _same(first[name], second.get(name))}
    function = _function(loss, tree, wide)

    def analytic(arrays: Mapping[str, Array]) -> Any:
        return loss(tree.rebuild(arrays))

    here, again = function(wide), function(wide)
    if not np.isfinite(here):
        doubts |= dict.fromkeys(first, f"the loss is {here} here")
    elif not _same(np.asarray(here), np.asarray(again)):
        doubts |= dict.fromkeys(first, "the loss changes from call to call")
    rounding = _rounding(gradient, tree, wide, first, seed)
    good = {name: value.astype(np.float64) for name, value in first.items() if name not in defects}
    return Claim(function, analytic, here, 2, wide, good, rounding, defects, doubts, notes)


def _function(loss: Callable[[Any], Any], tree: Pytree, kept: Mapping[str, Array]) -> Callable[[Mapping[str, Array]], float]:
    """The loss of arrays by name, which may change them: it gets copies of those that are kept."""

    what = f"the loss {_name(loss)}".rstrip()

    def function(arrays: Mapping[str, Array]) -> float:
        here = all(value is kept[name] for name, value in arrays.items())
        own = {name: value.copy() if value is kept[name] else value for name, value in arrays.items()}
        try:
            return _number(called(loss, what, tree.rebuild(own)))
        except CallFailed as failed:
            # math.log(-1e-9) raises where np.log gives nan: outside the domain, unless it is the point itself.
            if here or not isinstance(failed.__cause__, ArithmeticError | ValueError):
                raise
            return float("nan")

    return function


def _name(f: Any) -> str:
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


def _number(value: Any) -> float:
    """What a loss returned, if it is one real number."""
    array = np.asarray(value)
    if array.size == 1 and array.dtype.kind in "fiub":
        return float(array.reshape(()))
    what = f"an array of shape {array.shape}" if array.shape else repr(value)
    raise DataError(f"the loss returned {what}, expected a real number (check_vjp takes functions of many)")


class Answer(NamedTuple):
    """One call of a gradient: its blocks by name, what is wrong with its form, what was noticed."""

    blocks: dict[str, Array]
    defects: dict[str, str]
    notes: tuple[str, ...]


def _gradients(gradient: Callable[[Any], Any], tree: Pytree, arrays: Mapping[str, Array]) -> Answer:
    """One call on copies."""
    own = {name: value.copy() for name, value in arrays.items()}
    returned = take_apart(called(gradient, f"the gradient {_name(gradient)}".rstrip(), tree.rebuild(own)), "the gradient")
    answer = returned.arrays
    defects = {name: "the call changed this input" for name in arrays if not np.array_equal(own[name], arrays[name])}
    for name, value in arrays.items():
        problem = _form(answer.get(name), value)
        defects |= {name: problem} if problem else {}
    strangers = {name: "a gradient for what does not exist" for name in answer if name not in tree.names}
    # Worth knowing, and no verdict: the gradient of x.x/2 is x.
    shared = any(np.shares_memory(mine, leaf) for mine in own.values() for leaf in returned.leaves if _is_array(leaf))
    notes = ("the gradient shares memory with its input",) if shared else ()
    return Answer({name: answer[name] for name in arrays if name in answer}, defects | strangers, notes)


def _is_array(leaf: Any) -> TypeGuard[Array]:
    return isinstance(leaf, np.ndarray)


def _form(claimed: Array | None, value: Array) -> str:
    if claimed is None:
        return "no gradient was returned"
    if claimed.shape != value.shape:
        return f"the gradient has shape {claimed.shape}, the input {value.shape}"
    if not np.isfinite(claimed).all():
        index = [int(i) for i in np.argwhere(~np.isfinite(claimed))[0]]
        return f"the gradient is {claimed[tuple(index)]} at {index}"
    return ""


def _same(first: Array, second: Array | None) -> bool:
    if second is None or first.shape != second.shape:
        return second is None
    with np.errstate(all="ignore"):
        return not np.any(np.abs(first - second) > REPRODUCED * np.max(np.abs(first), initial=0.0))


def _rounding(
    gradient: Callable[[Any], Any], tree: Pytree, wide: Mapping[str, Array], claimed: Mapping[str, Array], seed: int
) -> dict[str, Array]:
    """32 u |g| and what a move of one ulp changes, with a floor from its block in units of `scales`.

    A jump within one ulp is a kink.
    """
    rng = np.random.default_rng([seed, *b"ulps"])
    near = {n: _one_ulp(v.astype(claimed[n].dtype) if n in claimed else v, rng) for n, v in wide.items()}
    moved = _gradients(gradient, tree, near).blocks
    bounds: dict[str, Array] = {}
    for name, g in claimed.items():
        u = float(np.finfo(g.dtype).eps) / 2
        g = g.astype(np.float64)
        change = np.zeros_like(g)
        if name in moved and moved[name].shape == g.shape:
            change = np.abs(moved[name].astype(np.float64) - g)
        change = np.where(change <= JUMP * np.maximum(np.abs(g), rms(g)), change, 0.0)
        natural = scales(wide[name], g)
        bounds[name] = 32 * u * np.abs(g) + 3 * np.hypot(change, rms(change * natural) / natural)
    return bounds


def _one_ulp(value: Array, rng: np.random.Generator) -> Array:
    towards = np.where(rng.random(value.shape) < 0.5, -np.inf, np.inf)
    return np.nextafter(value, towards.astype(value.dtype))
