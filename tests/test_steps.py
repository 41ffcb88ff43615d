"""Which steps are believed: of windows that contradict each other, on stairs, far off and at an edge."""

from math import inf, nan

import numpy as np
import pytest

from gradcheck.oracles.differences import ALIKE, STRAIGHT, Rung, Search, Start, is_sloped, slope
from gradcheck.oracles.line import Line
from gradcheck.oracles.richardson import LARGEST, NOTHING, UNEVEN, Limit, ladder, least, limits, spans
from gradcheck.oracles.sides import Slopes, across, bend, fit, lies_between, sides

AT = 0.75


def line(f, claim=0.0, at=AT):
    return Line(lambda p: float(f(p["x"][0])), {"x": np.array([at])}, {"x": np.ones(1)}, {"x": np.array([claim])})


def test_steps_are_about_halved_and_no_multiples_of_each_other():
    steps = ladder(0.125, 9)
    assert steps == [0.125 / 2**i * UNEVEN[i % 7] for i in range(9)]
    assert ladder(1.0, 2, 5) == [UNEVEN[5], UNEVEN[6] / 2]
    ratios = np.array(steps[1:]) / np.array(steps[:-1])
    assert ratios.min() > 0.46
    assert ratios.max() < 0.54


def test_windows_are_of_at_most_six_steps_that_follow_each_other():
    assert spans(3) == ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    assert max(last - first for first, last in spans(9)) == LARGEST
    assert len(spans(9)) == sum(min(last, LARGEST) for last in range(1, 10))


def test_a_window_without_a_bound_knows_nothing():
    found = limits([1.0, 0.5], np.array([1.0, 2.0, 3.0]), np.array([nan, 0.25, inf]))
    assert found == [Limit(1.0, inf, 1.0, 1.0), Limit(2.0, 0.25, 1.0, 0.5), Limit(3.0, inf, 0.5, 0.5)]
    assert least([found[0], found[2]]) == NOTHING


@pytest.mark.parametrize(
    ("windows", "best"),
    [
        ([(1.0, 0.5), (1.2, 0.1), (1.3, 0.3)], 1),
        ([(1.0, 0.1), (3.0, 1.0)], 1),
        ([(1.0, 0.1), (2.0, 0.9)], 0),
        ([(3.0, 1.0), (1.0, 0.1)], 1),
        ([(1.0, 0.1), (1.1, 0.5), (3.0, 1.0), (3.1, 0.2)], 3),
        ([(1.0, 0.1), (3.0, 1.0), (5.0, 0.2), (9.0, 3.0)], 3),
        ([(1.0, 0.1), (5.0, inf)], 0),
        ([(1.0, 0.2), (1.0, 0.2)], 0),
    ],
)
def test_the_least_bound_counts_unless_a_window_nearer_the_point_contradicts_it(windows, best):
    listed = [Limit(*window) for window in windows]
    assert least(listed) is listed[best]


def stairs(odd, even):
    """Slopes across two steps, and bends."""
    values = {}
    for h, o, e in zip((0.5, 0.25), odd, even, strict=True):
        values |= {AT + h: h * (o + e), AT - h: h * (e - o)}
    return line(lambda x: values.get(x, 0.0))


@pytest.mark.parametrize(
    ("odd", "even", "sloped"),
    [
        ((1.0, 1.1), (0.0, 0.0), True),
        ((1.0, 1.0), (0.0, 0.0), False),
        ((1.0, 1 + 1.01 * ALIKE), (0.0, 0.0), False),
        ((1.0, 1 + 0.99 * ALIKE), (0.0, 0.0), True),
        ((-1.0, -1 - 0.99 * ALIKE), (0.0, 0.0), True),
        ((-1.0, -1.1), (0.9 * STRAIGHT, 5.0), True),
        ((1.0, 1.15), (1.05 * STRAIGHT, 0.0), False),
        ((1.0, 0.85), (-0.95 * STRAIGHT, 0.0), True),
        ((1.0, 1.1), (-1.1 * STRAIGHT, 0.0), False),
    ],
)
def test_stairs_have_about_one_slope_from_step_to_step_and_hardly_bend(odd, even, sloped):
    assert is_sloped(stairs(odd, even), [0.5, 0.25]) == sloped
    assert is_sloped(stairs(odd, even), [0.5, 0.25, 0.125]) == sloped


