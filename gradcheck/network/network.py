"""`Network`: input shape, layers, loss. Shapes and parameter names follow from the description alone."""

from collections.abc import Mapping, Sized
from functools import cached_property
from typing import Annotated, Any

import msgspec

from gradcheck.errors import DescriptionError
from gradcheck.foundation.describe import Description, at, decode, decode_tagged, encode_tagged
from gradcheck.network.layers import LAYERS, Layer, Shape, Size
from gradcheck.network.losses import LOSSES, Loss

DEEPEST = 10_000  # layers, which are verified in half a minute, 3 ms each; a choice


class Network(Description, frozen=True, dict=True):
    """An immutable description; data only, no arrays.

    Parameters
    ----------
    inputs : tuple of int
        Shape of one sample.
    layers : tuple of Layer
        Applied in order. ``"0.weight"`` is the parameter ``weight`` of ``layers[0]``.
    loss : Loss
        A mean over the batch.
    weight_decay : float
        Adds ``weight_decay / 2 * sum(w**2)`` over all parameters called ``weight`` (as PyTorch's optimisers do, whose
        ``weight_decay`` adds ``weight_decay * w`` to the gradient).

    Raises
    ------
    DescriptionError
        With the path and the value: ``layers[2].units: expected int >= 1, got 0``.

    Examples
    --------
    >>> from gradcheck import Arctan, Dense, Logistic, Network
    >>> network = Network(inputs=(2,), layers=(Dense(15), Arctan(), Dense(1)), loss=Logistic())
    >>> network.parameter_shapes
    {'0.weight': (15, 2), '0.bias': (15,), '2.weight': (1, 15), '2.bias': (1,)}
    """

    inputs: tuple[Size, ...]
    layers: tuple[Layer, ...]
    loss: Loss
    weight_decay: Annotated[float, msgspec.Meta(ge=0)] = 0.0

    def __post_init__(self) -> None:
        layers: Any = self.layers
        if isinstance(layers, Sized) and len(layers) > DEEPEST:  # before each of them is examined
            raise DescriptionError(f"{len(layers):,} layers, at most {DEEPEST:,} can be verified", "layers")
        super().__post_init__()
        outputs = self.shapes[-1]
        with at("loss"):
            self.loss.target_shape(outputs)

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """Shape of one sample before the first layer and after each."""
        shapes: list[Shape] = [self.inputs]
        for index, layer in enumerate(self.layers):
            with at(f"layers[{index}]"):
                shapes.append(layer.output_shape(shapes[-1]))
        return tuple(shapes)

    @property
    def parameter_shapes(self) -> dict[str, Shape]:
        """Shape of every parameter by its ``state_dict`` name, first layer first."""
        return {f"{index}.{name}": shape for index, own in enumerate(layer_shapes(self)) for name, shape in own.items()}

    @property
    def target_shape(self) -> Shape:
        """Shape of one target."""
        return self.loss.target_shape(self.shapes[-1])


def layer_shapes(network: Network) -> list[Mapping[str, Shape]]:
    """Shapes of each layer's parameters by their names within the layer."""
    return [layer.parameter_shapes(inputs) for layer, inputs in zip(network.layers, network.shapes, strict=False)]


def by_layer(parameters: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """The parameters of each of so many layers by their names within the layer."""
    layers: dict[str, dict[str, Any]] = {str(index): {} for index in range(count)}
    for name, value in parameters.items():
        index, _, own = name.partition(".")
        layers.get(index, {})[own] = value
    return list(layers.values())


def layers_with(network: Network, parameter: str) -> list[int]:
    """The numbers of the layers that have a parameter of this name."""
    return [index for index, own in enumerate(layer_shapes(network)) if parameter in own]


def is_weight(name: str) -> bool:
    """Whether ``weight_decay`` applies to the parameter of this name."""
    return name.rpartition(".")[2] == "weight"


def to_table(network: Network) -> dict[str, Any]:
    """The network as a plain table, for TOML and JSON."""
    return {
        "inputs": list(network.inputs),
        "loss": encode_tagged(network.loss, LOSSES),
        "weight_decay": network.weight_decay,
        "layers": [encode_tagged(layer, LAYERS) for layer in network.layers],
    }


def from_table(table: Mapping[str, Any]) -> Network:
    """Inverse of `to_table`; a layer or loss may also stand there as its bare name."""
    raw = dict(table)
    if isinstance(raw.get("layers"), list):
        layers: list[Any] = raw["layers"]
        raw["layers"] = tuple(decode_tagged(row, LAYERS, f"layers[{index}]", "layer") for index, row in enumerate(layers))
    if "loss" in raw:
        raw["loss"] = decode_tagged(raw["loss"], LOSSES, "loss", "loss")
    return decode(raw, Network)
