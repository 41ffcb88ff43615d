"""Levels of arithmetic: what honest code may round, from float32 inside to every operation in the dtype that is stored.

Each operation's result is off by a relative error that is uniform between -u and u. A sum of n terms in order rounds n - 1
times: the term that is added i-th is rounded n - i times more, n / 2 on average, so that each term is off by sqrt(n / 2) u;
and where all have one sign the i-th partial sum is i / n of the total, so that this is off by sqrt(sum (i / n)^2) u =
sqrt(n / 3) u. Which of both is the larger depends on the signs: both are put on.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from gradcheck.foundation.arithmetic import LARGEST as LARGEST_BFLOAT16
from gradcheck.foundation.arithmetic import UNITS

TF32 = 2.0**-11
TINY = {"float64": 2.0**-1022, "float32": 2.0**-126, "float16": 2.0**-14, "bfloat16": 2.0**-126}
LARGEST = {
    "float64": float(np.finfo(np.float64).max),
    "float32": float(np.finfo(np.float32).max),
    "float16": float(np.finfo(np.float16).max),
    "bfloat16": LARGEST_BFLOAT16,
}
# Float64 cannot be shaken by its own roundoff in float64. Rounding is linear in u as long as it is small, so that a coarser
# one is put on, and its effect scaled down.
COARSER = 2.0**13


class Level(NamedTuple):
    """One arithmetic: how far each number may be off, relative to it.

    Attributes
    ----------
    name : str
        As reports say it: ``"float32"``.
    unit : float
        Of the result of every operation.
    sums : float
        Of every addition within a sum.
    factors : float
        Of the factors of a matrix product or convolution, where these are rounded before.
    moved : float
        Of arguments and cotangents, where code may read them rounded otherwise.
    tiny, largest : float
        The smallest normal number, below which a result is off by ``unit * tiny`` besides; and that beyond which it is
        infinite.
    effect : float
        What an error that was put on stands for, in parts of it.
    least : float
        By which arguments and cotangents are moved besides, in units of ``moved``: what is exactly zero stays so without.
    """

    name: str
    unit: float
    sums: float
    factors: float
    moved: float
    tiny: float
    largest: float
    effect: float = 1.0
    least: float = 0.0

    def term(self, n: int) -> float:
        """Of each term of a sum of n."""
        return self.sums * max(1.0, n / 2) ** 0.5

    def total(self, n: int) -> float:
        """Of the sum, beside that of its terms."""
        return self.sums * max(1.0, n / 3) ** 0.5

    def louder(self, factor: float) -> "Level":
        """With every error so many times as large."""
        unit, sums, factors, moved = (factor * each for each in self[1:5])
        return self._replace(unit=unit, sums=sums, factors=factors, moved=moved)


COARSE = ("bfloat16", "float16")
"""Formats in which no kernel adds up if it can help it."""


def known_format(name: str) -> str:
    """The format that a dtype of this name counts as: of an 8-bit float float16, which is finer."""
    return name if name in UNITS else "float16"


def coarsest(formats: Iterable[str]) -> str:
    """The format of the largest roundoff among some."""
    return max(formats, key=lambda each: UNITS[each])


def finest(held: str) -> Level:
    """What code of this format does at its best: of a coarse one, float32 inside, and rounding what is stored."""
    inside = "float32" if held in COARSE else held
    unit = UNITS[inside] * (COARSER if held == "float64" else 1.0)
    # Arguments of a coarse format are numbers that float32 has: nothing reads them otherwise.
    moved = 0.0 if held in COARSE else unit
    effect = 2**0.5 / COARSER if held == "float64" else 1.0  # the centre is rounded as well
    return Level(held, unit, unit, 0.0, moved, TINY[inside], LARGEST[inside], effect)


def every_operation(held: str) -> Level:
    """What code of a coarse format does where each operation's result is stored, and sums are added up in float32."""
    unit = UNITS[held]
    return Level(f"every operation in {held}", unit, UNITS["float32"], 0.0, unit, TINY[held], LARGEST[held])


def explaining(held: str) -> list[Level]:
    """What else, finest first, might have gone on inside code of this format that is less exact than its best.

    The size of an error does not tell float16 from a bfloat16 that is used in one place of several: both are named.
    """
    if held == "float64":
        return [finest("float32"), *explaining("float32")]
    best = finest(held)
    if held in COARSE:
        return [best._replace(name=f"products of {held} numbers", factors=UNITS[held]), every_operation(held)]
    return [
        best._replace(name="products in TF32", factors=TF32),
        best._replace(name="products of bfloat16 numbers", factors=UNITS["bfloat16"]),
        best._replace(name="sums in bfloat16 or float16", sums=UNITS["bfloat16"]),
        every_operation("bfloat16")._replace(name="every operation in bfloat16 or float16"),
    ]
