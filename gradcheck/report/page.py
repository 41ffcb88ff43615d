"""Pages from templates: everything that a template is given is text, and is escaped unless it says that it is none."""

import platform
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gradcheck.foundation.wording import printable

SHARED = Path(__file__).with_name("templates")


class Cell(NamedTuple):
    """Of a table: what it says, and its class."""

    text: str
    kind: str = ""


class Table(NamedTuple):
    """Rows under the names of their columns; the first cell names its row."""

    label: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


class Shade(NamedTuple):
    """A cell of a `Grid`: the class of its colour, what it says, and what a pointer is told."""

    kind: str
    text: str
    title: str


class Grid(NamedTuple):
    """Coloured cells, for eyes and for screen readers.

    Attributes
    ----------
    label : str
        What it shows.
    columns, names : sequence of str
        Of its columns and rows; empty where these have none.
    rows : sequence of rows
    kind : str
        Class of the table.
    """

    label: str
    columns: Sequence[str]
    names: Sequence[str]
    rows: Sequence[Sequence[Shade]]
    kind: str = "heat"


def rendered(template: str, folder: Path = SHARED, /, **data: Any) -> str:
    """A whole page, from a template of the folder, which may use those of `SHARED`."""
    installed = [f"{name} {metadata.version(name)}" for name in ("gradcheck", "numpy")]
    versions = ", ".join([*installed, f"Python {platform.python_version()}"])
    return environment(folder).get_template(template).render(versions=versions, **data)


@cache
def environment(folder: Path = SHARED) -> Environment:
    """What templates of the folder are read with."""
    return Environment(
        loader=FileSystemLoader((folder, SHARED)),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _visible(value: Any) -> Any:
    """Applied to whatever a template writes, before it is escaped."""
    return value if isinstance(value, Markup) else printable(str(value))
