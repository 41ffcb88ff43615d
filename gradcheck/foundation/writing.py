"""Files that appear whole or not at all."""

import os
from pathlib import Path

from gradcheck.errors import OutputError


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
