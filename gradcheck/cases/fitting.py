"""Arrays as the batch that a network and its loss want, or a refusal in one line: what, where and the value."""

from typing import Any

import numpy as np

from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array
from gradcheck.network.batch import Batch
from gradcheck.network.losses import Loss, Targets
from gradcheck.network.network import Network


def fit(network: Network, inputs: Any, targets: Any, samples: int | None, dtype: str, where: str) -> Batch:
    """Refuse arrays that do not fit the network or the domain of its loss; return the first samples in the dtype."""
    inputs = finite_array(inputs, "inputs", where, dtype)
    if inputs.shape[1:] != network.inputs or not len(inputs):
        expected = f"(n, {', '.join(map(str, network.inputs))})"
        raise DataError(f"{where}: inputs have shape {inputs.shape}, the network expects {expected} with n >= 1")
    classes = network.loss.targets is Targets.CLASSES
    targets = finite_array(targets, "targets", where, "float64" if classes else dtype)
    if targets.shape == (len(inputs),) and network.target_shape == (1,):
        targets = targets[:, None]
    if targets.shape != (len(inputs), *network.target_shape):
        raise DataError(f"{where}: targets have shape {targets.shape}, expected {(len(inputs), *network.target_shape)}")
    _check_domain(network, targets, where)
    if samples is not None and samples > len(inputs):
        raise DataError(f"{where}: {len(inputs)} samples, {samples} were asked for")
    return Batch(inputs[:samples], (targets.astype(np.int64) if classes else targets)[:samples])


def _check_domain(network: Network, targets: Array, where: str) -> None:
    kind, classes = network.loss.targets, network.shapes[-1][-1]
    allowed = {
        Targets.SIGNS: np.abs(targets) == 1,
        Targets.PROBABILITIES: (targets >= 0) & (targets <= 1),
        Targets.CLASSES: (targets >= 0) & (targets < classes) & (targets == np.round(targets)),
        Targets.REALS: np.isfinite(targets),
    }[kind]
    if not allowed.all():
        index = tuple(int(i) for i in np.argwhere(~allowed)[0])
        domain = f"a class index from 0 to {classes - 1}" if kind is Targets.CLASSES else kind.value
        loss = type(network.loss).__name__
        raise DataError(f"{where}: targets[{_text(index)}] is {targets[index]:g}, {loss} expects {domain}")


def finite_array(values: Any, name: str, where: str, dtype: str) -> Array:
    """A fresh array in the dtype; refuses what is no real number, or not finite in it."""
    raw = np.asarray(values)
    if raw.dtype.kind not in "biuf":
        raise DataError(f"{where}: {name} has dtype {raw.dtype}, expected real numbers")
    if not raw.ndim:
        raise DataError(f"{where}: {name} is the single number {raw}, expected an array")
    with np.errstate(over="ignore"):
        array = raw.astype(dtype, order="C")
    if not np.isfinite(array).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise DataError(f"{where}: {name}[{_text(index)}] is {raw[index]:g}, expected a finite {dtype}")
    return array


def random_targets(rng: np.random.Generator, loss: Loss, shape: tuple[int, ...], classes: int) -> Array:
    """Targets of a shape, drawn from the domain of the loss."""
    if loss.targets is Targets.REALS:
        return rng.standard_normal(shape)
    if loss.targets is Targets.CLASSES:
        return rng.integers(0, classes, shape)
    return rng.choice([-1.0, 1.0] if loss.targets is Targets.SIGNS else [0.0, 1.0], shape)


def _text(index: tuple[int, ...]) -> str:
    return ", ".join(map(str, index))
