# pyright: reportUnknownMemberType=false
# (PyTorch's annotations are partial.)
"""Forward mode of a PyTorch function: the tangents of its outputs, against differences, and against the backward pass."""

from collections.abc import Mapping

import numpy as np
import torch
from msgspec.structs import replace

from gradcheck.adapters.contract.breaches import origin, shortly
from gradcheck.adapters.leaves import combine
from gradcheck.adapters.pytorch.arithmetic import arithmetic
from gradcheck.adapters.pytorch.contract.forward import is_absent, pushed
from gradcheck.adapters.pytorch.contract.graph import class_of, defines, nodes_of
from gradcheck.adapters.pytorch.function import TorchFunction
from gradcheck.adapters.pytorch.numbers import arrays_of
from gradcheck.candidates.precision import Arithmetic
from gradcheck.checking.checker import checked
from gradcheck.comparison.pair import output_block
from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array, dot, norm, rms
from gradcheck.foundation.state.silence import Silence
from gradcheck.foundation.validation import Asked
from gradcheck.foundation.wording import enumerated
from gradcheck.oracles.directions import signs
from gradcheck.report import Report
from gradcheck.verdict.causes import Cause
from gradcheck.verdict.entrywise import place
from gradcheck.verdict.findings import Diagnosis, Finding, Verdict

BACKEND = "torch forward"
# Of an output's size: what differences here tell from rounding, which truncation leaves at about 1e-10.
OFF = 1e-6
DIGITS = 9  # of a factor: what is left of differences
COMPARED = (Verdict.CORRECT, Verdict.INEXACT)


def has_own(function: TorchFunction) -> bool:
    """Whether somebody's own function in its graph defines a forward derivative."""
    return any(defines(class_of(node), "jvp") for node in _custom(function))


def forward_mode(function: TorchFunction, reverse: Report | None, asked: Asked, explicit: bool) -> Report:
    """What it says of each block, along one random tangent of it; beside the backward pass, where that was judged.

    Raises
    ------
    DataError
        Where there is no forward mode, and it was asked for by name.
    """
    with Silence():  # what it warns of was seen when the backward pass was judged
        tangents = Tangents(function)
        try:
            tangents.products(tangents.origin)
        except Exception as error:
            return _without(function, error, explicit).labelled(BACKEND)
        unit = Arithmetic(arithmetic(function).unit)
        wanted = asked._replace(dtype=None, diagnose=False)
        report, _ = checked(tangents.moved, tangents.products, tangents.origin, wanted, arithmetic=unit)
        said = _disagreeing(report, reverse, tangents) if reverse else {}
        return _explained(report, said, tangents).labelled(BACKEND)


class Tangents:
    """One for each block, along which the point is moved."""

    def __init__(self, function: TorchFunction) -> None:
        self.function, self.point = function, function.point()
        self.origin = dict.fromkeys(self.point, 0.0)
        self.eps = max(torch.finfo(function.dtype or each.dtype).eps for each in function.blocks.values())
        self.along = {name: signs(name, array.shape, function.seed) for name, array in self.point.items()}

    def moved(self, t: Mapping[str, float]) -> float:
        """The loss where each block has moved by t along its tangent."""
        return self.function.loss(self._at(t))

    def products(self, t: Mapping[str, float]) -> dict[str, float]:
        """The loss's slopes there, a block at a time: others have no tangent."""
        return {name: self._reduced(self.outputs([name], t)) for name in self.along}

    def outputs(self, names: list[str], t: Mapping[str, float]) -> dict[str, Array]:
        """The tangents of the outputs, by forward mode."""
        with self.function.draws.again():
            found = pushed(self.function, self._at(t), {name: self.along[name] for name in names})
        return {output: array for output, array in arrays_of(found).items() if output in self.function.cotangents}

    def slopes(self, name: str) -> dict[str, Array]:
        """The same of one block, by a central difference."""
        step = self.eps ** (1 / 3)
        after, before = (arrays_of(self.function.call(self._at({**self.origin, name: h})).outputs) for h in (step, -step))
        return {output: (after[output] - before[output]) / (2 * step) for output in self.function.cotangents}

    def together(self) -> tuple[float, float]:
        """What all blocks at once give, and how far that may be off the sum of each alone."""
        alone = [self.outputs([name], self.origin) for name in self.along]
        size = sum(float(np.sum(np.abs(array * self.function.cotangents[o]))) for each in alone for o, array in each.items())
        every = self._reduced(self.outputs(list(self.along), self.origin))
        return every - sum(map(self._reduced, alone)), size

    def _reduced(self, tangents: Mapping[str, Array]) -> float:
        return combine(tangents, {name: self.function.cotangents[name] for name in tangents})

    def _at(self, t: Mapping[str, float]) -> dict[str, Array]:
        return {name: array + t[name] * self.along[name] for name, array in self.point.items()}


