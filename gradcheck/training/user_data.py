"""A user's data for a classifier of two classes: read, standardised, and a part of it held out.

Whatever is decided about the data on the way is a sentence in `UserData.notes`.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gradcheck.cases.case import Case, Given
from gradcheck.cases.readers import read_libsvm
from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.validation import seed_of
from gradcheck.foundation.wording import enumerated
from gradcheck.network.batch import Batch
from gradcheck.network.network import Network

HELD_OUT = 0.2  # of each class
SHOWN = 5  # labels or features in a sentence


class UserData(NamedTuple):
    """Data to train on, and data to be judged by: inputs (n, features) and targets (n, 1) of -1 and +1."""

    training: Batch
    held_out: Batch
    notes: tuple[str, ...]

    @property
    def features(self) -> int:
        """Of a sample: what a network for this data has as its inputs."""
        return self.training.inputs.shape[1]

    def case(self, network: Network, init: str) -> Case:
        """A network on the training part."""
        return Case(network, data=Given.of(self.training._asdict()), init=init)


def read_user_data(path: str | os.PathLike[str], seed: int = 0) -> UserData:
    """Read a file in LIBSVM's format, whatever its name, with labels of any two values.

    Labels become -1 (the smaller) and +1. Of each class a fifth is held out, and one sample at least where there are two.
    Each feature is shifted and scaled to mean 0 and variance 1 on the training part; one that is constant there says nothing
    and becomes 0. One feature alone is data like any other. The seed is that of the choice of what is held out.

    Raises
    ------
    DataError
        Where the file cannot be read, has no samples, no features or only constant ones, not exactly two different labels,
        or a single sample of each.
    """
    path, seed = Path(path), seed_of(seed)
    inputs, labels = read_libsvm(path)
    try:
        return _user_data(inputs, labels, seed)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _user_data(inputs: Array, labels: Array, seed: int) -> UserData:
    if not len(labels):
        raise DataError("no samples")
    targets, note = _signs(labels)
    if not inputs.shape[1]:
        raise DataError(f"no features: {_count(len(labels), 'label')} and nothing else")
    chosen, held = _split(targets, seed)
    standard, constant = _standardised(inputs, chosen)
    if len(constant) == inputs.shape[1]:
        raise DataError(f"nothing to learn from: {_constant(constant, inputs.shape[1])}")
    notes = [f"{_count(len(labels), 'sample')} of {_count(inputs.shape[1], 'feature')}, standardised", note]
    notes += [f"{_constant(constant, inputs.shape[1])}, and became 0"] if constant else []
    notes += [f"{len(held)} samples held out, {len(chosen)} to train on (seed {seed})"]
    training, held_out = (Batch(standard[part], targets[part, None]) for part in (chosen, held))
    return UserData(training, held_out, tuple(notes))


def _signs(labels: Array) -> tuple[Array, str]:
    """Labels of two values as -1 and +1, and what became of which."""
    values = [float(value) for value in np.unique(labels)]
    if len(values) == 1:
        raise DataError(f"one class only: all labels are {_text(values[0])}, expected two different labels")
    if len(values) > 2:
        raise DataError(f"{len(values)} different labels, {enumerated(list(map(_text, values)), SHOWN)}: expected two")
    low, high = map(_text, values)
    became = "labels are -1 and +1" if values == [-1, 1] else f"labels {low} and {high} became -1 and +1"
    counts = [int(np.sum(labels == value)) for value in values]
    return np.where(labels == values[1], 1.0, -1.0), f"{became}: {counts[0]} and {counts[1]} samples"


def _split(targets: Array, seed: int) -> tuple[Array, Array]:
    """Numbers of the samples to train on and of those held out, each class in the same proportion."""
    rng = np.random.default_rng([seed, *b"held-out"])
    parts: tuple[list[Array], list[Array]] = ([], [])
    for sign in (-1, 1):
        order = rng.permutation(np.flatnonzero(targets == sign))
        count = min(max(1, round(HELD_OUT * len(order))), len(order) - 1)
        parts[0].append(order[count:])
        parts[1].append(order[:count])
    chosen, held = (np.sort(np.concatenate(part)) for part in parts)
    if not len(held):
        raise DataError("one sample of each class: none can be held out")
    return chosen, held


def _standardised(inputs: Array, chosen: Array) -> tuple[Array, list[int]]:
    """By mean and deviation of the chosen samples; and which features are constant there, counted from 1."""
    sizes = np.abs(inputs).max(axis=0)
    scaled = inputs / np.where(sizes > 0, sizes, 1.0)  # nothing overflows when it is squared
    some = scaled[chosen]
    varies = np.ptp(some, axis=0) > 0
    deviations = some.std(axis=0)
    standard = (scaled - some.mean(axis=0)) / np.where(varies & (deviations > 0), deviations, 1.0)
    return np.where(varies, standard, 0.0), [int(index) + 1 for index in np.flatnonzero(~varies)]


def _constant(features: Sequence[int], of: int) -> str:
    if len(features) == of:
        return "the only feature is constant" if of == 1 else f"all {of} features are constant"
    named = enumerated(list(map(str, features)), SHOWN)
    return f"feature {named} is constant" if len(features) == 1 else f"features {named} are constant"


def _text(value: float) -> str:
    return repr(value).removesuffix(".0")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
