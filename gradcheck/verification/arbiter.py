"""The reference's own derivatives, by two oracles that never see a build, and the gradient that they settle on.

The complex step comes first, at rounding level: every entry where that is cheap or asked for, else along directions. Real
differences are the independent second: along one direction over all blocks, then block by block where that said too
little. Where the two disagree the complex step is refused for the block, and real differences decide (a third party's
layer may not survive complex arguments).
"""

from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import NamedTuple

import numpy as np

from gradcheck.foundation.arrays import Array, dot, norm
from gradcheck.oracles.directions import direction, signs
from gradcheck.oracles.line import HELD, Estimate
from gradcheck.verdict.bounds import Settlement
from gradcheck.verdict.settle import PROBES, Slope, by_witness
from gradcheck.verification.problem import Problem

# Every entry, where that costs no more than so many forward passes, or so many multiply-adds. Ordinary networks
# cost 1 to 3 passes. One of 20 layers (138 passes) was resolved 26 times finer with 300 passes or 1e9 multiply-adds; with
# 1e5 one of ten small layers was 7 times coarser. It took 0.3 s at most.
PASSES = 30
CHEAP = 1e7
# Where a first look by real differences says no more than this of a block, relative to its contribution |g o v|, or says
# no, the block gets a second one at large. At 1e-9 51% more evaluations, at 1e-2 16% fewer; no verdict of 1,200 changed.
COARSE = 1e-6
# In so many parts at most: blocks of a deep network that follow each other, else the cost would grow with the square of the
# depth. At 64 a network of 32 dense layers still has a look for each block.
LOOKS = 64

Claims = Mapping[str, Mapping[str, Array]]


class Settled(NamedTuple):
    """What the two oracles have settled.

    Attributes
    ----------
    problem : Problem
    gradients : dict of str to Settlement
        The gradient to believe, for each block where there is one.
    refused : frozenset of str
        Blocks on which the complex step and real differences disagree.
    notes : tuple of str
    """

    problem: Problem
    gradients: Mapping[str, Settlement]
    refused: frozenset[str]
    notes: tuple[str, ...]

    def slope(self, name: str) -> Slope:
        """The oracle in force for one block: (direction, claimed gradient) -> derivative."""
        return _real(self.problem, name) if name in self.refused else _complex(self.problem, name)


def settle(problem: Problem, claims: Claims, *, every_entry: bool) -> Settled:
    """Settle every block, and confirm that by real differences; ``claims`` by block, then backend."""
    exhaustive = every_entry or problem.tangents.cost <= max(PASSES, CHEAP / (problem.real.point.size + 1))
    found = {name: _exactly(problem, name) for name in problem.given} if exhaustive else _by_witnesses(problem, claims)
    gradients = {name: settlement for name, settlement in found.items() if settlement}
    # The complex step is exact, and silently wrong where a layer does not survive complex numbers: a second one must agree.
    confirmation = _confirm(problem, {name: settlement.reference for name, settlement in gradients.items()})
    notes = [*(_every(problem) if every_entry else ()), *confirmation.notes]
    for name in confirmation.contradicted:
        notes.append(f"{name}: complex step and real differences disagree; the verdict rests on real differences")
        again = _witnessed(problem, name, claims, _real(problem, name))
        gradients.pop(name)
        gradients |= {name: again} if again else {}
    return Settled(problem, gradients, frozenset(confirmation.contradicted), tuple(notes))


def _every(problem: Problem) -> list[str]:
    count = sum(value.size for value in problem.given.values())
    return [f"every entry, {count:,} in all, is held against one by complex step"]


def _exactly(problem: Problem, name: str) -> Settlement:
    allowed = problem.allowed[name]
    either = allowed.rounding + allowed.kinks if allowed.kinks.any() else allowed.rounding
    return Settlement(problem.tangents.gradient(name), either if problem.own == 1 else problem.own * either)


def _by_witnesses(problem: Problem, claims: Claims) -> dict[str, Settlement | None]:
    """Blocks that have room side by side are asked together."""
    found: dict[str, Settlement | None] = {}
    for names in _side_by_side(problem.given):
        known = _known(problem, [name for name in names if claims.get(name)])
        found |= {name: _witnessed(problem, name, claims, _complex(problem, name), known.get(name, ())) for name in names}
    return found


def _side_by_side(blocks: Mapping[str, Array]) -> Iterator[list[str]]:
    names: list[str] = []
    size = 0
    for name, value in blocks.items():
        if names and size + value.size > HELD:
            yield names
            names, size = [], 0
        names.append(name)
        size += value.size
    yield names


