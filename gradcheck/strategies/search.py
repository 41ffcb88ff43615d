"""Steering Hypothesis toward what nearly fails."""

from math import isfinite, log10

import hypothesis

from gradcheck.report import Report
from gradcheck.verdict.findings import Verdict


def targeted(report: Report) -> Report:
    """Return the report, with how near its worst entry comes to its bound as Hypothesis's target: it searches for worse.

    The target is the decimal logarithm of the largest error in units of its bound (`hypothesis.target`); 0 is where an error
    becomes a fault. Outside of a test under ``@given`` there is no target.

    Examples
    --------
    >>> from hypothesis import given
    >>> import gradcheck
    >>> from gradcheck import strategies
    >>> @given(strategies.cases())
    ... def test_no_gradient_is_wrong(case):
    ...     report = strategies.targeted(gradcheck.verify(case, ["manual"]))
    ...     assert not report.wrong, report
    """
    smooth = (finding.ratio for finding in report.findings if finding.verdict is not Verdict.NONSMOOTH)
    worst = max(filter(isfinite, smooth), default=0.0)
    if worst > 0 and hypothesis.currently_in_test_context():
        hypothesis.target(log10(worst), label="error in units of its bound, log10")
    return report
