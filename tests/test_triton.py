"""Kernels in Triton against what they compute: a right one is correct, a planted mistake is wrong, and wrong where it is.

Where there is a device they are compiled and run on it, elsewhere they are interpreted.
"""

import os
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pytest

import gradcheck
from gradcheck import Verdict
from gradcheck.adapters.pytorch.interpreted import Launches

torch = pytest.importorskip("torch")
from interpreting import DEVICE, VARIABLE, interpreting, require_triton  # noqa: E402 after what it needs

with interpreting():
    require_triton()
    import triton_kernels as kernels

ROWS, COLUMNS = 6, 37  # of a program of four rows the second takes two, and a block of 64 columns is masked
TAIL = COLUMNS // kernels.VECTOR * kernels.VECTOR
FORMATS = ("float32", "float16")
DEVICES = [
    pytest.param("cpu", marks=pytest.mark.skipif(DEVICE != "cpu", reason="kernels are compiled: there is a CUDA device")),
    pytest.param("cuda", marks=[pytest.mark.device, pytest.mark.skipif(DEVICE == "cpu", reason="no CUDA device")]),
]


@pytest.fixture(autouse=True)
def interpreted():
    with interpreting():
        yield


class Subject(NamedTuple):
    """A kernel, what it computes, and the shapes of the tensors that it takes."""

    kernel: Callable
    reference: Callable
    shapes: tuple[tuple[int, ...], ...]


def targets(device):
    return torch.tensor([3, 36, kernels.IGNORED, 0, 17, 5], device=device)


def entropy(function, **options):
    return lambda x: function(x, targets(x.device), **options)


def softmax(x):
    return torch.softmax(x, 1)


def layer_norm(x, weight, bias):
    return torch.nn.functional.layer_norm(x, (COLUMNS,), weight, bias)


MATRIX, NORM = ((ROWS, COLUMNS),), ((ROWS, COLUMNS), (COLUMNS,), (COLUMNS,))
plain_entropy = torch.nn.functional.cross_entropy
SUBJECTS = {
    "softmax": Subject(kernels.softmax, softmax, MATRIX),
    "layer norm": Subject(kernels.layer_norm, layer_norm, NORM),
    **{
        f"cross entropy {reduction}": Subject(
            entropy(kernels.cross_entropy, reduction=reduction), entropy(plain_entropy, reduction=reduction), MATRIX
        )
        for reduction in ("none", "mean")
    },
}


class Mistake(NamedTuple):
    """What makes a kernel wrong; in which blocks, and in which entries of them, by index."""

    subject: str
    kernel: Callable
    blocks: set[str]
    where: Callable[..., bool] = lambda *index: True


def in_the_tail(row, column):
    return column >= TAIL


def after_the_first_row(row, column):
    return row > 0


MISTAKES = {
    "softmax without its mean": Mistake("softmax", partial(kernels.softmax, mistake="no mean"), {"args.0"}),
    "softmax without its tail": Mistake("softmax", partial(kernels.softmax, mistake="no tail"), {"args.0"}, in_the_tail),
    "layer norm without its variance": Mistake("layer norm", partial(kernels.layer_norm, mistake="no variance"), {"args.0"}),
    "layer norm without its last rows": Mistake(
        "layer norm", partial(kernels.layer_norm, mistake="no last rows"), {"args.1", "args.2"}
    ),
    "cross entropy with one cotangent": Mistake(
        "cross entropy none", entropy(kernels.cross_entropy, mistake="one cotangent"), {"args.0"}, after_the_first_row
    ),
    "cross entropy that counts what is ignored": Mistake(
        "cross entropy mean",
        entropy(kernels.cross_entropy, reduction="mean", mistake="ignored are counted"),
        {"output", "args.0"},
    ),
}


# In float16 another run in float32 decides, which takes twice as long: of one kernel it is looked at always.
PLANTED = [
    pytest.param(name, held, marks=[pytest.mark.slow] if held == "float16" and name != "softmax without its tail" else [])
    for name in MISTAKES
    for held in FORMATS
]


def given(shapes, held, device):
    """Leaves."""
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(shape, generator=generator).to(device, getattr(torch, held)) for shape in shapes]
    return [each.requires_grad_() for each in drawn]


def check(kernel, subject, held, device, *, contract=False):
    arguments = given(subject.shapes, held, device)
    return gradcheck.check_torch(kernel, *arguments, reference=subject.reference, contract=contract)


def beyond(report, block):
    """Indices of entries that are named as wrong."""
    found = {finding.name: finding for finding in report.findings}[block]
    return [entry.index for entry in found.entries]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("held", FORMATS)
@pytest.mark.parametrize("name", SUBJECTS)
def test_a_kernel_is_correct(name, held, device):
    report = check(SUBJECTS[name].kernel, SUBJECTS[name], held, device)
    assert report.verdict is Verdict.CORRECT, report


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", SUBJECTS)
def test_a_kernel_keeps_its_contract(name, device):
    report = check(SUBJECTS[name].kernel, SUBJECTS[name], "float32", device, contract=True)
    assert report.verdict is Verdict.CORRECT, report


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("name", "held"), PLANTED)
def test_a_mistake_is_wrong_where_it_is(name, held, device):
    mistake = MISTAKES[name]
    report = check(mistake.kernel, SUBJECTS[mistake.subject], held, device)
    assert report.verdict is Verdict.WRONG, report
    assert mistake.blocks == set(report.wrong)
    for block in mistake.blocks:
        entries = beyond(report, block)
        assert entries
        assert all(mistake.where(*index) for index in entries), report


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("mistake", "wrong"), [("", ()), ("stride", ("args.0", "args.1"))])
def test_a_stride_that_is_taken_for_granted_is_wrong_after_the_first_row(mistake, wrong, device):
    """Of rows of something wider."""
    _, weight, bias = given(NORM, "float32", device)
    (wide,) = given(((ROWS, COLUMNS + 7),), "float32", device)
    x = wide.detach()[:, :COLUMNS].requires_grad_()
    kernel = partial(kernels.layer_norm, mistake=mistake)
    report = gradcheck.check_torch(kernel, x, weight, bias, reference=layer_norm, contract=False)
    assert set(report.wrong) == set(wrong), report
    assert all(row > 0 for name in wrong[:1] for row, _ in beyond(report, name)), report


@pytest.mark.skipif(DEVICE != "cpu", reason="kernels are compiled: there is a CUDA device")
def test_that_a_kernel_is_interpreted_is_seen():
    launches = Launches()
    softmax(*given(MATRIX, "float32", "cpu"))
    assert not launches.any
    kernels.softmax(*given(MATRIX, "float32", "cpu"))
    assert launches.any


@pytest.mark.skipif(DEVICE != "cpu", reason="kernels are compiled: there is a CUDA device")
def test_that_a_backward_pass_is_interpreted_is_seen():
    (x,) = given(MATRIX, "float32", "cpu")
    y = kernels.softmax(x)
    launches = Launches()
    y.sum().backward()
    assert launches.any


def test_other_tests_do_not_interpret(monkeypatch):
    """What this module sets is gone when its tests are."""
    monkeypatch.delenv(VARIABLE, raising=False)
    with interpreting():
        assert (VARIABLE in os.environ) is (DEVICE == "cpu")
    assert VARIABLE not in os.environ
