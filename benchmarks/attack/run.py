"""How does `gradcheck.check` stand a corpus that was written to break it?

``python benchmarks/attack/run.py`` asks about correct gradients of every kind in turn and about gradients with a fault
planted in them, and prints who was accused, left undecided or overlooked. ``--planted`` plants faults of the size of
the resolution that was stated. ``--only NAME`` asks about one subject again, in full; ``NAME/FAULT``
about a fault, as it was printed.
"""

import argparse
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import count, islice
from pathlib import Path
from typing import Any

import asking
import counting
from catalogue import KINDS, find
from planting import KINDS as FAULTS
from rich.console import Console
from rich.progress import track

WIDTH = 150  # of what is printed, also where the output is a file
FIRST_FAULTY = 100_000  # subjects that are spoilt are others than those that are not


def correct_names(kinds: list[str], seed: int) -> Iterator[str]:
    """Kinds in turn; another seed, other draws."""
    return (f"{kind}-{1_000_000 * seed + number}" for number in count() for kind in kinds)


def faulty_names(kinds: list[str], seed: int) -> Iterator[tuple[str, str]]:
    """Kinds in turn, faults in turn."""
    faults = list(FAULTS)
    names = (f"{kind}-{1_000_000 * seed + FIRST_FAULTY + number}" for number in count() for kind in kinds)
    return ((name, faults[place % len(faults)]) for place, name in enumerate(names))


def answers(question: Callable[..., Any], arguments: list[tuple[Any, ...]], jobs: int, title: str) -> list[Any]:
    """In the order of the arguments, whatever finishes first."""
    shown = Console(stderr=True)
    with ProcessPoolExecutor(jobs) as pool:
        places = {pool.submit(question, *each): place for place, each in enumerate(arguments)}
        done = {places[future]: future.result() for future in track(as_completed(places), title, len(places), console=shown)}
    return [done[place] for place in sorted(done)]


def ask_again(console: Console, name: str) -> None:
    """One subject, every word of the report."""
    name, _, what = name.partition("/")
    subject, planted = find(name), asking.spoilt(name, what) if what else None
    report, reply = asking.asked(subject, subject.problem, planted)
    console.print(f"{name}: {subject.group}, own error {subject.own:.2g}, zero blocks {subject.problem.zero}", markup=False)
    if planted:
        console.print({block: size for block, size in planted.sizes.items() if size}, planted.worst, markup=False)
    console.print(report, markup=False, highlight=False)
    for each in reply.said[:20]:
        console.print(each, markup=False)


def survey(console: Console, chosen: argparse.Namespace, kinds: list[str]) -> dict[str, Any]:
    """All that was asked for, printed; the replies."""
    names = list(islice(correct_names(kinds, chosen.seed), chosen.correct))
    right: list[Any] = answers(asking.correct, [(name,) for name in names], chosen.jobs, "correct")
    ill = [reply.name for reply in right if reply.group == "ill"]
    console.print(f"set aside, their own claim being off by more than {counting.ILL:g}: {len(ill)}", markup=False)
    console.print(counting.table(right, counting.CORRECT, "correct gradients"))
    skip = ("undecided", "undecided, hidden from differences")
    console.print(*counting.names(right, counting.CORRECT, skip), sep="\n", markup=False, highlight=False)
    for what in skip:
        console.print(f"{what}, by kind", markup=False)
        console.print(*counting.by_kind(right, counting.CORRECT[what]), sep="\n", markup=False, highlight=False)
    pairs = list(islice(faulty_names(kinds, chosen.seed), chosen.faulty))
    faulty = [reply for reply in answers(asking.faulty, pairs, chosen.jobs, "faulty") if reply]
    console.print(counting.table(faulty, counting.FAULTY, "faulty gradients"))
    console.print(*counting.names(faulty, counting.FAULTY, ("found",)), sep="\n", markup=False, highlight=False)
    return {"correct": list(map(counting.as_json, right)), "faulty": list(map(counting.as_json, faulty))}


def planted(console: Console, chosen: argparse.Namespace, kinds: list[str]) -> None:
    """Faults of the size of the resolution stated."""
    names = list(islice(correct_names(kinds, chosen.seed), chosen.correct))
    found = answers(asking.planted_at_resolution, [(name,) for name in names], chosen.jobs, "planted")
    pairs = [pair for each in found for pair in each]
    console.print(counting.resolution_table(pairs))
    passed = sorted(
        {f"{reply.full_name} ({times:g} times)" for times, reply in pairs if reply.verdict == "correct" and times > 1}
    )
    console.print(f"correct at 2 or 10 times: {', '.join(passed)}", markup=False, highlight=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--correct", type=int, default=2000, metavar="N")
    parser.add_argument("--faulty", type=int, default=1500, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kinds", default="", metavar="PATTERN", help="a regular expression, such as '^fast'")
    parser.add_argument("--only", metavar="NAME", help="one subject, such as 'fast.chirp-17' or 'fast.chirp-17/sign'")
    parser.add_argument("--planted", action="store_true", help="faults of the size of the resolution stated, instead")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every reply")
    chosen = parser.parse_args()
    console = Console(width=max(Console().width, WIDTH))
    kinds = [kind for kind in KINDS if re.search(chosen.kinds, kind)]
    if not kinds:
        parser.error(f"--kinds: no kind matches {chosen.kinds!r}")
    if chosen.only:
        ask_again(console, chosen.only)
    elif chosen.planted:
        planted(console, chosen, kinds)
    else:
        replies = survey(console, chosen, kinds)
        if chosen.json:
            chosen.json.write_text(json.dumps(replies, indent=1))


if __name__ == "__main__":
    main()
