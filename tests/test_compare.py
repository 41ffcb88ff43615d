"""One block: claimed against reference, in numbers that can be worked out by hand."""

import numpy as np
import pytest

from gradcheck import Verdict
from gradcheck.verdict.bounds import Allowance, Limits, Settlement
from gradcheck.verdict.entrywise import block_resolution, compare, entry_scales
from gradcheck.verdict.findings import LISTED
from gradcheck.verdict.heat import cells, heat

TINY = 1e-300


def judged(
    claimed,
    reference,
    rounding=0.5,
    *,
    exact=0.0,
    down=0.0,
    up=0.0,
    unseen=0.0,
    accuracy=0.0,
    resolution=100.0,
    trusted=np.inf,
    whole=None,
):
    """Finding on a claim, numbers standing for whole blocks."""
    claimed, reference = np.asarray(claimed, float), np.asarray(reference, float)
    shape = reference.shape
    settled = Settlement(reference, np.broadcast_to(np.asarray(unseen, float), shape))
    low, high = reference - np.asarray(down), reference + np.asarray(up)
    allowed = Allowance(
        np.broadcast_to(np.asarray(rounding, float), shape), np.broadcast_to(np.asarray(exact, float), shape), low, high
    )
    limits = Limits(accuracy, resolution, TINY, trusted)
    return compare("x", "mine", claimed, settled, allowed, limits, lambda: whole and np.full(shape, whole))


@pytest.mark.parametrize("sign", [1, -1])
def test_an_error_up_to_its_bound_is_correct_and_beyond_it_wrong(sign):
    reference = np.array([3.0, -4.0])
    for error, verdict in ((0.5, Verdict.CORRECT), (0.5625, Verdict.WRONG)):
        finding = judged(reference + sign * np.array([error, 0.0]), reference)
        assert finding.verdict is verdict
        assert finding.worst_index == (0,)
        claimed = reference + sign * np.array([error, 0.0])
        scale = max(abs(claimed[0]), np.sqrt(np.mean(claimed**2)))
        assert finding.error == pytest.approx(error / scale)
        assert finding.bound == pytest.approx(0.5 / scale)
        assert (finding.entries != ()) == (verdict is Verdict.WRONG)
        assert bool(finding.heat) == (verdict is Verdict.WRONG)


def test_an_excess_within_the_accuracy_asked_for_is_inexact_and_the_least_beyond_it_wrong():
    reference = np.array([8.0, 8.0])
    relative = 1.0 / 9.0  # of a claim of 9, which is above the block's root mean square
    for accuracy, verdict in ((relative, Verdict.INEXACT), (0.99 * relative, Verdict.WRONG)):
        assert judged([9.0, 8.0], reference, accuracy=accuracy).verdict is verdict


def test_the_worst_entry_is_the_one_with_the_most_bounds_and_entries_are_listed_in_that_order():
    reference, rounding = np.zeros((2, 6)) + 10.0, np.full((2, 6), 1.0)
    rounding[1, 3] = 0.1
    claimed = reference.copy()
    claimed[0, 2] += 5.0
    claimed[1, 3] -= 2.0
    claimed[1, 5] += 0.9
    finding = judged(claimed, reference, rounding)
    assert finding.worst_index == (1, 3)
    assert [(entry.index, entry.claimed, entry.reference, entry.bound) for entry in finding.entries] == [
        ((1, 3), 8.0, 10.0, 0.1),
        ((0, 2), 15.0, 10.0, 1.0),
    ]
    assert "2 of 12 entries" in finding.reason
    assert len(judged(reference + 2, reference).entries) == LISTED


def test_where_nothing_may_be_off_any_error_is_infinitely_far():
    finding = judged([1.0, 2.0], [1.0, 2.5], rounding=0.0)
    assert finding.verdict is Verdict.WRONG
    assert (finding.worst_index, finding.ratio, finding.bound) == ((1,), np.inf, 0.0)
    assert judged([1.0, 2.0], [1.0, 2.0], rounding=0.0).verdict is Verdict.CORRECT


