"""Judging where a backend may end the process, ``python -m gradcheck.campaign.judging.child``: one for the cases of a plan.

Standard input has a plan and then one case at a time, as lines of JSON. The child loads the backends and says that it is
ready, or why not. Of each case it writes the name before it judges it and the record after. Where a case takes longer than
the plan's limit, `faulthandler.dump_traceback_later` ends it. At the end of its input it ends at once: its parent is gone.
"""

import faulthandler
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from queue import SimpleQueue
from threading import Thread
from typing import IO

import msgspec

from gradcheck.builds import registry
from gradcheck.campaign.judging.judge import failed, judge
from gradcheck.campaign.plan import Plan, Table, name_of
from gradcheck.campaign.results.record import Cause, Record
from gradcheck.errors import BackendBroken, BackendError
from gradcheck.verdict.findings import Verdict

LOADING = 600.0  # seconds that the backends' libraries may take to load; no case pays for them
DYING = 10.0  # seconds that a process may take to end after its last word
READY, REFUSED = b"ready\n", b"refused "
TIMEOUT = b"Timeout ("  # what faulthandler writes first
STARTS = 3  # of processes that end before they begin with a case


class Child:
    """A child process that judges cases; where one ended it, the next has a new one. Close it.

    Parameters
    ----------
    plan : Plan
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._process: subprocess.Popen[bytes] | None = None

    def judge(self, table: Table) -> Record:
        """The record of a case, whatever a backend does.

        Raises
        ------
        BackendError
            Where a backend cannot be had.
        """
        line = self._asked(json.dumps(table).encode())
        if line.startswith(b"{"):
            return msgspec.json.decode(line, type=Record)
        code = self.close()
        if line.startswith(REFUSED):
            raise _refusal(line)
        return hung(table, self._plan.limit) if line.startswith(TIMEOUT) else died(table, code)

    def load(self) -> None:
        """Have a process that has loaded the backends; raises as `judge`."""
        if self._process is None:
            self._process = _started()
            line = self._answer(msgspec.json.encode(self._plan))
            if line != READY:
                code = self.close()
                raise _refusal(line) if line.startswith(REFUSED) else BackendBroken(_unloaded(line, code))

    def close(self) -> int:
        """End the process; the exit code that it had, or has now."""
        process, self._process = self._process, None
        if process is None:
            return 0
        assert process.stdin is not None
        with suppress(OSError):  # a line that it never read
            process.stdin.close()  # on which it ends, if it has not
        try:
            process.wait(DYING)
        except subprocess.TimeoutExpired:
            process.kill()
        with process:
            return process.wait()

    def _asked(self, line: bytes) -> bytes:
        """What it answers to a case; nothing where that ended it. It is asked again where it ended before it had begun."""
        for _ in range(STARTS):
            self.load()
            if self._answer(line):
                break
            self.close()
        return self._answer()

    def _answer(self, line: bytes = b"") -> bytes:
        """Its next whole line, once it was sent one; nothing where it ended."""
        if self._process is None:
            return b""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):  # seen below
            self._process.stdin.write(line + b"\n" if line else b"")
            self._process.stdin.flush()
        found = self._process.stdout.readline()
        return found if found.endswith(b"\n") else b""


def judge_apart(plan: Plan, tables: Sequence[Table]) -> list[Record]:
    """A record for each case, in order, from a child process.

    Raises
    ------
    BackendError
        Where a backend cannot be had.
    """
    with closing(Child(plan)) as child:
        return [child.judge(table) for table in tables]


def loaded(backends: tuple[str, ...]) -> None:
    """Load backends once, apart.

    Raises
    ------
    BackendError
        Where one cannot be had, or ends its process.
    """
    with closing(Child(Plan(backends=backends))) as child:
        child.load()


def answer(plan: Plan, table: Table) -> bytes:
    """A case's record as JSON, in the process of the backends. Every pool has it made here, and so none differs.

    Raises
    ------
    BackendError
        Where a backend cannot be had.
    """
    try:
        return msgspec.json.encode(judge(plan, table))
    except BackendError:
        raise
    except Exception as error:  # text that is none
        sentence = f"internal error, please report it: {type(error).__name__}"
        return msgspec.json.encode(failed(table, Verdict.UNRESOLVED, sentence))
    except BaseException as error:  # KeyboardInterrupt, CancelledError and the like would end more than the case
        return msgspec.json.encode(ended(table, type(error).__name__))


def hung(table: Table, limit: float) -> Record:
    """Of a case that was not finished in time."""
    return failed(table, Verdict.UNRESOLVED, f"not finished within {limit:g} s", [Cause("-", "hung", "process")])


def died(table: Table, code: int) -> Record:
    """Of a case that ended its process."""
    return ended(table, how(code))


def ended(table: Table, what: str) -> Record:
    """Of a case that ended its process, or would have."""
    return failed(table, Verdict.WRONG, f"a backend ended the process: {what}", [Cause("-", "died", what)])


def how(code: int) -> str:
    """An exit code in words."""
    return f"signal {signal.Signals(-code).name}" if -code in set(signal.Signals) else f"exit code {code}"


def _started() -> "subprocess.Popen[bytes]":
    """With the modules of this process within reach, and without those of the folder where it happens to work."""
    command = [sys.executable, "-P", "-m", "gradcheck.campaign.judging.child"]
    threads = {"OMP_NUM_THREADS": "1"}  # processes are the parallelism
    path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment = {**threads, **os.environ, **path}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)


def _refusal(line: bytes) -> BackendError:
    return BackendError(line.removeprefix(REFUSED).decode().strip())


def _unloaded(answer: bytes, code: int) -> str:
    if answer.startswith(TIMEOUT):
        return f"the backends were not loaded within {LOADING:g} s"
    return f"loading the backends ended the process: {how(code)}"


def main() -> None:
    """Judge what stands on standard input."""
    asked: SimpleQueue[bytes] = SimpleQueue()
    answers = os.dup(1)
    os.dup2(2, 1)  # what backends print
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the interrupt of a terminal is the parent's affair
    Thread(target=_listen, args=(os.fdopen(os.dup(0), "rb"), asked), daemon=True).start()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    plan = msgspec.json.decode(asked.get(), type=Plan)
    with os.fdopen(answers, "wb") as file:
        faulthandler.dump_traceback_later(LOADING, exit=True, file=file)
        try:
            registry.resolve(plan.backends)
            faulthandler.cancel_dump_traceback_later()
            _tell(file, READY)
            while True:
                _judge(plan, json.loads(asked.get()), file)
        except BackendError as error:
            _tell(file, REFUSED + " ".join(str(error).split()).encode("utf-8", "backslashreplace") + b"\n")


def _judge(plan: Plan, table: Table, answers: "IO[bytes]") -> None:
    _tell(answers, name_of(table).encode() + b"\n")
    faulthandler.dump_traceback_later(plan.limit, exit=True, file=answers)
    record = answer(plan, table)
    faulthandler.cancel_dump_traceback_later()
    _tell(answers, record + b"\n")


def _tell(answers: "IO[bytes]", line: bytes) -> None:
    answers.write(line)
    answers.flush()


def _listen(lines: "IO[bytes]", asked: "SimpleQueue[bytes]") -> None:
    for line in lines:
        asked.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
