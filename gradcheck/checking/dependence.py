"""Whether a loss depends on what it is given: many read the arrays of a closure, an object or a module in place of it.

Courses write it so, ``f = lambda W: net.loss(X, y)`` where ``W`` is ``net.W``, and move the array itself. So does this
check, where a loss ignores its argument and follows the array.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gradcheck.candidates.bounds import Box
from gradcheck.candidates.claim import Claim
from gradcheck.candidates.functions import InPlace, Subject, is_lendable
from gradcheck.candidates.point import is_array
from gradcheck.errors import CallFailed, DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called
from gradcheck.foundation.objects.captured import captured, holders, within
from gradcheck.oracles.directions import signs
from gradcheck.verdict.findings import Finding, Verdict

FAR = 1e3  # times as large as the numbers, to either side: what is flat near a point may be sloped further off


def ignored(claim: Claim, findings: Sequence[Finding]) -> tuple[str, ...]:
    """Blocks that are wrong, or claimed to be zero, and on which the loss does not depend, wherever they are."""
    wanted = {f.name for f in findings if f.verdict is Verdict.WRONG} | {n for n, g in claim.gradient.items() if not g.any()}
    return tuple(name for name, x in claim.point.items() if name in wanted and x.size and _is_ignored(claim, name))


def memories(subject: Subject) -> list[object]:
    """What owns the memory of all arrays that are handed in or that its functions are seen to read."""
    brought = [*captured(subject.loss).items(), *captured(subject.gradient).items()]
    read = (array for name, value in brought for _, array in within(value, name, _is_ours))
    return [_owner(array) for array in (*subject.tree.leaves, *read) if _is_ours(array)]


def _is_ours(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def _owner(array: Any) -> object:
    base = getattr(array, "base", None)  # that of an array; a memoryview is of an object
    base = getattr(array, "obj", None) if base is None else base
    return array if base is None else _owner(base)


def _is_ignored(claim: Claim, name: str) -> bool:
    values = (claim.function({**claim.point, name: far}) for far in _far(name, claim.point[name], claim.box))
    return all(value == claim.loss for value in values)


def _far(name: str, x: Array, box: Box | None) -> Iterator[Array]:
    """Points that no function takes for the one in question; nan spreads through nearly all arithmetic."""
    away = FAR * (1 + np.abs(x)) * signs(name, x.shape, 0)
    if box:
        yield from (box.clipped({name: far})[name] for far in (x + away, x - away))
    else:
        yield from (x + away, x - away, np.full(x.shape, np.nan))


def reads_the_array_itself(subject: Subject, claim: Claim, name: str) -> bool:
    """Whether the loss changes where the user's own array is moved."""
    leaf = subject.tree.leaves[subject.tree.names.index(name)]
    if not is_lendable(leaf):
        return False
    tree, what = subject.tree, subject.names[0]
    with InPlace(tree, {name: next(_far(name, tree.arrays[name], subject.box))}):
        try:  # it is given what it was given before: only what it reads besides has moved
            return called(subject.loss, what, tree.rebuild(tree.arrays)) != claim.loss
        except CallFailed:
            return True


def refuse_if_all_is_ignored(claim: Claim, names: Sequence[str]) -> None:
    """A function of nothing has no gradient to check.

    Raises
    ------
    DataError
        With what to write instead.
    """
    told = [name for name in names if claim.gradient.get(name, np.zeros(0)).any()]
    if told and set(names) == {name for name, x in claim.point.items() if x.size}:
        raise DataError(
            f"the loss does not depend on what it is given ({', '.join(names)}), and the gradient is not zero: "
            "write it as a function of its argument, lambda x: ... x ..., or hand in the very arrays that it reads"
        )


def brought_along(subject: Subject) -> tuple[str, ...]:
    """Variables in which a loss finds arrays besides its argument: none of the point's, and no single numbers."""
    own: list[Array] = [leaf for leaf in subject.tree.leaves if isinstance(leaf, np.ndarray)]

    def is_strange(value: Any) -> bool:
        if not is_array(value) or not value.ndim:
            return False
        return type(value) is not np.ndarray or not any(np.shares_memory(value, leaf) for leaf in own)

    return holders(subject.loss, is_strange)
