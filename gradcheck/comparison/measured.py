"""What was measured of a pair, each thing when it is first asked for: answers, centre, scales, choices, the second look."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TypeVar

import numpy as np

from gradcheck.comparison.levels import Level, coarsest, finest
from gradcheck.comparison.pair import Blocks, Inputs, Pair, Shaken
from gradcheck.comparison.scales import RUNS, AboutCentre, AboutMean, scale
from gradcheck.comparison.second_look import NEARBY, NEARER, Seen, look
from gradcheck.foundation.arrays import Array

REPEATS = 2  # calls more, of a candidate whose second answer is another one
# Times the noise of a level, under which a choice shows that may fall otherwise: honest errors are up to so many scales.
LOUD = 8.0
LOUD_RUNS = 4

S = TypeVar("S", AboutCentre, AboutMean)


class Measured:
    """A pair at the point that it was given.

    Parameters
    ----------
    pair : Pair
    seed : int
        Of all noise.
    told : callable
        Is handed how far it is, in a few words.
    runs : int
        Of noise.
    """

    def __init__(self, pair: Pair, seed: int, told: Callable[[str], None] = lambda _: None, runs: int = RUNS) -> None:
        self.pair, self.seed, self.told, self.runs = pair, seed, told, runs
        self.held = coarsest(pair.formats.values())
        self.best = finest(self.held)
        self.count = 0
        self._scales: dict[str, dict[str, Array]] = {}
        self._swings: dict[str, dict[str, Array]] = {}

    @property
    def evaluations(self) -> int:
        """Of the reference."""
        wide = self.__dict__.get("in_float32")
        return self.count + (wide.evaluations if wide is not None else 0)

    @cached_property
    def answers(self) -> list[Blocks]:
        """The candidate's, of two calls; of more where they are not the same."""
        self.told("the candidate")
        found = [self.pair.candidate(self.pair.given) for _ in range(2)]
        if all(np.array_equal(array, found[1][name], equal_nan=True) for name, array in found[0].items()):
            return found[:1]
        return found + [self.pair.candidate(self.pair.given) for _ in range(REPEATS)]

    @cached_property
    def exact(self) -> Blocks | None:
        """The reference's in float64, if there is such a path."""
        self.told("the reference in float64")
        self.count += 1
        return self.pair.exact(self.pair.given)

    @cached_property
    def centre(self) -> Blocks:
        """What the candidate is held against: the reference in float64, else the mean of the noise runs in its own dtype."""
        return self.exact if self.exact is not None else self._means(self.pair.given)

    def elsewhere(self, at: Inputs) -> Blocks:
        """The same at another point."""
        if self.exact is None:
            return self._means(at)
        self.count += 1
        found = self.pair.exact(at)
        return self.exact if found is None else found

    def scales(self, level: Level) -> Mapping[str, Array]:
        """How far honest code of a level is off, in root mean square, by block."""
        if level.name not in self._scales:
            centre, exact = self.centre, self.exact
            noise: Mapping[str, AboutCentre | AboutMean] = (
                self._gathered(self.pair.given, level, lambda _, like: AboutMean(like))
                if exact is None
                else self._gathered(self.pair.given, level, lambda name, _: AboutCentre(exact[name]))
            )
            self._scales[level.name] = {
                name: scale(noise[name].size, centre[name], self.pair.formats[name], level) for name in centre
            }
        return self._scales[level.name]

    def errors(self, name: str) -> Array:
        """Of the answer that is furthest off, entry by entry: 0 where both are the same, infinite where one is no number."""
        return off(self.furthest(name), self.centre[name])

    def furthest(self, name: str) -> Array:
        """Of the candidate's answers the one that is judged."""
        centre = self.centre[name]
        return max((each[name] for each in self.answers), key=lambda found: float(off(found, centre).max(initial=0)))

    def swings(self, level: Level) -> Mapping[str, Array]:
        """By how much each entry changes where choices that hang on rounding fall otherwise; 0 where none does."""
        if level.name not in self._swings:
            # Also arguments that are exactly equal, or exactly zero, are to fall otherwise.
            loud = level.louder(LOUD)._replace(moved=LOUD * level.unit, least=level.tiny)
            found = {name: np.zeros(array.shape) for name, array in self.centre.items()}
            for run in range(LOUD_RUNS):
                self._compare_choices(found, loud, run)
            self._swings[level.name] = found
        return self._swings[level.name]

    def _compare_choices(self, found: Mapping[str, Array], level: Level, run: int) -> None:
        free = self._run(self.pair.given, level, run, free=True)
        if free.flips:
            replayed = self._run(self.pair.given, level, run).blocks
            for name, change in found.items():
                np.maximum(change, off(free.blocks[name], replayed[name]), out=change)

    @cached_property
    def second(self) -> Mapping[str, Seen]:
        """The errors of all blocks at other points."""
        return self._look(NEARBY)

    @cached_property
    def nearer(self) -> Mapping[str, Seen]:
        """The same at points that are nearer."""
        return self._look(NEARER)

    def _look(self, nearby: float) -> Mapping[str, Seen]:
        self.told("a second look at other points")
        with np.errstate(all="ignore"):
            first = {name: self.answers[0][name] - self.centre[name] for name in self.centre if self.comparable(name)}
        return look(self.pair, self.elsewhere, first, self.seed, nearby)

    def comparable(self, name: str) -> bool:
        """Whether a block has the reference's shape."""
        return all(name in each and each[name].shape == self.centre[name].shape for each in self.answers)

    @cached_property
    def in_float32(self) -> "Measured | None":
        """The candidate in float32 on the same numbers, if it is made for that."""
        self.told("the candidate in float32")
        blocks = self.pair.in_float32(self.pair.given)
        return None if blocks is None else Measured(Widened(self.pair), self.seed, self.told)

    def _means(self, at: Inputs) -> Blocks:
        found = self._gathered(at, self.best, lambda _, like: AboutMean(like))
        return {name: each.mean for name, each in found.items()}

    def _gathered(self, at: Inputs, level: Level, about: Callable[[str, Array], S]) -> dict[str, S]:
        """What noise runs come to, block by block."""
        found: dict[str, S] = {}
        for run in range(self.runs):
            self.told(f"noise of {level.name}, run {run + 1} of {self.runs}")
            blocks = dict(self._run(at, level, run).blocks)
            for name in list(blocks):  # what has been added is needed no more
                array = blocks.pop(name)
                if name not in found:
                    found[name] = about(name, array)
                found[name].add(array)
        return found

    def _run(self, at: Inputs, level: Level, run: int, *, free: bool = False) -> Shaken:
        self.count += 1
        return self.pair.shaken(at, level, 1000 * self.seed + run, free=free)


class Widened:
    """A pair whose candidate is given float32 in place of a coarser format, and the same numbers."""

    doubt = ""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.name, self.given = pair.name, pair.given
        self.formats = dict.fromkeys(pair.formats, "float32")
        self.exact, self.shaken, self.in_float32 = pair.exact, pair.shaken, pair.in_float32

    def candidate(self, at: Inputs) -> Blocks:
        """In float32."""
        found = self.pair.in_float32(at)
        return self.pair.candidate(at) if found is None else found

    def nearest(self, at: Inputs) -> Inputs:
        """Numbers of float32."""
        return Inputs(*map(_float32, at))


def _float32(arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name: array.astype(np.float32).astype(np.float64) for name, array in arrays.items()}


def off(claimed: Array, reference: Array) -> Array:
    """How far two arrays are apart: 0 where they are the same, infinite where one is no number and the other is one."""
    with np.errstate(all="ignore"):
        apart = np.abs(claimed - reference)
    same = (claimed == reference) | (np.isnan(claimed) & np.isnan(reference))
    return np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart))
