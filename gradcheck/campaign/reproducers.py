"""A Python file for each cause of what is wrong in a campaign, made of a case and a plan: no text of a store is run."""

import hashlib
import re
from pathlib import Path

import msgspec

from gradcheck.campaign.plan import Plan
from gradcheck.campaign.results.record import Mistake, Record
from gradcheck.campaign.results.summary import Summary
from gradcheck.campaign.tables import to_case
from gradcheck.errors import OutputError
from gradcheck.foundation.writing import write
from gradcheck.report.reproducer.file import text
from gradcheck.verdict.findings import Finding, Verdict
from gradcheck.verdict.outcome import Call, Outcome, Recipe
from gradcheck.verification.verifier import verify

SAFE = re.compile(r"[^A-Za-z0-9_-]+")  # what no file system reads as anything but a name, or a shell as an option
LONGEST = 80  # letters of a name


def write_reproducers(summary: Summary, folder: Path) -> list[Path]:
    """Write ``CAUSE-WHERE-BACKEND.py`` into a folder for each failure: of its smallest case, else of the first.

    Raises
    ------
    DescriptionError, DataError
        Where a case is none; nothing is written.
    OutputError
        Where the folder cannot be made or written to, or a file stands there already.
    """
    files = _named({failure.cause: source for failure in summary.failures if (source := reproducer(failure.shown, summary))})
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}") from None
    taken = next((name for name in files if (folder / name).exists()), None)
    if taken:
        raise OutputError(f"{folder / taken}: exists already")
    for name, source in files.items():
        write(folder / name, source)
    return [folder / name for name in files]


def reproducer(record: Record | None, summary: Summary) -> str:
    """The file for a record, as of a report that was just found; empty where a case ended its process.

    Raises
    ------
    DescriptionError, DataError
        Where the case is none.
    """
    if record is None or record.report is None:
        return ""
    case, backends = to_case(record.case), _asked(record, summary.plan)
    report = Outcome(
        title="",
        findings=tuple(
            Finding(name=each["name"], backend=each["backend"], verdict=Verdict(each["verdict"]))
            for each in record.report["findings"]
        ),
        diagnoses=tuple(record.diagnoses),
        recipe=Recipe(Call(verify, (case, backends), {})),
    )
    return text(report, _finders(summary))


def _asked(record: Record, plan: Plan) -> list[str]:
    """The backends whose findings a record has: a case is made small with one of them."""
    answered = {finding["backend"] for finding in record.report["findings"]} if record.report else set[str]()
    return [name for name in plan.backends if name.rpartition(":")[2] in answered] or list(plan.backends)


def _finders(summary: Summary) -> str:
    """Which libraries judged the cases, run by run."""
    runs = (", ".join(f"{name} {version}" for name, version in libraries.items()) for libraries in summary.versions)
    return "a campaign with " + "; ".join(dict.fromkeys(runs))


def _named(sources: dict[Mistake, str]) -> dict[str, str]:
    """By file name: what a mistake is called, where that is a name; else as much of it as is, and a hash."""
    files: dict[str, str] = {}
    for mistake, source in sources.items():
        called = f"{mistake.cause}-{mistake.where}-{mistake.backend}"
        name = SAFE.sub("-", called).strip("-")[:LONGEST]
        if name != called or f"{name}.py".lower() in map(str.lower, files):
            name = f"{name or 'case'}-{_hash(mistake)}"
        files[f"{name}.py"] = source
    return files


def _hash(mistake: Mistake) -> str:
    return hashlib.blake2b(msgspec.json.encode(mistake), digest_size=8).hexdigest()
