"""Derivatives of single functions of the reference, by complex step."""

import numpy as np

from gradcheck.foundation.arithmetic import COMPLEX_STEP
from gradcheck.foundation.arrays import Array
from gradcheck.network import layers as ly
from gradcheck.network.reference.meaning import apply


def stepped(z: Array) -> Array:
    """z + ih"""
    moved = np.full(z.shape, 1j * COMPLEX_STEP)
    moved.real = z
    return moved


def derivative(values: Array) -> Array:
    """From values where something has moved by ih."""
    return np.imag(values) / COMPLEX_STEP


def activation_slopes(layer: ly.Activation, z: Array) -> Array:
    """rho'(z)"""
    return derivative(apply(layer, {}, stepped(z)))
