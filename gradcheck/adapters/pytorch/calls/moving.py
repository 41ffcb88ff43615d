# pyright: reportUnknownMemberType=false
# (PyTorch's annotations are partial.)
"""The tensors that a PyTorch function is evaluated with: which are moved, and how arguments are put together of them."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from gradcheck.adapters.pytorch.holdings import Holdings, Tensors
from gradcheck.adapters.pytorch.numbers import copied, retyped, tensor_like
from gradcheck.adapters.pytorch.state import is_movable
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.objects.pytree import Flat


class Moving:
    """Tensors that are put where they are wanted before each evaluation; who lends them puts them back.

    A leaf that requires a gradient is itself moved, as PyTorch's own checker does it: a function may rely on its class, on
    its hooks, and on a closure or a module holding the same one.

    Attributes
    ----------
    arguments : Flat
        As they were handed in.
    given : dict of str to tensor
        The arguments as they were before anything was moved.
    state : dict of str to (tensor, tensor)
        What is moved, and its values before.
    replaced : dict of str to tensor
        Arguments that are no leaves, and all of them where a function works in place, which it may not on leaves.
    dtype : dtype, optional
        That floating tensors are given in; without one as they are.
    hand_on : callable
        Makes what is handed on of each tensor, by name.
    """

    def __init__(self, arguments: Flat, held: Holdings, dtype: torch.dtype | None) -> None:
        self.arguments, self.dtype, self.hand_on = arguments, dtype, as_it_is
        moved = {**held.wanted, **held.beside, **held.constants}
        self.state: dict[str, tuple[torch.Tensor, torch.Tensor]] = {
            name: (tensor, tensor.data) for name, tensor in moved.items() if is_movable(tensor)
        }
        own = list(zip(arguments.names, arguments.leaves, strict=True))
        self.given = {name: leaf.detach() for name, leaf in own if isinstance(leaf, torch.Tensor)}
        self.wanted = {name: leaf for name, leaf in own if isinstance(leaf, torch.Tensor) and leaf.requires_grad}
        self.replaced = {name: leaf for name, leaf in self.wanted.items() if not is_movable(leaf)}

    def placed(self, arrays: Mapping[str, Array]) -> tuple[Tensors, Any]:
        """All leaves, of which those that are named have these values and the others their own; and the arguments."""
        leaves: Tensors = {}
        for name, (tensor, value) in self.state.items():
            tensor.data = self._fresh(name, value, arrays)
            leaves[name] = tensor
            if name not in self.arguments.names:
                self.hand_on(name, tensor)
        pairs = zip(self.arguments.names, self.arguments.leaves, strict=True)
        return leaves, self.arguments.rebuild([self._argument(*pair, arrays, leaves) for pair in pairs])

    def replace_arguments(self) -> Callable[[], None] | None:
        """Copies stand in for all that is movable among them; what undoes that, or None where nothing is."""
        movable = {name: leaf for name, leaf in self.wanted.items() if name not in self.replaced}
        if not movable:
            return None
        before = self.state, self.replaced

        def undo() -> None:
            self.state, self.replaced = before

        self.state = {name: one for name, one in self.state.items() if name not in movable}
        self.replaced = self.replaced | movable
        return undo

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
        own = copied(value, retyped(value.dtype, self.dtype))
        return own.copy_(tensor_like(arrays[name], own)) if name in arrays else own


def as_it_is(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Handed on itself."""
    return tensor