def _without(function: TorchFunction, error: Exception, explicit: bool) -> Report:
    if not is_absent(error):
        said = f"the forward derivative {shortly(error)}"
        findings = tuple(Finding(name=name, backend="", verdict=Verdict.WRONG, reason=said) for name in function.blocks)
        causes = tuple(Cause.FORWARD_MODE.of(name, how=said) for name in function.blocks)
        return Report(title="", findings=findings, diagnoses=causes)
    lacking = sorted(
        {class_of(node).__name__ for node in _custom(function) if not defines(class_of(node), "jvp")} - {"NoneType"}
    )
    said = str(origin(error)).partition(". ")[0].rstrip(".")
    whose = f" ({enumerated(lacking)})" if lacking and "custom" in said else ""
    sentence = f"{function.name} has no forward mode: {said}{whose}"
    if explicit:
        raise DataError(f"modes: {sentence}")
    return Report(title="", findings=(), notes=(sentence,))


def _explained(report: Report, said: Mapping[str, str], tangents: Tangents) -> Report:
    """With the output of which a wrong tangent is, and the entry; what is ``said`` of a block is wrong as well."""
    findings, causes = list[Finding](), list[Diagnosis]()
    for finding in report.findings:
        name = finding.name
        if finding.verdict is Verdict.WRONG or name in said:
            claims, slopes = tangents.outputs([name], tangents.origin), tangents.slopes(name)
            reason = ": ".join(filter(None, [said.get(name, ""), _place(claims, slopes)])) or finding.reason
            factor = _factor(claims, slopes)
            if name in said:
                times = "" if factor is None else f", {factor:.10g} times what it should be"
                causes.append(Cause.FORWARD_MODE.of(name, how=f"{reason}{times}"))
            elif factor is not None:
                causes.append(_cause(name, factor))
            finding = replace(_broken(finding), reason=reason)
        findings.append(finding)
    return replace(report, findings=tuple(findings), diagnoses=tuple(causes))


def _broken(finding: Finding) -> Finding:
    """Wrong for a reason that is no error of its numbers."""
    wrong = finding.verdict is Verdict.WRONG
    return finding if wrong else Finding(name=finding.name, backend="", verdict=Verdict.WRONG)


def _place(claims: Mapping[str, Array], slopes: Mapping[str, Array]) -> str:
    """The entry that is furthest off, of whichever output."""
    found: list[tuple[float, str]] = []
    for output, slope in slopes.items():
        claim = claims.get(output, np.zeros_like(slope))
        off, least = np.abs(claim - slope), OFF * max(rms(slope), rms(claim))
        if np.any(off > least):
            index = place(int(np.argmax(off)), off.shape)
            where = f" at {list(index)}" if index else ""
            share = f", and {int(np.sum(off > least))} of {slope.size} entries off" if slope.size > 1 else ""
            sentence = (
                f"the tangent of {output_block(output)}{where} is {claim[index]:.6g}, by differences {slope[index]:.6g}"
            )
            found.append((float(off[index]) / least, f"{sentence}{share}"))
    return max(found)[1] if found else ""


def _factor(claims: Mapping[str, Array], slopes: Mapping[str, Array]) -> float | None:
    """One factor that all of it is off by."""
    true = np.concatenate([np.ravel(slope) for slope in slopes.values()])
    claim = np.concatenate([np.ravel(claims.get(output, np.zeros_like(slope))) for output, slope in slopes.items()])
    factor = dot(claim, true) / (dot(true, true) or 1.0)
    alike = true.size > 1 and norm(claim - factor * true) <= OFF * norm(true)
    return round(factor, DIGITS) if alike and abs(factor - 1) > OFF else None


def _cause(name: str, factor: float) -> Diagnosis:
    known = {0.0: Cause.ZERO, -1.0: Cause.SIGN}
    return known[factor].of(name) if factor in known else Cause.FACTOR.of(name, factor=factor)


def _disagreeing(report: Report, reverse: Report, tangents: Tangents) -> dict[str, str]:
    """Blocks whose backward pass is right and says something else: of single tangents, else of all at once."""
    gradient, claims = tangents.function.gradient(tangents.point), tangents.products(tangents.origin)
    right = {finding.name for finding in reverse.findings if finding.verdict in COMPARED}
    rounding = (
        max(torch.finfo(tangents.function.dtype or each.dtype).eps for each in tangents.function.blocks.values()) ** 0.5
    )
    said: dict[str, str] = {}
    for finding in (finding for finding in report.findings if finding.name in right):
        claimed, products = claims[finding.name], gradient[finding.name].astype(np.float64) * tangents.along[finding.name]
        pulled, size = float(np.sum(products)), float(np.sum(np.abs(products))) + abs(claimed)
        if finding.verdict is Verdict.WRONG or not abs(claimed - pulled) <= rounding * size:
            said[finding.name] = (
                f"along a tangent the forward derivative is {claimed:.6g}, and by the backward pass {pulled:.6g}"
            )
    off, size = tangents.together()
    if not said and not abs(off) <= rounding * size:
        said = dict.fromkeys(sorted(right), f"for tangents of all blocks at once it is off by {abs(off):.2g} from their sum")
    return said


def _custom(function: TorchFunction) -> list[torch.autograd.graph.Node]:
    return nodes_of(function.call(function.point()).outputs.values()).custom
