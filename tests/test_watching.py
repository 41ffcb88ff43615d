"""What is seen while a check takes long, and what is known of it where it is stopped by hand."""

import sys

import numpy as np
import pytest

import gradcheck
from gradcheck.errors import Interrupted
from gradcheck.foundation import watching

AT = {name: np.linspace(0.1, 1, 5) for name in "abc"}


def loss(p):
    return sum(np.sin(value).sum() for value in p.values())


def gradient(p):
    return {name: np.cos(value) for name, value in p.items()}


class Terminal:
    def __init__(self, watched):
        self.watched, self.text = watched, ""

    def isatty(self):
        return self.watched

    def write(self, text):
        self.text += text

    def flush(self):
        pass


@pytest.fixture
def slow(monkeypatch):
    """A clock by which every look at it takes half a second."""
    now = iter(np.arange(0, 1e6, 0.5))
    monkeypatch.setattr(watching.time, "monotonic", lambda: float(next(now)))


@pytest.mark.parametrize("watched", [True, False])
def test_a_check_that_takes_long_says_how_far_it_is_to_whoever_is_watching(monkeypatch, slow, watched):
    terminal = Terminal(watched)
    monkeypatch.setattr(sys, "stderr", terminal)
    assert gradcheck.check(loss, gradient, AT)
    assert ("evaluations, 0 of 3 blocks judged" in terminal.text) == watched
    assert terminal.text == "" or terminal.text.endswith(watching.ERASED)


def test_a_check_that_is_quick_says_nothing(monkeypatch):
    terminal = Terminal(True)
    monkeypatch.setattr(sys, "stderr", terminal)
    assert gradcheck.check(loss, gradient, AT)
    assert terminal.text == ""


def stopped_at(call, function):
    """The same function; at this call somebody presses ^C."""
    calls = iter(range(1, 10**6))

    def stopping(p):
        if next(calls) == call:
            raise KeyboardInterrupt
        return function(p)

    return stopping


def test_a_check_that_is_stopped_tells_what_is_known_by_then():
    def wrong(p):
        return gradient(p) | {"a": 2 * np.cos(p["a"])}

    known = []
    for count in range(10, gradcheck.check(loss, wrong, AT, diagnose=False).evaluations, 5):
        with pytest.raises(Interrupted, match="what was known by then") as caught:
            gradcheck.check(stopped_at(count, loss), wrong, AT)
        assert isinstance(caught.value, KeyboardInterrupt)
        known.append({finding.name: finding for finding in caught.value.report.findings})
    between = [each for each in known if each["c"].reason == "stopped before it was judged"]
    assert between != known
    assert any(each["a"].verdict is gradcheck.Verdict.WRONG for each in between)
    assert {each["c"].verdict for each in between} == {gradcheck.Verdict.UNRESOLVED}


def test_a_check_that_is_stopped_before_the_first_look_knows_nothing():
    with pytest.raises(Interrupted) as caught:
        gradcheck.check(stopped_at(3, loss), gradient, AT)
    assert {finding.reason for finding in caught.value.report.findings} == {"stopped before it was judged"}


def test_a_diagnosis_that_is_stopped_leaves_the_verdict():
    spent = gradcheck.check(loss, lambda p: {name: -np.cos(v) for name, v in p.items()}, AT).evaluations
    with pytest.raises(Interrupted) as caught:
        gradcheck.check(stopped_at(spent + 2, loss), lambda p: {name: -np.cos(v) for name, v in p.items()}, AT)
    assert caught.value.report.wrong == {"a", "b", "c"}


def test_without_a_diagnosis_there_is_none_and_the_verdict_is_the_same():
    def negative(p):
        return {name: -np.cos(value) for name, value in p.items()}

    with_it, without = (gradcheck.check(loss, negative, AT, diagnose=wanted) for wanted in (True, False))
    assert with_it.diagnoses
    assert not without.diagnoses
    assert without.diagnosis_evaluations == 0
    assert (with_it.wrong, with_it.evaluations) == (without.wrong, without.evaluations)
