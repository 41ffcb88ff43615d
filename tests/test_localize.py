"""Where a refuted claim is wrong: which entries are named, by how few probes, and what is said where the search ends."""

import numpy as np
import pytest

from gradcheck.oracles.line import Estimate
from gradcheck.verdict.bounds import Allowance
from gradcheck.verdict.findings import LISTED
from gradcheck.verdict.localize import Search, halves, localize

ROUNDING = 1e-6


def search(size, wrong, plain=None, shape=None):
    """A claim that is off at some entries by so much, against an oracle that is exact."""
    shape = (size,) if shape is None else shape
    truth = np.random.default_rng(size).standard_normal(shape)
    claim = truth.copy()
    for index, error in wrong.items():
        claim.flat[index] += error
    zero = np.zeros(shape)
    allowed = Allowance(np.full(shape, ROUNDING), zero, zero, zero)

    def slope(v, _claim):
        return Estimate(float(np.sum(truth * v)), 0.0, 1)

    return Search("x", claim, allowed, slope, 0, plain=plain), truth


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 64, 1000])
@pytest.mark.parametrize("error", [3.0, -1e-3])
def test_one_wrong_entry_is_named_wherever_it_is_by_few_probes(size, error):
    for index in {0, size // 2, size - 1}:
        looked, truth = search(size, {index: error})
        found = localize(looked)
        assert found.indices == [index]
        assert found.values == [pytest.approx(truth[index], abs=1e-9)]
        assert found.bounds == [pytest.approx(ROUNDING)]
        assert found.complete
        assert looked.spent <= (1 if size == 1 else 6)


def test_no_wrong_entry_is_none_after_one_look_at_all_of_them():
    looked, _ = search(64, {})
    found = localize(looked)
    assert (found.indices, found.complete, looked.spent) == ([], True, 1)


def test_a_residual_that_is_known_is_not_probed_for():
    looked, _ = search(64, {9: 1.0})
    known = search(64, {9: 1.0})[0].probe(looked.everything)
    assert localize(looked, plain=known).indices == [9]
    assert looked.spent == localize_spent(64, {9: 1.0}) - 1


def localize_spent(size, wrong):
    looked, _ = search(size, wrong)
    localize(looked)
    return looked.spent


@pytest.mark.parametrize("outlier", [0, 321, 999])
def test_the_entry_that_is_furthest_off_is_found_first_among_many(outlier):
    wrong = dict.fromkeys(range(1000), 1e-3) | {outlier: 49.0}
    looked, _ = search(1000, wrong)
    found = localize(looked, budget=40)
    assert found.indices[0] == outlier
    assert not found.complete


def test_a_search_that_takes_parts_in_their_order_misses_it(monkeypatch):
    """The twin."""
    monkeypatch.setattr(Search, "relative", lambda *_: 0.0)
    looked, _ = search(1000, dict.fromkeys(range(1000), 1e-3) | {999: 49.0})
    assert 999 not in localize(looked, budget=40).indices


@pytest.mark.parametrize(
    "wrong", [{0: 1.0, 63: 1.0}, {10: 1.0, 30: 1.0}, {5: 2.0, 6: -1.0, 40: 1e-3}, {0: 1.0, 1: 1.0, 2: 1.0}]
)
def test_several_wrong_entries_are_all_named_and_none_between_them(wrong):
    looked, truth = search(64, wrong)
    found = localize(looked)
    assert sorted(found.indices) == sorted(wrong)
    assert found.values == [pytest.approx(truth[index], abs=1e-9) for index in found.indices]
    assert found.complete


def test_two_that_look_like_one_between_them_are_told_by_the_probe_of_that_one():
    """Errors whose tilted residuals are those of the entry in the middle."""
    looked, _ = search(9, {})
    for middle_is_wrong in (False, True):
        wrong = {2: 1.0 / looked.plain[2], 6: 1.0 / looked.plain[6]}
        wrong |= {4: 1.0 / looked.plain[4]} if middle_is_wrong else {}
        assert sorted(localize(search(9, wrong)[0]).indices) == sorted(wrong)


def test_a_search_that_ends_early_says_so_and_names_as_many_as_are_listed():
    looked, _ = search(64, dict.fromkeys(range(20), 1.0))
    found = localize(looked)
    assert len(found.indices) == LISTED
    assert not found.complete
    exactly, _ = search(64, dict.fromkeys(range(0, 64, 8), 1.0))
    assert localize(exactly).complete == (exactly.spent < 256)
    short, _ = search(64, dict.fromkeys(range(0, 40, 10), 1.0))
    found = localize(short, budget=12)
    assert short.spent <= 12
    assert not found.complete


def test_parts_are_probed_along_the_direction_that_is_given():
    plain = np.array([[1e-3, -1.0, 50.0], [-2.0, 1e-3, 1.0]])
    for index in range(6):
        looked, truth = search(6, {index: 1.0}, plain, shape=(2, 3))
        assert np.array_equal(looked.plain, plain.ravel())
        found = localize(looked)
        assert found.indices == [index]
        assert found.values == [pytest.approx(truth.flat[index], rel=1e-6)]
        assert found.bounds == [pytest.approx(ROUNDING)]


@pytest.mark.parametrize(("start", "stop"), [(0, 2), (0, 3), (4, 9), (7, 8)])
def test_halves_share_a_part_between_them_the_first_with_one_more(start, stop):
    first, second = halves(slice(start, stop))
    assert (first.start, second.stop) == (start, stop)
    assert first.stop == second.start
    assert 0 <= (first.stop - first.start) - (second.stop - second.start) <= 1
