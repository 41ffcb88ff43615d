"""What a probe has seen, to what that is relative, and what may still be spent: by hand, for a claim of two blocks."""

import inspect

import numpy as np
import pytest

import gradcheck
from gradcheck.candidates.claim import examine
from gradcheck.candidates.functions import Subject
from gradcheck.candidates.point import point_of
from gradcheck.checking.evidence import ProbeEvidence
from gradcheck.checking.overview import COARSEST, Overview, look
from gradcheck.checking.probe import LAST, NOISY, Probe
from gradcheck.checking.prober import CHEAP, FINER, MANY, Nearer, Prober
from gradcheck.diagnosis.corrections import DIRECTIONS
from gradcheck.foundation.arithmetic import ROUNDOFFS, UNIT
from gradcheck.foundation.validation import Asked
from gradcheck.oracles.analytic import MOVED, analytic_slope, refusal
from gradcheck.oracles.analytic import ROUNDING as OF_THE_SUM
from gradcheck.oracles.line import Estimate, Line, Meter
from gradcheck.oracles.sides import PLAIN, SAME, TINY, is_at_a_jump

AT = {"a": np.array([1.0, -2.0]), "b": np.array([0.5])}
ASKED = Asked(1e-6, 1e-3, 400, True, 0)


def loss(p):
    return float((p["a"] ** 2).sum() + p["b"][0] ** 3 + 1)


def gradient(p):
    return {"a": 2 * p["a"], "b": 3 * p["b"] ** 2}


def prober(asked=ASKED, f=loss, g=gradient, at=AT):
    return Prober.of(examine(Subject(f, g, point_of(at)), 0), asked)


def line(v, known=None):
    return (known or prober()).line({name: np.array(value) for name, value in v.items()})


def probe(residual, bound, v=None, **estimate):
    on = line(v or {"a": [1.0, -4.0]})
    return Probe(on, residual, bound, Estimate(on.product + residual, bound, 1)._replace(**estimate))


@pytest.mark.parametrize(
    ("residual", "bound", "seen"), [(0.0, 2.0, 2.0), (-1.0, 2.0, 3.0), (2.0, 2.0, 4.0), (5.0, 2.0, 4.0)]
)
def test_what_would_have_been_seen_is_the_bound_and_what_is_already_off(residual, bound, seen):
    one = probe(residual, bound)
    assert one.seen == seen
    assert one.within == (abs(residual) <= bound)
    assert one.resolution("a", np.array([3.0, 1.0])) == seen / 3
    assert one.block_resolution("a", np.array([3.0, 1.0])) == 2 * bound / 5
    assert probe(residual, np.nan).within


def test_a_block_without_a_scale_is_resolved_by_nothing():
    assert probe(0.0, 1.0).block_resolution("a", np.zeros(2)) == np.inf


@pytest.mark.parametrize("noise", [1e-9, 0.0])
@pytest.mark.parametrize("step", [LAST, LAST / 2, 0.0])
@pytest.mark.parametrize("factor", [0.99, 1.01])
def test_a_bound_is_noise_within_a_hundred_noises_at_its_step_unless_kinks_have_made_it_small(noise, step, factor):
    values = max(loss({**AT, "a": AT["a"] + side * step * np.array([1.0, -4.0])}) for side in (1, -1))
    one = probe(0.0, factor * NOISY * max(noise, 2 * UNIT * values) / (step or 1.0), noise=noise, step=step)
    assert one.quiet == (step > 0 and factor < 1)
    assert one.noisy == (step == LAST and factor < 1)


def test_levels_are_those_of_an_entry_of_a_large_block_and_of_the_whole_for_a_zero():
    known = prober()
    scale = known.scale["a"]
    v = np.array([3.0, -0.5])
    assert known.level("a", v) == 1e-6 * min(3 * scale[0], 0.5 * scale[1]) / 2
    assert known.level("a", np.array([3.0, 0.0])) == 1e-6 * 3 * scale[0] / 2
    narrow = known.knowing(unit=2.0**-24)
    assert narrow.level("a", v) == 1e-6 * np.hypot(3 * scale[0], 0.5 * scale[1]) / 2
    zero = known.knowing(zeros=frozenset("a"), magnitude=8.0)
    assert zero.level("a", v) == 1e-6 * 2.0
    assert zero.level("b", np.ones(1)) == known.level("b", np.ones(1))
    assert prober(g=lambda p: {"a": p["a"] * 0, "b": p["b"]}).knowing(magnitude=8.0).level("a", v) == 1e-6 * 2.0


