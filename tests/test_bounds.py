"""Bounds: nothing is asked outside of them, a right gradient on them is correct, and a wrong entry on them is named."""

import numpy as np
import pytest
from scipy.optimize import Bounds

from gradcheck import DataError, Verdict, check

DRAW = np.random.default_rng(0)
X, Y = DRAW.standard_normal(40), DRAW.standard_normal(40)
COUNTS = np.abs(DRAW.standard_normal((8, 6)))
PARTS = np.abs(DRAW.standard_normal((3, 6)))
WEIGHTS = np.where((W := np.abs(DRAW.standard_normal((8, 3)))) < 0.5, 0.0, W)
RETURNS = DRAW.standard_normal((60, 30))


def portfolio(w):
    return w @ RETURNS.T @ RETURNS @ w / 120 - RETURNS[0] @ w


def portfolio_gradient(w):
    return RETURNS.T @ (RETURNS @ w) / 60 - RETURNS[0]


def curve(t):
    """Raises where a parameter is negative, as code does that was never meant to be called there."""
    assert (t >= 0).all()
    return np.sum((t[0] * np.exp(-np.sqrt(t[1]) * X**2) + t[2] - Y) ** 2)


def curve_gradient(t):
    e, root = np.exp(-np.sqrt(t[1]) * X**2), np.sqrt(t[1])
    r = 2 * (t[0] * e + t[2] - Y)
    return np.array([r @ e, -r @ (t[0] * e * X**2) / (2 * root), r.sum()])


def factors(w):
    return np.sum((COUNTS - w @ PARTS) ** 2)


def factors_gradient(w):
    return -2 * (COUNTS - w @ PARTS) @ PARTS.T


def entropy(p):
    return np.sum(p * np.log(p))


HELD = np.where(np.arange(30) < 5, 0.2, 0.0)
CASES = {
    "most weights of a portfolio are zero": (portfolio, portfolio_gradient, HELD, (0, 1), (20,)),
    "an offset of a curve is zero": (curve, curve_gradient, np.array([1.0, 0.3, 0.0]), (0, None), (2,)),
    "two at their upper bounds": (curve, curve_gradient, np.array([10.0, 0.3, 3.0]), ([0, 1e-8, 0], [10, 5, 3]), (0,)),
    "next to a bound": (curve, curve_gradient, np.array([1, 0.3, 1e-13]), (0, 5), (0,)),
    "a narrow interval": (curve, curve_gradient, np.array([1, 0.3, 0.1]), ([1, 0.3, 0], [1 + 1e-6, 0.31, 1]), (0,)),
    "factors that must not be negative": (factors, factors_gradient, WEIGHTS, (0, np.inf), (3, 1)),
    "probabilities next to zero": (entropy, lambda p: np.log(p) + 1, np.array([1 - 9e-9, *[1e-9] * 9]), (0, 1), (4,)),
    "float32": (lambda x: np.sum(x**3 + x), lambda x: 3 * x**2 + 1, np.array([0, 0.5, 1], np.float32), (0, 1), (2,)),
}


def recorded(f, points):
    def function(x):
        points.append(np.array(x, np.float64))
        return f(x)

    return function


@pytest.mark.parametrize("name", CASES)
def test_a_right_gradient_on_bounds_is_correct_a_wrong_entry_is_found_and_nothing_is_asked_outside(name):
    loss, gradient, at, bounds, index = CASES[name]
    points = []

    def spoilt(x):
        g = gradient(x)
        g[index] *= 1.01
        return g

    assert check(recorded(loss, points), recorded(gradient, points), at, bounds=bounds).verdict is Verdict.CORRECT
    finding = check(recorded(loss, points), recorded(spoilt, points), at, bounds=bounds).findings[0]
    assert finding.verdict is Verdict.WRONG
    assert finding.worst_index == index
    lower, upper = (np.asarray(end, np.float64) for end in bounds)
    outside = [x for x in points if (x < np.where(np.isnan(lower), -np.inf, lower)).any() or (x > upper).any()]
    assert not outside


