"""Replies counted into tables."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from asking import UNDECIDED, Reply
from planting import SIZES
from rich.table import Table

ILL, COARSE = 1e-7, 1e-3
ACCURACY = 1e-6
GROUPS = ("ordinary", "beside", "exact", "buried")
Test = Callable[[Reply], bool]


def accused(reply: Reply) -> bool:
    """Wrong, or inexact although the claim is as good as float64 makes it and the loss is not computed inexactly."""
    return reply.verdict == "wrong" or (reply.verdict == "inexact" and reply.own < ILL and reply.off == 0)


def undecided(reply: Reply) -> bool:
    return reply.verdict in UNDECIDED and not reply.blind


def blind(reply: Reply) -> bool:
    return reply.verdict in UNDECIDED and reply.blind


def over_bound(reply: Reply) -> bool:
    return any(each.error > each.bound for each in reply.blocks("correct"))


def coarse(reply: Reply) -> bool:
    return any(each.resolution > COARSE for each in reply.blocks("correct") if "zero" not in each.reason)


def found(reply: Reply) -> bool:
    faults = [each for each in reply.said if each.fault > 0]
    large = max((each.fault for each in faults), default=0) >= SIZES[0]
    named = ("wrong",) if large else ("wrong", "inexact")
    return any(each.verdict in named for each in faults)


def overlooked(reply: Reply) -> bool:
    """A block called correct with a fault larger than the resolution stated for it."""
    return any(each.fault > each.resolution for each in reply.blocks("correct"))


def innocent(reply: Reply) -> bool:
    """A right block accused; ``inexact`` is no accusation where the loss is computed inexactly."""
    return any(each.fault == 0 for each in reply.blocks("wrong", *(() if reply.off else ("inexact",))))


def misplaced(reply: Reply) -> bool:
    """One entry is wrong, or stands out, and another is named."""
    return any(each.worst is not None and each.index not in (None, each.worst) for each in reply.blocks("wrong"))


CORRECT: dict[str, Test] = {
    "wrong": lambda reply: reply.verdict == "wrong",
    "inexact": lambda reply: reply.verdict == "inexact" and accused(reply),
    "undecided": undecided,
    "undecided, hidden from differences": blind,
    "error above its bound": over_bound,
    "correct, resolution > 1e-3": coarse,
    "error": lambda reply: reply.verdict.startswith("error"),
}
FAULTY: dict[str, Test] = {
    "found": found,
    "unresolved": lambda reply: not found(reply) and reply.verdict in UNDECIDED,
    "correct": lambda reply: reply.verdict in ("correct", "inexact") and not found(reply),
    "correct, above its resolution": overlooked,
    "correct, resolution > 1e-3": lambda reply: reply.verdict == "correct" and coarse(reply),
    "right block accused": innocent,
    "wrong index": misplaced,
    "error": lambda reply: reply.verdict.startswith("error"),
}
NAMED = 40  # of a list of names


def table(replies: list[Reply], tests: dict[str, Test], title: str, groups: Iterable[str] = GROUPS) -> Table:
    """Counts by group."""
    drawn = Table("group", "asked", *tests, "evaluations, median", "90 %", title=title, title_justify="left")
    for group in groups:
        chosen = [reply for reply in replies if reply.group == group]
        if chosen:
            spent = [reply.evaluations for reply in chosen]
            counts = [str(sum(map(test, chosen))) for test in tests.values()]
            cost = [f"{np.median(spent):.0f}", f"{np.quantile(spent, 0.9):.0f}"]
            drawn.add_row(group, str(len(chosen)), *counts, *cost)
    return drawn


def names(replies: list[Reply], tests: dict[str, Test], skip: Iterable[str] = ()) -> Iterator[str]:
    """Who is meant, test by test and group by group."""
    for what, test in tests.items():
        for group in GROUPS:
            who = [reply.full_name for reply in replies if reply.group == group and test(reply)]
            if who and what not in skip:
                yield f"{what}, {group} ({len(who)}): {', '.join(who[:NAMED])}{' …' if len(who) > NAMED else ''}"


def by_kind(replies: list[Reply], test: Test) -> Iterator[str]:
    """How often each kind, by group, most often first."""
    asked = Counter(reply.kind for reply in replies)
    for group in GROUPS:
        who = Counter(reply.kind for reply in replies if reply.group == group and test(reply))
        if who:
            yield f"  {group}: " + ", ".join(f"{kind} {n}/{asked[kind]}" for kind, n in who.most_common())


def resolution_table(pairs: list[tuple[float, Reply]]) -> Table:
    """What becomes of faults at the stated resolution."""
    drawn = Table("group", "times", "asked", "not correct", "correct", title="planted at the resolution stated")
    for group in GROUPS:
        for times in (1.0, 2.0, 10.0):
            chosen = [reply for factor, reply in pairs if factor == times and reply.group == group]
            if chosen:
                said = sum(reply.verdict == "correct" for reply in chosen)
                drawn.add_row(group, f"{times:g}", str(len(chosen)), str(len(chosen) - said), str(said))
    return drawn


def as_json(reply: Reply) -> dict[str, Any]:
    blocks = [vars(each) for each in reply.said if each.verdict != "correct" or each.fault or len(reply.said) < 9]
    return {**vars(reply), "said": blocks}
