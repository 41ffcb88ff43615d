"""Noise by what is left over: formulas by hand, who stands still, which of several spacings is believed, what jumps."""

import numpy as np
import pytest

from gradcheck.foundation.arithmetic import UNIT
from gradcheck.oracles import noise as room
from gradcheck.oracles.lattice import REACHES, is_rounded
from gradcheck.oracles.line import Line
from gradcheck.oracles.noise import (
    BESIDE,
    CAUTION,
    CENTRED,
    NEAR,
    PLAIN,
    QUIET,
    USUAL,
    WIDEST,
    _cautious,
    _left_over,
    _plateau,
    _spread,
    noise,
    quiet,
    stands_still,
)

ULP = 2.0**-52
AT = 0.75


def line(f, claim=0.0, at=AT, many=False):
    def whole(p):
        return float(f(p["x"][0]))

    together = (lambda moved: np.array([whole({"x": x}) for x in moved["x"]])) if many else None
    return Line(whole, {"x": np.array([at])}, {"x": np.ones(1)}, {"x": np.array([claim])}, many=together)


def left_over(f, places, degree):
    """By a library's least squares."""
    y = np.array([f(AT + h) - f(AT) for h in (0.0, *places)])
    scaled = np.array([0.0, *places]) / max(map(abs, places))
    fitted = np.polynomial.polynomial.Polynomial.fit(scaled, y, degree)(scaled)
    return np.linalg.norm(y - fitted) / (len(y) - degree - 1) ** 0.5


def bits(x, scale=1.0):
    """Some last bits."""
    return 1 + scale * ULP * np.floor(np.fmod(abs(x) * 1.23456789e9, 1.0) * 8)


@pytest.mark.parametrize(("at_least", "floor"), [(UNIT, 2 * UNIT), (2.0**-24, 2.0**-23)])
def test_what_is_quiet_has_the_noise_of_two_roundings(at_least, floor):
    assert noise(line(lambda x: x * x, 1.5), at_least=at_least) == pytest.approx(floor * AT**2, rel=1e-9)


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_a_quick_look_says_three_times_what_a_quartic_leaves_over(scale):
    places = (*(-h for h in BESIDE), *BESIDE)
    spread = left_over(lambda x: bits(x, scale), places, 4)
    assert quiet(line(lambda x: bits(x, scale))) == pytest.approx(CAUTION * spread, rel=1e-9)
    assert _spread(line(lambda x: bits(x, scale)), places, 1.0, 4) == pytest.approx(spread, rel=1e-9)


def test_a_quick_look_tells_nothing_of_loud_or_dead_functions():
    assert quiet(line(lambda x: bits(x, 100.0))) is None
    assert quiet(line(lambda x: 1.0, 1e-8)) is None
    assert quiet(line(lambda x: 1.0, 0.0)) is None
    assert quiet(line(lambda x: np.nan if x > AT else 1.0)) is None


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("reach", [BESIDE[1] * 1.2, 0.0])
def test_what_moves_on_one_side_alone_does_not_stand_still(side, reach):
    def f(x):
        return bits(x, 2.0) if side * (x - AT) > reach else 1.0

    assert quiet(line(f, 1e-8)) is not None
    assert not stands_still(line(f, 1.0), BESIDE[0], (-1, 1))


@pytest.mark.parametrize("factor", [0.99, 1.01])
def test_standing_still_is_telling_where_the_claim_is_of_many_roundings(factor):
    claim = factor * PLAIN * UNIT / NEAR
    assert stands_still(line(lambda _: 1.0, claim)) == (factor > 1)
    assert stands_still(line(lambda _: 1.0, -claim)) == (factor > 1)
    assert stands_still(line(lambda _: 4.0, claim)) is False


@pytest.mark.parametrize("end", [CENTRED[0], CENTRED[-1]])
def test_a_function_stands_still_only_if_it_does_at_both_ends(end):
    assert not stands_still(line(lambda x: 1.0 + (abs(x - AT - end * NEAR) < NEAR / 10), 1.0))


def test_a_function_of_steps_as_wide_as_no_format_is_as_loud_as_rounding():
    assert noise(line(lambda x: np.floor(8 * x + 0.5), 8.0)) == pytest.approx(2 * UNIT * 6)
    wide = line(lambda x: np.floor(2.0**12 * x + 0.5) / 2.0**12, 1.0)
    assert noise(wide) > 2.0**-14
    assert noise(line(lambda x: 1.0, 1.0)) == 2 * UNIT
    assert WIDEST == 2.0**-8


