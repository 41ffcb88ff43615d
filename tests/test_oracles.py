"""The oracles: their values lie within the bounds that they state, and the bounds are small enough to be of use."""

import numpy as np
import pytest

from gradcheck.network import layers as ly
from gradcheck.network import reference
from gradcheck.oracles.complex_step import complex_step
from gradcheck.oracles.differences import differences, slope
from gradcheck.oracles.directions import TELLING, direction, scales, signs
from gradcheck.oracles.lattice import is_rounded
from gradcheck.oracles.line import Line
from gradcheck.oracles.noise import noise, quiet, stands_still, unit
from gradcheck.oracles.regression import regression
from gradcheck.oracles.richardson import EVEN, ODD, SIDED, extrapolate, spans, weights
from gradcheck.oracles.sides import is_at_a_jump, one_sided, sides

AT = {"x": np.array([0.7])}
ALONG = {"x": np.array([1.0])}


def along(f, claim: float, at: float = 0.7):
    """Real differences of a function of one number."""
    return differences(lambda p: float(f(p["x"][0])), {"x": np.array([at])}, ALONG, {"x": np.array([claim])})


SMOOTH = [
    (np.sin, np.cos, 0.7),
    (np.exp, np.exp, 3.0),
    (lambda x: x**2 / 2, lambda x: x, 0.7),
    (lambda x: np.tanh(30 * x), lambda x: 30 / np.cosh(30 * x) ** 2, 0.01),
    (lambda x: 1e-9 * np.sin(x), lambda x: 1e-9 * np.cos(x), 0.7),
    (lambda x: np.log(x), lambda x: 1 / x, 1e-3),
    (lambda x: np.sin(x) + 1e9, np.cos, 0.7),
]


@pytest.mark.parametrize(("f", "slope", "at"), SMOOTH)
@pytest.mark.parametrize("claimed", [1.0, 1 + 1e-3, -1.0, 0.0])
def test_real_differences_hold_their_bound_whatever_the_claim(f, slope, at, claimed):
    estimate = along(f, claimed * slope(at), at)
    assert abs(estimate.value - slope(at)) <= estimate.bound


@pytest.mark.parametrize(("f", "slope", "at"), SMOOTH[:-1])
def test_real_differences_resolve_ten_digits_in_a_few_dozen_evaluations(f, slope, at):
    estimate = along(f, slope(at), at)
    assert estimate.bound <= 1e-9 * abs(slope(at))
    assert estimate.evaluations <= 75


def test_a_constant_of_1e9_widens_the_bound_and_raises_no_alarm():
    quiet, loud = along(np.sin, np.cos(0.7)), along(lambda x: np.sin(x) + 1e9, np.cos(0.7))
    assert loud.bound > 1e4 * quiet.bound
    assert abs(loud.value - np.cos(0.7)) <= loud.bound


@pytest.mark.parametrize("distance", [1e-1, 1e-2, 1e-4, 1e-6, 1e-8])
def test_a_kink_near_the_point_is_stepped_below(distance):
    estimate = along(lambda x: np.sin(x) + max(x - 0.7 - distance, 0), np.cos(0.7))
    assert abs(estimate.value - np.cos(0.7)) <= estimate.bound
    assert estimate.bound < 1e-5


@pytest.mark.parametrize("jump", [1.0, -1.0, 1e-3])
@pytest.mark.parametrize("side", [0.0, 1.0])
def test_at_a_kink_the_bound_covers_both_slopes_and_the_sides_are_told_apart(jump, side):
    def f(x):
        return np.sin(x) + jump * max(x - 0.7, 0)

    claim = np.cos(0.7) + side * jump
    estimate = along(f, claim)
    assert abs(estimate.value - claim) <= estimate.bound * (1 + 1e-9)
    slopes = one_sided(lambda p: float(f(p["x"][0])), AT, ALONG, {"x": np.array([claim])})
    assert slopes.left.value == pytest.approx(np.cos(0.7), abs=1e-8)
    assert slopes.right.value == pytest.approx(np.cos(0.7) + jump, abs=1e-8)


