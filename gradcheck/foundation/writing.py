"""What leaves the process: files that appear whole or not at all, JSON, and text that acts on no terminal."""

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import Any, cast

import msgspec

from gradcheck.errors import OutputError, shortened
from gradcheck.foundation.wording import printable

CAMPAIGN = b"GRDC"  # in the head of an SQLite file: whose it is
BESIDE = ("-wal", "-shm", "-journal", "-writer")  # what SQLite and a campaign that writes put beside it


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all: what stood there before is replaced only by complete new content.

    Raises
    ------
    OutputError
        Where `check_writable` does, or the disk is full.
    """
    check_writable(path)
    data = content if isinstance(content, bytes) else content.encode(errors="backslashreplace")
    try:
        if path.exists() and not path.is_file():  # a pipe or a device is written to, never replaced
            path.write_bytes(data)
            return
        target = os.path.realpath(path)  # through a link: the link stays
        with _beside(target) as new:
            with new.open("wb") as file:
                file.write(data)
            if os.path.exists(target):
                shutil.copymode(target, new)
            new.replace(target)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None


def check_writable(path: Path) -> None:
    """Refuse what `write` could not write, or must not: a campaign, which is no report that can be made again.

    Raises
    ------
    OutputError
        In one line. Nothing was changed.
    """
    try:
        obstacle = _obstacle(path)
    except OSError as error:
        obstacle = error.strerror or str(error)
    if obstacle:
        raise OutputError(f"{path}: cannot be written: {obstacle}")


def _obstacle(path: Path) -> str:
    target = os.path.realpath(path)
    with suppress(FileNotFoundError):
        kind = os.stat(path).st_mode
        if stat.S_ISDIR(kind):
            return "a folder stands there"
        if stat.S_ISSOCK(kind) or stat.S_ISBLK(kind):
            return "a socket or a disk stands there"
        if not os.access(path, os.W_OK):
            return os.strerror(errno.EACCES)
        if not stat.S_ISREG(kind):
            return ""
    if any(map(_is_campaign, [target, *(target.removesuffix(end) for end in BESIDE if target.endswith(end))])):
        return "a campaign stands there, which nothing is written over"
    if not os.path.isdir(os.path.dirname(target)):
        return "no such folder"
    with _beside(target) as new:
        new.touch(exist_ok=False)
    return ""


def _is_campaign(path: str) -> bool:
    """By the head that SQLite gives its files."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        head = file.read(100)
    return head.startswith(b"SQLite format 3\0") and head[68:72] == CAMPAIGN


@contextmanager
def _beside(target: str) -> Generator[Path]:
    """The path of a new file in the same folder, which is gone afterwards unless it was moved."""
    new = Path(target).with_name(f".gradcheck-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        yield new
    finally:
        new.unlink(missing_ok=True)


def json_text(data: Any) -> str:
    """Indented JSON; infinite numbers are ``null``, halves of characters (lone surrogates) their escapes."""
    try:
        encoded = msgspec.json.encode(data)
    except UnicodeEncodeError:
        encoded = msgspec.json.encode(encodable(data))
    return msgspec.json.format(encoded, indent=2).decode()


def encodable(data: Any) -> Any:
    """The same, halves of characters in its texts as their escapes: no file of text can hold one."""
    return _rewritten(data, lambda text: text.encode(errors="backslashreplace").decode())


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
