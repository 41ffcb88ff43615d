"""Parameters and batches of a given network: small arrays entry by entry, larger ones by seed."""

from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.extra import numpy as npst

from gradcheck.cases.fitting import random_targets
from gradcheck.foundation.arrays import Array
from gradcheck.network import losses as ls
from gradcheck.network.batch import Batch
from gradcheck.network.network import Network
from gradcheck.strategies.arguments import dtypes_of, whole

# Integers, which meet kinks exactly, as often as numbers that no binary format holds exactly. In the order of shrinking.
WHOLE = (0.0, 1.0, -1.0, 2.0, -2.0)
TENTHS = tuple(sign * tenths / 10 for tenths in range(1, 20) if tenths != 10 for sign in (1, -1))
ENTRIES = st.sampled_from((*WHOLE * 7, *TENTHS))
SMALL = 24  # entries up to which an array is drawn entry by entry
# A seed counts as much as 40 decisions: what is written out in fewer is simpler, and a failure shrinks to it.
SEEDS = st.tuples(*[st.booleans()] * 40).map(lambda bits: sum(bit << place for place, bit in enumerate(bits)))


def parameters(*, network: Network, dtype: str = "float64") -> st.SearchStrategy[dict[str, Array]]:
    """Parameters of a network by ``state_dict`` name, each array in the shape that the network wants.

    Entries are integers from -2 to 2, which meet kinks exactly, and tenths between them. Shrinks toward zeros. Arrays of
    more than 24 entries are standard normal, of two decimals, by seed.

    Parameters
    ----------
    network : Network
    dtype : {"float64", "float32"}
    """
    (dtype,) = dtypes_of(dtype)
    shapes = _known(network).parameter_shapes
    return st.fixed_dictionaries({name: reals(shape) for name, shape in shapes.items()}).map(
        lambda arrays: {name: arrays[name].astype(dtype) for name in shapes}
    )


def batches(*, network: Network, max_samples: int = 6, dtype: str = "float64") -> st.SearchStrategy[Batch]:
    """Inputs and targets for a network: inputs like `parameters`, targets in the domain of its loss.

    Parameters
    ----------
    network : Network
    max_samples : int
        Largest batch; the smallest is 1.
    dtype : {"float64", "float32"}
        Of inputs and real targets; class indices are int64.
    """
    max_samples = whole("max_samples", max_samples, at_least=1)
    (dtype,) = dtypes_of(dtype)
    _known(network)
    return st.integers(1, max_samples).flatmap(
        lambda n: st.builds(Batch, reals((n, *network.inputs)), targets(network, n)).map(lambda batch: batch.astype(dtype))
    )


def reals(shape: tuple[int, ...]) -> st.SearchStrategy[Array]:
    """An array of this shape in float64."""
    if prod(shape) > SMALL:
        return SEEDS.map(lambda seed: np.round(np.random.default_rng(seed).standard_normal(shape), 2))
    return npst.arrays(np.float64, shape, elements=ENTRIES, fill=st.nothing())


def targets(network: Network, samples: int) -> st.SearchStrategy[Array]:
    """Targets in the domain of the loss."""
    shape, classes = (samples, *network.target_shape), network.shapes[-1][-1]
    if prod(shape) > SMALL:
        return SEEDS.map(lambda seed: _rounded(random_targets(np.random.default_rng(seed), network.loss, shape, classes)))
    kind = network.loss.targets
    elements: dict[ls.Targets, st.SearchStrategy[Any]] = {
        ls.Targets.SIGNS: st.sampled_from([1.0, -1.0]),
        ls.Targets.PROBABILITIES: st.sampled_from([0.0, 1.0, *(tenths / 10 for tenths in range(1, 10))]),
        ls.Targets.CLASSES: st.integers(0, classes - 1),
        ls.Targets.REALS: ENTRIES,
    }
    return npst.arrays(
        np.int64 if kind is ls.Targets.CLASSES else np.float64, shape, elements=elements[kind], fill=st.nothing()
    )


def _rounded(values: Array) -> Array:
    return np.round(values, 2) if values.dtype.kind == "f" else values


def _known(network: Network) -> Network:
    if not isinstance(network, Network):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidArgument(f"network={network!r} must be a Network")
    return network
