"""What the tour leaves behind: one page that needs nothing but itself, in a folder that holds nothing of others."""

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

from gradcheck.errors import OutputError
from gradcheck.report.page import framed, listed, wide
from gradcheck.report.style import STYLE
from gradcheck.tour.pictures import MARK
from gradcheck.tour.run import Outcome
from gradcheck.tour.step import Table

INDEX = "index.html"
NAMES = re.compile(r"\d\d-[a-z]+-\d\.png")
HEAD = 4096  # bytes in which the mark stands
OWN = """
.formula { font-family: "STIX Two Text", "Cambria Math", Georgia, serif; font-size: 1.1rem; margin: .5rem 0; }
figure { margin: 1rem 0; } figure img { background: #ffffff; height: auto; max-width: 100%; }
figcaption { color: var(--soft); font-size: .875rem; }
.figure { font-weight: 600; }
"""


def to_html(outcomes: Sequence[Outcome], notes: Sequence[str]) -> str:
    """The page."""
    held = all(outcome.held for outcome in outcomes)
    skipped = sum(outcome.result is None for outcome in outcomes)
    badge = "all steps held" if held else "a step did not hold"
    spent = f"{len(outcomes)} steps, {skipped} skipped, {sum(outcome.seconds for outcome in outcomes):.0f} s"
    parts = ["\n".join(_section(outcome)) for outcome in outcomes]
    kind = "correct" if held else "wrong"
    return framed(
        f"{MARK}: a neural network and its gradient", kind, badge, spent, STYLE + OWN, [*parts, listed("Notes", notes)]
    )


def _section(outcome: Outcome) -> Iterator[str]:
    step, result = outcome.step, outcome.result
    yield f'<section id="{step.name}"><h2>{outcome.number}. {escape(step.title)}</h2>\n<p class="formula">{step.formula}</p>'
    if result is None:
        yield f'<p class="soft">skipped: {escape(outcome.skipped)}</p>'
    else:
        yield f'<p class="figure {"" if result.held else "wrong"}">{escape(outcome.said)}</p>'
        yield f"<p>{escape(result.detail)}</p>" if result.detail else ""
        yield _table(step.title, result.table) if result.table else ""
        yield _numbers(result.numbers) if result.numbers else ""
        yield from (_picture(path, picture.caption) for path, picture in zip(outcome.files, result.pictures, strict=False))
    yield "</section>"


def _table(title: str, table: Table) -> str:
    rows = [[(cell, "number" if index else "") for index, cell in enumerate(row)] for row in table.rows]
    return wide(escape(title, quote=True), [escape(column) for column in table.columns], rows)


def _numbers(numbers: Mapping[str, float]) -> str:
    rows = [((name, ""), (f"{value:.6g}", "number")) for name, value in numbers.items()]
    return f"<details><summary>numbers</summary>{wide('numbers', ('what', 'value'), rows)}</details>"


def _picture(path: Path, caption: str) -> str:
    shown = b64encode(path.read_bytes()).decode()
    said = escape(caption, quote=True)
    return f'<figure><img alt="{said}" src="data:image/png;base64,{shown}"><figcaption>{said}</figcaption></figure>'


def prepare(folder: Path) -> None:
    """Make the folder, where there is none.

    Raises
    ------
    OutputError
        Where it holds what no tour has written, or cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        foreign = next((path.name for path in sorted(folder.iterdir()) if not _is_ours(path)), None)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made or read: {error.strerror or error}") from None
    if foreign is not None:
        raise OutputError(f"{folder}: holds {foreign}, which no tour has written: give another folder with --out")


def _is_ours(path: Path) -> bool:
    """By name, and by the mark that every file of a tour has in it."""
    if path.is_symlink() or not path.is_file() or not (path.name == INDEX or NAMES.fullmatch(path.name)):
        return False
    with path.open("rb") as stream:
        return MARK.encode() in stream.read(HEAD)
