"""Why a build is wrong: its claims held against corrections, against a library of mistakes, and against single samples.

Where a network is known, much more can be said than of a function. The manual build is put through every mistake of a table
(`gradcheck_backends.manual.mistakes`), and one that gives the claimed gradient to rounding is the answer.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from gradcheck import registry
from gradcheck.answers import Answer
from gradcheck.arrays import Array, dot, norm, rms
from gradcheck.errors import GradcheckError
from gradcheck.network.network import Network
from gradcheck.oracles.directions import signs
from gradcheck.protocol import Batch, Parameters
from gradcheck.samples import contributions, suspicions
from gradcheck.verdict.causes import MEAN, Diagnosis, Known, causes, of_entries, ordered
from gradcheck.verdict.compare import Allowance, Settlement
from gradcheck.verdict.findings import Finding, Verdict
from gradcheck.verdict.settle import Slope, residual

DIRECTIONS = 4  # along which a cause must agree with the reference
MATCH = {"float64": 1e-9, "float32": 1e-4}  # of a block's RMS, to which a mistake gives the claim. Chosen, not derived.


class Scene(NamedTuple):
    """All that there is to know about one case.

    Attributes
    ----------
    network, given, batch, dtype
        The case, made concrete.
    allowed : dict of str to Allowance
    slope : callable
        From a block's name to its oracle.
    settled : dict of str to Settlement
        References, where the claims or the oracle have settled on one.
    seed : int
    """

    network: Network
    given: Parameters
    batch: Batch
    dtype: str
    allowed: Mapping[str, Allowance]
    slope: Callable[[str], Slope]
    settled: Mapping[str, Settlement]
    seed: int

    def known(self, name: str, reference: Array, unseen: Array | float) -> list[Known]:
        """The reference's slopes along a few directions, each with what a right claim may differ by."""
        directions = [signs(name, reference.shape, self.seed, attempt) for attempt in range(DIRECTIONS)]
        return [Known(v, dot(reference, v), 2 * self.allowed[name].along(v) + norm(unseen * v)) for v in directions]

    def tolerance(self, name: str, gradient: Array) -> float:
        """Within which a mistake of this gradient gives the claim."""
        return 4 * float(np.max(self.allowed[name].rounding)) + MATCH[self.dtype] * rms(gradient)


def explain(scene: Scene, findings: Sequence[Finding], answers: Mapping[str, Answer]) -> Iterator[Diagnosis]:
    """Causes of everything that is wrong, backend by backend, for each block simplest first."""
    suspects = {finding.backend for finding in findings if finding.verdict in (Verdict.WRONG, Verdict.INEXACT)}
    library = _library(scene) if suspects else None
    for backend, answer in answers.items():
        own = [finding for finding in findings if finding.backend == backend]
        found = [*_plain(own, answer), *(_Suspect(scene, own, answer, library).causes() if backend in suspects else ())]
        yield from (msgspec.structs.replace(diagnosis, backend=backend) for diagnosis in found)


def _library(scene: Scene) -> Any:
    """The library of mistakes on this case, in double precision; None where a layer is unknown to it."""
    wide = {name: value.astype(np.float64) for name, value in scene.given.items()}
    targets = scene.batch.targets
    batch = Batch(
        scene.batch.inputs.astype(np.float64), targets.astype(np.float64) if targets.dtype.kind == "f" else targets
    )
    try:
        with np.errstate(all="ignore"):
            return registry.mistakes(scene.network, wide, batch)
    except GradcheckError:
        return None


def _plain(findings: Iterable[Finding], answer: Answer) -> Iterator[Diagnosis]:
    """What needs no comparison."""
    for finding in findings:
        if finding.name in answer.defects and finding.verdict is Verdict.WRONG:
            yield Diagnosis(finding.name, answer.defects[finding.name].cause)
        elif finding.verdict is Verdict.NONSMOOTH and finding.slopes:
            yield Diagnosis(finding.name, "kink-convention", {"slopes": list(finding.slopes)})


