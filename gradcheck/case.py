"""`Case`: a network made concrete. A case is a recipe; parameters and batch are drawn or read when they are used."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

import msgspec
import numpy as np

from gradcheck import data
from gradcheck.arrays import Array
from gradcheck.errors import DescriptionError
from gradcheck.network.describe import Description, at, nearest
from gradcheck.network.layers import Shape
from gradcheck.network.network import Network, is_weight
from gradcheck.protocol import Batch


class Given(Description, frozen=True):
    """Arrays written out, as nested tuples by name: what makes a case with arrays hashable and its ``repr`` evaluate back.

    Examples
    --------
    >>> import numpy as np
    >>> Given.of({"0.weight": np.eye(2)})
    Given(arrays=(('0.weight', ((1.0, 0.0), (0.0, 1.0))),))
    """

    arrays: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, arrays: Mapping[str, Any]) -> Self:
        """From arrays, or nested lists, by name."""
        return cls(tuple((name, _nested(np.asarray(array).tolist())) for name, array in arrays.items()))

    def __getitem__(self, name: str) -> Any:
        return dict(self.arrays)[name]


class Case(Description, frozen=True):
    """Everything that fixes a loss and a gradient.

    Parameters
    ----------
    network : Network
    data : str or Given
        ``"two-moons"``, ``"random"``, ``"breast-cancer"``, ``"digits"``, a file ending in .npz, .csv, .libsvm or .svm, or
        the arrays ``inputs`` and ``targets``.
    samples : int, optional
        How many; by default all that a set or file has, 400 of two-moons, 16 random ones.
    seed : int
        Of parameters and data. Each parameter has a stream of its own, by name: appending a layer re-draws no other.
    init : {"normal", "he", "glorot"} or Given
        Standard normal weights and biases; He et al. 2015 (variance 2 / fan_in) or Glorot and Bengio 2010 (variance
        2 / (fan_in + fan_out)) with biases of 0; or the arrays by parameter name.
    scale : float
        Multiplies what ``init`` drew.
    dtype : {"float64", "float32"}
        Of parameters, inputs and real targets.

    Raises
    ------
    DescriptionError, DataError
        Where the description cannot be, or, when used, the data does not fit it.
    """

    network: Network
    data: str | Given = "random"
    samples: Annotated[int, msgspec.Meta(ge=1)] | None = None
    seed: Annotated[int, msgspec.Meta(ge=0)] = 0
    init: str | Given = "normal"
    scale: float = 1.0
    dtype: Literal["float64", "float32"] = "float64"

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.init, str) and self.init not in SPREADS:
            raise DescriptionError(f"unknown init {self.init!r}, {nearest(self.init, SPREADS)}", "init")

    @property
    def parameters(self) -> dict[str, Array]:
        """Fresh arrays by ``state_dict`` name, in ``dtype``."""
        return {name: self._parameter(name, shape) for name, shape in self.network.parameter_shapes.items()}

    @property
    def batch(self) -> Batch:
        """Fresh inputs and targets, in ``dtype`` (class indices in int64)."""
        if isinstance(self.data, Given):
            arrays = dict(self.data.arrays)
            return data.fit(self.network, arrays.get("inputs"), arrays.get("targets"), self.dtype, "data")
        return data.batch(self.network, self.data, self.samples, self.seed, self.dtype)

    def _parameter(self, name: str, shape: Shape) -> Array:
        with at("init"):
            if isinstance(self.init, str):
                drawn = np.random.default_rng([self.seed, *name.encode()]).standard_normal(shape)
                return (SPREADS[self.init](name, shape) * self.scale * drawn).astype(self.dtype)
            return _given(self.init, name, shape, self.dtype)


def _fans(shape: Shape) -> tuple[int, int]:
    """Inputs and outputs of one unit, for (out, in, *window)."""
    window = int(np.prod(shape[2:]))
    return shape[1] * window, shape[0] * window


# Standard deviation by name and shape of a parameter; biases are 0 except in "normal".
SPREADS: dict[str, Callable[[str, Shape], float]] = {
    "normal": lambda _name, _shape: 1.0,
    "he": lambda name, shape: np.sqrt(2 / _fans(shape)[0]) if is_weight(name) else 0.0,
    "glorot": lambda name, shape: np.sqrt(2 / sum(_fans(shape))) if is_weight(name) else 0.0,
}


def _given(arrays: Given, name: str, shape: Shape, dtype: str) -> Array:
    if name not in dict(arrays.arrays):
        raise DescriptionError(f"no array for the parameter {name!r}")
    array = np.array(arrays[name], dtype=dtype)
    if array.shape != shape or not np.isfinite(array).all():
        raise DescriptionError(f"expected finite numbers of shape {shape}, got shape {array.shape}: {array}", name)
    return array


def _nested(values: Any) -> Any:
    return tuple(map(_nested, cast("list[Any]", values))) if isinstance(values, list) else values


def resolve(source: str, folder: Path) -> str:
    """A data file's path, relative to the description that names it."""
    return str(folder / source) if source.endswith(data.FILE_TYPES) else source
