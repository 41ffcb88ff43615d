"""Functions much faster than the size of their parameters: nobody is accused of what steps cannot see."""

import numpy as np
import pytest

from gradcheck import check
from gradcheck.checking.prober import Nearer, Prober
from gradcheck.oracles import richardson

FAST = {
    "a fast sine": (lambda x: np.sin(1e3 * x), lambda x: 1e3 * np.cos(1e3 * x)),
    "a faster sine": (lambda x: np.sin(1e5 * x), lambda x: 1e5 * np.cos(1e5 * x)),
    "ripples": (lambda x: x * x + 1e-3 * np.sin(2e4 * x), lambda x: 2 * x + 20 * np.cos(2e4 * x)),
    "a sum of two": (lambda x: np.sin(3e4 * x) + np.cos(7e4 * x), lambda x: 3e4 * np.cos(3e4 * x) - 7e4 * np.sin(7e4 * x)),
}
PLACES = np.random.default_rng(3).uniform(0.3, 3, 60)


def accused(f, gradient):
    return [x for x in PLACES if check(f, gradient, float(x)).wrong]


@pytest.mark.parametrize("name", FAST)
def test_no_step_is_a_multiple_of_others_so_a_period_near_the_smallest_does_not_look_slow(name):
    f, gradient = FAST[name]
    assert accused(f, gradient) == []
    missed = [x for x in PLACES[:20] if check(f, lambda x: 1.01 * gradient(x), float(x)).verdict == "correct"]
    assert missed == []


def test_steps_that_are_all_halved_accuse_a_fast_sine(monkeypatch):
    """The twin."""
    monkeypatch.setattr(richardson, "UNEVEN", (1.0,))
    monkeypatch.setattr(Prober, "nearer", lambda *_: Nearer.REFUTES)
    monkeypatch.setattr(Prober, "otherwise", lambda _, probe: probe)
    assert accused(*FAST["a faster sine"]) != []


def sines(speed):
    return lambda x: np.sin(speed * x).sum(), lambda x: speed * np.cos(speed * x)


def points(count):
    return [np.random.default_rng(seed).standard_normal(4) for seed in range(count)]


@pytest.mark.parametrize("speed", [1e6, 1e7, 1e8, 1e9])
def test_a_residual_that_does_not_settle_as_steps_fall_accuses_nobody(speed):
    f, gradient = sines(speed)
    assert not any(check(f, gradient, at).wrong for at in points(12))


@pytest.mark.parametrize("speed", [1.0, 1e3, 1e6])
def test_an_error_of_such_a_function_is_found_where_steps_can_see_it(speed):
    f, gradient = sines(speed)
    assert all(check(f, lambda x: 1.001 * gradient(x), at).wrong for at in points(6))


def test_without_the_look_at_tiny_steps_a_fast_sine_is_accused(monkeypatch):
    """The twin."""
    monkeypatch.setattr(Prober, "nearer", lambda *_: Nearer.REFUTES)
    f, gradient = sines(1e9)
    assert any(check(f, gradient, at).wrong for at in points(6))
