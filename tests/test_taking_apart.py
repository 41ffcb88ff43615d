"""Blocks that are taken apart or accused: what stands of a part, which kinks there are, how large an error is."""

from math import log

import numpy as np
import pytest

from gradcheck.candidates.claim import examine
from gradcheck.candidates.functions import Subject
from gradcheck.candidates.point import point_of
from gradcheck.checking import bisection
from gradcheck.checking.accusation import on_a_staircase, sized
from gradcheck.checking.bisection import Kink, Side, _resolution, _side, _stands, bisected
from gradcheck.checking.confirmation import is_kinked
from gradcheck.checking.overview import Overview
from gradcheck.checking.probe import Probe
from gradcheck.checking.prober import Prober
from gradcheck.checking.procedure import _is_enough, judge
from gradcheck.foundation.validation import Asked
from gradcheck.oracles.line import Estimate
from gradcheck.oracles.sides import TINY, across
from gradcheck.verdict.findings import Verdict
from gradcheck.verdict.localize import Located, Search
from gradcheck.verdict.settle import Residual

AT = np.array([1.0, -2.0, 0.5])
V = np.array([1.0, 2.0, -0.5])
RIGHT = Residual(0.0, 1e-9)
OFF = Residual(1.0, 1e-9)


def square(x):
    return float((x**2).sum())


def prober(f=square, g=lambda x: 2 * x, at=AT, **asked):
    return Prober.of(examine(Subject(f, g, point_of(at)), 0), Asked(1e-6, 1e-3, 400, True, 0)._replace(**asked))


def probe(known, residual, bound, v=V, **estimate):
    on = known.line({"x": v})
    return Probe(on, residual, bound, Estimate(on.product + residual, bound, 1)._replace(**estimate))


def test_a_part_resolves_what_its_least_entry_would_have_shown():
    assert _resolution(Residual(1.0, 2.0), np.array([1.0, -0.25]), np.array([8.0, 4.0])) == 3.0


def kinked(jump, at=1.0):
    return lambda x: float(x[0] ** 2 + jump * max(x[0] - at, 0))


def side(f, claim, seen=OFF, noise=1e-15, at=1.0, length=0.5, **known):
    """Of the first of one entry."""
    one = prober(f, lambda _: np.array([claim]), np.array([at])).knowing(**known)
    return _side(one, "x", 0, seen, one.along_entry("x", 0, length), noise)


@pytest.mark.parametrize("length", [0.5, 2.0])
@pytest.mark.parametrize("claim", [2.0, 2.5, 3.0])
def test_at_a_kink_both_slopes_are_given_whatever_the_claim_and_however_long_the_step(claim, length):
    found = side(kinked(1.0), claim, length=length)
    assert isinstance(found, Kink)
    assert found.slopes == pytest.approx((2.0, 3.0), abs=1e-7)


@pytest.mark.parametrize(("seen", "verdict"), [(RIGHT, Verdict.UNRESOLVED), (OFF, Verdict.WRONG)])
def test_a_kink_beside_the_point_is_none_of_the_point(monkeypatch, seen, verdict):
    monkeypatch.setattr(bisection, "lies_between", lambda *_: False)
    assert side(kinked(1.0), 2.0, seen) == Side(verdict)


def test_a_jump_is_a_kink_of_no_slopes():
    found = side(lambda x: float(x[0] + (x[0] > 1)), 1.0)
    assert isinstance(found, Kink)
    assert np.isnan(found.slopes).all()


def test_a_side_refutes_a_claim_and_bears_out_another():
    assert side(lambda x: float(x[0] ** 2), 2.01) == Side(Verdict.WRONG)
    right = side(lambda x: float(x[0] ** 2), 2.0)
    assert right.verdict is Verdict.CORRECT
    assert 0 < right.resolution < 1e-9
    assert side(lambda x: float(x[0] ** 2), 2.0, unit=2.0**-24).verdict is Verdict.UNRESOLVED
    assert side(lambda x: float(x[0] ** 2), 2.0, resolving=right.resolution / 2).verdict is Verdict.UNRESOLVED
    assert side(lambda x: float(x[0] ** 2), 2.0, resolving=right.resolution).verdict is Verdict.CORRECT


def test_the_one_side_of_an_edge_speaks_and_a_side_that_is_unknown_does_not():
    assert side(lambda x: float(x[0] ** 2) if x[0] >= 1 else np.nan, 2.0).verdict is Verdict.CORRECT
    assert side(lambda x: float(x[0] ** 2) if x[0] >= 1 else np.nan, 2.01).verdict is Verdict.WRONG
    blind = side(lambda x: float(x[0] ** 2) if x[0] > 1 - 1e-11 else np.nan, 2.0)
    assert blind == Side(Verdict.UNRESOLVED, blind.resolution)


