"""The tables of a campaign's file: how they are made, and that a file has these and nothing else.

A view, a trigger or a column that computes would run when the file is read or written to: what else stands there is refused.
"""

import sqlite3
from functools import cache
from pathlib import Path

from gradcheck.campaign.results.database import beside, database, size_of
from gradcheck.errors import DataError
from gradcheck.foundation.writing import CAMPAIGN

FORMAT = 2  # 1 had the text of a reproducer as well
APPLICATION = int.from_bytes(CAMPAIGN, "big")  # by which an SQLite file says whose it is
SCHEMA = f"""
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {FORMAT};
CREATE TABLE campaign (plan TEXT NOT NULL);
CREATE TABLE runs (run INTEGER PRIMARY KEY, versions TEXT NOT NULL);
CREATE TABLE shards (shard INTEGER PRIMARY KEY, names TEXT NOT NULL);
CREATE TABLE records (
    number INTEGER PRIMARY KEY, run INTEGER NOT NULL, name TEXT NOT NULL UNIQUE, verdict TEXT NOT NULL, reason TEXT NOT NULL,
    seconds REAL NOT NULL, evaluations INTEGER NOT NULL, ratios TEXT NOT NULL, causes TEXT NOT NULL, "case" TEXT NOT NULL,
    report TEXT);
CREATE TABLE smallest (cause TEXT PRIMARY KEY, record TEXT NOT NULL);
CREATE INDEX verdicts ON records (verdict)"""
REPRODUCERS = ("    report TEXT);", "    report TEXT, reproducer TEXT NOT NULL\n);")  # what format 1 had in place of this


def create(db: sqlite3.Connection, schema: str = SCHEMA) -> None:
    """Make the tables."""
    for statement in schema.split(";\n"):
        db.execute(statement)


def upgrade(db: sqlite3.Connection) -> None:
    """Make of a file of any format that is read one of this format."""
    if _format(db) < FORMAT:
        db.execute("ALTER TABLE records DROP COLUMN reproducer")
        db.execute(f"PRAGMA user_version = {FORMAT}")


def check(db: sqlite3.Connection, path: Path) -> None:
    """Raise `DataError` unless the whole file is a campaign's, `sqlite3.Error` where it is none."""
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise DataError(f"{path}: not a campaign of gradcheck's")
    version = _format(db)
    if not 1 <= version <= FORMAT:
        raise DataError(f"{path}: format {version}, this gradcheck reads 1 to {FORMAT}")
    page = db.execute("PRAGMA page_size").fetchone()[0]
    if (size_of(path, DataError) or 0) % page and not size_of(beside(path, "-wal"), DataError):
        raise DataError(f"{path}: corrupted: its end is missing")  # less than a page, which SQLite would not notice
    _check_tables(db, version, path)
    answer = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])  # without it a page that lies in itself is read for ever
    if answer != "ok":
        raise DataError(f"{path}: corrupted: {answer.splitlines()[-1]}")


def _check_tables(db: sqlite3.Connection, version: int, path: Path) -> None:
    found, known = _tables(db), _made(version)
    for name in sorted(found.keys() | known.keys()):
        if name not in known:
            raise DataError(f"{path}: not a campaign of gradcheck's: it has a {name[0]} {name[1]!r}")
        if name not in found:
            raise DataError(f"{path}: not a campaign of gradcheck's: it has no {name[0]} {name[1]!r}")
        if found[name] != known[name]:
            raise DataError(f"{path}: not a campaign of gradcheck's: its {name[0]} {name[1]!r} is another")


@cache
def _made(version: int) -> dict[tuple[str, str], tuple[str, str | None]]:
    """What a new file of a format has."""
    with database(None, "rwc") as db:
        create(db, SCHEMA if version == FORMAT else SCHEMA.replace(*REPRODUCERS))
        return _tables(db)


def _tables(db: sqlite3.Connection) -> dict[tuple[str, str], tuple[str, str | None]]:
    """By kind and name: of which table, and the statement that made it."""
    rows = db.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema")
    return {(kind, name): (table, sql) for kind, name, table, sql in rows}


def _format(db: sqlite3.Connection) -> int:
    return db.execute("PRAGMA user_version").fetchone()[0]
