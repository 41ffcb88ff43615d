"""Evidence from a reference that is known entry by entry: what speaks for a cause of what a candidate has wrong."""

from collections.abc import Mapping, Sequence

import numpy as np

from gradcheck.candidates.answer import Defect
from gradcheck.comparison.judging import BOUND
from gradcheck.comparison.measured import Measured
from gradcheck.diagnosis.references import Precise, Reference, ReferenceEvidence
from gradcheck.foundation.arrays import Array, zeros
from gradcheck.verdict.bounds import Allowance
from gradcheck.verdict.findings import Finding, Verdict

OFF = (Verdict.WRONG, Verdict.INEXACT)


def evidence(measured: Measured, findings: Sequence[Finding], troubles: Mapping[str, Defect]) -> ReferenceEvidence:
    """Of the blocks that are off and have a form."""
    names = [each.name for each in findings if each.verdict in OFF and each.name not in troubles]
    bounds = {name: _bound(measured.scales(measured.best)[name]) for name in names}
    centre = measured.centre
    return ReferenceEvidence(
        claims={name: measured.furthest(name) for name in centre if measured.comparable(name)},
        point={name: measured.pair.given.point.get(name, np.zeros_like(centre[name])) for name in centre},
        troubles=troubles,
        counts=(),
        thorough=True,
        references={name: Reference(centre[name], bounds[name]) for name in names},
        allowed={
            name: Allowance(bounds[name], zeros(bound.shape), centre[name], centre[name]) for name, bound in bounds.items()
        },
        dtype="float64" if measured.held == "float64" else "float32",
        seed=measured.seed,
        precise=Precise("float32", dict),
        layered=False,
    )


def _bound(scale: Array) -> Array:
    return BOUND * np.where(np.isfinite(scale), scale, 0.0)
