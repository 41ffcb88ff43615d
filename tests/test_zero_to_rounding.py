"""Blocks whose claim is nothing beside the whole, functions that hardly move, and probes that are looked at once more."""

import numpy as np
import pytest

from gradcheck import check
from gradcheck.candidates.claim import examine
from gradcheck.candidates.functions import Subject
from gradcheck.candidates.point import point_of
from gradcheck.checking.overview import ZERO, _learned, _steps_over, look
from gradcheck.checking.probe import Probe
from gradcheck.checking.prober import BEYOND, OTHER, SUPPORTED, Nearer, Prober, _is_flat_only_nearby, _moves_further_off
from gradcheck.checking.products import _equal
from gradcheck.foundation.arithmetic import UNIT
from gradcheck.foundation.validation import Asked
from gradcheck.oracles.differences import AT_LARGE
from gradcheck.oracles.line import Estimate
from gradcheck.verdict.findings import Verdict


def prober(f, g, at):
    return Prober.of(examine(Subject(f, g, point_of(at)), 0), Asked(1e-6, 1e-3, 400, True, 0))


def learned(f, g, at, **estimate):
    """From a first estimate that bears the claim out."""
    known = prober(f, g, at)
    line = known.draw(list(at), 0)
    first = known.judged(line, Estimate(line.product, 1e-9, 1, 1e-15, 1 / 8)._replace(**estimate))
    return _learned(known, first).known, line


def two(slope):
    """The second block contributes so much of the first one's slope."""
    return (
        lambda p: float(3 * p["a"][0] + slope * p["b"][0]),
        lambda p: {"a": np.array([3.0]), "b": np.array([slope])},
        {"a": np.array([1.0]), "b": np.array([1.0])},
    )


@pytest.mark.parametrize(("slope", "zeros"), [(1e-15, "b"), (1e-12, ""), (1.0, ""), (0.0, "b")])
def test_a_block_is_zero_that_contributes_a_thousand_roundings_of_the_whole(slope, zeros):
    known, line = learned(*two(slope))
    assert known.zeros == frozenset(zeros)
    assert known.magnitude == line.spread


@pytest.mark.parametrize("size", [1.0, 1e-5, 1e-7])
def test_a_block_of_tiny_numbers_is_no_zero(size):
    f, g, at = two(0.0)
    known, _ = learned(f, g, {"a": at["a"], "b": np.array([size])})
    assert known.zeros == frozenset("b" if size >= 1e-6 else "")


@pytest.mark.parametrize("step", [1 / 8, 1 / 64, 1 / 128, 4.0])
def test_a_gradient_of_nothing_is_measured_by_what_the_function_changes_by(step):
    def f(p):
        return float(5 + (p["a"][0] - 1) ** 2)

    known, line = learned(f, lambda p: {"a": np.zeros(1)}, {"a": np.ones(1)}, step=step)
    assert known.magnitude == pytest.approx(step / 8 * line.direction["a"][0] ** 2, rel=1e-6)
    still, _ = learned(lambda p: -7.0, lambda p: {"a": np.zeros(1)}, {"a": np.ones(1)}, still=True)
    assert (still.magnitude, still.moves) == (7.0, False)


@pytest.mark.parametrize(("grid", "over"), [(64.0, True), (0.0, False), (2.0, False)])
def test_stairs_have_a_slope_that_only_long_steps_show(grid, over):
    def f(p):
        return float(np.floor(p["a"][0] * grid) / (grid or 1.0) + 1)

    known = prober(f, lambda p: {"a": np.zeros(1)}, {"a": np.array([10.3])})
    assert _steps_over(known, frozenset("a")) == over
    assert not _steps_over(known, frozenset())
    assert not _steps_over(known.knowing(noise=1.0), frozenset("a"))


@pytest.mark.parametrize("error", [0.0, 1e-3])
def test_a_bias_that_is_taken_away_is_zero_and_one_that_is_not_is_wrong(error):
    """The twin in the same test: an error of a thousandth of what the weight is worth."""

    def loss(p):
        y = p["x"] * p["w"] + p["b"]
        return float(((y - y.mean()) ** 3).sum() + error * 10 * p["b"][0])

    x, w = np.array([0.5, -1.0, 2.0]), np.array([1.5])

    def gradient(p):
        y = p["x"] * p["w"]
        d = 3 * (y - y.mean()) ** 2
        d = d - d.mean()
        return {"w": np.array([(d * p["x"]).sum()]), "b": np.array([d.sum()]), "x": d * p["w"]}

    report = check(loss, gradient, {"w": w, "b": np.array([0.3]), "x": x}, diagnose=False)
    assert report.wrong == (frozenset("b") if error else frozenset())
    found = next(each for each in report.findings if each.name == "b")
    assert found.verdict is (Verdict.WRONG if error else Verdict.CORRECT)
    assert ("zero to rounding" in found.reason) == (error == 0.0)


def on(f, claim, at=1.0):
    known = prober(lambda x: float(f(x[0])), lambda x: np.full(1, claim), np.array([at]))
    return known, known.line({"x": np.ones(1)})


def refuted(line, residual=1.0, bound=1e-9, step=2.0**-7, noise=1e-15):
    return Probe(line, residual, bound, Estimate(line.product + residual, bound, 1, noise, step))


