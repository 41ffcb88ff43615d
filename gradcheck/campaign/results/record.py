"""What is kept of a case that was judged."""

from typing import Any, Self

import msgspec

from gradcheck.verdict.findings import Diagnosis


class Mistake(msgspec.Struct, frozen=True):
    """A named cause of what is wrong, by which cases are grouped: the same mistake in other networks has the same one.

    Attributes
    ----------
    backend, cause : str
        As in `Diagnosis`.
    where : str
        What the cause belongs to, however the network is built: ``"GELU"``, ``"weight"``, ``"loss"``.
    """

    backend: str
    cause: str
    where: str

    @classmethod
    def of(cls, diagnosis: Diagnosis) -> Self:
        """Where: the kind of layer that it names, else which of a layer's parameters is wrong."""
        where = diagnosis.evidence.get("kind") or diagnosis.name.rpartition(".")[2]
        return cls(diagnosis.backend, diagnosis.cause, where)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One case, judged.

    Attributes
    ----------
    name : str
        The hash of its content.
    case : dict
        Its table, as in a file.
    reason : str
        Why not correct, in one sentence.
    ratios : dict of str to float
        By backend: the largest error in units of its bound; infinite errors are left out.
    evaluations : int
        Loss evaluations of the oracles.
    causes : tuple of Mistake
        Every cause that was named for what is wrong, simplest first.
    report : dict, optional
        The whole report as a table, where it is wrong.
    reproducer : str
        A Python file that asks again, where it is wrong.
    """

    name: str
    case: dict[str, Any]
    verdict: str
    reason: str = ""
    ratios: dict[str, float] = {}
    seconds: float = 0.0
    evaluations: int = 0
    causes: tuple[Mistake, ...] = ()
    report: dict[str, Any] | None = None
    reproducer: str = ""

    @property
    def diagnoses(self) -> list[Diagnosis]:
        """Those of its report."""
        return msgspec.convert((self.report or {}).get("diagnoses", []), list[Diagnosis])
