"""Backpropagation as a person writes it, independent of every build, with a hook wherever a mistake can be planted."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradcheck import Arctan, CrossEntropy, Dense, Logistic, ReLU, Sigmoid, SiLU, Softplus, Tanh


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


FUNCTIONS: dict[type, tuple[Callable[..., Any], Callable[..., Any]]] = {
    Tanh: (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    Sigmoid: (sigmoid, lambda z: sigmoid(z) * sigmoid(-z)),
    Arctan: (np.arctan, lambda z: 1 / (1 + z * z)),
    ReLU: (lambda z: np.maximum(z, 0), lambda z: (z > 0) * 1.0),
    Softplus: (lambda z: np.logaddexp(0, z), sigmoid),
    SiLU: (lambda z: z * sigmoid(z), lambda z: sigmoid(z) * (1 + z * sigmoid(-z))),
}


def at_output(loss, z, y):
    """The loss and its gradient at the network's output."""
    n = len(z)
    if isinstance(loss, Logistic):
        return np.logaddexp(0, -y * z).mean(), -y * sigmoid(-y * z) / z.size
    if isinstance(loss, CrossEntropy):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        return -np.log(p[np.arange(n), y]).mean(), (p - np.eye(z.shape[1])[y]) / n
    return ((z - y) ** 2).mean(), 2 * (z - y) / z.size


def loss_and_gradients(network, parameters, batch, hooks: Mapping[Any, Callable[..., Any]] | None = None):
    """Hooks by ``"top"`` or a layer's index: ``top(g, z, y)``, ``activation(g, z, a, xs)``, ``dense(own, g, xs, W)``."""
    hooks, xs = hooks or {}, [batch.inputs]
    for i, layer in enumerate(network.layers):
        dense = isinstance(layer, Dense)
        x = xs[-1]
        xs.append(x @ parameters[f"{i}.weight"].T + parameters[f"{i}.bias"] if dense else FUNCTIONS[type(layer)][0](x))
    loss, g = at_output(network.loss, xs[-1], batch.targets)
    g = hooks["top"](g, xs[-1], batch.targets) if "top" in hooks else g
    gradients = {}
    for i in reversed(range(len(network.layers))):
        layer = network.layers[i]
        if isinstance(layer, Dense):
            weight, own = parameters[f"{i}.weight"], {"weight": g.T @ xs[i], "bias": g.sum(axis=0)}
            own, g = hooks[i](own, g, xs, weight) if i in hooks else (own, g @ weight)
            gradients |= {f"{i}.{name}": value for name, value in own.items()}
        else:
            g = hooks[i](g, xs[i], xs[i + 1], xs) if i in hooks else g * FUNCTIONS[type(layer)][1](xs[i])
    return loss, {name: gradients[name] for name in parameters}