@pytest.mark.parametrize("factor", [0.99, 1.01])
def test_longer_steps_support_a_claim_that_leaves_a_quarter_of_the_residual(factor):
    known, line = on(lambda x: (x - 1) * 0.25 * factor if abs(x - 1) > 2.0**-5 else x - 1, 0.0)
    assert known._supports_further_off(refuted(line)) == (factor < 1 == SUPPORTED / 4)
    assert not known._supports_further_off(refuted(line, step=1 / 16))
    assert not known._supports_further_off(refuted(line, residual=1.0, bound=1.0))


@pytest.mark.parametrize("wide", [1 / 8, 2.0**-9])
def test_a_function_moves_further_off_that_changes_at_a_long_step_or_the_probes(wide):
    _, line = on(lambda x: float(abs(x - 1) == wide), 1.0)
    assert _moves_further_off(refuted(line, step=2.0**-9))
    assert not _moves_further_off(refuted(line, step=2.0**-8)) or wide == 1 / 8


@pytest.mark.parametrize(
    ("grid", "claim", "residual", "flat"),
    [
        (2.0**-10, 1.0, -1.0, True),
        (2.0**-10, 1.0, -0.2, False),
        (2.0**-10, -1.0, 1.0, False),
        (2.0**-10, 9.0, -9.0, False),
        (0.0, 1.0, -1.0, False),
    ],
)
def test_stairs_of_the_claimed_slope_are_flat_only_nearby(grid, claim, residual, flat):
    _, line = on(lambda x: np.floor(x / grid + 0.5) * grid if grid else 1.01 * x, claim)
    assert _is_flat_only_nearby(refuted(line, residual)) == flat


def test_what_does_not_stand_by_other_steps_is_as_uncertain_as_what_it_refuted():
    known, line = on(lambda x: x * x, 2.0)
    assert known.otherwise(refuted(line, 0.0)) == refuted(line, 0.0)
    assert known.otherwise(refuted(line, 1.01 * BEYOND * 1e-3, 1e-3)).residual == 1.01 * BEYOND * 1e-3
    once_more = known.otherwise(refuted(line, 0.99 * BEYOND * 1e-3, 1e-3))
    assert once_more.bound == 0.99 * BEYOND * 1e-3
    assert abs(once_more.residual) < 1e-9
    known, line = on(lambda x: x * x, 1.0)
    again = known.otherwise(refuted(line, 0.5, 1e-3))
    assert again.residual == pytest.approx(1.0)
    assert again.bound < 1e-9
    assert again.estimate.step == pytest.approx(OTHER * 2.0**-7)
    assert known.otherwise(refuted(line, 0.5, 1e-3, step=0.0)).estimate.step == AT_LARGE.step


@pytest.mark.parametrize("ratio", [1.0, 2.0**-5, 2.0**-11])
def test_smaller_steps_are_told_by_what_they_bear_out(ratio):
    """A residual within a distance of the point, or none there."""
    known, line = on(lambda x: 1 + np.sign(x - 1) * max(abs(x - 1) - ratio * 2.0**-8, 0), 0.0)
    assert known.nearer(refuted(line, noise=1e-16)) is (Nearer.STILL if ratio == 1.0 else Nearer.SUPPORTS)
    known, line = on(lambda x: x * x + np.sign(x - 1) * max(abs(x - 1) - ratio * 2.0**-8, 0), 2.0)
    assert known.nearer(refuted(line, noise=1e-16)) is Nearer.SUPPORTS
    known, line = on(lambda x: x * x + x, 2.0)
    assert known.nearer(refuted(line, noise=1e-16)) is Nearer.REFUTES


def test_rounded_arguments_are_learned_once_and_of_float64_alone():
    known, line = on(lambda x: float(np.float32(np.sqrt(x))) + x, 1.5, 0.7)
    probe = refuted(line, -0.5, step=2.0**-20)
    rounded = known.knowing_rounded(refuted(line, 0.0), probe)
    assert rounded is not None
    assert rounded.known.rounded
    assert rounded.knowing_rounded(probe) is None
    assert known.knowing(unit=2.0**-24).knowing_rounded(probe) is None
    assert known.knowing_rounded(refuted(line, 0.0)) is None


@pytest.mark.parametrize("error", [0.9, 1.1, 50.0, 1e9])
@pytest.mark.parametrize("sign", [1, -1])
def test_two_sums_are_equal_to_rounding_inexact_within_the_accuracy_or_wrong(error, sign):
    bound = 1000 * UNIT * 3.0
    found = _equal("symmetry", sign * 2.0, sign * (2.0 + error * bound), 3.0, UNIT, accuracy=100 * bound / 3)
    expected = {0.9: Verdict.CORRECT, 1.1: Verdict.INEXACT, 50.0: Verdict.INEXACT, 1e9: Verdict.WRONG}
    assert found.verdict is expected[error]
    assert found.error == pytest.approx(error * bound / (2 + (error * bound if sign else 0)), rel=1e-3)
    assert found.bound == found.resolution == found.block_resolution == pytest.approx(bound / (2 + error * bound), rel=1e-12)
    assert bool(found.reason) == (error > 1)
    assert _equal("adjoint", 0.0, 0.0, 0.0, UNIT).verdict is Verdict.CORRECT


def test_a_first_look_tells_a_zero():
    assert ZERO == 1e3
    known, overview = look(prober(*two(1e-15)), ["a", "b"], False)
    assert known.known.zeros == frozenset("b")
    assert overview.within
