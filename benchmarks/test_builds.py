"""The cases of ``gradcheck bench`` under pytest-benchmark: ``pytest benchmarks/test_builds.py``.

No test here can fail on a slow machine: ratios over the floor are printed at the end, and nothing is asserted of time.
``gradcheck bench --compare OLD.json`` is what compares with a recorded run. Here one backend runs after the other, so a
busy machine shows; there they take turns.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import gradcheck
from gradcheck.bench.cases import Grid, Point, kind, standard
from gradcheck.bench.work.floor import Floor

POINTS = {point.name: point for point in standard(kind("arctan", "logistic"), Grid(), seed=0)}
BACKENDS = [status.name for status in gradcheck.installed() if status.version]
Medians = dict[tuple[str, str], float]


@pytest.fixture(scope="module")
def medians(request: pytest.FixtureRequest) -> Iterator[Medians]:
    """Seconds by case and build; written out as ratios in the end."""
    seconds: Medians = {}
    yield seconds
    capture: Any = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print()
        for (case, build), each in seconds.items():
            floor = seconds.get((case, "floor"))
            print(f"{case:16s} {build:10s} {each * 1e3:10.3f} ms", f"{each / floor:8.2f} x floor" if floor else "")


@pytest.fixture(params=POINTS)
def point(request: pytest.FixtureRequest) -> Point:
    """Each of the standard cases."""
    return POINTS[request.param]


def timed(benchmark: Any, call: Callable[[], object]) -> float:
    benchmark(call)
    stats = benchmark.stats  # None where benchmarks are disabled
    return 0.0 if stats is None else float(stats.stats.median)


def test_floor(benchmark: Any, point: Point, medians: Medians) -> None:
    medians[point.name, "floor"] = timed(benchmark, Floor(point.case).run)


@pytest.mark.parametrize("name", BACKENDS)
def test_gradient(benchmark: Any, point: Point, name: str, medians: Medians) -> None:
    model = gradcheck.backend(name).build(point.case.network)
    parameters, batch = point.case.parameters, point.case.batch
    medians[point.name, name] = timed(benchmark, lambda: model.loss_and_gradients(parameters, batch))
