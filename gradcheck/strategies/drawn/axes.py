"""What a shape says: ``"batch rows 2*columns"``, names and numbers, as jaxtyping writes them too."""

import ast
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias, cast

from gradcheck.errors import DescriptionError
from gradcheck.foundation.wording import nearest, shown
from gradcheck.strategies.arguments import several

Size: TypeAlias = int | tuple[int, ...]
"""Of one axis, or of the axes that a name with a star stands for."""

OPERATIONS: dict[type, Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: lambda a, b: a // b,
}


def axes_of(shape: object, owner: str) -> tuple[str, ...]:
    """One word for each axis: a name, a number, ``*names`` for several, or names in an expression.

    An axis without a name, ``_`` or ``...``, gets that of its owner and its place.
    """
    words = shape.split() if isinstance(shape, str) else _listed(shape, owner)
    return tuple(_word(word, f"{owner}_{place}", owner) for place, word in enumerate(words))


def _listed(shape: object, owner: str) -> list[str]:
    """A number, or names and numbers in a sequence."""
    given = several(shape)
    for each in given:
        if isinstance(each, bool) or not isinstance(each, int | str):
            raise DescriptionError(f"expected names and numbers of axes, got {shown(shape)}", owner)
    return [str(each) for each in given]


def _word(written: str, place: str, owner: str) -> str:
    word = written.lstrip("#")  # what may be broadcast is as large as it may be
    name, equals, number = word.partition("=")
    word = number if equals and name.isidentifier() else word
    word = {"_": place, "...": f"*{place}"}.get(word, word)
    if not (word.removeprefix("*").isidentifier() or _is_expression(word)):
        expected = 'names, numbers, "*names" and expressions such as "2*columns"'
        raise DescriptionError(f"expected {expected} as axes, got {shown(written)}", owner)
    return word


def _is_expression(word: str) -> bool:
    try:
        tree = ast.parse(word, mode="eval").body
    except SyntaxError:
        return False
    return all(_is_known(node) for node in ast.walk(tree))


def _is_known(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return type(node.value) is int
    return isinstance(node, (ast.BinOp, ast.Name, ast.expr_context, *OPERATIONS))


def named(axes: Iterable[str]) -> list[str]:
    """The sizes that are to be drawn for axes, ``*names`` with their star."""
    return [word for word in axes if word.removeprefix("*").isidentifier()]


def mentioned(word: str) -> list[str]:
    """The names in one axis."""
    return [node.id for node in ast.walk(ast.parse(word.removeprefix("*"), mode="eval")) if isinstance(node, ast.Name)]


def check_known(names: Iterable[str], known: Iterable[str], owner: str) -> None:
    """Refuse a name that no axis has."""
    known = [name.removeprefix("*") for name in known]
    for name in names:
        if name not in known:
            raise DescriptionError(f"no axis is called {name!r}, {nearest(name, known)}", owner)


def extents(axes: Iterable[str], sizes: Mapping[str, Size]) -> tuple[int, ...]:
    """The shape at these sizes."""
    return tuple(extent for word in axes for extent in _extents(word, sizes))


def _extents(word: str, sizes: Mapping[str, Size]) -> tuple[int, ...]:
    if word.startswith("*"):
        several = sizes[word[1:]]
        return several if isinstance(several, tuple) else (several,)
    return (_value(ast.parse(word, mode="eval").body, sizes),)


def _value(node: ast.expr, sizes: Mapping[str, Size]) -> int:
    if isinstance(node, ast.BinOp):
        return OPERATIONS[type(node.op)](_value(node.left, sizes), _value(node.right, sizes))
    return cast("int", sizes[node.id] if isinstance(node, ast.Name) else cast("ast.Constant", node).value)
