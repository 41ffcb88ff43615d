"""Cases as files, TOML or JSON, both ways."""

import json
import os
import tomllib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomli_w

from gradcheck.cases.case import Case, Given
from gradcheck.cases.opening import sentence, text
from gradcheck.cases.readers import FILE_TYPES
from gradcheck.errors import DataError, DescriptionError, OutputError
from gradcheck.foundation.describe import at, decode, table_of
from gradcheck.foundation.writing import write
from gradcheck.network.network import Network, from_table, to_table

PARSERS: dict[str, Callable[[str], Any]] = {
    ".toml": tomllib.loads,
    ".json": lambda text: json.loads(text, object_pairs_hook=_unique),
}
WRITERS: dict[str, Callable[[Any], str]] = {".toml": tomli_w.dumps, ".json": lambda table: json.dumps(table, indent=2)}


def load(path: str | os.PathLike[str]) -> Case:
    """Read a case from a ``.toml`` or ``.json`` file; data files are looked for beside it.

    Raises
    ------
    DescriptionError, DataError
        ``net.toml: layers[2].units: expected int >= 1, got 0``
    """
    path = Path(path)
    with naming(path):
        try:
            return case_from_table(_parse(path), path.parent)
        except (RecursionError, MemoryError) as error:
            raise DescriptionError(sentence(error)) from None


def data_file(case: Case) -> Path | None:
    """The file that its data is read from, if it is."""
    return Path(case.data) if isinstance(case.data, str) and case.data.endswith(FILE_TYPES) else None


@contextmanager
def naming(path: Path | str) -> Generator[None]:
    """Name a description's file in front of what is wrong with it, or with the data that it asks for."""
    try:
        yield
    except (DescriptionError, DataError) as error:
        raise type(error)(f"{path}: {error}") from None


def _parse(path: Path) -> Any:
    if path.suffix not in PARSERS:
        raise DescriptionError(f"expected a file ending in {' or '.join(PARSERS)}")
    try:
        with text(path) as lines:
            return PARSERS[path.suffix](lines.read())
    except (OSError, ValueError) as error:  # UnicodeDecodeError and both parsers' errors are a ValueError
        raise DescriptionError(sentence(error)) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; of two values under one key Python would silently keep the last."""
    table: dict[str, Any] = {}
    for key, value in pairs:
        if key in table:
            raise ValueError(f"key {key!r} stands twice in one table")
        table[key] = value
    return table


def case_from_table(table: Any, folder: Path) -> Case:
    """A case from the table that a file holds: a network's, with a table ``case`` in it."""
    network = table_of(table)
    fields = table_of(network.pop("case", {}), "case")
    if "network" in fields:
        raise DescriptionError("unknown key", "case.network")
    for key in ("data", "init"):
        if isinstance(fields.get(key), dict):
            with at(f"case.{key}"):
                fields[key] = Given.of(fields[key])
    data = fields.get("data")
    if isinstance(data, str) and data.endswith(FILE_TYPES):
        fields["data"] = str(folder / data)
    return decode({"network": from_table(network), **fields}, Case, "case")


def case_to_table(case: Case, folder: Path) -> dict[str, Any]:
    """Inverse of `case_from_table`."""
    fields = {name: getattr(case, name) for name in case.__struct_fields__ if name != "network"}
    if isinstance(case.data, str) and case.data.endswith(FILE_TYPES) and not Path(case.data).is_absolute():
        fields["data"] = os.path.relpath(case.data, folder)
    recipe = {name: dict(value.arrays) if isinstance(value, Given) else value for name, value in fields.items()}
    return {**to_table(case.network), "case": {name: value for name, value in recipe.items() if value is not None}}


def save(case: Case | Network, path: str | os.PathLike[str]) -> None:
    """Write a case or network as ``.toml`` or ``.json``; a data file is named relative to it.

    Raises
    ------
    OutputError
        Where the file exists already, or cannot be written.
    """
    path = Path(path)
    if path.suffix not in WRITERS:
        raise OutputError(f"{path}: expected a name ending in {' or '.join(WRITERS)}")
    if path.exists():
        raise OutputError(f"{path}: exists already")
    table = case_to_table(case, path.parent) if isinstance(case, Case) else to_table(case)
    write(path, WRITERS[path.suffix](table))