@pytest.mark.parametrize("size", [MANY - 1, MANY])
def test_a_block_of_very_many_entries_is_seen_as_a_whole(size):
    at = np.linspace(1, 2, size)
    known = prober(f=lambda x: float((x**2).sum()), g=lambda x: 2 * x, at=at)
    v, moved = np.ones(size), known.scale["x"]
    assert known.level("x", v) == pytest.approx(1e-6 * (np.linalg.norm(moved) if size >= MANY else moved.min()) / 2)


def test_a_zero_is_resolved_relative_to_the_whole_gradient():
    one = probe(1.0, 2.0)
    for magnitude, found in ((8.0, 6 / 8), (0.0, np.inf)):
        assert prober().knowing(zeros=frozenset("a"), magnitude=magnitude).resolution("a", one) == found
    assert prober().knowing(zeros=frozenset("a")).resolution("a", probe(0.0, 0.0)) == 0.0
    assert prober().resolution("a", one) == one.resolution("a", prober().scale["a"])


def test_fine_is_what_sees_the_accuracy_and_resolves_an_entry():
    known, v = prober(), {"a": [1.0, -4.0]}
    level = known.level("a", np.array(v["a"]))
    assert known.is_fine("a", probe(0.0, 2 * level, v))
    assert not known.is_fine("a", probe(0.0, 2.01 * level, v))
    assert not known.knowing(resolving=1e-9).is_fine("a", probe(0.0, 2 * level, v))
    enough = 1e-3 / probe(0.0, 1.0, v).resolution("a", known.scale["a"])
    assert known.resolves("a", probe(0.0, 0.999 * enough, v))
    assert not known.resolves("a", probe(0.0, 1.001 * enough, v))


def test_up_to_what_must_be_seen_all_evaluations_may_be_spent_and_few_beyond():
    known = prober()
    for resolution, enough in ((np.inf, 400), (1.001e-3 / FINER, 400), (0.999e-3 / FINER, CHEAP), (0.0, CHEAP)):
        for besides in (0, 1000):
            known.meter.spent = max(enough, besides) - 1
            assert known.may_spend(resolution, besides)
            known.meter.spent += 1
            assert not known.may_spend(resolution, besides)
            assert known.knowing(aside=1).may_spend(resolution, besides)


def test_the_bound_of_a_probe_is_the_oracles_and_the_rounding_of_the_claim():
    known = prober()
    on = line({"a": [1.0, -4.0], "b": [2.0]}, known)
    rounding = {name: known.allowed[name].along(v) for name, v in on.direction.items()}
    one = known.judged(on, Estimate(on.product + 0.25, 0.5, 1))
    assert one.residual == pytest.approx(0.25)
    assert one.bound == pytest.approx(0.5 + np.hypot(rounding["a"], rounding["b"]), rel=1e-15)
    zero = known.knowing(zeros=frozenset("a"), magnitude=1e9)
    own = rounding["a"] + ROUNDOFFS * known.claim.unit["a"] * 1e9
    assert zero.judged(on, Estimate(0.0, 0.0, 1)).bound == pytest.approx(np.hypot(own, rounding["b"]), rel=1e-15)


@pytest.mark.parametrize("constant", [0.0, 1.0])
@pytest.mark.parametrize("claimed", [0.0, 1.0])
@pytest.mark.parametrize("moves", [False, True])
@pytest.mark.parametrize("still", [False, True])
def test_of_what_is_always_zero_nobody_knows_the_rounding(constant, claimed, moves, still):
    known = prober(f=lambda _: constant, g=lambda x: np.full_like(x, claimed), at=np.ones(2)).knowing(moves=moves)
    one = known.judged(line({"x": [1.0, 2.0]}, known), Estimate(0.0, 0.5, 1, still=still))
    assert np.isinf(one.bound) == (not moves and still and claimed != 0 and constant == 0)


