"""Many steps: what a fit takes for slope, jump and noise, by hand and by a library's least squares."""

from math import inf

import numpy as np
import pytest

from gradcheck.oracles.differences import Start, _awakened, _narrow
from gradcheck.oracles.line import HELD, Line, Meter
from gradcheck.oracles.regression import ERRORS, HARDLY, PAIRS, REACHES, Fit, _even, _fewest, _odd, regression
from gradcheck.oracles.richardson import ladder

AT = 0.75
NODES = np.cos((2 * np.arange(16) + 1) * np.pi / 64)


def line(f, claim=0.0, at=AT):
    return Line(lambda p: float(f(p["x"][0])), {"x": np.array([at])}, {"x": np.ones(1)}, {"x": np.array([claim])})


def test_an_odd_fit_gives_the_slope_at_0_and_what_it_leaves_over():
    values = 3 * NODES - 2 * NODES**3 + 0.5 * NODES**5
    for count in (3, 4):
        fit = _odd(NODES, values, count)
        assert fit.value == pytest.approx(3.0)
        assert fit.leftover < 1e-13
    basis = np.stack([NODES, NODES**3], axis=1)
    coefficients, left, *_ = np.linalg.lstsq(basis, values, rcond=None)
    fit = _odd(NODES, values, 2)
    assert fit.value == pytest.approx(coefficients[0])
    assert fit.leftover == pytest.approx((left[0] / 14) ** 0.5)
    assert fit.error == pytest.approx(fit.leftover * np.linalg.inv(basis.T @ basis)[0, 0] ** 0.5)


def test_an_even_fit_gives_the_jump_of_slope_whatever_the_value_at_the_point():
    values = 7 + 0.5 * NODES + 3 * NODES**2 - NODES**4
    fit = _even(NODES, values, 2)
    assert fit.value == pytest.approx(0.5)
    assert fit.leftover < 1e-13
    basis = np.stack([NODES, NODES**0, NODES**2], axis=1)
    coefficients, left, *_ = np.linalg.lstsq(basis, values, rcond=None)
    fit = _even(NODES, values, 1)
    assert fit.value == pytest.approx(coefficients[0])
    assert fit.leftover == pytest.approx((left[0] / 13) ** 0.5)
    assert fit.error == pytest.approx(fit.leftover * np.linalg.inv(basis.T @ basis)[0, 0] ** 0.5)


@pytest.mark.parametrize(
    ("leftovers", "chosen"),
    [
        ((5.0, 1.0, 1.0), 1),
        ((1.09, 1.0, 1.0), 0),
        ((1.11, 1.0, 1.0), 1),
        ((5.0, 4.0, 1.0), 1),
        ((1.0, 4.0, 5.0), 0),
        ((9.0, 1.05, 1.0, 2.0), 1),
    ],
)
def test_the_fewest_powers_are_taken_that_leave_over_hardly_more(leftovers, chosen):
    fits = [Fit(float(i), 0.0, leftover) for i, leftover in enumerate(leftovers)]
    assert _fewest(fits) == (fits[chosen], fits[chosen + 1])
    assert HARDLY == 1.1


@pytest.mark.parametrize("slope", [3.0, -3.0])
def test_a_lucky_fit_is_as_uncertain_as_the_noise_that_is_known(slope):
    on = line(lambda x: slope * (x - AT), 1.0)
    exact, known = regression(on, 0.0), regression(line(lambda x: slope * (x - AT), 1.0), 1e-3)
    assert exact.value == pytest.approx(slope, abs=1e-12)
    assert exact.bound < 1e-12
    assert known.value == pytest.approx(slope, abs=1e-12)
    widest = max(REACHES)
    t = np.cos((2 * np.arange(PAIRS) + 1) * np.pi / (4 * PAIRS))
    odd, jump = (np.array(basis) for basis in ([t], [t, t**0, t * t]))
    errors = np.linalg.inv(odd @ odd.T)[0, 0] ** 0.5 + np.linalg.inv(jump @ jump.T)[0, 0] ** 0.5
    assert known.bound == pytest.approx(ERRORS * 1e-3 * errors / widest, rel=0.05)
    assert known.step == widest
    assert known.evaluations == 1 + 2 * PAIRS * len(REACHES)


