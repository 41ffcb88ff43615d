"""A backward function that forgets to conjugate: ``grad * w`` where ``grad * w.conj()`` belongs, of a complex output."""

from copy import copy

from msgspec.structs import replace

from gradcheck.adapters.pytorch.arithmetic import arithmetic
from gradcheck.adapters.pytorch.function import TorchFunction
from gradcheck.candidates.complex_points import as_complex, as_real
from gradcheck.checking.checker import checked
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.validation import Asked
from gradcheck.report import Report
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.findings import Verdict

CLAIMED = "the cotangent times the derivative"
MEANT = "the cotangent times the conjugate of the derivative (of x * w by x: grad * w.conj())"


def conjugated(report: Report, function: TorchFunction, asked: Asked) -> Report:
    """With this cause for wrong blocks that it explains: J^T c in place of J^H c is the conjugate of J^H conj(c).

    So the conjugate of the answer to the conjugate cotangent is then right, as differences have it.
    """
    explained = {diagnosis.name for diagnosis in report.diagnoses}
    wrong = [name for name in report.wrong if name in function.blocks and name not in explained]
    if not wrong or not function.pairs & function.cotangents.keys() or not asked.diagnose:
        return report
    other = copy(function)
    other.cotangents = {name: _conjugate(c) if name in function.pairs else c for name, c in function.cotangents.items()}

    def gradient(arrays: dict[str, Array]) -> dict[str, Array]:
        found = other.gradient(arrays)
        return {name: _conjugate(g) if function.blocks[name].is_complex() else g for name, g in found.items()}

    wanted = asked._replace(dtype=None, diagnose=False)
    found, _ = checked(function.loss, gradient, function.point(), wanted, arithmetic(function)._replace(narrow=None))
    right = {finding.name for finding in found.findings if finding.verdict is Verdict.CORRECT}
    names = [name for name in function.blocks if name in wrong and name in right]
    fresh = [Cause.CONJUGATED.of(name, claimed=CLAIMED, asked=MEANT) for name in names]
    spent = report.diagnosis_evaluations + found.evaluations
    return replace(report, diagnoses=(*report.diagnoses, *fresh), diagnosis_evaluations=spent)


def _conjugate(pairs: Array) -> Array:
    return as_real(as_complex(pairs).conj())
