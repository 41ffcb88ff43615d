"""`Case`: a network made concrete. A case is a recipe; parameters and batch are drawn or read when they are used."""

import os
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, Literal, Self, cast

import msgspec
import numpy as np

from gradcheck.cases import datasets, sizes
from gradcheck.cases.fitting import finite_array, fit
from gradcheck.cases.readers import FILE_TYPES
from gradcheck.errors import DescriptionError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.describe import Description, at
from gradcheck.foundation.wording import nearest
from gradcheck.network.batch import Batch
from gradcheck.network.layers import Shape, Start
from gradcheck.network.network import Network


class Given(Description, frozen=True):
    """Arrays written out, as nested tuples by name: what makes a case with arrays hashable and its ``repr`` evaluate back.

    Examples
    --------
    >>> import numpy as np
    >>> Given.of({"0.weight": np.eye(2)})
    Given(arrays=(('0.weight', ((1.0, 0.0), (0.0, 1.0))),))
    """

    arrays: tuple[tuple[str, Any], ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        named: dict[str, Any] = {}
        for name, array in self.arrays:
            if name in named:
                raise DescriptionError("given twice", name)
            named[name] = _nested(array, name)
        msgspec.structs.force_setattr(self, "arrays", tuple(named.items()))

    @classmethod
    def of(cls, arrays: Mapping[str, Any]) -> Self:
        """From arrays, or nested lists, by name."""
        return cls(tuple(arrays.items()))

    def exactly(self, names: Collection[str]) -> dict[str, Any]:
        """The arrays by name; raises `DescriptionError` unless these are their names."""
        arrays = dict(self.arrays)
        for name in arrays:
            if name not in names:
                raise DescriptionError(f"unknown array, {nearest(name, names)}", name)
        for name in names:
            if name not in arrays:
                raise DescriptionError("missing", name)
        return arrays


class Case(Description, frozen=True):
    """Everything that fixes a loss and a gradient.

    Parameters
    ----------
    network : Network
    data : str or Given
        ``"two-moons"``, ``"random"``, ``"breast-cancer"``, ``"digits"``, a file ending in .npz, .csv, .libsvm or .svm, a
        text ending in .txt, or the arrays ``inputs`` and ``targets``.
    samples : int, optional
        How many; by default all that a set or file has, 400 of two-moons, 16 random ones.
    seed : int
        Of parameters and data. Each parameter has a stream of its own, by name: appending a layer re-draws no other.
    init : {"normal", "he", "glorot"} or Given
        Standard normal numbers everywhere; He et al. 2015 (variance 2 / fan_in) or Glorot and Bengio 2010 (variance
        2 / (fan_in + fan_out)) with biases of 0 and the weights of a normalisation 1; or the arrays by parameter name.
    scale : float
        Multiplies what ``init`` drew.
    dtype : {"float64", "float32"}
        Of parameters, real inputs and real targets.

    Raises
    ------
    DescriptionError, DataError
        Where the description cannot be, or arrays written out do not fit it; for sets and files, when they are used.
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
        if isinstance(self.data, str):
            with at("data"):
                datasets.check_known(self.data)
        # What is written out is checked at once; what must be drawn or read, when it is used.
        if isinstance(self.init, Given):
            _ = self.parameters
        if isinstance(self.data, Given):
            _ = self.batch

    @property
    def parameters(self) -> dict[str, Array]:
        """Fresh arrays by ``state_dict`` name, in ``dtype``."""
        shapes = self.network.parameter_shapes
        if isinstance(self.init, str):
            sizes.parameters_fit(self.network)
            starts = self.network.starts
            return {name: self._drawn(self.init, name, shape, starts[name]) for name, shape in shapes.items()}
        with at("init"):
            arrays = self.init.exactly(shapes)
            return {name: _shaped(arrays[name], name, shape, self.dtype) for name, shape in shapes.items()}

    @property
    def batch(self) -> Batch:
        """Fresh inputs and targets, in ``dtype`` (tokens and class indices in int64)."""
        if isinstance(self.data, str):
            sizes.samples_fit(self.network, self.generated)
            return datasets.batch(self.network, self.data, self.samples, self.seed, self.dtype)
        with at("data"):
            arrays = self.data.exactly(("inputs", "targets"))
        return fit(self.network, arrays["inputs"], arrays["targets"], self.samples, self.dtype, "data")

    @property
    def generated(self) -> int:
        """How many samples are drawn for it; 0 where they are read, and so are there already."""
        usual = datasets.DEFAULT_SAMPLES.get(self.data, 0) if isinstance(self.data, str) else 0
        return (self.samples or usual) if usual else 0

    def absolute(self) -> Self:
        """The same case in whatever folder it is used: a data file is named by its absolute path."""
        if isinstance(self.data, str) and self.data.endswith(FILE_TYPES):
            return msgspec.structs.replace(self, data=os.path.abspath(self.data))
        return self

    def _drawn(self, init: str, name: str, shape: Shape, start: Start) -> Array:
        try:
            drawn = np.random.default_rng([self.seed, *name.encode()]).standard_normal(shape)
        except (MemoryError, ValueError):  # a ValueError beyond what NumPy can index
            raise DescriptionError(f"an array of shape {shape} does not fit into memory", name) from None
        centre, fans = (0.0, (1.0, 1.0)) if init == "normal" else (start.centre, start.fans)
        spread = SPREADS[init](*fans) if fans else 0.0
        with np.errstate(over="ignore"):
            return finite_array(centre + spread * self.scale * drawn, name, f"scale {self.scale:g}", self.dtype)


# Standard deviation by how many inputs and outputs a unit has; "normal" also draws what the others leave at its centre.
SPREADS: dict[str, Callable[[float, float], float]] = {
    "normal": lambda _inputs, _outputs: 1.0,
    "he": lambda inputs, _outputs: np.sqrt(2 / inputs),
    "glorot": lambda inputs, outputs: np.sqrt(2 / (inputs + outputs)),
}


def _shaped(values: Any, name: str, shape: Shape, dtype: str) -> Array:
    array = finite_array(values, name, "init", dtype)
    if array.shape != shape:
        raise DescriptionError(f"expected shape {shape}, got {array.shape}", name)
    return array


def _nested(values: Any, name: str) -> Any:
    """An array, or nested lists, as nested tuples of Python's own numbers."""
    try:
        return _tuples(np.asarray(values).tolist())
    except ValueError:
        raise DescriptionError("expected an array, got rows of different lengths", name) from None


def _tuples(values: Any) -> Any:
    return tuple(map(_tuples, cast("list[Any]", values))) if isinstance(values, list) else values
