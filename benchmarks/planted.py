"""How soon is each planted mistake found in a campaign, and how small is the case that is left after shrinking?

``python benchmarks/planted.py --seeds 3`` judges the first 500 examples of each seed with every mutant of the manual build
as the only backend until one is wrong, shrinks the first seed's finds (``--shrink 3``: of three seeds), and prints a row a
mutant: after how many examples each seed found it, and the dense layers, the widest of these and of the input, the batch and
the layers in all of the smallest case. ``--only dense`` takes the mutants whose name holds that word.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from planted_mutants import MUTANTS, Mutant, Size, load
from rich.console import Console
from rich.progress import track
from rich.table import Table

from gradcheck.campaign import shards
from gradcheck.campaign.judging import judge
from gradcheck.campaign.plan import Plan, name_of
from gradcheck.campaign.results.record import Record
from gradcheck.campaign.shrinking.smallest import made_smallest
from gradcheck.campaign.tables import Table as CaseTable
from gradcheck.cases.case import Case
from gradcheck.network.layers import Dense

LIMIT = 500
WIDTH = 150  # of the table, also where the output is a file


class Found(NamedTuple):
    """The first wrong case of a seed: its place in the sequence of shards, from 0, and the record."""

    place: int
    record: Record


class Shrunk(NamedTuple):
    """What Hypothesis made of it."""

    case: Case
    questions: int
    seconds: float

    @property
    def size(self) -> Size:
        dense = [layer for layer in self.case.network.layers if isinstance(layer, Dense)]
        return Size(
            len(dense), max([*self.case.network.inputs, *(layer.units for layer in dense)]), len(self.case.batch.inputs)
        )

    @property
    def whole(self) -> bool:
        """Whether parameters, inputs and targets are integers."""
        return all(np.array_equal(value, np.round(value)) for value in (*self.case.parameters.values(), *self.case.batch))


class Row(NamedTuple):
    """All about one mutant: by seed, None where it was not found or not shrunk."""

    mutant: Mutant
    found: list[Found | None]
    shrunk: list[Shrunk]

    @property
    def in_time(self) -> bool:
        return all(self.found)

    @property
    def small(self) -> bool:
        return all(one.size.within(Size()) for one in self.shrunk)

    @property
    def as_small_as_can_be(self) -> bool:
        needs = Size(*map(max, self.mutant.needs, Size()))
        return all(one.size.within(needs) for one in self.shrunk)


class Hunt:
    """Mutants, one at a time, before cases that are drawn once."""

    def __init__(self, seeds: Sequence[int], shrink: int, folder: Path, *, any_cause: bool) -> None:
        self.seeds, self.to_shrink, self.folder, self.any_cause = seeds, shrink, folder, any_cause
        self.tables = {
            seed: [t for k in range(LIMIT // Plan().size) for t in shards.draw(Plan(seed=seed), k)] for seed in seeds
        }

    def rows(self, mutants: Sequence[Mutant]) -> Iterator[Row]:
        for number, mutant in enumerate(mutants):
            backend = load(mutant, f"planted_{number}", self.folder)
            found = [self._find(Plan(seed=seed, backends=(backend,))) for seed in self.seeds]
            pairs = list(zip(self.seeds, found, strict=True))[: self.to_shrink]
            shrunk = [
                shrink(Plan(seed=seed, backends=(backend,)), one, any_cause=self.any_cause) for seed, one in pairs if one
            ]
            yield Row(mutant, found, shrunk)

    def _find(self, plan: Plan) -> Found | None:
        for place, table in enumerate(self.tables[plan.seed]):
            record = judge(plan, table)
            if record.verdict == "wrong":
                return Found(place, record)
        return None


def shrink(plan: Plan, found: Found, *, any_cause: bool = False) -> Shrunk:
    """To the smallest case that is wrong, for the same reason where one was named."""
    start = time.perf_counter()
    cause = found.record.causes[0].cause if found.record.causes and not any_cause else None
    met: dict[str, bool] = {}

    def fails(table: CaseTable) -> bool:
        name = name_of(table)
        if name not in met:
            record = judge(plan, table)
            met[name] = record.verdict == "wrong" and (cause is None or cause in {each.cause for each in record.causes})
        return met[name]

    smallest = made_smallest(plan, found.place // plan.size, fails, lambda table: judge(plan, table).verdict == "wrong")
    assert smallest is not None, "a case that was wrong no longer is"
    return Shrunk(smallest, len(met), time.perf_counter() - start)


def table_of(rows: Sequence[Row]) -> Table:
    """A row a mutant."""
    table = Table(box=None, pad_edge=False)
    for title in ("mutant", "found after", "cause"):
        table.add_column(title)
    for title in ("dense", "widest", "batch", "layers", "integers", "questions", "seconds"):
        table.add_column(title, justify="right")
    table.add_column("")
    for row in rows:
        table.add_row(*_cells(row))
    return table


def _cells(row: Row) -> list[str]:
    first = next(filter(None, row.found), None)
    causes = first.record.causes[:1] if first else ()
    after = " ".join(str(one.place + 1) if one else "-" for one in row.found)
    sizes = [(*one.size, len(one.case.network.layers), "yes" if one.whole else "no", one.questions) for one in row.shrunk]
    shown = [" ".join(map(str, column)) for column in zip(*sizes, strict=True)] or [""] * 6
    seconds = " ".join(f"{one.seconds:.0f}" for one in row.shrunk)
    return [row.mutant.name, after, "".join(each.cause for each in causes), *shown, seconds, _remark(row)]


def _remark(row: Row) -> str:
    if row.small:
        return ""
    return f"needs {row.mutant.why}" if row.mutant.why and row.as_small_as_can_be else "TOO LARGE"


def summary(rows: Sequence[Row]) -> Iterator[str]:
    """How many were found and how many shrank."""
    late = [row.mutant.name for row in rows if not row.in_time]
    yield f"found within {LIMIT} examples, in every seed: {len(rows) - len(late)} of {len(rows)}; not: {late}"
    shrunk = [row for row in rows if row.shrunk]
    large = [row for row in shrunk if not row.small]
    yield f"at most 2 dense layers, 2 units, a batch of 2: {len(shrunk) - len(large)} of {len(shrunk)}"
    for row in large:
        yield f"    {row.mutant.name}: {_remark(row)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="the first")
    parser.add_argument("--seeds", type=int, default=1, metavar="N")
    parser.add_argument("--shrink", type=int, default=1, metavar="N", help="finds of how many seeds")
    parser.add_argument("--only", default="", metavar="WORD")
    parser.add_argument("--any-cause", action="store_true", help="shrink to anything wrong")
    parser.add_argument("--cases", action="store_true", help="print the smallest cases too")
    chosen = parser.parse_args()
    mutants = [mutant for mutant in MUTANTS if chosen.only in mutant.name]
    console = Console(width=WIDTH)
    with tempfile.TemporaryDirectory() as folder:
        hunt = Hunt(range(chosen.seed, chosen.seed + chosen.seeds), chosen.shrink, Path(folder), any_cause=chosen.any_cause)
        rows = list(track(hunt.rows(mutants), "hunting", len(mutants), console=Console(stderr=True), transient=True))
    console.print(table_of(rows), markup=False)
    for line in summary(rows):
        console.print(line, markup=False, highlight=False)
    for row in rows if chosen.cases else []:
        console.print(row.mutant.name, *(one.case for one in row.shrunk), sep="\n    ", markup=False)


if __name__ == "__main__":
    main()
