"""What a network is applied to: parameters by name, and a batch of samples."""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from numpy.typing import DTypeLike

from gradcheck.foundation.arrays import Array

Parameters: TypeAlias = Mapping[str, Array]


class Batch(NamedTuple):
    """Inputs (n, *network.inputs) and targets (n, *network.target_shape), batch first."""

    inputs: Array
    targets: Array

    def astype(self, dtype: DTypeLike) -> "Batch":
        """Inputs and targets in another precision; indices as they are."""
        return Batch(*(array.astype(dtype) if array.dtype.kind == "f" else array for array in self))
