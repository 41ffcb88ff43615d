"""A claimed gradient before any arithmetic: how far its own rounding may put it off, and what two answers say together."""

import numpy as np
import pytest

from gradcheck.candidates.answer import examined, is_another, repeated
from gradcheck.candidates.claim import examine
from gradcheck.candidates.functions import Subject
from gradcheck.candidates.point import point_of
from gradcheck.verdict.causes import Cause

U = 2.0**-53


def rounding(gradient, at, seed=0):
    claim = examine(Subject(lambda x: 0.0, gradient, point_of(at)), seed)
    return claim.rounding["x"]


def test_a_claim_is_rounded_in_its_own_size():
    at = np.array([1.0, -2.0, 4.0])
    np.testing.assert_allclose(rounding(lambda x: np.array([3.0, 0.5, -8.0]), at), 32 * U * np.array([3.0, 0.5, 8.0]))
    narrow = rounding(lambda x: np.array([3.0, 0.5, -8.0], np.float32), at.astype(np.float32))
    np.testing.assert_allclose(narrow, 32 * 2.0**-24 * np.array([3.0, 0.5, 8.0]))


def test_what_changes_within_one_ulp_of_the_point_is_rounding_and_a_jump_is_none():
    at = np.array([3.0, 3.0])
    ulp = np.spacing(3.0)
    steep = rounding(lambda x: np.array([1e6 * (x[0] - 2.999999), 1.0]), at)
    # Moves by an ulp either way, shared with the block in units of the point: by 1 / sqrt(2) in each.
    np.testing.assert_allclose(steep, 3 * 1e6 * ulp * np.array([1.5**0.5, 0.5**0.5]), rtol=1e-3)
    jumping = rounding(lambda x: np.array([1.0 + (x[0] > 3.0) - (x[0] < 3.0), 1.0]), at)
    np.testing.assert_allclose(jumping, 32 * U)


def test_a_claim_that_has_no_answer_nearby_is_judged_by_its_size():
    answers = [np.ones(2), np.ones(2), np.ones(3)]
    np.testing.assert_allclose(rounding(lambda x: answers.pop(0), np.ones(2)), 32 * U)


@pytest.mark.parametrize("scale", [1e-200, 1e-9, 1.0, 1e9])
def test_a_second_answer_is_another_beyond_half_of_the_digits_of_the_largest_entry(scale):
    first = scale * np.array([1.0, -4.0])
    eps = 2.0**-52
    line = 4 * scale * eps**0.5
    for way in (1, -1):
        assert not is_another(first, first + way * 0.99 * np.array([line, 0]), eps)
        assert is_another(first, first + way * 1.01 * np.array([line, 0]), eps)
    assert not is_another(np.zeros(0), np.zeros(0), eps)
    assert is_another(0.0, 1e-300, eps)


def test_answers_that_differ_are_a_note_within_rounding_and_a_defect_beyond_it():
    first = {"a": np.array([1.0, 2.0]), "b": np.array([3.0]), "c": np.array([1e-20])}
    second = {"a": np.array([1.0, 2.0 + 1e-15]), "b": np.array([3.5]), "c": np.array([-1e-20]), "d": np.ones(1)}
    spacing = {"a": 2.0**-52, "b": 2.0**-52, "c": 2.0**-52}.__getitem__
    answer = repeated(first, second, spacing)
    assert answer.defects.keys() == {"b", "c"}
    assert {defect.cause for defect in answer.defects.values()} == {Cause.NONDETERMINISTIC}
    assert answer.defects["b"].sentence == "a second call changed the gradient from 3 to 3.5 at [0]"
    (note,) = answer.notes
    assert note == f"a: the gradient changes from call to call, from 2 to {2.0 + 1e-15:.17g} at [1]"
    known = {"c": np.array([1e-15]), "b": np.array([0.4])}
    assert repeated(first, second, spacing, known).defects.keys() == {"b"}
    assert repeated(first, second, spacing, known | {"b": np.array([0.5])}).defects.keys() == set()
    assert repeated(first, first, spacing) == ({}, {}, (), (), {}, "")


def test_each_block_is_examined_by_itself():
    like = {"a": np.ones(2), "b": np.ones(2), "c": np.ones(2), "d": np.ones(2)}
    answer = examined(
        {"a": [1, 2], "b": np.array([1.0, np.nan]), "c": np.ones(3)}, like, lambda name: f"{name} is not there"
    )
    assert answer.gradients.keys() == {"a"}
    assert {name: (defect.cause, defect.sentence) for name, defect in answer.defects.items()} == {
        "b": (Cause.NON_FINITE, "the gradient is nan at [1]"),
        "c": (Cause.WRONG_STRUCTURE, "the gradient has shape (3,), expected (2,)"),
        "d": (Cause.WRONG_STRUCTURE, "d is not there"),
    }
