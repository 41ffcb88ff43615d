"""What a test of a kernel draws: sizes, a look for each tensor, and other arguments; and one line that says all of it."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from math import prod
from typing import Any, NamedTuple, TypeAlias

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from gradcheck.errors import DescriptionError
from gradcheck.foundation.wording import nearest, shown
from gradcheck.strategies.arguments import several
from gradcheck.strategies.drawn import named as tensors_named
from gradcheck.strategies.drawn.annotations import Annotated, annotated
from gradcheck.strategies.drawn.axes import axes_of, check_known, mentioned, named
from gradcheck.strategies.drawn.boundaries import MOST
from gradcheck.strategies.drawn.boundaries import sizes as boundary_sizes
from gradcheck.strategies.drawn.looks import FLOATING, Choice, choice_of, dtypes_of

ENTRIES = 2**16  # of a tensor with every axis, where sizes are not said: a check takes a second then


class Asked(NamedTuple):
    """What a test of a kernel is asked to draw, as `gradcheck.kernels` describes it."""

    shapes: Mapping[str, Any]
    dtypes: Any
    blocks: Mapping[str, Any]
    sizes: Mapping[str, Any]
    arguments: Mapping[str, Any]
    constants: Iterable[str]
    masks: Iterable[str]
    indices: Mapping[str, str | int]
    values: Any
    layouts: Any

    def checked(self) -> "Asked":
        """The same, if it has the form."""
        for what in ("shapes", "blocks", "sizes", "arguments", "indices"):
            if not isinstance(getattr(self, what), Mapping):
                raise DescriptionError(f"expected a dict by name, got {shown(getattr(self, what))}", what)
        return self._replace(constants=_several(self.constants), masks=_several(self.masks))


class Tensor(NamedTuple):
    """One tensor: its axes, its looks, what its entries are below if they are whole, and whether it has the common dtype."""

    axes: tuple[str, ...]
    choice: Choice
    limits: tuple[str, ...]
    common: bool


class Plan(NamedTuple):
    """What is drawn for a function's parameters: for those that are ``drawn``, in their order; the others are pytest's."""

    tensors: Mapping[str, Tensor]
    sizes: Mapping[str, st.SearchStrategy[Any]]
    arguments: Mapping[str, Any]
    dtypes: tuple[str, ...]
    drawn: tuple[str, ...]
    others: tuple[inspect.Parameter, ...]


Names: TypeAlias = Iterable[str]


def _several(names: str | Iterable[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def planned(function: Callable[..., Any], asked: Asked) -> Plan:
    """The plan for a function, or one sentence that says what cannot be drawn."""
    parameters = dict(inspect.signature(function).parameters)
    for what, given in (("shapes", asked.shapes), ("arguments", asked.arguments)):
        _check_names(given, parameters, what, "the function has no parameter called")
    said = annotated(function)
    said = {name: each for name, each in said.items() if name not in asked.arguments}
    said |= {name: said.get(name, Annotated(""))._replace(shape=shape) for name, shape in asked.shapes.items()}
    tensors = _tensors(said, asked)
    sizes = _sizes(tensors, asked)
    _check_arguments(asked.arguments, sizes)
    drawn = tuple(name for name in parameters if name in tensors or name in asked.arguments or name in sizes)
    _check_apart(tensors, sizes)
    others = tuple(each for name, each in parameters.items() if name not in drawn and _is_asked_for(each))
    return Plan(tensors, sizes, asked.arguments, _common(asked), drawn, others)


def _is_asked_for(parameter: inspect.Parameter) -> bool:
    """Whether a function cannot be called without it: what has a default pytest leaves alone, and Hypothesis refuses."""
    return parameter.default is parameter.empty and parameter.kind not in (
        parameter.VAR_POSITIONAL,
        parameter.VAR_KEYWORD,
    )


def _check_names(given: Names, known: Names, what: str, sentence: str) -> None:
    for name in given:
        if name not in known:
            raise DescriptionError(f"{sentence} {name!r}, {nearest(str(name), known)}", what)


def _check_apart(tensors: Names, sizes: Names) -> None:
    for name in set(tensors) & set(sizes):
        raise DescriptionError(f"{name!r} is a tensor and an axis, which need two names", "shapes")


def _is_by_name(dtypes: object) -> bool:
    return isinstance(dtypes, Mapping)


def _common(asked: Asked) -> tuple[str, ...]:
    """The dtypes of which all floating tensors have the same one."""
    return ("float32",) if _is_by_name(asked.dtypes) else dtypes_of(asked.dtypes)


def _tensors(said: Mapping[str, Any], asked: Asked) -> dict[str, Tensor]:
    if not said:
        raise DescriptionError('expected the shape of at least one tensor, {"x": "rows columns"}', "shapes")
    own: Mapping[str, Any] = asked.dtypes if _is_by_name(asked.dtypes) else {}
    parts = {"dtypes": own, "constants": asked.constants, "masks": asked.masks, "indices": asked.indices}
    for what, names in parts.items():
        _check_names(names, said, what, "no shape is given for")
    tensors = {name: _tensor(name, each, own.get(name), asked) for name, each in said.items()}
    if not any(each.choice.requires_grad for each in tensors.values()):
        raise DescriptionError(f"nothing requires a gradient: {shown(', '.join(tensors))} are constants", "shapes")
    return tensors


def _tensor(name: str, said: Annotated, own: Any, asked: Asked) -> Tensor:
    dtypes = "bool" if name in asked.masks else own or said.dtypes or ("int64" if name in asked.indices else None)
    common = dtypes is None
    named_dtypes = _common(asked) if dtypes is None else dtypes_of(dtypes, name)
    floats = named_dtypes[0] in FLOATING
    wanted = name not in asked.constants
    choice = choice_of(name, named_dtypes, asked.values if floats else None, asked.layouts, requires_grad=wanted)
    if not (floats or named_dtypes == ("bool",) or name in asked.indices):
        raise DescriptionError(f'integers below what? indices={{{name!r}: "columns"}}, a number or the name of a size', name)
    if floats and name in asked.indices:
        raise DescriptionError(f"expected integers, as indices has them, got {named_dtypes[0]}", name)
    limits = () if floats else axes_of(str(asked.indices.get(name, 2)), name)
    return Tensor(axes_of(said.shape, name), choice, limits, common)


def _sizes(tensors: Mapping[str, Tensor], asked: Asked) -> dict[str, st.SearchStrategy[Any]]:
    """One strategy for each name, the same for all tensors."""
    words = dict.fromkeys(word for tensor in tensors.values() for word in named(tensor.axes))
    names = [word.removeprefix("*") for word in words]
    check_known(asked.sizes, (known := names + _limits(tensors)), "sizes")
    check_known(asked.blocks, known, "blocks")
    for name, tensor in tensors.items():
        told = [each for word in (*tensor.axes, *tensor.limits) for each in mentioned(word)]
        check_known(told, [*words, *asked.sizes, *asked.blocks], name)
    blocked = {name: _blocked(name, block) for name, block in asked.blocks.items()}
    given = {name: tensors_named.size_strategy(each, f"sizes[{name!r}]") for name, each in asked.sizes.items()}
    most = _most(asked.blocks, len(set(names) - set(blocked) - set(given)))
    usual = {word.removeprefix("*"): _usual(word, most) for word in words}
    return usual | blocked | given


def _limits(tensors: Mapping[str, Tensor]) -> list[str]:
    """What integers are below: a size that no axis may have."""
    return [name for tensor in tensors.values() for word in tensor.limits for name in mentioned(word)]


def _blocked(name: str, block: Any) -> st.SearchStrategy[int]:
    try:
        return boundary_sizes(block)
    except InvalidArgument as error:
        raise DescriptionError(str(error), f"blocks[{name!r}]") from None


def _most(blocks: Mapping[str, Any], free: int) -> int:
    """The largest of sizes of which nobody says anything: so many axes of it leave the number of entries within bounds."""
    largest = prod(2 * max(several(block)) + 1 for block in blocks.values())
    return min(MOST, max(3, int((ENTRIES / largest) ** (1 / max(free, 1)))))


def _usual(word: str, most: int) -> st.SearchStrategy[Any]:
    return tensors_named.SEVERAL if word.startswith("*") else boundary_sizes(at_most=most)


def _check_arguments(arguments: Mapping[str, Any], sizes: Names) -> None:
    """Each is a strategy, or a function of sizes that returns one."""
    for name, each in arguments.items():
        if not isinstance(each, st.SearchStrategy):
            if not callable(each):
                expected = "a strategy, or a function of sizes that returns one"
                raise DescriptionError(f"expected {expected}, got {shown(each)}", f"arguments[{name!r}]")
            check_known(inspect.signature(each).parameters, sizes, f"arguments[{name!r}]")
