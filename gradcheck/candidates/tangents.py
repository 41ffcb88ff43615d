"""Points that are not free: directions along a tangent space, by `along=`.

A loss of symmetric matrices, say, is judged as f(P(s)), P being the projection on what is allowed (`spaces`), and its claim
g as P'(s)^T g: only what it says along tangents counts. So Euclidean and Riemannian gradients are both right.

A function of somebody's own is taken for linear: g -> M^T g with M its matrix, where a block is small and that is so; else a
few directions through it are the coordinates.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

import numpy as np

from gradcheck.candidates.charts import Chart
from gradcheck.candidates.spaces import SPACES
from gradcheck.errors import DataError, DescriptionError
from gradcheck.foundation.arrays import Array, norm
from gradcheck.foundation.calling import called
from gradcheck.foundation.wording import enumerated, shown
from gradcheck.oracles.directions import normal, own_sizes

SMALL = 200  # entries of a block up to which a function's matrix is made, a call each
SEVERAL = 8  # random directions of a larger block
ON = 1e-6  # relative: so near to it a point lies on what it should; it is then moved along that through itself


Along: TypeAlias = str | Callable[[Any], Any]


def tangent_charts(arrays: Mapping[str, Array], along: object) -> tuple[dict[str, Chart], tuple[str, ...]]:
    """A chart for each block that is not free, and a note on each.

    Raises
    ------
    DataError
        Where a point is not of the space that is named, a space has no dimensions, or ``along`` names no block.
    DescriptionError
        Where it is neither a name, a function nor a dict of these by block.
    """
    if along is None:
        return {}, ()
    if not isinstance(along, Mapping):
        if callable(along) and len(arrays) > 1:
            raise DataError(f"along: there are several blocks, {enumerated(list(arrays), 6)}: hand in a dict of functions")
        along = dict.fromkeys(arrays, along)
    wanted = cast("Mapping[Any, Any]", along)
    for name, space in wanted.items():
        if name not in arrays:
            raise DataError(f"along: there is no block {shown(name)}, but {enumerated(list(arrays), 6)}")
        if not (callable(space) or (isinstance(space, str) and space in SPACES)):
            names = ", ".join(map(repr, SPACES))
            raise DescriptionError(f"expected a function or one of {names}, got {shown(space)}", "along")
        if arrays[name].dtype.kind != "f":
            raise DataError(f"along: {name} is complex: hand in a function of its real and imaginary parts")
    charts = {name: _chart(name, arrays[name], space) for name, space in wanted.items()}
    return charts, tuple(_note(name, wanted[name], chart, arrays[name]) for name, chart in charts.items())


def _note(name: str, space: Along, chart: Chart, x: Array) -> str:
    """What is left out of a block."""
    if isinstance(space, str):
        return f"{name}: compared along {space!r} directions only"
    few = "" if chart.start.shape == x.shape else f"{chart.start.size} "
    return f"{name}: compared along {few}directions of the given function only"


def _chart(name: str, x: Array, space: Along) -> Chart:
    if not isinstance(space, str):
        return _through(name, x, space)
    known = SPACES[space]
    wide = x.astype(np.float64)
    tolerance = max(ON, float(np.finfo(x.dtype).eps) ** 0.5) * norm(wide)
    if (dimension := known.dimension(x.shape)) < 0:
        raise DataError(f"along: {name} is of shape {x.shape}, and {space!r} wants {known.asked}")
    if not (off := known.off(wide)) <= tolerance:
        raise DataError(
            f"along: {name} is off by {off / (norm(wide) or 1.0):.1g} relative, and {space!r} wants {known.asked}"
        )
    if not dimension or not x.size:
        raise DataError(f"along: {name} of shape {x.shape} has no direction along {space!r}: its dimension is 0")

    def lift(s: Array) -> Array:
        return known.lift(wide, s).astype(s.dtype)

    return Chart(x, lift, known.pull)


def _through(name: str, x: Array, along: Callable[[Any], Any]) -> Chart:
    """Along the directions that a function makes of any: by its matrix, or of a large block by a few of them."""

    def tangent(v: Array) -> Array:
        made = np.asarray(called(along, f"along of {name}", v if x.ndim else v[()]))
        if made.shape != x.shape or made.dtype.kind not in "fiu" or not np.isfinite(made).all():
            raise DataError(
                f"along: of {name} a direction of shape {made.shape} was made, expected {x.shape}, finite and real"
            )
        return made.astype(np.float64)

    drawn = [tangent(normal(f"{name} along", x.shape, seed)) for seed in range(SEVERAL)]
    if not any(v.any() for v in drawn):
        raise DataError(f"along: of {name} all directions are zero: the dimension is 0")
    if x.size <= SMALL and _is_linear(tangent, name, x.shape):
        matrix = np.stack([tangent(one.reshape(x.shape)).ravel() for one in np.eye(x.size)])
        return _moved(x, x.ravel(), matrix, x.shape)
    size = float(np.max(own_sizes(x.astype(np.float64))))
    rows = np.stack([v.ravel() * (size / float(np.max(np.abs(v)))) for v in drawn if v.any()])
    return _moved(x, np.ones(len(rows), x.dtype), rows, (len(rows),))


def _is_linear(tangent: Callable[[Array], Array], name: str, shape: tuple[int, ...]) -> bool:
    one, other = (normal(f"{name} linear", shape, seed) for seed in (0, 1))
    first, second, together = tangent(one), tangent(other), tangent(one + other)
    return norm(first + second - together) <= ON * (norm(first) + norm(second))


def _moved(x: Array, start: Array, rows: Array, shape: tuple[int, ...]) -> Chart:
    """The block moved by a sum of these directions, from coordinates that have this shape."""

    def lift(s: Array) -> Array:
        return (x.ravel() + (s.ravel() - start) @ rows).reshape(x.shape).astype(s.dtype)

    def pull(_: Array, g: Array) -> Array:
        return (rows @ g.ravel()).reshape(shape)

    return Chart(start.reshape(shape), lift, pull)