def test_of_two_probes_that_have_seen_enough_the_coarser_one_counts():
    fine, coarse, blind = (probe(0.0, bound, {"a": [1.0, -1.0]}) for bound in (1e-9, 2e-9, 1.0))
    far = probe(0.0, 3e-9, {"a": [4.0, -4.0]})
    for first, second, taken in ((fine, coarse, coarse), (coarse, fine, coarse), (fine, blind, fine), (fine, far, fine)):
        assert Overview(first, second).coarser(prober(), "a") is taken
    wrong = probe(1.0, 0.5)
    assert Overview(wrong, fine).refuting is wrong
    assert Overview(fine, wrong).refuting is wrong
    assert [Overview(*pair).within for pair in ((fine, fine), (wrong, fine), (fine, wrong))] == [True, False, False]


@pytest.mark.parametrize(("dtype", "unit"), [(np.float32, 2.0**-24), (np.float16, 2.0**-11)])
def test_a_narrow_loss_is_judged_by_a_hundred_roots_of_its_roundoff(dtype, unit):
    def narrow(p):
        return float(dtype((p["a"] ** 2).sum() + p["b"][0] ** 3 + 1.123456))

    coarse = min(100 * unit**0.5, COARSEST)
    known, _ = look(prober(f=narrow), ["a", "b"], False)
    assert known.known.unit == unit
    assert (known.known.seeing, known.known.resolving) == (coarse, coarse)
    known, _ = look(prober(Asked(0.5, 0.25, 400, True, 0), f=narrow), ["a", "b"], False)
    assert (known.known.seeing, known.known.resolving) == (0.5, 0.25)


def shrinking(error, power):
    """A residual that falls with a power of the step, or stays: what is odd in the step alone counts."""
    return Line(
        lambda p: float(error * abs(p["x"][0] - 1) ** power * np.sign(p["x"][0] - 1)),
        {"x": np.ones(1)},
        {"x": np.ones(1)},
        {"x": np.zeros(1)},
    )


@pytest.mark.parametrize(("power", "settles"), [(1.0, True), (3.0, False), (1.05, True), (1.5, False)])
def test_a_residual_that_falls_with_the_step_does_not_settle(power, settles):
    known, step = prober(), 2.0**-3
    assert known.settles(shrinking(1e-3, power), 1e-3 * step ** (power - 1), step) == settles


def test_a_step_that_moves_nothing_says_nothing_of_a_residual():
    known = prober()
    still = Line(lambda _: 1.0, {"x": np.ones(1)}, {"x": np.ones(1)}, {"x": np.ones(1)})
    assert known.settles(still, 1.0, 2.0**-3)


@pytest.mark.parametrize(("near", "said"), [(1.0, Nearer.REFUTES), (0.0, Nearer.SUPPORTS)])
def test_smaller_steps_bear_a_claim_out_or_refute_it(near, said):
    """The error is that of a slope within 1e-3, where the larger steps are."""

    def bent(x):
        return x * x + near * 1e-3 * x + (0 if near else 1e-3 * np.sign(x - 1) * max(abs(x - 1) - 1e-3, 0))

    known = prober(f=lambda x: float(bent(x[0])), g=lambda x: 2 * x, at=np.ones(1))
    on = line({"x": [1.0]}, known)
    assert known.nearer(Probe(on, 1e-3, 1e-9, Estimate(on.product + 1e-3, 1e-9, 1, 1e-16, 2.0**-5))) is said


def test_the_complex_step_is_bounded_by_rounding_of_the_sum_and_by_what_an_ulp_changes():
    meter = Meter()
    on = Line(lambda p: float(p["x"][0] ** 3), {"x": np.array([0.7])}, {"x": np.array([2.0])}, {"x": np.array([3.0])})
    found = analytic_slope(lambda p: p["x"][0] ** 3, on.point, on, meter)
    nearby = 6 * (np.nextafter(0.7, 1) ** 2 - 0.7**2)
    assert found.value == pytest.approx(6 * 0.7**2, rel=1e-15)
    assert found.bound == pytest.approx(OF_THE_SUM * UNIT * 6 + MOVED * nearby, rel=0.2)
    assert (found.evaluations, meter.spent) == (2, 2)


