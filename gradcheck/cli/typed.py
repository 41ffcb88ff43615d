"""What the user typed, and where it is: a path means the same wherever somebody's code goes, and is shown as typed."""

import re
from pathlib import Path
from typing import Any, TypeVar, cast

P = TypeVar("P", bound="Path | list[Path] | None")
STANDARD = "-"  # for standard output


class Typed:
    """The folder where a command was begun, and the absolute paths that were typed."""

    def __init__(self, folder: str = "/") -> None:
        self.begin(folder)

    def begin(self, folder: str) -> None:
        """A command, in this folder."""
        self._folder, self._absolute = folder, set[str]()

    def path(self, typed: Path) -> Path:
        """The same file from any folder; ``..`` stays, which behind a link is not the folder above its name."""
        if str(typed) == STANDARD:
            return typed
        if typed.is_absolute():
            self._absolute |= {str(typed), str(typed.parent)}
        return Path(self._folder, typed)

    def target(self, typed: str) -> str:
        """``file.py:attribute`` likewise; other names as they are."""
        file, colon, attribute = typed.rpartition(":")
        return f"{self.path(Path(file))}{colon}{attribute}" if file.endswith(".py") else typed

    def text(self, text: str) -> str:
        """With paths as they were typed: the folder is left out but of those that had it."""
        if self._folder == "/":
            return text
        kept = sorted(self._absolute, key=len, reverse=True)
        paths = "|".join(map(re.escape, [*kept, f"{self._folder}/"]))
        return re.sub(rf"(?<![\w./-])({paths})", lambda found: found[0] if found[0] in self._absolute else "", text)


typed = Typed()


def absolute(value: P) -> P:
    """A path, or each of several; for options and arguments."""
    if isinstance(value, list):
        return cast("P", [typed.path(each) for each in value])
    return cast("P", typed.path(value)) if value is not None else value


def targets(value: Any) -> Any:
    """Names of functions; for options and arguments."""
    return None if value is None else [typed.target(each) for each in value]
