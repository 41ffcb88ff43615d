"""One gradient in six ways, and what finite differences cost in digits: the V of their error against the step."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from gradcheck.builds import registry
from gradcheck.foundation.arithmetic import UNIT
from gradcheck.foundation.arrays import Array, norm
from gradcheck.foundation.plotting import COLOURS
from gradcheck.foundation.wording import enumerated
from gradcheck.network import reference
from gradcheck.oracles.complex_step import complex_step
from gradcheck.oracles.differences import differences
from gradcheck.oracles.line import Point
from gradcheck.tour.pictures import Curve, Panel, Picture, curves
from gradcheck.tour.step import Result, Table
from gradcheck.tour.tour import Tour, installed_builds
from gradcheck.verdict.findings import Verdict
from gradcheck.verification.verifier import DEFAULT, verify

ONE_SIDED, CENTRAL = UNIT**0.5, UNIT ** (1 / 3)  # the steps at which truncation and rounding are of one size
# Relative to its norm, of any gradient of the tour's small networks. Builds were at most 9e-16 off over 20 seeds,
# differences 5e-10; at 1e-16 the step did not hold.
ACCURATE = 1e-13
STEPS = np.logspace(-15, 0, 91)


def one_sided(function: Callable[[Point], Any], point: Point, v: Point, h: float) -> float:
    """(f(x + h v) - f(x)) / h"""
    return float(function(moved(point, v, h)) - function(point)) / h


def central(function: Callable[[Point], Any], point: Point, v: Point, h: float) -> float:
    """(f(x + h v) - f(x - h v)) / 2h"""
    return float(function(moved(point, v, h)) - function(moved(point, v, -h))) / (2 * h)


def moved(point: Point, v: Point, h: float) -> dict[str, Array]:
    """x + h v"""
    return {name: value + h * v[name] for name, value in point.items()}


def entries(slope: Callable[[Point], float], point: Point) -> dict[str, Array]:
    """A whole gradient from slopes along the axes, one entry after the other."""
    zero = {name: np.zeros_like(value) for name, value in point.items()}
    return {
        name: np.reshape([slope({**zero, name: unit.reshape(value.shape)}) for unit in np.eye(value.size)], value.shape)
        for name, value in point.items()
    }


def flat(gradient: Mapping[str, Array]) -> Array:
    """All entries in a row."""
    return np.concatenate([value.ravel() for value in gradient.values()])


def gradients(tour: Tour) -> Result:
    """All against the complex step, whose only error is rounding; and the verdict of `gradcheck.verify`."""
    case, point, present = tour.case, tour.case.parameters, installed_builds()
    function = partial(reference.loss, case.network, inputs=tour.batch.inputs, targets=tour.batch.targets)
    truth = flat(entries(partial(complex_step, function, point), point))
    builds = {name: registry.backend(name).build(case.network) for name in present}
    by_build = {name: build.loss_and_gradients(point, tour.batch)[1] for name, build in builds.items()}
    by_differences = {
        f"one-sided differences, h = {ONE_SIDED:.1e}": entries(lambda v: one_sided(function, point, v, ONE_SIDED), point),
        f"central differences, h = {CENTRAL:.1e}": entries(lambda v: central(function, point, v, CENTRAL), point),
    }
    found = by_build | by_differences
    errors = {name: norm(flat(gradient) - truth) / norm(truth) for name, gradient in found.items()}
    report = verify(case, present)
    ratio = max(finding.ratio for finding in report.findings)
    picture, ladder = _curve(function, point, by_build["manual"])
    headline = (
        f"by hand {errors['manual']:.1e} off, differences {min(errors[name] for name in by_differences):.1e}; "
        f"verify says {report.verdict}, {ratio:.2g} of the bound{_missing(present)}"
    )
    numbers = {"verify_ratio": ratio, "evaluations": report.evaluations} | ladder | errors
    accurate = all(errors[name] < ACCURATE for name in present) and ladder["ladder_error"] <= ladder["ladder_bound"]
    return Result(headline, numbers, (picture,), _table(errors), report.verdict is Verdict.CORRECT and accurate)


def _missing(present: Sequence[str]) -> str:
    missing = [name for name in DEFAULT if name not in present]
    return f"; {enumerated(missing)} not installed: pip install 'gradcheck[{','.join(missing)}]'" if missing else ""


def _table(errors: Mapping[str, float]) -> Table:
    rows = [(name, f"{error:.1e}", f"{error / UNIT:.3g}") for name, error in errors.items()]
    return Table(("gradient", "relative error against the complex step", "in units of u"), rows)


def _curve(function: Callable[[Point], Any], point: Point, claim: Mapping[str, Array]) -> tuple[Picture, dict[str, float]]:
    """Errors along one direction of length 1, and the ladder's: its bound, which it states, and its error.

    The ladder is `gradcheck.oracles.differences`; all errors are relative to the slope.
    """
    rng = np.random.default_rng(0)
    raw = {name: rng.standard_normal(value.shape) for name, value in point.items()}
    v = {name: value / norm(flat(raw)) for name, value in raw.items()}
    truth = complex_step(function, point, v)
    lines = [
        Curve(name, STEPS, np.abs([rule(function, point, v, h) - truth for h in STEPS]) / abs(truth))
        for name, rule in (("one-sided", one_sided), ("central", central))
    ]
    estimate = differences(function, point, v, claim)
    bound, error = estimate.bound / abs(truth), abs(estimate.value - truth) / abs(truth)
    drawn = np.array([max(error, UNIT / 2)])  # an error of 0 is not on the axis
    mark = Curve("error of our ladder", np.array([estimate.step]), drawn, "*", COLOURS[2])
    labels = ("step h (length in parameter space)", "relative error of the slope")
    level = ("bound that our ladder states", bound)
    panel = Panel(*labels, [*lines, mark], xscale="log", yscale="log", levels=[level], legend_outside=True)
    caption = (
        "Truncation falls and rounding grows as the step becomes smaller: two V shapes. Our ladder's bound lies below both."
    )
    return curves(caption, panel), {"ladder_bound": bound, "ladder_error": error}
