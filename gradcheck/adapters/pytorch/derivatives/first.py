# pyright: reportUnknownMemberType=false
# (PyTorch's annotations are partial.)
"""The first derivative of a PyTorch function as a function of its own: of the blocks, and of the cotangents."""

from collections.abc import Iterator, Mapping
from copy import copy
from typing import Any

import numpy as np
import torch

from gradcheck.adapters.leaves import combine, draw
from gradcheck.adapters.pytorch.contract.graph import class_of, nodes_of
from gradcheck.adapters.pytorch.function import Call, TorchFunction
from gradcheck.adapters.pytorch.holdings import Tensors
from gradcheck.adapters.pytorch.numbers import array_of, arrays_of, as_real, tensor_like
from gradcheck.comparison.pair import output_block
from gradcheck.foundation.arrays import Array, rms
from gradcheck.foundation.calling import called
from gradcheck.foundation.wording import enumerated

PYTORCH = torch.autograd.function.__file__
REFUSING = "Error"  # in the name of the node that ``once_differentiable`` puts into the graph


class FirstDerivative(TorchFunction):
    """g(x, c) = c^T J(x) of a settled function: an output for each block, and a block more for each cotangent.

    It is evaluated by a backward pass, and its gradient is PyTorch's second one. All else is as of any function: its outputs
    are reduced to a number by random cotangents of their own.

    Attributes
    ----------
    first : TorchFunction
        The settled function.
    names : dict of str to str
        Of each output's cotangent, as a block.
    """

    def __init__(self, first: TorchFunction) -> None:
        vars(self).update(vars(first))
        self.first, self.idle = first, None
        self.name = f"the first derivative of {first.name}"
        self.names = dict(_names(first))
        given = first.in_dtype(None).call(first.in_dtype(None).point()).outputs
        self.blocks = {
            **first.blocks,
            **{name: tensor_like(first.cotangents[output], given[output]) for output, name in self.names.items()},
        }
        self.without_gradient = frozenset[str]()
        gradients = {name: g for name, g in self._gradients_of(self.point(), False)[1].items() if g is not None}
        self.cotangents = draw(arrays_of({gradient_of(name): g for name, g in gradients.items()}), self.seed)

    def call(self, arrays: Mapping[str, Array]) -> Call:
        """One evaluation with a graph: where the first backward pass has recorded none, outputs require no gradient."""
        leaves, gradients = self._gradients_of(arrays, True)
        filled = {gradient_of(name): torch.zeros_like(leaves[name]) if g is None else g for name, g in gradients.items()}
        return Call({name: leaves[name] for name in arrays}, {name: as_real(filled[name]) for name in self.cotangents})

    def loss(self, arrays: Mapping[str, Array]) -> float:
        """The gradients reduced by the cotangents: without a graph, as everybody takes them."""
        gradients = {gradient_of(name): g for name, g in self._gradients_of(arrays, False)[1].items() if g is not None}
        return combine({name: array_of(gradients[name]) for name in self.cotangents if name in gradients}, self.cotangents)

    def of(self, names: list[str]) -> "FirstDerivative":
        """The same as a function of some blocks alone."""
        other = copy(self)
        other.blocks, other.idle = {name: self.blocks[name] for name in names}, None
        return other

    def size(self) -> float:
        """Of the whole first derivative reduced to a number: of the function, where each block moves by its own size.

        Its rounding is so many roundoffs of the terms that it is made of, whatever these cancel to.
        """
        outputs, point = arrays_of(self.first.call(self.first.point()).outputs), self.first.point()
        whole = sum(float(np.sum(np.abs(outputs[name] * drawn))) for name, drawn in self.first.cotangents.items())
        moved = (np.sum(np.abs(self.cotangents.get(gradient_of(name), 0.0))) / (rms(x) or 1.0) for name, x in point.items())
        return whole * float(sum(moved))

    def graph_of_first(self, arrays: Mapping[str, Array], graph: bool = True) -> tuple[Call, Tensors]:
        """An evaluation of the function itself, before any backward pass, and its cotangents; leaves have all blocks."""
        leaves, outputs = self._evaluated({name: array for name, array in arrays.items() if name in self.first.blocks})
        cotangents = {
            output: tensor_like(arrays.get(name, self.first.cotangents[output]), outputs[output]).requires_grad_(graph)
            for output, name in self.names.items()
            if outputs[output].requires_grad
        }
        wanted = {name: leaves[name] for name in self.first.blocks}
        return Call(wanted, {name: outputs[name] for name in cotangents}), cotangents

    def backward_of_first(self, call: Call, cotangents: Tensors, graph: bool) -> dict[str, torch.Tensor | None]:
        """The first backward pass, dense."""
        if not cotangents:
            return dict.fromkeys(call.leaves)
        found = called(
            torch.autograd.grad,
            f"the first backward pass of {self.first.name}",
            list(call.outputs.values()),
            list(call.leaves.values()),
            list(cotangents.values()),
            create_graph=graph,
            allow_unused=True,
        )
        return {name: _dense(gradient) for name, gradient in zip(call.leaves, found, strict=True)}

    def _gradients_of(self, arrays: Mapping[str, Array], graph: bool) -> tuple[Tensors, dict[str, torch.Tensor | None]]:
        """All leaves, of which cotangents are some, and the first gradients."""
        with self.draws.again():
            call, cotangents = self.graph_of_first(arrays, graph)
            gradients = self.backward_of_first(call, cotangents, graph)
        return call.leaves | {self.names[output]: each for output, each in cotangents.items()}, gradients


def _names(first: TorchFunction) -> Iterator[tuple[str, str]]:
    outputs = list(first.cotangents)
    for output in outputs:
        name = "cotangent" if outputs == ["output"] else f"cotangent.{output_block(output)}"
        yield output, f"{name} of {first.name}" if name in first.blocks else name


def gradient_of(name: str) -> str:
    """What the gradient of a block is called as an output."""
    return f"gradient of {name}"


def _dense(gradient: torch.Tensor | None) -> torch.Tensor | None:
    return gradient if gradient is None or gradient.layout == torch.strided else gradient.to_dense()


def refusing(derivative: FirstDerivative) -> str:
    """That the graph raises where it is differentiated, and who has asked for that; empty where it does not.

    ``torch.autograd.grad`` goes around the node that raises, and says that there is no gradient.
    """
    if not any(REFUSING in kind for kind in nodes_of(derivative.call(derivative.point()).outputs.values()).kinds):
        return ""
    nodes = nodes_of(derivative.graph_of_first(derivative.point())[0].outputs.values()).custom
    names = {class_of(node).__name__ for node in nodes if _is_decorated(class_of(node))}
    return f"{enumerated(sorted(names)) or 'a backward function'} is marked once_differentiable, and refuses it"


def _is_decorated(kind: Any) -> bool:
    code = getattr(getattr(kind, "backward", None), "__code__", None)
    return code is not None and code.co_filename == PYTORCH
