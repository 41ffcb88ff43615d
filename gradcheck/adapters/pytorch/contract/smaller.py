# pyright: reportUnknownMemberType=false
# (PyTorch's annotations are partial.)
"""A second call of another batch size: a function that has kept the first one's shape answers for that."""

from collections.abc import Callable, Mapping
from types import ModuleType

import numpy as np
import torch

from gradcheck.adapters.contract.breaches import Breach, Told
from gradcheck.adapters.leaves import combine, draw
from gradcheck.adapters.pytorch.arithmetic import arithmetic
from gradcheck.adapters.pytorch.contract.answers import Examined, arrays_of, wide
from gradcheck.adapters.pytorch.function import Call, TorchFunction
from gradcheck.adapters.pytorch.holdings import Tensors
from gradcheck.checking.checker import checked
from gradcheck.errors import GradcheckError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.objects.captured import captured
from gradcheck.foundation.validation import Asked
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Verdict

PLAIN = (type, bool, int, float, str, type(None), ModuleType)
SOME = 1e-3  # of the whole gradient: of a block that is nothing beside it no first digit is known
# What is kept of another shape shows in the first digits.
ASKED = Asked(accuracy=0.05, resolve=0.1, max_evaluations=40, diagnose=False)


def batch(examined: Examined) -> Told:
    """With one sample less the gradient is right, too: held against differences, as the first was.

    What brings more along, which may be of the first size, is another function then: it broadcasts. Where there is a
    reference, `shapes` asks that.
    """
    function = examined.function
    if examined.beside or not examined.custom or not samples(examined) or not is_whole(function):
        return
    try:
        smaller = Smaller(function, samples(examined))
        asked, numbers = ASKED._replace(seed=function.seed), arithmetic(function)._replace(narrow=None)
        report, _ = checked(smaller.loss, smaller.gradient, function.point(), asked, arithmetic=numbers)
    except (GradcheckError, RuntimeError, ValueError, IndexError):  # it may have to be of one size
        return
    wrong = (finding for finding in report.findings if finding.verdict is Verdict.WRONG)
    for finding in (finding for finding in wrong if examined.contributes(finding.name) > SOME):
        said = f"in a second call, with one sample less, it is wrong: {finding.reason}"
        yield Breach(Cause.SHARED_STATE, frozenset({finding.name}), said)


class Smaller:
    """A function of its arguments without their last samples; it is moved with them, and does not depend on these."""

    def __init__(self, function: TorchFunction, count: int) -> None:
        self.handed: Tensors = {}
        self.function = function.handing(cropping(function, count, self.handed))
        self.cotangents = draw(arrays_of(self._call(function.point()).outputs), function.seed)

    def loss(self, arrays: Mapping[str, Array]) -> float:
        """The outputs reduced by cotangents of their shapes."""
        return combine(arrays_of(self._call(arrays).outputs), self.cotangents)

    def gradient(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Of all blocks, zero for the samples that are left out."""
        call = self._call(arrays)
        leaves = {name: self.handed.get(name, leaf) for name, leaf in call.leaves.items()}
        found = self.function.backward(Call(leaves, call.outputs), self.cotangents)
        whole = {name: np.zeros(array.shape) for name, array in arrays.items()}
        for name, gradient in found.items():
            if gradient is not None:
                whole[name][slice(len(gradient)) if gradient.dim() else ...] = wide(gradient)
        return whole

    def _call(self, arrays: Mapping[str, Array]) -> Call:
        self.handed.clear()
        return self.function.call(arrays)


def samples(examined: Examined) -> int:
    """How many the first argument has, if that is more than one and one may be left out; else 0.

    What takes indices may read where they point to, and a kernel in C++ wherever it was told: neither is asked.
    """
    tensors = [leaf for leaf in examined.function.arguments.leaves if isinstance(leaf, torch.Tensor)]
    batched = [tensor for tensor in tensors if tensor.dim()]
    if None in examined.classes or any(not tensor.is_floating_point() for tensor in tensors):
        return 0
    return len(batched[0]) if batched and len(batched[0]) > 1 else 0


def is_whole(function: TorchFunction) -> bool:
    """Whether all that a function computes with is handed in: it is one of PyTorch's protocol, or holds such and no more."""
    if any(name not in function.blocks for name in function.state):
        return False
    cells = captured(function.f).values() if not isinstance(function.f, torch.nn.Module) else ()
    return isinstance(getattr(function.f, "__self__", None), type) or all(isinstance(each, PLAIN) for each in cells)


def cropping(function: TorchFunction, count: int, handed: Tensors) -> Callable[[str, torch.Tensor], torch.Tensor]:
    """Hands on arguments without their last sample, those that have so many; keeps those that it hands on."""
    names = function.arguments.names

    def hand_on(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if name not in names:
            return tensor
        cropped = tensor[:-1] if tensor.dim() and len(tensor) == count else tensor
        own = cropped.detach().clone().requires_grad_(tensor.requires_grad)
        handed[name] = torch.nn.Parameter(own, tensor.requires_grad) if isinstance(tensor, torch.nn.Parameter) else own
        return handed[name]

    return hand_on
