"""A Python file for each cause of what is wrong in a campaign."""

import re
from pathlib import Path

from gradcheck.campaign.results.record import Mistake
from gradcheck.campaign.results.summary import Summary
from gradcheck.errors import OutputError
from gradcheck.foundation.writing import write


def write_reproducers(summary: Summary, folder: Path) -> list[Path]:
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
    shown = ((failure.cause, failure.shown) for failure in summary.failures)
    files = {_name(cause): record.reproducer for cause, record in shown if record and record.reproducer}
    taken = next((name for name in files if (folder / name).exists()), None)
    if taken:
        raise OutputError(f"{folder / taken}: exists already")
    for name, text in files.items():
        write(folder / name, text)
    return [folder / name for name in files]


def _name(mistake: Mistake) -> str:
    return re.sub(r"[^\w.-]+", "-", f"{mistake.cause}-{mistake.where}-{mistake.backend}") + ".py"
