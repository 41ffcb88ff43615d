"""Dense layers, z = x W^T + b; rows of a table; and entries in a row."""

from collections.abc import Mapping
from typing import Any

from gradcheck.network import layers as ly
from gradcheck_backends.jax.rules import Rules


def dense(layer: ly.Dense | ly.Attention, parameters: Mapping[str, Any], x: Any) -> Any:
    z = x @ parameters["weight"].T
    return z + parameters["bias"] if layer.bias else z


LAYERS: Rules = {
    ly.Dense: dense,
    ly.Embedding: lambda _, parameters, x: parameters["weight"][x],
    ly.Flatten: lambda _, __, x: x.reshape(len(x), -1),
}
