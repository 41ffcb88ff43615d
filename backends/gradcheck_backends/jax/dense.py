"""Dense layers: z = x W^T + b."""

from collections.abc import Mapping
from typing import Any

from gradcheck.network import layers as ly


def dense(layer: ly.Dense, parameters: Mapping[str, Any], x: Any) -> Any:
    z = x @ parameters["weight"].T
    return z + parameters["bias"] if layer.bias else z


LAYERS = {ly.Dense: dense}
