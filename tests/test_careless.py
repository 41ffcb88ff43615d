"""A careless user: what was forgotten is found, named in a note, or refused in one line, and never simply `correct`."""

import careless
import pytest

from gradcheck import GradcheckError, Report, Verdict

pytest.importorskip("torch")
pytest.importorskip("jax")


def test_there_are_sixty():
    assert len(careless.CALLS) >= 60


@pytest.mark.parametrize("name", careless.CALLS)
def test_nothing_that_was_forgotten_ends_in_a_bare_correct(name):
    said = outcome(careless.CALLS[name])
    if isinstance(said, Report):
        assert said.verdict is not Verdict.CORRECT or said.notes, str(said)
    else:
        assert "\n" not in said
        assert len(said) < 300


def outcome(call):
    try:
        return call()
    except GradcheckError as refused:
        return str(refused)
