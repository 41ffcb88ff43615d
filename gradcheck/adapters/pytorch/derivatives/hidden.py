# pyright: reportUnknownMemberType=false, reportPrivateUsage=false
# (PyTorch's annotations are partial, and its switch of gradients has no public name that a mode sees.)
"""What hides a second derivative: numbers that a first backward pass goes by and that carry no graph to the arguments.

They are seen in one evaluation: saved tensors that are neither arguments nor outputs, attributes of the context, and what
loses its graph in somebody's own backward function (``detach``, ``data``, ``item``, ``no_grad``). That they are the cause is
shown and not supposed: the claim is then the derivative of a function in which they are held fixed.
"""

from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import deepcopy
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.overrides import TorchFunctionMode

from gradcheck.adapters.leaves import combine
from gradcheck.adapters.pytorch.contract.graph import Node, class_of, nodes_of
from gradcheck.adapters.pytorch.derivatives.first import FirstDerivative, gradient_of
from gradcheck.adapters.pytorch.holdings import reached
from gradcheck.adapters.pytorch.numbers import array_of
from gradcheck.foundation.arrays import Array, dot
from gradcheck.foundation.objects.pytree import flatten
from gradcheck.foundation.wording import enumerated
from gradcheck.oracles.directions import own_sizes, signs

Key: TypeAlias = tuple[str, int, str]
"""A kind, the place in the order in which numbers are met, and an attribute's name."""


class Seen(NamedTuple):
    """A number, or several, and where they come from."""

    words: str
    value: Any


Held: TypeAlias = Mapping[Key, Seen]

NOTHING: Held = {}
DIRECTIONS = 2
# Of an error, what may be left of it where numbers are held fixed: differences here are good to far less, and a mistake
# beside that which hides would leave its own share.
LEFT = 0.02
ALONE = 8  # so many are held fixed one by one, to name the one that counts
NAMED = 3
NO_PATH = "no graph leads from the first derivative to it"


def hiding(derivative: FirstDerivative, wrong: Collection[str]) -> dict[str, str]:
    """Of wrong blocks those whose second derivative is hidden, and how."""
    if not wrong:
        return {}
    point, found = derivative.point(), dict[str, str]()
    unreached, claims = _unreached(derivative), derivative.gradient(point)
    _, seen = _evaluated(derivative, point, NOTHING)
    for name in wrong:
        what = ""
        with suppress(Exception):  # a function may go other ways where numbers of it are held: nothing is shown then
            what = _explaining(derivative, name, claims[name], seen)
        if name in unreached:
            found[name] = f"{NO_PATH}{', which goes by ' if what else ''}{what}"
        elif what:
            found[name] = f"it is the derivative with {what} held fixed"
    return found


def _unreached(derivative: FirstDerivative) -> set[str]:
    call = derivative.call(derivative.point())
    ends = {id(leaf) for leaf in reached(call.outputs.values(), ())}
    return {name for name, leaf in call.leaves.items() if id(leaf) not in ends}


def _explaining(derivative: FirstDerivative, name: str, claim: Array, seen: Held) -> str:
    """The numbers whose being held fixed makes the claim right, in words."""
    _, moved = _evaluated(derivative, _along(derivative, name, 0, _step(derivative)), NOTHING)
    changing = {key: one for key, one in seen.items() if key in moved and not _is_same(one.value, moved[key].value)}
    if not changing or not _fits(derivative, name, claim, changing):
        return ""
    for key, one in list(changing.items())[:ALONE] if len(changing) > 1 else ():
        if _fits(derivative, name, claim, {key: one}):
            return one.words
    words = list(dict.fromkeys(one.words for one in changing.values()))
    return enumerated([*words[:NAMED], *(["others"] if len(words) > NAMED else [])])


def _fits(derivative: FirstDerivative, name: str, claim: Array, held: Held) -> bool:
    for attempt in range(DIRECTIONS):
        claimed = dot(claim.astype(np.float64), _direction(derivative, name, attempt))
        true, fixed = (_slope(derivative, name, attempt, each) for each in (NOTHING, held))
        if not abs(claimed - fixed) <= LEFT * abs(claimed - true):
            return False
    return True


def _slope(derivative: FirstDerivative, name: str, attempt: int, held: Held) -> float:
    step = _step(derivative)
    after, before = (_evaluated(derivative, _along(derivative, name, attempt, h), held)[0] for h in (step, -step))
    return (after - before) / (2 * step)


def _step(derivative: FirstDerivative) -> float:
    """Relative, of a central difference: the fourth root of the coarsest spacing leaves half of the digits."""
    dtypes = {derivative.dtype or value.dtype for value in derivative.blocks.values()}
    return max(torch.finfo(dtype).eps for dtype in dtypes) ** 0.25


def _direction(derivative: FirstDerivative, name: str, attempt: int) -> Array:
    array = derivative.point()[name]
    return signs(name, array.shape, derivative.seed, attempt) * own_sizes(array)


def _along(derivative: FirstDerivative, name: str, attempt: int, step: float) -> dict[str, Array]:
    point = derivative.point()
    return {**point, name: point[name] + step * _direction(derivative, name, attempt)}


