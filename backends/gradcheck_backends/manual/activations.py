"""Activations a = rho(z), and under each its pullback g -> rho'(z) g, which may overwrite g (see `Room`)."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from scipy.special import erf, expit

from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck_backends.manual.buffers import Room
from gradcheck_backends.manual.rules import activation_rule

Result: TypeAlias = tuple[Array, Callable[[Array], Array]]


@activation_rule(ly.Arctan)
def arctan(_: ly.Arctan, z: Array, room: Room) -> Result:
    def pullback(g: Array) -> Array:
        square = np.multiply(z, z, out=room.scratch)
        square += 1
        return np.divide(g, square, out=room.below)

    return np.arctan(z, out=room.out), pullback


@activation_rule(ly.Tanh)
def tanh(_: ly.Tanh, z: Array, room: Room) -> Result:
    a = np.tanh(z, out=room.out)

    def pullback(g: Array) -> Array:
        slope = np.multiply(a, a, out=room.scratch)
        np.subtract(1, slope, out=slope)
        return np.multiply(g, slope, out=room.below)

    return a, pullback


@activation_rule(ly.Sigmoid)
def sigmoid(_: ly.Sigmoid, z: Array, room: Room) -> Result:
    a = expit(z, out=room.out)

    def pullback(g: Array) -> Array:
        slope = np.subtract(1, a, out=room.scratch)
        slope *= a
        return np.multiply(g, slope, out=room.below)

    return a, pullback


@activation_rule(ly.ReLU)
def relu(_: ly.ReLU, z: Array, room: Room) -> Result:
    return np.maximum(z, 0, out=room.out), lambda g: np.multiply(g, z > 0, out=room.below)


@activation_rule(ly.LeakyReLU)
def leaky_relu(layer: ly.LeakyReLU, z: Array, room: Room) -> Result:
    slopes: Array = np.where(z > 0, 1, layer.slope).astype(z.dtype)
    return np.multiply(z, slopes, out=room.out), lambda g: np.multiply(g, slopes, out=room.below)


@activation_rule(ly.ELU)
def elu(layer: ly.ELU, z: Array, room: Room) -> Result:
    below = layer.alpha * np.expm1(np.minimum(z, 0))

    def pullback(g: Array) -> Array:
        return np.multiply(g, np.where(z > 0, 1, below + layer.alpha), out=room.below)

    return np.where(z > 0, z, below), pullback


@activation_rule(ly.GELU)
def gelu(layer: ly.GELU, z: Array, room: Room) -> Result:
    return (gelu_tanh if layer.approximate == "tanh" else gelu_exact)(z, room)


def gelu_exact(z: Array, room: Room) -> Result:
    phi = (1 + erf(z / np.sqrt(2).item())) / 2

    def pullback(g: Array) -> Array:
        return np.multiply(g, phi + z * np.exp(-z * z / 2) / np.sqrt(2 * np.pi).item(), out=room.below)

    return np.multiply(z, phi, out=room.out), pullback


def gelu_tanh(z: Array, room: Room) -> Result:
    c = np.sqrt(2 / np.pi).item()
    t = np.tanh(c * (z + 0.044715 * z * z * z))

    def pullback(g: Array) -> Array:
        slope = (1 + t) / 2 + z * (1 - t * t) * c * (1 + 3 * 0.044715 * z * z) / 2
        return np.multiply(g, slope, out=room.below)

    return z * (1 + t) / 2, pullback


@activation_rule(ly.SiLU)
def silu(_: ly.SiLU, z: Array, room: Room) -> Result:
    s = expit(z)

    def pullback(g: Array) -> Array:
        slope = np.subtract(1, s, out=room.scratch)
        slope *= z
        slope += 1
        slope *= s
        return np.multiply(g, slope, out=room.below)

    return np.multiply(z, s, out=room.out), pullback


@activation_rule(ly.Softplus)
def softplus(_: ly.Softplus, z: Array, room: Room) -> Result:
    a = np.maximum(z, 0, out=room.out)
    a += np.log1p(np.exp(-np.abs(z)))
    return a, lambda g: np.multiply(g, expit(z, out=room.scratch), out=room.below)


@activation_rule(ly.Identity)
def identity(_: ly.Identity, z: Array, _room: Room) -> Result:
    return z, lambda g: g
