"""What the rounding analysis takes from a function: its slopes and bends within reach of rounding, by hand."""

import numpy as np
import pytest
from scipy.special import expit

import gradcheck
from gradcheck.network.analysis import calculus
from gradcheck.network.analysis.calculus import FAR, Uncertain, bend, coherence, curvature, or_inf, slope_rounding, steepest
from gradcheck.network.analysis.kinks import freedom, through_factor, through_product, through_slope
from gradcheck.network.analysis.loss_rounding import _carried
from gradcheck.network.layers import Cancellation, Kink

U = 2.0**-53
BENT = (Kink(0.0, left=-1.0, right=2.0, chosen=-1.0),)


def test_reach_of_rounding_is_a_hundred_roots_of_the_variance_and_without_end_where_nothing_is_known():
    tolerance = calculus.tolerance_of(Uncertain(np.zeros(3), np.array([4.0, 0.0, np.nan])), U)
    np.testing.assert_array_equal(tolerance, [200 * U, 0.0, np.inf])
    np.testing.assert_array_equal(or_inf(np.array([1.0, np.inf])), [1.0, np.inf])


@pytest.mark.parametrize("z", [-3.0, -0.4, 0.0, 1.0, 50.0])
def test_curvature_is_that_of_the_function_to_a_few_digits(z):
    z = np.array([z, 2 * z])
    found = curvature(np.sin, z, np.sin(z), np.zeros(2), ())
    np.testing.assert_allclose(found, np.abs(np.cos(z)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [1e-9, 1.0, 1e6, 1e12])
def test_curvature_is_seen_however_large_the_argument(size):
    z = np.array([size, -size])
    np.testing.assert_allclose(curvature(lambda t: 2 * t, z, 2 * z, np.zeros(2), ()), 2.0, rtol=1e-6)
    np.testing.assert_allclose(
        curvature(lambda t: t**2, z, z**2, np.full(2, size), ()), np.full(2, 3 * size), rtol=1e-5, atol=3e-6
    )


def test_curvature_is_that_of_the_bent_side_of_a_joint_and_of_the_smoother_side_of_a_kink():
    z = np.zeros(1)

    def joined(t):
        return np.maximum(t, 0) * 3.0

    assert curvature(joined, z, joined(z), z, ()) == pytest.approx(3.0)
    assert curvature(lambda t: -joined(-t), z, joined(z), z, ()) == pytest.approx(3.0)

    def broken(t):
        return np.where(t > 0, 2.0 + t, -1.0 + 0.25 * t)

    assert curvature(broken, z - 1e-9, broken(z - 1e-9), z, BENT) == pytest.approx(0.25, rel=1e-2)
    straight = np.array([-1.0, 2.0, 2.0])
    assert not curvature(lambda t: 1 / (t - t), np.ones(3), straight, np.zeros(3), BENT).any()


def test_the_steepest_slope_is_looked_for_as_far_as_rounding_reaches_and_only_where_that_is_far_or_asked_for():
    z, tolerance = np.array([1.0, 1.0, 1.0, -1.0]), np.array([0.5, FAR / 2, np.inf, 0.5])
    here = z**2

    def slopes(t):
        return t**2

    np.testing.assert_allclose(steepest(slopes, z, here, tolerance, False), [2.25, 1.0, 1.0, 2.25])
    np.testing.assert_allclose(steepest(slopes, z, here, tolerance, True), [2.25, (1 + FAR / 2) ** 2, 1.0, 2.25])
    # At 0 where that is inside: the slope of tanh is steepest there.
    hill = steepest(lambda t: 1 / np.cosh(t) ** 2, np.array([0.3, -0.3]), np.zeros(2), np.array([1.0, 0.2]), False)
    np.testing.assert_allclose(hill, [1.0, 1 / np.cosh(0.1) ** 2])


def test_a_bend_is_the_curvature_or_far_off_the_largest_change_of_slope_over_the_reach():
    z, tolerance = np.array([2.0, 2.0]), np.array([1e-9, 0.5])

    def slopes(t):
        return t**3

    near, far = bend(slopes, z, z**3, tolerance, (), U)
    assert near == pytest.approx(12.0, rel=1e-3)
    assert far == pytest.approx(2**0.5 * (2.5**3 - 2.0**3) / 0.5)  # two units may change together
    (alone,) = bend(slopes, z[:1], z[:1] ** 3, np.array([0.5]), (), U)
    assert alone == pytest.approx((2.5**3 - 2.0**3) / 0.5)
    flat = bend(np.ones_like, z, np.ones(2), tolerance, (), U)
    np.testing.assert_array_equal(flat, 0.0)
    unknown = bend(slopes, z, z**3, np.array([np.inf, 0.0]), (), U)
    np.testing.assert_allclose(unknown, 12.0, rtol=1e-3)


def test_units_that_are_carried_far_together_count_with_the_root_of_their_number_unless_one_rounding_does_it():
    coarse = 2.0**-9
    np.testing.assert_array_equal(coherence(np.array([2 * FAR, FAR / 2]), 16, U), [4.0, 1.0])
    np.testing.assert_array_equal(coherence(np.array([499 * coarse, 501 * coarse]), 9, coarse), [1.0, 3.0])


def test_rounding_of_a_slope_is_what_cancels_but_no_more_than_a_saturated_slope_itself():
    z = np.array([-30.0, -3.0, 0.5, 20.0])
    slopes, bent = np.full(4, 0.5), np.zeros(4)
    grows = Cancellation(slope=2.0, slope_reach=10.0)
    np.testing.assert_allclose(slope_rounding(grows, z, slopes, bent, U), [20.0, 6.0, 2.0, 20.0])
    right = Cancellation(slope=2.0, slope_reach=10.0, left=False)
    np.testing.assert_allclose(slope_rounding(right, z, slopes, bent, U), [0.0, 0.0, 2.0, 20.0])
    np.testing.assert_allclose(slope_rounding(grows, z, slopes * U, bent + U / 4, U), [6.0, 6.0, 2.0, 6.0])
    value = calculus.value_rounding(Cancellation(value=3.0, value_reach=4.0), z)
    np.testing.assert_allclose(value, [12.0, 9.0, 3.0, 12.0])


def test_the_freedom_of_a_slope_is_what_the_other_side_would_have_given():
    z = np.array([-0.5, -1e-9, 0.0, 1e-9, 0.5])
    exact, down, up = freedom(BENT, z, np.full(5, 1e-8))
    np.testing.assert_array_equal(exact, [0, 0, 3, 0, 0])
    np.testing.assert_array_equal(down, [0, 0, 0, 3, 0])
    np.testing.assert_array_equal(up, [0, 3, 3, 0, 0])
    assert not freedom((), z, np.full(5, np.inf)).any()
    np.testing.assert_array_equal(freedom(BENT, np.zeros(1), np.zeros(1)).ravel(), [3, 0, 3])  # on it without any rounding
    other = (*BENT, Kink(0.5, left=2.0, right=0.0, chosen=2.0))
    np.testing.assert_array_equal(freedom(other, z, np.full(5, 1e-8))[:, 4], [2, 2, 0])


def test_what_is_open_below_and_above_changes_places_with_the_sign_of_a_factor():
    rows = np.array([[1.0, 1.0], [2.0, 2.0], [5.0, 5.0]])
    np.testing.assert_array_equal(through_factor(rows, np.array([2.0, -2.0])), [[2, 2], [4, 10], [10, 4]])
    matrix = np.array([[1.0, -1.0], [-3.0, 0.0]])
    np.testing.assert_array_equal(through_product(rows, matrix), [[4, 1], [2 + 15, 5], [5 + 6, 2]])
    assert not through_product(0 * rows, matrix).any()


def test_a_slope_that_is_open_and_a_gradient_that_is_multiply():
    """(3 + e) (2 + t) - 6 with e in [-2, 5] and t in [-1, 4]: e s + g t + e t, the last in full on both sides."""
    rows, free = np.array([[1.0], [2.0], [5.0]]), np.array([[0.0], [1.0], [4.0]])
    found = through_slope(rows, np.array([3.0]), np.array([2.0]), free)
    np.testing.assert_array_equal(found.ravel(), [2 + 0 + 20, 4 + 3 + 20, 10 + 12 + 20])
    assert not through_slope(0 * rows, np.ones(1), np.ones(1), 0 * free).any()
    np.testing.assert_array_equal(through_slope(0 * rows, -np.ones(1), np.ones(1), free).ravel(), [0, 4, 1])
    np.testing.assert_array_equal(through_slope(rows, np.ones(1), np.ones(1), 0 * free).ravel(), [1, 2, 5])


@pytest.mark.parametrize("times", [1.0, 1.01, 100.0])
def test_a_probability_is_carried_by_twice_the_reach_of_its_logit_where_that_is_far(times):
    gap, reach = np.array([[0.0, -1.0]]), times * FAR
    p = np.exp(gap) / np.exp(gap).sum()
    found = _carried(gap, p, np.array([[reach / 2, 0.0]]), U)
    odds = np.array([[1.0, -1.0]])
    moved = np.maximum(expit(odds + reach) - p, p - expit(odds - reach))
    factor = 2**0.5 if reach / 2 > FAR else 1.0  # both may be carried together
    np.testing.assert_allclose(found, (times > 1) * factor * moved, rtol=1e-9)
    assert not _carried(gap, p, np.array([[np.inf, 0.0]]), U).any()


def test_huber_and_elu_bend_on_one_side_of_their_joint_only():
    """The twin of the joints above: layers and losses as they are."""
    from gradcheck.network.reference.tangents import activation_slopes

    elu = gradcheck.ELU()
    z = np.array([-1e-9, 1e-9])
    found = curvature(lambda t: activation_slopes(elu, t), z, activation_slopes(elu, z), np.full(2, 1e-8), ())
    np.testing.assert_allclose(found, 1.0, rtol=1e-2)
