"""The reference's own derivatives, by two oracles that never see a backend, and the gradient that they settle on.

The complex step comes first, at rounding level: every entry where that is cheap or asked for, else along directions. Real
differences are the independent second: along one direction over all blocks, then block by block where that said too
little. Where the two disagree the complex step is refused for the block, and real differences decide (a third party's
layer may not survive complex arguments).
"""

from collections.abc import Callable, Mapping
from math import ceil, log2
from typing import Any, Protocol

import numpy as np

from gradcheck.arrays import Array, dot, norm
from gradcheck.oracles import differences
from gradcheck.oracles.complex_step import TINY, complex_step
from gradcheck.oracles.directions import direction, scales
from gradcheck.oracles.line import HELD, Estimate, Line, Many
from gradcheck.oracles.sides import FIRST, Slopes, sides
from gradcheck.verdict.compare import Allowance, Settlement
from gradcheck.verdict.settle import Slope, by_witness

# Every entry, where that costs no more than so many forward passes, or so many multiply-adds. Chosen, not derived.
PASSES = 30
CHEAP = 1e7
# Real differences are asked again for a block that they resolve no better, relative to its contribution |g o v|.
COARSE = 1e-6
# A unit that switches within this step lies on a kink, for all that finite differences can tell.
AT_ONCE = 1e-12
# The first look: so many steps from this one on. Where it says too little, or no, each block gets a second one at large.
BRIEF, NARROW = 4, 2.0**-6
SURE = 1e6  # times as far as that, to first order, nothing is at once
GLANCE = 2.0**-30  # a step that shows how fast each unit nears its kink
TRIED = 4  # steps at a time, where calls cost more than arithmetic:
FEW = 1e5  # parameters times samples. Measured, not derived.

Claims = Mapping[str, Mapping[str, Array]]


