"""The arithmetics in which a build may compute: what each rounds, the numbers that each has; and the complex step's h."""

from typing import NamedTuple

import numpy as np

from gradcheck.errors import DescriptionError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.wording import nearest

UNIT = 2.0**-53
"""Unit roundoff u of float64: half the distance from 1 to the next larger number."""

UNIT_FLOAT32 = 2.0**-24
"""Of float32."""

UNITS = {"float64": UNIT, "float32": UNIT_FLOAT32, "float16": 2.0**-11, "bfloat16": 2.0**-8}
"""Of each format that arrays are stored in."""

COMPLEX_STEP = 1e-100
"""The h of a complex step in float64 or wider: Im f(x + ih) / h is off by about h^2 times the third derivative.

Nothing is subtracted, so that rounding sets no lower end to h. h^2 = 1e-200 lies below all that rounding analysis bounds,
also where the derivative is 0 and the third is not; derivatives down to 1e-200 do not underflow.
"""

COMPLEX_STEP_FLOAT32 = 1e-30
"""The h for functions that may compute in float32, where 1e-100 is 0: any h far below sqrt(u) will do."""


class Precision(NamedTuple):
    """The arithmetic that a build works in."""

    u: float
    underflow: float
    largest: float


ARITHMETICS = ("float64", "float32", "tf32", "bfloat16")
"""As they are named: NumPy's dtypes, and two that NumPy has no dtype for.

``bfloat16`` is float32 with 8 bits of significand in place of 24; ``tf32`` is float32 whose matrix products round their
factors to 11 bits and add up in float32, as NVIDIA's tensor cores do.
"""

COARSE = {"tf32": 2.0**-11, "bfloat16": 2.0**-8}
# SAFETY of `gradcheck.network.analysis`, 100, is for arithmetics in which there is room for it: with u = 2^-8 a bound of 100
# roots of the variance is beyond every gradient, and nothing would ever be seen. Here it is a sixth of that. Measured with
# PyTorch on a CPU, which adds up in float32: the largest error is at 0.43 of its bound over 800 networks of
# ``benchmarks/rounding.py`` (400,000 entries), at 0.37 over 1,500 small ones that saturate, at 0.41 over 1,000 with equal
# samples. TF32 has not been measured: it rounds less often than is counted.
FEWER = 6.0


ROUNDOFFS = 32  # by which an entry of a correct gradient may be off, of its own size or of what it is a small rest of


def rounding(unit: float) -> float:
    """The relative error that rounding explains: so many roundoffs, and as many fewer where they are coarse (`FEWER`)."""
    return ROUNDOFFS * unit / (FEWER if unit > UNIT_FLOAT32 else 1.0)


def precision(arithmetic: str) -> Precision:
    """Unit roundoff, absolute error of one underflow in units of u, and overflow threshold.

    Where arithmetic is coarse u is the unit roundoff divided by ``FEWER``, since all that follows from it is multiplied by
    a safety that is too wide there.
    """
    info = np.finfo(held(arithmetic))
    u = COARSE[arithmetic] / FEWER if arithmetic in COARSE else float(info.eps) / 2
    largest = LARGEST if arithmetic == "bfloat16" else float(info.max)
    # Correct builds flush subnormals (``1 / (1 + exp(96))`` is 0 in float32), so an underflow costs a whole ``tiny``.
    # The analysis squares: in float64 it cannot see below 1e-150 itself.
    return Precision(u, max(float(info.tiny) / u, 1e-150), largest)


LARGEST = 2.0**127 * (2 - 2.0**-7)  # bfloat16


def held(arithmetic: str) -> str:
    """The dtype of the arrays that a build in this arithmetic takes and returns."""
    return "float64" if arithmetic == "float64" else "float32"


def representable(array: Array, arithmetic: str) -> Array:
    """The nearest numbers that the arithmetic has, as `held`; class indices stay. Every build is given the same point."""
    if array.dtype.kind != "f":
        return array
    if arithmetic != "bfloat16":
        return array.astype(held(arithmetic), copy=False)
    # The upper half of a float32 is a bfloat16: round to it, ties to even.
    bits = np.clip(array, -LARGEST, LARGEST).astype(np.float32).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded & np.uint32(0xFFFF0000)).view(np.float32)


def arithmetic_of(name: str) -> str:
    """The name.

    Raises
    ------
    DescriptionError
        Where no arithmetic is called so.
    """
    if name not in ARITHMETICS:
        raise DescriptionError(f"unknown arithmetic {name!r}, {nearest(name, ARITHMETICS)}")
    return name
