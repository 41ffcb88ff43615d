"""What the tour leaves behind: one page that needs nothing but itself, in a folder that holds nothing of others."""

import re
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

from gradcheck.errors import OutputError
from gradcheck.report.page import rendered
from gradcheck.tour.pictures import MARK
from gradcheck.tour.step import Outcome, Result, Table

INDEX = "index.html"
NAMES = re.compile(r"\d\d-[a-z]+-\d\.png")
HEAD = 4096  # bytes in which the mark stands
TEMPLATES = Path(__file__).with_name("templates")


def to_html(outcomes: Sequence[Outcome], notes: Sequence[str]) -> str:
    """The page."""
    held = all(outcome.held for outcome in outcomes)
    skipped = sum(outcome.result is None for outcome in outcomes)
    return rendered(
        "tour.html",
        TEMPLATES,
        title=f"{MARK}: a neural network and its gradient",
        verdict="correct" if held else "wrong",
        badge="all steps held" if held else "a step did not hold",
        spent=f"{len(outcomes)} steps, {skipped} skipped, {sum(outcome.seconds for outcome in outcomes):.0f} s",
        outcomes=outcomes,
        columns=_columns,
        numbers=_numbers,
        encoded=_encoded,
        notes=notes,
    )


def _columns(table: Table) -> list[tuple[str, str]]:
    first, *rest = table.columns
    return [(first, ""), *((name, "number") for name in rest)]


def _numbers(result: Result) -> list[tuple[str, str]]:
    return [(name, f"{value:.6g}") for name, value in result.numbers.items()]


def _encoded(path: Path) -> str:
    return b64encode(path.read_bytes()).decode()


def prepare(folder: Path) -> None:
    """Make the folder if need be; raises `OutputError` where it cannot be made, or holds what no tour has written."""
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
