"""The first answer, and whether another one is the same: to rounding, which the function's own arithmetic sets."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TypeAlias

import numpy as np

from gradcheck.adapters.contract.breaches import Breach, shortly
from gradcheck.foundation.arrays import Array
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.entrywise import place

Gradients: TypeAlias = Mapping[str, Array]

# What is rounding. Seen on 320 honest functions that compute in float32, bfloat16 or float16, in sight or out of it, with
# blocks that are zero to rounding among them: as it is none is accused; without NOTHING and NOISE 9 are, without one of
# them none; with ROUNDED = 1e-7 37; without the uneven cotangents (COARSE = 0) 45.
NOTHING = 100  # roundoffs of the whole gradient's contribution, beside which a block is nothing
MOST = 1e-3  # of it, or one roundoff: 100 of bfloat16 are 0.8, beside which two of six planted breaches were nothing
NOISE = 16  # times the largest difference of two plain answers, which is one draw of what rounding and atomics do
UNEVEN = 1.5
COARSE = 2.0**-4  # of the whole gradient: more is not the rounding of any arithmetic, whose unit in bfloat16 is 2^-8
# Of an output's largest entry: what is another output, and not the same one rounded. Some forward passes are computed in
# float32 where nobody sees it, of which this is the line of `tolerance`; a coarser arithmetic that is seen has its own.
ROUNDED = float(np.finfo(np.float32).eps) ** 0.5

FACTORS = (1.0, 2.0, -0.5)  # of cotangents: powers of two, so that nothing rounds otherwise
ELSEWHERE = 0.25  # how far off the other point is, relative to each entry: it stays in the function's domain, mostly
EACH = 4  # up to so many blocks, each is asked for alone and left out; of more, random halves
HALVES = 4  # and as many complements


class Refused(Exception):
    """A forward pass is not made for what is asked, and says so: no fault of the backward pass."""


class First:
    """A function's first answer, which later ones are held against.

    Attributes
    ----------
    judged : frozenset of str
        The blocks that are compared.
    point, outputs, gradients : dict of str to array
        Where, and what differences have judged.
    eps : float
        The spacing of 1 in the coarsest arithmetic that is known to be in it.
    """

    def __init__(
        self,
        judged: Collection[str],
        point: Gradients,
        outputs: Gradients,
        gradients: Gradients,
        scaled: Callable[[float], Gradients],
        eps: float,
        least: float = 0.0,
    ) -> None:
        """``scaled`` has the gradients again, to cotangents times a factor; ``least`` is the smallest number there is."""
        self.least = least
        self.judged, self.point, self.outputs, self.gradients = frozenset(judged), point, outputs, gradients
        self.noise = self._noise(scaled)
        self.eps = max(eps, self._share(self.noise))
        self.whole = sum(float(np.sum(each)) for each in self._contributions(self.gradients).values())

    def answers(
        self, cause: Cause, when: str, backward: Callable[[], Gradients], expected: Gradients | None = None
    ) -> Iterator[Breach]:
        """A breach where a backward pass raises, or answers otherwise than expected (as at first, unless told)."""
        try:
            found = backward()
        except Refused:
            raise
        except Exception as error:
            yield Breach(cause, frozenset(self.gradients), f"{when} the backward pass {shortly(error)}")
            return
        yield from self.differing(cause, when, found, self.gradients if expected is None else expected)

    def differing(self, cause: Cause, when: str, found: Gradients, expected: Gradients) -> Iterator[Breach]:
        """A breach for each judged block that is beyond rounding."""
        for name in (name for name in expected if name in self.judged):
            seen = difference(found[name], expected[name], self.tolerance(name, expected[name]))
            if seen:
                yield Breach(cause, frozenset({name}), f"{when} the gradient {seen}")

    def tolerance(self, name: str, expected: Array) -> float:
        """How far off an entry may be: root of the spacing, noise that was seen, what is nothing beside the whole.

        Where that is below the smallest number, of as many of these as of the noise.
        """
        largest = max(size(self.gradients[name]), size(expected))
        part = max(self.eps, min(NOTHING * self.eps, MOST))
        nothing = part * self.whole / (size(self.point[name]) or 1.0)
        return self.eps**0.5 * largest + nothing + NOISE * max(size(self.noise[name]), self.least)

    def contributes(self, name: str) -> float:
        """What part of the whole gradient a block is."""
        return float(np.sum(self._contributions({name: self.gradients[name]})[name])) / (self.whole or 1.0)

    def same_outputs(self, found: Gradients) -> bool:
        """Whether another evaluation has the values of the first; how little these differ by tells of its arithmetic."""
        rounded = max(ROUNDED, self.eps**0.5)
        if any(difference(found[name], value, rounded * size(value)) for name, value in self.outputs.items()):
            return False
        changes = [size(found[name] - value) / (size(value) or 1.0) for name, value in self.outputs.items()]
        self.eps = max([self.eps, *(change for change in changes if change <= ROUNDED)])
        return True

    def elsewhere(self, seed: int) -> Gradients:
        """Another point."""
        draws = np.random.default_rng(seed)
        return {
            name: (value * (1 + ELSEWHERE * draws.uniform(-1, 1, value.shape))).astype(value.dtype)
            for name, value in self.point.items()
        }

    def _noise(self, scaled: Callable[[float], Gradients]) -> Gradients:
        """How far off a second answer is, to cotangents times a number that is no power of two, and divided by it.

        It rounds otherwise: so arithmetic within a function is seen that is coarser than what goes in and out of it. Where
        that is no rounding, a second answer to the same.
        """
        uneven = self._off(scaled, UNEVEN)
        return uneven if self._share(uneven) < COARSE else self._off(scaled, 1.0)

    def _off(self, scaled: Callable[[float], Gradients], factor: float) -> Gradients:
        again = scaled(factor)
        return {name: np.abs(again[name] / factor - gradient) for name, gradient in self.gradients.items()}

    def _contributions(self, gradients: Gradients) -> Gradients:
        with np.errstate(all="ignore"):
            products = {name: np.abs(gradient * self.point[name]) for name, gradient in gradients.items()}
        return {name: np.where(np.isfinite(product), product, 0.0) for name, product in products.items()}

    def _share(self, part: Gradients) -> float:
        """Of the whole gradient, in what it contributes."""
        sums = [sum(float(np.sum(each)) for each in self._contributions(g).values()) for g in (part, self.gradients)]
        return min(sums[0] / sums[1], 1.0) if sums[1] else 0.0


def size(array: Array) -> float:
    """Of the largest entry."""
    return float(np.max(np.abs(array), initial=0.0))


def difference(found: Array, expected: Array, tolerance: Array | float) -> str:
    """Where and by how much one answer is beyond another; empty where it is not."""
    if found.shape != expected.shape:
        return f"has shape {found.shape}, expected {expected.shape}"
    with np.errstate(all="ignore"):
        off = np.where(np.isfinite(found), np.abs(found - expected), np.inf)
    off = np.where((found == expected) | (np.isnan(found) & np.isnan(expected)), 0.0, off)
    if not np.any(off > tolerance):
        return ""
    worst = place(int(np.argmax(off)), off.shape)
    where = f" at {list(worst)}" if worst else ""
    return f"is off by {off[worst]:.2g}{where}" if np.isfinite(off[worst]) else f"is {found[worst]}{where}"


def chosen(names: list[str], seed: int) -> Iterator[frozenset[str]]:
    """At most `EACH` alone and left out, else random halves and what they leave."""
    if len(names) < 2:
        return
    every = frozenset(names)
    if len(names) <= EACH:
        yield from (frozenset({name}) for name in names)
        yield from (every - {name} for name in names if len(names) > 2)
        return
    draws = np.random.default_rng(seed)
    for _ in range(HALVES):
        half = frozenset(str(name) for name in draws.permutation(names)[: len(names) // 2])
        yield from (half, every - half)


def only(subset: frozenset[str], names: list[str]) -> str:
    """Which blocks require a gradient, as a sentence has it."""
    kept, left = ([name for name in names if (name in subset) == inside] for inside in (True, False))
    if len(left) == 1 < len(kept):
        return f"{left[0]} requires no gradient"
    if len(kept) == 1:
        return f"only {kept[0]} requires a gradient"
    return f"{len(kept)} of {len(names)} blocks require a gradient, {kept[0]} and not {left[0]},"
