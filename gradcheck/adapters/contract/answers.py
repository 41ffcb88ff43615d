# pyright: reportUnknownMemberType=false
# (PyTorch's annotations are partial.)
"""The first answer, and whether another one is the same: to rounding, which the function's own arithmetic sets."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
import torch

from gradcheck.adapters.contract.graph import is_rounded_to_float32, nodes_of
from gradcheck.adapters.pytorch_function import Call, Tensors, TorchFunction, array_of, tensor_of
from gradcheck.adapters.pytorch_state import seed_all
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import raised
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.compare import place

Gradients: TypeAlias = Mapping[str, Array]

# Roundoffs of the whole gradient's contribution, within which a block is nothing but rounding: a tenth of what sums of
# gradients are allowed, since in float32 a small block must not be passed over.
NOTHING = 100
HINT = re.compile(r" Hint: .*(?= \(\S+\)$)| Hint: .*$")
NOISE = 4  # times the difference of two plain answers, which is one draw of what atomics do


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
    kinds : frozenset of str
        All nodes' names.
    spoils, overwrites : bool
        Whether a backward pass is known to spoil its graph, and its cotangent.
    """

    def __init__(self, function: TorchFunction, judged: Collection[str]) -> None:
        self.function, self.judged, self.point = function, frozenset(judged), function.point()
        call = function.call(self.point)
        graph = nodes_of(call.outputs.values())
        self.custom = [type(node).__name__ for node in graph.custom]
        self.kinds = graph.kinds
        self.outputs = arrays_of(call.outputs)
        self.gradients = self.backward(call, retain=False)
        again = self.backward(function.call(self.point), retain=False)
        self.eps = max(graph.eps, self._rounded())
        self.noise = {name: np.abs(again[name] - gradient) for name, gradient in self.gradients.items()}
        self.nothing = self._nothing()
        self.spoils, self.overwrites = False, False

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
            if outputs[name].requires_grad
        }

    def backward(self, call: Call, cotangents: Tensors | None = None, retain: bool = True) -> Gradients:
        """Gradients of all blocks, zero where there is none; what is drawn on the way back is the same every time."""
        given = self.cotangents(call) if cotangents is None else cotangents
        if not given:
            return {name: np.zeros(leaf.shape) for name, leaf in call.leaves.items()}
        seed_all(self.function.seed)
        outputs = [call.outputs[name] for name in given]
        leaves = {name: leaf for name, leaf in call.leaves.items() if leaf.requires_grad}
        found: tuple[torch.Tensor | None, ...] = torch.autograd.grad(
            outputs, list(leaves.values()), list(given.values()), retain_graph=retain, allow_unused=True
        )
        known = {name: wide(gradient) for name, gradient in zip(leaves, found, strict=True) if gradient is not None}
        return {name: known[name] if name in known else np.zeros(leaf.shape) for name, leaf in call.leaves.items()}

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

    def tolerance(self, name: str, expected: Array) -> Array:
        """How far off an entry may be: the line of `is_another`, noise that was seen, what is nothing beside the whole."""
        largest = max(np.max(np.abs(each), initial=0.0) for each in (self.gradients[name], expected))
        return self.eps**0.5 * largest + self.nothing[name] + NOISE * self.noise[name]

    def same_outputs(self, call: Call) -> bool:
        """Whether another evaluation has the values of the first."""
        found = arrays_of(call.outputs)
        return found.keys() == self.outputs.keys() and not any(
            difference(found[name], value, self.eps**0.5 * np.max(np.abs(value), initial=0.0))
            for name, value in self.outputs.items()
        )

    def _rounded(self) -> float:
        """Of float32 where all that was answered fits into it: it is computed there, out of the graph's sight."""
        return is_rounded_to_float32((*self.outputs.values(), *self.gradients.values()))

    def _nothing(self) -> dict[str, float]:
        sizes = {name: float(np.max(np.abs(value), initial=0.0)) or 1.0 for name, value in self.point.items()}
        with np.errstate(all="ignore"):
            whole = sum(float(np.sum(np.abs(g * self.point[name]))) for name, g in self.gradients.items())
        whole = whole if np.isfinite(whole) else 0.0
        return {name: NOTHING * self.eps * whole / size for name, size in sizes.items()}


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


def shortly(error: Exception) -> str:
    """What was raised, without PyTorch's advice on how to look for it."""
    return HINT.sub("", raised(error))


def wide(tensor: torch.Tensor) -> Array:
    """In float64, where differences do not round."""
    return array_of(tensor).astype(np.float64)


def arrays_of(tensors: Mapping[str, torch.Tensor]) -> dict[str, Array]:
    """Each in float64."""
    return {name: wide(tensor) for name, tensor in tensors.items()}
