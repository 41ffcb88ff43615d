# pyright: reportUnknownMemberType=false
# (PyTorch's annotations are partial.)
"""The first answer of a PyTorch function, and how it is asked again."""

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
import torch

from gradcheck.adapters.contract.first import First, Gradients
from gradcheck.adapters.pytorch.contract.graph import Graph, class_of
from gradcheck.adapters.pytorch.function import Call, TorchFunction
from gradcheck.adapters.pytorch.holdings import Tensors
from gradcheck.adapters.pytorch.numbers import array_of, shape_of, tensor_like
from gradcheck.comparison.pair import Pair
from gradcheck.foundation.arrays import Array

Optionals: TypeAlias = tuple[torch.Tensor | None, ...]  # as gradients are; PyTorch's annotations know no None


class Beside(NamedTuple):
    """What there is beside a function that has a reference, which says what is right elsewhere.

    Attributes
    ----------
    reference : TorchFunction
    kernel_at, reference_at : callable
        Both at other arguments, in a ``with`` block.
    paired : callable
        A kernel and its reference as a pair.
    accuracy : float
        As `gradcheck.check_torch` takes it.
    """

    reference: TorchFunction
    kernel_at: Callable[[tuple[Any, ...], dict[str, Any]], AbstractContextManager[TorchFunction]]
    reference_at: Callable[[tuple[Any, ...], dict[str, Any]], AbstractContextManager[TorchFunction]]
    paired: Callable[[TorchFunction, TorchFunction], Pair]
    accuracy: float


class Examined(First):
    """A function with its first answer, which later ones are held against.

    Attributes
    ----------
    custom : list of str
        The nodes of its graph that are of somebody's own backward function.
    classes : list of type
        Of these.
    kinds : frozenset of str
        All nodes' names.
    spoils, overwrites : bool
        Whether a backward pass is known to spoil its graph, and its cotangent.
    beside : Beside, optional
        Where there is a reference.
    """

    def __init__(
        self, function: TorchFunction, judged: Collection[str], call: Call, graph: Graph, beside: Beside | None = None
    ) -> None:
        self.function, self.beside = function, beside
        self.custom = [type(node).__name__ for node in graph.custom]
        self.classes = [class_of(node) for node in graph.custom]
        self.kinds = graph.kinds
        self.spoils, self.overwrites = False, False
        gradients = self.backward(call, retain=False)
        tensors = (*call.outputs.values(), *call.leaves.values())
        least = max(torch.finfo(each.dtype).smallest_normal * torch.finfo(each.dtype).eps for each in tensors)
        super().__init__(judged, function.point(), arrays_of(call.outputs), gradients, self._scaled, graph.eps, least)

    def call(self) -> Call:
        """A fresh evaluation at the point."""
        return self.function.call(self.point)

    def again(self, call: Call) -> Call:
        """For another backward pass: the same graph, or a fresh one where each pass spoils its own."""
        return self.call() if self.spoils else call

    def cotangents(self, call: Call) -> Tensors:
        """Those of the function, as a backward pass takes them: fresh and contiguous."""
        drawn, outputs = self.function.cotangents, call.outputs
        return {
            name: tensor_like(drawn[name], outputs[name])
            for name in drawn
            if name in outputs and outputs[name].requires_grad
        }

    def backward(self, call: Call, cotangents: Tensors | None = None, retain: bool | None = None) -> Gradients:
        """Gradients of all blocks, zero where there is none; what is drawn on the way back is the same every time.

        The graph is kept, unless told, and unless each pass spoils it.
        """
        given = self.cotangents(call) if cotangents is None else cotangents
        if not given:
            return {name: np.zeros(shape_of(leaf)) for name, leaf in call.leaves.items()}
        outputs = [call.outputs[name] for name in given]
        leaves = {name: leaf for name, leaf in call.leaves.items() if leaf.requires_grad}
        with self.function.draws.again():
            found = torch.autograd.grad(
                outputs,
                list(leaves.values()),
                list(given.values()),
                retain_graph=not self.spoils if retain is None else retain,
                allow_unused=True,
            )
        known = {name: g for name, g in zip(leaves, cast("Optionals", found), strict=True) if g is not None}
        return {name: wide(known[name]) if name in known else np.zeros(shape_of(leaf)) for name, leaf in call.leaves.items()}

    def _scaled(self, factor: float) -> Gradients:
        """To cotangents times a factor."""
        call = self.call()
        given = {name: factor * cotangent for name, cotangent in self.cotangents(call).items()}
        return self.backward(call, given, retain=False)


def wide(tensor: torch.Tensor) -> Array:
    """In float64, where differences do not round."""
    return array_of(tensor).astype(np.float64)


def arrays_of(tensors: Mapping[str, torch.Tensor]) -> dict[str, Array]:
    """Each in float64."""
    return {name: wide(tensor) for name, tensor in tensors.items()}