def _evaluated(derivative: FirstDerivative, arrays: Mapping[str, Array], held: Held) -> tuple[float, dict[Key, Seen]]:
    """The first derivative reduced to a number, some of whose numbers are held; and those that carry no graph."""
    seen = dict[Key, Seen]()
    with derivative.draws.again():
        packed = Packed(held)
        with saved_tensors_hooks(packed.pack, packed.unpack):
            call, cotangents = derivative.graph_of_first(arrays)
        nodes = [node for node in nodes_of(call.outputs.values()).custom if class_of(node) is not None]
        for place, node in enumerate(nodes):
            seen |= packed.of(node)
            seen |= _attributes(node, place, held)
        lost = Lost(held)
        with lost.within(nodes):
            gradients = derivative.backward_of_first(call, cotangents, True)
    arrays = {gradient_of(name): array_of(g) for name, g in gradients.items() if g is not None}
    value = combine({name: arrays[name] for name in derivative.cotangents if name in arrays}, derivative.cotangents)
    return value, seen | lost.seen


def _attributes(node: Node, place: int, held: Held) -> dict[Key, Seen]:
    """What a forward pass has put onto its context, but for what carries a graph."""
    found = dict[Key, Seen]()
    for attribute, value in list(cast("dict[str, Any]", vars(node)).items()):
        flat = flatten({attribute: value})
        keys: list[Key] = [("attribute", place, name) for name in flat.names]
        pairs = list(zip(keys, flat.leaves, strict=True))
        found |= {key: Seen(f"ctx.{key[2]} of {_name(node)}", _copy(leaf)) for key, leaf in pairs if _is_number(leaf)}
        if not held.keys().isdisjoint(keys):
            leaves = [_copy(held[key].value) if key in held else leaf for key, leaf in pairs]
            setattr(node, attribute, flat.rebuild(leaves)[attribute])
    return found


class Packed:
    """What a forward pass saves, by the order in which it does."""

    def __init__(self, held: Held) -> None:
        self._held, self._count, self._looked_at = held, 0, list[int]()

    def pack(self, tensor: torch.Tensor) -> tuple[int, torch.Tensor]:
        """As it is, or as it is held."""
        place, self._count = self._count, self._count + 1
        key = ("saved", place, "")
        return place, self._held[key].value.clone() if key in self._held else tensor

    def unpack(self, packed: tuple[int, torch.Tensor]) -> torch.Tensor:
        """It is known then which one is looked at."""
        self._looked_at.append(packed[0])
        return packed[1]

    def of(self, node: Node) -> dict[Key, Seen]:
        """Of one node, what is neither argument nor output, and so has no graph."""
        self._looked_at.clear()
        tensors = cast("tuple[torch.Tensor | None, ...]", node.saved_tensors)
        numbered = [(i, tensor) for i, tensor in enumerate(tensors) if tensor is not None]
        return {
            ("saved", place, ""): Seen(
                f"saved tensor {i} of {_name(node)} (neither argument nor output)", tensor.detach().clone()
            )
            for place, (i, tensor) in zip(self._looked_at, numbered, strict=True)
            if _is_number(tensor)
        }


class Lost(TorchFunctionMode):
    """Within backward functions, what is made of tensors with a graph and has none, in the order in which it is made."""

    def __init__(self, held: Held) -> None:
        super().__init__()
        self.seen = dict[Key, Seen]()
        self._held, self._off, self._owner, self._inside = held, False, "", False

    @contextmanager
    def within(self, nodes: Collection[Node]) -> Generator[None]:
        """In force inside of these, one after the other."""
        handles = [
            handle for node in nodes for handle in (node.register_prehook(self._begin(node)), node.register_hook(self._end))
        ]
        try:
            yield
        finally:
            self._end()
            for handle in handles:
                handle.remove()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict[str, Any](kwargs or {})
        if func is torch._C._set_grad_enabled:  # PyTorch switches recording off in a forward pass unseen: that is no mistake
            self._off = not args[0] and (self._off or torch.is_grad_enabled())
        result = func(*args, **given)
        if not (torch.is_grad_enabled() or self._off) or not any(map(_has_graph, _flat([*args, *given.values()]))):
            return result
        if type(result) is tuple:
            return tuple(self._kept(func, each) for each in cast("tuple[Any, ...]", result))
        return self._kept(func, result)

    def _kept(self, func: Any, value: Any) -> Any:
        if not _is_number(value):
            return value
        name = {"__get__": ".data", "__float__": "float()"}.get(func.__name__, f"{func.__name__}()")
        where = " under torch.no_grad()" if self._off else ""
        key = ("result", len(self.seen), name)
        self.seen[key] = Seen(f"the result of {name}{where} in {self._owner}.backward", _copy(value))
        return _copy(self._held[key].value) if key in self._held else value

    def _begin(self, node: Node) -> Callable[[Any], None]:
        def begin(_: Any) -> None:
            self._owner, self._inside = _name(node), True
            self.__enter__()

        return begin

    def _end(self, *_: Any) -> None:
        if self._inside:
            self._inside = False
            self.__exit__(None, None, None)


def _flat(values: list[Any]) -> Iterator[Any]:
    for value in values:
        yield from cast("list[Any]", value) if isinstance(value, tuple | list) else (value,)


def _has_graph(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.requires_grad


def _is_number(value: Any) -> bool:
    """Whether it holds real numbers and no graph."""
    if isinstance(value, torch.Tensor):
        return value.is_floating_point() and not value.requires_grad
    return isinstance(value, float | np.ndarray) and np.asarray(cast("Any", value)).dtype.kind == "f"


def _copy(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, torch.Tensor) else deepcopy(value)


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return one.shape == other.shape and torch.equal(one, other)
    return bool(np.array_equal(one, other))


def _name(node: Node) -> str:
    return str(class_of(node).__name__)