def test_a_reach_that_leads_out_of_the_domain_is_left_out_and_what_does_not_move_says_nothing():
    near = regression(line(lambda x: 2 * x if abs(x - AT) < 1 else np.nan), 1e-9)
    assert near.step == 0.5
    assert near.value == pytest.approx(2.0)
    assert regression(line(lambda x: 2 * x if x < AT + 0.01 else np.nan), 1e-9).bound == inf
    still = regression(line(lambda _: 1.0, 3.0), 1e-9)
    assert (still.value, still.bound) == (3.0, inf)


def test_a_function_is_awakened_by_the_least_step_that_moves_it():
    on = line(lambda x: 1.0 if abs(x - AT) < 0.3 else 1.0 + 1e-3 * np.sign(x - AT), 1.0)
    steps, spread = _awakened(on, ladder(0.125, 6), 1e-16, 2.0**1000)
    assert len(steps) == 6
    assert steps[0] == pytest.approx(8 * 0.3, rel=1e-5)
    assert spread == pytest.approx(1e-3)
    loud = _awakened(on, ladder(0.125, 6), 1.0, 2.0**1000)
    assert loud[1] == 1.0
    asleep = line(lambda _: 1.0, 1.0)
    assert _awakened(asleep, ladder(0.125, 6), 1e-16, 2.0**1000) == (ladder(0.125, 6), 1e-16)
    assert _awakened(on, ladder(0.125, 6), 1e-16, 0.01) == (ladder(0.125, 6), 1e-16)
    assert asleep.evaluations == 77
    assert Start().patient


@pytest.mark.parametrize("sign", [1, -1])
def test_a_function_that_stands_still_and_is_loud_has_the_roundoff_of_its_noise(sign):
    still = line(lambda x: sign * 4.0 * (1 + 2.0**-20 * np.floor((x - AT) * 2.0**20 + 0.5)), 4.0)
    assert _narrow(still, 2.0**-17) == 2.0**-20
    assert _narrow(still, 1.0) == 2.0**-11
    assert _narrow(still, 4 * 2.0**-53) == 2.0**-53
    assert _narrow(line(lambda x: sign * 4.0 * x, 4.0), 2.0**-17) == 2.0**-53
    assert _narrow(line(lambda _: 0.0, 4.0), 2.0**-17) == 2.0**-53


def test_a_line_counts_what_it_spends_and_asks_each_distance_once():
    meter = Meter(5)
    calls = []

    def many(moved):
        calls.append(len(moved["x"]))
        return moved["x"].sum(axis=1)

    at = {"x": np.array([1.0, 2.0]), "y": np.ones(3)}
    v, g = {"x": np.array([3.0, 4.0])}, {"x": np.array([2.0, -1.0])}
    on = Line(lambda p: float(p["x"].sum()), at, v, g, many=many, meter=meter)
    assert (on.evaluations, meter.spent, on.origin) == (1, 6, 3.0)
    on.prepare([0.5, 0.25, 0.5])
    on.prepare([0.25])
    assert (calls, on.evaluations, meter.spent) == ([2], 3, 8)
    assert on.sample(0.5) == (3.5 - 0.5 * (6 - 4), 6.5)
    assert on.sample(-0.5) == (-3.5 + 0.5 * (6 - 4), -0.5)
    assert on.changes(0.5) == (3.5, -3.5)
    assert (on.evaluations, meter.spent) == (4, 9)
    assert (on.product, on.spread) == (2.0, np.hypot(6, 4))
    assert on.distance(0.5) == pytest.approx(0.5)
    assert on.moves(0.5)
    known = Line(lambda p: float(p["x"].sum()), at, v, g, 3.0)
    assert (known.evaluations, known.origin) == (0, 3.0)
    on.prepare(np.linspace(1, 2, HELD // 2 + 3))
    assert calls == [2, HELD // 2, 3]
