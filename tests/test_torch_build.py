"""The PyTorch build as a best user writes it: no copies, no traces left, threads, devices, torch.compile."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import gradcheck
from gradcheck import Arctan, Case, Dense, Logistic, Network, ReLU, Verdict
from gradcheck.errors import BackendError, BackendNotInstalled

torch = pytest.importorskip("torch")
from gradcheck_backends import pytorch  # noqa: E402
from gradcheck_backends.pytorch import places  # noqa: E402

NETWORK = Network((3,), (Dense(4), Arctan(), Dense(2), ReLU(), Dense(1)), Logistic(), weight_decay=0.01)
CASE = Case(NETWORK, samples=7)
COMPILED = "gradcheck_backends.pytorch:compiled"


def test_arrays_that_must_not_be_written_are_taken_without_a_warning():
    parameters, batch = CASE.parameters, CASE.batch
    for array in (*parameters.values(), *batch):
        array.flags.writeable = False
    expected = pytorch.build(NETWORK).loss_and_gradients(CASE.parameters, CASE.batch)
    found = pytorch.build(NETWORK).loss_and_gradients(parameters, batch)
    assert found[0] == expected[0]
    assert all(np.array_equal(found[1][name], expected[1][name]) for name in parameters)


@pytest.mark.parametrize("arithmetic", [None, "float32", "bfloat16"])
def test_gradients_are_arrays_of_their_own(arithmetic):
    parameters, batch = CASE.parameters, CASE.batch
    _, found = pytorch.on(arithmetic=arithmetic).build(NETWORK).loss_and_gradients(parameters, batch)
    others = [*parameters.values(), *batch]
    for gradient in found.values():
        assert gradient.flags.writeable
        assert not any(np.shares_memory(gradient, other) for other in others)
        others.append(gradient)


def test_one_model_may_be_called_from_many_threads():
    model = pytorch.build(NETWORK)
    points = [{name: value + shift for name, value in CASE.parameters.items()} for shift in range(8)]
    expected = [model.loss_and_gradients(point, CASE.batch) for point in points]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda point: model.loss_and_gradients(point, CASE.batch), points * 20))
    for (loss, gradients), (right, exact) in zip(found, expected * 20, strict=True):
        assert loss == right
        assert all(np.array_equal(gradients[name], exact[name]) for name in exact)


def test_a_backend_says_what_it_is():
    assert gradcheck.backend("torch").__name__ == "gradcheck_backends.pytorch"
    assert pytorch.on(device="cpu").__name__ == "torch"
    assert pytorch.on(arithmetic="bfloat16").on(device="cpu").__name__ == "torch-bfloat16"
    assert pytorch.compiled.on(arithmetic="float32").__name__ == "torch-compile-float32"


@pytest.mark.parametrize("device", ["meta", "nonsense", "cuda:63", ""])
def test_a_device_that_torch_does_not_see_is_one_line_that_says_what_it_sees(device):
    if not device:
        assert pytorch.on(device=device).place == places.HOST
        return
    with pytest.raises(BackendError, match=rf"^torch sees no device '{device}'; it sees cpu(, cuda:\d)*$"):
        pytorch.on(device=device)


def test_an_arithmetic_that_a_device_does_not_have_is_refused():
    with pytest.raises(BackendError, match=r"^tf32 is an arithmetic of CUDA devices: on 'cpu' torch computes in float32$"):
        pytorch.on(arithmetic="tf32")
    with pytest.raises(BackendError, match=r"^torch computes in float64, .* not in 'float16'$"):
        pytorch.on(arithmetic="float16")


def setting():
    return getattr(places.MATMUL, places.SETTING)


def interrupted(*, tf32):
    with places.products(tf32=tf32):
        raise ZeroDivisionError(setting())


@pytest.mark.parametrize("tf32", [True, False])
@pytest.mark.parametrize("before", [True, False])
def test_the_products_of_float32_are_left_as_they_were_also_after_an_exception(before, tf32):
    untouched = setting()
    with places.products(tf32=before):
        outside = setting()
        with pytest.raises(ZeroDivisionError, match=str(places.ON if tf32 else places.OFF)):
            interrupted(tf32=tf32)
        assert setting() == outside == (places.ON if before else places.OFF)
    assert setting() == untouched


def test_the_setting_is_in_force_during_a_call_and_not_after(monkeypatch):
    """As for CUDA, whose products the CPU's stand for: which place there is, is planted."""
    seen = []
    monkeypatch.setattr(places.Place, "arithmetic_in_force", lambda self: places.products(tf32=self.arithmetic == "tf32"))
    model = pytorch.model.TorchModel(NETWORK, places.Place("cpu", "tf32"))
    eager = model._loss
    model._loss = lambda *args: seen.append(setting()) or eager(*args)
    before = setting()
    model.loss(CASE.parameters, CASE.batch)
    _, found = model.loss_and_gradients(CASE.parameters, CASE.batch)
    model._loss = lambda *args: 1 / 0
    with pytest.raises(ZeroDivisionError):
        model.loss_and_gradients(CASE.parameters, CASE.batch)
    assert seen == [places.ON, places.ON]
    assert setting() == before
    assert {gradient.dtype for gradient in found.values()} == {np.dtype("float64")}


def test_without_a_compiler_torch_compile_is_one_line(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(
        BackendNotInstalled, match=r"^torch\.compile needs a C\+\+ compiler, and 'no-such-compiler' .* is not"
    ):
        gradcheck.backend(COMPILED).build(NETWORK)


@pytest.mark.slow  # 10 s of compiling
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's own, of torch's own
def test_the_compiled_build_is_correct_and_is_compiled():
    dynamo = pytest.importorskip("torch._dynamo")
    report = gradcheck.verify(CASE, ["torch", COMPILED])
    assert report.verdict is Verdict.CORRECT, report
    assert {finding.backend for finding in report.findings} == {"torch", "compiled"}
    assert "compile_inner" in dynamo.utils.compile_times("str")
