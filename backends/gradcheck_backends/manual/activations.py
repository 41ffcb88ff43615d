"""Activations a = rho(z), and under each its pullback g -> rho'(z) g."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from scipy.special import erf, expit

from gradcheck.arrays import Array
from gradcheck.network import layers as ly
from gradcheck_backends.manual.rules import activation_rule

Result: TypeAlias = tuple[Array, Callable[[Array], Array]]


@activation_rule(ly.Arctan)
def arctan(_: ly.Arctan, z: Array) -> Result:
    return np.arctan(z), lambda g: g / (1 + z * z)


@activation_rule(ly.Tanh)
def tanh(_: ly.Tanh, z: Array) -> Result:
    a = np.tanh(z)
    return a, lambda g: g * (1 - a * a)


@activation_rule(ly.Sigmoid)
def sigmoid(_: ly.Sigmoid, z: Array) -> Result:
    a = expit(z)
    return a, lambda g: g * (a * (1 - a))


@activation_rule(ly.ReLU)
def relu(_: ly.ReLU, z: Array) -> Result:
    return np.maximum(z, 0), lambda g: g * (z > 0)


@activation_rule(ly.LeakyReLU)
def leaky_relu(layer: ly.LeakyReLU, z: Array) -> Result:
    slopes: Array = np.where(z > 0, 1, layer.slope).astype(z.dtype)
    return z * slopes, lambda g: g * slopes


@activation_rule(ly.ELU)
def elu(layer: ly.ELU, z: Array) -> Result:
    below = layer.alpha * np.expm1(np.minimum(z, 0))
    return np.where(z > 0, z, below), lambda g: g * np.where(z > 0, 1, below + layer.alpha)


@activation_rule(ly.GELU)
def gelu(layer: ly.GELU, z: Array) -> Result:
    return gelu_tanh(z) if layer.approximate == "tanh" else gelu_exact(z)


def gelu_exact(z: Array) -> Result:
    phi = (1 + erf(z / np.sqrt(2).item())) / 2
    return z * phi, lambda g: g * (phi + z * np.exp(-z * z / 2) / np.sqrt(2 * np.pi).item())


def gelu_tanh(z: Array) -> Result:
    c = np.sqrt(2 / np.pi).item()
    t = np.tanh(c * (z + 0.044715 * z * z * z))
    return z * (1 + t) / 2, lambda g: g * ((1 + t) / 2 + z * (1 - t * t) * c * (1 + 3 * 0.044715 * z * z) / 2)


@activation_rule(ly.SiLU)
def silu(_: ly.SiLU, z: Array) -> Result:
    s = expit(z)
    return z * s, lambda g: g * (s * (1 + z * (1 - s)))


@activation_rule(ly.Softplus)
def softplus(_: ly.Softplus, z: Array) -> Result:
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))), lambda g: g * expit(z)


@activation_rule(ly.Identity)
def identity(_: ly.Identity, z: Array) -> Result:
    return z, lambda g: g
