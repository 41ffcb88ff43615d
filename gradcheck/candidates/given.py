"""The gradient in the dtype that was given: the judged one, in float64, held against what the user's own run gets.

A backward pass may be right in float64 and wrong in float32: another kernel, a cast, a constant. Rounding is no such
mistake, and honest rounding can be large. What tells them apart: rounding changes with the operands' low bits, a mistake
stays. So where the two differ by more than a few roundings both are asked again at points nearby, and an error counts as far
as its mean over all of these stands out of its own spread.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np

from gradcheck.errors import GradcheckError
from gradcheck.foundation.arrays import Array, norm, rms
from gradcheck.foundation.wording import at_most
from gradcheck.oracles.directions import scales
from gradcheck.oracles.line import Nearest
from gradcheck.verdict.entrywise import entry_scales, place
from gradcheck.verdict.findings import Entry

Gradient: TypeAlias = Callable[[Mapping[str, Array]], Mapping[str, Array]]

# Seen on 90 honest modules, of which none was accused, and 540 faults, of which 515 were found (`benchmarks/given.py`).
POINTS = 4  # besides the one in question, each entry moved by a factor of its own; with 1 the same were found
NEARBY = 31 / 32
# Unit roundoffs by which honest entries may differ without being asked twice: many in a wide format, where that is little;
# in a narrow one as many as are less than the error that is looked for. With MANY = 8 ten faults fewer were found, with
# FEW = 4 four fewer, with COARSE = 0.005 two more.
MANY, FEW, COARSE = 256, 32, 0.05
# Unit roundoffs of the loss and of the whole gradient, below which an entry's contribution is rounding. At 1 eight more were
# found, all in bfloat16; at 32 100 fewer.
FLOOR = 4
SPREADS = 8  # that a mean error must stand out of; at 2 the same were found, at 40 17 fewer


class Narrow(NamedTuple):
    """A candidate in the dtype that it was given in.

    Attributes
    ----------
    dtype : str
        Its name.
    unit : float
        Its unit roundoff.
    nearest : callable
        From a block's name and an array to the nearest numbers that the block's dtype has.
    loss, gradient : callable
        Of arrays by name, which are such numbers.
    """

    dtype: str
    unit: float
    nearest: Nearest
    loss: Callable[[Mapping[str, Array]], float]
    gradient: Gradient


class Off(NamedTuple):
    """By how much a block is wrong in the given dtype: relative to its scale, beyond what bound, and the worst entry."""

    error: float
    bound: float
    entry: Entry


class Given(NamedTuple):
    """What the given dtype says: what is off, by block, and one sentence on what was compared."""

    off: Mapping[str, Off]
    note: str


def in_given_dtype(narrow: Narrow, loss: float, gradient: Gradient, point: Mapping[str, Array], seed: int) -> Given:
    """Hold the gradient in float64, which is ``gradient``, against the one in the given dtype."""
    where = f"in {narrow.dtype}, as given"
    try:
        here = {name: narrow.nearest(name, value) for name, value in point.items()}
        value = narrow.loss(here)
        if not abs(value - loss) <= narrow.unit**0.5 * max(abs(value), abs(loss)):
            return Given({}, f"{where}, the loss is {value:.6g} and not {loss:.6g}: its gradient was not compared")
        errors = [_errors(narrow, gradient, here, loss)]
        suspects = sorted(name for name, one in errors[0].items() if not one.largest <= _line(narrow.unit))
        if suspects:
            rng = np.random.default_rng([seed, *b"given"])
            errors += [_errors(narrow, gradient, _moved(narrow, point, rng), loss) for _ in range(POINTS)]
    except GradcheckError as failed:
        return Given({}, f"{where}: {failed}")
    off = {name: one for name in suspects if (one := _systematic(narrow.unit, [each[name] for each in errors])) is not None}
    same = [one.largest for name, one in errors[0].items() if name not in off]
    worst = max(same, default=0.0)
    said = f"to {at_most(worst)}" if worst else "to the last digit"
    return Given(off, f"{where}, the gradient is the same {said}" if same else "")


class _Error(NamedTuple):
    """Of each entry, relative to its scale, and what it is between."""

    relative: Array
    scale: Array
    claimed: Array
    reference: Array

    @property
    def largest(self) -> float:
        """Of all entries; nan where one is no number."""
        return float(np.max(np.abs(self.relative), initial=0.0))


def _line(unit: float) -> float:
    """Of errors relative to an entry's scale: what is less needs no second look."""
    return min(MANY * unit, max(FEW * unit, COARSE))


def _errors(narrow: Narrow, gradient: Gradient, here: Mapping[str, Array], loss: float) -> dict[str, _Error]:
    """Of each block; an entry's scale is never less than what rounding of the loss and the whole gradient is worth."""
    low, high = narrow.gradient(here), gradient(here)
    pairs = {name: (low[name].astype(np.float64), high[name].astype(np.float64)) for name in high if name in low}
    moves = {name: scales(here[name], reference) for name, (_, reference) in pairs.items()}
    whole = norm(np.array([loss, *(norm(reference * moves[name]) for name, (_, reference) in pairs.items())]))
    found: dict[str, _Error] = {}
    for name, (claimed, reference) in pairs.items():
        floor = FLOOR * narrow.unit / _line(narrow.unit) * whole / moves[name]
        scale = np.maximum(entry_scales(reference, claimed, np.finfo(float).tiny), floor)
        with np.errstate(all="ignore"):
            found[name] = _Error((claimed - reference) / scale, scale, claimed, reference)
    return found


def _moved(narrow: Narrow, point: Mapping[str, Array], rng: np.random.Generator) -> dict[str, Array]:
    return {name: narrow.nearest(name, x * rng.uniform(NEARBY, 1, x.shape)) for name, x in point.items()}


def _systematic(unit: float, errors: list[_Error]) -> Off | None:
    """The worst entry whose error stays at all points, or is no number at the first, if there is one."""
    first = errors[0]
    if not np.isfinite(first.relative).all():
        index = place(int(np.argmin(np.isfinite(first.relative))), first.relative.shape)
        return Off(np.inf, _line(unit), _entry(first, index, _line(unit)))
    stacked = np.stack([each.relative for each in errors if np.isfinite(each.relative).all()])
    spread = stacked.std(axis=0)
    bound = np.maximum(_line(unit), SPREADS * np.maximum(spread, rms(spread)))
    beyond = np.where(np.abs(stacked.mean(axis=0)) > bound, np.abs(first.relative), 0.0)
    if not beyond.any():
        return None
    index = place(int(np.argmax(beyond)), beyond.shape)
    return Off(float(beyond[index]), float(bound[index]), _entry(first, index, float(bound[index])))


def _entry(error: _Error, index: tuple[int, ...], bound: float) -> Entry:
    return Entry(index, float(error.claimed[index]), float(error.reference[index]), bound * float(error.scale[index]))
