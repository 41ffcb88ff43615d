"""Complex numbers as pairs of real ones, and the two conventions for the gradient of a real loss L by a complex z = x + i y.

Both hold the same two numbers: ``"conjugate"`` is dL/dx + i dL/dy = 2 dL/dconj(z), the direction of steepest ascent;
``"holomorphic-transpose"`` is dL/dx - i dL/dy = 2 dL/dz (Wirtinger 1927; Kreutz-Delgado, arXiv:0906.4835).
"""

from collections.abc import Mapping

import numpy as np

from gradcheck.candidates.charts import Chart
from gradcheck.errors import DataError, DescriptionError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.wording import shown

CONJUGATE, TRANSPOSE = "conjugate", "holomorphic-transpose"
MEANT = {
    CONJUGATE: "dL/dx + i dL/dy, as PyTorch and TensorFlow return it",
    TRANSPOSE: "dL/dx - i dL/dy, as JAX and Autograd return it",
}
WIRTINGER = {CONJUGATE: "dL/dconj(z)", TRANSPOSE: "dL/dz"}  # of which each is twice


def other(convention: str) -> str:
    """The other one of the two."""
    return TRANSPOSE if convention == CONJUGATE else CONJUGATE


def convention_of(value: object) -> str:
    """One of the two by its name.

    Raises
    ------
    DescriptionError
        Where none is called so.
    """
    if value not in MEANT:
        raise DescriptionError(f"expected {' or '.join(map(repr, MEANT))}, got {shown(value)}", "complex")
    return str(value)


def as_real(array: Array) -> Array:
    """Of shape (..., 2): real parts, then imaginary ones."""
    return np.stack([np.real(array), np.imag(array)], axis=-1)


def as_complex(array: Array) -> Array:
    """The complex array of which `as_real` makes this one."""
    found = np.empty(array.shape[:-1], np.result_type(array, np.complex64))
    found.real, found.imag = array[..., 0], array[..., 1]
    return found


def real_gradient(claim: Array, convention: str) -> Array:
    """Of shape (..., 2): dL/dx, then dL/dy, of a gradient in this convention."""
    return as_real(claim if convention == CONJUGATE else np.conj(claim))


def complex_charts(arrays: Mapping[str, Array], convention: str | None) -> dict[str, Chart]:
    """A chart for each complex block.

    Raises
    ------
    DataError
        Where a convention is asked for and nothing is complex.
    """
    if convention is None:
        return {}
    found = {name: _chart(z, convention) for name, z in arrays.items() if z.dtype.kind == "c"}
    if not found:
        raise DataError(f"complex: {convention!r}, and nothing in the point is complex")
    return found


def _chart(z: Array, convention: str) -> Chart:
    def pull(_: Array, claim: Array) -> Array:
        return real_gradient(claim, convention)

    return Chart(as_real(z), as_complex, pull)