class _Suspect:
    """One backend's wrong blocks."""

    def __init__(self, scene: Scene, findings: Sequence[Finding], answer: Answer, library: Any) -> None:
        self.scene, self.library, self.claims = scene, library, answer.gradients
        bad = {f.name: f for f in findings if f.verdict in (Verdict.WRONG, Verdict.INEXACT) and f.name in self.claims}
        self.references = {name: found for name in bad if (found := self._reference(name)) is not None}
        self.wrong = {name: finding for name, finding in bad.items() if name in self.references}
        self.right = [f.name for f in findings if f.verdict is Verdict.CORRECT and f.name in self.claims]

    def causes(self) -> list[Diagnosis]:
        """For each block, simplest first."""
        found = {name: self._fits(name) for name in self.wrong}
        if self.library is not None:
            for diagnosis in (*self._mistakes(), *self._samples()):
                found[diagnosis.name].append(diagnosis)
        for name, finding in self.wrong.items():
            found[name] += of_entries(name, self.claims, *self.references[name], finding, bool(found[name]))
        self._share(found)
        self._below(found)
        return [diagnosis for name in found for diagnosis in ordered(found[name])]

    def _reference(self, name: str) -> tuple[Array, Array] | None:
        """What the block should be and how well that is known; where every claim fell, the manual build's, if it stands."""
        if name in self.scene.settled:
            reference, unseen = self.scene.settled[name]
            return reference, unseen + self.scene.allowed[name].rounding
        gradient = self.library.gradients.get(name) if self.library is not None else None
        if gradient is None:
            return None
        allowed, v = self.scene.allowed[name], signs(name, gradient.shape, self.scene.seed)
        found = residual(self.scene.slope(name), v, gradient, allowed)
        return (gradient, allowed.rounding + found.bound / np.abs(v)) if found.within else None

    def _fits(self, name: str) -> list[Diagnosis]:
        """Corrections that need nothing but the reference."""
        reference, unseen = self.references[name]
        theta = self.scene.given[name].astype(np.float64)
        return causes(name, self.claims, theta, self.scene.known(name, reference, unseen), self._counts())

    def _counts(self) -> tuple[int, ...]:
        """What a mean may be over: samples, outputs of a sample, both."""
        n, outputs = len(self.scene.batch.inputs), int(np.prod(self.scene.network.shapes[-1]))
        counts = (n, n * outputs, *([outputs] if outputs >= MEAN else []))
        return tuple(dict.fromkeys(count for count in counts if count > 1))

    def _is(self, name: str, gradient: Array) -> bool:
        """Whether the claim is this gradient, to rounding."""
        return bool(np.all(np.abs(self.claims[name] - gradient) <= self.scene.tolerance(name, gradient)))

    def _spoils(self, name: str, gradient: Array) -> bool:
        right = self.library.gradients[name]
        return not bool(np.all(np.abs(right - gradient) <= self.scene.tolerance(name, right)))

    def _mistakes(self) -> Iterator[Diagnosis]:
        """Mistakes of the table that spoil nothing but what is wrong and give what is claimed of it."""
        for mistake in self.library.mistakes():
            with np.errstate(all="ignore"):
                gradients = self.library.with_mistake(mistake)
            if not any(self._is(name, gradients[name]) for name in self.wrong):
                continue
            spoiled = {name for name in gradients if self._spoils(name, gradients[name])}
            if not spoiled or not spoiled <= self.wrong.keys() or self._is_rather_of_the_layer(mistake, spoiled):
                continue
            evidence = {**mistake.evidence, "layer": self.library.name(mistake.layer), "why": mistake.why}
            evidence |= {"remedy": mistake.remedy}
            for name in sorted(spoiled, key=list(gradients).index):
                if self._is(name, gradients[name]):
                    yield Diagnosis(name, mistake.cause, evidence)
                else:
                    yield from self._beyond(name, gradients[name], evidence)

    def _is_rather_of_the_layer(self, mistake: Any, spoiled: set[str]) -> bool:
        """A mean in place of a sum in the bias alone; where the weight is off too, the mean is elsewhere."""
        return mistake.cause == "mean-for-sum" and bool({f"{mistake.layer}.weight"} & self.wrong.keys() - spoiled)

    def _beyond(self, name: str, gradient: Array, evidence: Mapping[str, Any]) -> Iterator[Diagnosis]:
        """A second mistake on top of one that explains other blocks."""
        theta = self.scene.given[name].astype(np.float64)
        known = self.scene.known(name, gradient, self.scene.tolerance(name, gradient))
        for diagnosis in causes(name, self.claims, theta, known, self._counts()):
            yield msgspec.structs.replace(diagnosis, evidence={**diagnosis.evidence, "besides": evidence["why"]})

    def _samples(self) -> Iterator[Diagnosis]:
        """Samples left out or wrong, as the largest block tells and the others confirm."""
        n, names = len(self.scene.batch.inputs), sorted(self.wrong, key=lambda name: -self.claims[name].size)
        if n < 2 or n * max((self.claims[name].size for name in names), default=0) > 2e7:
            return
        rows = contributions(self.library.of, self.scene.batch)
        told = set[str]()
        for first in names:
            if first in told or first not in rows:
                continue
            reference, _ = self.references[first]
            missing = (self.claims[first] - reference).ravel()
            for one in suspicions(rows[first], missing, self.scene.batch.targets, self.scene.tolerance(first, reference)):
                for name in (name for name in names if name in rows):
                    expected = self.references[name][0] + ((one.weights - 1) @ rows[name] / n).reshape(
                        self.claims[name].shape
                    )
                    if self._is(name, expected):
                        told.add(name)
                        yield Diagnosis(name, one.cause, {**one.evidence, "why": one.why})

    def _share(self, found: Mapping[str, list[Diagnosis]]) -> None:
        """A factor is no news of a single number, unless another block is off by the same."""
        factors = {d.evidence["factor"] for each in found.values() for d in each if d.cause == "factor"}
        for name in (name for name in found if self.claims[name].size == 1):
            for factor in factors:
                if self._is(name, factor * self.references[name][0]):
                    found[name].append(Diagnosis(name, "factor", {"factor": factor}))

    def _below(self, found: dict[str, list[Diagnosis]]) -> None:
        """Where all is right from the top down to a layer and wrong below, and nothing else says why: it stops there."""
        order = list(self.scene.given)
        top = max((order.index(name) for name in self.wrong), default=-1)
        below, above = order[: top + 1], order[top + 1 :]
        complete = set(below) == self.wrong.keys() and above and set(above) <= set(self.right)
        layers = {name.rpartition(".")[0] for name in below}
        zero = all(not self.claims[name].any() for name in below)
        if not complete or any(name.rpartition(".")[0] in layers for name in above) or len(below) < 2:
            return
        for name in below:
            if zero or not found[name]:
                how = "zero" if zero else "wrong"
                why = f"all is right down to {above[0]} and {how} from {below[-1]} down"
                found[name].insert(0, Diagnosis(name, "stops-below", {"above": above[0], "why": why}))