@pytest.mark.parametrize("tried", [1, 30])
@pytest.mark.parametrize("factor", [0.98, 1.02])
def test_of_many_parts_that_were_tried_one_must_be_off_by_more_than_chance(monkeypatch, tried, factor):
    known = prober()
    on = known.along_entry("x", 0, 1.0)
    far = factor * 1e-3 * (1 + 2 * log(tried)) ** 0.5
    monkeypatch.setattr(Prober, "otherwise", lambda *_: Probe(on, far, 1e-3, Estimate(0.0, 0.0, 1)))
    monkeypatch.setattr(
        Prober, "nearer", lambda self, _: __import__("gradcheck.checking.prober").checking.prober.Nearer.REFUTES
    )
    assert _stands(known, on, 1e-15, tried) == (factor > 1)


def test_a_refuted_entry_stands_only_if_smaller_steps_refute_it():
    assert _stands(prober(g=lambda x: 2 * x + 0.01), prober(g=lambda x: 2 * x + 0.01).along_entry("x", 0, 1.0), 1e-15, 1)
    assert not _stands(prober(), prober().along_entry("x", 0, 1.0), 1e-15, 1)


@pytest.mark.parametrize("resolutions", [(1e-7, 3e-5, 1e-9), (3e-5, 1e-9, 1e-7), (1e-9, 1e-7, 3e-5)])
def test_what_went_unseen_in_a_block_is_what_went_unseen_in_its_worst_part(monkeypatch, resolutions):
    """Seen by the sides of each entry, or by probes of them."""
    known = prober()
    monkeypatch.setattr(bisection, "_side", lambda *given: Side(Verdict.CORRECT, resolutions[given[2]]))
    monkeypatch.setattr(Search, "probe", lambda *_: Residual(0.0, 1e9))
    assert bisected(known, "x", probe(known, 0.0, 1e9)) == (Located([], [], [], False), None, False, 3e-5)

    def seen(search, part):
        moved = np.abs(search.plain[part]) * search.scale[part]
        return Residual(0.0, float(np.min(moved)) * (resolutions[part.start] if len(moved) == 1 else 1e9))

    monkeypatch.setattr(Search, "probe", seen)
    assert bisected(known, "x", probe(known, 0.0, 1e9)).resolution == pytest.approx(3e-5)


@pytest.mark.parametrize("wrong", [(), (0,), (0, 2)])
@pytest.mark.parametrize("kink", [None, 1])
def test_parts_name_their_wrong_entries_and_their_kink(wrong, kink):
    at = AT.copy()
    if kink is not None:
        at[kink] = 0.0
    known = prober(
        lambda x: square(x) + (max(x[kink], 0.0) if kink is not None else 0.0),
        lambda x: 2 * x + np.isin(np.arange(3), wrong) * 0.01,
        at,
    )
    parts = bisected(known, "x", probe(known, 1.0, 1e-9, noise=1e-15))
    assert sorted(parts.wrong.indices) == list(wrong)
    assert parts.wrong.values == pytest.approx([2 * at[i] for i in parts.wrong.indices], abs=1e-8)
    assert all(0 < bound < 1e-8 for bound in parts.wrong.bounds)
    assert not parts.undecided
    assert (parts.kink and parts.kink.entry) == kink


def test_no_more_parts_are_probed_than_there_is_patience_for():
    at = np.zeros(40)
    known = prober(lambda x: float(np.maximum(x, 0).sum()), lambda x: 1.0 * (x > 0), at)
    parts = bisected(known, "x", probe(known, 1.0, 1e-9, np.ones(40), noise=1e-15))
    assert parts.undecided
    assert known.meter.spent < 3000
    spent = known.meter.spent
    again = bisected(known, "x", probe(known, 0.0, 1e-9, np.ones(40), noise=1e-15))
    assert again.undecided
    assert known.meter.spent == spent


def located(*errors):
    return Located(list(range(len(errors))), [2 * AT[i] - e for i, e in enumerate(errors)], [1e-9] * len(errors), True)


@pytest.mark.parametrize(
    ("residual", "entries", "verdict"),
    [
        (1e-3, (), Verdict.WRONG),
        (1e-12, (1e-3,), Verdict.WRONG),
        (1e-12, (1e-7,), Verdict.INEXACT),
        (1e-7, (), Verdict.INEXACT),
        (3e-6, (), Verdict.UNRESOLVED),
    ],
)
def test_a_block_is_off_by_its_worst_entry_or_as_a_whole(residual, entries, verdict):
    known = prober()
    size = np.linalg.norm(known.scale["x"] * V)
    found = sized(known, "x", probe(known, residual, 1e-14), located(*entries))
    whole = (residual - 1e-14) / size
    assert found.verdict is verdict
    assert found.error == pytest.approx(max(whole, *(e / known.scale["x"][i] for i, e in enumerate(entries)), 0), rel=1e-6)
    assert [each.index for each in found.entries] == [(i,) for i in range(len(entries))]
    assert found.worst_index == ((0,) if entries else None)


