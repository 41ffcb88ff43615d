"""What a wrong gradient may have been meant to be: corrections of the claim, each under the name of its cause.

A cause is named only where its correction agrees with the oracle along several directions, so each one here is an array and
what was needed to make it. A correction with a free number has it fitted along one direction and is tested along the others.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from gradcheck.candidates.complex_points import MEANT, WIRTINGER, as_complex, as_real, other
from gradcheck.foundation.arithmetic import UNITS
from gradcheck.foundation.arrays import Array, dot, norm
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Diagnosis

SHIFTS = 3  # places that a roll may be off
# Unit roundoff and least number, fewest digits first.
NARROW = {"bfloat16": (2.0**-8, 2.0**-133), "float16": (2.0**-11, 2.0**-24), "float32": (2.0**-24, 2.0**-149)}
# Relative; so near to an integer a factor is taken for one. At 1e-9 five means missing in float32 were called factors; at
# 1e-3 five factors of -1.0001 had no name.
INTEGER = 1e-6
MEAN = 3  # factors of 2 have other reasons than a mean
ROW = 64  # rows of which every exchange of two is tried
# Along which a cause must agree with the oracle. At 1, 57 more of 217 causes were wrong (a decay fits anything); at 16 none
# changed, for 44% more evaluations.
DIRECTIONS = 4
# Bounds that a claim must be off by along some direction to be explained. At 1 one of 300 causes changed, at 100 none; at
# 1e6 7 of 87 in networks were lost.
CLEAR = 4
# So near to an integer a single number's factor is taken for one. At 1e-13 or 1e-5 no cause of 217 changed.
ALONE = 1e-9
# So near to a number of two digits a norm is taken for a limit. At 1e-2 ten of 217 causes, factors all, were called clipped;
# at 1e-14 none changed.
ROUND = 1e-9
# Times smaller in long double, whose roundoff is 2048 times so: instability. At 1e4 all ten unstable builds were called
# constants; at 8 nothing changed.
BETTER = 256


class Correction(NamedTuple):
    """What the claim would be without the mistake.

    ``fitted`` is what a free number multiplies that was fitted along the first direction, to the accuracy of that.
    """

    cause: Cause
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


def corrections(
    name: str,
    claims: Mapping[str, Array],
    theta: Array,
    known: Sequence[Known],
    counts: Sequence[int] = (),
    clear: bool = True,
    held: str = "float64",
    convention: str | None = None,
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
    counts : sequence of int
        What the loss may be a mean over, where that is known: no other factor is then taken for a mean.
    clear : bool
        Whether the claim must be off by a few bounds: so near to one, anything would explain it.
    held : str
        The format that the claim is stored in: rounding to that is what storing does.
    convention : str, optional
        Of the gradient by complex numbers, of which the block holds both parts along its last axis.
    """
    claimed = claims[name]
    if clear and not any(abs(dot(claimed, each.v) - each.slope) > CLEAR * each.bound for each in known) and known:
        return []
    if not claimed.any():
        return [Cause.ZERO.of(name)]
    narrow = narrow_format(claimed, known)
    narrow = narrow if narrow and NARROW[narrow][0] > UNITS[held] else None
    found = [Cause.LOW_PRECISION.of(name, format=narrow)] if narrow else []
    of_complex = _of_complex(claimed, convention) if convention else iter(())
    for correction in chain(of_complex, _corrections(name, claims, theta, known[0], counts)):
        if correction.explains(known):
            found.append(correction.cause.of(name, **correction.evidence))
    halves = [
        diagnosis for diagnosis in found if "wirtinger" in diagnosis.evidence
    ]  # which some limit or multiple fits, too
    return halves or found


def _of_complex(claimed: Array, convention: str) -> Iterator[Correction]:
    """The other convention, the Wirtinger derivatives, which are half of either, and the places of complex numbers."""
    z, meant = as_complex(claimed), {"claimed": MEANT[other(convention)], "asked": MEANT[convention]}
    if claimed[..., 1].any():
        yield Correction(Cause.CONJUGATED, as_real(z.conj()), meant)
        yield Correction(Cause.CONJUGATED, 2 * as_real(z.conj()), {"wirtinger": WIRTINGER[other(convention)], **meant})
    yield Correction(Cause.FACTOR, 2 * claimed, {"factor": 0.5, "wirtinger": WIRTINGER[convention]})
    yield Correction(Cause.FACTOR, as_real(-1j * z), {"times": "i"})
    yield Correction(Cause.FACTOR, as_real(1j * z), {"times": "-i"})
    for correction in _reordered(z):
        yield correction._replace(corrected=as_real(correction.corrected))
        if correction.cause is Cause.TRANSPOSED:
            yield Correction(Cause.TRANSPOSED, as_real(correction.corrected.conj()), {"conjugated": "and conjugated"})


