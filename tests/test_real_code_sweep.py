"""The subjects of `test_real_code` at many points: none is accused, and a fault is found in all."""

import pytest
import test_real_code as real_code

from gradcheck import Verdict

SEEDS = range(1, 16)


@pytest.mark.slow
@pytest.mark.parametrize("name", real_code.SUBJECTS)
def test_a_released_derivative_is_correct_at_every_point(name):
    reports = [real_code.SUBJECTS[name](seed).report() for seed in SEEDS]
    assert [str(report) for report in reports if report.verdict is not Verdict.CORRECT] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", real_code.SUBJECTS)
def test_the_same_with_a_fault_of_1e_4_is_wrong_at_every_point(name):
    planted = [real_code.SUBJECTS[name](seed).planted() for seed in SEEDS]
    assert [seed for seed, (faulty, block) in zip(SEEDS, planted, strict=True) if block not in faulty.report().wrong] == []
