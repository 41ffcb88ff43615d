"""The table of layers: what each is called, its shapes, parameter names, kinks and rounding constants.

A row says what a layer *is*; what it means is said once in `gradcheck.network.reference`, and each backend builds it by
itself. A third party adds a row with `register_layer`, and one function per backend.
"""

from gradcheck.network.layers.activations import ELU, GELU, Arctan, Identity, LeakyReLU, ReLU, Sigmoid, SiLU, Softplus, Tanh
from gradcheck.network.layers.base import Activation, Cancellation, Kink, Layer, Shape, Size
from gradcheck.network.layers.dense import Dense
from gradcheck.network.layers.table import LAYERS, register_layer

__all__ = [
    "ELU",
    "GELU",
    "LAYERS",
    "Activation",
    "Arctan",
    "Cancellation",
    "Dense",
    "Identity",
    "Kink",
    "Layer",
    "LeakyReLU",
    "ReLU",
    "Shape",
    "SiLU",
    "Sigmoid",
    "Size",
    "Softplus",
    "Tanh",
    "register_layer",
]
