"""``python -m gradcheck.bench.measuring.child``: the process in which one backend is timed on one case.

Standard input has a `Job` and then one `Ask` at a time, as lines of JSON; standard output an `Answer` to each: that it has
loaded, its facts, and then seconds. Where an answer takes longer than the job's limit, `faulthandler` ends the process. At
the end of its input it ends.
"""

import faulthandler
import itertools
import os
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO

import msgspec

from gradcheck.bench.measuring.calls import Subject, load, subject
from gradcheck.bench.measuring.job import Answer, Ask, Job, Step
from gradcheck.errors import GradcheckError

LOADING = 600.0  # seconds that libraries may take to load
ONCE = "verification"  # takes seconds: no warm call before each block
MOST = 1 << 20  # calls in a block
HOME = Path(__file__).parents[1]


class Clock:
    """Blocks of calls, each as long as the job wants, calibrated when a call is first asked for."""

    def __init__(self, subject: Subject, seconds: float) -> None:
        self.subject, self.seconds = subject, seconds
        self._counts: dict[str, int] = {}

    def answer(self, name: str) -> Answer:
        """Seconds a call in a block of calls, after one that is not timed; of the floor also those of its parts."""
        if name == "split":
            return Answer(steps=self._split())
        call = self.subject.calls[name]
        if name not in self._counts:
            self._counts[name] = calibrated(call, self.seconds)
        if name != ONCE:
            call()
        return Answer(seconds=elapsed(call, self._counts[name]) / self._counts[name])

    def _split(self) -> list[Step]:
        floor = self.subject.floor
        return floor.split(self._counts.get("floor", 1)) if floor else []


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
    start = time.perf_counter()
    for _ in itertools.repeat(None, count):
        call()
    return time.perf_counter() - start


def sentence(error: BaseException) -> str:
    """What went wrong, and in which line where it is not ours."""
    text = " ".join(str(error).split())
    if isinstance(error, GradcheckError):
        return text
    frame = traceback.extract_tb(error.__traceback__)[-1]
    file = Path(frame.filename)
    where = "" if file.is_relative_to(HOME) else f" ({file.name}:{frame.lineno})"
    return f"raised {type(error).__name__}: {text or 'without a message'}{where}"


def main() -> None:
    """Measure what standard input asks for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the interrupt of a terminal is the parent's affair
    asks, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what backends print
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        _serve(asks, answers)
    except BaseException as error:  # of a backend, whatever it is: it ends this measurement and no other
        _tell(answers, Answer(error=sentence(error)))
    answers.close()
    os._exit(0)  # threads of libraries need no goodbye


def _serve(asks: "IO[bytes]", answers: "IO[bytes]") -> None:
    job = msgspec.json.decode(asks.readline(), type=Job)
    faulthandler.dump_traceback_later(LOADING, exit=True, file=answers)
    loaded = load(job)
    _tell(answers, Answer(loaded=True))
    faulthandler.dump_traceback_later(job.limit, exit=True, file=answers)
    found = subject(job, loaded)
    faulthandler.cancel_dump_traceback_later()
    _tell(answers, Answer(facts=found.facts))
    clock = Clock(found, job.seconds)
    for line in asks:
        faulthandler.dump_traceback_later(job.limit, exit=True, file=answers)
        answer = clock.answer(msgspec.json.decode(line, type=Ask).call)
        faulthandler.cancel_dump_traceback_later()
        _tell(answers, answer)


def _tell(answers: "IO[bytes]", answer: Answer) -> None:
    answers.write(msgspec.json.encode(answer) + b"\n")
    answers.flush()


if __name__ == "__main__":
    main()
