"""What a check says of a claim, what that costs, and how small an error would have been seen: as when it was last measured.

Steps, thresholds and budgets are chosen by what they cost and see (`docs/measurements.md`). One that is moved moves these
numbers: whoever moves it measures again, and looks at each verdict that changes. The subjects are the same numbers
everywhere (`exactly.py`); what is seen rests on rounding, which may differ by a little.
"""

import numpy as np
import pytest
from exactly import CLAIMS, SUBJECTS

from gradcheck import check
from gradcheck.checking import overview, prober, procedure
from gradcheck.oracles import differences, noise, sides

LITTLE = 0.02
MEASURED = {
    ("a cubic", "as it is"): ("correct", 20, [2.406e-11]),
    ("a quotient", "as it is"): ("correct", 20, [5.848e-11]),
    ("a quotient on a constant", "as it is"): ("correct", 24, [3.806e-07]),
    ("a fast quotient", "as it is"): ("correct", 20, [2.409e-11]),
    ("many entries", "as it is"): ("correct", 20, [1.749e-08]),
    ("a unit far from 0", "as it is"): ("correct", 157, [1.214e-06]),
    ("tiny parameters", "as it is"): ("correct", 42, [8.781e-12]),
    ("a minimum that is 0", "as it is"): ("unresolved", 250, [0.001418]),
    ("a bias that is taken away", "as it is"): ("correct correct", 22, [1.242e-10, 1.73e-10]),
    ("a jump nearby", "as it is"): ("correct", 41, [1.648e-10]),
    ("a jump at the point", "as it is"): ("nonsmooth", 143, [73.07]),
    ("a bump", "as it is"): ("correct", 117, [3.619e-07]),
    ("a bump that is missed", "as it is"): ("wrong", 367, [6.731e-07]),
    ("a gate", "as it is"): ("nonsmooth", 147, [35.88]),
    ("a gate beside", "as it is"): ("correct", 67, [1.004e-08]),
    ("a root over a kink", "as it is"): ("nonsmooth", 428, [13.0]),
    ("a kink", "as it is"): ("nonsmooth", 260, [1.732]),
    ("kinks nearby", "as it is"): ("correct", 73, [1.061e-09]),
    ("a joint", "as it is"): ("correct", 64, [5.147e-08]),
    ("stairs", "as it is"): ("correct", 31, [3.854e-11]),
    ("stairs with a slope", "as it is"): ("unresolved", 444, [0.3003]),
    ("fine stairs", "as it is"): ("correct", 461, [2.591e-05]),
    ("fine stairs that are flat", "as it is"): ("nonsmooth", 248, [0.001213]),
    ("a constant", "as it is"): ("correct", 29, [9.641e-12]),
    ("a constant with a slope", "as it is"): ("wrong", 466, [6.039e-13]),
    ("nothing", "as it is"): ("correct", 29, [0.0]),
    ("nothing with a slope", "as it is"): ("unresolved", 482, [np.inf]),
    ("an edge", "as it is"): ("correct", 80, [2.44e-10]),
    ("a saddle", "as it is"): ("correct", 115, [8.465e-15]),
    ("a layer in single", "as it is"): ("correct correct", 534, [2.668e-05, 3.537e-05]),
    ("a layer in half", "as it is"): ("unresolved wrong", 895, [0.0811, 1.991e-09]),
    ("everything in single", "as it is"): ("correct correct", 35, [0.0007657, 0.02046]),
    ("below 0", "as it is"): ("correct", 20, [1.302e-10]),
    ("a layer in single below 0", "as it is"): ("correct correct", 534, [2.668e-05, 3.537e-05]),
    ("a unit far from 0, below 0", "as it is"): ("correct", 157, [1.214e-06]),
    ("a jump at the point, below 0", "as it is"): ("nonsmooth", 143, [73.07]),
    ("a quotient", "1 % off"): ("wrong", 182, [5.091e-11]),
    ("below 0", "1 % off"): ("wrong", 177, [5.929e-11]),
    ("a unit far from 0, below 0", "1 % off"): ("wrong", 210, [4.242e-06]),
    ("a fast quotient", "1 % off"): ("wrong", 70, [1.576e-08]),
    ("a quotient on a constant", "1 % off"): ("wrong", 86, [2.174e-06]),
    ("a unit far from 0", "1 % off"): ("wrong", 210, [4.242e-06]),
    ("tiny parameters", "1 % off"): ("wrong", 102, [5.123e-11]),
    ("a minimum that is 0", "1 % off"): ("wrong", 344, [0.0004739]),
    ("a jump nearby", "1 % off"): ("wrong", 75, [1.634e-09]),
    ("a bump", "1 % off"): ("wrong", 151, [1.25e-07]),
    ("a bump that is missed", "1 % off"): ("wrong", 367, [6.657e-07]),
    ("a gate beside", "1 % off"): ("wrong", 109, [1.178e-07]),
    ("kinks nearby", "1 % off"): ("wrong", 117, [7.331e-09]),
    ("a joint", "1 % off"): ("wrong", 110, [7.216e-07]),
    ("an edge", "1 % off"): ("wrong", 135, [1.841e-09]),
    ("a unit far from 0", "zero"): ("wrong", 398, [2.329e-05]),
    ("tiny parameters", "zero"): ("wrong", 122, [2.325e-15]),
    ("a minimum that is 0", "zero"): ("correct", 27, [0.0]),
    ("a cubic", "zero"): ("wrong", 90, [3.68e-12]),
    ("a cubic", "1e-5 off"): ("wrong", 88, [1.261e-12]),
    ("a cubic", "1e-8 off"): ("inexact", 88, [1.26e-12]),
    ("a cubic", "one entry of 3 off"): ("wrong", 64, [1.266e-12]),
    ("many entries", "one entry off"): ("wrong", 68, [9.16e-11]),
    ("many entries", "two entries off"): ("wrong", 224, [9.151e-11]),
    ("many entries", "1e-4 off"): ("wrong", 1220, [9.196e-11]),
    ("a kink", "the other entry off"): ("wrong", 431, [1.715]),
    ("a bias that is taken away", "w off"): ("wrong correct", 86, [1.858e-10, 2.612e-12]),
    ("a bias that is taken away", "b wrong"): ("correct wrong", 128, [2.656e-10, 1.319e-09]),
    ("a layer in single", "w off"): ("wrong inexact", 398, [0.0006521, 1.106e-13]),
    ("a layer in single", "v off"): ("correct wrong", 618, [2.491e-05, 6.15e-05]),
    ("a layer in half", "w off"): ("wrong wrong", 929, [0.9358, 1.991e-09]),
    ("a layer in half", "v off"): ("unresolved wrong", 191, [1.763, 1.551e-09]),
    ("everything in single", "w off"): ("wrong correct", 163, [0.005623, 0.0008448]),
    ("everything in single", "v off"): ("correct wrong", 189, [0.00343, 1.381e-05]),
    ("a layer in single", "w zero"): ("wrong inexact", 370, [9.976e-05, 1.106e-13]),
    ("everything in single", "w zero"): ("wrong correct", 125, [0.0002642, 0.0001226]),
}
"""Verdicts, evaluations and resolutions."""


