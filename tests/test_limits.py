"""What is too large is refused in one line with its numbers, before anything is allocated."""

import time

import numpy as np
import pytest

import gradcheck
from gradcheck import (
    Attention,
    Case,
    Conv2d,
    CrossEntropy,
    Dense,
    DescriptionError,
    Embedding,
    Huber,
    Logistic,
    MaxPool2d,
    Network,
    Residual,
    Tanh,
)
from gradcheck.cases import sizes

SMALL = Network((2,), (Dense(3), Tanh(), Dense(1)), Logistic())
GIGABYTE = 10**9


def network(*layers, inputs=(2,), loss=None):
    return Network(inputs, layers, loss or Huber())


@pytest.fixture(autouse=True)
def _a_small_machine(monkeypatch):
    monkeypatch.setattr(sizes, "memory", lambda: GIGABYTE)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: Case(network(Dense(10**9), Dense(1))), "layers: 4,000,000,001 parameters need about 640.0 GB"),
        (lambda: Case(network(Dense(10**30), Dense(1))), "layers: more than 1e30 parameters"),
        (lambda: Case(network(Dense(10**400), Dense(1))), "layers: more than 1e400 parameters"),
        (lambda: Case(network(Dense(20_000), Dense(20_000), Dense(1))), "layers: 400,100,001 parameters"),
        (lambda: Case(network(Tanh(), inputs=(10**5, 10**5))), "samples: 16 samples of 20,000,000,000 numbers"),
        (lambda: Case(network(Tanh(), inputs=(2,) * 70)), "samples: 16 samples of more than 1e21 numbers"),
        (lambda: Case(network(Dense(10**5), loss=CrossEntropy())), "loss: 100,000 classes, squared"),
        (lambda: Case(SMALL, "two-moons", samples=10**7), "samples: 10,000,000 samples of 9 numbers"),
        (lambda: Case(SMALL, samples=10**12), "samples: 1,000,000,000,000 samples of 9 numbers"),
        (lambda: Case(SMALL, samples=10**400), "samples: more than 1e400 samples of 9 numbers"),
        (lambda: Case(network(*[Dense(1)] * 10**6)), "layers: 1,000,000 layers, at most 10,000 can be verified"),
        (lambda: Case(SMALL, scale=float("inf")), "scale: expected a finite number, got inf"),
        (lambda: Case(network(Embedding(7, 3), inputs=(10**9,))), "samples: 16 samples of 4,000,000,000 numbers"),
        (lambda: Case(network(Embedding(10**9, 64))), "layers: 64,000,000,000 parameters need about "),
        (lambda: Case(network(Attention(), inputs=(10**4, 4))), "samples: 16 samples of 200,240,000 numbers"),
        (lambda: Case(network(Residual((Attention(),)), inputs=(10**4, 4))), "samples: 16 samples of 200,280,000 numbers"),
        (lambda: Case(network(Conv2d(1, 100), inputs=(3, 200, 200))), "samples: 16 samples of 306,160,201 numbers"),
        (lambda: Case(network(MaxPool2d(100, 1), inputs=(3, 200, 200))), "samples: 16 samples of 306,180,603 numbers"),
    ],
)
def test_what_is_too_large_is_one_line_with_its_numbers(made, said):
    begun = time.process_time()
    with pytest.raises(DescriptionError) as refused:
        gradcheck.verify(made(), ["manual"])
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("part", ["parameters", "batch"])
def test_arrays_that_do_not_fit_are_not_drawn_either(part):
    case = Case(SMALL if part == "batch" else network(Dense(10**8)), samples=10**9)
    with pytest.raises(DescriptionError, match=r"need about .* GB in 3 arrays, this machine has 1\.0"):
        getattr(case, part)


def test_the_neighbours_are_verified(monkeypatch):
    """The twin: the same networks where they fit; and one that fits a machine of just its size, and no smaller one."""
    assert gradcheck.verify(Case(SMALL, samples=1000, seed=10**400), ["manual"])
    assert gradcheck.verify(Case(network(*[Tanh()] * 2000, Dense(1)), samples=2), ["manual"])
    need = sizes.BYTES * sizes.VERIFYING * 1000 * (2 + 3 + 3 + 1)
    monkeypatch.setattr(sizes, "memory", lambda: need)
    sizes.verification_fits(SMALL, 1000)
    with pytest.raises(DescriptionError):
        sizes.verification_fits(SMALL, 1001)
    monkeypatch.setattr(sizes, "memory", lambda: 0)  # a system that does not say is not asked
    sizes.verification_fits(SMALL, 10**30)


@pytest.mark.slow
def test_sums_of_many_terms_are_allowed_the_rounding_of_their_partial_sums(monkeypatch):
    """The twin: without that, honest builds were wrong from 60,000 samples on; and a fault is found there all the same."""
    case = Case(SMALL, "two-moons", samples=100_000)
    assert gradcheck.verify(case, ["manual", "torch"])

    def faulty(network, parameters, batch):
        loss, gradients = gradcheck.backend("manual").build(network).loss_and_gradients(parameters, batch)
        return loss, {**gradients, "0.weight": gradients["0.weight"] * (1 + 1e-9)}

    assert gradcheck.verify(case, [faulty]).wrong == {"0.weight"}
    monkeypatch.setattr("gradcheck.network.analysis.calculus.MANY", 10**9)
    assert gradcheck.verify(case, ["manual", "torch"]).wrong


def test_a_stack_that_is_exhausted_in_a_build_is_a_row_and_no_traceback():
    def endless(*given):
        return endless(*given)

    report = gradcheck.verify(Case(SMALL), ["manual", endless])
    assert report.wrong == {"loss"}
    assert "raised RecursionError" in str(report)
    assert not np.isnan(report.findings[0].error)
