"""What a wrong gradient may have been meant to be: corrections of the claim, each under the name of its cause.

A cause is named only where its correction agrees with the oracle along several directions, so each one here is an array and
what was needed to make it. A correction with a free number has it fitted along one direction and is tested along the others.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from gradcheck.arrays import Array, dot, norm

SHIFTS = 3  # places that a roll may be off
NARROW = {"float16": np.float16, "float32": np.float32}
INTEGER = 1e-6  # relative; so near to an integer a factor is taken for one. Chosen, not derived.
MEAN = 3  # factors of 2 have other reasons than a mean
ROW = 64  # rows of which every exchange of two is tried


class Diagnosis(msgspec.Struct, frozen=True):
    """A named cause of what is wrong with a block.

    Attributes
    ----------
    name : str
        Of the block.
    cause : str
        A stable identifier: ``"factor"``, ``"sign"``, ``"transposed"``, ...
    evidence : dict
        The numbers that belong to it.
    backend : str
        Whose block; the first one's where several have it in common.
    """

    name: str
    cause: str
    evidence: dict[str, Any] = {}
    backend: str = ""


class Correction(NamedTuple):
    """What the claim would be without the mistake.

    ``fitted`` is what a free number multiplies that was fitted along the first direction, to the accuracy of that.
    """

    cause: str
    corrected: Array
    evidence: dict[str, Any]
    fitted: Array | None = None

    def explains(self, known: Sequence["Known"]) -> bool:
        """Whether it agrees with the oracle along every direction."""
        first = known[0]
        uncertain = 0.0
        if self.fitted is not None:
            uncertain = first.bound / abs(dot(self.fitted, first.v))
        return all(
            abs(dot(self.corrected, each.v) - each.slope)
            <= each.bound + (uncertain * abs(dot(self.fitted, each.v)) if self.fitted is not None else 0.0)
            for each in known
        )


class Known(NamedTuple):
    """What an oracle says along one direction: the true slope and how well it is known."""

    v: Array
    slope: float
    bound: float


def causes(
    name: str, claims: Mapping[str, Array], theta: Array, known: Sequence[Known], samples: int | None = None
) -> list[Diagnosis]:
    """Every cause that explains the whole difference along all known directions, simplest first.

    Parameters
    ----------
    name : str
        Of the block.
    claims : dict of str to array
        Of all blocks.
    theta : array
        The block itself.
    known : sequence of Known
        Two at least.
    samples : int, optional
        How many the loss is a mean over, where that is known: no other factor is then taken for a mean.
    """
    claimed = claims[name]
    if not claimed.any():
        return [Diagnosis(name, "zero")]
    narrow = narrow_format(claimed, known)
    found = [Diagnosis(name, "low-precision", {"format": narrow})] if narrow else []
    for correction in _corrections(name, claims, theta, known[0], samples):
        if correction.explains(known):
            found.append(Diagnosis(name, correction.cause, correction.evidence))
    return found


def _corrections(
    name: str, claims: Mapping[str, Array], theta: Array, first: Known, samples: int | None
) -> Iterator[Correction]:
    claimed = claims[name]
    yield Correction("sign", -claimed, {})
    yield from _factor(claimed, first, samples)
    yield from _reordered(claimed)
    for other, gradient in claims.items():
        if other != name and gradient.shape == claimed.shape:
            yield Correction("permuted", gradient, {"taken_from": other})
    yield from _regularised(claimed, theta, first)


def _factor(claimed: Array, first: Known, samples: int | None) -> Iterator[Correction]:
    product = dot(claimed, first.v)
    alone = claimed.size < 2  # a single number is always some multiple of another
    if (alone and samples is None) or not product or not abs(first.slope) > first.bound:
        return
    factor = product / first.slope
    if abs(factor + 1) <= INTEGER:
        return  # a sign
    for cause, count in (("missing-mean", factor), ("extra-mean", 1 / factor)):
        n = round(count) if samples is None else samples
        if n >= MEAN and abs(count - n) <= INTEGER * n:
            yield Correction(cause, claimed / n if cause == "missing-mean" else claimed * n, {"n": n})
    if not alone:
        yield Correction("factor", claimed / factor, {"factor": factor}, fitted=claimed / factor)


def _reordered(claimed: Array) -> Iterator[Correction]:
    if claimed.ndim == 2 and claimed.size > 1:
        if claimed.shape[0] == claimed.shape[1]:
            yield Correction("transposed", claimed.T, {})
        elif min(claimed.shape) > 1:
            yield Correction("transposed", claimed.reshape(claimed.shape[::-1]).T, {"reshaped": True})
    for axis, size in enumerate(claimed.shape):
        for shift in range(1, min(SHIFTS, size // 2) + 1):
            for signed in (shift, -shift):
                yield Correction("permuted", np.roll(claimed, signed, axis), {"rolled": -signed, "axis": axis})
        if size > 2:
            yield Correction("permuted", np.flip(claimed, axis), {"flipped": True, "axis": axis})
        yield from _exchanged(claimed, axis)


def _exchanged(claimed: Array, axis: int) -> Iterator[Correction]:
    if not 2 < claimed.shape[axis] <= ROW:
        return
    for i in range(claimed.shape[axis]):
        for j in range(i):
            order = list(range(claimed.shape[axis]))
            order[i], order[j] = j, i
            yield Correction("permuted", np.take(claimed, order, axis), {"swapped": [j, i], "axis": axis})


def _regularised(claimed: Array, theta: Array, first: Known) -> Iterator[Correction]:
    along = dot(theta, first.v)
    if claimed.size > 1 and along:
        multiple = (dot(claimed, first.v) - first.slope) / along
        yield Correction("regularisation", claimed - multiple * theta, {"multiple": multiple}, fitted=theta)


def narrow_format(claimed: Array, known: Sequence[Known]) -> str | None:
    """The format that the claim has been rounded to, if it is that and rounding to it explains the whole difference."""
    for name, dtype in NARROW.items():
        with np.errstate(all="ignore"):
            kept = claimed.astype(dtype).astype(float)
        unit = float(np.finfo(dtype).eps) / 2
        tiny = float(np.finfo(dtype).smallest_subnormal)
        explained = all(
            abs(dot(claimed, k.v) - k.slope) <= k.bound + 4 * (unit * norm(claimed * k.v) + tiny * norm(k.v)) for k in known
        )
        if np.array_equal(kept, claimed) and explained and claimed.any():
            return name
    return None


def clipped_at(claimed: Array) -> float | None:
    """The value that two entries or more stop at, if there is one."""
    size = np.abs(claimed)
    largest = float(np.max(size, initial=0.0))
    return largest if largest and 1 < np.count_nonzero(size == largest) < size.size else None
