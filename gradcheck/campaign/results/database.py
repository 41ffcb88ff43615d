"""SQLite files with one writer, and what can be wrong with one in a line that names it."""

import os
import sqlite3
import stat
from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from msgspec import MsgspecError

from gradcheck.errors import DataError, OutputError

READING, WRITING = "cannot be read", "cannot be written"
LONGEST = 1 << 28  # bytes of one value: 256 MiB; a record of a campaign has some thousands


@contextmanager
def naming(path: Path | None, kind: type[DataError | OutputError], what: str) -> Generator[None]:
    """Name the file in front of what SQLite has to say, or what is wrong with the JSON in it."""
    try:
        yield
    except (sqlite3.Error, MsgspecError, RecursionError, UnicodeError) as error:
        raise kind(f"{path or 'campaign in memory'}: {what}: {error}") from None


@contextmanager
def alone(path: Path) -> Generator[None]:
    """Be the one process that writes: hold the lock of a second, empty database, which the system frees if it is killed.

    Should one campaign's end let two others in at once, they judge some cases twice, no more: SQLite orders their commits.
    """
    if not path.parent.is_dir():
        raise OutputError(f"{path}: {WRITING}: no such folder")
    mark = beside(path, "-writer")
    with ExitStack() as opened:
        with naming(mark, OutputError, WRITING):
            db = opened.enter_context(database(mark, "rwc", timeout=0))
            try:
                db.execute("PRAGMA journal_mode = MEMORY")  # or a third file would lie there
                db.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    raise
                raise OutputError(f"{path}: another campaign is writing to it") from None
        try:
            yield
        finally:
            with suppress(OSError):  # Windows removes no open file; it is empty and harms nobody
                if mark.stat().st_size == 0:  # or else it is somebody's
                    mark.unlink()


@contextmanager
def database(path: Path | None, mode: str, timeout: float = 5) -> Generator[sqlite3.Connection]:
    """A connection, in one of SQLite's modes, that trusts nothing in a file; to a database in memory without a path."""
    place = ":memory:" if path is None else f"{beside(path, '').as_uri()}?mode={mode}"
    with closing(sqlite3.connect(place, timeout, isolation_level=None, uri=path is not None)) as db:
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA cell_size_check = ON")
        yield db


def beside(path: Path, ending: str) -> Path:
    """Where SQLite puts a file beside a database: through links, so that one file has one name."""
    return Path(os.path.realpath(path) + ending)


def size_of(path: Path, kind: type[DataError | OutputError]) -> int | None:
    """How many bytes a file has; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise kind(f"{path}: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        raise kind(f"{path}: not a file")
    return found.st_size


def check_readable(path: Path) -> None:
    """Raise `DataError` where nobody can read it."""
    if size_of(path, DataError) is None:
        raise DataError(f"{path}: no such file")
    if not os.access(path, os.R_OK):
        raise DataError(f"{path}: permission denied")
