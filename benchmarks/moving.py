"""Constants moved one at a time: what is said with each at other values, and what of it is not what was said before."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple
from unittest.mock import patch

from constants import UNUSABLE, Constant, Times
from detection_report import Row, summary_table
from holders import Place
from measures import BESIDES, MEASURES
from measures_replies import Reply, Sizes
from rich.console import Console
from rich.table import Table


class Outcome(NamedTuple):
    """All that was said with a constant at one value, and in how many seconds."""

    title: str
    replies: list[Reply]
    seconds: float

    def changed(self, before: "Outcome") -> list[tuple[Reply, Reply]]:
        """Answers that are not what they were."""
        return [(old, new) for old, new in zip(before.replies, self.replies, strict=True) if old.said != new.said]

    @property
    def rows(self) -> list[Row]:
        """As the ablation has them."""
        return [one.row._replace(run=one.row.run._replace(tool=self.title)) for one in self.replies if one.row is not None]


def outcome(title: str, measure: str, sizes: Sizes, places: Sequence[Place] = ()) -> Outcome:
    with ExitStack() as stack:
        for place in places:
            stack.enter_context(patch.object(*place))
        start = time.perf_counter()
        return Outcome(title, list(MEASURES[measure](sizes)), time.perf_counter() - start)


def move(constants: Sequence[Constant], sizes: Sizes, console: Console) -> None:
    """Table by table, each with the row "as it is" first."""
    present: dict[str, Outcome] = {}
    for constant in constants:
        if constant.measure not in present:
            present[constant.measure] = outcome("as it is", constant.measure, sizes)
        before = present[constant.measure]
        after = [outcome(shown(constant, value), constant.measure, sizes, constant.at(value)) for value in constant.values]
        console.rule(f"{constant.title}, {constant.measure}: {len(before.replies)} answers", align="left")
        if not any(one.changed(before) for one in after):
            broken = outcome("", constant.measure, sizes, constant.at(UNUSABLE))
            console.print(f"used by {sum('error' in new.said for _, new in broken.changed(before))}")
        console.print(counts_table(constant.measure, before, after))
        if before.rows:
            console.print(summary_table([row for one in (before, *after) for row in one.rows], {}))
        for one in after:
            for line in differing(one.changed(before)):
                console.print(f"  {one.title}: {line}", markup=False, highlight=False)


def shown(constant: Constant, value: Any) -> str:
    if isinstance(value, Times):
        return f"{constant.name} x {value.factor:g}"
    return f"{constant.name} = {f'{value:.3g}' if isinstance(value, int | float) else value}"


def counts_table(measure: str, before: Outcome, after: Sequence[Outcome]) -> Table:
    """How many answers are those that they should be, and how many are not those that they were."""
    besides, together = BESIDES.get(measure, ("", sum))
    table = Table("", "right", "changed", "evaluations", "seconds", besides, box=None)
    for one in (before, *after):
        known = [reply for reply in one.replies if reply.truth]
        right = f"{sum(reply.said == reply.truth for reply in known)}/{len(known)}" if known else ""
        cost, extra = f"{sum(reply.evaluations for reply in one.replies):,}", together(reply.extra for reply in one.replies)
        changed = str(len(one.changed(before)))
        table.add_row(one.title, right, changed, cost, f"{one.seconds:.1f}", f"{extra:.3g}" if besides else "")
    return table


def differing(pairs: Sequence[tuple[Reply, Reply]]) -> Iterator[str]:
    """Changes alike counted together, with the first subject of each."""
    counts = Counter((old.kind, old.said, new.said) for old, new in pairs)
    for (kind, said, now), count in counts.most_common(12):
        first = next(old.subject for old, new in pairs if (old.kind, old.said, new.said) == (kind, said, now))
        yield f"{count} x {said} -> {now}, {kind} ({first})"