def test_the_entry_that_is_further_off_comes_first_and_a_claim_of_nothing_is_off_by_all():
    known = prober()
    assert [each.index for each in sized(known, "x", probe(known, 1.0, 0.1), located(1e-3, 1e-1, 1e-2)).entries] == [
        (1,),
        (2,),
        (0,),
    ]
    assert sized(prober(g=lambda x: 0 * x), "x", probe(prober(g=lambda x: 0 * x), 1.0, 0.1), located()).error == 1.0


@pytest.mark.parametrize(("grid", "staircase"), [(2.0**10, True), (0.0, False)])
def test_of_an_entry_that_is_flat_nearby_longer_steps_are_asked(grid, staircase):
    def f(x):
        return float(np.floor(x[0] * grid) / grid + x[1] ** 2) if grid else float(x[1] ** 2)

    known = prober(f, lambda x: np.array([1.0, 2 * x[1]]), np.array([0.3, 1.0]))
    one = probe(known, -1.0, 1e-9, np.array([0.3, 1.0]))
    assert on_a_staircase(known, "x", one, Located([0], [0.0], [1e-9], True)) == staircase
    assert not on_a_staircase(known, "x", one, Located([0], [1e-3], [1e-9], True))
    assert not on_a_staircase(known, "x", one, Located([], [], [], True))


def overview(known):
    one = probe(known, 0.0, 1e-9)
    return Overview(one, one)


@pytest.mark.parametrize(
    ("f", "claim", "kinks"),
    [
        (kinked(1.0), 2.0, True),
        (kinked(1e-3), 2.0, True),
        (kinked(1e-5), 2.0, True),
        (kinked(1e-7), 2.0, False),
        (kinked(0.0), 2.01, False),
        (kinked(1.0, 1.1), 2.0, False),
        (lambda x: float(x[0] + (x[0] > 1)), 1.0, True),
        (lambda x: float(x[0] + 1e-14 * (x[0] > 1)), 1.01, False),
    ],
)
@pytest.mark.parametrize("length", [1.0, 0.25])
def test_a_kink_at_the_point_explains_a_refutation_where_it_is_large_enough(f, claim, kinks, length):
    known = prober(f, lambda _: np.array([claim]), np.array([1.0]))
    on = known.line({"x": np.array([length])})
    step = 2.0**-8
    residual = (on.sample(step).residual - on.sample(-step).residual) / (2 * step)
    one = Probe(on, residual, 1e-9, Estimate(on.product + residual, 1e-9, 1, 1e-15, step))
    assert is_kinked(known, "x", one) == kinks


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("factor", [1.9, 2.1])
def test_a_jump_explains_what_is_less_than_half_of_the_slope_that_it_has_at_tiny_steps(factor, sign):
    known = prober(lambda x: float(sign * (x[0] + (x[0] > 1))), lambda _: sign * np.ones(1), np.ones(1))
    on, noise = known.line({"x": np.ones(1)}), 1e-16
    grown = abs(across(on, TINY[-1])) - 2 * noise / TINY[-1]
    one = Probe(on, grown / factor, 1e-9, Estimate(1.0, 1e-9, 1, noise, 2.0**-8))
    assert is_kinked(known, "x", one) == (factor > 2)


def test_enough_is_what_is_fine_or_what_resolves_an_entry_when_the_budget_is_spent():
    known = prober()
    level = known.level("x", V)
    fine, coarse, blind = (probe(known, 0.0, bound) for bound in (level, 100 * level, 1.0))
    assert _is_enough(known, "x", fine)
    assert not _is_enough(known, "x", coarse)
    known.meter.spent = 1000
    assert _is_enough(known, "x", coarse)
    assert not _is_enough(known, "x", blind)


def test_findings_come_in_the_order_of_the_point_and_what_is_empty_is_right():
    at = {"b": np.array([1.0]), "none": np.zeros((0, 2)), "a": np.array([2.0])}
    claim = examine(
        Subject(
            lambda p: float(p["a"][0] ** 2 + p["b"][0]),
            lambda p: {**p, "a": 2 * p["a"], "b": np.ones(1)},
            point_of(at),
        ),
        0,
    )
    found, known, *_ = judge(claim, Asked(1e-6, 1e-3, 400, True, 0), complex_step=False)
    assert [(each.name, each.verdict) for each in found] == [(name, Verdict.CORRECT) for name in at]
    assert found[1].resolution == found[1].block_resolution == 0.0
    assert known.meter.spent <= 40
