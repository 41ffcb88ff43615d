"""What every oracle says of exact subjects is what it said when it was last looked at: bounds, noise, steps, evaluations.

An oracle may say less than it could, at more evaluations, and no verdict shows it; here it shows. Whoever changes a rule on
purpose writes these numbers anew (`measured_oracles.py`) and looks at what has changed.
"""

import json

import pytest
from measured_oracles import KEPT, LINES, ORACLES, line, said

from gradcheck.oracles import differences, lattice, noise, regression, sides

BEFORE = json.loads(KEPT.read_text())
TOLERANCE = {"regression": 0.5}  # which rests on cosines and on singular values; all others on correctly rounded numbers
USUAL = 0.02


def numbers(text):
    return [float("nan") if word == "-" else float(word) for word in text.split()]


def agree(oracle, now, before):
    return numbers(now) == pytest.approx(numbers(before), rel=TOLERANCE.get(oracle, USUAL), abs=1e-300, nan_ok=True)


@pytest.mark.parametrize("oracle", ORACLES)
@pytest.mark.parametrize("claim", ["right", "off"])
def test_along_every_line_an_oracle_says_what_it_said(oracle, claim):
    asked = {f"{name}, {c}: {oracle}": said(line(name, c), oracle) for name, c in LINES if c == claim}
    assert asked
    assert {key: now for key, now in asked.items() if not agree(oracle, now, BEFORE[key])} == {}


MOVED = {
    "noise": (noise, "CAUTION", 4),
    "grain": (noise, "GROWING", 1.2),
    "rounded": (lattice, "LEFT", 0.01),
    "slope": (differences, "SLACK", 40),
    "sides": (sides, "FINE", 1e-3),
    "regression": (regression, "ERRORS", 10),
    "at the point": (sides, "PLAIN", 1e12),
}


@pytest.mark.parametrize("oracle", MOVED)
def test_a_constant_of_an_oracle_that_is_moved_is_noticed(monkeypatch, oracle):
    """The twin."""
    room, constant, value = MOVED[oracle]
    before = {(name, c): BEFORE[f"{name}, {c}: {oracle}"] for name, c in LINES}
    monkeypatch.setattr(room, constant, value)
    assert not all(agree(oracle, said(line(*key), oracle), text) for key, text in before.items())
