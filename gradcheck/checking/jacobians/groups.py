"""Columns in groups that contribute alike, each a block of the scalar procedure: loud ones drown quiet ones."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import replace

from gradcheck.checking.jacobians.system import Part, System
from gradcheck.foundation.arrays import Array
from gradcheck.report import Report
from gradcheck.verdict.entrywise import place
from gradcheck.verdict.findings import LISTED, Finding, overall

# Of contributions that are moved together. At 1 no verdict on 38 right Jacobians of fits and 47 wrong ones changed; each
# group takes evaluations of its own.
DECADES = 3


class Groups(NamedTuple):
    """The columns of each leaf by what they contribute.

    Attributes
    ----------
    system : System
    members : dict of str to (Part, array)
        By name the leaf, and which columns, among all; in the leaf's shape where they are all of it.
    """

    system: System
    members: dict[str, tuple[Part, Array]]

    @classmethod
    def of(cls, system: System, contributions: Array) -> "Groups":
        """By decades."""
        level = np.floor(np.log10(np.max(contributions, initial=0.0) / contributions) / DECADES)
        members = dict[str, tuple[Part, Array]]()
        for part in system.sides.inputs:
            columns, own = np.arange(part.start, part.stop), level[part.span]
            found = np.unique(own)
            if found.size <= 1:
                members[f"columns of {part.name}"] = part, columns.reshape(part.shape)
                continue
            for k, each in enumerate(found):
                members[f"columns of {part.name}, {k} of {found.size}"] = part, columns[own == each]
        return cls(system, members)

    @property
    def here(self) -> dict[str, Array]:
        """The point, in the dtype of each leaf."""
        return self._of_leaves(self.system.tree.arrays)

    @property
    def bounds(self) -> Any:
        """Of each group."""
        box = self.system.box
        if box is None:
            return None
        lower, upper = (
            {part.name: side.get(part.name, np.full(part.shape, end)) for part in self.system.sides.inputs}
            for side, end in ((box.lower, -np.inf), (box.upper, np.inf))
        )
        return self._of_leaves(lower), self._of_leaves(upper)

    def _of_leaves(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        return {n: arrays[part.name].ravel()[columns - part.start] for n, (part, columns) in self.members.items()}

    def split(self, numbers: Array) -> dict[str, Array]:
        """Numbers for all columns, by group."""
        return {name: numbers[columns] for name, (_, columns) in self.members.items()}

    def point(self, groups: dict[str, Array]) -> Any:
        """As the user's functions take it."""
        found = {part.name: np.empty(part.shape, groups[name].dtype) for name, (part, _) in self.members.items()}
        for name, (part, columns) in self.members.items():
            found[part.name].reshape(-1)[columns - part.start] = groups[name]
        return self.system.tree.rebuild(found)

    def merged(self, report: Report) -> Report:
        """With one finding for each leaf, whose entries have their places in it."""
        by_leaf: dict[str, list[Finding]] = {}
        for finding in report.findings:
            part, columns = self.members[finding.name]
            by_leaf.setdefault(part.name, []).append(_of_leaf(finding, part, columns))
        diagnoses = tuple(replace(each, name=self.members[each.name][0].name) for each in report.diagnoses)
        return replace(report, findings=tuple(map(_together, by_leaf.values())), diagnoses=diagnoses)


def _of_leaf(finding: Finding, part: Part, columns: Array) -> Finding:
    def index(within: tuple[int, ...]) -> tuple[int, ...]:
        return place(int(columns[within]) - part.start, part.shape)

    entries = tuple(replace(entry, index=index(entry.index)) for entry in finding.entries)
    worst = None if finding.worst_index is None else index(finding.worst_index)
    return replace(finding, name=part.name, entries=entries, worst_index=worst, shape=part.shape)


def _together(found: list[Finding]) -> Finding:
    """The one that decides the verdict, with the entries of all that say so, and what none of them would have missed."""
    verdict = overall(each.verdict for each in found)
    deciding = [each for each in found if each.verdict is verdict]
    return replace(
        max(deciding, key=lambda each: each.error),
        entries=tuple(entry for each in deciding for entry in each.entries)[:LISTED],
        resolution=max(each.resolution for each in found),
        block_resolution=max(each.block_resolution for each in found),
    )
