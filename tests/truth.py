"""Loss and gradients of a network in 80-bit arithmetic: the truth that bounds and builds are measured against.

Everything is written anew, forward and backward, so that a mistake in the reference or in a build cannot hide here.
Formulas keep their relative accuracy: none subtracts numbers that agree (``sech(z)^2``, not ``1 - tanh(z)^2``), so the
error left is eleven bits below that of float64, under the same condition.

Where `EXTENDED` is false, longdouble is double (Windows, macOS on ARM): nothing can be measured, and tests must skip.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import mpmath  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

from gradcheck.network import layers as ly
from gradcheck.network import losses as ls
from gradcheck.network.network import Network, is_weight

Array: TypeAlias = NDArray[Any]  # of longdouble
Pair: TypeAlias = tuple[Array, Array]  # a value and its slope, entry by entry

Real = np.longdouble
EXTENDED = bool(np.finfo(Real).eps < 1e-18)

PI = Real("3.14159265358979323846264338327950288")
KAPPA = Real("0.044715")  # decimal by definition (Hendrycks and Gimpel 2016)
CONTEXT: Any = mpmath.MPContext()
CONTEXT.prec = 80


def truth(
    network: Network, parameters: Mapping[str, Any], inputs: Any, targets: Any
) -> tuple[np.longdouble, dict[str, Array]]:
    """Loss of a batch and its gradient for every parameter, by name, as if computed without rounding.

    The arrays are taken as they are: a float32 stands for its own value. At a kink the slope is PyTorch's choice.
    """
    exact = {name: np.asarray(value, dtype=Real) for name, value in parameters.items()}
    with np.errstate(under="ignore"):
        outputs, tape = _forward(network, exact, np.asarray(inputs, dtype=Real))
        loss, cotangent = LOSSES[type(network.loss)](network.loss, outputs, np.asarray(targets))
        gradients = _backward(tape, exact, cotangent)
        decay = Real(network.weight_decay)
        for name in filter(is_weight, exact):
            loss = loss + decay / 2 * np.square(exact[name]).sum()
            gradients[name] = gradients[name] + decay * exact[name]
    return Real(loss), {name: gradients[name] for name in exact}


def _forward(network: Network, parameters: Mapping[str, Array], x: Array) -> tuple[Array, list[tuple[str, Array]]]:
    """The output, and what the way back needs: ``("0", input)`` of a dense layer, ``("", slope)`` of an activation."""
    tape: list[tuple[str, Array]] = []
    for index, layer in enumerate(network.layers):
        if isinstance(layer, ly.Dense):
            tape.append((str(index), x))
            x = x @ parameters[f"{index}.weight"].T + parameters.get(f"{index}.bias", Real(0))
        else:
            x, slope = ACTIVATIONS[type(layer)](layer, x)
            tape.append(("", slope))
    return x, tape


def _backward(tape: list[tuple[str, Array]], parameters: Mapping[str, Array], g: Array) -> dict[str, Array]:
    gradients: dict[str, Array] = {}
    for index, kept in reversed(tape):
        if index:
            gradients |= {f"{index}.weight": g.T @ kept, f"{index}.bias": g.sum(axis=0)}
            g = g @ parameters[f"{index}.weight"]
        else:
            g = g * kept
    return gradients


def _sigmoid(z: Array) -> Array:
    decay = np.exp(-np.abs(z))
    return np.where(z > 0, 1, decay) / (1 + decay)


def _softplus(z: Array) -> Array:
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def _erfc_of(z: Any) -> np.longdouble:
    """erfc of one longdouble, in integers all the way: a detour through a Python float would cost eleven bits."""
    mantissa, exponent = np.frexp(z)
    exact = CONTEXT.ldexp(int(np.ldexp(mantissa, 64)), int(exponent) - 64)
    return Real(CONTEXT.nstr(CONTEXT.erfc(exact), 24))


def _normal(z: Array) -> Pair:
    """Distribution function and density of the normal distribution. Beyond 150 even 80 bits know only 0 and 1."""
    near = np.clip(z, -150, 150)
    below = np.frompyfunc(_erfc_of, 1, 1)(-near / np.sqrt(Real(2))).astype(Real) / 2
    return below, np.exp(-near * near / 2) / np.sqrt(2 * PI)


def _gelu(layer: ly.GELU, z: Array) -> Pair:
    if layer.approximate == "none":
        below, density = _normal(z)
        return z * below, below + np.clip(z, -150, 150) * density
    # (1 + tanh(x)) / 2 = sigmoid(2x), which loses nothing in the left tail.
    twice = 2 * np.sqrt(2 / PI) * (z + KAPPA * z**3)
    steepness = 2 * np.sqrt(2 / PI) * (1 + 3 * KAPPA * z**2)
    return z * _sigmoid(twice), _sigmoid(twice) * (1 + z * steepness * _sigmoid(-twice))


def _elu(layer: ly.ELU, z: Array) -> Pair:
    below = np.minimum(z, 0)
    return np.where(z > 0, z, layer.alpha * np.expm1(below)), np.where(z > 0, 1, layer.alpha * np.exp(below))


def _leaky_relu(layer: ly.LeakyReLU, z: Array) -> Pair:
    slope = np.where(z > 0, Real(1), Real(layer.slope))
    return z * slope, slope


ACTIVATIONS: dict[type[ly.Layer], Callable[[Any, Array], Pair]] = {
    ly.Arctan: lambda _, z: (np.arctan(z), 1 / (1 + z * z)),
    ly.Tanh: lambda _, z: (np.tanh(z), 4 * _sigmoid(2 * z) * _sigmoid(-2 * z)),
    ly.Sigmoid: lambda _, z: (_sigmoid(z), _sigmoid(z) * _sigmoid(-z)),
    ly.ReLU: lambda _, z: (np.where(z > 0, z, 0), np.where(z > 0, Real(1), Real(0))),
    ly.LeakyReLU: _leaky_relu,
    ly.ELU: _elu,
    ly.GELU: _gelu,
    ly.SiLU: lambda _, z: (z * _sigmoid(z), _sigmoid(z) * (1 + z * _sigmoid(-z))),
    ly.Softplus: lambda _, z: (_softplus(z), _sigmoid(z)),
    ly.Identity: lambda _, z: (z, np.ones_like(z)),
}


def _mean(entries: Callable[[Any, Array, Array], Pair]) -> Callable[[Any, Array, Array], tuple[Any, Array]]:
    """From the loss and slope of each entry to the mean loss and its gradient."""

    def mean(loss: ls.Loss, z: Array, y: Any) -> tuple[Any, Array]:
        each, slope = entries(loss, z, y.astype(Real))
        return each.mean(), slope / z.size

    return mean


def _cross_entropy(_: ls.CrossEntropy, z: Array, y: Any) -> tuple[Any, Array]:
    rows = np.arange(len(y))
    top = z.argmax(axis=1)
    shares = np.exp(z - z[rows, top][:, None])
    others = shares.copy()
    others[rows, top] = 0  # the largest share is 1, and log1p wants the rest
    p = shares / shares.sum(axis=1, keepdims=True)
    p[rows, y] = 0
    p[rows, y] = -p.sum(axis=1)  # p - 1, as minus the sum of the others
    return (z[rows, top] - z[rows, y] + np.log1p(others.sum(axis=1))).mean(), p / len(y)


def _huber(loss: ls.Huber, z: Array, y: Array) -> Pair:
    clipped = np.clip(z - y, -loss.delta, loss.delta)
    return clipped * (z - y - clipped / 2), clipped


def _binary_cross_entropy(_: ls.BinaryCrossEntropy, z: Array, y: Array) -> Pair:
    return y * _softplus(-z) + (1 - y) * _softplus(z), (1 - y) * _sigmoid(z) - y * _sigmoid(-z)


LOSSES: dict[type[ls.Loss], Callable[[Any, Array, Any], tuple[Any, Array]]] = {
    ls.Logistic: _mean(lambda _, z, y: (_softplus(-y * z), -y * _sigmoid(-y * z))),
    ls.BinaryCrossEntropy: _mean(_binary_cross_entropy),
    ls.CrossEntropy: _cross_entropy,
    ls.MSE: _mean(lambda _, z, y: (np.square(z - y), 2 * (z - y))),
    ls.Huber: _mean(_huber),
    ls.Hinge: _mean(lambda _, z, y: (np.maximum(1 - y * z, 0), np.where(1 - y * z > 0, -y, 0))),
}
