"""`Network`: input shape, layers, loss. Shapes and parameter names follow from the description alone."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, TypeVar

import msgspec

from gradcheck.errors import DescriptionError
from gradcheck.foundation.describe import Description, at, decode, decode_tagged, encode_tagged, join
from gradcheck.foundation.wording import nearest
from gradcheck.network.layers import Activation, Dense, Layer, Shape, Size, Start
from gradcheck.network.layers.blocks import check_names, gathered, least_samples, named, shapes_through, unpack
from gradcheck.network.layers.tables import rows_of, with_layers
from gradcheck.network.losses import LOSSES, Loss

T = TypeVar("T")


class Network(Description, frozen=True, dict=True):
    """An immutable description; data only, no arrays.

    Parameters
    ----------
    inputs : tuple of int
        Shape of one sample. It is made of indices where the first layer is an `Embedding`, else of real numbers.
    layers : tuple of Layer
        Applied in order; a mapping of layers by name may be given. ``"0.weight"`` is the parameter ``weight`` of
        ``layers[0]``.
    loss : Loss
        A mean over the batch.
    weight_decay : float
        Adds ``weight_decay / 2 * sum(w**2)`` over all parameters called ``weight`` (as PyTorch's optimisers do, whose
        ``weight_decay`` adds ``weight_decay * w`` to the gradient).
    names : tuple of str
        Of the layers, which begin the names of their parameters; by default their numbers.

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
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unpack(self)
        super().__post_init__()
        check_names(self)
        outputs = self.shapes[-1]
        with at("loss"):
            self.loss.target_shape(outputs)
        _ = self.wiring

    def __repr__(self) -> str:
        fields = msgspec.structs.fields(self)
        given = [field.name for field in fields if field.name != "names" or self.names]
        return f"Network({', '.join(f'{name}={getattr(self, name)!r}' for name in given)})"

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """Shape of one sample before the first layer and after each."""
        return shapes_through(self.layers, self.inputs)

    @cached_property
    def parameter_shapes(self) -> dict[str, Shape]:
        """Shape of every parameter by its ``state_dict`` name, first layer first."""
        return gathered(self, self.inputs, lambda layer, shape: layer.parameter_shapes(shape))

    @property
    def starts(self) -> dict[str, Start]:
        """How every parameter is drawn."""
        return gathered(self, self.inputs, lambda layer, shape: layer.starts(shape))

    @property
    def least_samples(self) -> int:
        """How many samples there must be."""
        return least_samples(self, self.inputs)

    @cached_property
    def wiring(self) -> tuple[Mapping[str, str], ...]:
        """For each layer, by their own names within it: the names of all parameters that it uses."""
        each = zip(named(self), self.shapes, strict=False)
        return tuple(self._wires(index, name, layer, shape) for index, ((name, layer), shape) in enumerate(each))

    def _wires(self, index: int, name: str, layer: Layer, inputs: Shape) -> Mapping[str, str]:
        own = {own: join(name, own) for own in layer.parameter_shapes(inputs)}
        with at(f"layers[{index}]"):
            for mine, (other, shape) in layer.tied(inputs).items():
                found = self.parameter_shapes.get(other)
                if found is None:
                    raise DescriptionError(
                        f"no parameter {other!r} to tie to, {nearest(other, self.parameter_shapes)}", mine
                    )
                if found != shape:
                    raise DescriptionError(f"tied to {other!r} of shape {found}, but has shape {shape}", mine)
                own[mine] = other
        return own

    @property
    def vocabulary(self) -> int | None:
        """How many indices there are, where a sample is made of those."""
        return self.layers[0].vocabulary if self.layers else None

    @property
    def target_shape(self) -> Shape:
        """Shape of one target."""
        return self.loss.target_shape(self.shapes[-1])

    @property
    def flat(self) -> bool:
        """Whether all layers are dense ones on vectors, or act on each entry by itself."""
        return len(self.inputs) == 1 and all(isinstance(layer, Dense | Activation) for layer in self.layers)


def layer_shapes(network: Network) -> list[Mapping[str, Shape]]:
    """Shapes of each layer's parameters by their names within the layer."""
    return [layer.parameter_shapes(inputs) for layer, inputs in zip(network.layers, network.shapes, strict=False)]


def by_layer(network: Network, parameters: Mapping[str, T]) -> list[dict[str, T]]:
    """For each layer those of these parameters that it uses, by their names within the layer."""
    each = network.wiring
    return [{own: parameters[name] for own, name in wires.items() if name in parameters} for wires in each]


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
        "layers": rows_of(network),
    }


def from_table(table: Mapping[str, Any]) -> Network:
    """Inverse of `to_table`; a layer or loss may also stand there as its bare name."""
    raw = with_layers(table)
    if "loss" in raw:
        raw["loss"] = decode_tagged(raw["loss"], LOSSES, "loss", "loss")
    return decode(raw, Network)
