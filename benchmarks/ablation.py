"""What each part of `gradcheck.check` buys: the same subjects with one part at a time taken out.

``python benchmarks/ablation.py --faults 300 --correct 1500`` asks about the subjects of `detection.py`. A part that buys
nothing has a row like the first one. Parts are taken out by putting something simpler in the place of one function.

``python benchmarks/ablation.py --constants`` moves constants instead, ``--constants prober.SEEN,JUMP`` those two: what
nobody derived is worth what is seen when it is moved. Each is measured where it can be seen (`measures.py`). A new value is
put wherever a module of ours holds the old one: where it is assigned, where it was imported by name, and in the defaults of
parameters. Where nothing changed, ``used by`` counts the answers that fail with something in its place that no arithmetic
takes: of a constant that nobody asks for, no value can change anything. Below each table stands what changed, and how.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import Any
from unittest.mock import patch

import numpy as np
from constants import CONSTANTS, Constant, stale
from detection_report import Row, summary_table
from detection_tools import run
from holders import Place
from measures_replies import Sizes
from moving import move
from rich.console import Console
from rich.progress import track
from subjects import Subject, awkward, faulty, find

from gradcheck.candidates import claim
from gradcheck.checking import accusation, bisection, overview, prober
from gradcheck.checking.prober import Prober
from gradcheck.foundation.arithmetic import UNIT
from gradcheck.oracles import differences, directions


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


def no_farther(_: Any, __: Any, best: Any) -> Any:
    return best


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


PROBING = (accusation, bisection, overview, prober)
PARTS: dict[str, list[Place]] = {
    "everything": [],
    "no kink term in the bound": [(differences, "_bounds", without_kink_term)],
    "noise assumed, not measured": [(overview, "quiet", assumed_noise), (differences, "noise", assumed_noise)],
    "first step 1/64": [(module, "AT_LARGE", first_step(1 / 64)) for module in PROBING],
    "no longer steps": [(differences.Search, "farther", no_farther)],
    "no second direction over all": [(overview, "second_look", unlooked)],
    "one direction accuses": [(Prober, "draw", one_direction(Prober.draw))],
    "positive directions": [(directions, "signs", positive)],
    "one step length for a block": [(directions, "scales", same_steps)],
    "the gradient has no rounding": [(claim, "_rounding", no_rounding)],
    "no regression under noise": [(Prober, "regressed", once_more)],
    "nothing is taken apart": [(bisection, "PARTS", 0)],
}


def measure(subjects: list[Subject], names: list[str]) -> Iterator[Row]:
    for name in names:
        with ExitStack() as stack:
            for place in PARTS[name]:
                stack.enter_context(patch.object(*place))
            for subject in subjects:
                yield Row(subject, run("ours", find(subject.name))._replace(tool=name))


def ask_of_parts(subjects: list[Subject], console: Console) -> None:
    total = len(subjects) * len(PARTS)
    rows = list(track(measure(subjects, list(PARTS)), "asking", total, console=Console(stderr=True), transient=True))
    console.print(summary_table(rows, {}))


def chosen_of(names: Sequence[str], measure: str | None) -> list[Constant]:
    """Those of these names, or all; of them those that are measured so. Whatever the table has wrong ends the program."""
    if wrong := list(stale(CONSTANTS)):
        raise SystemExit("\n".join(wrong))
    if unknown := {*names} - {known for one in CONSTANTS for known in (one.name, one.title)}:
        raise SystemExit(f"no constants of the table: {', '.join(sorted(unknown))}")
    named = [one for one in CONSTANTS if not names or {one.name, one.title} & {*names}]
    return [one for one in named if measure in (None, one.measure)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, metavar="N", help="of parts 300, of constants 150")
    parser.add_argument("--correct", type=int, metavar="N", help="of parts 1500, of constants 820")
    parser.add_argument("--networks", type=int, default=5, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--constants", nargs="?", const="", metavar="NAME,NAME", help="move constants, by default all")
    parser.add_argument("--measure", help="of the constants, those that are measured so")
    chosen, console = parser.parse_args(), Console(width=150)
    if chosen.constants is not None:
        constants = chosen_of([name for name in chosen.constants.split(",") if name], chosen.measure)
        move(constants, Sizes(chosen.faults or 150, chosen.correct or 820, chosen.networks, chosen.seed), console)
        return
    faults, correct = chosen.faults or 300, chosen.correct or 1500
    ask_of_parts([*islice(faulty(chosen.seed), faults), *islice(awkward(chosen.seed), correct)], console)


if __name__ == "__main__":
    main()
