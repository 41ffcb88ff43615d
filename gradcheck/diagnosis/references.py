"""Evidence from a settled reference: every entry of what a block should be, and how well that is known."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from gradcheck.candidates.answer import Defect
from gradcheck.diagnosis.corrections import BETTER, DIRECTIONS, Known
from gradcheck.diagnosis.evidence import Explainer
from gradcheck.foundation.arrays import Array, dot, norm, rms
from gradcheck.oracles.directions import signs
from gradcheck.verdict.bounds import Allowance
from gradcheck.verdict.findings import Diagnosis, Entry, Finding

# Of a block's RMS, to which a mistake gives the claim. 10,000 times less or more changed no cause of 217.
MATCH = {"float64": 1e-9, "float32": 1e-4}
# Of what a claim is off by: what explains it must come so much nearer. At 1e-6 or 0.5 no cause of 217 changed.
TELLING = 1e-3


class Reference(NamedTuple):
    """What a block should be, and for each entry how far it may be from that."""

    value: Array
    unseen: Array


class Precise(NamedTuple):
    """The same code in another precision: its name, and the gradients that it then gives."""

    name: str
    gradients: Callable[[], Mapping[str, Array]]


@dataclass(frozen=True)
class ReferenceEvidence:
    """What is known of one build's wrong gradients (`gradcheck.diagnosis.evidence.Evidence`).

    Parameters
    ----------
    claims, point, troubles, counts, thorough, formats
        As `Evidence` has them.
    references : dict of str to Reference
        Of those blocks that have one.
    allowed : dict of str to Allowance
    dtype : str
        Of the arrays that the build returns.
    seed : int
        Of the directions.
    precise : Precise
    looks : sequence of callable
        Explainers to come, of this evidence.
    """

    claims: Mapping[str, Array]
    point: Mapping[str, Array]
    troubles: Mapping[str, Defect]
    counts: Sequence[int]
    thorough: bool
    references: Mapping[str, Reference]
    allowed: Mapping[str, Allowance]
    dtype: str
    seed: int
    precise: Precise
    looks: Sequence[Callable[["ReferenceEvidence"], Iterator[Diagnosis]]] = ()
    layered: bool = True
    complex_blocks: Mapping[str, str] = field(default_factory=dict[str, str])
    formats: Mapping[str, str] = field(default_factory=dict[str, str])

    @cached_property
    def off(self) -> dict[str, float]:
        """By how much the worst entry of each claim is off."""
        return {name: float(np.max(np.abs(self.claims[name] - each.value))) for name, each in self.references.items()}

    @property
    def explainers(self) -> list[Explainer]:
        """What was handed in."""
        return [partial(look, self) for look in self.looks]

    def has_reference(self, name: str) -> bool:
        """Whether anything settled it."""
        return name in self.references

    def known(self, name: str) -> list[Known]:
        """The reference's slopes, each with what a right claim may differ by."""
        return self.slopes(name, *self.references[name])

    def slopes(self, name: str, gradient: Array, unseen: Array | float) -> list[Known]:
        """The same of any gradient."""
        directions = [signs(name, gradient.shape, self.seed, attempt) for attempt in range(DIRECTIONS)]
        return [Known(v, dot(gradient, v), 2 * self.allowed[name].along(v) + norm(unseen * v)) for v in directions]

    def only_entry(self, finding: Finding) -> Entry | None:
        """The one entry of several that is wrong."""
        wrong, claimed = self._wrong(finding.name), self.claims[finding.name]
        if wrong.sum() != 1 or claimed.size == 1:
            return None
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        reference, unseen = (float(array[index]) for array in self.references[finding.name])
        return Entry(index, float(claimed[index]), reference, unseen)

    def right_elsewhere(self, name: str, suspects: Array) -> bool:
        """Whether no other entry is wrong."""
        return not bool(np.any(self._wrong(name) & ~suspects))

    def is_multiple(self, name: str, factor: float) -> bool:
        """Entry by entry, to rounding."""
        return self.is_claimed(name, factor * self.references[name].value)

    def is_claimed(self, name: str, gradient: Array) -> bool:
        """Whether the claim is this gradient, to rounding."""
        return bool(np.all(np.abs(self.claims[name] - gradient) <= self.tolerance(name, gradient)))

    def tolerance(self, name: str, gradient: Array) -> float:
        """Within which a mistake of this gradient gives the claim: the right gradient must not."""
        rounding = 4 * float(np.max(self.allowed[name].rounding))
        return rounding + min(MATCH[self.dtype] * rms(gradient), TELLING * self.off.get(name, np.inf))

    def right_in_higher_precision(self, names: Sequence[str]) -> dict[str, str]:
        """Those whose worst entry the same build then has `BETTER` times better."""
        if not names:
            return {}
        gradients = self.precise.gradients()
        return {name: self.precise.name for name in names if name in gradients and self._is_better(name, gradients[name])}

    def _is_better(self, name: str, gradient: Array) -> bool:
        before, after = (np.max(np.abs(each - self.references[name].value)) for each in (self.claims[name], gradient))
        return bool(after <= before / BETTER)

    def _wrong(self, name: str) -> Array:
        reference, unseen = self.references[name]
        return np.abs(self.claims[name] - reference) > unseen
