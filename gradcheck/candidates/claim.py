"""A claimed gradient before any arithmetic: called, copied, examined, and its own rounding estimated."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from gradcheck.candidates.answer import Answer, Defect, is_another, repeated
from gradcheck.candidates.bounds import Box
from gradcheck.candidates.functions import Beside, Loss, Subject, gradients
from gradcheck.candidates.given import Gradient
from gradcheck.candidates.precision import Arithmetic, asking, is_narrow
from gradcheck.errors import CallFailed, GradcheckError
from gradcheck.foundation.arithmetic import UNIT
from gradcheck.foundation.arithmetic import rounding as rounding_of
from gradcheck.foundation.arrays import Array, norm, rms
from gradcheck.oracles.directions import scales
from gradcheck.verdict.causes import Cause

# Answers may repeat as badly as a sum in float32 whose terms come in another order each time: by the root of its eps.
REPEATS = float(np.finfo(np.float32).eps)
# Times the difference of two answers, over a block in root mean square: how far either may be from the truth. Of 60 right
# gradients, shaken by 1e-9 to 3e-5 like their losses, none was accused at 0 to 100; 14 were undecided at 0, 16 as it is, and
# 22 at 100; all of 60 that were off by 5 % were found.
SHAKEN = 8
# Relative to its block's scale; what changes more than this within one ulp is a kink, not rounding. At 1e-10 or 1e-2 no
# verdict of 674 changed; at 1e9 17 of 40 exact kinks were undecided.
JUMP = 1e-6
NOTHING = 1e-10  # of the contribution of the whole gradient
# Ulps at which a change beyond that is looked at again, and how many times as much a smooth gradient changes there at least:
# at an optimum its entries are nothing, and one ulp changes them by more than they are.
FURTHER, GROWN = 2**10, 2**4


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
    again : callable
        The gradient of arrays by name, once more.
    beside : Beside
        What the loss did at other points; it goes on counting.
    arithmetic : Arithmetic
        In which it is judged.
    box : Box, optional
        Outside of which the loss has no value.
    complex_blocks : dict of str to str
        Those whose last axis has the real and the imaginary parts of complex numbers: the convention of their gradient.
    scale : dict of str to array, optional
        To which the error of each entry is relative, where that is not ``max(|g_i|, RMS of the block)``.
    """

    function: Loss
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
    again: Gradient
    beside: Beside
    arithmetic: Arithmetic
    box: Box | None = None
    complex_blocks: Mapping[str, str] = {}
    scale: Mapping[str, Array] | None = None


def examine(subject: Subject, seed: int, arithmetic: Arithmetic | None = None) -> Claim:
    """Call both, twice; take the gradient in float64 where it follows its input's dtype.

    Of a function of somebody else's framework the ``arithmetic`` is known already.
    """
    wide = {name: value.astype(np.float64, copy=False) for name, value in subject.coordinates.items()}
    beside, as_given = Beside(), subject.dtype is not None
    loss, here, found = asking(subject, wide, beside, as_given)
    second = loss(wide)
    answer, repeats, promoted = _asked_twice(subject, wide, as_given or found.nearest is not None)
    claimed = answer.gradients
    defects, doubts = dict(answer.defects), dict(repeats.defects)
    arithmetic = arithmetic or (found if promoted else found._replace(narrow=None))
    if not np.isfinite(here):  # what it says of a loss that is none is nobody's fault
        defects = {name: defect for name, defect in defects.items() if defect.cause is not Cause.NON_FINITE}
        doubts |= dict.fromkeys(wide, Defect(Cause.NON_FINITE, f"the loss is {here} here"))
    elif here != second and is_another(here, second, REPEATS):
        doubts |= dict.fromkeys(wide, Defect(Cause.NONDETERMINISTIC, "the loss changes from call to call"))
    unit = {name: max(float(np.finfo(value.dtype).eps) / 2, arithmetic.unit) for name, value in claimed.items()}

    def analytic(arrays: Mapping[str, Array]) -> Any:
        return subject.loss(subject.point(arrays))

    def again(arrays: Mapping[str, Array]) -> Mapping[str, Array]:
        return gradients(subject, arrays).gradients

    return Claim(
        function=loss,
        analytic=analytic,
        loss=here,
        evaluations=2,
        point=wide,
        gradient={name: value.astype(np.float64, copy=False) for name, value in claimed.items() if name not in defects},
        rounding=_rounding(subject, wide, claimed, unit, repeats.shaken, seed),
        unit=unit,
        defects=defects,
        doubts=doubts,
        notes=(*answer.notes, *repeats.notes),
        precise=lambda: gradients(subject, wide, np.longdouble).gradients,
        again=again,
        beside=beside,
        arithmetic=arithmetic,
        box=subject.box,
        complex_blocks=subject.complex_blocks,
    )


