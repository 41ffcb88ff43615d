"""Activations a = rho(z), and under each its pullback g -> rho'(z) g, which may overwrite g (see `Buffers`)."""

import numpy as np
from scipy.special import erf, expit

from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck_backends.manual.buffers import Buffers
from gradcheck_backends.manual.rules import ActivationResult, ActivationRule, as_layer


def arctan(_: ly.Arctan, z: Array, buffers: Buffers) -> ActivationResult:
    def pullback(g: Array) -> Array:
        square = np.multiply(z, z, out=buffers.scratch)
        square += 1
        return np.divide(g, square, out=buffers.below)

    return np.arctan(z, out=buffers.out), pullback


def tanh(_: ly.Tanh, z: Array, buffers: Buffers) -> ActivationResult:
    a = np.tanh(z, out=buffers.out)

    def pullback(g: Array) -> Array:
        slope = np.multiply(a, a, out=buffers.scratch)
        np.subtract(1, slope, out=slope)
        return np.multiply(g, slope, out=buffers.below)

    return a, pullback


def sigmoid(_: ly.Sigmoid, z: Array, buffers: Buffers) -> ActivationResult:
    a = expit(z, out=buffers.out)

    def pullback(g: Array) -> Array:
        slope = np.subtract(1, a, out=buffers.scratch)
        slope *= a
        return np.multiply(g, slope, out=buffers.below)

    return a, pullback


def relu(_: ly.ReLU, z: Array, buffers: Buffers) -> ActivationResult:
    return np.maximum(z, 0, out=buffers.out), lambda g: np.multiply(g, z > 0, out=buffers.below)


def leaky_relu(layer: ly.LeakyReLU, z: Array, buffers: Buffers) -> ActivationResult:
    slopes: Array = np.where(z > 0, 1, layer.slope).astype(z.dtype)
    return np.multiply(z, slopes, out=buffers.out), lambda g: np.multiply(g, slopes, out=buffers.below)


def elu(layer: ly.ELU, z: Array, buffers: Buffers) -> ActivationResult:
    below = layer.alpha * np.expm1(np.minimum(z, 0))

    def pullback(g: Array) -> Array:
        return np.multiply(g, np.where(z > 0, 1, below + layer.alpha), out=buffers.below)

    return np.where(z > 0, z, below), pullback


def gelu(layer: ly.GELU, z: Array, buffers: Buffers) -> ActivationResult:
    return (gelu_tanh if layer.approximate == "tanh" else gelu_exact)(z, buffers)


def gelu_exact(z: Array, buffers: Buffers) -> ActivationResult:
    phi = (1 + erf(z / np.sqrt(2).item())) / 2

    def pullback(g: Array) -> Array:
        return np.multiply(g, phi + z * np.exp(-z * z / 2) / np.sqrt(2 * np.pi).item(), out=buffers.below)

    return np.multiply(z, phi, out=buffers.out), pullback


def gelu_tanh(z: Array, buffers: Buffers) -> ActivationResult:
    c = np.sqrt(2 / np.pi).item()
    t = np.tanh(c * (z + 0.044715 * z * z * z))

    def pullback(g: Array) -> Array:
        slope = (1 + t) / 2 + z * (1 - t * t) * c * (1 + 3 * 0.044715 * z * z) / 2
        return np.multiply(g, slope, out=buffers.below)

    return z * (1 + t) / 2, pullback


def silu(_: ly.SiLU, z: Array, buffers: Buffers) -> ActivationResult:
    s = expit(z)

    def pullback(g: Array) -> Array:
        slope = np.subtract(1, s, out=buffers.scratch)
        slope *= z
        slope += 1
        slope *= s
        return np.multiply(g, slope, out=buffers.below)

    return np.multiply(z, s, out=buffers.out), pullback


def softplus(_: ly.Softplus, z: Array, buffers: Buffers) -> ActivationResult:
    a = np.maximum(z, 0, out=buffers.out)
    a += np.log1p(np.exp(-np.abs(z)))
    return a, lambda g: np.multiply(g, expit(z, out=buffers.scratch), out=buffers.below)


def identity(_: ly.Identity, z: Array, _buffers: Buffers) -> ActivationResult:
    return z, lambda g: g


ACTIVATIONS: dict[type[ly.Layer], ActivationRule] = {
    ly.Arctan: arctan,
    ly.Tanh: tanh,
    ly.Sigmoid: sigmoid,
    ly.ReLU: relu,
    ly.LeakyReLU: leaky_relu,
    ly.ELU: elu,
    ly.GELU: gelu,
    ly.SiLU: silu,
    ly.Softplus: softplus,
    ly.Identity: identity,
}
LAYERS = {kind: as_layer(rule) for kind, rule in ACTIVATIONS.items()}