def test_the_resolution_is_the_least_error_that_would_be_flagged_in_every_entry():
    """Beyond the bound whatever way it goes: an error that is there already may hide as much again."""
    reference = np.array([4.0, 4.0, 4.0])
    scale = max(4.25, 4.0)
    assert judged([4.25, 4.0, 4.0], reference).resolution == pytest.approx((0.5 + 0.25) / scale)
    assert judged(reference, reference, [0.5, 0.25, 0.5]).resolution == pytest.approx(0.5 / 4)
    assert judged(reference, reference, exact=[0.0, 0.25, 0.0]).resolution == pytest.approx(0.75 / 4)
    assert judged(reference, reference, unseen=[0.0, 2.0, 0.0]).resolution == pytest.approx(2.0 / 4)
    assert judged(reference, reference, [0.5, 0.25, 0.5]).block_resolution == pytest.approx(0.25 / 4)


@pytest.mark.parametrize(("asked", "verdict"), [(0.125, Verdict.CORRECT), (0.12, Verdict.UNRESOLVED)])
def test_what_could_not_have_seen_enough_is_not_correct_unless_both_are_zero(asked, verdict):
    assert judged([4.0, 4.0], [4.0, 4.0], resolution=asked).verdict is verdict
    assert judged([0.0, 0.0], [0.0, 0.0], resolution=asked).verdict is Verdict.CORRECT
    assert judged([0.0, TINY / 2], [0.0, 0.0], resolution=asked).verdict is Verdict.CORRECT
    assert judged([0.0, 0.25], [0.0, 0.0], resolution=asked).verdict is Verdict.UNRESOLVED
    assert judged([0.0, 0.0], [0.0, 0.25], resolution=asked).verdict is Verdict.UNRESOLVED


def test_a_bound_that_is_not_finite_decides_nothing():
    finding = judged([1.0, 9.0], [1.0, 2.0], [0.1, np.inf])
    assert finding.verdict is Verdict.UNRESOLVED
    assert "overflow" in finding.reason


def test_at_a_kink_a_claim_may_lie_on_either_side_as_far_as_that_goes_and_no_further():
    at = {"rounding": 0.5, "down": 2.0, "up": 1.0}
    for claimed, verdict in (
        (10.0, Verdict.CORRECT),
        (10.5, Verdict.CORRECT),
        (10.75, Verdict.NONSMOOTH),
        (11.5, Verdict.NONSMOOTH),
        (11.75, Verdict.WRONG),
        (7.5, Verdict.NONSMOOTH),
        (7.25, Verdict.WRONG),
    ):
        finding = judged([claimed, 5.0], [10.0, 5.0], down=[2.0, 0.0], up=[1.0, 0.0])
        assert finding.verdict is verdict, claimed
    assert judged([10.0], [10.0], **at, exact=3.0).verdict is Verdict.NONSMOOTH
    assert judged([10.0], [10.0], **at, exact=0.5).verdict is Verdict.CORRECT


def zero(claimed, reference=(0.0, 1e-17), rounding=1e-15, whole=1.0, **options):
    return judged(claimed, reference, rounding, whole=whole, resolution=1e-6, **options)


def test_what_is_zero_to_rounding_is_correct_beside_the_whole_gradient():
    finding = zero([2e-17, -1e-17])
    assert finding.verdict is Verdict.CORRECT
    seen = np.hypot(1e-15 + 2e-17, 1e-15 + 2e-17)  # however an error spreads over the two
    assert finding.resolution == finding.block_resolution == pytest.approx(seen)
    assert finding.reason == "zero to rounding: an error of 2e-15 of the whole gradient would have been seen"
    assert (finding.error, finding.bound) == pytest.approx((2e-17, 1e-15))
    assert zero([2e-17, -1e-17], whole=8.0).resolution == pytest.approx(seen / 8)
    assert zero([2e-17, -1e-17], whole=None).verdict is Verdict.UNRESOLVED


