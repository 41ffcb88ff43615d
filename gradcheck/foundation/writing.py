"""What leaves the process: files that appear whole or not at all, JSON, and text that acts on no terminal."""

import os
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, cast

import msgspec

from gradcheck.errors import OutputError, shortened
from gradcheck.foundation.wording import printable


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all: what stood there before is replaced only by a complete new text."""
    try:
        if path.exists() and not path.is_file():  # a pipe or a device is written to, never replaced
            path.write_text(text, encoding="utf-8")
            return
        target = Path(os.path.realpath(path))  # through a link: the link stays
        new = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            new.write_text(text, encoding="utf-8")
            new.replace(target)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None


def json_text(data: Any) -> str:
    """Indented JSON; infinite numbers are ``null``, halves of characters (lone surrogates) their escapes."""
    try:
        encoded = msgspec.json.encode(data)
    except UnicodeEncodeError:
        encoded = msgspec.json.encode(_rewritten(data, _encodable))
    return msgspec.json.format(encoded, indent=2).decode()


def legible(data: Any) -> Any:
    """The same report, summary or measurement, every text in it printable, and none longer than people read."""
    return _rewritten(data, lambda text: shortened(printable(text)))


def _rewritten(data: Any, change: Callable[[str], str]) -> Any:
    """The same, every text in it changed."""
    kind = cast("Any", type(data))
    if isinstance(data, msgspec.Struct):
        fields = {name: _rewritten(getattr(data, name), change) for name in data.__struct_fields__}
        return msgspec.structs.replace(data, **fields)
    if kind is dict:
        return {_rewritten(key, change): _rewritten(value, change) for key, value in data.items()}
    if kind is list or kind is tuple:
        return cast("Any", kind)(_rewritten(each, change) for each in data)
    return change(data) if isinstance(data, str) and not isinstance(data, Enum) else data


def _encodable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
