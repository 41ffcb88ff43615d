"""Hypothesis strategies for networks and cases; the only place that imports Hypothesis.

Arguments are keyword-only and validated at once. Small arrays are drawn entry by entry, so that a failure shrinks to zeros
and ones; larger ones by seed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.extra import numpy as npst

from gradcheck.arrays import Array
from gradcheck.case import Case, Given
from gradcheck.network import layers as ly
from gradcheck.network import losses as ls
from gradcheck.network.network import Network

SMALL = 24  # entries up to which an array is drawn entry by entry

ACTIVATIONS: tuple[ly.Activation, ...] = (
    ly.ReLU(),
    ly.Tanh(),
    ly.Arctan(),
    ly.Sigmoid(),
    ly.Softplus(),
    ly.SiLU(),
    ly.Identity(),
    ly.LeakyReLU(),
    ly.LeakyReLU(slope=-0.5),
    ly.ELU(),
    ly.ELU(alpha=0.5),
    ly.GELU(),
    ly.GELU(approximate="tanh"),
)
LOSSES: tuple[ls.Loss, ...] = (
    ls.MSE(),
    ls.Logistic(),
    ls.BinaryCrossEntropy(),
    ls.CrossEntropy(),
    ls.Huber(),
    ls.Huber(delta=0.25),
    ls.Hinge(),
)


def networks(
    *,
    max_depth: int = 4,
    max_width: int = 5,
    activations: Sequence[ly.Activation] = ACTIVATIONS,
    losses: Sequence[ls.Loss] = LOSSES,
) -> st.SearchStrategy[Network]:
    """Fully connected networks: dense layers, each with or without bias and with or without an activation behind it.

    Parameters
    ----------
    max_depth : int
        Largest number of dense layers; the smallest is 1.
    max_width : int
        Largest number of inputs and of units in a layer.
    activations, losses : sequence
        What to choose from; shrinks toward the first.
    """
    for name, value in (("max_depth", max_depth), ("max_width", max_width)):
        if value < 1:
            raise InvalidArgument(f"{name}={value!r} must be at least 1")
    if not activations or not losses:
        raise InvalidArgument(f"activations={activations!r} and losses={losses!r} must not be empty")
    size = st.integers(1, max_width)
    dense = st.builds(ly.Dense, units=size, bias=st.sampled_from([True, False]))
    blocks = st.tuples(dense, st.lists(st.sampled_from(activations), max_size=1))
    layers = st.lists(blocks, min_size=1, max_size=max_depth).map(
        lambda chosen: tuple(layer for dense, after in chosen for layer in (dense, *after))
    )
    decay = st.sampled_from([0.0, 0.5])
    return st.builds(Network, st.tuples(size), layers, st.sampled_from(losses), weight_decay=decay)


@st.composite
def _cases(draw: st.DrawFn, chosen: st.SearchStrategy[Network], max_samples: int, dtypes: Sequence[str]) -> Case:
    network, dtype = draw(chosen), draw(st.sampled_from(dtypes))
    samples, seed = draw(st.integers(1, max_samples)), draw(st.integers(0, 2**32 - 1))
    written_out = draw(st.booleans())
    init: str | Given = draw(st.sampled_from(["normal", "he", "glorot"]))
    data: str | Given = "random"
    if written_out and all(np.prod(shape) <= SMALL for shape in network.parameter_shapes.values()):
        shapes = network.parameter_shapes.items()
        init = Given.of({name: draw(_reals(shape)) for name, shape in shapes})
        inputs, targets = draw(_reals((samples, *network.inputs))), draw(_targets(network, samples))
        data = Given.of({"inputs": inputs, "targets": targets})
    scale = 1.0 if isinstance(init, Given) else draw(st.sampled_from([1.0, 0.03, 0.25, 4.0, 16.0]))
    return Case(network, data=data, samples=samples, seed=seed, init=init, scale=scale, dtype=dtype)  # pyright: ignore[reportArgumentType]


def cases(
    *,
    networks: st.SearchStrategy[Network] = networks(),  # noqa: B008 a strategy is immutable
    max_samples: int = 6,
    dtypes: Sequence[str] = ("float64", "float32"),
) -> st.SearchStrategy[Case]:
    """Networks with parameters and a batch: written out where all arrays are small, else by seed.

    Parameters
    ----------
    networks : strategy
        Of networks.
    max_samples : int
        Largest batch; the smallest is 1.
    dtypes : sequence of {"float64", "float32"}
        What to choose from.
    """
    if max_samples < 1:
        raise InvalidArgument(f"max_samples={max_samples!r} must be at least 1")
    if not dtypes or not set(dtypes) <= {"float64", "float32"}:
        raise InvalidArgument(f"dtypes={dtypes!r} must be a choice of 'float64' and 'float32'")
    return _cases(networks, max_samples, dtypes)


def _reals(shape: tuple[int, ...]) -> st.SearchStrategy[Array]:
    """Zeros, ones and other integers, which meet kinks exactly, and numbers of float32, which both dtypes represent."""
    whole = st.integers(-2, 2).map(float)
    other = st.floats(-2, 2, width=32, allow_subnormal=False)
    return npst.arrays(np.float64, shape, elements=whole | other)


def _targets(network: Network, samples: int) -> st.SearchStrategy[Array]:
    """Targets in the domain of the loss."""
    elements: dict[ls.Targets, st.SearchStrategy[Any]] = {
        ls.Targets.SIGNS: st.sampled_from([1.0, -1.0]),
        ls.Targets.PROBABILITIES: st.sampled_from([0.0, 1.0]) | st.floats(0, 1, width=32, allow_subnormal=False),
        ls.Targets.CLASSES: st.integers(0, network.shapes[-1][-1] - 1),
        ls.Targets.REALS: st.integers(-2, 2).map(float),
    }
    kind = network.loss.targets
    dtype = np.int64 if kind is ls.Targets.CLASSES else np.float64
    return npst.arrays(dtype, (samples, *network.target_shape), elements=elements[kind])
