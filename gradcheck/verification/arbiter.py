"""The reference's own derivatives, by two oracles that never see a backend, and the gradient that they settle on.

The complex step comes first, at rounding level: every entry where that is cheap or asked for, else along directions. Real
differences are the independent second: along one direction over all blocks, then block by block where that said too
little. Where the two disagree the complex step is refused for the block, and real differences decide (a third party's
layer may not survive complex arguments).
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from gradcheck.foundation.arrays import Array, dot, norm
from gradcheck.oracles.directions import direction
from gradcheck.oracles.line import Estimate
from gradcheck.oracles.piecewise import RealDifferences
from gradcheck.oracles.sides import Slopes
from gradcheck.verdict.compare import Allowance, Settlement
from gradcheck.verdict.settle import Slope, by_witness

# Every entry, where that costs no more than so many forward passes, or so many multiply-adds. Chosen, not derived.
PASSES = 30
CHEAP = 1e7
# Where a first look by real differences says no more than this of a block, relative to its contribution |g o v|, or says
# no, the block gets a second one at large.
COARSE = 1e-6

Claims = Mapping[str, Mapping[str, Array]]


class Derivatives(Protocol):
    """The loss's derivatives to rounding, as `gradcheck.network.reference` has them, and how many tangents they took."""

    evaluations: int

    @property
    def cost(self) -> float:
        """Multiply-adds of every entry, divided by those of one forward."""
        ...

    def along(self, directions: Mapping[str, Array]) -> Array:
        """Along k directions at once, each array with k in front of its parameter's shape."""
        ...

    def gradient(self, name: str) -> Array:
        """Every entry of one block."""
        ...


class Arbiter:
    """Two oracles of one loss at one point.

    Parameters
    ----------
    derivatives : Derivatives
        By complex step.
    real : RealDifferences
    allowed : dict of str to Allowance
        By block, for the builds.
    own : float
        The reference's rounding relative to that of the builds: 1, or u64 / u32 where they compute in float32.
    seed : int
        Of the random directions.
    every_entry : bool
        Whether every entry is asked for, whatever it costs.
    """

    def __init__(
        self,
        derivatives: Derivatives,
        real: RealDifferences,
        allowed: Mapping[str, Allowance],
        *,
        own: float,
        seed: int,
        every_entry: bool = False,
    ) -> None:
        self.derivatives, self.real, self.parameters = derivatives, real, real.point.parameters
        self.allowed, self.own, self.seed = allowed, own, seed
        self.notes: list[str] = []
        self._asked = every_entry
        self.exhaustive = every_entry or derivatives.cost <= max(PASSES, CHEAP / (real.point.size + 1))
        self._refused: set[str] = set()
        self._sides: dict[tuple[str, tuple[int, ...]], Slopes] = {}

    @property
    def evaluations(self) -> int:
        """Of the loss, and of tangents, so far."""
        return self.real.evaluations + self.derivatives.evaluations

    def settle(self, claims: Claims) -> dict[str, Settlement]:
        """The gradient to believe, for each block where there is one; ``claims`` by block, then backend."""
        first = {name: self._settle(name, claims.get(name, {})) for name in self.parameters}
        if self._asked:
            count = sum(value.size for value in self.parameters.values())
            self.notes.append(f"every entry, {count:,} in all, is held against one by complex step")
        settled = {name: settlement for name, settlement in first.items() if settlement}
        for name in self._contradicted({name: settlement.reference for name, settlement in settled.items()}):
            self._refused.add(name)
            self.notes.append(f"{name}: complex step and real differences disagree; the verdict rests on real differences")
            again = by_witness(name, claims.get(name, {}), self.allowed[name], self.slope(name), self.seed)
            settled.pop(name)
            settled |= {name: again} if again else {}
        return settled

    def slope(self, name: str) -> Slope:
        """The oracle in force for one block: (direction, claimed gradient) -> derivative."""
        return self._real(name) if name in self._refused else self._complex(name)

    def one_sided(self, name: str, index: tuple[int, ...], gradient: Array) -> Slopes:
        """Derivatives to the left and to the right along one entry."""
        if (name, index) not in self._sides:
            self._sides[name, index] = self.real.one_sided(name, index, gradient)
        return self._sides[name, index]

    def _settle(self, name: str, claims: Mapping[str, Array]) -> Settlement | None:
        if self.exhaustive:
            return Settlement(self.derivatives.gradient(name), self._unseen(name))
        return by_witness(name, claims, self.allowed[name], self.slope(name), self.seed)

    def _unseen(self, name: str) -> Array:
        allowed = self.allowed[name]
        either = allowed.rounding + allowed.kinks if allowed.kinks.any() else allowed.rounding
        return either if self.own == 1 else self.own * either

    def _complex(self, name: str) -> Slope:
        known: list[tuple[Array, Estimate]] = []  # the last direction's: every claim is asked along the same one

        def slope(v: Array, _claim: Array) -> Estimate:
            if not known or known[0][0] is not v:
                value = float(self.derivatives.along({name: v[None]})[0])
                known[:] = [(v, Estimate(value, self.own * self.allowed[name].along(v), 1))]
            return known[0][1]

        return slope

    def _real(self, name: str) -> Slope:
        def slope(v: Array, claim: Array) -> Estimate:
            return self.real.slope({name: v}, {name: claim})

        return slope

    def _contradicted(self, gradient: Mapping[str, Array]) -> list[str]:
        """Blocks on which real differences refute what has been settled; notes how far they confirm the rest."""
        if not gradient:
            return []
        v = direction(self.parameters, gradient, self.seed)
        together = self.real.brief(v, gradient)
        agree = self._within(together, v, gradient)
        resolution = {name: _relative(together.bound, gradient[name] * v[name]) for name in gradient}
        contradicted: list[str] = []
        for name in gradient:
            if agree and resolution[name] <= COARSE:
                continue
            alone = self.real.slope({name: v[name]}, {name: gradient[name]})
            resolution[name] = _relative(alone.bound, gradient[name] * v[name])
            own = {name: v[name]}
            if not (self._within(alone, own, gradient) or self._within(alone, own, gradient, self.real.varying(own, alone))):
                contradicted.append(name)
        confirmed = [value for name, value in resolution.items() if name not in contradicted and np.isfinite(value)]
        if confirmed:
            self.notes.append(f"real differences confirm the reference gradient of every block to {max(confirmed):.1e}")
        return contradicted

    def _within(
        self, estimate: Estimate, v: Mapping[str, Array], gradient: Mapping[str, Array], varying: float = 0.0
    ) -> bool:
        claimed = sum(dot(gradient[name], v[name]) for name in v)
        # Kinks count: where several meet, a correct convention need not lie between the one-sided slopes.
        allowed = sum(self.allowed[name].along(v[name]) for name in v)
        return abs(estimate.value - claimed) <= estimate.bound + allowed + varying


def _relative(bound: float, contribution: Array) -> float:
    size = norm(contribution)
    return bound / size if size else float("inf")
