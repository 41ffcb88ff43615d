"""``python -m gradcheck.bench.measuring.child``: the process in which one backend is timed on one case.

It is sent a `Job` and then one call at a time, by name, and has an `Answer` to each, as JSON: that it has loaded, its facts,
seconds. The job's limit ends it where an answer takes longer.
"""

import gc
import os
from collections.abc import Callable
from timeit import Timer

import msgspec

from gradcheck.bench.measuring.calls import Prepared, load, prepare
from gradcheck.bench.measuring.job import Answer, Job
from gradcheck.errors import GradcheckError
from gradcheck.foundation.calling import one_line, raised
from gradcheck.foundation.processes import LOADING, Parent

ONCE = "verification"  # takes seconds: no warm call before each block
MOST = 1 << 20  # calls in a block


class Clock:
    """Blocks of calls, each as long as the job wants, calibrated when a call is first asked for."""

    def __init__(self, prepared: Prepared, seconds: float) -> None:
        self.prepared, self.seconds = prepared, seconds
        self._counts: dict[str, int] = {}

    def answer(self, name: str) -> Answer:
        """Seconds a call in a block of calls, after one that is not timed; of the floor also those of its parts."""
        if name == "split" and self.prepared.floor:
            return Answer(steps=self.prepared.floor.split(self._counts.get("floor", 1)))
        call = self.prepared.calls[name]
        if name not in self._counts:
            self._counts[name] = calibrated(call, self.seconds)
        if name != ONCE:
            call()
        return Answer(seconds=elapsed(call, self._counts[name]) / self._counts[name])


def calibrated(call: Callable[[], object], seconds: float) -> int:
    """How many calls take about so long."""
    count = 1
    while True:
        took = elapsed(call, count)
        if took >= seconds / 2 or count >= MOST:
            return max(1, min(MOST, round(count * seconds / took)))
        count = min(MOST, max(2 * count, int(count * seconds / max(took, 1e-9) / 2)))


def elapsed(call: Callable[[], object], count: int) -> float:
    """Seconds of so many calls. The collector of garbage stays on, as it is for whoever trains."""
    return Timer(call, gc.enable).timeit(count)


def main() -> None:
    """Measure what the parent asks for."""
    parent = Parent()
    try:
        _serve(parent)
    except BaseException as error:  # of a backend, whatever it is: it ends this measurement and no other
        _tell(parent, Answer(error=one_line(error) if isinstance(error, GradcheckError) else raised(error)))
    os._exit(0)  # threads of libraries need no goodbye


def _serve(parent: Parent) -> None:
    job = msgspec.json.decode(parent.receive(), type=Job)
    with parent.time_limit(LOADING):
        loaded = load(job)
    _tell(parent, Answer())
    with parent.time_limit(job.settings.limit):
        prepared = prepare(job, *loaded)
    _tell(parent, Answer(facts=prepared.facts))
    clock = Clock(prepared, job.settings.seconds)
    while True:
        call = parent.receive().decode()
        with parent.time_limit(job.settings.limit):
            answer = clock.answer(call)
        _tell(parent, answer)


def _tell(parent: Parent, answer: Answer) -> None:
    parent.send(msgspec.json.encode(answer))


if __name__ == "__main__":
    main()
