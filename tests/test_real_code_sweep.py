"""The subjects of `test_real_code` at many points: none is accused, and a fault is found in all."""

import importlib.util
from pathlib import Path

import pytest

from gradcheck import Verdict

spec = importlib.util.spec_from_file_location("real_code", Path(__file__).with_name("test_real_code.py"))
assert spec is not None
assert spec.loader is not None
real_code = importlib.util.module_from_spec(spec)
spec.loader.exec_module(real_code)

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
