"""What a child has to time, by its role: calls by name, and what it can say before any clock runs."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from msgspec.structs import replace

from gradcheck.bench.measuring import environment, memory, precise
from gradcheck.bench.measuring.job import Facts, Job, Role
from gradcheck.bench.work.floor import Floor
from gradcheck.bench.work.libraries import limit_threads, own_products
from gradcheck.builds import registry
from gradcheck.builds.protocol import Backend
from gradcheck.cases.case import Case
from gradcheck.cases.files import case_from_table
from gradcheck.errors import DescriptionError
from gradcheck.foundation.arrays import keep_memory
from gradcheck.network.layers import Dense
from gradcheck.network.network import Network

FEW = 8
VERIFIED = "manual"

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

    def call() -> object:
        return verify(case, [VERIFIED])

    with suppress(Exception):
        verify(_small(case), [VERIFIED])
    _, peak = memory.peak(call)
    return Prepared({"verification": call}, Facts(peak_memory=peak))


ROLES: dict[Role, Callable[[Job, Case], Prepared]] = {
    "floor": _floor,
    "reference": _reference,
    "verification": _verification,
}


def _backend(job: Job, backend: Backend, case: Case) -> Prepared:
    model, parameters, batch = backend.build(case.network), case.parameters, case.batch

    def gradient() -> Any:
        return model.loss_and_gradients(parameters, batch)

    _warm(backend, case)
    answer, peak = memory.peak(gradient)
    accuracy, note = _accuracy(job, answer)
    calls: dict[str, Call] = {"gradient": gradient, "loss": lambda: model.loss(parameters, batch)}
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