def measured(subject, spoil):
    loss, gradient, at = SUBJECTS[subject]
    report = check(loss, lambda x: spoil(gradient(x)), at, diagnose=False)
    verdicts = " ".join(finding.verdict for finding in report.findings)
    return verdicts, report.evaluations, [finding.resolution for finding in report.findings]


def differs(subject, fault, spoil):
    verdicts, evaluations, resolutions = measured(subject, spoil)
    before = MEASURED[subject, fault]
    return (verdicts, evaluations) != before[:2] or resolutions != pytest.approx(before[2], rel=LITTLE)


@pytest.mark.parametrize(("subject", "fault", "spoil"), CLAIMS, ids=[f"{name}, {fault}" for name, fault, _ in CLAIMS])
def test_verdict_evaluations_and_resolution_are_those_that_were_measured(subject, fault, spoil):
    verdicts, evaluations, resolutions = measured(subject, spoil)
    before = MEASURED[subject, fault]
    assert (verdicts, evaluations) == before[:2]
    assert resolutions == pytest.approx(before[2], rel=LITTLE)


MOVED = {
    "more rungs": (overview, "AT_LARGE", differences.Start(rungs=7)),
    "fewer rungs to a side": (procedure, "RUNGS", 5),
    "a coarser look at a side": (sides, "FINE", 1e-3),
    "a larger step to tell noise from kinks": (noise, "NEAR", 2 * noise.NEAR),
    "less caution": (noise, "CAUTION", 2),
    "more for what is fine": (prober, "ENOUGH", 1.0),
    "zeros that are not": (overview, "ZERO", 1e16),
}


@pytest.mark.parametrize("name", MOVED)
def test_a_constant_that_is_moved_is_noticed(monkeypatch, name):
    """The twin."""
    room, constant, value = MOVED[name]
    monkeypatch.setattr(room, constant, value)
    assert any(differs(*claim) for claim in CLAIMS)
