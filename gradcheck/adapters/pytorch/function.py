# pyright: reportUnknownMemberType=false
# (PyTorch's annotations are partial.)
"""A PyTorch function at its arguments, as a loss and a gradient of NumPy arrays by name."""

from collections.abc import Callable, Mapping
from copy import copy
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from gradcheck.adapters.leaves import combine, draw
from gradcheck.adapters.leaves import name_of as plain_name
from gradcheck.adapters.pytorch.generators import Draws
from gradcheck.adapters.pytorch.holdings import MANY, Holdings, Tensors, left_out, reached, size
from gradcheck.adapters.pytorch.numbers import DTYPES, WIDE, array_of, arrays_of, copied, floating_tensors, tensor_of
from gradcheck.adapters.pytorch.state import is_movable
from gradcheck.candidates.precision import AS_GIVEN, one_of
from gradcheck.errors import CallFailed, DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called
from gradcheck.foundation.objects.pytree import Flat


class Call(NamedTuple):
    """One evaluation: the leaves that gradients are wanted of, and the outputs that have one."""

    leaves: Tensors
    outputs: Tensors


class TorchFunction:
    """Evaluated from the same random state and with the same buffers every time.

    A leaf that requires a gradient is itself moved, as PyTorch's own checker does it: the function may rely on its class, on
    its hooks, and on a closure or a module holding the same one. ``replaced`` are arguments that are no leaves, and all of
    them where a function works in place, which it may not on leaves. The caller puts back all that is moved.

    Attributes
    ----------
    given : dict of str to tensor
        The arguments as they were before anything was moved.
    blocks : dict of str to tensor
        What the gradient is wanted of.
    cotangents : dict of str to array
        They reduce the outputs to one number. Outputs ``without_gradient`` are marked as not differentiable where others are
        not.
    dtype : dtype, optional
        That floating tensors are given in; without one as they are.
    draws : Draws
        Of random numbers.
    idle : frozenset of str, optional
        Blocks that PyTorch has no gradient for, once one was asked for.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        arguments: Flat,
        held: Holdings,
        draws: Draws,
        most: int = MANY,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.f, self.draws, self.name, self.arguments = f, draws, name_of(f), arguments
        self.seed = draws.seed
        self.dtype = dtype
        self.idle: frozenset[str] | None = None
        self.hand_on = _as_it_is
        moved = {**held.wanted, **held.beside, **held.constants}
        self.state: dict[str, tuple[torch.Tensor, torch.Tensor]] = {
            name: (tensor, tensor.data) for name, tensor in moved.items() if is_movable(tensor)
        }
        own = list(zip(arguments.names, arguments.leaves, strict=True))
        tensors = {name: leaf for name, leaf in own if isinstance(leaf, torch.Tensor) and leaf.requires_grad}
        self.given = {name: leaf.detach() for name, leaf in own if isinstance(leaf, torch.Tensor)}
        self.replaced = {name: leaf for name, leaf in tensors.items() if not is_movable(leaf)}
        for name, tensor in held.wanted.items():
            self._refuse(name, tensor)
        computed = [
            tensor for tensor in (*self.replaced.values(), *held.beside.values(), *held.left.values()) if not tensor.is_leaf
        ]
        first = self._first({name: leaf for name, leaf in tensors.items() if is_movable(leaf)})
        stand_ins = {id(first.leaves[name]) for name in self.replaced}
        ends = [leaf for leaf in reached(first.outputs.values(), computed) if id(leaf) not in stand_ins]
        self.blocks = self._wanted(held, ends, most)
        self.unchecked = {name: "no gradient reaches it" for name in held.beside if name not in self.blocks}
        self.unchecked |= left_out(held, ends, self.state)

    def settle(self, dtype: str | None) -> None:
        """Find out how it is to be called; ``dtype`` is as `gradcheck.check` takes it."""
        self.dtype = self._dtype(dtype)
        try:
            outputs = self.call(self.point()).outputs
        except CallFailed as failed:
            raise CallFailed(f"{failed} (dtype={dtype!r})") if dtype else failed from failed.__cause__
        differentiable = {name: output for name, output in outputs.items() if output.requires_grad}
        self.cotangents = draw(arrays_of(differentiable or outputs), self.seed)
        self.without_gradient = outputs.keys() - self.cotangents

    @property
    def same(self) -> dict[str, str]:
        """Arguments that are a tensor which has another name already, and that name."""
        names = {id(tensor): name for name, (tensor, _) in reversed(self.state.items()) if tensor.requires_grad}
        pairs = zip(self.arguments.names, self.arguments.leaves, strict=True)
        return {name: names[id(leaf)] for name, leaf in pairs if names.get(id(leaf), name) != name}

    @property
    def hooked(self) -> list[str]:
        """Blocks with hooks that only ``backward()`` runs, and no question of ours."""
        moved = {name: tensor for name, (tensor, _) in self.state.items() if name in self.blocks}
        return [name for name, tensor in moved.items() if getattr(tensor, "_post_accumulate_grad_hooks", None)]

    @property
    def random(self) -> bool:
        """Whether it draws random numbers."""
        return bool(self.draws.drawn)

    @property
    def wide(self) -> bool:
        """Whether it is judged in float64, which not all of it is and all of it follows."""
        return self.dtype is WIDE and any(value.dtype != WIDE for value in self.blocks.values())

    def point(self) -> dict[str, Array]:
        """Values of the blocks, as numbers of float64."""
        values = {name: value if self.dtype is None else value.to(self.dtype) for name, value in self.blocks.items()}
        return {name: array.astype(np.float64) for name, array in arrays_of(values).items()}

    def loss(self, arrays: Mapping[str, Array]) -> float:
        """The outputs reduced by the cotangents."""
        outputs = self.call(arrays).outputs
        return combine({name: array_of(outputs[name]) for name in self.cotangents}, self.cotangents)

    def gradient(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """PyTorch's; zero where it has none."""
        leaves, gradients = self._gradients(arrays)
        if self.idle is None:
            self.idle = frozenset(name for name, gradient in gradients.items() if gradient is None)
        return arrays_of({name: torch.zeros_like(leaves[name]) if g is None else g for name, g in gradients.items()})

    def alone(self, output: str) -> "TorchFunction":
        """The same function of which one output is used and no other."""
        other = copy(self)
        other.cotangents = {output: self.cotangents[output]}
        return other

    def handing(self, hand_on: Callable[[str, torch.Tensor], torch.Tensor]) -> "TorchFunction":
        """The same function, which is handed what is made of each argument; others are changed in place."""
        other = copy(self)
        other.hand_on = hand_on
        return other

    def in_dtype(self, dtype: torch.dtype | None) -> "TorchFunction":
        """The same function of tensors of another dtype; of those that were given where it is None."""
        other = copy(self)
        other.dtype = dtype
        return other

    def call(self, arrays: Mapping[str, Array]) -> Call:
        """One evaluation where the blocks have these values."""
        leaves, outputs = self._evaluated(arrays)
        return Call({name: leaves[name] for name in arrays}, outputs)

    def _evaluated(self, arrays: Mapping[str, Array], first: bool = False) -> Call:
        """The same, with all that is moved; what is not named has its own values."""
        leaves: Tensors = {}
        for name, (tensor, value) in self.state.items():
            tensor.data = self._fresh(name, value, arrays)
            leaves[name] = tensor
            if name not in self.arguments.names:
                self.hand_on(name, tensor)
        pairs = zip(self.arguments.names, self.arguments.leaves, strict=True)
        given = self.arguments.rebuild([self._argument(*pair, arrays, leaves) for pair in pairs])
        with self.draws.again(first):
            output = called(self.f, self.name, *given["args"], **given["kwargs"])
        return Call(leaves, floating_tensors(output, self.name))

    def _first(self, arguments: Tensors) -> Call:
        """A first evaluation: in the dtype asked for, else as given; on the leaves, else on copies: it may work in place."""
        try:
            return self._evaluated({}, first=True)
        except CallFailed:
            if self.dtype is not None:
                self.dtype = None
                return self._first(arguments)
            if not arguments:
                raise
            lent, before = self.state, self.replaced
            self.state = {name: one for name, one in lent.items() if name not in arguments}
            self.replaced = before | arguments
            try:
                return self._evaluated({}, first=True)
            except CallFailed:
                self.state, self.replaced = lent, before
            raise

    def _wanted(self, held: Holdings, leaves: list[torch.Tensor], most: int) -> Tensors:
        """What was handed in, and of what closures bring along that which the graph reaches."""
        found, names = dict(held.wanted), {id(tensor): name for name, tensor in held.beside.items()}
        mine = {id(tensor) for tensor in found.values()}
        new = [leaf for leaf in leaves if id(leaf) not in mine]
        for leaf in new if size(new) <= most else ():
            name = names.get(id(leaf), f"captured.{len(found)}")
            found[name] = leaf
            self.state.setdefault(name, (leaf, leaf.data))
        if not found:
            raise DataError(f"{self.name}: nothing to check: no parameter and no tensor argument requires a gradient")
        for name, tensor in found.items():
            self._refuse(name, tensor)
        return {name: self.state[name][1] if name in self.state else tensor.detach() for name, tensor in found.items()}

    def _refuse(self, name: str, tensor: torch.Tensor) -> None:
        """What has no gradient that could be checked; an argument that is an inference tensor is handed on as a copy."""
        if tensor.is_complex() or tensor.layout != torch.strided:
            kind = tensor.dtype if tensor.is_complex() else tensor.layout
            raise DataError(f"{self.name}: {name} is {kind}: only dense real tensors are supported")
        if tensor.is_meta:
            raise DataError(f"{self.name}: {name} is on the meta device, where a tensor has no numbers")
        if tensor.is_inference() and name not in self.arguments.names:
            raise DataError(
                f"{self.name}: {name} was made under torch.inference_mode(), which allows no gradient: make it outside"
            )

    def _dtype(self, dtype: str | None) -> torch.dtype | None:
        if dtype == AS_GIVEN or (dtype is None and all(value.dtype == WIDE for value in self.blocks.values())):
            return None
        if dtype is None:
            return WIDE if self._follows() else None
        return dtype_of(dtype)

    def _follows(self) -> bool:
        """Whether outputs and gradients are float64 where all that goes in is."""
        widened = self.in_dtype(WIDE)
        try:
            call = widened.call(widened.point())
            gradients = widened.backward(call, draw(arrays_of(call.outputs), self.seed))
        except (RuntimeError, TypeError, ValueError, CallFailed):
            return False
        tensors = (*call.outputs.values(), *(gradient for gradient in gradients.values() if gradient is not None))
        return all(tensor.dtype in (torch.float64, torch.complex128) for tensor in tensors)

    def _gradients(self, arrays: Mapping[str, Array]) -> tuple[Tensors, dict[str, torch.Tensor | None]]:
        """The leaves, and PyTorch's gradient of each."""
        with self.draws.again(first=self.idle is None):
            call = self.call(arrays)
            return call.leaves, called(self.backward, f"the backward pass of {self.name}", call, self.cotangents)

    def _argument(self, name: str, leaf: Any, arrays: Mapping[str, Array], leaves: Tensors) -> Any:
        if not isinstance(leaf, torch.Tensor):
            return leaf
        if any(leaf is tensor for tensor, _ in self.state.values()):
            return self.hand_on(name, leaf)
        tensor = self._fresh(name, self.given[name], arrays)
        if name not in self.replaced:
            return self.hand_on(name, tensor)
        leaves[name] = tensor.requires_grad_()
        given = self.hand_on(name, leaves[name])
        return given.clone()  # what works in place may not work on a leaf, nor on a view of one

    def _fresh(self, name: str, value: torch.Tensor, arrays: Mapping[str, Array]) -> torch.Tensor:
        """A tensor of the given values where there are some, on the device of the old one."""
        dtype = self.dtype if self.dtype is not None and value.is_floating_point() else value.dtype
        if name not in arrays:
            return copied(value, dtype)
        return copied(value, dtype).copy_(tensor_of(arrays[name], value.shape))

    def backward(self, call: Call, cotangents: Mapping[str, Array]) -> dict[str, torch.Tensor | None]:
        """PyTorch's gradients of an evaluation; None where it has none."""
        outputs = {name: call.outputs[name] for name in cotangents if call.outputs[name].requires_grad}
        if not outputs:
            return dict.fromkeys(call.leaves)
        typed = [
            tensor_of(cotangents[name], output.shape).to(dtype=output.dtype, device=output.device)
            for name, output in outputs.items()
        ]
        found = torch.autograd.grad(list(outputs.values()), list(call.leaves.values()), typed, allow_unused=True)
        return dict(zip(call.leaves, found, strict=True))


def _as_it_is(name: str, tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def dtype_of(dtype: str | None) -> torch.dtype | None:
    """Of this name; none where it is as given.

    Raises
    ------
    DescriptionError
        Where none is called so.
    """
    return None if dtype in (None, AS_GIVEN) else DTYPES[one_of(dtype, list(DTYPES))]


def name_of(f: Any) -> str:
    """What a function is called in a report: a class before its method, a module by its class."""
    if isinstance(f, partial):
        return name_of(f.func)
    if isinstance(f, torch.nn.Module):
        return type(f).__name__
    owner = getattr(f, "__self__", None)
    return f"{owner.__name__}.{plain_name(f)}" if isinstance(owner, type) else plain_name(f)
