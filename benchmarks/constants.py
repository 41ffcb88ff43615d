"""The constants that are measured and not derived: where each is, what it is, what it is moved to, and what is to tell.

A row whose constant is gone, or has another value by now, is an error: what was seen was seen at that one.
"""

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from holders import Place, holders

from gradcheck.candidates import answer
from gradcheck.oracles import differences

UNUSABLE = object()  # whatever computes with it raises


class Times(NamedTuple):
    """Instead of a value: every number of the present one by a factor."""

    factor: float

    def of(self, value: dict[str, float]) -> dict[str, float]:
        """The new value."""
        return {key: self.factor * one for key, one in value.items()}


class Beyond(NamedTuple):
    """Instead of `gradcheck.candidates.answer.is_another`: a line at this part of the largest entry."""

    part: float

    def __call__(self, first: Any, second: Any, eps: float) -> bool:
        """Whether the second answer is another one."""
        with np.errstate(all="ignore"):
            return bool(np.any(np.abs(np.subtract(first, second)) > self.part * np.max(np.abs(first), initial=0.0)))

    def __str__(self) -> str:
        return f"beyond {self.part:.3g}"


class Constant(NamedTuple):
    """Its module and name, what it is and is moved to, the measure that is to tell, and what was made of it on loading."""

    module: str
    name: str
    now: Any
    values: tuple[Any, ...]
    measure: str = "detection"
    made: Callable[[Any], list[Place]] = lambda _: []

    @property
    def title(self) -> str:
        """Its name with that of its module."""
        return f"{self.module.rpartition('.')[2]}.{self.name}"

    def at(self, value: Any) -> list[Place]:
        """All that must be patched for it to have this value."""
        import_module(self.module)
        if isinstance(value, Times):
            value = value.of(self.now)
        made = [] if value is UNUSABLE else self.made(value)
        return [*holders(self.module, self.name, value), *made]


def stale(constants: Iterable[Constant]) -> Iterator[str]:
    """What is wrong with a table: constants that are not there, or are something else."""
    for one in constants:
        try:
            found = getattr(import_module(one.module), one.name)
        except (ImportError, AttributeError) as error:
            yield f"{one.module}.{one.name}: {error}"
            continue
        if found != one.now:
            yield f"{one.module}.{one.name} is {found}, and was {one.now}"


def made_of_certain(rungs: Any) -> list[Place]:
    """The usual start, and its last step."""
    start = differences.AT_LARGE._replace(rungs=rungs)
    last = start.step / 2 ** (rungs - 1)
    return [
        *holders("gradcheck.oracles.differences", "AT_LARGE", start),
        *holders("gradcheck.checking.probe", "LAST", last),
    ]


