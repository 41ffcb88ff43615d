"""Why a build is wrong: its claims held against corrections, against a library of mistakes, and against single samples.

Where a network is known, much more can be said than of a function. The manual build is put through every mistake of a table
(`gradcheck_backends.manual.mistakes`), and one that gives the claimed gradient to rounding is the answer.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from gradcheck.builds import registry
from gradcheck.builds.protocol import Backend
from gradcheck.diagnosis.corrections import BETTER, MEAN, SMALL, Diagnosis, causes, of_entries, ordered
from gradcheck.diagnosis.samples import contributions, suspicions
from gradcheck.errors import GradcheckError
from gradcheck.foundation.arrays import Array
from gradcheck.oracles.directions import signs
from gradcheck.verdict.findings import Finding, Verdict
from gradcheck.verdict.settle import residual
from gradcheck.verification.answers import Answer, ask
from gradcheck.verification.evidence import Scene


def explain(
    scene: Scene, backends: Mapping[str, Backend], findings: Sequence[Finding], answers: Mapping[str, Answer]
) -> Iterator[Diagnosis]:
    """Causes of everything that is wrong, backend by backend, for each block simplest first."""
    suspects = {finding.backend for finding in findings if finding.verdict in (Verdict.WRONG, Verdict.INEXACT)}
    library = _library(scene) if suspects else None
    for backend, answer in answers.items():
        own = [finding for finding in findings if finding.backend == backend]
        found = list(_plain(own, answer))
        if backend in suspects:
            found += _Suspect(scene, backends[backend], own, answer, library).causes()
        yield from (msgspec.structs.replace(diagnosis, backend=backend) for diagnosis in found)


def _library(scene: Scene) -> Any:
    """The library of mistakes on this case, in double precision; None where a layer is unknown to it."""
    wide = {name: value.astype(np.float64) for name, value in scene.given.items()}
    try:
        with np.errstate(all="ignore"):
            return registry.mistakes(scene.network, wide, scene.batch.astype(np.float64))
    except GradcheckError:
        return None


def _plain(findings: Iterable[Finding], answer: Answer) -> Iterator[Diagnosis]:
    """What needs no comparison."""
    for finding in findings:
        if finding.name in answer.defects and finding.verdict is Verdict.WRONG:
            yield Diagnosis(finding.name, answer.defects[finding.name].cause)
        elif finding.verdict is Verdict.NONSMOOTH and finding.slopes:
            yield Diagnosis(finding.name, "kink-convention", {"slopes": list(finding.slopes)})


def _in_common(found: Mapping[str, Sequence[Diagnosis]]) -> list[Diagnosis]:
    """Block by block; what comes first in most of them comes first wherever it fits."""
    first = Counter(each[0].cause for each in found.values() if each)
    usual = {cause for cause, count in first.items() if 2 * count > len(found)}
    return [diagnosis for each in found.values() for diagnosis in sorted(each, key=lambda d: d.cause not in usual)]


THOROUGH = 1e6  # parameters times samples up to which every cause that fits is listed, not the first. Chosen, not derived.

RATIOS: dict[str, Callable[[Mapping[str, Any]], float]] = {
    "sign": lambda _: -1.0,
    "missing-mean": lambda evidence: evidence["n"],
    "extra-mean": lambda evidence: 1 / evidence["n"],
    "factor": lambda evidence: evidence["factor"],
}  # of a claim to its reference


class _Match(NamedTuple):
    """A mistake of the library with the blocks that it explains, and those that it spoils."""

    mistake: Any
    gradients: Mapping[str, Array]
    matched: set[str]
    spoiled: set[str]

    def evidence(self, library: Any) -> dict[str, Any]:
        """What belongs to the cause, with the layer and the sentences."""
        mistake = self.mistake
        return {**mistake.evidence, "layer": library.name(mistake.layer), "why": mistake.why, "remedy": mistake.remedy}


class _Suspect:
    """One backend's wrong blocks."""

    def __init__(self, scene: Scene, backend: Backend, findings: Sequence[Finding], answer: Answer, library: Any) -> None:
        self.scene, self.backend, self.library, self.claims = scene, backend, library, answer.gradients
        compared = [f for f in findings if f.name in self.claims and f.name not in answer.defects]
        bad = {f.name: f for f in compared if f.verdict in (Verdict.WRONG, Verdict.INEXACT)}
        self.references = {name: found for name in bad if (found := self._reference(name)) is not None}
        self.wrong = {name: finding for name, finding in bad.items() if name in self.references}
        size = sum(value.size for value in scene.given.values()) * len(scene.batch.inputs)
        self.thorough = size <= THOROUGH
        self.off = {name: float(np.max(np.abs(self.claims[name] - self.references[name][0]))) for name in self.wrong}

    def causes(self) -> list[Diagnosis]:
        """For each block, simplest first."""
        found = {name: self._fits(name) for name in self.wrong}
        for look in (self._mistakes, self._samples) if self.library is not None else ():
            if self.thorough or not all(found.values()):
                for diagnosis in look():
                    found[diagnosis.name].append(diagnosis)
        for name in self.wrong:
            found[name] += of_entries(name, self.claims, *self.references[name])
        self._share(found)
        self._precisely(found)
        self._below(found)
        for name, finding in self.wrong.items():
            if not found[name] and finding.error <= SMALL:
                found[name].append(Diagnosis(name, "constants", {"error": finding.error}))
        return _in_common({name: ordered(each) for name, each in found.items()})

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

    def _fits(self, name: str, clear: bool = True) -> list[Diagnosis]:
        """Corrections that need nothing but the reference."""
        reference, unseen = self.references[name]
        theta = self.scene.given[name].astype(np.float64)
        return causes(name, self.claims, theta, self.scene.known(name, reference, unseen), self._counts(), clear)

    def _counts(self) -> tuple[int, ...]:
        """What a mean may be over: samples, outputs of a sample, both."""
        n, outputs = len(self.scene.batch.inputs), int(np.prod(self.scene.network.shapes[-1]))
        counts = (n, n * outputs, *([outputs] if outputs >= MEAN else []))
        return tuple(dict.fromkeys(count for count in counts if count > 1))

    def _is(self, name: str, gradient: Array) -> bool:
        """Whether the claim is this gradient, to rounding."""
        return bool(np.all(np.abs(self.claims[name] - gradient) <= self._tolerance(name, gradient)))

    def _tolerance(self, name: str, gradient: Array) -> float:
        return self.scene.tolerance(name, gradient, self.off.get(name, np.inf))

    def _spoils(self, name: str, gradient: Array) -> bool:
        right = self.library.gradients[name]
        return not bool(np.all(np.abs(right - gradient) <= self._tolerance(name, right)))

    def _mistakes(self) -> Iterator[Diagnosis]:
        """What spoils nothing but what is wrong and gives what is claimed of it; what explains most blocks first."""
        found: list[_Match] = []
        with np.errstate(all="ignore"):
            singly = ((mistake, self.library.with_mistake(mistake)) for mistake in self.library.mistakes())
            for candidates in (singly, self.library.habits()):
                for match in filter(None, map(self._match, candidates)):
                    found.append(match)
                    if match.matched == self.wrong.keys() and not self.thorough:
                        break
                if any(match.matched == self.wrong.keys() for match in found):
                    break
        found.sort(key=lambda each: -len(each.matched))
        for name in self.wrong:
            explaining = [each for each in found if name in each.matched]
            yield from (Diagnosis(name, each.mistake.cause, each.evidence(self.library)) for each in explaining)
            for each in () if explaining else (each for each in found if name in each.spoiled):
                yield from self._beyond(name, each.gradients[name], each.mistake.why)

    def _match(self, candidate: tuple[Any, Mapping[str, Array]]) -> "_Match | None":
        mistake, gradients = candidate
        matched = {name for name in self.wrong if self._is(name, gradients[name])}
        if not matched:
            return None
        spoiled = {name for name in gradients if self._spoils(name, gradients[name])}
        if not spoiled or not spoiled <= self.wrong.keys() or self._is_rather_of_the_layer(mistake, spoiled):
            return None
        return _Match(mistake, gradients, matched, spoiled)

    def _is_rather_of_the_layer(self, mistake: Any, spoiled: set[str]) -> bool:
        """A mean in place of a sum in the bias alone; where the weight is off too, the mean is elsewhere."""
        weight = f"{mistake.layer}.weight"
        return mistake.cause == "mean-for-sum" and weight in self.wrong and weight not in spoiled

    def _beyond(self, name: str, gradient: Array, why: str) -> Iterator[Diagnosis]:
        """A second mistake on top of one that explains other blocks."""
        theta = self.scene.given[name].astype(np.float64)
        known = self.scene.known(name, gradient, self._tolerance(name, gradient))
        for diagnosis in causes(name, self.claims, theta, known, self._counts()):
            yield msgspec.structs.replace(diagnosis, evidence={**diagnosis.evidence, "besides": why})

    def _samples(self) -> Iterator[Diagnosis]:
        """Samples left out or wrong, as the largest block tells and the others confirm."""
        n, names = len(self.scene.batch.inputs), sorted(self.wrong, key=lambda name: -self.claims[name].size)
        if n < 2:
            return
        rows = contributions(self.library.of, self.scene.batch)
        told = set[str]()
        for first in names:
            if first in told or first not in rows:
                continue
            reference, _ = self.references[first]
            missing = (self.claims[first] - reference).ravel()
            for one in suspicions(rows[first], missing, self.scene.batch.targets, self._tolerance(first, reference)):
                for name in (name for name in names if name in rows):
                    expected = self.references[name][0] + ((one.weights - 1) @ rows[name] / n).reshape(
                        self.claims[name].shape
                    )
                    if self._is(name, expected):
                        told.add(name)
                        yield Diagnosis(name, one.cause, {**one.evidence, "why": one.why})

    def _share(self, found: dict[str, list[Diagnosis]]) -> None:
        """What says too little by itself (a single number, a block known coarsely) has the cause of others where it fits."""
        told = {d.cause: d.evidence for each in found.values() for d in reversed(each)}
        ratios = {cause: ratio(evidence) for cause, ratio in RATIOS.items() if (evidence := told.get(cause)) is not None}
        for name in (name for name in found if not found[name]):
            fitting = [cause for cause, ratio in ratios.items() if self._is(name, ratio * self.references[name][0])]
            found[name] += [Diagnosis(name, cause, told[cause]) for cause in fitting]
            found[name] += [d for d in self._fits(name, clear=False) if told.get(d.cause) == d.evidence]

    def _below(self, found: dict[str, list[Diagnosis]]) -> None:
        """Where all is right from the top down to a layer and wrong below, and nothing else says why: it stops there."""
        order = list(self.scene.given)
        top = max((order.index(name) for name in self.wrong), default=-1)
        below, above = order[: top + 1], order[top + 1 :]
        complete = set(below) == self.wrong.keys() and above
        layers = {name.rpartition(".")[0] for name in below}
        zero = all(not self.claims[name].any() for name in below)
        if not complete or any(name.rpartition(".")[0] in layers for name in above) or len(below) < 2:
            return
        for name in below:
            if zero or not found[name]:
                how = "zero" if zero else "wrong"
                why = f"all is right down to {above[0]} and {how} from {below[-1]} down"
                found[name].insert(0, Diagnosis(name, "stops-below", {"above": above[0], "why": why}))

    def _precisely(self, found: Mapping[str, list[Diagnosis]]) -> None:
        """Where nothing explains a block: whether the same build is right in higher precision."""
        unexplained = [name for name in found if not found[name]]
        if not unexplained:
            return
        precision = np.dtype(np.float64 if self.scene.dtype == "float32" else np.longdouble)
        parameters = {name: value.astype(precision) for name, value in self.scene.given.items()}
        gradients = ask(self.backend, self.scene.network, parameters, self.scene.batch.astype(precision)).gradients
        for name in (name for name in unexplained if name in gradients):
            reference, _ = self.references[name]
            before, after = (np.abs(claim[name] - reference) for claim in (self.claims, gradients))
            if np.max(after) <= np.max(before) / BETTER:
                found[name].append(
                    Diagnosis(name, "unstable", {"precision": "float64" if precision == np.float64 else "long double"})
                )
