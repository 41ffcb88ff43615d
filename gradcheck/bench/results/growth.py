"""How time and memory grow: slopes of logarithms over cases that differ in one thing, beside those that theory has.

Three slopes stand side by side: of what was measured, of what is counted at the very same points, and the asymptotic one.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from operator import attrgetter
from statistics import linear_regression
from typing import TypeAlias

import numpy as np

from gradcheck.bench.results.schema import Growth, Measured, Verification

# Products cost width^2, and everything costs depth and batch once; a product of a batch costs its parameters once. Of memory
# the same holds: gradients are as many as parameters, and activations grow with the batch.
ASYMPTOTIC = {"width": 2.0, "depth": 1.0, "batch": 1.0, "parameters": 1.0}
# Bytes below which a peak is a matter of pages (4 KiB) and of the interpreter. Peaks repeat to the page and are off by up to
# 16 KiB: 6% here, 12% at half of it.
SEEN = 1 << 18
RUN = attrgetter("batch", "dtype", "threads")
COUNTED = {"time": attrgetter("operations"), "memory": attrgetter("memory")}

Quantity: TypeAlias = tuple[str, str]  # what takes it, and `time` or `memory`
# What it grows with, its value at a case, and what else cases on one axis must share.
Axis: TypeAlias = tuple[str, Callable[[Measured], float | None], Callable[[Measured], Hashable]]


def width(case: Measured) -> int | None:
    """Units of every hidden layer, where all have as many."""
    hidden = set(case.widths[1:-1] if case.widths else ())
    return hidden.pop() if len(hidden) == 1 else None


def depth(case: Measured) -> int | None:
    """Dense layers."""
    return len(case.widths) - 1 if case.widths else None


def _ends(case: Measured) -> Hashable:
    """Of a network: its inputs and outputs, kinds of layers and loss."""
    kinds = sorted({str({**layer, "units": 0}) for layer in case.network["layers"]})
    return (str(case.widths and (case.widths[0], case.widths[-1])), *kinds, str(case.network["loss"]))


def _parameters(case: Measured) -> int | None:
    """How many, of networks that differ in width or depth alone."""
    return case.parameters if width(case) else None


AXES: tuple[Axis, ...] = (
    ("width", width, lambda case: (_ends(case), depth(case), RUN(case))),
    ("depth", depth, lambda case: (_ends(case), width(case), RUN(case))),
    ("batch", lambda case: case.batch, lambda case: (str(case.network), case.dtype, case.threads)),
    # As either of width and depth changes.
    ("parameters", _parameters, lambda case: (_ends(case), depth(case), RUN(case))),
    ("parameters", _parameters, lambda case: (_ends(case), width(case), RUN(case))),
)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Least squares of log y against log x."""
    x, y = np.log(np.array(points, dtype=float)).T.tolist()
    return linear_regression(x, y).slope


def growth(cases: Sequence[Measured]) -> list[Growth]:
    """Every slope that the cases have points for."""
    found = dict.fromkeys(quantity for case in cases for quantity in _quantities(case))
    fits = (_fit(quantity, axis, group) for axis in AXES for group in _groups(cases, axis) for quantity in found)
    return [fit for fit in fits if fit is not None]


def informative(found: Sequence[Growth]) -> list[Growth]:
    """Those of three points or more, through which not every line goes; all where there are none."""
    return [each for each in found if len(each.points) > 2] or list(found)


def _groups(cases: Iterable[Measured], axis: Axis) -> list[list[Measured]]:
    """Cases that differ on this axis and in nothing else; those at which it has two values or more."""
    _, value_of, rest = axis
    groups: dict[Hashable, dict[float, Measured]] = {}
    for case in cases:
        value = value_of(case)
        if value is not None:
            groups.setdefault(rest(case), {})[value] = case
    return [[group[value] for value in sorted(group)] for group in groups.values() if len(group) > 1]


def _quantities(case: Measured) -> dict[Quantity, float | None]:
    """Seconds, and bytes."""
    verification = case.verification or Verification()
    found: dict[Quantity, float | None] = {("floor", "time"): case.floor.seconds}
    for row in case.rows:
        found[row.backend, "time"] = row.gradient and row.gradient.seconds
        found[row.backend, "memory"] = _seen(row.peak_memory)
    # Its number of evaluations does not depend on the size of a smooth network, and each costs a part of a gradient.
    found["verification", "time"] = verification.seconds
    found["verification", "memory"] = _seen(verification.peak_memory)
    return found


def _seen(peak: float | None) -> float | None:
    return peak if peak is not None and peak >= SEEN else None


def _fit(quantity: Quantity, axis: Axis, group: Sequence[Measured]) -> Growth | None:
    (backend, of), (against, value, _) = quantity, axis
    rows = [(value(case), _quantities(case).get(quantity), COUNTED[of](case)) for case in group]
    there = [(x, y, count) for x, y, count in rows if x and y and count]
    if len(there) < 2:
        return None
    return Growth(
        backend=backend,
        of=of,
        against=against,
        at=_common(group, against),
        measured=slope([(x, y) for x, y, _ in there]),
        expected=slope([(x, count) for x, _, count in there]),
        asymptotic=ASYMPTOTIC[against],
        points=[(x, y) for x, y, _ in there],
    )


def _common(group: Sequence[Measured], against: str) -> str:
    """What all of them share, in words."""
    held = {name: {value(case) for case in group} for name, value, _ in AXES[:3] if name != against}
    words = [f"{name} {seen.pop()}" for name, seen in held.items() if len(seen) == 1 and any(seen)]
    return ", ".join([*words, group[0].run])
