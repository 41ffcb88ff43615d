"""Data sets by name: generated ones, those that scikit-learn ships, and files."""

import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gradcheck.cases.fitting import fit, random_targets
from gradcheck.cases.opening import reading
from gradcheck.cases.readers import FILE_TYPES, read
from gradcheck.errors import DataError, DescriptionError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.wording import nearest
from gradcheck.network.batch import Batch
from gradcheck.network.losses import Targets
from gradcheck.network.network import Network


class Labelled(NamedTuple):
    """Inputs (n, features), class numbers from 0 (n,), and how many classes there are."""

    inputs: Array
    labels: Array
    classes: int


def two_moons(samples: int | None, seed: int) -> Labelled:
    """Two interleaved half circles of radius 1 to 1.1; [-1, 2] x [-1, 0.6], which holds most, becomes [0.2, 0.8]^2."""
    rng, n = np.random.default_rng([seed, *b"two-moons"]), samples or DEFAULT_SAMPLES["two-moons"]
    labels = rng.integers(0, 2, n)
    radius, angle = 1 + 0.1 * rng.random(n), np.pi * (0.5 + rng.random(n))
    x, y = radius * np.sin(angle), radius * np.cos(angle)
    x, y = np.where(labels == 1, x, x + 1), np.where(labels == 1, y, -0.7 - y)
    return Labelled(np.column_stack([0.2 + 0.6 * (x + 1) / 3, 0.2 + 0.6 * (y + 1) / 1.6]), labels, 2)


def breast_cancer(samples: int | None, seed: int) -> Labelled:
    """scikit-learn's 569 samples of 30 features, each feature standardised to mean 0 and variance 1."""
    raw = _scikit_learn("load_breast_cancer")
    inputs = (raw.data - raw.data.mean(axis=0)) / raw.data.std(axis=0)
    return _subset(Labelled(inputs, raw.target, 2), samples, seed, "breast-cancer")


def digits(samples: int | None, seed: int) -> Labelled:
    """scikit-learn's 1797 images of 8 x 8 grey levels, divided by 16, with their ten classes."""
    raw = _scikit_learn("load_digits")
    return _subset(Labelled(raw.data / 16, raw.target, 10), samples, seed, "digits")


SETS: dict[str, Callable[[int | None, int], Labelled]] = {
    "two-moons": two_moons,
    "breast-cancer": breast_cancer,
    "digits": digits,
}
NAMES = (*SETS, "random")
DEFAULT_SAMPLES = {"two-moons": 400, "random": 16}


def batch(network: Network, source: str, samples: int | None, seed: int, dtype: str) -> Batch:
    """The inputs and targets of a named set, or of a file, in the dtype asked for.

    Raises
    ------
    DataError
        ``train.csv: inputs[3, 1] is nan, expected a finite float64``
    """
    with reading(source):
        inputs, targets = _arrays(network, source, samples, seed)
    return fit(network, inputs, targets, samples, dtype, source)


def check_known(source: str) -> None:
    """Refuse what is neither the name of a set nor that of a file."""
    if source not in NAMES and not source.endswith(FILE_TYPES):
        raise DescriptionError(
            f"unknown data {source!r}, {nearest(source, NAMES)}, or a file ending in {', '.join(FILE_TYPES)}"
        )


def _arrays(network: Network, source: str, samples: int | None, seed: int) -> tuple[Array, Array]:
    if source.endswith(FILE_TYPES):
        inputs, targets = read(Path(source), network)
        return _unrolled(inputs, network), targets
    if source == "random":
        return _random(network, samples or DEFAULT_SAMPLES[source], seed)
    labelled = SETS[source](samples, seed)
    return _unrolled(labelled.inputs, network), encode(network, labelled)


def _unrolled(inputs: Array, network: Network) -> Array:
    """Rows of as many numbers as a sample has, in its shape."""
    flat = inputs.ndim == 2 and inputs.shape[1] == math.prod(network.inputs)
    return inputs.reshape(len(inputs), *network.inputs) if flat else inputs


def encode(network: Network, data: Labelled) -> Array:
    """Class numbers as the targets that the network's loss wants."""
    kind, shape = network.loss.targets, network.target_shape
    if kind is Targets.CLASSES:
        return data.labels
    if kind is Targets.REALS and shape == (data.classes,):
        return np.eye(data.classes)[data.labels]
    if shape != (1,):
        raise DataError(f"one label a sample, the network's targets have shape {shape}")
    if kind is Targets.REALS and data.classes > 2:
        return data.labels[:, None].astype(float)
    if data.classes > 2:
        raise DataError(f"{data.classes} classes, {type(network.loss).__name__} expects two")
    zero_or_one = data.labels[:, None].astype(float)
    return zero_or_one if kind is Targets.PROBABILITIES else 2 * zero_or_one - 1


def _random(network: Network, samples: int, seed: int) -> tuple[Array, Array]:
    """Standard normal inputs, or indices, and targets drawn from the domain of the loss."""
    rng = np.random.default_rng([seed, *b"random"])
    shape, symbols = (samples, *network.inputs), network.vocabulary
    inputs = rng.standard_normal(shape) if symbols is None else rng.integers(0, symbols, shape)
    return inputs, random_targets(rng, network, samples)


def _scikit_learn(loader: str) -> Any:
    """What a loader of scikit-learn's returns."""
    try:
        from sklearn import datasets
    except ImportError:
        raise DataError("this data needs scikit-learn: pip install 'gradcheck[data]'") from None
    return _loaded(getattr(datasets, loader))


@lru_cache
def _loaded(loader: Callable[[], Any]) -> Any:
    """Read once; nobody writes to it."""
    return loader()


def _subset(data: Labelled, samples: int | None, seed: int, where: str) -> Labelled:
    """A random choice of samples, or all of them in order."""
    if samples is None:
        return data
    chosen = np.random.default_rng([seed, *where.encode()]).permutation(len(data.labels))[:samples]
    return data._replace(inputs=data.inputs[chosen], labels=data.labels[chosen])