def test_a_joint_of_the_second_derivative_is_no_kink():
    estimate = along(lambda x: np.sin(x) + max(x - 0.7, 0) ** 2, np.cos(0.7))
    assert abs(estimate.value - np.cos(0.7)) <= estimate.bound < 1e-5


def test_a_direction_moves_only_the_blocks_it_names_and_leaves_the_point_alone():
    point = {"a": np.array([1.0, 2.0]), "b": np.array([3.0])}
    kept = {name: value.copy() for name, value in point.items()}
    claim = {"a": np.array([2.0, 4.0])}
    estimate = differences(lambda p: float(p["a"] @ p["a"] * p["b"][0] / 3), point, {"a": np.ones(2)}, claim)
    assert estimate.value == pytest.approx(6.0, abs=1e-12)
    assert all(np.array_equal(point[name], kept[name]) for name in point)


def test_the_complex_step_is_exact_where_differences_cannot_be():
    z = np.array([700.0])
    slope = complex_step(lambda p: reference.apply(ly.Tanh(), {}, p["z"])[0], {"z": -z / 40}, {"z": np.ones(1)})
    assert slope == pytest.approx(1 / np.cosh(17.5) ** 2, rel=1e-14)


def test_windows_are_exact_for_the_powers_they_let_through():
    steps = [1.0, 0.5, 0.25, 0.125]
    for powers in (ODD, EVEN, SIDED):
        values = [3.0 + sum(h**p for p in powers[1:4]) for h in steps]
        windows = extrapolate(steps, values, [1e-12] * 4, powers)
        widest = spans(4).index((0, 4))
        assert windows.value[widest] == pytest.approx(3.0, abs=1e-12)
        assert windows.disagreement[widest] > 1e-3  # smaller windows do not know the last power
        assert windows.noise[widest] == pytest.approx(1e-12 * sum(map(abs, weights(tuple(steps), powers))))


def test_a_window_is_compared_with_the_two_that_leave_out_an_end():
    steps, values = [1.0, 0.5, 0.25, 0.125], [3.0, 1.0, 4.0, 1.5]
    windows = extrapolate(steps, values, [0.0] * 4, ODD)
    found = dict(zip(spans(4), windows.value, strict=True))
    for (first, last), disagreement in zip(spans(4), windows.disagreement, strict=True):
        part = extrapolate(steps[first:last], values[first:last], [0.0] * (last - first), ODD)
        assert found[first, last] == pytest.approx(part.value[spans(last - first).index((0, last - first))], rel=1e-14)
        smaller = [found[span] for span in ((first + 1, last), (first, last - 1)) if last - first > 1]
        assert disagreement == max((abs(found[first, last] - each) for each in smaller), default=np.inf)


@pytest.mark.parametrize("worst", [np.inf, -np.inf, np.nan])
def test_a_step_where_there_is_no_value_spoils_no_window_without_it(worst):
    steps = [1.0, 0.5, 0.25, 0.125]
    for values, noises in (([worst, 3.0, 3.0, 3.0], [1e-9] * 4), ([3.0] * 4, [worst, 1e-9, 1e-9, 1e-9])):
        windows = extrapolate(steps, values, noises, EVEN)
        for (first, last), value, disagreement in zip(spans(4), windows.value, windows.disagreement, strict=True):
            assert np.isnan(value) == (first == 0)
            if first and last > first + 1:
                assert disagreement == pytest.approx(0, abs=1e-14)
        assert np.isfinite(windows.noise).all()


def test_points_asked_together_are_those_asked_one_by_one_and_count_as_many():
    def f(p):
        return float(np.sin(p["x"]).sum() + p["y"][0] ** 2)

    def many(moved):
        stacks = {name: moved.get(name, np.stack([value] * len(moved["x"]))) for name, value in point.items()}
        return np.array([f({name: stack[i] for name, stack in stacks.items()}) for i in range(len(moved["x"]))])

    point = {"x": np.array([0.3, -0.7]), "y": np.array([1.5])}
    v, claim = {"x": np.array([1.0, 0.5])}, {"x": np.cos(point["x"])}
    alone, together = (slope(Line(f, point, v, claim, many=how)) for how in (None, many))
    assert together.evaluations == alone.evaluations
    assert together.value == pytest.approx(alone.value, rel=1e-13)
    apart, at_once = (sides(Line(f, point, v, claim, many=how)) for how in (None, many))
    assert at_once.left.evaluations == apart.left.evaluations
    assert at_once.right.value == pytest.approx(apart.right.value, rel=1e-12)


