"""A Python file for each cause of what is wrong in a campaign."""

import re
from pathlib import Path

from gradcheck.campaign.results.store import Store
from gradcheck.campaign.results.summary import Failure, Summary
from gradcheck.errors import OutputError
from gradcheck.foundation.writing import write


def write_reproducers(store: Store, summary: Summary, folder: Path) -> list[Path]:
    """Write ``CAUSE-WHERE-BACKEND.py`` into a folder for each failure: of its smallest case, else of the first.

    Raises
    ------
    OutputError
        Where the folder cannot be made or written to, or a file stands there already.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}") from None
    files = {_name(failure): text for failure in summary.failures if (text := _text(store, failure))}
    taken = next((name for name in files if (folder / name).exists()), None)
    if taken:
        raise OutputError(f"{folder / taken}: exists already")
    for name, text in files.items():
        write(folder / name, text)
    return [folder / name for name in files]


def _text(store: Store, failure: Failure) -> str:
    record = failure.smallest or store.record(failure.first)
    return record.reproducer


def _name(failure: Failure) -> str:
    cause = failure.cause
    return re.sub(r"[^\w.-]+", "-", f"{cause.cause}-{cause.where}-{cause.backend}") + ".py"