def _corrections(
    name: str, claims: Mapping[str, Array], theta: Array, first: Known, counts: Sequence[int]
) -> Iterator[Correction]:
    claimed = claims[name]
    yield Correction(Cause.SIGN, -claimed, {})
    yield from _factor(claims, name, first, counts)
    yield from _reordered(claimed)
    for owner, gradient in claims.items():
        if owner != name and gradient.shape == claimed.shape:
            yield Correction(Cause.PERMUTED, gradient, {"taken_from": owner})
    yield from _regularised(claimed, theta, first)


def _factor(claims: Mapping[str, Array], name: str, first: Known, counts: Sequence[int]) -> Iterator[Correction]:
    claimed = claims[name]
    product = dot(claimed, first.v)
    if not product or not abs(first.slope) > first.bound:
        return
    factor = product / first.slope
    if abs(factor + 1) <= INTEGER:
        return  # a sign
    alone = claimed.size < 2  # a single number is always some multiple of another
    if alone and not counts and first.bound > ALONE * abs(first.slope):
        return
    near = ALONE if alone else INTEGER
    for cause, count in ((Cause.MISSING_MEAN, factor), (Cause.EXTRA_MEAN, 1 / factor)):
        for n in counts or (round(count),):
            if (n >= MEAN or n in counts) and abs(count - n) <= near * n:
                yield Correction(cause, claimed / n if cause is Cause.MISSING_MEAN else claimed * n, {"n": n})
    for size in (norm(claimed), norm(np.array([norm(claim) for claim in claims.values()]))):
        limit = float(f"{size:.1e}")
        if not alone and 0 < factor < 1 and abs(size - limit) <= ROUND * limit:
            yield Correction(Cause.CLIPPED, claimed / factor, {"norm": limit}, fitted=claimed / factor)
            break
    if not alone:
        yield Correction(Cause.FACTOR, claimed / factor, {"factor": factor}, fitted=claimed / factor)


def _reordered(claimed: Array) -> Iterator[Correction]:
    if claimed.ndim == 2 and claimed.size > 1:
        if claimed.shape[0] == claimed.shape[1]:
            yield Correction(Cause.TRANSPOSED, claimed.T, {})
        elif min(claimed.shape) > 1:
            yield Correction(Cause.TRANSPOSED, claimed.reshape(claimed.shape[::-1]).T, {"reshaped": True})
    for axis, size in enumerate(claimed.shape):
        for shift in range(1, min(SHIFTS, size // 2) + 1):
            for signed in (shift, -shift):
                yield Correction(Cause.PERMUTED, np.roll(claimed, signed, axis), {"rolled": -signed, "axis": axis})
        if size > 2:
            yield Correction(Cause.PERMUTED, np.flip(claimed, axis), {"flipped": True, "axis": axis})
        yield from _exchanged(claimed, axis)


def _exchanged(claimed: Array, axis: int) -> Iterator[Correction]:
    if not 2 < claimed.shape[axis] <= ROW:
        return
    for i in range(claimed.shape[axis]):
        for j in range(i):
            order = list(range(claimed.shape[axis]))
            order[i], order[j] = j, i
            yield Correction(Cause.PERMUTED, np.take(claimed, order, axis), {"swapped": [j, i], "axis": axis})


def _regularised(claimed: Array, theta: Array, first: Known) -> Iterator[Correction]:
    along = dot(theta, first.v)
    if claimed.size > 1 and along:
        multiple = (dot(claimed, first.v) - first.slope) / along
        yield Correction(Cause.REGULARISATION, claimed - multiple * theta, {"multiple": multiple}, fitted=theta)


def narrow_format(claimed: Array, known: Sequence[Known]) -> str | None:
    """The format that the claim has been rounded to, if it is that and rounding to it explains the whole difference."""
    for name, (unit, tiny) in NARROW.items():
        # Each entry is off by a last place at most, rounded or cut off.
        explained = all(
            abs(dot(claimed, k.v) - k.slope)
            <= k.bound + 2 * unit * float(np.sum(np.abs(claimed * k.v))) + tiny * float(np.sum(np.abs(k.v)))
            for k in known
        )
        if explained and claimed.any() and _fits_into(claimed, name):
            return name
    return None


def _fits_into(claimed: Array, name: str) -> bool:
    """Whether every entry is a number of the format; bfloat16 is the upper half of float32."""
    with np.errstate(all="ignore"):
        kept = claimed.astype("float32" if name == "bfloat16" else name)
    return np.array_equal(kept.astype(float), claimed) and (name != "bfloat16" or not np.any(kept.view(np.uint32) & 0xFFFF))


def clipped_at(claimed: Array) -> float | None:
    """The value that two entries or more stop at, if there is one."""
    size = np.abs(claimed)
    largest = float(np.max(size, initial=0.0))
    return largest if largest and 1 < np.count_nonzero(size == largest) < size.size else None
