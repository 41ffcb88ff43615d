"""Constants that steps, noise and verdicts rest on are those that were chosen, and by which all that is kept was measured.

`docs/measurements.md` says what was seen when they were moved. Whoever moves one measures again, and writes it here.
"""

import importlib

import pytest

from gradcheck.foundation.arithmetic import UNIT
from gradcheck.oracles.differences import AT_LARGE

CHOSEN = {
    "network.analysis.calculus": {"SAFETY": 100.0, "MANY": 512, "FAR": 1e-3, "SATURATED": 8.0, "AMPLIFIED": 5.0},
    "network.analysis.passes": {"MOVED": 2.0**-20},
    "network.analysis.rounding": {"FLOOR": 0.1},
    "network.analysis.rules_moving": {"MANY_ALIKE": 256, "SEEN": 25.0, "MULTIPLES": (1.0, 1.17, 1.39, 1.71)},
    "network.analysis.rules_arithmetic": {"ROOTS": 4.0},
    "network.analysis.tape": {"TERMS": 64, "SHAKEN": 2.0**-26},
    "oracles.analytic": {"ROUNDING": 32, "MOVED": 3},
    "oracles.differences": {
        "CERTAIN": 6,
        "SLACK": 32,
        "NARROWEST": 2.0**-11,
        "ALIKE": 0.2,
        "STRAIGHT": 0.1,
        "PLATEAU": 0.0001,
        "WORTH": 16,
        "NOISY": 100,
        "FARTHEST": 2.0**1000,
        "FAR": 2.0,
        "LEAP": 8.0,
        "LONGEST": 2.0**30,
        "GAIN": 0.5,
        "BARELY": 1.000001,
    },
    "oracles.directions": {"ATTEMPTS": 50, "SMALLEST": 1e-290, "TELLING": 0.7},
    "oracles.lattice": {
        "ADJACENT": 2.0**-49,
        "PLAIN": 20,
        "LEFT": 0.25,
        "LAST": 8,
        "REACHES": (2.0**-20, 2.0**-15, 2.0**-10, 2.0**-5),
    },
    "oracles.line": {"HELD": 2**17},
    "oracles.noise": {
        "CENTRED": (-2.31847, -1.08713, 0.73519, 1.92561, 3.17943),
        "AHEAD": (0.91753, 2.13649, 2.84917, 4.31871, 5.13727),
        "BEHIND": (-0.91753, -2.13649, -2.84917, -4.31871, -5.13727),
        "CUBIC": 3,
        "QUARTIC": 4,
        "BESIDE": (3.12917 * 2**-13, 1.71463 * 2**-13, 2**-13),
        "USUAL": UNIT**0.4,
        "NEAR": UNIT**0.62,
        "FEW": (2.0**-48, 2.0**-42),
        "WIDEST": 2.0**-8,
        "QUIET": 20,
        "PLAIN": 10000.0,
        "ROUND": 64.0,
        "ALIKE": 100,
        "WIDER": (64, 4096, 32768),
        "GROWING": 4,
        "CAUTION": 3,
    },
    "oracles.piecewise": {
        "AT_ONCE": 1e-12,
        "BRIEF": 4,
        "NARROW": 0.015625,
        "SURE": 1000000.0,
        "GLANCE": 2.0**-30,
        "TRIED": 4,
        "FEW": 100000.0,
    },
    "oracles.regression": {"PAIRS": 64, "POWERS": 7, "HARDLY": 1.1, "ERRORS": 3, "REACHES": (2.0, 0.5, 0.125)},
    "oracles.richardson": {
        "ODD": (0, 2, 4, 6, 8, 10),
        "EVEN": (0, 1, 3, 5, 7, 9),
        "SIDED": (0, 1, 2, 3, 4, 5),
        "LARGEST": 6,
        "UNEVEN": (1.0, 0.95317, 0.98371, 0.93429, 0.97183, 0.96037, 0.99113),
    },
    "oracles.sides": {
        "FIRST": 0.125,
        "RUNGS": 12,
        "NEAREST": 2.0**-46,
        "FINE": 1e-06,
        "TINY": (2.0**-48, 1.7 * 2.0**-47, 1.3 * 2.0**-45, 1.2 * 2.0**-43),
        "SAME": 0.1,
        "PLAIN": 40,
        "CLEAR": 8,
    },
    "checking.accusation": {"ENTRIES": 28, "OVER": 2.0**20},
    "checking.bisection": {"PATIENCE": 1500, "PARTS": 48},
    "checking.evidence": {"FIRST": 10},
    "checking.mapping": {"MAPS": 100, "GRID": (4, 6), "ATTEMPT": 10},
    "checking.overview": {
        "RESIDUE": 8,
        "COARSEST": 0.1,
        "VOUCHED": 1e-06,
        "QUICK": 3,
        "NEARER": 8,
        "NOTHING": 1000.0,
        "TINY": 1e-06,
        "ZERO": 1000.0,
        "NEXT_TO_NOTHING": 0.001,
        "LOUD": 40,
    },
    "checking.dependence": {"FAR": 1000.0},
    "candidates.claim": {"REPEATS": 2.0**-23, "SHAKEN": 8, "JUMP": 1e-6, "NOTHING": 1e-10},
    "candidates.given": {"POINTS": 4, "NEARBY": 31 / 32, "MANY": 256, "FEW": 32, "COARSE": 0.05, "FLOOR": 4, "SPREADS": 8},
    "foundation.arithmetic": {"UNIT": 2.0**-53, "UNIT_FLOAT32": 2.0**-24, "ROUNDOFFS": 32, "FEWER": 6.0},
    "checking.probe": {"LAST": 2.0**-8, "NOISY": 100},
    "checking.prober": {
        "MANY": 1000,
        "ENOUGH": 0.0001,
        "TINIER": (2**16, 2**21, 2**26, 2**31, 2**34, 2**37),
        "SMALLER": (2**5, 2**11, 2**16, 2**21, 2**26, 2**31, 2**34, 2**37),
        "VANISHED": 0.0001,
        "SEEN": 4,
        "FINER": 10,
        "CHEAP": 60,
        "BEYOND": 1000.0,
        "OTHER": 1.37,
        "LONG": (1.0, 0.125, 0.015625),
        "FLAT": 0.75,
        "SUPPORTED": 4,
    },
    "comparison.judging": {
        "BOUND": 8.0,
        "SEEN": 10.0,
        "TWICE": 2.0,
        "STRAY": 32.0,
        "LARGE": 0.3,
        "COARSELY": 0.1,
        "WIDE": 32.0,
        "MOST": 0.75,
        "LEAST": 1 / 64,
    },
    "comparison.levels": {"TF32": 2.0**-11, "COARSER": 2.0**13},
    "comparison.measured": {"REPEATS": 2, "LOUD": 8.0, "LOUD_RUNS": 4},
    "comparison.scales": {"RUNS": 8, "FIBRE": 0.5, "BLOCK": 0.02},
    "comparison.second_look": {"NEARBY": 1 / 32, "NEARER": 2.0**-10},
    "checking.confirmation": {
        "CLEAR": 10.0,
        "CLOSE": (32, 2048),
        "UNBENT": 8,
        "RUNGS": 6,
        "OTHER": 1.37,
        "SHOWN": 1000.0,
        "MOVES": 0.25,
    },
    "checking.procedure": {"TRUSTED": 4, "NAMING": 2, "CAUSES": 100},
    "checking.products": {"ROUNDING": 1000},
}


def moved(room):
    """Those that are others now, or there no more."""
    module = importlib.import_module(f"gradcheck.{room}")
    return [name for name, value in CHOSEN[room].items() if getattr(module, name, None) != value]


@pytest.mark.parametrize("room", CHOSEN)
def test_constants_are_those_that_were_chosen(room):
    assert moved(room) == []


@pytest.mark.parametrize("room", CHOSEN)
def test_each_of_them_is_missed_where_it_is_moved(room, monkeypatch):
    """The twin."""
    module = importlib.import_module(f"gradcheck.{room}")
    for name in CHOSEN[room]:
        monkeypatch.setattr(module, name, None)
    assert moved(room) == list(CHOSEN[room])


def test_where_nothing_is_known_steps_of_an_eighth_are_halved_with_patience():
    assert AT_LARGE == (1 / 8, None, 6, True, UNIT, 0.0, 2.0**1000)
