"""The parent's side of a child that measures: started, asked, and whatever ends it is one sentence."""

import subprocess
import sys
from contextlib import suppress
from types import TracebackType
from typing import Self

import msgspec

from gradcheck.bench.measuring.child import LOADING
from gradcheck.bench.measuring.environment import of_child
from gradcheck.bench.measuring.job import Answer, Ask, Facts, Job, Step
from gradcheck.campaign.judging.child import DYING, TIMEOUT, how
from gradcheck.errors import GradcheckError


class Lost(GradcheckError):
    """A child that can answer no more, and why."""


class Child:
    """A process for one job. It loads while its parent starts others; close it.

    Parameters
    ----------
    job : Job
    """

    def __init__(self, job: Job) -> None:
        self._limit = LOADING
        self._job = job
        # Without the modules of the folder where it happens to work: -P.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "gradcheck.bench.measuring.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=of_child(job.threads),
        )
        self._send(msgspec.json.encode(job))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def facts(self) -> Facts:
        """Once, before anything else is asked.

        Raises
        ------
        Lost
            As from every question.
        """
        self._answer()
        self._limit = self._job.limit
        facts = self._answer().facts
        assert facts is not None
        return facts

    def seconds(self, call: str) -> float:
        """Of one call, in a block of them."""
        self._send(msgspec.json.encode(Ask(call)))
        seconds = self._answer().seconds
        assert seconds is not None
        return seconds

    def steps(self) -> list[Step]:
        """The floor's parts."""
        self._send(msgspec.json.encode(Ask("split")))
        return self._answer().steps or []

    def close(self) -> int:
        """End the process; the exit code that it had, or has now."""
        assert self._process.stdin is not None
        with suppress(OSError):  # a line that it never read
            self._process.stdin.close()  # on which it ends, if it has not
        try:
            self._process.wait(DYING)
        except subprocess.TimeoutExpired:
            self._process.kill()
        with self._process:
            return self._process.wait()

    def _send(self, line: bytes) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # seen when the answer is missing
            self._process.stdin.write(line + b"\n")
            self._process.stdin.flush()

    def _answer(self) -> Answer:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith(b"{"):
            raise Lost(self._end(line))
        answer = msgspec.json.decode(line, type=Answer)
        if answer.error:
            self.close()
            raise Lost(answer.error)
        return answer

    def _end(self, line: bytes) -> str:
        code = self.close()
        if line.startswith(TIMEOUT):
            return f"no answer within {self._limit:g} s"
        return f"ended its process: {how(code)}"
