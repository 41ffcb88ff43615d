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
        """Inputs and real targets in another precision; class indices as they are."""
        targets = self.targets.astype(dtype) if self.targets.dtype.kind == "f" else self.targets
        return Batch(self.inputs.astype(dtype), targets)
