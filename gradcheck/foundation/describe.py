"""Descriptions as data: validation of every field, however the object was made, and decoding from plain tables.

The types are msgspec's and carry the constraints (``Annotated[int, Meta(ge=1)]``); msgspec says what it expected, and
`DescriptionError` adds where and what it got.
"""

import math
import typing
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any, TypeGuard, TypeVar, cast

import msgspec

from gradcheck.errors import DescriptionError
from gradcheck.foundation.wording import nearest, shown

T = TypeVar("T", bound="Description")


class Description(msgspec.Struct, frozen=True):
    """Immutable, hashable data whose ``repr`` evaluates back. Every field is validated in the constructor.

    Raises
    ------
    DescriptionError
        ``units: expected int >= 1, got 0``
    """

    def __post_init__(self) -> None:
        for field in msgspec.structs.fields(type(self)):
            value = getattr(self, field.name)
            msgspec.structs.force_setattr(self, field.name, checked(value, field.type, field.name))


def checked(value: Any, kind: Any, path: str) -> Any:
    """Return ``value`` as the annotated type ``kind`` (lists become tuples), or say where it fails and why."""
    options = typing.get_args(kind)
    if isinstance(value, Description) and type(value) in options:
        return value
    item = options[0] if typing.get_origin(kind) is tuple else None
    if _is_description(item):
        return tuple(checked(each, item, f"{path}[{i}]") for i, each in enumerate(checked(value, tuple, path)))
    if _is_description(kind):
        if not isinstance(value, kind):
            raise DescriptionError(f"expected a {kind.__name__.lower()}, got {shown(value)}", path)
        return value
    try:
        result = msgspec.convert(_plain(value), kind)
    except msgspec.ValidationError as error:
        expected, _, inside = str(error).partition(" - at `$")
        value, suffix = _inside(value, inside.rstrip("`"))
        raise DescriptionError(f"{_expected(expected, kind)}, got {shown(value)}", path + suffix) from None
    if isinstance(result, float) and not math.isfinite(result):
        raise DescriptionError(f"expected a finite number, got {shown(value)}", path)
    return result


def decode(raw: Any, kind: type[T], path: str = "") -> T:
    """Build ``kind`` from a table (of TOML or JSON); an unknown key is answered with the nearest known one."""
    table = table_of(raw, path)
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for key in table:
        if key not in fields:
            raise DescriptionError(f"unknown key, {nearest(key, fields)}", join(path, key))
    for name, field in fields.items():
        if field.required and name not in table:
            raise DescriptionError("missing", join(path, name))
    with at(path):
        return kind(**table)


def table_of(raw: Any, path: str = "") -> dict[str, Any]:
    """What must be a table, as a dict of its own."""
    if not isinstance(raw, Mapping):
        raise DescriptionError(f"expected a table, got {shown(raw)}", path)
    return {str(key): value for key, value in cast("Mapping[object, Any]", raw).items()}


def decode_tagged(raw: Any, table: Mapping[str, type[T]], path: str, noun: str) -> T:
    """Build a row of ``table`` from ``{type = "dense", units = 3}``, or from its bare name where that says it all."""
    fields = {"type": raw} if isinstance(raw, str) else cast("dict[str, Any]", raw if isinstance(raw, dict) else {})
    if "type" not in fields:
        raise DescriptionError(f"expected a table with a key 'type', got {shown(raw)}", path)
    tag = fields["type"]
    if not isinstance(tag, str) or tag not in table:
        raise DescriptionError(f"unknown {noun} {tag!r}, {nearest(str(tag), table)}", join(path, "type"))
    return decode({key: value for key, value in fields.items() if key != "type"}, table[tag], path)


def encode_tagged(row: Description, table: Mapping[str, type[Description]]) -> dict[str, Any]:
    """Inverse of `decode_tagged`: a plain table, defaults included but for None, which TOML cannot say."""
    values: dict[str, Any] = msgspec.to_builtins(row)
    unsaid = {field.name for field in msgspec.structs.fields(row) if field.default is None}
    return {"type": tag_of(row, table)} | {
        name: value for name, value in values.items() if value is not None or name not in unsaid
    }


def tag_of(row: Description, table: Mapping[str, type[Description]]) -> str:
    """Under which name its kind stands in the table."""
    for tag, kind in table.items():
        if type(row) is kind:
            return tag
    raise DescriptionError(f"{type(row).__name__} is not registered, known: {', '.join(table)}")


def register(table: dict[str, Any], name: str, row: type[T], noun: str) -> type[T]:
    """Enter a row under a name of its own."""
    if table.get(name, row) is not row:
        raise DescriptionError(f"{noun} {name!r} is registered already, as {table[name].__name__}")
    table[name] = row
    return row


@contextmanager
def at(path: str) -> Generator[None]:
    """Put ``path`` in front of the path of any `DescriptionError` raised inside."""
    try:
        yield
    except DescriptionError as error:
        raise DescriptionError(error.sentence, join(path, error.path)) from None


def join(path: str, name: str) -> str:
    """``layers[2]`` and ``units`` to ``layers[2].units``."""
    return ".".join(part for part in (path, name) if part)


def _is_description(kind: Any) -> TypeGuard[type[Description]]:
    return isinstance(kind, type) and issubclass(kind, Description)


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def _inside(value: Any, path: str) -> tuple[Any, str]:
    """Follow msgspec's path (``[2][0]``) into ``value``, as far as it is made of indices."""
    suffix = ""
    for part in path.replace("]", "").split("[")[1:]:
        if not part.isdigit():
            break
        value, suffix = value[int(part)], f"{suffix}[{part}]"
    return value, suffix


def _expected(sentence: str, kind: Any) -> str:
    """msgspec's sentence as the first half of ours."""
    if sentence.startswith("Invalid enum value"):
        return f"expected one of {', '.join(map(repr, typing.get_args(kind)))}"
    sentence = sentence.replace("`", "").partition(", got ")[0]
    sentence = sentence.replace(" | null", "").replace("object", "table").replace(" | ", " or ")
    return sentence[:1].lower() + sentence[1:]