CONSTANTS: tuple[Constant, ...] = (
    Constant("gradcheck.checking.confirmation", "CLEAR", 10.0, (1.0, 100.0)),
    Constant("gradcheck.checking.bisection", "PATIENCE", 1500, (150, 15000)),
    Constant(
        "gradcheck.candidates.answer", "is_another", answer.is_another, (Beyond(2.0**-40), Beyond(2.0**-12)), "repeated"
    ),
    Constant("gradcheck.candidates.claim", "JUMP", 1e-6, (1e-10, 1e-2)),
    Constant("gradcheck.checking.overview", "COARSEST", 0.1, (1e-3, 1.0)),
    Constant("gradcheck.checking.prober", "MANY", 1000, (50, 10**9)),
    Constant("gradcheck.checking.overview", "VOUCHED", 1e-6, (1e-9, 1e-3), "complex step"),
    Constant("gradcheck.checking.prober", "ENOUGH", 1e-4, (1e-8, 1.0)),
    Constant("gradcheck.checking.prober", "SEEN", 4, (1, 100)),
    Constant("gradcheck.checking.overview", "QUICK", 3, (2, 5)),
    Constant("gradcheck.checking.overview", "NEARER", 8, (1, 64)),
    Constant("gradcheck.checking.probe", "NOISY", 100, (3, 1e4)),
    Constant("gradcheck.checking.overview", "LOUD", 40, (4, 4000)),
    Constant("gradcheck.checking.mapping", "MAPS", 100, (0, 1000), "causes"),
    Constant("gradcheck.checking.products", "ROUNDING", 1000, (1, 1e6), "products"),
    Constant("gradcheck.oracles.analytic", "ROUNDING", 32, (1, 1000), "complex step"),
    Constant("gradcheck.oracles.analytic", "MOVED", 3, (0, 100), "complex step"),
    Constant("gradcheck.oracles.sides", "CLEAR", 8, (1, 100)),
    Constant("gradcheck.oracles.differences", "SLACK", 32, (1, 1000)),
    Constant("gradcheck.oracles.differences", "CERTAIN", 6, (4, 10), made=made_of_certain),
    Constant("gradcheck.oracles.differences", "ALIKE", 0.2, (0.02, 0.8), "staircases"),
    Constant("gradcheck.oracles.differences", "STRAIGHT", 0.1, (0.01, 1.0), "staircases"),
    Constant("gradcheck.oracles.differences", "PLATEAU", 1e-4, (1e-6, 1e-2)),
    Constant("gradcheck.oracles.differences", "WORTH", 16, (0, 256)),
    Constant("gradcheck.oracles.differences", "PLATEAU", 1e-4, (1e-6, 1e-2), "staircases"),
    Constant("gradcheck.oracles.noise", "PLAIN", 1e4, (100, 1e6), "staircases"),
    Constant(
        "gradcheck.oracles.noise", "WIDER", (2**6, 2**12, 2**15), ((2**6,), (2**3, 2**6, 2**9, 2**12, 2**15)), "staircases"
    ),
    Constant("gradcheck.oracles.noise", "GROWING", 4, (1.2, 20), "staircases"),
    Constant("gradcheck.oracles.noise", "QUIET", 20, (2, 200)),
    Constant("gradcheck.oracles.noise", "PLAIN", 1e4, (100, 1e6)),
    Constant("gradcheck.oracles.noise", "ALIKE", 100, (5, 2000)),
    Constant("gradcheck.oracles.noise", "WIDER", (2**6, 2**12, 2**15), ((2**6,), (2**3, 2**6, 2**9, 2**12, 2**15))),
    Constant("gradcheck.oracles.noise", "GROWING", 4, (1.2, 20)),
    Constant("gradcheck.oracles.noise", "CAUTION", 3, (1, 10)),
    Constant("gradcheck.oracles.regression", "PAIRS", 64, (16, 256)),
    Constant("gradcheck.oracles.regression", "POWERS", 7, (3, 12)),
    Constant("gradcheck.oracles.regression", "HARDLY", 1.1, (1.001, 2.0)),
    Constant("gradcheck.oracles.regression", "ERRORS", 3, (1, 10)),
    Constant("gradcheck.oracles.regression", "REACHES", (2.0, 0.5, 0.125), ((0.5,), (8.0, 2.0, 0.5, 0.125, 0.03))),
    Constant("gradcheck.diagnosis.corrections", "INTEGER", 1e-6, (1e-9, 1e-3), "causes in networks"),
    Constant("gradcheck.diagnosis.corrections", "DIRECTIONS", 4, (1, 16), "causes in networks"),
    Constant("gradcheck.diagnosis.corrections", "CLEAR", 4, (1, 100), "causes in networks"),
    Constant("gradcheck.diagnosis.corrections", "ALONE", 1e-9, (1e-13, 1e-5), "causes in networks"),
    Constant("gradcheck.diagnosis.corrections", "ROUND", 1e-9, (1e-14, 1e-2), "causes in networks"),
    Constant("gradcheck.diagnosis.corrections", "BETTER", 256, (8, 1e4), "causes in networks"),
    Constant("gradcheck.diagnosis.engine", "SMALL", 1e-5, (1e-8, 1e-2), "causes in networks"),
    Constant("gradcheck.diagnosis.corrections", "DIRECTIONS", 4, (1, 16), "causes"),
    Constant("gradcheck.diagnosis.corrections", "CLEAR", 4, (1, 100), "causes"),
    Constant("gradcheck_backends.manual.mistakes", "MANY", 2e7, (10, 2e9), "causes in networks"),
    Constant(
        "gradcheck.diagnosis.references",
        "MATCH",
        {"float64": 1e-9, "float32": 1e-4},
        (Times(1e-4), Times(1e4)),
        "causes in networks",
    ),
    Constant("gradcheck.diagnosis.references", "TELLING", 1e-3, (1e-6, 0.5), "causes in networks"),
    Constant("gradcheck.verification.evidence", "THOROUGH", 1e6, (0, 1e9), "causes in networks"),
    Constant(
        "gradcheck.verification.problem",
        "SEEING",
        {"float64": 1.1e-6, "float32": 2.5e-2, "tf32": 0.5, "bfloat16": 0.5},
        (Times(0.01), Times(100)),
        "networks",
    ),
    Constant("gradcheck.verification.problem", "NOISE", 10, (1, 1000), "networks"),
    Constant("gradcheck.verification.arbiter", "COARSE", 1e-6, (1e-9, 1e-2), "networks"),
    Constant("gradcheck.verification.arbiter", "PASSES", 30, (3, 300), "large networks"),
    Constant("gradcheck.verification.arbiter", "CHEAP", 1e7, (1e5, 1e9), "large networks"),
    Constant("gradcheck.network.analysis.calculus", "SATURATED", 8.0, (0.5, 100.0), "bounds"),
    Constant("gradcheck.network.analysis.calculus", "AMPLIFIED", 5.0, (0.1, 100.0), "bounds"),
    Constant("gradcheck.adapters.pytorch.checking", "ROUNDING", 1000, (1, 1e5), "sums"),
)