@pytest.mark.parametrize("error", [TypeError, ArithmeticError, ValueError])
def test_a_function_that_refuses_complex_arguments_has_no_complex_step(error):
    def refusing(_):
        raise error

    on = line({"a": [1.0, 1.0]})
    found = analytic_slope(refusing, on.point, on, Meter())
    assert np.isnan(found.value)


def test_a_complex_step_is_refused_where_it_is_none_where_differences_disagree_or_are_coarse():
    one = Estimate(1.0, 0.25, 1)
    assert "complex arguments" in refusal(one._replace(value=np.nan), one, fine=True)
    assert "disagrees" in refusal(one._replace(value=1.51), one, fine=True)
    assert "coarse" in refusal(one._replace(value=1.5), one, fine=False)
    assert refusal(one._replace(value=1.5), one, fine=True) == ""
    assert refusal(one._replace(value=0.5), one, fine=True) == ""


GROWTH = TINY[-1] - TINY[0]  # of what has the slope 1, from the smallest of the tiny steps to the largest
HERE = 2.0**-12


def stepped(jump, side, constant=0.0):
    def f(p):
        x = p["x"][0]
        return float(constant + (x - HERE) + jump * (x > HERE if side > 0 else x < HERE))

    return Line(f, {"x": np.array([HERE])}, {"x": np.ones(1)}, {"x": np.zeros(1)})


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("factor", [0.97, 1.03])
def test_a_jump_is_ten_times_what_the_slope_changes_by_over_tiny_steps_or_more(side, factor):
    jump = factor * (GROWTH / SAME - TINY[0]) * side
    assert is_at_a_jump(stepped(jump, side)) == (factor > 1)


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_a_jump_is_more_than_rounding_of_the_larger_value(side, factor):
    plain = PLAIN * UNIT * 2.0**20
    assert is_at_a_jump(stepped(factor * plain, side, 2.0**20)) == (factor > 1)


def test_a_jump_from_zero_is_judged_by_the_value_it_jumps_to():
    assert is_at_a_jump(
        Line(lambda p: float(p["x"][0] > HERE), {"x": np.array([HERE])}, {"x": np.ones(1)}, {"x": np.zeros(1)})
    )


PUBLIC = (gradcheck.check, gradcheck.check_vjp, gradcheck.check_jvp, gradcheck.check_hvp, gradcheck.check_adjoint)
DEFAULTS = {"accuracy": 1e-6, "resolve": 1e-3, "max_evaluations": 400, "diagnose": True, "complex_step": False, "seed": 0}


@pytest.mark.parametrize("function", PUBLIC, ids=lambda each: each.__name__)
def test_all_checks_have_the_same_defaults(function):
    asked = {name: each.default for name, each in inspect.signature(function).parameters.items() if name in DEFAULTS}
    assert asked == {name: DEFAULTS[name] for name in asked}
    assert "seed" in asked


@pytest.mark.parametrize("factor", [4.0, -1.0, 0.25, 1.0])
def test_a_claim_is_a_multiple_of_the_slopes_along_all_directions_if_it_is_off(factor):
    evidence = ProbeEvidence(prober(g=lambda p: {"a": 2 * factor * p["a"], "b": 3 * p["b"] ** 2}))
    assert evidence.is_multiple("a", factor) == (factor != 1.0)
    assert not evidence.is_multiple("a", factor * 1.001)
    assert not evidence.is_multiple("b", 1.0)
    assert len(evidence.known("a")) == DIRECTIONS
    assert evidence.known("a") is evidence.known("a")


def test_the_rest_of_a_block_is_right_elsewhere_if_it_is_along_directions_without_the_suspects():
    evidence = ProbeEvidence(prober(g=lambda p: {"a": 2 * p["a"] + np.array([0.0, 1e-3]), "b": 3 * p["b"] ** 2}))
    assert evidence.right_elsewhere("a", np.array([False, True]))
    assert not evidence.right_elsewhere("a", np.array([True, False]))
    assert not evidence.right_elsewhere("a", np.array([False, False]))
    assert evidence.has_reference("a")
    assert not evidence.has_reference("c")
