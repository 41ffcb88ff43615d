"""The table of layers, by the names that descriptions use: shapes, parameter names, kinks and rounding constants.

A row says what a layer *is*; what it means is said once in `gradcheck.network.reference`, and each backend builds it by
itself. A third party adds a row with `register_layer`, and one function per backend.
"""

from typing import TypeVar

from gradcheck.foundation.describe import register
from gradcheck.network.layers.activations import ELU, GELU, Arctan, Identity, LeakyReLU, ReLU, Sigmoid, SiLU, Softplus, Tanh
from gradcheck.network.layers.attention import Attention
from gradcheck.network.layers.base import Activation as Activation
from gradcheck.network.layers.base import Cancellation as Cancellation
from gradcheck.network.layers.base import Kink as Kink
from gradcheck.network.layers.base import Layer
from gradcheck.network.layers.base import Shape as Shape
from gradcheck.network.layers.base import Size as Size
from gradcheck.network.layers.base import Start as Start
from gradcheck.network.layers.blocks import Block as Block
from gradcheck.network.layers.blocks import Flatten, Residual, Sequential, Tied
from gradcheck.network.layers.dense import Dense, Embedding
from gradcheck.network.layers.images import Conv2d, MaxPool2d
from gradcheck.network.layers.normalization import BatchNorm, LayerNorm

LAYERS: dict[str, type[Layer]] = {
    "dense": Dense,
    "arctan": Arctan,
    "tanh": Tanh,
    "sigmoid": Sigmoid,
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "elu": ELU,
    "gelu": GELU,
    "silu": SiLU,
    "softplus": Softplus,
    "identity": Identity,
    "conv2d": Conv2d,
    "max_pool2d": MaxPool2d,
    "flatten": Flatten,
    "layer_norm": LayerNorm,
    "batch_norm": BatchNorm,
    "embedding": Embedding,
    "attention": Attention,
    "residual": Residual,
    "sequential": Sequential,
    "tied": Tied,
}

L = TypeVar("L", bound=Layer)


def register_layer(name: str, row: type[L]) -> type[L]:
    """Add a third party's row to the table; a name that is taken raises `DescriptionError`."""
    return register(LAYERS, name, row, "layer")
