"""A case written out, as it is taken apart: its parts, and what is plainer in any network."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import msgspec
import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.network.network import Network


class Parts(NamedTuple):
    """A case written out: what can be left out of it."""

    network: Network
    parameters: dict[str, Array]
    inputs: Array
    targets: Array
    dtype: Any

    def put(self, name: str, values: Array) -> Self:
        """With other values of a parameter."""
        return self._replace(parameters={**self.parameters, name: values})

    def described(self, **changes: Any) -> Self:
        """With a network that is changed in this."""
        return self._replace(network=msgspec.structs.replace(self.network, **changes))


def choices(count: int) -> Iterator[list[int]]:
    """What may be kept of so many: one, two that are neighbours, half, all but one."""
    found = [[i] for i in range(count)] if count > 1 else []
    found += [[i, i + 1] for i in range(count - 1)] if count > 2 else []
    found += [list(range(count // 2)), list(range(count // 2, count))] if count > 4 else []
    return iter(found + ([[i for i in range(count) if i != left] for left in range(count)] if count > 3 else []))


def plainer(parts: Parts) -> Iterator[Parts]:
    """Without weight decay, in double precision."""
    if parts.network.weight_decay:
        yield parts.described(weight_decay=0.0)
    if parts.dtype != "float64":
        yield parts._replace(dtype="float64")


def simpler(parts: Parts) -> Iterator[Parts]:
    """With simpler numbers in one of the arrays."""
    for name, values in parts.parameters.items():
        yield from (parts.put(name, plain) for plain in _simpler(values))
    yield from (parts._replace(inputs=values) for values in _simpler(parts.inputs))
    yield from (parts._replace(targets=values) for values in _simpler(parts.targets))


def _simpler(values: Array) -> Iterator[Array]:
    """All entries, then each, as 0, as 1, as an integer: whatever is simpler than it was."""
    yield from (plain for plain in _plain(values) if _rank(plain).sum() < _rank(values).sum())
    for index in np.ndindex(values.shape):
        for plain in _plain(values[index]):
            if _rank(plain) < _rank(values[index]):
                changed = values.copy()
                changed[index] = plain
                yield changed


def _plain(values: Any) -> list[Any]:
    return [np.zeros_like(values), np.ones_like(values), np.round(values)]


def _rank(values: Array) -> Array:
    """0 before 1 before other integers before the rest."""
    return np.where(values == 0, 0, np.where(values == 1, 1, np.where(values == np.round(values), 2, 3)))