def test_noise_is_measured():
    rng = np.random.default_rng(0)
    quiet = Line(lambda p: float(np.sin(p["x"][0])), AT, ALONG, {"x": np.cos(AT["x"])})
    loud = Line(lambda p: float(np.sin(p["x"][0]) + 1e-7 * rng.standard_normal()), AT, ALONG, {"x": np.cos(AT["x"])})
    assert noise(quiet) < 1e-15
    assert 1e-8 < noise(loud) < 1e-6


def test_directions_are_seeded_by_name_and_mixed_in_sign():
    assert np.array_equal(signs("0.weight", (50,), 3), signs("0.weight", (50,), 3))
    assert not np.array_equal(signs("0.weight", (50,), 3), signs("2.weight", (50,), 3))
    v = signs("0.weight", (200,), 0)
    assert (v > 0).sum() > 60
    assert (v < 0).sum() > 60
    assert np.unique(np.abs(v)).size == 200
    assert np.all((np.abs(v) >= 0.5) & (np.abs(v) <= 1.5))


def test_a_direction_would_show_a_wrong_factor_in_any_block():
    rng = np.random.default_rng(1)
    point = {name: rng.standard_normal(40) for name in "abc"}
    gradient = {name: rng.standard_normal(40) for name in "abc"}
    v = direction(point, gradient, 0)
    for name in point:
        assert abs(gradient[name] @ v[name]) >= TELLING * np.linalg.norm(gradient[name] * v[name])


def test_scales_follow_the_entry_the_block_and_the_steepness():
    theta, g = np.array([100.0, 1.0, 0.0, 0.0]), np.array([1.0, 1.0, 0.0, 1e9])
    s = scales(theta, g)
    assert s[0] == 100
    assert s[2] == pytest.approx(np.sqrt(np.mean(theta**2)))
    assert s[3] < 1e-6
    assert np.array_equal(scales(np.zeros(3), np.ones(3)), np.ones(3))
    assert (scales(np.array([0.0, 1.0]), np.array([1.0, 0.0])) > 0).all()


def line_of(f, claim, at=0.7):
    return Line(lambda p: float(f(p["x"][0])), {"x": np.array([at])}, ALONG, {"x": np.array([claim])})


def on_axis(f, at, claim):
    """What a line along the axis through a number takes, its steps in units of the number."""
    return lambda p: float(f(p["x"][0])), {"x": np.array([at])}, {"x": np.array([at or 1.0])}, {"x": np.array([claim])}


@pytest.mark.parametrize("distance", [1e-2, 1e-4, 1e-6, 1e-8, 1e-9])
@pytest.mark.parametrize("sign", [1, -1])
def test_beside_a_kink_steps_below_it_know_the_slope(distance, sign):
    """And refute the other side's."""

    def f(x):
        return np.sin(x) + max(sign * (x - 0.7 + sign * distance), 0)  # the point is on the bent side

    true = np.cos(0.7) + sign
    for claim in (true, np.cos(0.7)):
        found = slope(line_of(f, claim))
        assert abs(found.value - true) <= found.bound < max(1e-9, 1e-13 / distance)


def test_at_a_kink_the_bound_is_half_the_jump_of_slope():
    found = slope(line_of(lambda x: np.sin(x) + abs(x - 0.7), np.cos(0.7)))
    assert 1.0 <= found.bound < 1.1


def test_at_the_edge_of_where_a_function_exists_its_one_side_speaks():
    found = slope(line_of(lambda x: np.sin(x) if x >= 0.7 else np.nan, 0.0))
    assert abs(found.value - np.cos(0.7)) <= found.bound < 1e-6


