"""Mutants of `mutation.py` that no test can notice, each with the reason: the changed program does the same.

By file and by the changed line as it was and as it is, so that a reason goes with the code and is void when that changes.
"""

from typing import NamedTuple


class Equivalent(NamedTuple):
    """A change that changes nothing that anybody could observe."""

    path: str
    before: str
    after: str
    reason: str


EQUIVALENT: tuple[Equivalent, ...] = ()


def reason(path: str, before: str, after: str) -> str:
    """Why a mutant is equivalent, or nothing."""
    return next((each.reason for each in EQUIVALENT if (each.path, each.before, each.after) == (path, before, after)), "")
