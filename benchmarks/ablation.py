"""What each part of `gradcheck.check` buys: the same subjects with one part at a time taken out.

``python benchmarks/ablation.py --faults 300 --correct 1500`` asks about the subjects of `detection.py`. A part that buys
nothing has a row like the first one. Parts are taken out by putting something simpler in the place of one function.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from typing import Any
from unittest.mock import patch

import numpy as np
from detection_report import Row, summary_table
from detection_tools import run
from rich.console import Console
from rich.progress import track
from subjects import Subject, awkward, faulty, find

from gradcheck.candidates import claim
from gradcheck.checking import bisection as apart
from gradcheck.checking import probe
from gradcheck.checking import procedure as judge
from gradcheck.checking.prober import Prober
from gradcheck.foundation.arithmetic import UNIT
from gradcheck.oracles import differences, directions
from gradcheck.oracles.sides import Chosen

Place = tuple[Any, str, Any]


def without_kink_term(odd: Any, _: Any, slack: float) -> Any:
    """The bound without |T_B| and its noise."""
    return 2 * odd.disagreement + odd.noise + slack


def assumed_noise(line: Any, *_: Any, **__: Any) -> float:
    return 2 * UNIT * abs(line.origin)


def positive(name: str, shape: tuple[int, ...], seed: int, attempt: int = 0) -> Any:
    return np.random.default_rng([seed, attempt, *name.encode()]).uniform(0.5, 1.5, shape)


def same_steps(theta: Any, _: Any) -> Any:
    """Every entry of a block in the units of the whole."""
    return np.full_like(theta, directions.rms(theta) or 1.0)


def no_rounding(*arguments: Any) -> dict[str, Any]:
    return {name: np.zeros(g.shape) for name, g in arguments[3].items()}


def silent(*_: Any) -> Chosen:
    return Chosen(near=float("inf"))


def unlooked(line: Any, *_: Any) -> Any:
    return differences.Estimate(line.product, float("inf"), line.evaluations)


def one_direction(honest: Callable[..., Any]) -> Callable[..., Any]:
    """The direction that is to confirm an accusation is the one that made it."""

    def draw(self: Prober, names: Any, attempt: int) -> Any:
        return honest(self, names, 0 if attempt == 2 else attempt)

    return draw


def once_more(_: Prober, probe: Any) -> Any:
    return probe


def first_step(step: float) -> Any:
    return differences.AT_LARGE._replace(step=step)


PARTS: dict[str, list[Place]] = {
    "everything": [],
    "no kink term in the bound": [(differences, "_bounds", without_kink_term)],
    "noise assumed, not measured": [(probe, "quiet", assumed_noise), (differences, "noise", assumed_noise)],
    "first step 1/64": [(room, "AT_LARGE", first_step(1 / 64)) for room in (probe, judge, apart)],
    "no side speaks for the point": [(differences, "choose", silent)],
    "no second direction over all": [(probe, "second_look", unlooked)],
    "one direction accuses": [(Prober, "draw", one_direction(Prober.draw))],
    "positive directions": [(directions, "signs", positive)],
    "one step length for a block": [(directions, "scales", same_steps)],
    "the gradient has no rounding": [(claim, "_rounding", no_rounding)],
    "no regression under noise": [(Prober, "regressed", once_more)],
    "nothing is taken apart": [(apart, "PARTS", 0)],
}


def measure(subjects: list[Subject], names: list[str]) -> Iterator[Row]:
    for name in names:
        with ExitStack() as stack:
            for place in PARTS[name]:
                stack.enter_context(patch.object(*place))
            for subject in subjects:
                yield Row(subject, run("ours", find(subject.name))._replace(tool=name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=300, metavar="N")
    parser.add_argument("--correct", type=int, default=1500, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    subjects = [*islice(faulty(chosen.seed), chosen.faults), *islice(awkward(chosen.seed), chosen.correct)]
    total = len(subjects) * len(PARTS)
    rows = list(track(measure(subjects, list(PARTS)), "asking", total, console=Console(stderr=True), transient=True))
    Console(width=150).print(summary_table(rows, {}))


if __name__ == "__main__":
    main()
