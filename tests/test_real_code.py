"""Released derivatives that are right are `correct`, and with a fault of 1e-4 they are `wrong` in its block."""

import importlib

import pytest

from gradcheck import Verdict

LIBRARIES = ("real_sklearn", "real_kernels", "real_statsmodels", "real_scipy")
SUBJECTS = {name: build for library in LIBRARIES for name, build in importlib.import_module(library).SUBJECTS.items()}


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_released_derivative_is_correct(name):
    report = SUBJECTS[name](0).report()
    assert report.verdict is Verdict.CORRECT, report


@pytest.mark.parametrize("name", SUBJECTS)
def test_the_same_with_a_fault_of_1e_4_is_wrong_in_its_block(name):
    faulty, block = SUBJECTS[name](0).planted()
    assert block in faulty.report().wrong
