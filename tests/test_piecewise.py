"""Differences below the first switch of a unit: how far that is, whichever way and however many points are tried at once."""

from math import inf

import numpy as np
import pytest

from gradcheck.oracles.piecewise import AT_ONCE, FEW, GLANCE, TRIED, Point, RealDifferences

CLAIM = {"x": np.array([2.0, 1.0])}


def oracle(*kinks, samples=1, at=(1.0, 1.0)):
    """x0^2 + x1, with units that switch where x0 is so much larger."""
    at = {"x": np.array(at)}

    def loss(p):
        x = p["x"]
        return x[0] ** 2 + x[1] + sum(max(x[0].real - at["x"][0] - kink, 0) for kink in kinks)

    def losses(moved):
        return np.array([float(loss({"x": x})) for x in moved["x"]])

    def distances(moved):
        x = moved["x"] if moved else at["x"][None]
        return np.stack([x[:, 0] - at["x"][0] - kink for kink in kinks], axis=1) if kinks else np.zeros((len(x), 0))

    return RealDifferences(Point(loss, losses, distances, at, float(loss(at)), samples), 1e-15)


@pytest.mark.parametrize("samples", [1, int(FEW)])
@pytest.mark.parametrize("length", [1.0, -2.0])
@pytest.mark.parametrize("kink", [1e-1, -1e-1, 3e-3, -1e-5, 1e-8, 7e-12])
def test_steps_are_halved_from_an_eighth_until_no_unit_switches_either_way(kink, length, samples):
    found = oracle(kink, 5.0, samples=samples)
    step = found._below_switches({"x": np.array([length, 0.0])})
    assert step * abs(length) < abs(kink)
    assert step == 1 / 8 or 2 * step * abs(length) >= abs(kink)
    assert np.log2(step) == round(np.log2(step))


def test_without_units_or_where_none_is_near_steps_are_an_eighth():
    for kinks in ((), (1.0,), (-0.2, 3.0)):
        assert oracle(*kinks)._below_switches({"x": np.array([1.0, 0.0])}) == 1 / 8
        assert oracle(*kinks, samples=int(FEW))._below_switches({"x": np.array([1.0, 0.0])}) == 1 / 8


@pytest.mark.parametrize("samples", [1, int(FEW)])
@pytest.mark.parametrize("kink", [0.0, AT_ONCE / 2, -AT_ONCE / 2])
def test_a_unit_that_switches_at_once_leaves_everything_open(kink, samples):
    found = oracle(kink, samples=samples).slope({"x": np.array([1.0, 3.0])}, CLAIM)
    assert (found.value, found.bound, found.evaluations) == (5.0, inf, 0)


@pytest.mark.parametrize("kink", [1e-1, 1e-4, 1e-7])
@pytest.mark.parametrize("claim", [2.0, 2.5])
def test_the_slope_is_that_of_the_points_own_piece(kink, claim):
    found = oracle(kink, -2 * kink)
    estimate = found.slope({"x": np.array([1.0, 3.0])}, {"x": np.array([claim, 1.0])})
    true = 2 * 1.0 + 3.0 + 1.0  # the unit behind the point is on
    assert abs(estimate.value - true) <= estimate.bound < 1e-13 / kink
    assert estimate.step < kink
    assert found.meter.spent == estimate.evaluations
    brief = oracle(kink, -2 * kink).brief({"x": np.array([1.0, 3.0])}, {"x": np.array([claim, 1.0])})
    assert abs(brief.value - true) <= brief.bound
    assert brief.evaluations == 8
    assert brief.step <= 2.0**-6


def test_to_first_order_the_nearest_switch_is_told_and_a_unit_that_stays_is_none():
    found = oracle(1e-3, -2e-3)
    assert found._nearest({"x": np.array([1.0, 0.0])}) == pytest.approx(1e-3, rel=1e-4)
    assert found._nearest({"x": np.array([-4.0, 0.0])}) == pytest.approx(1e-3 / 4, rel=1e-4)
    assert found._nearest({"x": np.array([0.0, 1.0])}) == 1 / 8
    assert GLANCE == 2.0**-30
    assert found._ladder(0.5) == [0.5 / 2**i for i in range(TRIED)]
    assert oracle(1e-3, samples=int(FEW))._ladder(0.5) == [0.5]


def test_either_side_of_an_entry_is_looked_at_once_and_in_its_own_units():
    found = oracle(0.0, at=(4.0, 1.0))
    slopes = found.one_sided("x", (0,), CLAIM["x"])
    assert slopes.left.value == pytest.approx(8.0, abs=1e-7)
    assert slopes.right.value == pytest.approx(9.0, abs=1e-7)
    assert 0 < max(slopes.left.bound, slopes.right.bound) < 1e-6
    spent = found.meter.spent
    assert found.one_sided("x", (0,), CLAIM["x"]) is slopes
    assert found.meter.spent == spent


def test_a_loss_that_bends_within_a_step_varies_by_as_much():
    found, v = oracle(), {"x": np.array([1.0, 3.0])}
    estimate = found.slope(v, CLAIM)
    spent = found.meter.spent
    assert found.varying(v, estimate._replace(step=0.0)) == 0.0
    assert found.varying(v, estimate._replace(step=0.25)) == pytest.approx(2 * 0.25)
    assert found.meter.spent == spent + 7
