"""One case in, one record out, whatever a backend does to its process: here, or in a child in which it may do what it likes.

The child, ``python -m gradcheck.campaign.judging``, is sent a plan and then one case at a time, as JSON. It loads the
backends and says that it is ready, or why not. Of each case it says the name before it judges it and the record after; the
plan's limit ends it where that takes longer.
"""

import json
import os
import re
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from math import isfinite
from pathlib import Path
from typing import cast

import msgspec

from gradcheck.builds import registry
from gradcheck.campaign.plan import Plan, Table, name_of
from gradcheck.campaign.results.record import Mistake, Record
from gradcheck.campaign.tables import ReportTable
from gradcheck.cases.files import case_from_table
from gradcheck.errors import BackendBroken, BackendError
from gradcheck.foundation.calling import one_line
from gradcheck.foundation.processes import LOADING, Ended, Parent, Process
from gradcheck.foundation.writing import encodable
from gradcheck.report import Report
from gradcheck.verdict.findings import Verdict
from gradcheck.verification.verifier import verify

MODULE = "gradcheck.campaign.judging"  # this one, which has another name in the child
READY, REFUSED = b"ready", b"refused "
STARTS = 3  # of processes that end before they begin with a case
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


def process_ended(table: Table, ending: str) -> Record:
    """The record of a case that ended its process, or would have."""
    return failed(table, Verdict.WRONG, f"a backend ended the process: {ending}", [Mistake("-", "died", ending)])


def judge_to_json(plan: Plan, table: Table) -> bytes:
    """A case's record as JSON, in the process of the backends; raises as `judge`. Every pool has it made here."""
    try:
        return msgspec.json.encode(judge(plan, table))
    except BackendError:
        raise
    except Exception as error:  # text that is none
        sentence = f"internal error, please report it: {type(error).__name__}"
        return msgspec.json.encode(failed(table, Verdict.UNRESOLVED, sentence))
    except BaseException as error:  # KeyboardInterrupt, CancelledError and the like would end more than the case
        return msgspec.json.encode(process_ended(table, type(error).__name__))


def _record(table: Table, report: Report, seconds: float) -> Record:
    return Record(
        name=name_of(table),
        case=table,
        verdict=report.verdict,
        reason=_reason(report),
        ratios=_ratios(report),
        seconds=seconds,
        evaluations=report.evaluations + report.diagnosis_evaluations,
        causes=tuple(dict.fromkeys(map(Mistake.of, report.diagnoses))),
        report=cast("ReportTable", encodable(report.to_table())) if report.verdict is Verdict.WRONG else None,
    )


def _reason(report: Report) -> str:
    """Why not correct, of the first block with the report's verdict; without numbers, so that like is counted with like."""
    if report.verdict is Verdict.CORRECT:
        return ""
    first = next(finding for finding in report.findings if finding.verdict is report.verdict)
    # An exception's text may hold half of a surrogate pair, which no file of text can.
    return NUMBER.sub("…", first.reason).encode("utf-8", "backslashreplace").decode()


def _ratios(report: Report) -> dict[str, float]:
    """Errors where there is a derivative: on a kink they say which convention a build has."""
    ratios: dict[str, float] = {}
    for finding in report.findings:
        if isfinite(finding.ratio) and finding.verdict is not Verdict.NONSMOOTH and finding.backend != "-":
            ratios[finding.backend] = max(ratios.get(finding.backend, 0.0), finding.ratio)
    return ratios


class Child:
    """A child process that judges cases of a plan; where one ended it, the next has a new one. Close it."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._process: Process | None = None

    def judge(self, table: Table) -> Record:
        """The record of a case, whatever a backend does; raises as `judge`."""
        try:
            return msgspec.json.decode(self._answer(self._begun(json.dumps(table).encode())), type=Record)
        except Ended as ended:
            self.close()
            return timed_out(table, self._plan.limit) if ended.timed_out else process_ended(table, str(ended))

    def load(self) -> Process:
        """A process that has loaded the backends; raises as `judge`."""
        if self._process is None:
            environment = {"OMP_NUM_THREADS": "1", **os.environ}  # processes are the parallelism
            self._process = Process(MODULE, environment=environment)
            self._process.send(msgspec.json.encode(self._plan))
            try:
                self._answer(self._process)
            except Ended as ended:
                self.close()
                late, dead = f"the backends were not loaded within {LOADING:g} s", "loading the backends ended the process"
                raise BackendBroken(late if ended.timed_out else f"{dead}: {ended}") from None
        return self._process

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.close()

    def _begun(self, case: bytes) -> Process:
        """A process that has begun with a case, one of a few: that one ends before is no fault of the case."""
        for _ in range(STARTS - 1):
            with suppress(Ended):
                return self._sent(case)
            self.close()
        return self._sent(case)

    def _sent(self, case: bytes) -> Process:
        process = self.load()
        process.send(case)
        process.receive()  # its name
        return process

    def _answer(self, process: Process) -> bytes:
        line = process.receive()
        if line.startswith(REFUSED):
            self.close()
            raise BackendError(line.removeprefix(REFUSED).decode())
        return line


def judge_in_child(plan: Plan, tables: Sequence[Table]) -> list[Record]:
    """A record for each case, in order, from a child process; raises as `Child.judge`."""
    with closing(Child(plan)) as child:
        return [child.judge(table) for table in tables]


def load_in_child(backends: tuple[str, ...]) -> None:
    """Load backends once, in a child process; raises as `Child.judge`, also where one ends its process."""
    with closing(Child(Plan(backends=backends))) as child:
        child.load()


def main() -> None:
    """Judge what the parent sends."""
    parent = Parent()
    plan = msgspec.json.decode(parent.receive(), type=Plan)
    try:
        with parent.time_limit(LOADING):
            registry.resolve(plan.backends)
        parent.send(READY)
        while True:
            table = json.loads(parent.receive())
            parent.send(name_of(table).encode())
            with parent.time_limit(plan.limit):
                record = judge_to_json(plan, table)
            parent.send(record)
    except BackendError as error:
        parent.send(REFUSED + one_line(error).encode("utf-8", "backslashreplace"))


if __name__ == "__main__":
    main()
