"""The parent's side of a child process that judges: whatever a backend does to it is a record."""

import json
import os
from collections.abc import Sequence
from contextlib import closing, suppress

import msgspec

from gradcheck.campaign.judging import child
from gradcheck.campaign.judging.judge import process_ended, timed_out
from gradcheck.campaign.plan import Plan, Table
from gradcheck.campaign.results.record import Record
from gradcheck.errors import BackendBroken, BackendError
from gradcheck.foundation.processes import LOADING, Ended, Process

STARTS = 3  # of processes that end before they begin with a case


class Child:
    """A child process that judges cases; where one ended it, the next has a new one. Close it.

    Parameters
    ----------
    plan : Plan
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._process: Process | None = None

    def judge(self, table: Table) -> Record:
        """The record of a case, whatever a backend does.

        Raises
        ------
        BackendError
            Where a backend cannot be had.
        """
        try:
            return msgspec.json.decode(self._answer(self._begun(json.dumps(table).encode())), type=Record)
        except Ended as ended:
            self.close()
            return timed_out(table, self._plan.limit) if ended.timed_out else process_ended(table, str(ended))

    def load(self) -> Process:
        """A process that has loaded the backends; raises as `judge`."""
        if self._process is None:
            environment = {"OMP_NUM_THREADS": "1", **os.environ}  # processes are the parallelism
            self._process = Process(child.__name__, environment=environment)
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
        if line.startswith(child.REFUSED):
            self.close()
            raise BackendError(line.removeprefix(child.REFUSED).decode())
        return line


def judge_in_child(plan: Plan, tables: Sequence[Table]) -> list[Record]:
    """A record for each case, in order, from a child process.

    Raises
    ------
    BackendError
        Where a backend cannot be had.
    """
    with closing(Child(plan)) as judge:
        return [judge.judge(table) for table in tables]


def load_in_child(backends: tuple[str, ...]) -> None:
    """Load backends once, in a child process.

    Raises
    ------
    BackendError
        Where one cannot be had, or ends its process.
    """
    with closing(Child(Plan(backends=backends))) as judge:
        judge.load()
