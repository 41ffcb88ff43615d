"""Outputs that destroy nothing: each is looked at before any work is done, and beside everything that is read."""

import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from gradcheck.cli.typed import STANDARD
from gradcheck.errors import OutputError
from gradcheck.foundation.loading import files_of
from gradcheck.foundation.writing import BESIDE, check_writable

Identity: TypeAlias = tuple[int, int] | str | None


def check_outputs(
    inputs: Iterable[str | Path | None],
    files: Mapping[str, Path | None],
    *,
    folders: Mapping[str, Path | None] = {},
    stores: Mapping[str, Path | None] = {},
    drawn: str = "",
) -> None:
    """Refuse, before anything is done, what cannot be written or would be written over something else.

    Parameters
    ----------
    inputs : iterable of path, or function as ``file.py:attribute`` or ``module:attribute``
        What is read.
    files, folders, stores : dict of path by option
        Files that are written whole; folders that are made, in which what ``drawn`` matches may be replaced; campaigns,
        which keep files of their own beside them.

    Raises
    ------
    OutputError
        ``--json net.toml: would be written over net.toml, which is read``
    """
    wanted = {option: path for option, path in files.items() if path is not None}
    _check_standard([option for option, path in wanted.items() if str(path) == STANDARD])
    taken: dict[Identity, str] = {same: f"{path}, which is read" for path in _files(inputs) if (same := _identity(path))}
    redirected = dict(_redirected())  # `> log 2>&1` sends both to one file
    for same in redirected.keys() & taken.keys():
        raise OutputError(f"{redirected[same]}: would be written over {taken[same]}")
    taken |= redirected
    for option, store in stores.items():
        if store is None:
            continue
        if not os.path.exists(store):
            check_writable(store)
        for path in (store, *(Path(f"{store}{ending}") for ending in BESIDE)):
            _take(taken, option, path)
    for option, path in wanted.items():
        if str(path) != STANDARD:
            check_writable(path)
            _take(taken, option, path)
    for option, folder in folders.items():
        if folder is not None:
            _check_folder(option, folder)
            _take(taken, option, folder)
            for path in folder.glob(drawn) if drawn else ():
                _take(taken, option, path)


def _check_standard(options: list[str]) -> None:
    if len(options) > 1:
        raise OutputError(f"{' and '.join(options)}: both would be written to standard output")
    if options and sys.__stdout__ is None:
        raise OutputError(f"{options[0]} -: standard output is closed")


def _take(taken: dict[Identity, str], option: str, path: Path) -> None:
    same = _identity(path)
    if same in taken:
        raise OutputError(f"{option} {path}: would be written over {taken[same]}")
    if same:
        taken[same] = f"what {option} writes"


def _check_folder(option: str, folder: Path) -> None:
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not there.is_dir():
        raise OutputError(f"{option} {folder}: cannot be made: {there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(f"{option} {folder}: cannot be made: {there} cannot be written to")


def _identity(path: Path) -> Identity:
    """Equal for two names of one file; None for what is shared without harm, a pipe or a device."""
    try:
        found = os.stat(path)
    except OSError:
        real = os.path.realpath(path)
        return real.casefold() if _folds_case(os.path.dirname(real)) else real
    return None if stat.S_ISFIFO(found.st_mode) or stat.S_ISCHR(found.st_mode) else (found.st_dev, found.st_ino)


def _folds_case(folder: str) -> bool:
    """Whether the file system takes large and small letters for the same."""
    try:
        return folder != folder.swapcase() and os.path.samefile(folder, folder.swapcase())
    except OSError:
        return False


def _redirected() -> Iterator[tuple[Identity, str]]:
    """Files to which the shell sends what is printed."""
    for descriptor, name in ((1, "standard output"), (2, "standard error")):
        try:
            found = os.fstat(descriptor)
        except OSError:
            continue
        if stat.S_ISREG(found.st_mode):
            yield (found.st_dev, found.st_ino), name


def _files(inputs: Iterable[str | Path | None]) -> Iterator[Path]:
    for each in inputs:
        if isinstance(each, Path):
            yield each
        elif each is not None:
            yield from files_of(each)
