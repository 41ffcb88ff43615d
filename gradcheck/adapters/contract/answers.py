# pyright: reportUnknownMemberType=false
# (PyTorch's annotations are partial.)
"""The first answer, and whether another one is the same: to rounding, which the function's own arithmetic sets."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple, TypeAlias, cast

import numpy as np
import torch

from gradcheck.adapters.contract.graph import Graph, class_of
from gradcheck.adapters.pytorch_function import Call, TorchFunction
from gradcheck.adapters.pytorch_leaves import Tensors
from gradcheck.adapters.pytorch_numbers import array_of, tensor_of
from gradcheck.adapters.pytorch_state import seed_all
from gradcheck.errors import CallFailed
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import raised
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.compare import place

Gradients: TypeAlias = Mapping[str, Array]
Optionals: TypeAlias = tuple[torch.Tensor | None, ...]  # as gradients are; PyTorch's annotations know no None

# What is rounding. Seen on 320 honest functions that compute in float32, bfloat16 or float16, in sight or out of it, with
# blocks that are zero to rounding among them: as it is none is accused; without NOTHING and NOISE 9 are, without one of
# them none; with ROUNDED = 1e-7 37; without the uneven cotangents (COARSE = 0) 45.
NOTHING = 100  # roundoffs of the whole gradient's contribution, beside which a block is nothing
NOISE = 16  # times the largest difference of two plain answers, which is one draw of what rounding and atomics do
UNEVEN = 1.5
COARSE = 2.0**-4  # of the whole gradient: more is not the rounding of any arithmetic, whose unit in bfloat16 is 2^-8
# Of an output's largest entry: what is another output, and not the same one rounded. Some forward passes are computed in
# float32 where nobody sees it, of which this is the line of `is_another`.
ROUNDED = float(np.finfo(np.float32).eps) ** 0.5
HINT = re.compile(r" Hint: .*(?= \(\S+\)$)| Hint: .*$")


class Breach(NamedTuple):
    """One thing that a backward function owes and did not keep: of which blocks, and what was seen."""

    cause: Cause
    names: frozenset[str]
    sentence: str


Told: TypeAlias = Iterator[Breach | str]
"""What a question brings: breaches, and notes that are no verdict."""


class Examined:
    """A function with its first answer, which later ones are held against.

    Attributes
    ----------
    gradients, outputs : dict of str to array
        At the point, with the cotangents that differences have judged the gradients by.
    custom : list of str
        The nodes of its graph that are of somebody's own backward function.
    classes : list of type
        Of these.
    kinds : frozenset of str
        All nodes' names.
    spoils, overwrites : bool
        Whether a backward pass is known to spoil its graph, and its cotangent.
    """

    def __init__(self, function: TorchFunction, judged: Collection[str], call: Call, graph: Graph) -> None:
        self.function, self.judged, self.point = function, frozenset(judged), function.point()
        self.custom = [type(node).__name__ for node in graph.custom]
        self.classes = [class_of(node) for node in graph.custom]
        self.kinds = graph.kinds
        self.outputs = arrays_of(call.outputs)
        self.gradients = self.backward(call, retain=False)
        self.spoils, self.overwrites = False, False
        self.noise = self._noise()
        self.eps = max(graph.eps, self._share(self.noise))
        self.whole = sum(float(np.sum(each)) for each in self._contributions(self.gradients).values())

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
            name: tensor_of(drawn[name], outputs[name].shape).to(dtype=outputs[name].dtype, device=outputs[name].device)
            for name in drawn
            if name in outputs and outputs[name].requires_grad
        }

    def backward(self, call: Call, cotangents: Tensors | None = None, retain: bool | None = None) -> Gradients:
        """Gradients of all blocks, zero where there is none; what is drawn on the way back is the same every time.

        The graph is kept, unless told, and unless each pass spoils it.
        """
        given = self.cotangents(call) if cotangents is None else cotangents
        if not given:
            return {name: np.zeros(leaf.shape) for name, leaf in call.leaves.items()}
        seed_all(self.function.seed)
        outputs = [call.outputs[name] for name in given]
        leaves = {name: leaf for name, leaf in call.leaves.items() if leaf.requires_grad}
        found = torch.autograd.grad(
            outputs,
            list(leaves.values()),
            list(given.values()),
            retain_graph=not self.spoils if retain is None else retain,
            allow_unused=True,
        )
        known = {name: g for name, g in zip(leaves, cast("Optionals", found), strict=True) if g is not None}
        return {name: wide(known[name]) if name in known else np.zeros(leaf.shape) for name, leaf in call.leaves.items()}

    def answers(
        self, cause: Cause, when: str, backward: Callable[[], Gradients], expected: Gradients | None = None
    ) -> Iterator[Breach]:
        """A breach where a backward pass raises, or answers otherwise than expected (as at first, unless told)."""
        try:
            found = backward()
        except Exception as error:
            yield Breach(cause, frozenset(self.gradients), f"{when} the backward pass {shortly(error)}")
            return
        yield from self.differing(cause, when, found, self.gradients if expected is None else expected)

    def differing(self, cause: Cause, when: str, found: Gradients, expected: Gradients) -> Iterator[Breach]:
        """A breach for each judged block that is beyond rounding."""
        for name in (name for name in expected if name in self.judged):
            seen = difference(found[name], expected[name], self.tolerance(name, expected[name]))
            if seen:
                yield Breach(cause, frozenset({name}), f"{when} the gradient {seen}")

    def tolerance(self, name: str, expected: Array) -> float:
        """How far off an entry may be: the line of `is_another`, noise that was seen, what is nothing beside the whole."""
        largest = max(size(self.gradients[name]), size(expected))
        nothing = NOTHING * self.eps * self.whole / (size(self.point[name]) or 1.0)
        return self.eps**0.5 * largest + nothing + NOISE * size(self.noise[name])

    def same_outputs(self, call: Call) -> bool:
        """Whether another evaluation has the values of the first; how little these differ by tells of its arithmetic."""
        found = arrays_of(call.outputs)
        if any(difference(found[name], value, ROUNDED * size(value)) for name, value in self.outputs.items()):
            return False
        changes = [size(found[name] - value) / (size(value) or 1.0) for name, value in self.outputs.items()]
        self.eps = max(self.eps, *(change for change in changes if np.isfinite(change)))
        return True

    def _noise(self) -> Gradients:
        """How far off a second answer is, to cotangents times a number that is no power of two, and divided by it.

        It rounds otherwise: so arithmetic within a function is seen that is coarser than what goes in and out of it. Where
        that is no rounding, a second answer to the same.
        """
        scaled = self._off(UNEVEN)
        return scaled if self._share(scaled) < COARSE else self._off(1.0)

    def _off(self, factor: float) -> Gradients:
        call = self.call()
        given = {name: factor * cotangent for name, cotangent in self.cotangents(call).items()}
        again = self.backward(call, given, retain=False)
        return {name: np.abs(again[name] / factor - gradient) for name, gradient in self.gradients.items()}

    def _contributions(self, gradients: Gradients) -> Gradients:
        with np.errstate(all="ignore"):
            products = {name: np.abs(gradient * self.point[name]) for name, gradient in gradients.items()}
        return {name: np.where(np.isfinite(product), product, 0.0) for name, product in products.items()}

    def _share(self, part: Gradients) -> float:
        """Of the whole gradient, in what it contributes."""
        sums = [sum(float(np.sum(each)) for each in self._contributions(g).values()) for g in (part, self.gradients)]
        return min(sums[0] / sums[1], 1.0) if sums[1] else 0.0


def size(array: Array) -> float:
    """Of the largest entry."""
    return float(np.max(np.abs(array), initial=0.0))


def difference(found: Array, expected: Array, tolerance: Array | float) -> str:
    """Where and by how much one answer is beyond another; empty where it is not."""
    if found.shape != expected.shape:
        return f"has shape {found.shape}, expected {expected.shape}"
    with np.errstate(all="ignore"):
        off = np.where(np.isfinite(found), np.abs(found - expected), np.inf)
    off = np.where((found == expected) | (np.isnan(found) & np.isnan(expected)), 0.0, off)
    if not np.any(off > tolerance):
        return ""
    worst = place(int(np.argmax(off)), off.shape)
    where = f" at {list(worst)}" if worst else ""
    return f"is off by {off[worst]:.2g}{where}" if np.isfinite(off[worst]) else f"is {found[worst]}{where}"


def shortly(error: BaseException) -> str:
    """What was raised, without PyTorch's advice on how to look for it."""
    return HINT.sub("", raised(origin(error)))


def origin(error: BaseException) -> BaseException:
    """What the function raised, where ours only hands it on."""
    return error.__cause__ if isinstance(error, CallFailed) and error.__cause__ else error


def wide(tensor: torch.Tensor) -> Array:
    """In float64, where differences do not round."""
    return array_of(tensor).astype(np.float64)


def arrays_of(tensors: Mapping[str, torch.Tensor]) -> dict[str, Array]:
    """Each in float64."""
    return {name: wide(tensor) for name, tensor in tensors.items()}
