"""The parent's side of a child process that measures: whatever ends it is one sentence."""

import msgspec

from gradcheck.bench.measuring import child
from gradcheck.bench.measuring.environment import of_child
from gradcheck.bench.measuring.job import Answer, Facts, Job
from gradcheck.bench.work.counts import Step
from gradcheck.errors import GradcheckError
from gradcheck.foundation.processes import LOADING, Ended, Process


class Lost(GradcheckError):
    """A child that can answer no more, and why."""


class Child:
    """A process for one job. It loads while its parent starts others; close it.

    Parameters
    ----------
    job : Job
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._process = Process(child.__name__, environment=of_child(job.threads))
        self._process.send(msgspec.json.encode(job))

    def facts(self) -> Facts:
        """What it found out before any clock runs: once, before anything else is asked.

        Raises
        ------
        Lost
            As from every question.
        """
        self._answer(LOADING)
        facts = self._answer(self._job.limit).facts
        assert facts is not None
        return facts

    def seconds(self, call: str) -> float:
        """Of one call, in a block of them."""
        seconds = self._ask(call).seconds
        assert seconds is not None
        return seconds

    def steps(self) -> list[Step]:
        """The floor's parts."""
        return self._ask("split").steps or []

    def close(self) -> None:
        """End the process."""
        self._process.close()

    def _ask(self, call: str) -> Answer:
        self._process.send(call.encode())
        return self._answer(self._job.limit)

    def _answer(self, limit: float) -> Answer:
        try:
            answer = msgspec.json.decode(self._process.receive(), type=Answer)
        except Ended as ended:
            raise Lost(f"no answer within {limit:g} s" if ended.timed_out else f"ended its process: {ended}") from None
        if answer.error:
            raise Lost(answer.error)
        return answer