def test_what_is_said_to_be_seen_of_a_zero_is_seen_however_it_spreads():
    resolution = zero([0.0, 0.0]).resolution
    for direction in ([1.0, 0.0], [0.0, -1.0], [0.6, 0.8], [-(0.5**0.5), 0.5**0.5]):
        assert zero(1.01 * resolution * np.array(direction)).verdict is Verdict.WRONG
    # Not the least that is: alone in one entry less would do.
    assert zero([0.6 * resolution, 0.0]).verdict is Verdict.CORRECT


@pytest.mark.parametrize("exact", [True, False])
def test_a_zero_is_no_licence(exact):
    claimed, reference = ([0.0, 0.0], [0.0, 0.0]) if exact else ([2e-17, -1e-17], [0.0, 1e-17])
    for rounding, verdict in ((1e-15, Verdict.CORRECT), (7e-7, Verdict.CORRECT), (8e-7, Verdict.UNRESOLVED)):
        assert zero(claimed, reference, rounding).verdict is verdict
    assert zero(claimed, reference, unseen=[0.0, 1e-5]).verdict is Verdict.UNRESOLVED
    assert zero([0.1, 0.0], reference).verdict is Verdict.WRONG
    assert zero(claimed, [0.0, 0.1]).verdict is Verdict.WRONG
    assert zero(claimed, reference, down=1e-3, exact=1e-3).verdict is Verdict.NONSMOOTH


def test_a_small_block_that_rounding_tells_from_zero_is_judged_by_itself():
    assert zero([1e-9, 1e-9], [1e-9, 1e-9]).verdict is Verdict.CORRECT
    coarse = zero([1e-9, 1e-9], [1e-9, 1e-9], 1e-10)
    assert coarse.verdict is Verdict.UNRESOLVED
    assert coarse.resolution == pytest.approx(0.1)


def test_of_nothing_at_all_an_exact_zero_is_correct_without_a_word():
    finding = zero([0.0, 0.0], [0.0, 0.0], 0.0)
    assert (finding.verdict, finding.resolution, finding.reason) == (Verdict.CORRECT, 0.0, "")


@pytest.mark.parametrize(
    ("rounding", "trusted", "verdict"),
    [
        (0.1, 0.01, Verdict.WRONG),
        (0.11, 0.01, Verdict.UNRESOLVED),
        (0.11, 0.02, Verdict.WRONG),
        (0.11, np.inf, Verdict.WRONG),
    ],
)
def test_an_excess_over_a_bound_that_is_too_coarse_accuses_nobody(rounding, trusted, verdict):
    finding = judged([9.0, 10.0], [10.0, 10.0], rounding, trusted=trusted)
    assert finding.verdict is verdict
    assert [entry.index for entry in finding.entries] == [(0,)]
    if verdict is Verdict.UNRESOLVED:
        sentence = "beyond a bound that is 1.1 % of the entry: rounding cannot be predicted so coarsely here"
        assert finding.reason == sentence
        assert not finding.heat


def test_one_entry_beyond_a_bound_that_can_be_trusted_is_enough_and_one_within_the_accuracy_is_none():
    reference, rounding = np.full(3, 10.0), np.array([0.5, 0.01, 0.5])
    assert judged([9.0, 10.0, 10.0], reference, rounding, trusted=0.01).verdict is Verdict.UNRESOLVED
    assert judged([9.0, 9.9, 10.0], reference, rounding, trusted=0.01).verdict is Verdict.WRONG
    found = judged([9.0, 9.9, 10.0], reference, rounding, trusted=0.01, accuracy=0.05)
    assert found.verdict is Verdict.UNRESOLVED
    assert judged([9.0, 9.9, 10.0], reference, rounding, trusted=0.01, accuracy=0.2).verdict is Verdict.INEXACT


