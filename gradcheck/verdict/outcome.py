"""What a check found, as data; `gradcheck.report` says it to people."""

from collections.abc import Callable, Mapping
from math import inf
from typing import Any, NamedTuple, Self

import msgspec

from gradcheck.foundation.wording import at_most
from gradcheck.verdict.findings import Diagnosis, Finding, Verdict, overall


class Call(NamedTuple):
    """A call of a public function, and what it was given, the objects themselves."""

    check: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


class Recipe:
    """How a report came about: the call that returned it, if one did.

    It is no part of what was found: any two are equal. It goes with every copy, but not into another process.

    Parameters
    ----------
    call : Call, optional
    """

    def __init__(self, call: Call | None = None) -> None:
        self.call = call

    @property
    def function(self) -> str:
        """The name of the public function; empty where none returned the report."""
        return self.call.check.__name__ if self.call else ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe)

    def __hash__(self) -> int:
        return hash(Recipe)

    def __deepcopy__(self, _: Any) -> Self:
        return self

    def __copy__(self) -> Self:
        return self

    def __reduce__(self) -> Any:
        return Recipe, ()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found, block by block.

    Attributes
    ----------
    title : str
        What was checked.
    findings : tuple of Finding
        One for each block and backend.
    evaluations : int
        Spent by the oracles.
    notes : tuple of str
        What was noticed and is no verdict.
    diagnoses : tuple of Diagnosis
        Named causes of what is wrong, for each block simplest first.
    diagnosis_evaluations : int
        Evaluations that they took besides.
    unchecked : tuple of str
        What was handed in, or brought along by a function, and not looked at; a note says of each what it is.
    spent : str
        What was evaluated.
    arithmetic : str
        In which the candidate was judged, where that is its own and says what can be seen.
    recipe : Recipe
        The call that returned it.
    """

    title: str
    findings: tuple[Finding, ...]
    evaluations: int = 0
    notes: tuple[str, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    diagnosis_evaluations: int = 0
    unchecked: tuple[str, ...] = ()
    spent: str = "loss evaluations without backpropagation"
    arithmetic: str = ""
    recipe: Recipe = Recipe()

    @property
    def verdict(self) -> Verdict:
        """The first that occurs of wrong, unresolved, nonsmooth, inexact, correct; unresolved if nothing was checked."""
        return overall(finding.verdict for finding in self.findings)

    @property
    def words(self) -> str:
        """The verdict; where that is correct, to what: ``"correct to 4e-11"``, the worst resolution of any block.

        Against a reference, in which arithmetic: ``"correct to 3e-02 in bfloat16"``.
        """
        compared = (finding for finding in self.findings if finding.verdict is not Verdict.UNSUPPORTED)
        resolution = max((finding.resolution for finding in compared), default=0.0)
        known = self.verdict is Verdict.CORRECT and 0 < resolution < inf
        within = f" in {self.arithmetic}" if self.arithmetic else ""
        return f"{self.verdict} to {at_most(resolution)}{within}" if known else f"{self.verdict}{within}"

    @property
    def unsupported(self) -> dict[str, str]:
        """Why, by the name of each build that does not support the network."""
        return {each.backend: each.reason for each in self.findings if each.verdict is Verdict.UNSUPPORTED}

    @property
    def wrong(self) -> frozenset[str]:
        """Names of the wrong blocks."""
        return frozenset(finding.name for finding in self.findings if finding.verdict is Verdict.WRONG)
