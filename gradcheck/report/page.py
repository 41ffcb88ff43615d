"""What every page is made of: its frame, tables, lists of terms, and what has made it."""

import platform
from collections.abc import Iterator, Sequence
from html import escape
from importlib import metadata
from typing import TypeAlias

Cell: TypeAlias = tuple[str, str]  # what it says, and its class
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{badge}: {title}</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p><span class="badge {verdict}">{badge}</span> <span class="soft">{spent}</span></p>
</header>
<main>
{main}
</main>
<footer>{versions}</footer>
</body>
</html>
"""


def framed(title: str, verdict: str, badge: str, spent: str, style: str, parts: Sequence[str]) -> str:
    """A whole page; the badge, in a verdict's colour, says how it ended. The parts are HTML, all else is text."""
    page = PAGE.format(
        title=escape(title),
        verdict=verdict,
        badge=escape(badge),
        spent=escape(spent),
        style=style,
        main="\n".join(filter(None, parts)),
        versions=_versions(),
    )
    return page.encode("utf-8", "backslashreplace").decode()  # a name from a file system may hold half a character


def wide(label: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A table that scrolls by itself where the page is narrower; on a small screen each row is a list of its own."""
    head = "".join(f'<th scope="col" class="{kind}">{name}</th>' for name, (_, kind) in zip(columns, rows[0], strict=True))
    body = "\n".join(f"<tr>{''.join(_cells(columns, row))}</tr>" for row in rows)
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{label}"><table class="grid" aria-label="{label}">'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _cells(columns: Sequence[str], row: Sequence[Cell]) -> Iterator[str]:
    """The first one names the row."""
    (name, kind), *rest = row
    yield f'<th scope="row" class="{kind}">{escape(name)}</th>'
    for column, (value, kind) in zip(columns[1:], rest, strict=True):
        yield f'<td class="{kind}" data-label="{column}">{escape(value)}</td>'


def terms(said: Sequence[tuple[str, str]]) -> str:
    """Each with what there is to say of it; those of which there is nothing are left out."""
    items = "".join(f"<dt>{term}</dt><dd>{escape(text)}</dd>" for term, text in said if text)
    return f'<dl class="cause">{items}</dl>'


def listed(title: str, lines: Sequence[str]) -> str:
    """Lines under a heading; nothing where there are none."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<h2>{title}</h2>\n<ul class="notes">{items}</ul>' if lines else ""


def _versions() -> str:
    """What has made the page."""
    installed = [f"{name} {metadata.version(name)}" for name in ("gradcheck", "numpy")]
    return escape(", ".join([*installed, f"Python {platform.python_version()}"]))
