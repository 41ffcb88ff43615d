# pyright: reportUnknownMemberType=false
# (PyTorch's annotations are partial.)
"""A PyTorch function at its arguments, as a loss and a gradient of NumPy arrays by name."""

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch

from gradcheck.adapters.leaves import combine, draw, name_of
from gradcheck.adapters.pytorch_state import module_of, random_state, seed_all
from gradcheck.errors import CallFailed, DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called
from gradcheck.foundation.pytree import flatten

Tensors: TypeAlias = dict[str, torch.Tensor]

NUMPY = (torch.float64, torch.float32, torch.float16)  # NumPy has no bfloat16


class Call(NamedTuple):
    """One evaluation: the leaves that gradients are wanted of, and the outputs that have one."""

    leaves: Tensors
    outputs: Tensors


class TorchFunction:
    """Evaluated from the same random state and with the same buffers every time.

    It is ``wide`` where it is judged in float64, which not all of it is and all of it follows. Outputs ``without_gradient``
    are marked as not differentiable where others are not; by the cotangents these are reduced to one number.
    """

    def __init__(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], seed: int) -> None:
        self.f, self.seed, self.name = f, seed, _name(f)
        self.hand_on = _as_it_is
        self.arguments = flatten({"args": args, "kwargs": kwargs})
        module = module_of(f)
        parameters = dict(module.named_parameters())
        state = {**parameters, **dict(module.named_buffers())}
        self.state = {name: (tensor, tensor.data.clone()) for name, tensor in state.items()}
        self.blocks = self._blocks(parameters)
        self.wide = False
        self.wide = any(tensor.dtype != torch.float64 for tensor in self.blocks.values()) and self._follows()
        outputs = self.call(self.point()).outputs
        differentiable = {name: output for name, output in outputs.items() if output.requires_grad}
        self.cotangents = draw(_arrays(differentiable or outputs), seed)
        self.without_gradient = outputs.keys() - self.cotangents
        self.random = self._draws()

    def point(self) -> dict[str, Array]:
        """Values of the blocks, in float64 where the function follows."""
        arrays = _arrays(self.blocks)
        return {name: array.astype(np.float64) for name, array in arrays.items()} if self.wide else arrays

    def loss(self, arrays: Mapping[str, Array]) -> float:
        """The outputs reduced by the cotangents."""
        try:
            outputs = self.call(arrays).outputs
            return combine({name: array_of(outputs[name]) for name in self.cotangents}, self.cotangents)
        except CallFailed as failed:
            # Outside a domain PyTorch raises this where Python has ValueError.
            if isinstance(failed.__cause__, RuntimeError):
                raise CallFailed(str(failed)) from ValueError(str(failed.__cause__))
            raise

    def gradient(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """PyTorch's; zero where it has none."""
        leaves, gradients = self._gradients(arrays)
        return _arrays({name: torch.zeros_like(leaves[name]) if g is None else g for name, g in gradients.items()})

    def unused(self) -> frozenset[str]:
        """Blocks that PyTorch has no gradient for."""
        return frozenset(name for name, gradient in self._gradients(self.point())[1].items() if gradient is None)

    def alone(self, output: str) -> "TorchFunction":
        """The same function of which one output is used and no other."""
        other = copy(self)
        other.cotangents = {output: self.cotangents[output]}
        return other

    def handing(self, hand_on: Callable[[str, torch.Tensor], torch.Tensor]) -> "TorchFunction":
        """The same function, which is handed what is made of each argument; a parameter can be changed in place only."""
        other = copy(self)
        other.hand_on = hand_on
        return other

    def _blocks(self, parameters: Mapping[str, torch.Tensor]) -> Tensors:
        found = {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}
        leaves = zip(self.arguments.names, self.arguments.leaves, strict=True)
        found |= {name: leaf for name, leaf in leaves if isinstance(leaf, torch.Tensor) and leaf.requires_grad}
        if not found:
            raise DataError(f"{self.name}: nothing to check: no parameter and no tensor argument requires a gradient")
        for name, tensor in found.items():
            if tensor.is_complex() or tensor.layout != torch.strided:
                kind = tensor.dtype if tensor.is_complex() else tensor.layout
                raise DataError(f"{self.name}: {name} is {kind}: only dense real tensors are supported")
        return {name: tensor.detach().clone() for name, tensor in found.items()}

    def _follows(self) -> bool:
        """Whether outputs and gradients are float64 where all that goes in is."""
        widened = copy(self)
        widened.wide = True
        try:
            call = widened.call(widened.point())
            gradients = widened._backward(call, draw(_arrays(call.outputs), self.seed))
        except (RuntimeError, TypeError, ValueError, CallFailed):
            return False
        tensors = (*call.outputs.values(), *(gradient for gradient in gradients.values() if gradient is not None))
        return all(tensor.dtype in (torch.float64, torch.complex128) for tensor in tensors)

    def _gradients(self, arrays: Mapping[str, Array]) -> tuple[Tensors, dict[str, torch.Tensor | None]]:
        """The leaves, and PyTorch's gradient of each."""
        call = self.call(arrays)
        return call.leaves, called(self._backward, f"the backward pass of {self.name}", call, self.cotangents)

    def _draws(self) -> bool:
        seed_all(self.seed)
        before = random_state()
        self.call(self.point(), seeded=False)
        return random_state() != before

    def call(self, arrays: Mapping[str, Array], seeded: bool = True) -> Call:
        """One evaluation where the blocks have these values."""
        leaves: Tensors = {}
        for name, (tensor, value) in self.state.items():
            tensor.data = self._fresh(name, value, arrays)
            if name in arrays:
                leaves[name] = tensor
                self.hand_on(name, tensor)
        pairs = zip(self.arguments.names, self.arguments.leaves, strict=True)
        given = self.arguments.rebuild([self._argument(*pair, arrays, leaves) for pair in pairs])
        if seeded:
            seed_all(self.seed)
        output = called(self.f, self.name, *given["args"], **given["kwargs"])
        return Call({name: leaves[name] for name in arrays}, floating_tensors(output, self.name))

    def _argument(self, name: str, leaf: Any, arrays: Mapping[str, Array], leaves: Tensors) -> Any:
        if not isinstance(leaf, torch.Tensor):
            return leaf
        tensor = self._fresh(name, leaf.detach(), arrays)
        if name in arrays:
            leaves[name] = tensor.requires_grad_()
            given = self.hand_on(name, leaves[name])
            # A view: what works in place may not work on a leaf.
            return given.view_as(given)
        return self.hand_on(name, tensor)

    def _fresh(self, name: str, value: torch.Tensor, arrays: Mapping[str, Array]) -> torch.Tensor:
        """A tensor of the given values where there are some, on the device of the old one."""
        widened = self.wide and value.is_floating_point()
        dtype = torch.float64 if widened else value.dtype
        if name not in arrays:
            return value.detach().clone().to(dtype)
        # With the strides of the old one, on which a backward pass may depend.
        return torch.empty_like(value, dtype=dtype).copy_(tensor_of(arrays[name], value.shape))

    def _backward(self, call: Call, cotangents: Mapping[str, Array]) -> dict[str, torch.Tensor | None]:
        outputs = {name: call.outputs[name] for name in cotangents if call.outputs[name].requires_grad}
        if not outputs:
            return dict.fromkeys(call.leaves)
        typed = [
            tensor_of(cotangents[name], output.shape).to(dtype=output.dtype, device=output.device)
            for name, output in outputs.items()
        ]
        found = torch.autograd.grad(list(outputs.values()), list(call.leaves.values()), typed, allow_unused=True)
        return dict(zip(call.leaves, found, strict=True))


def array_of(tensor: torch.Tensor) -> Array:
    """A copy; bfloat16 in float32."""
    plain = tensor.to_dense() if tensor.layout != torch.strided else tensor
    return (plain if plain.dtype in NUMPY else plain.to(torch.float32)).numpy(force=True).copy()


def tensor_of(array: Array, shape: torch.Size) -> torch.Tensor:
    """Contiguous, which ``torch.tensor`` of an empty array is not."""
    return torch.tensor(np.ascontiguousarray(array)).reshape(shape).clone(memory_format=torch.contiguous_format)


def floating_tensors(output: Any, name: str) -> Tensors:
    """Those of a function's output, by path; complex ones as pairs of real ones."""
    flat = flatten(output, "output")
    found: Tensors = {}
    for path, leaf in zip(flat.names, flat.leaves, strict=True):
        if isinstance(leaf, torch.Tensor) and (leaf.is_floating_point() or leaf.is_complex()):
            dense = leaf if leaf.layout == torch.strided else leaf.to_dense()
            found[path] = torch.view_as_real(dense.resolve_conj()) if dense.is_complex() else dense
    if not found:
        kind = "None" if output is None else f"a value of type {type(output).__name__}"
        raise DataError(f"{name} returned no floating tensor, but {kind}")
    return found


def _as_it_is(name: str, tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def _arrays(tensors: Tensors) -> dict[str, Array]:
    return {name: array_of(tensor) for name, tensor in tensors.items()}


def _name(f: Any) -> str:
    if isinstance(f, torch.nn.Module):
        return type(f).__name__
    owner = getattr(f, "__self__", None)
    return f"{owner.__name__}.{name_of(f)}" if isinstance(owner, type) else name_of(f)
