"""The floor under a gradient's time: its bare products and activations in NumPy, into memory that is there already.

No bias, no derivative, no loss: what every build in NumPy must do, and nothing that it might do better.
"""

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from scipy.special import erf, expit

from gradcheck.bench.work.counts import Step, products
from gradcheck.cases.case import Case
from gradcheck.errors import DescriptionError
from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck.network.network import by_layer

NONE = np.empty((0, 0))
Evaluate: TypeAlias = Callable[[Any, Array, Array, Array], object]


def _leaky_relu(layer: ly.LeakyReLU, z: Array, a: Array, _: Array) -> None:
    np.multiply(z, layer.slope, out=a)
    (np.maximum if layer.slope <= 1 else np.minimum)(z, a, out=a)


def _elu(layer: ly.ELU, z: Array, a: Array, spare: Array) -> None:
    np.expm1(np.minimum(z, 0, out=a), out=a)
    np.multiply(a, layer.alpha, out=a)
    np.add(a, np.maximum(z, 0, out=spare), out=a)


def _gelu(layer: ly.GELU, z: Array, a: Array, _: Array) -> None:
    if layer.approximate == "tanh":
        np.multiply(np.multiply(z, z, out=a), 0.044715, out=a)
        np.multiply(np.multiply(np.add(a, 1, out=a), z, out=a), 0.7978845608028654, out=a)
        np.tanh(a, out=a)
    else:
        erf(np.multiply(z, 0.7071067811865476, out=a), out=a)
    np.multiply(np.multiply(np.add(a, 1, out=a), z, out=a), 0.5, out=a)


def _softplus(_layer: ly.Softplus, z: Array, a: Array, spare: Array) -> None:
    np.negative(np.abs(z, out=a), out=a)
    np.log1p(np.exp(a, out=a), out=a)
    np.add(a, np.maximum(z, 0, out=spare), out=a)


# (layer, input, output, scratch memory of the same shape)
ACTIVATIONS: dict[type[ly.Layer], Evaluate] = {
    ly.Arctan: lambda _, z, a, __: np.arctan(z, out=a),
    ly.Tanh: lambda _, z, a, __: np.tanh(z, out=a),
    ly.Sigmoid: lambda _, z, a, __: expit(z, out=a),
    ly.ReLU: lambda _, z, a, __: np.maximum(z, 0, out=a),
    ly.LeakyReLU: _leaky_relu,
    ly.ELU: _elu,
    ly.GELU: _gelu,
    ly.SiLU: lambda _, z, a, __: np.multiply(expit(z, out=a), z, out=a),
    ly.Softplus: _softplus,
}


class Part(NamedTuple):
    """A call, the layer that it belongs to, and what it does: ``forward``, ``weight``, ``input`` or ``activation``."""

    layer: int
    what: str
    call: Callable[[], object]


class Floor:
    """The parts in the order in which a gradient needs them, with their memory.

    Raises
    ------
    DescriptionError
        Where a layer's products or its activation are not known here.
    """

    def __init__(self, case: Case) -> None:
        network, inputs = case.network, case.batch.inputs
        self.parts: list[Part] = []
        self._weights = [own.get("weight", NONE) for own in by_layer(network, case.parameters)]
        self._plan = products(network, len(inputs))
        # Every layer's output; an identity's is its input, which costs nothing.
        self.values = [inputs]
        for index, layer in enumerate(network.layers):
            self.values.append(self._forward(index, layer, self.values[-1], network.shapes[index + 1]))
        self._backward()

    def run(self) -> None:
        """Everything once."""
        _perform(self.parts)

    def only(self, activations: bool) -> Callable[[], None]:
        """Either kind of part alone: activations, or products."""
        return partial(_perform, [part for part in self.parts if (part.what == "activation") is activations])

    def split(self, passes: int) -> list[Step]:
        """Seconds of each part as it takes its turn in so many passes, the clock's own included."""
        spent = [0.0] * len(self.parts)
        for _ in range(passes):
            before = time.perf_counter()
            for index, part in enumerate(self.parts):
                part.call()
                now = time.perf_counter()
                spent[index] += now - before
                before = now
        return [Step(part.layer, part.what, each / passes) for part, each in zip(self.parts, spent, strict=True)]

    def _forward(self, index: int, layer: ly.Layer, x: Array, shape: tuple[int, ...]) -> Array:
        if isinstance(layer, ly.Identity):
            return x
        out = np.empty((len(x), *shape), x.dtype)
        if isinstance(layer, ly.Dense):
            self._product(index, "forward", x, self._weights[index].T, out)
        elif type(layer) in ACTIVATIONS:
            evaluate = partial(ACTIVATIONS[type(layer)], layer, x, out, np.empty_like(out))
            self.parts.append(Part(index, "activation", evaluate))
        else:
            raise DescriptionError(f"what {type(layer).__name__} costs at least is not known", f"layers[{index}]")
        return out

    def _backward(self) -> None:
        """The gradient at a layer's output is what the next layer's product wrote: slopes are no part of the floor."""
        g = np.random.default_rng(0).standard_normal(self.values[-1].shape).astype(self.values[-1].dtype)
        for layer, kind, *_ in self._plan:
            weight = self._weights[layer]
            if kind == "weight":
                self._product(layer, kind, g.T, self.values[layer], np.empty_like(weight))
            elif kind == "input":
                out = np.empty((len(g), weight.shape[1]), g.dtype)
                self._product(layer, kind, g, weight, out)
                g = out

    def _product(self, layer: int, kind: str, left: Array, right: Array, out: Array) -> None:
        self.parts.append(Part(layer, kind, partial(np.matmul, left, right, out=out)))


def _perform(parts: Iterable[Part]) -> None:
    for part in parts:
        part.call()