def searching(on, spread=1e-12, slack=1e-15, **start):
    return Search(on, spread, 2.0**-53, slack, Start(**start))


def test_a_rung_holds_both_differences_and_the_noise_in_either():
    search = searching(line(lambda x: -4 - x * x, -1.0), 1e-12)
    rung = search.rung(0.25)
    assert rung.odd == pytest.approx(1 - 2 * AT)
    assert rung.even == pytest.approx(-0.25)
    assert rung == Rung(0.25, rung.odd, rung.even, 4e-12)
    loud = searching(line(lambda x: -4 - x * x, -1.0), 0.0).rung(0.25)
    assert loud.noise == 2 * 2.0**-53 * 5.0 / 0.25
    assert searching(line(np.sin), slack=3.0).enough == 6.0
    assert searching(line(np.sin), slack=3.0, enough=7.0).enough == 7.0


@pytest.mark.parametrize(
    ("function", "h", "changes"),
    [
        (lambda x: x, 1e-3, True),
        (lambda x: -x, 1e-3, True),
        (lambda x: 1e-13 * x, 1e-3, False),
        (lambda x: abs(x - AT), 1e-3, False),
        (lambda x: 1e6 + 1e-8 * x, 1e-3, False),
        (lambda x: np.nan if x > AT else x, 1e-3, True),
    ],
)
def test_a_function_changes_where_its_two_sides_differ_by_more_than_noise(function, h, changes):
    assert searching(line(function))._changes(h) == changes


def test_a_longer_step_goes_on_with_the_slope_of_the_one_before_or_a_little_further():
    straight, saturated = searching(line(lambda x: 2 * x)), searching(line(lambda x: np.clip(x, AT - 1, AT + 1)))
    assert straight._goes_on(0.5, 64.0)
    assert saturated._goes_on(0.5, 1.0)
    assert saturated._goes_on(0.5, 1.1)
    assert not saturated._goes_on(0.5, 1.5)
    still = searching(line(lambda _: 1.0))
    assert still._goes_on(1.0, 8.0)
    assert not still._goes_on(1.0, 8.1)


def test_one_side_is_followed_where_the_other_is_not():
    on = line(lambda x: 1 + (x - AT) ** 2 + 3 * (x - AT) if x >= AT else nan, 1.0)
    found = fit(on, 1, ladder(0.125, 6), 1e-15)
    assert found.value == pytest.approx(2.0)
    assert 0 < found.bound < 1e-9
    assert fit(on, -1, ladder(0.125, 6), 1e-15).bound == inf
    estimate = slope(on)
    assert estimate.value == pytest.approx(3.0, abs=1e-6)
    assert 0 < estimate.bound < 1e-5
    assert slope(line(lambda x: (x - AT) ** 2 if x == AT else nan, 1.0)).bound == inf


def test_the_slopes_across_and_their_bend_are_those_of_two_points():
    on = line(lambda x: 3 * max(x - AT, 0) - 2 * min(x - AT, 0), 1.0)
    assert across(on, 0.25) == pytest.approx((3 - 2) / 2 - 1)
    assert bend(on, 0.25) == pytest.approx((3 + 2) / 2)


@pytest.mark.parametrize("shift", [0.0, 1e-9, -1e-9])
@pytest.mark.parametrize("spread", [1e-16, 1e-6])
def test_a_point_lies_between_its_sides_as_far_as_the_smallest_telling_steps_see(shift, spread):
    on = line(lambda x: max(x - AT - shift, 0), 0.0)
    left, right = sides(line(lambda x: max(x - AT, 0)))
    assert lies_between(on, Slopes(left, right), spread) == (not shift or spread == 1e-6)


def test_what_is_known_of_a_side_is_its_own_slope():
    found = sides(line(lambda x: 3 * max(x - AT, 0) - 2 * min(x - AT, 0) + x * x, 1.0))
    assert found.left.value == pytest.approx(-2 + 2 * AT, abs=1e-9)
    assert found.right.value == pytest.approx(3 + 2 * AT, abs=1e-9)
    assert max(found.left.bound, found.right.bound) < 1e-10
    assert found.left.evaluations + found.right.evaluations <= 40
