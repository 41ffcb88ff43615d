"""One case in, one record out; what nobody could finish judging has a record, too."""

import re
import time
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import cast

from gradcheck.campaign.plan import Plan, Table, name_of
from gradcheck.campaign.results.record import UNSUPPORTED, Mistake, Record
from gradcheck.campaign.tables import ReportTable
from gradcheck.cases.files import case_from_table
from gradcheck.errors import BackendError
from gradcheck.foundation.writing import encodable
from gradcheck.report import Report
from gradcheck.verdict.findings import Verdict
from gradcheck.verification.verifier import verify

NUMBER = re.compile(r"[-+]?\d[\d.]*(?:e[-+]?\d+)?")


def judge(plan: Plan, table: Table) -> Record:
    """Verify one case, given as a table.

    Raises
    ------
    BackendError
        Where a backend cannot be had. What else goes wrong is a record.
    """
    start = time.perf_counter()
    try:
        report = verify(case_from_table(table, Path()), plan.backends)
    except BackendError:
        raise
    except Exception as error:  # one case must not end the campaign
        return failed(table, Verdict.UNRESOLVED, f"internal error, please report it: {type(error).__name__}: {error}")
    return _record(table, report, time.perf_counter() - start)


def failed(table: Table, verdict: Verdict, reason: str, causes: Sequence[Mistake] = ()) -> Record:
    """The record of a case that nobody could finish judging."""
    return Record(name=name_of(table), case=table, verdict=verdict, reason=reason, causes=tuple(causes))


def timed_out(table: Table, limit: float) -> Record:
    """The record of a case that was not judged in time."""
    return failed(table, Verdict.UNRESOLVED, f"not finished within {limit:g} s", [Mistake("-", "hung", "process")])


def process_ended(table: Table, ending: str, said: str = "") -> Record:
    """The record of a case that ended its process, or would have, and what the process said last."""
    reason = f"a backend ended the process: {ending}{said and f': {_alike(said)}'}"
    return failed(table, Verdict.WRONG, reason, [Mistake("-", "died", ending)])


def _record(table: Table, report: Report, seconds: float) -> Record:
    return Record(
        name=name_of(table),
        case=table,
        verdict=report.verdict,
        reason=_reason(report),
        ratios=_ratios(report),
        seconds=seconds,
        evaluations=report.evaluations + report.diagnosis_evaluations,
        causes=tuple(dict.fromkeys((*map(Mistake.of, report.diagnoses), *_unsupported(report)))),
        report=cast("ReportTable", encodable(report.to_table())) if report.verdict is Verdict.WRONG else None,
    )


def _unsupported(report: Report) -> list[Mistake]:
    return [Mistake(backend, UNSUPPORTED, _alike(reason)) for backend, reason in report.unsupported.items()]


def _reason(report: Report) -> str:
    """Why not correct, of the first block with the report's verdict; without numbers, so that like is counted with like."""
    if report.verdict is Verdict.CORRECT:
        return ""
    first = next(finding for finding in report.findings if finding.verdict is report.verdict)
    return _alike(first.reason)


def _alike(text: str) -> str:
    # An exception's text may hold half of a surrogate pair, which no file of text can.
    return NUMBER.sub("…", text).encode("utf-8", "backslashreplace").decode()


def _ratios(report: Report) -> dict[str, float]:
    """Errors in units of a bound that means something: on a kink they say which convention a build has.

    What is beyond a bound and unresolved is beyond one that is too coarse to be trusted.
    """
    ratios: dict[str, float] = {}
    for finding in report.findings:
        coarse = finding.verdict is Verdict.UNRESOLVED and finding.ratio > 1
        silent = finding.verdict in (Verdict.NONSMOOTH, Verdict.UNSUPPORTED) or finding.backend == "-"
        if isfinite(finding.ratio) and not silent and not coarse:
            ratios[finding.backend] = max(ratios.get(finding.backend, 0.0), finding.ratio)
    return ratios
