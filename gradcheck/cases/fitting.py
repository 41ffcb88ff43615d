"""Arrays as the batch that a network and its loss want, or a refusal in one line: what, where and the value."""

from typing import Any

import numpy as np

from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array
from gradcheck.network.batch import Batch
from gradcheck.network.layers import Block, Layer, Shape
from gradcheck.network.layers.blocks import shapes_through
from gradcheck.network.losses import Targets
from gradcheck.network.network import Network


def fit(network: Network, inputs: Any, targets: Any, samples: int | None, dtype: str, where: str) -> Batch:
    """Refuse arrays that do not fit the network or the domain of its loss; return the first samples in the dtype."""
    tokens, classes = network.vocabulary is not None, network.loss.targets is Targets.CLASSES
    inputs = finite_array(inputs, "inputs", where, "float64" if tokens else dtype)
    _check_shape(network, inputs, where)
    _check_tokens(network, inputs, where)
    targets = finite_array(targets, "targets", where, "float64" if classes else dtype)
    if targets.shape == (len(inputs),) and network.target_shape == (1,):
        targets = targets[:, None]
    if targets.shape != (len(inputs), *network.target_shape):
        raise DataError(f"{where}: targets have shape {targets.shape}, expected {(len(inputs), *network.target_shape)}")
    _check_domain(network, targets, where)
    if samples is not None and samples > len(inputs):
        raise DataError(f"{where}: {len(inputs)} samples, {samples} were asked for")
    _check_enough(network, len(inputs[:samples]), where)
    inputs, targets = (inputs.astype(np.int64) if tokens else inputs), (targets.astype(np.int64) if classes else targets)
    return Batch(inputs[:samples], targets[:samples])


def _check_shape(network: Network, inputs: Array, where: str) -> None:
    if inputs.shape[1:] == network.inputs and len(inputs):
        return
    said = f"{where}: inputs have shape {inputs.shape}, the network expects (n, {', '.join(map(str, network.inputs))})"
    last = len(network.inputs) == 3 and inputs.shape[1:] == (*network.inputs[1:], network.inputs[0])
    raise DataError(f"{said}: channels first" if last else f"{said} with n >= 1")


def _check_tokens(network: Network, inputs: Array, where: str) -> None:
    symbols = network.vocabulary
    if symbols is None:
        return
    allowed = (inputs >= 0) & (inputs < symbols) & (inputs == np.round(inputs))
    if not allowed.all():
        index = tuple(int(i) for i in np.argwhere(~allowed)[0])
        said = f"{where}: inputs[{_text(index)}] is {inputs[index]:g}, the embedding has {symbols} symbols"
        raise DataError(f"{said}: expected an index from 0 to {symbols - 1}")


def _check_enough(network: Network, samples: int, where: str) -> None:
    if samples >= network.least_samples:
        return
    layer, path = _demanding(network, network.inputs, samples)
    raise DataError(
        f"{where}: {samples} sample, {path} ({type(layer).__name__}) takes statistics over the samples and needs"
        f" {network.least_samples}"
    )


def _demanding(block: Network | Block, inputs: Shape, samples: int) -> tuple[Layer, str]:
    """The first layer that needs more samples, and its path."""
    each = enumerate(zip(block.layers, shapes_through(block.layers, inputs), strict=False))
    index, (layer, shape) = next((i, found) for i, found in each if found[0].least_samples(found[1]) > samples)
    if isinstance(layer, Block):
        inner, path = _demanding(layer, shape, samples)
        return inner, f"layers[{index}].{path}"
    return layer, f"layers[{index}]"


def _check_domain(network: Network, targets: Array, where: str) -> None:
    kind, classes = network.loss.targets, classes_of(network)
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


def classes_of(network: Network) -> int:
    """How many classes targets may have; 0 where they are none."""
    return network.shapes[-1][-1] if network.loss.targets is Targets.CLASSES else 0


def random_targets(rng: np.random.Generator, network: Network, samples: int) -> Array:
    """Targets for so many samples, drawn from the domain of the loss."""
    kind, shape = network.loss.targets, (samples, *network.target_shape)
    if kind is Targets.REALS:
        return rng.standard_normal(shape)
    if kind is Targets.CLASSES:
        return rng.integers(0, classes_of(network), shape)
    return rng.choice([-1.0, 1.0] if kind is Targets.SIGNS else [0.0, 1.0], shape)


def _text(index: tuple[int, ...]) -> str:
    return ", ".join(map(str, index))
