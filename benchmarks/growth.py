"""How the cost of verification grows, from one parameter to ten million: `gradcheck.check` and `gradcheck.verify`.

``python benchmarks/growth.py [--most 1e6] [--only check]`` measures every point in a process of its own, whose peak of
memory the kernel keeps. ``check`` is asked about a smooth function of P numbers, once with its gradient and once with one of
which a hundredth is wrong; ``verify`` about dense networks of about P parameters (22 at least) with one and two hidden
layers, at two batch sizes. A row has seconds, the same in units of what it is held against (one loss; one loss and gradient
by hand), and the memory beyond what was there before, in copies of the parameters (8 P bytes) and of the larger of the
parameters and all states.

Fits are least squares of logarithms over the upper decades: time from 1e5 parameters on, memory from 1e6 on (below, pages
and the interpreter weigh more); 1 is what theory has.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from math import isqrt
from statistics import median
from typing import Any, NamedTuple

import numpy as np

import gradcheck
from gradcheck.bench.measuring.memory import peak
from gradcheck.bench.results.growth import slope
from gradcheck.foundation.arrays import Array

ROUNDS = 5
PATIENCE = 2.0  # seconds after which no further round is timed
OUTPUTS = 10
TIMED_FROM, HELD_FROM = 1e5, 1e6  # parameters from which on time and memory are fitted

Call = Callable[[], object]


class Subject(NamedTuple):
    """What is measured, what it is held against, and how many numbers are in the parameters and in all states."""

    call: Call
    unit: Call
    parameters: int
    states: int


class Row(NamedTuple):
    """One point as measured."""

    kind: str
    parameters: int
    states: int
    seconds: float
    units: float
    peak: int
    verdict: str

    @property
    def copies(self) -> float:
        """Of the parameters."""
        return self.peak / (8 * self.parameters)

    @property
    def larger(self) -> float:
        """Of the parameters or of all states, whichever are more."""
        return self.peak / (8 * max(self.parameters, self.states))


def function(count: int, wrong: bool) -> Subject:
    """A smooth function of so many numbers in two blocks, and its gradient or one with a wrong block."""
    rng = np.random.default_rng(0)
    point = {"first": rng.standard_normal(count - count // 2), "second": rng.standard_normal(count // 2)}
    at = {name: x for name, x in point.items() if x.size}

    def loss(p: dict[str, Array]) -> float:
        return float(sum(np.sin(x).sum() for x in p.values()))

    def gradient(p: dict[str, Array]) -> dict[str, Array]:
        claimed = {name: np.cos(x) for name, x in p.items()}
        if wrong:
            claimed["first"][: 1 + len(claimed["first"]) // 100] *= 1.01
        return claimed

    return Subject(lambda: gradcheck.check(loss, gradient, at), lambda: loss(at), count, count)


def network(count: int, hidden: int, batch: int) -> Subject:
    """A network of about so many parameters: inputs and hidden layers of one width."""
    width = next(w for w in range(isqrt(count // hidden) + 1, -1, -1) if w <= 1 or _count(w, hidden) <= count)
    tanh = (gradcheck.Dense(width), gradcheck.Tanh()) * hidden
    net = gradcheck.Network(inputs=(width,), layers=(*tanh, gradcheck.Dense(OUTPUTS)), loss=gradcheck.CrossEntropy())
    case = gradcheck.Case(net, samples=batch, init="glorot")
    model, parameters, samples = gradcheck.backend("manual").build(net), case.parameters, case.batch
    return Subject(
        lambda: gradcheck.verify(case, ["manual"]),
        lambda: model.loss_and_gradients(parameters, samples),
        _count(width, hidden),
        batch * sum(shape[0] for shape in net.shapes),
    )


def _count(width: int, hidden: int) -> int:
    return hidden * width * (width + 1) + OUTPUTS * (width + 1)


KINDS: dict[str, Callable[[int], Subject]] = {
    "check, correct": lambda count: function(count, wrong=False),
    "check, wrong": lambda count: function(count, wrong=True),
    "verify, 1 hidden, batch 32": lambda count: network(count, 1, 32),
    "verify, 1 hidden, batch 256": lambda count: network(count, 1, 256),
    "verify, 2 hidden, batch 32": lambda count: network(count, 2, 32),
    "verify, 2 hidden, batch 256": lambda count: network(count, 2, 256),
}


def measured(kind: str, count: int) -> Row:
    """In this process: memory first, at the first call of its size, then time."""
    KINDS[kind](1).call()  # touches the code
    subject = KINDS[kind](count)
    report, taken = peak(subject.call)
    assert isinstance(report, gradcheck.Report)
    seconds, unit = timed(subject.call), timed(subject.unit)
    return Row(kind, subject.parameters, subject.states, seconds, seconds / unit, taken or 0, str(report.verdict))


def timed(call: Call) -> float:
    """The median of some rounds, of as many calls as the clock needs."""
    seconds: list[float] = []
    start = time.perf_counter()
    while len(seconds) < ROUNDS and (not seconds or time.perf_counter() - start < PATIENCE):
        calls, begun = 0, time.perf_counter()
        while not calls or time.perf_counter() - begun < 1e-3:
            call()
            calls += 1
        seconds.append((time.perf_counter() - begun) / calls)
    return median(seconds)


def apart(kind: str, count: int) -> Row:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--point", kind, "--most", str(count)]
    return Row(**json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def exponent(rows: Sequence[Row], least: float, value: Callable[[Row], float]) -> str:
    points = [(row.parameters, value(row)) for row in rows if row.parameters >= least / 2 and value(row) > 0]
    return f"{slope(points):.2f}" if len(points) > 1 else "-"


def show(rows: Sequence[Row]) -> None:
    print(f"\n{rows[0].kind}\n{'P':>10} {'seconds':>10} {'units':>8} {'MiB':>8} {'copies':>8} {'of larger':>9}  verdict")
    for row in rows:
        numbers = f"{row.parameters:10d} {row.seconds:10.2e} {row.units:8.1f} {row.peak / 2**20:8.1f}"
        seen = row.parameters >= HELD_FROM / 200  # fewer are a matter of pages
        copies = f"{row.copies:8.1f} {row.larger:9.1f}" if seen else f"{'-':>8} {'-':>9}"
        print(f"{numbers} {copies}  {row.verdict}", flush=True)
    against = exponent(rows, TIMED_FROM, lambda row: row.seconds), exponent(rows, HELD_FROM, lambda row: float(row.peak))
    print(f"exponents: time {against[0]}, memory {against[1]}; in theory 1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=float, default=1e7, help="parameters")
    parser.add_argument("--only", default="", help="kinds whose name holds this")
    parser.add_argument("--point", choices=KINDS, help="measure this one here, and print it as JSON")
    given: Any = parser.parse_args()
    if given.point:
        print(json.dumps(measured(given.point, int(given.most))._asdict()))
        return
    for kind in (kind for kind in KINDS if given.only in kind):
        rows = [apart(kind, 10**k) for k in range(8) if 10**k <= given.most]
        show(list({row.parameters: row for row in rows}.values()))


if __name__ == "__main__":
    main()