class Derivatives(Protocol):
    """The loss's derivatives to rounding, as `gradcheck.network.tangents` has them, and how many tangents they took."""

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
    """Oracles of one loss at one point.

    Parameters
    ----------
    loss : callable
        The reference's loss of parameters by name.
    losses : callable
        The same at many points at once.
    derivatives : Derivatives
        Its derivatives at ``parameters``, by complex step.
    parameters : dict of str to array
        The point, in float64.
    origin : float
        The loss there.
    distances : callable
        How far the units are from every kink, signed: a row for each of many points, as ``losses`` takes them.
    allowed : dict of str to Allowance
        By block, for the builds.
    own : float
        The reference's rounding relative to that of the builds: 1, or u64 / u32 where they compute in float32.
    noise : float
        By how much rounding may put the loss off, for a first look by real differences.
    samples : int
        Of the batch, as a measure of what an evaluation costs.
    every_entry : bool
        Whether every entry is asked for, whatever it costs.
    """

    def __init__(
        self,
        loss: Callable[[Mapping[str, Array]], Any],
        losses: Many,
        derivatives: Derivatives,
        parameters: dict[str, Array],
        origin: float,
        distances: Many,
        allowed: Mapping[str, Allowance],
        *,
        own: float,
        noise: float,
        samples: int,
        seed: int,
        every_entry: bool = False,
    ) -> None:
        self.loss, self.losses, self.parameters, self.origin = loss, losses, parameters, origin
        self.derivatives = derivatives
        self.allowed, self.own, self.seed = allowed, own, seed
        self.distances, self._here = distances, distances({})
        self._spent = 0
        self.notes: list[str] = []
        count = sum(value.size for value in parameters.values())
        self._asked = every_entry
        self.exhaustive = every_entry or derivatives.cost <= max(PASSES, CHEAP / (count * samples + 1))
        self._brief = differences.Start(NARROW, noise, BRIEF, patient=False)
        self._tried = TRIED if count * samples <= FEW else 1
        self._refused: set[str] = set()
        self._sides: dict[tuple[str, tuple[int, ...]], Slopes] = {}

    @property
    def evaluations(self) -> int:
        """Of the loss, and of tangents, so far."""
        return self._spent + self.derivatives.evaluations

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
            self._sides[name, index] = self._one_sided(name, index, gradient)
        return self._sides[name, index]

    def _one_sided(self, name: str, index: tuple[int, ...], gradient: Array) -> Slopes:
        scale = float(scales(self.parameters[name], gradient)[index])
        unit = np.zeros_like(gradient)
        unit[index] = scale
        slopes = sides(self._line({name: unit}, {name: gradient}))
        self._spent += slopes.left.evaluations + slopes.right.evaluations
        left, right = (Estimate(side.value / scale, side.bound / scale, 0) for side in slopes)
        return Slopes(left, right)

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
            return self._differences({name: v}, {name: claim})

        return slope

    def _differences(
        self, v: Mapping[str, Array], claim: Mapping[str, Array], start: differences.Start = differences.AT_LARGE
    ) -> Estimate:
        """Real differences along ``v``, starting below the first switch of a unit; nothing where one switches at once.

        With several kinks at one point the true slope need not lie between those that differences see.
        """
        step = self._below_switches(v)
        if not step:
            return Estimate(sum(dot(claim[name], v[name]) for name in v), float("inf"), 0)
        estimate = differences.slope(self._line(v, claim), start._replace(step=min(step, start.step)))
        self._spent += estimate.evaluations
        return estimate

    def _line(self, v: Mapping[str, Array], claim: Mapping[str, Array]) -> Line:
        return Line(self.loss, self.parameters, v, claim, self.origin, self.losses)

    def _below_switches(self, v: Mapping[str, Array]) -> float:
        """The widest step at which every unit is on the same side of its kink, either way; 0 where one switches at once."""
        if not self._here.size:
            return FIRST
        nearest = self._nearest(v) if self._tried == 1 else 0.0
        step = FIRST / 2 ** ceil(log2(FIRST / nearest)) if nearest else FIRST
        far = nearest > SURE * AT_ONCE
        at_once, *switched = [False] * far + self._switches(v, [AT_ONCE][far:] + self._ladder(step))
        while all(switched) and not at_once:
            step /= 2**self._tried
            switched = self._switches(v, self._ladder(step))
        return 0.0 if at_once else step / 2 ** switched.index(False)

    def _nearest(self, v: Mapping[str, Array]) -> float:
        """To first order where the first unit switches: many rungs of the ladder need not be tried. At most `FIRST`."""
        rate = (self.distances(self._moved(v, [GLANCE])) - self._here) / GLANCE
        with np.errstate(all="ignore"):
            return float(np.nanmin(np.abs(self._here / rate), initial=FIRST))

    def _ladder(self, step: float) -> list[float]:
        return [step / 2**i for i in range(self._tried)]

    def _switches(self, v: Mapping[str, Array], steps: list[float]) -> list[bool]:
        """Whether any unit is on another side of its kink at these distances, either way."""
        room = max(1, HELD // sum(2 * each.size for each in v.values()))
        return [one for i in range(0, len(steps), room) for one in self._switch(v, steps[i : i + room])]

    def _switch(self, v: Mapping[str, Array], steps: list[float]) -> list[bool]:
        there = self.distances(self._moved(v, [*steps, *(-h for h in steps)]))
        return (np.sign(there) != np.sign(self._here)).any(axis=1).reshape(2, -1).any(axis=0).tolist()

    def _moved(self, v: Mapping[str, Array], steps: list[float]) -> dict[str, Array]:
        return {name: self.parameters[name] + np.multiply.outer(steps, v[name]) for name in v}

    def _contradicted(self, gradient: Mapping[str, Array]) -> list[str]:
        """Blocks on which real differences refute what has been settled; notes how far they confirm the rest."""
        if not gradient:
            return []
        v = direction(self.parameters, gradient, self.seed)
        together = self._differences(v, gradient, self._brief)
        agree = self._within(together, v, gradient)
        resolution = {name: _relative(together.bound, gradient[name] * v[name]) for name in gradient}
        contradicted: list[str] = []
        for name in gradient:
            if agree and resolution[name] <= COARSE:
                continue
            alone = self._differences({name: v[name]}, {name: gradient[name]})
            resolution[name] = _relative(alone.bound, gradient[name] * v[name])
            own = {name: v[name]}
            if not (self._within(alone, own, gradient) or self._within(alone, own, gradient, self._varying(own, alone))):
                contradicted.append(name)
        confirmed = [value for name, value in resolution.items() if name not in contradicted and np.isfinite(value)]
        if confirmed:
            self.notes.append(f"real differences confirm the reference gradient of every block to {max(confirmed):.1e}")
        return contradicted

    def _varying(self, v: Mapping[str, Array], estimate: Estimate) -> float:
        """By how much the slope changes within the steps that differences took: a loss may bend in less than those."""
        if not estimate.step:
            return 0.0
        shifts = [side * estimate.step / ratio for ratio in (1, 8, 64) for side in (1, -1)]
        moved = ({name: self.parameters[name] + h * v[name] for name in v} for h in (0.0, *shifts))
        here, *there = [complex_step(self.loss, {**self.parameters, **point}, v, TINY) for point in moved]
        self._spent += len(shifts) + 1
        return max(abs(slope - here) for slope in there)

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