def _known(problem: Problem, names: Sequence[str]) -> dict[str, tuple[Estimate, ...]]:
    """What the complex step says of each of these blocks along each of the directions in which claims are tried."""
    found: dict[str, tuple[Estimate, ...]] = dict.fromkeys(names, ())
    for attempt in range(PROBES):
        v = {name: signs(name, problem.given[name].shape, problem.seed, attempt) for name in names}
        for name, value in problem.tangents.apart(v).items():
            found[name] += (_estimate(problem, name, v[name], value),)
    return found


def _witnessed(
    problem: Problem, name: str, claims: Claims, oracle: Slope, known: Sequence[Estimate] = ()
) -> Settlement | None:
    return by_witness(name, claims.get(name, {}), problem.allowed[name], oracle, problem.seed, known)


def _estimate(problem: Problem, name: str, v: Array, value: float) -> Estimate:
    return Estimate(value, problem.own * problem.allowed[name].along(v), 1)


def _complex(problem: Problem, name: str) -> Slope:
    known: list[tuple[Array, Estimate]] = []  # the last direction's: every claim is asked along the same one

    def slope(v: Array, _claim: Array) -> Estimate:
        if not known or known[0][0] is not v:
            value = float(problem.tangents.along({name: v[None]})[0])
            known[:] = [(v, _estimate(problem, name, v, value))]
        return known[0][1]

    return slope


def _real(problem: Problem, name: str) -> Slope:
    def slope(v: Array, claim: Array) -> Estimate:
        return problem.real.slope({name: v}, {name: claim})

    return slope


class _Confirmation(NamedTuple):
    """Blocks on which real differences refute what was settled, and how far they confirm the rest.

    ``zero`` are those that rounding cannot tell from 0: relative to themselves nothing is confirmed.
    """

    contradicted: list[str]
    resolution: Mapping[str, float]
    zero: frozenset[str] = frozenset()

    @property
    def notes(self) -> list[str]:
        left_out = self.zero | set(self.contradicted)
        values = [each for name, each in self.resolution.items() if name not in left_out and np.isfinite(each)]
        every = "every block that is not zero to rounding" if self.zero else "every block"
        return [f"real differences confirm the reference gradient of {every} to {max(values):.1e}"] if values else []


def _confirm(problem: Problem, gradient: Mapping[str, Array]) -> _Confirmation:
    """Along one direction over all blocks; where that refutes them, or says too little, again by fewer at a time."""
    if not gradient:
        return _Confirmation([], {})
    v = direction(problem.parameters, gradient, problem.seed)
    first = problem.real.brief(v, gradient)
    agree = _within(problem, first, v, gradient)
    size = {name: norm(gradient[name] * v[name]) for name in gradient}
    resolution = {name: _relative(first.bound, size[name]) for name in gradient}
    zero = frozenset(name for name in gradient if size[name] <= problem.allowed[name].along(v[name]))
    coarse = [name for name in gradient if not (agree and (resolution[name] <= COARSE or name in zero))]
    count = max(1, ceil(len(coarse) / LOOKS))
    parts = [coarse[start : start + count] for start in range(0, len(coarse), count)]
    contradicted: list[str] = []
    while parts:
        names = parts.pop()
        own = {name: v[name] for name in names}
        estimate = problem.real.slope(own, {name: gradient[name] for name in names})
        resolution |= {name: _relative(estimate.bound, size[name]) for name in names}
        # A loss may bend in less than the steps: what the slope varies by within them is no contradiction.
        confirmed = _within(problem, estimate, own, gradient)
        if confirmed or _within(problem, estimate, own, gradient, problem.real.varying(own, estimate)):
            continue
        if len(names) == 1:
            contradicted += names
        else:
            parts += [names[: len(names) // 2], names[len(names) // 2 :]]
    return _Confirmation([name for name in gradient if name in set(contradicted)], resolution, zero)


def _within(
    problem: Problem, estimate: Estimate, v: Mapping[str, Array], gradient: Mapping[str, Array], varying: float = 0.0
) -> bool:
    claimed = sum(dot(gradient[name], v[name]) for name in v)
    # Kinks count: where several meet, a correct convention need not lie between the one-sided slopes.
    allowed = sum(problem.allowed[name].along(v[name]) for name in v)
    return abs(estimate.value - claimed) <= estimate.bound + allowed + varying


def _relative(bound: float, size: float) -> float:
    return bound / size if size else float("inf")