def test_a_bound_is_held_against_the_larger_of_an_entry_and_either_block():
    at = {"rounding": 0.05, "trusted": 0.01}
    assert judged([0.0, 0.0], [0.1, 0.0], **at).verdict is Verdict.UNRESOLVED
    assert judged([8.0, 0.0], [8.0, 0.1], **at).verdict is Verdict.WRONG  # RMS of the block: 5.7
    assert judged([0.1, 0.0], [10.0, 0.0], **at).verdict is Verdict.WRONG
    assert judged([0.0, 0.0], [0.1, 8.0], [0.05, 9.0], trusted=0.01).verdict is Verdict.WRONG
    assert judged([0.1, 8.0], [0.0, 0.0], [0.05, 9.0], trusted=0.01).verdict is Verdict.WRONG


def test_what_is_allowed_along_a_direction_adds_up_in_squares_and_kinks_in_full():
    low, high = np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.5, 7.0])
    allowed = Allowance(np.array([3.0, 4.0, 12.0]), np.zeros(3), low, high)
    assert allowed.along(np.array([1.0, -1.0, 1.0])) == pytest.approx(13.0 + 4.5)
    assert allowed.along(np.array([2.0, 0.0, 0.0])) == pytest.approx(6.0)
    assert allowed.along(np.array([0.0, -2.0, 0.0])) == pytest.approx(8.0 + 1.0)
    unbounded = allowed._replace(high=np.array([1.0, 2.5, np.nan]))
    assert unbounded.along(np.array([0.0, -2.0, 0.0])) == pytest.approx(8.0 + 1.0)
    assert unbounded.along(np.ones(3)) == np.inf
    smooth = allowed._replace(low=high, high=high)
    assert not smooth.kinks.any()
    lost = np.array([1.0, np.nan, 1.0])
    assert np.isinf(allowed._replace(low=lost, high=lost).kinks[1])


def test_entries_are_measured_by_the_claim_else_by_the_reference_else_by_nothing():
    three, four = np.array([3.0, 0.0]), np.array([0.0, 4.0])
    np.testing.assert_allclose(entry_scales(three, four, TINY), [3.0, np.sqrt(4.5)])
    np.testing.assert_allclose(entry_scales(0 * three, four, TINY), [np.sqrt(8.0), 4.0])
    np.testing.assert_allclose(entry_scales(0 * three, 0 * four, TINY), [1.0, 1.0])
    np.testing.assert_allclose(entry_scales(np.array([np.inf, 1.0]), four, TINY), [np.sqrt(8.0), 4.0])
    np.testing.assert_allclose(entry_scales(np.full(2, TINY), four, TINY), [TINY, TINY])


def test_a_change_of_a_whole_block_shows_in_its_best_known_entry():
    visible = np.array([0.5, 0.1, 0.3])
    assert block_resolution(np.array([2.0, 0.0, -3.0]), np.ones(3), visible) == pytest.approx(0.1)
    assert block_resolution(np.zeros(3), np.array([2.0, 0.0, -1.0]), visible) == pytest.approx(0.25)
    assert block_resolution(np.zeros(3), np.zeros(3), visible) == 0.1


def test_heat_is_the_worst_of_each_cell_in_the_shape_of_the_block():
    ratio = np.zeros((20, 3, 20))
    ratio[0, 0, 0], ratio[19, 2, 19], ratio[10, 1, 0] = 5.0, 7.0, 3.0
    grid = np.array(heat(ratio))
    assert grid.shape == (8, 16)
    assert (grid[0, 0], grid[7, 15], grid.max(), np.count_nonzero(grid)) == (5.0, 7.0, 7.0, 3)
    assert np.array(heat(np.arange(40.0))).shape == (1, 16)
    assert heat(np.arange(2.0)) == ((0.0, 1.0),)
    assert heat(np.ones(1)) == heat(np.ones(())) == ()


@pytest.mark.parametrize("shape", [(5,), (3, 2), (20, 3, 20), (1, 40)])
def test_cells_share_every_entry_once_and_are_those_of_the_heat(shape):
    rows = [*cells(shape)]
    assert (sum(mask.astype(int) for row in rows for mask in row) == 1).all()
    ratio = np.arange(1.0, np.prod(shape) + 1).reshape(shape)
    assert heat(ratio) == tuple(tuple(float(ratio[mask].max()) for mask in row) for row in rows)
