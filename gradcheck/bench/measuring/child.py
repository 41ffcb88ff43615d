"""``python -m gradcheck.bench.measuring.child``: the process in which one backend is timed on one case.

It is sent a `Job` and then one call at a time, by name, and has an `Answer` to each, as JSON: that it has loaded, its facts,
seconds. The job's limit ends it where an answer takes longer. What it has to time goes by its role.
"""

import gc
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from timeit import Timer
from typing import Any, NamedTuple, TypeAlias

import msgspec
from msgspec.structs import replace

from gradcheck.bench.measuring import environment, memory, precise
from gradcheck.bench.measuring.job import Answer, Facts, Job
from gradcheck.bench.work.floor import Floor
from gradcheck.bench.work.libraries import limit_threads, own_products
from gradcheck.builds import registry
from gradcheck.builds.protocol import Backend, built
from gradcheck.cases.case import Case
from gradcheck.cases.files import case_from_table
from gradcheck.errors import DescriptionError, GradcheckError, Unsupported
from gradcheck.foundation.arrays import keep_memory
from gradcheck.foundation.calling import one_line, raised
from gradcheck.foundation.processes import LOADING, Parent
from gradcheck.network.layers import Dense
from gradcheck.network.network import Network

VERIFIED = "manual"
FEW = 8  # units and samples
MOST = 1 << 20  # calls in a block

Call: TypeAlias = Callable[[], object]


class Prepared(NamedTuple):
    """Calls that can be timed, what is known before, and the floor where it is one."""

    calls: dict[str, Call]
    facts: Facts = Facts()
    floor: Floor | None = None


def load(job: Job) -> tuple[Backend | None, Case]:
    """Import what the job needs. The backend comes first: it may register the layers that the case has."""
    environment.keep_to(job.threads)
    keep_memory()  # the allocator, not the backend, would give every temporary back to the system
    device, arithmetic = job.settings.device, job.settings.arithmetic
    backend = registry.backend(job.backend, device=device, arithmetic=arithmetic) if job.backend else None
    limit_threads(job.threads)
    return backend, case_from_table(job.case, Path())


def prepare(job: Job, backend: Backend | None, case: Case) -> Prepared:
    """Build, call once, and find out what there is to know."""
    found = ROLES[job.role](job, case) if backend is None else _backend(job, backend, case)
    limit_threads(job.threads)  # a library may have been imported by building
    facts = replace(found.facts, calls=list(found.calls), threadpools=environment.threadpools())
    return found._replace(facts=facts)


def _floor(_job: Job, case: Case) -> Prepared:
    floor = Floor(case)
    floor.run()
    products, activations = floor.only(activations=False), floor.only(activations=True)
    return Prepared({"floor": floor.run, "products": products, "activations": activations}, floor=floor)


def _reference(job: Job, case: Case) -> Prepared:
    try:
        precise.save(Path(job.reference), precise.reference(case))
    except precise.NoReference as reason:
        return Prepared({}, Facts(accuracy_note=str(reason)))
    return Prepared({})


def _verification(_job: Job, case: Case) -> Prepared:
    from gradcheck.verification.verifier import verify

    registry.backend(VERIFIED)  # its import is no memory of the call
    call = partial(verify, case, [VERIFIED])
    with suppress(Exception):
        verify(_small(case), [VERIFIED])
    _, peak = memory.peak(call)
    return Prepared({"verification": call}, Facts(peak_memory=peak))


ROLES = {"floor": _floor, "reference": _reference, "verification": _verification}


def _backend(job: Job, backend: Backend, case: Case) -> Prepared:
    model, parameters, batch = built(backend, case.network), case.parameters, case.batch
    gradient = partial(model.loss_and_gradients, parameters, batch)
    _warm(backend, case)
    answer, peak = memory.peak(gradient)
    accuracy, note = _accuracy(job, answer)
    calls: dict[str, Call] = {"gradient": gradient, "loss": partial(model.loss, parameters, batch)}
    with suppress(DescriptionError):  # the floor says why there are none
        calls |= own_products(case.network, len(batch.inputs), case.dtype)
    return Prepared(calls, Facts(peak_memory=peak, accuracy=accuracy, accuracy_note=note))


def _warm(backend: Backend, case: Case) -> None:
    """Have the backend touch its code: a peak of memory is to count arrays."""
    with suppress(Exception):  # a function that knows one network only
        small = _small(case)
        backend.build(small.network).loss_and_gradients(small.parameters, small.batch)


def _small(case: Case) -> Case:
    """The same layers with a few units each, and a few samples: enough for products of matrices, not of vectors."""
    layers = tuple(Dense(FEW, bias=layer.bias) if isinstance(layer, Dense) else layer for layer in case.network.layers)
    return Case(Network((FEW,), layers, case.network.loss), samples=FEW, dtype=case.dtype)


def _accuracy(job: Job, answer: Any) -> tuple[float | None, str]:
    if not job.reference:
        return None, ""
    try:
        return precise.error(answer[1], precise.read(Path(job.reference))), ""
    except precise.NoReference as reason:
        return None, str(reason)


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
        if name != "verification":  # takes seconds
            call()
        return Answer(seconds=elapsed(call, self._counts[name]) / self._counts[name])


def calibrated(call: Call, seconds: float) -> int:
    """How many calls take about so long."""
    count = 1
    while True:
        took = elapsed(call, count)
        if took >= seconds / 2 or count >= MOST:
            return max(1, min(MOST, round(count * seconds / took)))
        count = min(MOST, max(2 * count, int(count * seconds / max(took, 1e-9) / 2)))


def elapsed(call: Call, count: int) -> float:
    """Seconds of so many calls. The collector of garbage stays on, as it is for whoever trains."""
    return Timer(call, gc.enable).timeit(count)


def main() -> None:
    """Measure what the parent asks for."""
    parent = Parent()
    try:
        _serve(parent)
    except BaseException as error:  # of a backend, whatever it is: it ends this measurement and no other
        said = one_line(error) if isinstance(error, GradcheckError) else raised(error)
        _tell(parent, Answer(error=f"unsupported: {said}" if isinstance(error, Unsupported) else said))
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
