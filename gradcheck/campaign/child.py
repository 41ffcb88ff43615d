"""A child process in which backends may do what they like: it is asked about cases, and each backend costs its own alone.

The child, ``python -m gradcheck.campaign.child``, is sent names of backends and then one case at a time with its plan, as
JSON. It loads the backends and says that it is ready, or why not. Of each case it says the record, and whether the process
is as it was before: else the next case has another. The plan's limit ends it where that takes longer.
"""

import json
import os
from collections.abc import Sequence
from contextlib import closing
from functools import cache
from typing import NamedTuple

import msgspec

from gradcheck.builds import registry
from gradcheck.campaign.judging import failed, judge, process_ended, timed_out
from gradcheck.campaign.plan import Plan, Table, name_of
from gradcheck.campaign.results.record import Mistake, Record
from gradcheck.campaign.surroundings import Surroundings
from gradcheck.errors import BackendBroken, BackendError
from gradcheck.foundation.calling import one_line
from gradcheck.foundation.processes import GRACE, LOADING, Ended, Parent, Process, exit_in_words
from gradcheck.verdict.findings import Verdict

MODULE = "gradcheck.campaign.child"  # this one, which has another name in the child
READY, REFUSED = b"ready", b"refused "
LOADS = 5  # processes that may be killed while they load; ten times as many once one has loaded
DEATHS = 3  # of a case, until they are its own: a signal from outside may hit a second time


class Answer(msgspec.Struct):
    """A case's record, and whether the process is as it was before."""

    record: Record
    unchanged: bool


class Known:
    """What children of the same backends need to find out once: that these can be loaded, and which findings are theirs."""

    def __init__(self) -> None:
        self.loaded, self.findings = False, set[str | Mistake]()


class Told(NamedTuple):
    """What one process said of a case, or what its end says."""

    record: Record
    fresh: bool  # it had judged no other case before
    died: bool = False

    @property
    def findings(self) -> set[str | Mistake]:
        """What would be held against a backend; nothing where the case was judged and is not wrong."""
        wrong = self.record.verdict == Verdict.WRONG or not self.record.seconds
        return {self.record.reason, *self.record.causes} if wrong else set()


class Child:
    """A child process that judges cases, one after the other; where one ended it, the next has a new one. Close it."""

    def __init__(self, known: Known | None = None) -> None:
        self._known = known or Known()
        self._backends: tuple[str, ...] = ()
        self._process: Process | None = None
        self._fresh = True

    def judge(self, plan: Plan, table: Table) -> Record:
        """The record of a case, whatever a backend does; raises as `load`.

        What need not be the case's own doing is asked again of a fresh process: its death, and what is wrong as nothing was
        before, which may come of what another case has left behind.
        """
        told, deaths = self._told(plan, table), 0
        while told.died or not (told.fresh or told.findings <= self._known.findings):
            deaths += told.died
            if deaths == DEATHS:
                break
            self.close()
            told = self._told(plan, table)
        self._known.findings |= told.findings
        return told.record

    def load(self, backends: tuple[str, ...]) -> Process:
        """A process that has loaded these backends.

        Raises
        ------
        BackendError
            Where one cannot be had. One process that was killed meanwhile says nothing of that; many do.
        """
        if backends != self._backends:
            self.close()
        loads = 10 * LOADS if self._known.loaded else LOADS
        while self._process is None:
            try:
                self._start(backends)
            except Ended as ended:
                self.close()
                loads -= 1
                if ended.timed_out:
                    raise BackendBroken(f"the backends were not loaded within {LOADING:g} s") from None
                if ended.code >= 0 or not loads:
                    raise BackendBroken(f"loading the backends ended the process: {ended}") from None
        return self._process

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.close()

    def _start(self, backends: tuple[str, ...]) -> None:
        environment = {"OMP_NUM_THREADS": "1", **os.environ}  # processes are the parallelism
        process = self._process = Process(MODULE, environment=environment)
        process.send(json.dumps(backends).encode())
        line = process.receive(LOADING + GRACE)
        if line.startswith(REFUSED):
            self.close()
            raise BackendError(line.removeprefix(REFUSED).decode())
        self._backends, self._fresh, self._known.loaded = backends, True, True

    def _told(self, plan: Plan, table: Table) -> Told:
        process, fresh = self.load(plan.backends), self._fresh
        self._fresh = False
        process.send(json.dumps({"plan": msgspec.to_builtins(plan), "case": table}).encode())
        try:
            answer = _read(process.receive(plan.limit + GRACE), name_of(table), process)
        except Ended as ended:
            self.close()
            if ended.timed_out:
                return Told(timed_out(table, plan.limit), fresh)
            return Told(process_ended(table, exit_in_words(ended.code), ended.said), fresh, died=True)
        if not answer.unchanged:
            self.close()
        return Told(answer.record, fresh)


def _read(line: bytes, name: str, process: Process) -> Answer:
    """An answer about the case of this name; what else a backend has written in its place ends the process."""
    try:
        answer = msgspec.json.decode(line, type=Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        answer = None
    if answer is None or answer.record.name != name:
        raise Ended(process.close(), said="something else was written in the place of an answer")
    return answer


def judge_in_child(plan: Plan, tables: Sequence[Table]) -> list[Record]:
    """A record for each case, in order, from a child process; raises as `Child.load`."""
    with closing(Child(_known(plan.backends))) as child:
        return [child.judge(plan, table) for table in tables]


@cache
def _known(_backends: tuple[str, ...]) -> Known:
    """By one worker of a cluster, from task to task."""
    return Known()


def load_in_child(backends: tuple[str, ...]) -> None:
    """Load backends once, in a child process; raises as `Child.load`, also where one ends its process."""
    with closing(Child()) as child:
        child.load(backends)


def main() -> None:
    """Judge what the parent sends."""
    parent = Parent()
    try:
        with parent.time_limit(LOADING):
            registry.resolve(json.loads(parent.receive()))
    except BackendError as error:
        parent.send(REFUSED + one_line(error).encode("utf-8", "backslashreplace"))
        return
    parent.send(READY)
    usual, first = Surroundings(), True
    while True:
        asked = json.loads(parent.receive())
        plan, table = msgspec.convert(asked["plan"], Plan), asked["case"]
        with parent.time_limit(plan.limit):
            record = _judged(plan, table)
        unchanged = usual.unchanged()
        if first and record.verdict == Verdict.CORRECT and not unchanged:
            usual, unchanged = Surroundings(), True  # libraries do some things when they are first used
        first = False
        parent.send(_line(Answer(record, unchanged), table))


def _judged(plan: Plan, table: Table) -> Record:
    """A record, whatever a backend does short of ending the process."""
    try:
        return judge(plan, table)
    except BackendError as error:  # they had been loaded
        return failed(table, Verdict.UNRESOLVED, f"a backend cannot be had any more: {one_line(error)}")
    except BaseException as error:  # KeyboardInterrupt, CancelledError and the like would end more than the case
        return process_ended(table, type(error).__name__)


def _line(answer: Answer, table: Table) -> bytes:
    try:
        return msgspec.json.encode(answer)
    except Exception as error:  # text that is none
        sentence = f"internal error, please report it: {type(error).__name__}"
        return msgspec.json.encode(Answer(failed(table, Verdict.UNRESOLVED, sentence), answer.unchanged))


if __name__ == "__main__":
    main()