@pytest.mark.parametrize("shift", [0.0, 1.7e9])
def test_steps_follow_the_function_and_not_the_size_of_the_parameter(shift):
    for claim in (0.0, 1 / np.cosh(0.5) ** 2):
        at = shift + 0.5
        found = slope(Line(*on_axis(lambda x: np.tanh(x - shift), at, claim)))
        assert abs(found.value / at - 1 / np.cosh(0.5) ** 2) <= found.bound / at < 1e-4


@pytest.mark.parametrize("at", [1e-12, 1e-200])
def test_steps_are_as_long_as_it_takes_to_see_beyond_the_noise(at):
    found = slope(Line(*on_axis(lambda x: 1 + 0.5 * x, at, 0.3)))
    assert abs(found.value / at - 0.5) <= found.bound / at < 1e-9


def test_where_nothing_moves_nothing_is_known():
    found = slope(line_of(lambda x: 3.0, 0.5))
    assert found.still
    assert not slope(line_of(lambda x: 3.0 + x, 0.5)).still


def test_a_function_that_is_exactly_zero_at_the_point_has_the_noise_of_where_it_moves():
    """log cosh within 1e-9 of its minimum: cosh is 1 there, and its logarithm 0."""
    found = slope(Line(*on_axis(lambda x: np.log(np.cosh(x)), 1e-9, 1e-9)))
    assert abs(found.value / 1e-9 - 1e-9) <= found.bound / 1e-9 < 1e-11


@pytest.mark.parametrize(("f", "jumps"), [(np.floor, True), (np.abs, False), (lambda x: np.sqrt(abs(x - 2)), False)])
def test_a_jump_at_the_point_is_told_from_a_kink(f, jumps):
    assert is_at_a_jump(line_of(lambda x: np.sin(x) + f(x), 0.0, 2.0)) == jumps


def test_rounded_arguments_are_jumps_on_either_side():
    def single(x):
        return float(np.sin(np.float32(x))) + x

    def bump(x):
        return np.sin(x) + 5e-8 * np.exp(-(((x - 0.7) / 1e-7) ** 2))

    assert is_rounded(line_of(single, 0.0), 1e-16)
    for continuous in (bump, np.sin, lambda x: abs(x - 0.7), lambda x: np.sin(x) + (x > 0.7000001)):
        assert not is_rounded(line_of(continuous, 0.0, 0.7 + 1e-8), 1e-16)


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e-3])
def test_many_steps_average_the_noise_and_the_bound_says_how_far(scale):
    rng = np.random.default_rng(3)
    line = line_of(lambda x: np.sin(3 * x) + scale * rng.standard_normal(), 0.0)
    estimate = regression(line, 0.0)
    assert abs(estimate.value - 3 * np.cos(2.1)) <= estimate.bound < 200 * scale


def test_under_noise_a_kink_widens_the_bound():
    rng = np.random.default_rng(4)
    line = line_of(lambda x: abs(x - 0.7) + 1e-6 * rng.standard_normal(), 0.0)
    assert regression(line, 0.0).bound > 0.9


def test_rounding_to_a_lattice_is_noise_however_steps_run_in_step_with_it():
    for at in np.linspace(0.5, 0.9, 60):
        line = line_of(lambda x: np.round(np.sin(x) * 2**33) / 2**33, np.cos(at), at)
        assert quiet(line) is None
        assert noise(line) > 2.0**-36


def test_a_function_that_stands_still_computes_more_narrowly_than_it_returns():
    assert stands_still(line_of(lambda x: float(np.float32(np.sin(np.float32(x)))), np.cos(0.7)))
    assert not stands_still(line_of(np.sin, np.cos(0.7)))
    assert not stands_still(line_of(lambda x: 1.0, 0.0))


def test_the_format_of_values_is_told_unless_they_are_few_and_round():
    values = np.linspace(0.1, 0.9, 12)
    assert unit(list(values)) == 2.0**-53
    assert unit(list(values.astype(np.float32).astype(float))) == 2.0**-24
    assert unit(list(values.astype(np.float16).astype(float))) == 2.0**-11
    assert unit([1.0, 1.5]) == 2.0**-53
    assert unit([float(np.float16(0.66))]) == 2.0**-11
