# pyright: reportUnknownMemberType=false
# (PyTorch's annotations are partial.)
"""Which tensors a PyTorch function's gradient is wanted of, wherever they are: arguments, modules, objects, closures.

A tensor that requires a gradient is found in what is handed in, however deeply; one that a closure brings along is found
by the graph of an evaluation, which ends in it. What a closure holds and the graph does not reach has no gradient to check,
and is named.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import count
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias, cast

import torch
from torch.nn.parameter import is_lazy

from gradcheck.adapters.pytorch.state import module_of
from gradcheck.candidates.answer import described
from gradcheck.errors import DataError
from gradcheck.foundation.objects.captured import captured, within
from gradcheck.foundation.objects.pytree import Flat, flatten

Tensors: TypeAlias = dict[str, torch.Tensor]


class Holdings(NamedTuple):
    """Tensors by name, each once, and the modules that hold some of them.

    Attributes
    ----------
    wanted : dict of str to tensor
        That require a gradient and were handed in: as arguments, in them, or as parameters.
    beside : dict of str to tensor
        That require one, and which a closure brings along.
    constants : dict of str to tensor
        That require none and are no arguments: buffers, and what objects and closures hold.
    modules : tuple of Module
    left : dict of str to tensor
        What a closure brings along and is more than may be moved unasked.
    """

    wanted: Tensors
    beside: Tensors
    constants: Tensors
    modules: tuple[torch.nn.Module, ...]
    left: Mapping[str, torch.Tensor] = MappingProxyType({})

    def tensors(self) -> tuple[torch.Tensor, ...]:
        """All that may be moved."""
        return (*self.wanted.values(), *self.beside.values(), *self.constants.values())

    def extended(self, kind: str, tensors: Mapping[str, torch.Tensor], modules: Iterable[torch.nn.Module]) -> "Holdings":
        """With more of one kind; what requires no gradient is a constant."""
        seen = set(map(id, self.tensors()))
        wanted: Tensors = {}
        constants: Tensors = {}
        taken = {*self.wanted, *self.beside, *self.constants}
        for name, tensor in tensors.items():
            if id(tensor) not in seen:
                (wanted if tensor.requires_grad else constants)[_free(name, taken)] = tensor
            seen.add(id(tensor))
        more = {kind: getattr(self, kind) | wanted, "constants": self.constants | constants}
        return self._replace(**more, modules=(*self.modules, *modules))


def _free(name: str, taken: Collection[str]) -> str:
    """A name that nothing has: the same, or the next with a number behind it."""
    others = (f"{name} ({i})" for i in count(2))
    return name if name not in taken else next(other for other in others if other not in taken)


MANY = 10**6  # numbers that a closure may bring along and have checked: more are a model, which ``module=`` asks about


def holdings(
    functions: Iterable[Callable[..., Any]],
    arguments: Flat,
    modules: Mapping[str, torch.nn.Module],
    name: str,
    most: int = MANY,
) -> Holdings:
    """All that functions of the same arguments are known to hold before they are called.

    Of what closures bring along ``most`` so many numbers, where anything else is there to be checked.

    Raises
    ------
    DataError
        Where an argument can be read only once.
    """
    found = Holdings({}, {}, {}, ())
    for path, module in modules.items():
        found = found.extended("wanted", _named(_of_module(module), path), [module])
    for path, leaf in zip(arguments.names, arguments.leaves, strict=True):
        if hasattr(leaf, "__next__"):
            raise DataError(f"{name}: {path} is a {type(leaf).__name__}, which can be read only once: hand in a list")
        if not isinstance(leaf, torch.Tensor) or leaf.requires_grad:
            found = found.extended("wanted", *_in_object(leaf, path))
    handed = found
    for f in (f for f in functions if not isinstance(f, torch.nn.Module)):
        for variable, value in captured(f).items():
            found = found.extended("beside", *_in_object(value, variable))
    brought = {**found.beside, **{name: one for name, one in found.constants.items() if name not in handed.constants}}
    if not handed.wanted or (size(found.beside.values()) <= most and size(brought.values()) <= MANY):
        return found
    return handed._replace(left=brought)


def modules_of(f: Callable[..., Any], asked: Any) -> dict[str, torch.nn.Module]:
    """That of a function, and those that are asked about in whatever nesting, by what comes before their parameters' names.

    Raises
    ------
    DataError
        Where something else is asked about.
    """
    found = {"": module_of(f)}
    flat = flatten(asked, "", what="module", none_is_leaf=False)
    for path, module in zip(flat.names, flat.leaves, strict=True):
        if not isinstance(module, torch.nn.Module):
            raise DataError(f"module: expected a Module, or several in a list or dict, got {described(module)}{_at(path)}")
        own = any(True for _ in found[""].parameters())
        found[path if path or not own else "module"] = module
    return found


def _at(path: str) -> str:
    return f" at {path}" if path else ""


def _named(tensors: Tensors, path: str) -> Tensors:
    return {f"{path}.{name}": tensor for name, tensor in tensors.items()} if path else tensors


def refuse(whose: str, name: str, tensor: torch.Tensor, is_argument: bool) -> None:
    """What has no gradient that could be checked; an argument that is an inference tensor is handed on as a copy.

    Raises
    ------
    DataError
        With what it is.
    """
    if tensor.layout != torch.strided:
        raise DataError(f"{whose}: {name} is {tensor.layout}: only dense tensors are supported")
    if hasattr(tensor, "to_local"):
        kind = type(tensor).__name__
        raise DataError(f"{whose}: {name} is a {kind}, one process's part: hand in the module before it is sharded")
    if tensor.is_meta:
        raise DataError(f"{whose}: {name} is on the meta device, where a tensor has no numbers")
    if tensor.is_inference() and not is_argument:
        raise DataError(f"{whose}: {name} was made under torch.inference_mode(), which allows no gradient: make it outside")


def size(tensors: Iterable[torch.Tensor]) -> int:
    """How many numbers they have together."""
    return sum(tensor.numel() for tensor in tensors)


def _in_object(value: Any, path: str) -> tuple[Tensors, list[torch.nn.Module]]:
    """A tensor; or those that an object holds, those of a module under the names that it gives them."""
    tensors: Tensors = {}
    modules: list[torch.nn.Module] = []
    for where, part in within(value, path, _is_known):
        if isinstance(part, torch.nn.Module):
            modules.append(part)
            tensors |= _named(_of_module(part), where)
        else:
            tensors[where] = part
    return tensors, modules


def _is_known(part: Any) -> bool:
    return isinstance(part, torch.Tensor | torch.nn.Module)


def _of_module(module: torch.nn.Module) -> Tensors:
    """Parameters, buffers, and tensors that are attributes and neither: a function may change any of them in place."""
    found = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    for path, part in cast("Iterable[tuple[str, torch.nn.Module]]", module.named_modules()):
        own = [(name, value) for name, value in vars(part).items() if isinstance(value, torch.Tensor) and value.is_leaf]
        found |= {f"{path}.{name}" if path else name: value for name, value in own}
    for name, tensor in found.items():
        if is_lazy(tensor):
            raise DataError(f"{type(module).__name__}: {name} has no shape yet: call the module once before")
    return found


def reached(outputs: Iterable[torch.Tensor], cut: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    """The leaves that the graph of some outputs ends in, not looking beyond the tensors at which it is cut."""
    left: list[Any] = [output.grad_fn for output in outputs]
    seen: set[Any] = {None, *(tensor.grad_fn for tensor in cut)}
    found: list[torch.Tensor] = []
    while left:
        node = left.pop()
        if node not in seen:
            seen.add(node)
            found += [node.variable] if hasattr(node, "variable") else []
            left += [following for following, _ in node.next_functions]
    return found


def left_out(held: Holdings, leaves: Iterable[torch.Tensor], moved: Mapping[str, Any]) -> dict[str, str]:
    """Of what a function brings along and nobody moves, though a gradient reaches it: by variable, and how much it is."""
    mine = {id(tensor) for tensor, _ in moved.values()}
    names = {id(tensor): name for name, tensor in held.left.items()}
    found: dict[str, list[torch.Tensor]] = {}
    for leaf in (leaf for leaf in leaves if id(leaf) not in mine):
        found.setdefault(names.get(id(leaf), "captured").split(".")[0], []).append(leaf)
    return {name: f"has {size(one):,} numbers (module= asks about a module)" for name, one in found.items()}
