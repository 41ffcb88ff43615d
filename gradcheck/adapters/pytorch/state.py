# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
# (What a module holds is public in no other way; PyTorch's annotations are partial.)
"""What a check moves and puts back: all that a module holds, what belongs to its tensors, and PyTorch's modes."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch._C import _functorch  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]

from gradcheck.errors import DataError
from gradcheck.foundation.state.interrupts import Kept
from gradcheck.foundation.state.turns import Turns

TURNS = Turns()  # with modules and tensors, which are moved in place
HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")  # of a tensor, where it has some


def module_of(f: Callable[..., Any]) -> torch.nn.Module:
    """The module itself, or that of a method; an empty one of a function."""
    owner = getattr(f, "__self__", f)
    return owner if isinstance(owner, torch.nn.Module) else torch.nn.Module()


def parts_of(modules: Iterable[torch.nn.Module]) -> list[torch.nn.Module]:
    """They and all modules in them, each once."""
    return list(dict.fromkeys(part for module in modules for part in module.modules()))


def is_movable(tensor: torch.Tensor) -> bool:
    """Whether it can be moved in place."""
    return tensor.is_leaf and not tensor.is_inference()


def refuse_within_transformations() -> None:
    """They let no tensor be moved.

    Raises
    ------
    DataError
        With what to do.
    """
    if _functorch.peek_interpreter_stack() is not None:
        raise DataError("called within torch.func (vmap, grad, jvp, ...), where no tensor can be moved: call it outside")


class Own(NamedTuple):
    """What belongs to a tensor beside its class."""

    tensor: torch.Tensor
    data: torch.Tensor
    gradient: torch.Tensor | None
    requires_grad: bool
    hooks: tuple[Any, ...]

    @classmethod
    def of(cls, tensor: torch.Tensor) -> "Own":
        """As it is."""
        hooks = tuple(getattr(tensor, name, None) for name in HOOKS)
        return cls(tensor, tensor.data, tensor.grad, tensor.requires_grad, hooks)

    def put_back(self) -> None:
        """As it was."""
        tensor = self.tensor
        tensor.data, tensor.grad = self.data, self.gradient
        if tensor.requires_grad != self.requires_grad:
            tensor.requires_grad_(self.requires_grad)
        for name, hooks in zip(HOOKS, self.hooks, strict=True):
            if getattr(tensor, name, None) is not hooks:
                setattr(tensor, name, hooks)


class Lent(Kept[None]):
    """Tensors, their gradients, and all that modules hold are afterwards what they were before.

    A gradient is a copy meanwhile: a function that goes backward itself adds to it in place.
    """

    def __init__(self, modules: Iterable[torch.nn.Module], tensors: Iterable[torch.Tensor]) -> None:
        self._parts, self._tensors = parts_of(modules), [each for each in tensors if is_movable(each)]
        self._contents: list[tuple[Any, Any]] = []
        self._own: list[Own] = []

    def take(self) -> None:
        """Nothing is moved yet."""
        held: list[Any] = [value for part in self._parts for value in (vars(part), *vars(part).values())]
        hooks: list[Any] = [getattr(tensor, name, None) for tensor in self._tensors for name in HOOKS]
        self._contents = [(each, each.copy()) for each in (*held, *hooks) if type(each) in _PUT_BACK]
        self._own = [Own.of(tensor) for tensor in self._tensors]
        for tensor in self._tensors:
            if tensor.grad is not None:
                tensor.grad = tensor.grad.clone()

    def put_back(self) -> None:
        """Of containers only those that have changed: others may be looking at them."""
        for container, content in self._contents:
            if not _is_same(container, content):
                _PUT_BACK[type(container)](container, content)
        for own in self._own:
            own.put_back()


def _is_same(container: Any, content: Any) -> bool:
    """Whether it holds the very same things, in the same order."""
    if len(container) != len(content):
        return False
    if hasattr(container, "items"):
        return [*container] == [*content] and all(container[name] is content[name] for name in content)
    return all(one is other for one, other in zip(container, content, strict=True))


def _refill(container: Any, content: Any) -> None:
    container.clear()
    container.update(content)


def _relist(container: Any, content: Any) -> None:
    container[:] = content


_PUT_BACK: dict[type, Callable[[Any, Any], None]] = {dict: _refill, OrderedDict: _refill, set: _refill, list: _relist}


class Modes(Kept[None]):
    """Gradients are recorded, whatever is in force around the check; and that is in force again afterwards."""

    def __init__(self) -> None:
        self._grad = torch.is_grad_enabled()
        self._normal = torch.inference_mode(False) if torch.is_inference_mode_enabled() else None

    def take(self) -> None:
        """Recorded."""
        if self._normal is not None:
            self._normal.__enter__()
        torch.set_grad_enabled(True)

    def put_back(self) -> None:
        """As it was."""
        if self._normal is not None:
            self._normal.__exit__(None, None, None)
        torch.set_grad_enabled(self._grad)
