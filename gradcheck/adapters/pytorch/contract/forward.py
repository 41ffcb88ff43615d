# pyright: reportUnknownMemberType=false, reportPrivateUsage=false
# (PyTorch's annotations are partial.)
"""A forward derivative that a function has beside its backward pass: both say the same."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch.autograd import forward_ad

from gradcheck.adapters.contract.breaches import Breach, Told, origin, shortly
from gradcheck.adapters.pytorch.contract.answers import Examined, wide
from gradcheck.adapters.pytorch.contract.graph import defines
from gradcheck.adapters.pytorch.function import TorchFunction
from gradcheck.adapters.pytorch.holdings import Tensors
from gradcheck.adapters.pytorch.numbers import tensor_like
from gradcheck.foundation.arrays import Array
from gradcheck.verdict.causes import Cause


class Product(NamedTuple):
    """A derivative along a tangent, and the size of what was added up to it."""

    value: float
    size: float


def forward(examined: Examined) -> Told:
    """What a ``jvp`` says of a tangent is what the backward pass says of it: c . (J t) = (c J) . t."""
    if not any(defines(kind, "jvp") for kind in examined.classes):
        return
    draws = np.random.default_rng(examined.function.seed)
    tangents = {name: draws.standard_normal(value.shape) for name, value in examined.point.items()}
    try:
        said = disagreement(examined, tangents)
        alone = {name: disagreement(examined, _only(name, tangents)) for name in examined.judged} if said else {}
    except Exception as error:
        if not is_absent(error):
            yield Breach(Cause.FORWARD_MODE, frozenset(examined.gradients), f"the forward derivative {shortly(error)}")
        return
    wrong = {name: sentence for name, sentence in alone.items() if sentence} or dict.fromkeys(
        examined.judged if said else (), said
    )
    yield from (Breach(Cause.FORWARD_MODE, frozenset({name}), sentence) for name, sentence in wrong.items())


def is_absent(error: Exception) -> bool:
    """Whether it says that there is no forward derivative, of the function or of an operator beside it."""
    return isinstance(origin(error), NotImplementedError) or "forward mode" in str(error)


def disagreement(examined: Examined, tangents: Mapping[str, Array]) -> str:
    """What both say of a tangent, where it is not the same."""
    pushed, pulled = _pushed(examined, tangents), _sum([examined.gradients[name] * t for name, t in tangents.items()])
    if abs(pushed.value - pulled.value) <= examined.eps**0.5 * (pushed.size + pulled.size):
        return ""
    return f"along a tangent the forward derivative is {pushed.value:.6g}, and by the backward pass {pulled.value:.6g}"


def _only(name: str, tangents: Mapping[str, Array]) -> dict[str, Array]:
    return {each: tangent if each == name else np.zeros_like(tangent) for each, tangent in tangents.items()}


def _sum(products: list[Array]) -> Product:
    return Product(float(sum(np.sum(each) for each in products)), float(sum(np.sum(np.abs(each)) for each in products)))


def _pushed(examined: Examined, tangents: Mapping[str, Array]) -> Product:
    """The outputs' tangents, reduced by the cotangents."""
    found, drawn = pushed(examined.function, examined.point, tangents), examined.function.cotangents
    return _sum([drawn[name] * wide(t) for name, t in found.items() if name in drawn])


def pushed(function: TorchFunction, point: Mapping[str, Array], tangents: Mapping[str, Array]) -> Tensors:
    """The tangents of the outputs that have one, by forward mode; blocks that are not named have none."""

    def hand_on(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if name in tangents:
            value = tensor.detach().clone()
            dual = forward_ad.make_dual(value, tensor_like(tangents[name], value))
            if tensor._is_view():  # into which PyTorch can write none
                return dual
            with torch.no_grad():  # written into the very leaf, which may be a parameter
                tensor.copy_(dual)
        return tensor

    with forward_ad.dual_level():
        call = function.handing(hand_on).call(point)
        found = {name: forward_ad.unpack_dual(output).tangent for name, output in call.outputs.items()}
    return {name: tangent.detach().clone() for name, tangent in found.items() if tangent is not None}