@pytest.mark.parametrize(
    ("spreads", "said"),
    [
        ([], None),
        ([1.0], 1.0),
        ([1.0, 100.0], 100.0),
        ([1.0, 101.0], 1.0),
        ([100.0, 1.0], 100.0),
        ([101.0, 1.0], 101.0),
        ([1.0, 1e3, 2e3], 2e3),
        ([1.0, 1e3, 1e6, 1e6], 1.0),
        ([3.0, 2.0, 1e3], 3.0),
    ],
)
def test_of_tiny_spacings_the_first_two_that_are_alike_are_believed(spreads, said):
    assert _plateau(spreads) == said if said is not None else np.isnan(_plateau(spreads))


@pytest.mark.parametrize(("measured", "said"), [(0.5, 1.0), (1.0, 1.0), (1.1, 3.3), (0.0, 1.0)])
def test_caution_is_for_what_is_more_than_rounding(measured, said):
    assert _cautious(measured, 1.0) == pytest.approx(said)


def test_what_a_polynomial_leaves_over_is_what_is_orthogonal_to_it():
    places = np.array([0.0, *CENTRED])
    for degree in (3, 4):
        matrix = _left_over(CENTRED, degree)
        assert matrix @ matrix == pytest.approx(matrix, abs=1e-12)
        assert np.trace(matrix) == pytest.approx(len(places) - degree - 1)
        for power in range(degree + 1):
            assert matrix @ places**power == pytest.approx(0 * places, abs=1e-10 * np.abs(places).max() ** power)


@pytest.mark.parametrize(
    "ask", [noise, quiet, room.grain, lambda on: room.noise_at(on, 2.0**-6), lambda on: is_rounded(on, 0.0)]
)
@pytest.mark.parametrize("f", [bits, lambda x: x * x, lambda x: float(np.float32(x)) + x])
def test_points_that_are_asked_together_are_those_that_are_needed(ask, f):
    alone, together = line(f, 1.5), line(f, 1.5, many=True)
    assert ask(alone) == ask(together)
    assert together.evaluations == alone.evaluations


@pytest.mark.parametrize("side", [1, -1])
def test_beside_a_step_the_louder_side_counts(side):
    def f(x):
        return 1 + 1e-9 * np.fmod(abs(x) * 1.23456789e9, 1.0) * (side * (x - AT) > 0.01)

    loud, h = room.noise_at(line(f), 2.0**-6), 2.0**-6
    places = [side * (h + h * USUAL * offset) for offset in CENTRED]
    values = np.array([f(AT + side * h) - f(AT + side * h), *(f(AT + at) - f(AT + side * h) for at in places)])
    assert loud == pytest.approx(CAUTION * np.linalg.norm(_left_over(CENTRED, 3) @ values) / 2**0.5, rel=1e-6)
    assert room.noise_at(line(f), 2.0**-8) < 1e-15
    assert room.noise_at(line(lambda x: f(x) if side * (x - AT) <= 0 else np.nan), 2.0**-6) < 1e-15


@pytest.mark.parametrize("side", [1, -1])
def test_noise_of_the_quieter_side_counts_beside_a_kink_or_an_edge(side):
    for f in (
        lambda x: x + (side * (x - AT) > 0) * bits(x, 1e6),
        lambda x: np.nan if side * (x - AT) > 0 else x,
        lambda x: x + abs(x - AT),
    ):
        assert noise(line(f, 1.0)) < 10 * UNIT


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_a_jump_is_twenty_noises_or_more(factor):
    """On either side: on one alone there is none."""
    for both in (True, False):

        def f(x, both=both):
            return factor * 20 * 1e-6 * np.sign(x - AT) * (abs(x - AT) > 2.0**-23) * (both or x > AT)

        assert is_rounded(line(f), 1e-6, REACHES[:1]) == (both and factor > 1)
        assert is_rounded(line(f), 1e-6) == (both and factor > 1)


@pytest.mark.parametrize("exponent", [-22, -17, -12, -7])
def test_a_jump_within_any_reach_is_found_and_nearby_those_of_single(exponent):
    def f(x):
        return np.sign(x - AT) * (abs(x - AT) > 1.1 * 2.0**exponent)

    assert is_rounded(line(f), 1e-9)
    assert is_rounded(line(f), 1e-9, REACHES[:1]) == (exponent < -20)


@pytest.mark.parametrize(
    "f", [lambda x: abs(x - AT - 1e-8) + abs(x - AT + 1e-8), lambda x: np.sqrt(abs((x - AT) ** 2 - 1e-16))]
)
def test_kinks_and_feet_of_roots_are_no_jumps(f):
    assert not is_rounded(line(f), 1e-18)


def test_a_slope_that_the_claim_has_not_is_no_jump():
    assert not is_rounded(line(lambda x: 5 * x, 0.0), 1e-18)
    assert QUIET == 20
