"""Files that somebody hands in, opened so that none blocks and none fills the memory; what is wrong with one in a line."""

import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO

from gradcheck.errors import DataError

# Bytes of a text: a description or samples. The largest set that is shipped has 2 MB as CSV; a byte of a text can become 64
# bytes of memory.
TEXT = 1 << 26
SAID = 160  # letters of what a reader says, which may hold all that it has read


@contextmanager
def reading(source: str) -> Generator[None]:
    """Put the name in front of whatever a reader raises: bytes can be wrong in more ways than any reader lists."""
    try:
        yield
    except Exception as error:
        raise DataError(f"{source}: {sentence(error)}") from error


def sentence(error: Exception) -> str:
    """What a reader raised, in one line."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, MemoryError):
        return str(error) or "more than fits into memory"
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    words = " ".join(reason.split()) or type(error).__name__
    return words if len(words) <= SAID else f"{words[: SAID - 3]}..."


@contextmanager
def regular(path: Path, most: int | None = None) -> Generator[IO[bytes]]:
    """A file of not more than so many bytes, open for reading; a pipe, a device or a folder is refused, not waited for."""
    # Without O_NONBLOCK to open a pipe waits for somebody to write to it.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(descriptor, "rb") as stream:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise DataError("not a regular file: what is read is looked at first, which a pipe, device or folder cannot be")
        if most is not None and found.st_size > most:
            raise DataError(f"{found.st_size} bytes, more than the {most} that are read")
        yield stream


@contextmanager
def text(path: Path) -> Generator[TextIOWrapper]:
    """Likewise as UTF-8, ends of lines as they are."""
    with regular(path, TEXT) as stream, TextIOWrapper(stream, "utf-8-sig", newline="") as lines:
        yield lines
