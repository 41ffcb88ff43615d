"""Pages from templates: all that a template is given is text, and is escaped unless it says that it is none."""

import platform
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gradcheck.foundation.versions import versions
from gradcheck.foundation.wording import printable

SHARED = Path(__file__).with_name("templates")


def rendered(template: str, folder: Path = SHARED, /, **data: Any) -> str:
    """A whole page, from a template of the folder, which may use those of `SHARED`."""
    found = {**versions(("gradcheck", "numpy")), "Python": platform.python_version()}
    said = ", ".join(map(" ".join, found.items()))
    return environment(folder).get_template(template).render(versions=said, **data)


@cache
def environment(folder: Path = SHARED) -> Environment:
    """What reads the templates of a folder."""
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
