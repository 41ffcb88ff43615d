"""The manual build keeps the arrays that it computes in: nobody outside may notice, but for the time."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from gradcheck_backends.manual import buffers

import gradcheck
from gradcheck import Case, Dense, Network
from gradcheck.network.batch import Batch
from gradcheck.strategies import ACTIVATIONS

SMALL = Case(Network((3,), (Dense(5), gradcheck.Tanh(), Dense(2)), gradcheck.MSE(), weight_decay=0.1), samples=6)
LARGE = Case(Network((100,), (Dense(300), gradcheck.Arctan(), Dense(300), Dense(1)), gradcheck.Logistic()), samples=40)


def model_of(case):
    return gradcheck.backend("manual").build(case.network)


def other(case):
    """Other parameters of the same network."""
    return {name: 2 * value + 0.1 for name, value in case.parameters.items()}


def copied(gradients):
    return {name: value.copy() for name, value in gradients.items()}


def same(first, second) -> bool:
    return all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("case", [SMALL, LARGE], ids=["small", "large"])
def test_gradients_that_somebody_holds_are_not_overwritten(case):
    model = model_of(case)
    held = [model.loss_and_gradients(p, case.batch)[1] for p in (case.parameters, other(case), case.parameters)]
    before = [copied(gradients) for gradients in held]
    rows = [gradients["0.weight"][1:3] for gradients in held]  # a view holds the whole array
    kept = [row.copy() for row in rows]
    for _ in range(4):
        model.loss_and_gradients(other(case), case.batch)
    assert all(map(same, held, before))
    assert same(before[0], before[2])
    assert not same(before[0], before[1])
    del held
    for _ in range(4):
        model.loss_and_gradients(other(case), case.batch)
    assert all(map(np.array_equal, rows, kept))


def test_without_the_look_at_who_holds_them_they_would_be(monkeypatch):
    """The twin: the look is what keeps them."""
    monkeypatch.setattr(buffers, "_held", lambda _: False)
    model = model_of(LARGE)
    held = model.loss_and_gradients(LARGE.parameters, LARGE.batch)[1]
    before = copied(held)
    model.loss_and_gradients(other(LARGE), LARGE.batch)
    assert not same(held, before)


@pytest.mark.parametrize("case", [SMALL, LARGE], ids=["small", "large"])
def test_the_caller_may_ask_for_the_same_arrays_again(case):
    model = model_of(case)
    _, first = model.loss_and_gradients(case.parameters, case.batch, reuse=True)
    before = copied(first)
    _, second = model.loss_and_gradients(other(case), case.batch, reuse=True)
    assert all(first[name] is second[name] for name in first)
    assert not same(first, before)
    assert same(second, model_of(case).loss_and_gradients(other(case), case.batch)[1])


def test_what_was_lent_before_is_no_arrays_of_a_call_that_reuses_its_own():
    model = model_of(LARGE)
    held = model.loss_and_gradients(LARGE.parameters, LARGE.batch)[1]
    before = copied(held)
    model.loss_and_gradients(other(LARGE), LARGE.batch, reuse=True)
    assert same(held, before)


def test_memory_that_nobody_holds_is_used_again():
    model = model_of(LARGE)
    addresses = set()
    for _ in range(10):
        _, gradients = model.loss_and_gradients(LARGE.parameters, LARGE.batch)
        addresses.add(gradients["0.weight"].ctypes.data)
    assert len(addresses) == 2  # the last call's are held while the next one runs


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=repr)
def test_a_model_gives_what_a_fresh_one_gives_whatever_it_was_asked_before(layer):
    """Batches of several sizes in both dtypes, the activation first, twice and last."""
    case = Case(Network((4,), (layer, Dense(4), layer, layer, Dense(4), layer), gradcheck.Huber()), samples=9)
    model, rng = model_of(case), np.random.default_rng(0)
    for samples in (9, 2, 9, 1, 5, 7, 3, 2):
        for dtype in ("float64", "float32"):
            batch = Batch(rng.standard_normal((samples, 4)), rng.standard_normal((samples, 4))).astype(dtype)
            parameters = {name: rng.standard_normal(value.shape).astype(dtype) for name, value in case.parameters.items()}
            inputs = batch.inputs.copy()
            loss, gradients = model.loss_and_gradients(parameters, batch)
            right = model_of(case).loss_and_gradients(parameters, batch)
            assert loss == right[0] == model.loss(parameters, batch)
            assert same(gradients, right[1])
            assert {value.dtype for value in gradients.values()} == {np.dtype(dtype)}
            assert np.array_equal(batch.inputs, inputs)


def test_threads_may_share_a_model():
    model, points = model_of(LARGE), [LARGE.parameters, other(LARGE)]
    right = [model.loss_and_gradients(point, LARGE.batch)[1] for point in points]
    right = [copied(gradients) for gradients in right]

    def ask(index):
        return all(same(model.loss_and_gradients(points[index], LARGE.batch)[1], right[index]) for _ in range(20))

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(ask, [0, 1] * 4))


def test_few_batch_sizes_are_kept():
    model = model_of(SMALL)
    for samples in range(1, 20):
        model.loss(
            SMALL.parameters, Batch(SMALL.batch.inputs[:1].repeat(samples, 0), SMALL.batch.targets[:1].repeat(samples, 0))
        )
    assert len(model._idle) <= 4


def test_read_only_and_strided_arrays_are_taken_as_they_are():
    model = model_of(SMALL)
    right = model.loss_and_gradients(SMALL.parameters, SMALL.batch)[1]
    wide = np.zeros((6, 6))
    wide[:, ::2] = SMALL.batch.inputs
    fixed = {name: np.asfortranarray(value) for name, value in SMALL.parameters.items()}
    for value in (wide, *fixed.values()):
        value.setflags(write=False)
    found = model.loss_and_gradients(fixed, Batch(wide[:, ::2], SMALL.batch.targets))[1]
    assert all(np.allclose(found[name], right[name], rtol=1e-14, atol=1e-16) for name in right)
