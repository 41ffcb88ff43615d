# pyright: reportUnknownMemberType=false
# (PyTorch's annotations are partial.)
"""Forward mode of a PyTorch function: the tangents of its outputs, against differences, and against the backward pass."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

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
from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array, dot, norm, rms
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
    tangents = Tangents(function)
    try:
        tangents.products(tangents.origin)
    except Exception as error:
        return _without(function, error, explicit).labelled(BACKEND)
    unit = Arithmetic(arithmetic(function).unit)
    wanted = asked._replace(dtype=None, diagnose=False)
    report, _ = checked(tangents.moved, tangents.products, tangents.origin, wanted, arithmetic=unit)
    report = _explained(report, tangents)
    return (_agreeing(report, reverse, tangents) if reverse else report).labelled(BACKEND)


class Tangents:
    """One for each block, along which the point is moved."""

    def __init__(self, function: TorchFunction) -> None:
        self.function, self.point = function, function.point()
        self.origin = dict.fromkeys(self.point, 0.0)
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
        step = max(torch.finfo(self.function.dtype or each.dtype).eps for each in self.function.blocks.values()) ** (1 / 3)
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


class Place(NamedTuple):
    """Where a tangent is wrong: of which output, and in how many of its entries."""

    output: str
    at: tuple[int, ...]
    claimed: float
    slope: float
    off: int
    entries: int

    def __str__(self) -> str:
        where = f" at {list(self.at)}" if self.at else ""
        share = f", and {self.off} of {self.entries} entries are off" if self.entries > 1 else ""
        return f"the tangent of {self.output}{where} is {self.claimed:.6g}, by differences {self.slope:.6g}{share}"


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


def _explained(report: Report, tangents: Tangents) -> Report:
    """With the output of which a wrong tangent is, and the entry."""
    findings, causes = list[Finding](), list[Diagnosis]()
    for finding in report.findings:
        if finding.verdict is Verdict.WRONG:
            claims, slopes = tangents.outputs([finding.name], tangents.origin), tangents.slopes(finding.name)
            found = _place(claims, slopes)
            causes += _ratio(finding.name, claims, slopes)
            finding = replace(finding, reason=str(found)) if found else finding
        findings.append(finding)
    return replace(report, findings=tuple(findings), diagnoses=tuple(causes))


def _place(claims: Mapping[str, Array], slopes: Mapping[str, Array]) -> Place | None:
    found: list[tuple[float, Place]] = []
    for output, slope in slopes.items():
        claim = claims.get(output, np.zeros_like(slope))
        off, least = np.abs(claim - slope), OFF * max(rms(slope), rms(claim))
        if slope.size and np.any(off > least):
            index = place(int(np.argmax(off)), off.shape)
            count = int(np.sum(off > least))
            worst = Place(output, index, float(claim[index]), float(slope[index]), count, slope.size)
            found.append((float(off[index]) / least, worst))
    return max(found, key=lambda each: each[0])[1] if found else None


def _ratio(name: str, claims: Mapping[str, Array], slopes: Mapping[str, Array]) -> Iterator[Diagnosis]:
    """One factor that makes all of it right."""
    true = np.concatenate([np.ravel(slope) for slope in slopes.values()])
    claim = np.concatenate([np.ravel(claims.get(output, np.zeros_like(slope))) for output, slope in slopes.items()])
    factor = dot(claim, true) / (dot(true, true) or 1.0)
    if true.size < 2 or norm(claim - factor * true) > OFF * norm(true):
        return
    if abs(factor) < OFF:
        yield Cause.ZERO.of(name)
    elif abs(factor + 1) < OFF:
        yield Cause.SIGN.of(name)
    else:
        yield Cause.FACTOR.of(name, factor=factor)


def _agreeing(report: Report, reverse: Report, tangents: Tangents) -> Report:
    """With what is another than by the backward pass: where that is right, it is the forward derivative that is wrong."""
    gradient, claims = tangents.function.gradient(tangents.point), tangents.products(tangents.origin)
    right = {finding.name for finding in reverse.findings if finding.verdict in COMPARED}
    eps = max(torch.finfo(tangents.function.dtype or each.dtype).eps for each in tangents.function.blocks.values())
    said: dict[str, str] = {}
    for finding in report.findings:
        name = finding.name
        products = gradient[name].astype(np.float64) * tangents.along[name]
        off, size = abs(claims[name] - float(np.sum(products))), float(np.sum(np.abs(products))) + abs(claims[name])
        if name in right and (finding.verdict is Verdict.WRONG or not off <= eps**0.5 * size):
            said[name] = (
                f"along a tangent the forward derivative is {claims[name]:.6g}, and by the backward pass "
                f"{float(np.sum(products)):.6g}"
            )
    off, size = tangents.together()
    if not said and not abs(off) <= eps**0.5 * size:
        said = dict.fromkeys(sorted(right), f"for tangents of all blocks at once it is off by {abs(off):.2g} from their sum")
    findings = tuple(_broken(each, said.get(each.name, "")) for each in report.findings)
    causes = (Cause.FORWARD_MODE.of(name, how=how) for name, how in said.items())
    return replace(report, findings=findings, diagnoses=(*report.diagnoses, *causes))


def _broken(finding: Finding, sentence: str) -> Finding:
    if not sentence or finding.verdict is Verdict.WRONG:
        return finding
    return Finding(name=finding.name, backend="", verdict=Verdict.WRONG, reason=sentence)


def _custom(function: TorchFunction) -> list[torch.autograd.graph.Node]:
    return nodes_of(function.call(function.point()).outputs.values()).custom
