"""Cases judged in a child process, where a backend may do what it likes: whatever it does is a record.

The child, ``python -m gradcheck.campaign.judging.process``, is sent a plan and then one case at a time, as JSON. It loads
the backends and says that it is ready, or why not. Of each case it says the name before it judges it and the record after;
the plan's limit ends it where that takes longer.
"""

import json
import os
from collections.abc import Sequence
from contextlib import closing, suppress

import msgspec

from gradcheck.builds import registry
from gradcheck.campaign.judging.judge import judge_to_json, process_ended, timed_out
from gradcheck.campaign.plan import Plan, Table, name_of
from gradcheck.campaign.results.record import Record
from gradcheck.errors import BackendBroken, BackendError
from gradcheck.foundation.calling import one_line
from gradcheck.foundation.processes import LOADING, Ended, Parent, Process

MODULE = "gradcheck.campaign.judging.process"  # this one, which has another name in the child
READY, REFUSED = b"ready", b"refused "
STARTS = 3  # of processes that end before they begin with a case


class Child:
    """A child process that judges cases of a plan; where one ended it, the next has a new one. Close it."""

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
