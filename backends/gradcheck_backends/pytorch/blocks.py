"""From layers to steps: functions of the input and of parameters, by the names that these have in the network."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, cast

from torch import Tensor, nn

from gradcheck.network import layers as ly
from gradcheck.network.layers.blocks import named, parameters_of
from gradcheck_backends.pytorch import activations, attention, dense, images, normalization
from gradcheck_backends.pytorch.rules import Functions, Modules, rule

LAYERS: Modules = dense.LAYERS | images.LAYERS | normalization.LAYERS | attention.LAYERS | activations.LAYERS
FUNCTIONS: Functions = dense.FUNCTIONS | images.FUNCTIONS | normalization.FUNCTIONS

Step: TypeAlias = tuple[Callable[..., Tensor], list[str]]
Wires: TypeAlias = Mapping[str, str]
"""The network's names of the parameters that a layer uses, by the layer's own."""


class Names(nn.Module):
    """Modules by name. They lie in its dictionary, since ``add_module`` refuses ``"half"``, ``"type"`` and ``""``."""

    def hold(self, name: str, child: nn.Module) -> None:
        """Under the name ``""`` what the child has, else the child; where there is one of that name, both in one."""
        before = self._modules.get(name)
        if not name:
            self._parameters.update(child.named_parameters(recurse=False))
            for inner, module in child.named_children():
                self.hold(inner, module)
        elif before is not None:
            self._modules[name] = both = Names()
            both.hold("", before)
            both.hold("", child)
        else:
            self._modules[name] = child


def run(steps: Iterable[Step], x: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
    """The steps, one after the other."""
    for step, names in steps:
        x = step(x, *[tensors[name] for name in names])
    return x


def chain(block: Any, inputs: Iterable[ly.Shape], wiring: Iterable[Wires]) -> tuple[Names, list[Step]]:
    """The layers of a block, or of a network: what names their parameters, and what they do."""
    module, steps = Names(), list[Step]()
    for (name, layer), shape, wires in zip(named(block), inputs, wiring, strict=False):
        child, its = _built(layer, shape, wires)
        module.hold(name, child)
        steps += its
    return module, steps


def _built(layer: ly.Layer, inputs: ly.Shape, wires: Wires) -> tuple[nn.Module, list[Step]]:
    if type(layer) is ly.Tied:
        return _tied(layer, inputs, wires)
    if isinstance(layer, ly.Block) and type(layer) in (ly.Sequential, ly.Residual):
        module, steps = chain(layer, layer.shapes(inputs), [parameters_of(wires, name) for name, _ in named(layer)])
        return module, steps if type(layer) is ly.Sequential else [_residual(steps, list(wires.values()))]
    module = rule(LAYERS, layer)(layer, inputs)
    function = FUNCTIONS.get(type(module), lambda itself: itself)(module)
    return module, [(function, [wires[own] for own in layer.parameter_shapes(inputs)])]


def _residual(steps: list[Step], names: list[str]) -> Step:
    def residual(x: Tensor, *tensors: Tensor) -> Tensor:
        return x + run(steps, x, dict(zip(names, tensors, strict=True)))

    return residual, names


def _tied(tied: ly.Tied, inputs: ly.Shape, wires: Wires) -> tuple[nn.Module, list[Step]]:
    """The layer, whose module knows nothing of what belongs to others."""
    module, steps = _built(tied.layer, inputs, wires)
    modules: dict[str, nn.Module] = dict(cast("Any", module).named_modules())  # torch says nothing of their types
    for name, _ in tied.parameters:
        owner, _, own = name.rpartition(".")
        delattr(modules[owner], own)
    return module, steps
