"""Evidence from probes: what is known of a claim that is a function and no network."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np

from gradcheck.candidates.answer import Defect
from gradcheck.checking.probe import Probe
from gradcheck.checking.prober import Prober
from gradcheck.diagnosis.corrections import BETTER, CLEAR, DIRECTIONS, Known
from gradcheck.diagnosis.evidence import Explainer
from gradcheck.errors import GradcheckError
from gradcheck.foundation.arrays import Array, dot
from gradcheck.verdict.findings import Entry, Finding

FIRST = 10  # attempts before this one belong to the verdict


class ProbeEvidence:
    """What is known of a claim (`gradcheck.diagnosis.evidence.Evidence`); each question is probed for once."""

    counts: Sequence[int] = ()
    explainers: Sequence[Explainer] = ()
    layered = thorough = False

    def __init__(self, prober: Prober, unnamed: frozenset[str] = frozenset()) -> None:
        self.unnamed = unnamed  # of which nothing further is looked for
        self.prober, self.claims, self.point = prober, prober.claim.gradient, prober.claim.point
        self.troubles: Mapping[str, Defect] = prober.claim.doubts | prober.claim.defects
        self.formats: Mapping[str, str] = {}
        self.complex_blocks = prober.claim.complex_blocks
        self._known: dict[str, list[Known]] = {}

    def has_reference(self, name: str) -> bool:
        """Every block that was probed can be probed again; of a claim that is zero nothing need be."""
        return name in self.prober.scale and (name not in self.unnamed or not self.claims[name].any())

    def known(self, name: str) -> list[Known]:
        """Slopes along random directions over the block."""
        if name not in self._known:
            attempts = range(FIRST, FIRST + DIRECTIONS) if self.claims[name].any() else ()
            self._known[name] = [self._probed(name, attempt) for attempt in attempts]
        return self._known[name]

    def only_entry(self, finding: Finding) -> Entry | None:
        """The only one that was found."""
        return finding.entries[0] if len(finding.entries) == 1 else None

    def right_elsewhere(self, name: str, suspects: Array) -> bool:
        """Along two directions that leave the suspects where they are."""
        for attempt in range(FIRST + DIRECTIONS, FIRST + DIRECTIONS + 2):
            (v,) = self.prober.draw([name], attempt).direction.values()
            probe = self.prober.again(self.prober.line({name: np.where(suspects, 0.0, v)}), self.prober.known.large)
            if not probe.within or not np.isfinite(probe.bound):
                return False
        return True

    def known_along(self, name: str, tangent: Callable[[Array], Array]) -> list[Known]:
        """Along two of these directions."""
        found: list[Known] = []
        for attempt in range(FIRST + DIRECTIONS, FIRST + DIRECTIONS + 2):
            v = tangent(self.prober.draw([name], attempt).direction[name])
            found.append(self._known_by(name, self.prober.again(self.prober.line({name: v}), self.prober.known.large)))
        return found

    def is_multiple(self, name: str, factor: float) -> bool:
        """Along all known directions, of which one at least shows that the claim is off."""
        claimed, known = self.claims[name], self.known(name)
        clear = any(abs(dot(claimed, k.v) - k.slope) > CLEAR * k.bound for k in known)
        return clear and all(abs(dot(claimed, k.v) - factor * k.slope) <= abs(factor) * k.bound for k in known)

    def right_in_higher_precision(self, names: Sequence[str]) -> dict[str, str]:
        """Those that the same code gets right in long double, as far as it follows."""
        narrow = np.finfo(np.longdouble).eps == np.finfo(float).eps
        return {} if narrow else {name: "long double" for name in names if self._is_right(name, self._precise.get(name))}

    @cached_property
    def _precise(self) -> Mapping[str, Array]:
        try:
            return self.prober.claim.precise()
        except GradcheckError:
            return {}

    def _is_right(self, name: str, found: Array | None) -> bool:
        known = self.known(name)
        if found is None or found.dtype != np.longdouble or not known:
            return False
        off = [abs(dot(self.claims[name], k.v) - k.slope) for k in known]
        after = [abs(float(np.sum(found * k.v)) - k.slope) for k in known]
        right = all(a <= max(k.bound, e / BETTER) for k, e, a in zip(known, off, after, strict=True))
        return right and any(e > CLEAR * k.bound for k, e in zip(known, off, strict=True))

    def _probed(self, name: str, attempt: int) -> Known:
        return self._known_by(name, self.prober.probe([name], attempt, self.prober.known.large))

    def _known_by(self, name: str, probe: Probe) -> Known:
        v = probe.v[name]
        return Known(v, dot(self.claims[name], v) + probe.residual, probe.bound)
