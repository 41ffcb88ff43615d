"""How many wrong gradients does each tool find, and how many correct ones does it accuse?

``python benchmarks/detection.py`` plants faults of every kind, from 1e-1 down to 1e-12 of an entry, in correct losses,
adds correct gradients that mislead checkers, and asks this checker and the usual ones about each. A tool has its
defaults, and it may answer that it cannot tell. ``--only faulty-0-17`` asks about one subject again, in full.
"""

import argparse
import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from detection_report import Row, draw, failures, summary_table, to_json
from detection_tools import TOOLS, missing, run
from rich.console import Console
from rich.progress import track
from subjects import Subject, awkward, faulty, find

WIDTH = 150  # of the table, also where the output is a file


class Plan(NamedTuple):
    """What is asked for."""

    faults: int
    correct: int
    seed: int
    tools: tuple[str, ...]

    def subjects(self) -> Iterator[Subject]:
        yield from islice(faulty(self.seed), self.faults)
        yield from islice(awkward(self.seed), self.correct)


def measure(plan: Plan) -> Iterator[Row]:
    """Every tool on every subject, rebuilt for each tool: some carry a state from call to call."""
    for subject in plan.subjects():
        for tool in plan.tools:
            yield Row(subject, run(tool, find(subject.name)))


def ask_again(console: Console, name: str, tools: tuple[str, ...]) -> None:
    """One subject, every word of every tool."""
    subject = find(name)
    console.print(f"{subject.name}: {subject.kind}; {subject.fault or 'correct'}", markup=False)
    for tool in tools:
        found = run(tool, find(name))
        console.rule(f"{tool}: {found.answer.verdict}, {found.evaluations} evaluations, {found.seconds:.3f} s")
        console.print(found.answer.detail, markup=False, highlight=False)


def subject_name(text: str) -> str:
    if not re.fullmatch(r"(faulty|awkward)-\d+-\d+", text):
        raise argparse.ArgumentTypeError(f"expected a name such as faulty-0-17, got {text!r}")
    return text


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=500, metavar="N", help="how many faulty subjects")
    parser.add_argument("--correct", type=int, default=500, metavar="N", help="how many awkward correct ones")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tools", default=",".join(TOOLS), help="of %(default)s")
    parser.add_argument("--only", type=subject_name, metavar="NAME", help="ask about one subject, such as awkward-0-17")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every answer")
    parser.add_argument("--picture", type=Path, metavar="PATH", help="draw detection against size of fault")
    chosen = parser.parse_args()
    unknown = set(chosen.tools.split(",")) - set(TOOLS)
    if unknown:
        parser.error(f"--tools: expected some of {', '.join(TOOLS)}, got {', '.join(sorted(unknown))}")
    return chosen


def main() -> None:
    chosen = arguments()
    console = Console(width=max(Console().width, WIDTH))
    absent = dict(missing(chosen.tools.split(",")))
    for name, reason in absent.items():
        console.print(f"{name}: {reason}", markup=False)
    tools = tuple(name for name in chosen.tools.split(",") if name not in absent)
    if chosen.only:
        ask_again(console, chosen.only, tools)
    else:
        survey(console, Plan(chosen.faults, chosen.correct, chosen.seed, tools), absent, chosen)


def survey(console: Console, plan: Plan, absent: dict[str, str], chosen: argparse.Namespace) -> None:
    """Ask every tool about everything; print, write and draw what they said."""
    tools = plan.tools
    total = (plan.faults + plan.correct) * len(tools)
    rows = list(track(measure(plan), "asking", total, console=Console(stderr=True), transient=True))
    console.print(summary_table(rows, absent))
    for name in tools:
        console.print(f"{name}: {TOOLS[name].rule}", markup=False, highlight=False)
    console.print(*failures(rows), sep="\n")
    if chosen.json:
        chosen.json.write_text(json.dumps(to_json(rows, plan.seed), indent=1))
    if chosen.picture:
        console.print(draw(rows, chosen.picture))


if __name__ == "__main__":
    main()