def _asked_twice(subject: Subject, wide: Mapping[str, Array], as_given: bool) -> tuple[Answer, Answer, bool]:
    """The answer, in float64 where it follows; what a second one says otherwise; and whether it follows."""
    arrays = subject.coordinates
    first = gradients(subject, arrays)
    second = gradients(subject, arrays)
    repeats = repeated(first.gradients, second.gradients, lambda _: REPEATS)
    late = {name: _late(defect) for name, defect in second.defects.items() if name not in first.defects}
    repeats = repeats._replace(defects={**repeats.defects, **late})
    del second
    if as_given or not any(map(is_narrow, arrays.values())):
        return first, repeats, False
    try:
        promoted = gradients(subject, wide)
    except GradcheckError:
        return first, repeats, False
    if promoted.defects or any(value.dtype != np.float64 for value in promoted.gradients.values()):
        return first, repeats, False
    return first._replace(gradients=promoted.gradients), repeats, True


def _late(defect: Defect) -> Defect:
    """Of a second call, where the first one had none."""
    return Defect(Cause.NONDETERMINISTIC, f"a second call answered otherwise: {defect.sentence}")


def _rounding(
    subject: Subject,
    wide: Mapping[str, Array],
    claimed: Mapping[str, Array],
    unit: Mapping[str, float],
    shaken: Mapping[str, float],
    seed: int,
) -> dict[str, Array]:
    """What so many roundoffs are, and what a move of one ulp changes, with a floor from its block in units of `scales`.

    A jump within one ulp is a kink. What differs from call to call is known no better than that.
    """
    moved = _moved_by_ulps(subject, wide, claimed, seed)
    bounds: dict[str, Array] = {}
    whole = norm(np.array([norm(g * scales(wide[name], g)) for name, g in claimed.items()]))
    further = cache(lambda: _moved_by_ulps(subject, wide, claimed, seed, FURTHER))
    for name, g in claimed.items():
        wide_g = g.astype(np.float64, copy=False)
        bounds[name] = _bound(wide[name], wide_g, moved.pop(name, None), lambda n=name: further().get(n), unit[name], whole)
        if name in shaken:
            bounds[name] += SHAKEN * shaken[name]
    return bounds


def _moved_by_ulps(
    subject: Subject, wide: Mapping[str, Array], claimed: Mapping[str, Array], seed: int, ulps: int = 1
) -> dict[str, Array]:
    """The gradient there; none where it has none, outside of its domain."""
    rng = np.random.default_rng([seed, *b"ulps"])
    near = {n: _by_ulps(v.astype(claimed[n].dtype) if n in claimed else v, rng, ulps) for n, v in wide.items()}
    try:
        return dict(gradients(subject, near).gradients)
    except CallFailed:
        return {}


def _bound(
    theta: Array, g: Array, moved: Array | None, further: Callable[[], Array | None], u: float, whole: float
) -> Array:
    size, change, natural = np.asarray(np.abs(g)), _change(g, moved), scales(theta, g)
    # What is nothing beside the whole gradient is no kink either: of a zero all is rounding.
    large = ~(change <= np.maximum(JUMP * np.maximum(size, rms(g)), NOTHING * whole / natural))
    if u > UNIT:  # one ulp of a narrow format changes any gradient by that much, and not by its rounding alone
        change[large] = 0.0
    elif large.any():
        change[large & ~(_change(g, further()) >= GROWN * change)] = 0.0
    np.divide(rms(change * natural), natural, out=natural)
    size *= rounding_of(u)
    size += np.multiply(3, np.hypot(change, natural, out=natural), out=natural)
    return size


def _change(g: Array, moved: Array | None) -> Array:
    change = np.zeros(g.shape)
    if moved is not None and moved.shape == g.shape:
        with np.errstate(invalid="ignore"):  # a claim that is infinite is a defect, which is told elsewhere
            np.abs(np.subtract(moved, g, out=change), out=change)
    return change


def _by_ulps(value: Array, rng: np.random.Generator, ulps: int) -> Array:
    towards = np.where(rng.random(value.shape) < 0.5, -np.inf, np.inf)
    near = np.nextafter(value, towards.astype(value.dtype))
    return near if ulps == 1 else np.asarray(value + ulps * (near - value))
