"""What the oracles say along lines through exact subjects; ``python tests/measured_oracles.py`` writes it to `kept`."""

import json
from pathlib import Path

import numpy as np
from exactly import SUBJECTS, cubic, quotient, slope_of_cubic, slope_of_quotient

from gradcheck.oracles import differences as real
from gradcheck.oracles.lattice import is_rounded, rounded_nearby
from gradcheck.oracles.line import Line
from gradcheck.oracles.noise import grain, noise, noise_at, quiet, stands_still
from gradcheck.oracles.regression import regression
from gradcheck.oracles.sides import across, bend, is_at_a_jump, lies_between, one_sided, sides

KEPT = Path(__file__).parent / "kept" / "oracles.json"
NARROW = 2.0**-24
SIGNS = np.array([1.0, -0.7, 1.3])


def shaken(size):
    """A quotient with what looks like noise."""
    return lambda x: quotient(x) + size * float(np.fmod(np.abs(x) * 1.2345678912345e15, 1.0).sum() - 0.5)


def rounded_to(lattice):
    return lambda x: float(np.round(quotient(x) * lattice) / lattice)


NOISY = {
    "noise of 1e-14": (shaken(1e-14), slope_of_quotient, 0.7),
    "noise of 1e-9": (shaken(1e-9), slope_of_quotient, 0.7),
    "noise of 1e-3": (shaken(1e-3), slope_of_quotient, 0.7),
    "a lattice of 2^-33": (rounded_to(2.0**33), slope_of_quotient, 0.7),
    "a lattice of 2^-51": (rounded_to(2.0**51), slope_of_quotient, 0.7),
    "values in single": (lambda x: float(np.float32(quotient(np.float32(x)))), slope_of_quotient, 0.7),
    "values in half": (lambda x: float(np.float16(quotient(np.float16(x)))), slope_of_quotient, 0.7),
    "a kink and noise": (lambda x: abs(x - 0.7) + shaken(1e-6)(x), slope_of_quotient, 0.7),
    "an edge ahead": (lambda x: cubic(x) if x <= 0.7 else np.nan, slope_of_cubic, 0.7),
    "an edge behind": (lambda x: cubic(x) if x >= 0.7 else np.nan, slope_of_cubic, 0.7),
    "a pole": (lambda x: 1 / (x - 0.7 + 1e-5), lambda x: -1 / (x - 0.7 + 1e-5) ** 2, 0.7),
    "noise of 1e-9 below 0": (lambda x: -2 - shaken(1e-9)(x), lambda x: -slope_of_quotient(x), 0.7),
    "values in single below 0": (
        lambda x: -float(np.float32(quotient(np.float32(x)))),
        lambda x: -slope_of_quotient(x),
        0.7,
    ),
    "a lattice of 2^-51 below 0": (lambda x: -rounded_to(2.0**51)(x), lambda x: -slope_of_quotient(x), 0.7),
    "a bent side": (lambda x: cubic(x) + max(x - 0.7, 0) ** 2, slope_of_cubic, 0.7),
    "a kink at 1e-3": (lambda x: cubic(x) + max(x - 0.701, 0), slope_of_cubic, 0.7),
    "a kink at 1e-7": (lambda x: cubic(x) + max(x - 0.7 - 1e-7, 0), slope_of_cubic, 0.7),
}
NOISY = {
    name: (lambda x, f=f: f(np.float64(x)), lambda x, g=g: np.float64(g(np.float64(x))), at)
    for name, (f, g, at) in NOISY.items()
}
LINES = [(name, claim) for name in (*SUBJECTS, *NOISY) for claim in ("right", "off") if name != "many entries"]


def line(name, claim):
    """Through a point, with the claim as it is or 1 % off; every entry moves in its own units."""
    f, g, at = {**SUBJECTS, **NOISY}[name]
    point = at if isinstance(at, dict) else {"x": at}
    slopes = g(at) if isinstance(at, dict) else {"x": g(at)}
    arrays = {key: np.atleast_1d(np.asarray(value, float)) for key, value in point.items()}
    claimed = {
        key: np.atleast_1d(np.asarray(value, float)) * (1.01 if claim == "off" else 1) for key, value in slopes.items()
    }
    v = {key: np.where(x == 0, 1.0, np.abs(x)) * np.resize(SIGNS, x.shape) for key, x in arrays.items()}

    def function(p):
        back = {key: value if np.ndim(point[key]) else value[0] for key, value in p.items()}
        return float(f(back if isinstance(at, dict) else back["x"]))

    return Line(function, arrays, v, claimed)


def slope_of(estimate):
    """What is said of it, its value apart."""
    return [*estimate[1:6], float(estimate.staircase), float(estimate.still)]


def both(slopes):
    return [number for each in slopes for number in (each.value, each.bound, each.evaluations)]


def between(on):
    slopes = one_sided(on.function, on.point, on.direction, on.gradient)
    return lies_between(on, slopes, noise(on)) if slopes.left.value != slopes.right.value else None


ORACLES = {
    "noise": lambda on: [noise(on), on.evaluations],
    "noise in single": lambda on: [noise(on, at_least=NARROW), on.evaluations],
    "quiet": lambda on: [quiet(on), on.evaluations],
    "grain": lambda on: [grain(on), on.evaluations],
    "noise beside": lambda on: [noise_at(on, 2.0**-6), noise_at(on, 2.0**-30), on.evaluations],
    "still": lambda on: [stands_still(on), stands_still(on, 2.0**-40), stands_still(on, ends=(-1, 1))],
    "rounded": lambda on: [is_rounded(on, 0.0), rounded_nearby(on, 0.0), on.evaluations],
    "slope": lambda on: slope_of(real.slope(on)),
    "slope at once": lambda on: slope_of(real.slope(on, real.Start(2.0**-6, 1e-15, 3, patient=False))),
    "slope in single": lambda on: slope_of(real.slope(on, real.Start(unit=NARROW))),
    "slope that is enough": lambda on: slope_of(real.slope(on, real.Start(enough=1e-6))),
    "slope nearby": lambda on: slope_of(real.slope(on, real.Start(2.0**-10, farthest=0.0))),
    "second look": lambda on: slope_of(real.second_look(on, 1e-15, 2.0**-53)),
    "sides": lambda on: both(sides(on)),
    "sides of known noise": lambda on: both(sides(on, 2.0**-7, NARROW, 1e-12, 6)),
    "regression": lambda on: slope_of(regression(on, 1e-15)),
    "at the point": lambda on: [is_at_a_jump(on), between(on), across(on, 2.0**-9), bend(on, 2.0**-9)],
}


def said(on, oracle):
    """Six digits of each number."""
    with np.errstate(all="ignore"):
        return " ".join("-" if each is None else f"{float(each):.6g}" for each in ORACLES[oracle](on))


if __name__ == "__main__":
    found = {f"{name}, {claim}: {oracle}": said(line(name, claim), oracle) for name, claim in LINES for oracle in ORACLES}
    KEPT.write_text(json.dumps(found, indent=0) + "\n")
