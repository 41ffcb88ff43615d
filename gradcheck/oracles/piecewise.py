"""Real differences of the reference's loss at one point, below the first switch of a unit: briefly, at large, or one-sided.

The independent second of two oracles (`Arbiter`). They know on which side of its kinks every unit is, and so take
steps within one smooth piece, where extrapolation is valid.
"""

from collections.abc import Callable, Mapping
from math import ceil, log2
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from gradcheck.foundation.arithmetic import COMPLEX_STEP
from gradcheck.foundation.arrays import Array, dot
from gradcheck.oracles import differences
from gradcheck.oracles.complex_step import complex_step
from gradcheck.oracles.directions import scales
from gradcheck.oracles.line import HELD, Estimate, Line, Many, Meter
from gradcheck.oracles.sides import FIRST, Slopes, sides

# A unit that switches within this step lies on a kink, for all that finite differences can tell.
AT_ONCE = 1e-12
# A first look: so many steps from this one on.
BRIEF, NARROW = 4, 2.0**-6
SURE = 1e6  # times as far as that, to first order, nothing is at once
GLANCE = 2.0**-30  # a step that shows how fast each unit nears its kink
TRIED = 4  # steps at a time, where calls cost more than arithmetic:
FEW = 1e5  # parameters times samples. Measured, not derived.

Blocks: TypeAlias = Mapping[str, Array]


class Point(NamedTuple):
    """The reference's loss at one point.

    Attributes
    ----------
    loss : callable
        Of parameters by name.
    losses : callable
        The same at many points at once.
    distances : callable
        How far the units are from every kink, signed: a row for each of many points, as ``losses`` takes them.
    parameters : dict of str to array
        The point, in float64.
    origin : float
        The loss there.
    samples : int
        Of the batch, as a measure of what an evaluation costs.
    """

    loss: Callable[[Blocks], Any]
    losses: Many
    distances: Many
    parameters: Blocks
    origin: float
    samples: int

    @property
    def size(self) -> int:
        """Parameters times samples."""
        return sum(value.size for value in self.parameters.values()) * self.samples


class RealDifferences:
    """The oracle.

    Parameters
    ----------
    point : Point
    noise : float
        By how much rounding may put the loss off, for a first look.

    Attributes
    ----------
    meter : Meter
        Counts the evaluations.
    """

    def __init__(self, point: Point, noise: float) -> None:
        self.point, self.meter = point, Meter()
        self._sides: dict[tuple[str, tuple[int, ...]], Slopes] = {}
        self._here = point.distances({})
        self._brief = differences.Start(NARROW, noise, BRIEF, patient=False)
        self._tried = TRIED if point.size <= FEW else 1

    def brief(self, v: Blocks, claim: Blocks) -> Estimate:
        """A first look along ``v``, from few evaluations."""
        return self.slope(v, claim, self._brief)

    def slope(self, v: Blocks, claim: Blocks, start: differences.Start = differences.AT_LARGE) -> Estimate:
        """Along ``v``, starting below the first switch of a unit; an infinite bound where one switches at once.

        With several kinks at one point the true slope need not lie between those that differences see.
        """
        step = self._below_switches(v)
        if not step:
            return Estimate(sum(dot(claim[name], v[name]) for name in v), float("inf"), 0)
        return differences.slope(self._line(v, claim), start._replace(step=min(step, start.step), farthest=0.0))

    def one_sided(self, name: str, index: tuple[int, ...], gradient: Array) -> Slopes:
        """Derivatives to the left and to the right along one entry; each is looked at once."""
        if (name, index) not in self._sides:
            scale = float(scales(self.point.parameters[name], gradient)[index])
            unit = np.zeros_like(gradient)
            unit[index] = scale
            found = sides(self._line({name: unit}, {name: gradient}))
            self._sides[name, index] = Slopes(*(Estimate(each.value / scale, each.bound / scale, 0) for each in found))
        return self._sides[name, index]

    def varying(self, v: Blocks, estimate: Estimate) -> float:
        """By how much the slope changes within the steps that differences took: a loss may bend in less than those."""
        if not estimate.step:
            return 0.0
        shifts = [side * estimate.step / ratio for ratio in (1, 8, 64) for side in (1, -1)]
        moved = ({name: self.point.parameters[name] + h * v[name] for name in v} for h in (0.0, *shifts))
        here, *there = [
            complex_step(self.point.loss, {**self.point.parameters, **point}, v, COMPLEX_STEP) for point in moved
        ]
        self.meter.spend(len(shifts) + 1)
        return max(abs(slope - here) for slope in there)

    def _line(self, v: Blocks, claim: Blocks) -> Line:
        point = self.point
        return Line(point.loss, point.parameters, v, claim, point.origin, point.losses, self.meter)

    def _below_switches(self, v: Blocks) -> float:
        """The widest step at which every unit is on the same side of its kink, either way; 0 where one switches at once."""
        if not self._here.size:
            return FIRST
        nearest = self._nearest(v) if self._tried == 1 else 0.0
        step = FIRST / 2 ** ceil(log2(FIRST / nearest)) if nearest else FIRST
        far = nearest > SURE * AT_ONCE
        switched = self._switches(v, self._ladder(step) if far else [AT_ONCE, *self._ladder(step)])
        if not far and switched.pop(0):
            return 0.0
        while all(switched):
            step /= 2**self._tried
            switched = self._switches(v, self._ladder(step))
        return step / 2 ** switched.index(False)

    def _nearest(self, v: Blocks) -> float:
        """To first order where the first unit switches: many rungs of the ladder need not be tried. At most `FIRST`."""
        rate = (self.point.distances(self._moved(v, [GLANCE])) - self._here) / GLANCE
        with np.errstate(all="ignore"):
            return float(np.nanmin(np.abs(self._here / rate), initial=FIRST))

    def _ladder(self, step: float) -> list[float]:
        return [step / 2**i for i in range(self._tried)]

    def _switches(self, v: Blocks, steps: list[float]) -> list[bool]:
        """Whether any unit is on another side of its kink at these distances, either way."""
        room = max(1, HELD // sum(2 * each.size for each in v.values()))
        return [one for i in range(0, len(steps), room) for one in self._switch(v, steps[i : i + room])]

    def _switch(self, v: Blocks, steps: list[float]) -> list[bool]:
        there = self.point.distances(self._moved(v, [*steps, *(-h for h in steps)]))
        return (np.sign(there) != np.sign(self._here)).any(axis=1).reshape(2, -1).any(axis=0).tolist()

    def _moved(self, v: Blocks, steps: list[float]) -> dict[str, Array]:
        return {name: self.point.parameters[name] + np.multiply.outer(steps, v[name]) for name in v}
