"""What became of the mutants of `mutation.py`: one of them, those that no test has noticed, and a table of all."""

from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table


def room_of(path: str) -> str:
    """The folder of a module within the package."""
    return path.removeprefix("gradcheck/").rpartition("/")[0]


class Outcome(msgspec.Struct, frozen=True):
    """What became of a mutant: ``killed``, ``timed out``, ``survived`` or ``unreached``, and by which test."""

    mutant: str
    path: str
    function: str
    line: int
    kind: str
    before: str
    after: str
    fate: str
    test: str = ""
    reason: str = ""

    @property
    def room(self) -> str:
        """In which it is."""
        return room_of(self.path)

    @property
    def dead(self) -> bool:
        """Whether a test has noticed it."""
        return self.fate in ("killed", "timed out")


def told(each: Outcome, console: Console) -> Outcome:
    """A mutant that no test has noticed is shown at once."""
    if not each.dead:
        console.print(f"{each.mutant} {each.fate} {each.path}:{each.line} {each.function} ({each.kind})", markup=False)
        console.print(f"  - {each.before}\n  + {each.after}\n  {each.reason or 'not explained'}", markup=False)
    return each


def summary(outcomes: Sequence[Outcome], console: Console) -> None:
    """A row a room."""
    table = Table("room", "mutants", "killed", "timed out", "equivalent", "survived", "unreached", title="mutants")
    for room in [*dict.fromkeys(each.room for each in outcomes), ""]:
        here = [each for each in outcomes if not room or each.room == room]
        counts = [len(here), *(sum(each.fate == fate for each in here) for fate in ("killed", "timed out"))]
        counts.append(sum(bool(each.reason) for each in here))
        counts += [sum(each.fate == fate and not each.reason for each in here) for fate in ("survived", "unreached")]
        table.add_row(room or "all", *map(str, counts))
    console.print(table)
    counted = [each for each in outcomes if not each.reason]
    console.print(f"{sum(each.dead for each in counted)} of {len(counted)} killed, equivalent ones set aside")
