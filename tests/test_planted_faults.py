"""Every planted fault is found, in the parameters that it spoils and in no others; the same case without it is correct."""

import faults
import numpy as np
import pytest

import gradcheck
from gradcheck import Arctan, Case, CrossEntropy, Dense, Given, Logistic, Network, ReLU, Tanh, Verdict

SQUARE = Case(Network((4,), (Dense(4), Tanh(), Dense(4), Tanh(), Dense(1)), Logistic()), data="random", samples=4, seed=3)
NAMES = ["0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"]
BELOW = frozenset(NAMES[:4])

FAULTS = {
    "missing 1/n": (faults.plant(faults.missing_mean), frozenset(NAMES)),
    "transposed square weight": (faults.plant(faults.transposed("2.weight")), {"2.weight"}),
    "bias summed over the wrong axis": (faults.Mutant(2, faults.bias_over_wrong_axis), {"2.bias"}),
    "activation derivative omitted": (faults.Mutant(3, faults.derivative_omitted), BELOW),
    "wrong sign in one layer": (faults.Mutant(4, faults.sign_flipped), BELOW),
    "last sample dropped": (faults.plant(faults.last_sample_dropped), frozenset(NAMES)),
    "float32 inside a float64 build": (faults.plant(faults.in_float32), frozenset(NAMES)),
    "a block of zeros": (faults.plant(faults.scaled("0.weight", 0.0)), {"0.weight"}),
    "a block off by 1e-11": (faults.plant(faults.scaled("2.weight", 1 + 1e-11)), {"2.weight"}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_fault_is_found_beside_two_correct_builds(name):
    backend, spoiled = FAULTS[name]
    report = gradcheck.verify(SQUARE, ["manual", backend, "torch"])
    assert report.verdict is Verdict.WRONG
    assert report.wrong == spoiled
    culprit = getattr(backend, "__name__", "mutant")
    assert {finding.backend for finding in report.findings if finding.verdict is Verdict.WRONG} == {culprit}
    assert all(any(note.startswith(f"{block}: {culprit} against") for note in report.notes) for block in spoiled)


@pytest.mark.parametrize("name", FAULTS)
def test_the_fault_is_found_without_any_witness(name):
    backend, spoiled = FAULTS[name]
    assert gradcheck.verify(SQUARE, [backend]).wrong == spoiled


def test_the_same_case_without_a_fault_is_correct():
    assert gradcheck.verify(SQUARE).verdict is Verdict.CORRECT


@pytest.mark.parametrize("scale", [1e-9, 1e-30])
def test_a_tiny_gradient_wrong_by_a_factor_of_two_is_found(scale):
    # The gradient of the first layer is proportional to the last weight.
    parameters = {**SQUARE.parameters}
    parameters["4.weight"] = parameters["4.weight"] * scale
    case = Case(SQUARE.network, data="random", samples=4, seed=3, init=Given.of(parameters))
    assert (
        np.abs(
            gradcheck.backend("manual").build(case.network).loss_and_gradients(case.parameters, case.batch)[1]["0.weight"]
        ).max()
        < scale
    )
    assert gradcheck.verify(case, [faults.plant(faults.scaled("0.weight", 2.0))]).wrong == {"0.weight"}
    assert gradcheck.verify(case).verdict is Verdict.CORRECT


LARGE = Case(
    Network((40,), (Dense(60), Tanh(), Dense(50), Arctan(), Dense(10)), CrossEntropy()), "random", samples=300, init="glorot"
)
DENSE_KINKS = Case(
    Network((40,), (Dense(60), ReLU(), Dense(50), ReLU(), Dense(10)), CrossEntropy()), "random", samples=300, init="he"
)


@pytest.mark.parametrize("case", [SQUARE, LARGE, DENSE_KINKS], ids=["small", "large", "dense kinks"])
@pytest.mark.parametrize("witnesses", [["manual", "torch"], ["autograd"], []], ids=["two", "one", "none"])
@pytest.mark.parametrize("block", ["0.weight", "2.weight", "4.bias"])
def test_one_entry_off_by_1e_10_is_found_and_its_index_named(case, witnesses, block):
    index = (2, 3) if block.endswith("weight") else (len(case.parameters[block]) - 1,)
    backend = faults.plant(faults.nudge(block, index, 1e-10))
    report = gradcheck.verify(case, [*witnesses, backend])
    assert report.wrong == {block}
    (finding,) = (finding for finding in report.findings if finding.verdict is Verdict.WRONG)
    assert finding.backend == "faulty"
    assert finding.worst_index == index
    assert finding.entries[0].index == index


def test_two_builds_with_the_same_mistake_do_not_outvote_a_correct_one():
    wrong = faults.plant(faults.nudge("0.weight", (1, 1), 1e-3))

    def also_wrong(*arguments):
        return wrong(*arguments)

    for case in (SQUARE, LARGE):
        report = gradcheck.verify(case, [wrong, also_wrong, "torch"])
        guilty = {finding.backend for finding in report.findings if finding.verdict is Verdict.WRONG}
        assert guilty == {"faulty", "also_wrong"}


def test_a_smaller_fault_than_the_resolution_is_the_smallest_that_may_pass():
    """The resolution is honest from both sides: faults above it are found, and it is small."""
    for case in (SQUARE, LARGE):
        clean = gradcheck.verify(case, ["manual"])
        for finding in clean.findings[1:]:
            assert finding.resolution < 1e-10
            block = case.parameters[finding.name]
            index = tuple(np.array(block.shape) - 1)
            claimed = (
                gradcheck.backend("manual")
                .build(case.network)
                .loss_and_gradients(case.parameters, case.batch)[1][finding.name]
            )
            size = max(abs(claimed[index]), np.sqrt(np.mean(claimed**2)))
            fault = faults.nudge(finding.name, index, 1.1 * finding.resolution * size / np.abs(claimed).max())
            assert gradcheck.verify(case, [faults.plant(fault)]).wrong == {finding.name}


def test_an_accuracy_makes_a_small_excess_inexact_and_leaves_a_large_one_wrong():
    small, large = (faults.plant(faults.scaled("0.weight", 1 + size)) for size in (1e-8, 1e-3))
    assert gradcheck.verify(SQUARE, [small]).verdict is Verdict.WRONG
    assert gradcheck.verify(SQUARE, [small], accuracy=1e-6).verdict is Verdict.INEXACT
    assert gradcheck.verify(SQUARE, [large], accuracy=1e-6).verdict is Verdict.WRONG