def test_what_bounds_hold_fast_is_named_and_not_looked_at():
    def wrong_in_the_second(t):
        return curve_gradient(t) * [1, 2, 1]

    at = np.array([1.0, 0.3, 0.0])
    report = check(curve, wrong_in_the_second, at, bounds=([0, 0.3, 0], [5, 0.3, 5]))
    assert report.verdict is Verdict.CORRECT
    assert report.unchecked[0] == "x[1]"
    assert "held by both bounds, and not looked at: x[1]" in report.notes
    assert not check(curve, wrong_in_the_second, at, bounds=(0, 5))  # the twin


def test_a_block_that_bounds_hold_fast_is_no_finding():
    at = {"w": np.array([0.0, 1.0]), "b": {"c": 0.5}}
    bounds = ({"w": 0, "b": {"c": 0.5}}, {"w": None, "b": {"c": 0.5}})

    def gradient(p):
        return {"w": 3 * p["w"] ** 2, "b": {"c": 99.0}}

    report = check(lambda p: np.sum(p["w"] ** 3) + p["b"]["c"], gradient, at, bounds=bounds)
    assert report.verdict is Verdict.CORRECT
    assert [f.name for f in report.findings] == ["w"]
    assert "b.c" in report.unchecked


AT = np.array([1.0, 0.3, 0.0])


@pytest.mark.parametrize(
    "bounds",
    [
        (0, 1),
        (None, 1),
        ([0, 0, None], [1, 1, 1]),
        [(0, 1)] * 3,
        [(0, None)] * 3,
        ((0, 1), (0, 1), (0, 1)),
        np.array([(0, 1)] * 3),
        Bounds(0, 1),
        Bounds([0, 0, 0], [1, 1, 1]),
    ],
    ids=str,
)
def test_bounds_are_taken_as_people_write_them(bounds):
    assert check(curve, curve_gradient, AT, bounds=bounds)


@pytest.mark.parametrize("bounds", [[(0, 5), (2, 3)], ([0, 2], [5, 3]), np.array([[0, 2], [5, 3]])], ids=str)
def test_of_two_readings_the_one_that_holds_the_point_is_taken(bounds):
    points = []
    assert check(recorded(lambda x: np.sum(x**3), points), lambda x: 3 * x**2, np.array([5.0, 2.0]), bounds=bounds)
    assert all(0 <= x[0] <= 5 and 2 <= x[1] <= 3 for x in points)


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ((0, 0.5), "bounds: x[0] = 1 has [0, 0.5], and the point is outside"),
        ((1, 0), "bounds: x[0] = 1 has [1, 0], not an interval"),
        ((np.nan, 1), "bounds: x[0] = 1 has [nan, 1], not an interval"),
        ((AT, AT), "bounds: lower and upper are equal everywhere: nothing can be moved"),
        (([0, 0], [1, 1]), "bounds: lower of x is [0, 0], expected shape (3,)"),
        ((0, "high"), "bounds: upper of x is 'high', expected shape (3,)"),
        (0.5, "bounds: expected a pair (lower, upper), got 0.5"),
        ((0,), "bounds: expected a pair (lower, upper), got 1 of type tuple"),
    ],
)
def test_bounds_that_cannot_be_are_refused_in_one_line(bounds, words):
    with pytest.raises(DataError) as refused:
        check(curve, curve_gradient, AT, bounds=bounds)
    assert str(refused.value) == words


def test_bounds_that_leave_out_a_block_are_refused():
    at = {"w": np.ones(2), "b": 0.5}
    with pytest.raises(DataError, match=r"bounds: lower says nothing of b: None is for what is open"):
        check(lambda p: np.sum(p["w"]) + p["b"], lambda p: {"w": np.ones(2), "b": 1.0}, at, bounds=({"w": 0}, {"w": 2}))
