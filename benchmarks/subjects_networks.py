"""Dense networks with hand-written backpropagation, and the slips that people make in it.

Forward and backward stand side by side; every slip is one departure from the same backward pass, so that all blocks
that it does not touch stay equal to the last bit.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from subjects_common import Array, Blocks, Gradient, Problem, draw_size, log_uniform


@dataclass(frozen=True)
class Activation:
    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]


@dataclass(frozen=True)
class Output:
    """Loss per sample of scores and targets, its gradient, and how targets are drawn."""

    value: Callable[[Array, Array], Array]
    slope: Callable[[Array, Array], Array]
    targets: Callable[[np.random.Generator, tuple[int, int]], Array]


def sigmoid(z: Array) -> Array:
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, small) / (1 + small)


def softplus(z: Array) -> Array:
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def softmax(z: Array) -> Array:
    powers = np.exp(z - z.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def cross_entropy(z: Array, hot: Array) -> Array:
    shifted = z - z.max(axis=-1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=-1)) - (shifted * hot).sum(axis=-1)


SMOOTH = {
    "tanh": Activation(np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "arctan": Activation(np.arctan, lambda z: 1 / (1 + z * z)),
    "softplus": Activation(softplus, sigmoid),
    "sigmoid": Activation(sigmoid, lambda z: sigmoid(z) * sigmoid(-z)),
    "silu": Activation(lambda z: z * sigmoid(z), lambda z: sigmoid(z) * (1 + z * sigmoid(-z))),
    "sine": Activation(np.sin, np.cos),
}
KINKED = {
    "relu": Activation(lambda z: np.where(z > 0, z, 0), lambda z: np.where(z > 0, 1.0, 0.0)),
    "leaky": Activation(lambda z: np.where(z > 0, z, 0.1 * z), lambda z: np.where(z > 0, 1.0, 0.1)),
    "elu": Activation(
        lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))), lambda z: np.where(z > 0, 1, np.exp(np.minimum(z, 0)))
    ),
}
OUTPUTS = {
    "logistic": Output(
        lambda z, y: softplus(-y * z).sum(axis=-1),
        lambda z, y: -y * sigmoid(-y * z),
        lambda rng, shape: rng.choice([-1.0, 1.0], shape),
    ),
    "mse": Output(
        lambda z, y: ((z - y) ** 2).sum(axis=-1),
        lambda z, y: 2 * (z - y),
        lambda rng, shape: rng.standard_normal(shape),
    ),
    "cross entropy": Output(
        cross_entropy,
        lambda z, y: softmax(z) - y,
        lambda rng, shape: np.eye(shape[1])[rng.integers(0, shape[1], shape[0])],
    ),
}


class Slip(NamedTuple):
    """One mistake in backpropagation, made in one layer."""

    what: str
    layer: int


class Perceptron(NamedTuple):
    """A multilayer perceptron on a fixed batch: data, no parameters. It computes in the dtype of its parameters."""

    widths: tuple[int, ...]
    activation: Activation
    output: Output
    decay: float
    inputs: Array
    targets: Array

    @property
    def depth(self) -> int:
        return len(self.widths) - 1

    def passes(self, at: Blocks) -> tuple[list[Array], list[Array]]:
        """What enters each layer, and its pre-activations."""
        entering, sums = [self.inputs.astype(at["0.weight"].dtype, copy=False)], list[Array]()
        for i in range(self.depth):
            sums.append(entering[i] @ at[f"{i}.weight"].T + at[f"{i}.bias"])
            entering.append(self.activation.value(sums[i]))
        return entering, sums

    def loss(self, at: Blocks) -> Any:
        _, sums = self.passes(at)
        decayed = sum((at[f"{i}.weight"] ** 2).sum() for i in range(self.depth))
        return self.output.value(sums[-1], self.aims(sums[-1])).mean() + self.decay / 2 * decayed

    def aims(self, scores: Array) -> Array:
        return self.targets.astype(scores.dtype, copy=False)

    def gradient(self, at: Blocks, slip: Slip | None = None) -> Blocks:
        entering, sums = self.passes(at)
        found: Blocks = {}
        delta = self.output.slope(sums[-1], self.aims(sums[-1])) / len(self.inputs)
        for i in reversed(range(self.depth)):
            what = slip.what if slip is not None and slip.layer == i else ""
            found |= self.blocks(i, at, entering[i], delta, what)
            if i > 0:
                delta = (delta @ at[f"{i}.weight"]) * self.slope(sums[i - 1], what)
        return {name: found[name] for name in at}

    def blocks(self, i: int, at: Blocks, entering: Array, delta: Array, what: str) -> Iterator[tuple[str, Array]]:
        rows = slice(None, -1) if what == "last sample dropped" else slice(None)
        factor = len(self.inputs) if what == "mean forgotten" else 1
        decay = 0 if what == "decay forgotten" else self.decay
        yield f"{i}.weight", factor * (delta[rows].T @ entering[rows]) + decay * at[f"{i}.weight"]
        yield f"{i}.bias", factor * (delta.mean(axis=0) if what == "bias as mean" else delta[rows].sum(axis=0))

    def slope(self, z: Array, what: str) -> Array:
        if what == "activation derivative omitted":
            return np.ones_like(z)
        return self.activation.slope(self.activation.value(z) if what == "derivative at the output" else z)

    def slips(self) -> dict[str, list[Slip]]:
        """Mistakes that can be made in this network, with the layers where they can."""
        every, hidden = range(self.depth), range(1, self.depth)
        kinds = {
            "last sample dropped": every,
            "mean forgotten": every if len(self.inputs) > 1 else (),
            "bias as mean": every if len(self.inputs) > 1 else (),
            "decay forgotten": every if self.decay else (),
            "activation derivative omitted": hidden,
            "derivative at the output": hidden,
        }
        return {what: [Slip(what, i) for i in layers] for what, layers in kinds.items() if layers}


def draw_parameters(rng: np.random.Generator, widths: tuple[int, ...], spread: float = 1.0) -> Blocks:
    """Weights that keep the scale of what passes through them, and biases that matter."""
    blocks: Blocks = {}
    for i, (before, after) in enumerate(pairwise(widths)):
        blocks[f"{i}.weight"] = spread * rng.standard_normal((after, before)) / np.sqrt(before)
        blocks[f"{i}.bias"] = 0.5 * spread * rng.standard_normal(after)
    return blocks


def draw_perceptron(
    rng: np.random.Generator, activation: Activation, output: Output, widths: tuple[int, ...], batch: int
) -> Perceptron:
    decay = log_uniform(rng, 1e-4, 1e-1) if rng.random() < 0.4 else 0.0
    inputs = rng.standard_normal((batch, widths[0]))
    return Perceptron(widths, activation, output, decay, inputs, output.targets(rng, (batch, widths[-1])))


def draw_widths(rng: np.random.Generator, classes: bool, most: int = 56) -> tuple[int, ...]:
    """One to four layers; half of the time all as wide as the input, for weights that can be transposed unnoticed."""
    first, last = draw_size(rng, most), int(rng.integers(2, 6)) if classes else draw_size(rng, 5)
    hidden = [first if rng.random() < 0.5 else draw_size(rng, most) for _ in range(rng.integers(0, 4))]
    return (first, *hidden[: 1 if first > 40 else 3], last)


def as_problem(rng: np.random.Generator, family: str, network: Perceptron) -> Problem:
    """A network at random parameters, each of its slips in a random layer."""
    slips: dict[str, Gradient] = {
        what: partial(network.gradient, slip=choices[rng.integers(len(choices))])
        for what, choices in network.slips().items()
    }
    at = draw_parameters(rng, network.widths, log_uniform(rng, 0.3, 2))
    return Problem(family, network.loss, network.gradient, at, slips)


def perceptron(rng: np.random.Generator, activations: dict[str, Activation] | None = None) -> Problem:
    """A random network of at most about 5,000 parameters."""
    table = activations or SMOOTH | KINKED
    activation = str(rng.choice(list(table)))
    output = str(rng.choice(list(OUTPUTS)))
    network = draw_perceptron(
        rng, table[activation], OUTPUTS[output], draw_widths(rng, output == "cross entropy"), draw_size(rng, 64)
    )
    return as_problem(rng, f"{activation} network, {output}", network)
