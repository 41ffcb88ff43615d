"""What a child has to time, by its role: calls by name, and what it can say before any clock runs."""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from gradcheck.bench.measuring import environment, memory, precise
from gradcheck.bench.measuring.job import Facts, Job, Role
from gradcheck.bench.work.counts import products
from gradcheck.bench.work.floor import Floor
from gradcheck.builds import registry
from gradcheck.builds.protocol import Backend
from gradcheck.cases.case import Case
from gradcheck.cases.files import case_from_table
from gradcheck.errors import DescriptionError
from gradcheck.foundation.arrays import keep_memory
from gradcheck.network.layers import Dense
from gradcheck.network.network import Network

FEW = 8


class Prepared(NamedTuple):
    """Calls that can be timed, what is known before, and the floor where it is one."""

    calls: dict[str, Callable[[], object]]
    facts: Facts
    floor: Floor | None = None


class Loaded(NamedTuple):
    """A case, and the backend where the role has one."""

    case: Case
    backend: Backend | None


def load(job: Job) -> Loaded:
    """Import what the job needs. The backend comes first: it may register the layers that the case has."""
    environment.keep_to(job.threads)
    keep_memory()  # the allocator, not the backend, would give every temporary back to the system
    backend = registry.backend(job.backend, device=job.device, arithmetic=job.arithmetic) if job.backend else None
    _limit_threads(job.threads)
    return Loaded(case_from_table(job.case, Path()), backend)


def prepare(job: Job, loaded: Loaded) -> Prepared:
    """Build, call once, and find out what there is to know."""
    found = ROLES[job.role](job, loaded)
    _limit_threads(job.threads)  # a library may have been imported by building
    facts = msgspec.structs.replace(found.facts, calls=list(found.calls), threadpools=environment.threadpools())
    return found._replace(facts=facts)


def _floor(_job: Job, loaded: Loaded) -> Prepared:
    floor = Floor(loaded.case)
    floor.run()
    calls: dict[str, Callable[[], object]] = {
        "floor": floor.run,
        "products": floor.only(activations=False),
        "activations": floor.only(activations=True),
    }
    return Prepared(calls, Facts(calls=[]), floor)


def _reference(job: Job, loaded: Loaded) -> Prepared:
    try:
        precise.save(Path(job.reference), precise.reference(loaded.case))
    except precise.NoReference as reason:
        return Prepared({}, Facts(calls=[], accuracy_note=str(reason)))
    return Prepared({}, Facts(calls=[]))


def _backend(job: Job, loaded: Loaded) -> Prepared:
    assert loaded.backend is not None
    case, model = loaded.case, loaded.backend.build(loaded.case.network)
    parameters, batch = case.parameters, case.batch
    _warm(loaded.backend, case)
    answer, peak = memory.peak(lambda: model.loss_and_gradients(parameters, batch))
    accuracy, note = _accuracy(job, answer)
    calls: dict[str, Callable[[], object]] = {
        "gradient": lambda: model.loss_and_gradients(parameters, batch),
        "loss": lambda: model.loss(parameters, batch),
    }
    with suppress(DescriptionError):  # the floor says why there are none
        calls |= _own_products(case, len(batch.inputs))
    return Prepared(calls, Facts(calls=[], peak_memory=peak, accuracy=accuracy, accuracy_note=note))


def _verification(job: Job, loaded: Loaded) -> Prepared:
    from gradcheck.verification.verifier import verify

    def call() -> object:
        return verify(loaded.case, [job.backend])

    with suppress(Exception):
        verify(_small(loaded.case), [job.backend])
    _, peak = memory.peak(call)
    return Prepared({"verification": call}, Facts(calls=[], peak_memory=peak))


ROLES: dict[Role, Callable[[Job, Loaded], Prepared]] = {
    Role.FLOOR: _floor,
    Role.REFERENCE: _reference,
    Role.BACKEND: _backend,
    Role.VERIFICATION: _verification,
}


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


def _own_products(case: Case, samples: int) -> dict[str, Callable[[], object]]:
    """The floor's products with the library that the backend brought along; with NumPy they are the floor's own."""
    if "torch" in sys.modules:
        from gradcheck.bench.work.torch_products import passes
    elif "jax" in sys.modules:
        from gradcheck.bench.work.jax_products import passes
    else:
        return {}
    return {"products": passes(products(case.network, samples), case.dtype)}


def _limit_threads(count: int) -> None:
    if "torch" in sys.modules:
        from gradcheck.bench.work.torch_products import set_threads

        set_threads(count)
