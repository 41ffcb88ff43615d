"""The corpus of kernels is itself right: honest forms agree with the plain one, and faults do not."""

import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
HONEST = 1e-9  # of the RMS of a block, in float64
SEEN = 1e-6


@pytest.fixture(scope="module", autouse=True)
def corpus():
    """The corpus can be imported, and no other test finds it so."""
    sys.path.insert(0, str(ROOT))
    yield
    sys.path.remove(str(ROOT))
    for name in [each for each in sys.modules if each.split(".")[0] == "benchmarks"]:
        del sys.modules[name]


def operations():
    from benchmarks.kernels.catalogue import OPERATIONS

    return OPERATIONS.values()


def arguments(operation, dtype=torch.float64, shape="small"):
    from benchmarks.kernels.data import SIZES, Draw

    given = operation.arguments(Draw("gaussian", SIZES[shape], 1))
    return [x.detach().to(dtype).requires_grad_(x.requires_grad) if x.is_floating_point() else x for x in given]


def blocks(kernel, args):
    """Outputs, and gradients for one random cotangent."""
    outputs = kernel(*args)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    generator = torch.Generator().manual_seed(0)
    cotangents = [torch.randn(y.shape, generator=generator, dtype=torch.float64).to(y.dtype) for y in outputs]
    leaves = [x for x in args if x.requires_grad]
    found = torch.autograd.grad(outputs, leaves, cotangents, allow_unused=True)
    found = [torch.zeros_like(x) if g is None else g for x, g in zip(leaves, found, strict=True)]
    return [each.detach().double() for each in (*outputs, *found)]


def off(mine, theirs):
    """The largest error of any block in units of its RMS."""
    return max(float((a - b).abs().max() / (b.square().mean().sqrt() or 1.0)) for a, b in zip(mine, theirs, strict=True))


def test_there_are_enough_operations_honest_forms_and_faults():
    assert len(operations()) >= 36
    assert all(len(each.ways) >= 2 for each in operations())
    assert all(len(each.faults) >= 2 for each in operations())


def test_every_honest_form_is_the_plain_one_in_float64():
    for each in operations():
        args = arguments(each)
        right = blocks(each.reference, args)
        far = {way: error for way, kernel in each.ways.items() if not (error := off(blocks(kernel, args), right)) < HONEST}
        assert not far, (each.name, far)


def test_every_fault_is_one():
    for each in operations():
        args = arguments(each)
        right = blocks(each.reference, args)
        for name, fault in each.faults.items():
            if fault.dtype is None:
                error = off(blocks(fault.kernel, args), right)
                assert error > (1e-9 if fault.rounding else SEEN), (each.name, name, error)


def test_a_fault_of_one_dtype_is_right_in_the_others_and_wrong_in_its_own():
    for each in operations():
        for fault in each.faults.values():
            if fault.dtype is not None:
                for dtype, wrong in ((torch.float64, False), (fault.dtype, True)):
                    args = arguments(each, dtype, "odd")
                    assert (off(blocks(fault.kernel, args), blocks(each.reference, args)) > 0.1) == wrong


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_every_honest_form_can_do_each_operation_in_a_narrow_dtype(dtype):
    for each in operations():
        args = arguments(each, dtype)
        for kernel in (each.reference, *each.ways.values()):
            found = blocks(kernel, args)
            assert dtype == torch.float16 or all(block.isfinite().all() for block in found), each.name


def test_every_label_has_names_that_a_report_may_say():
    from benchmarks.kernels.catalogue import SAID

    assert {fault.cause for each in operations() for fault in each.faults.values()} <= {*SAID}


def test_lost_updates_are_others_at_each_call():
    from benchmarks.kernels.catalogue import OPERATIONS

    operation = OPERATIONS["sums by index"]
    args = arguments(operation, torch.float32, "odd")
    lost, atomics = operation.faults["updates lost"].kernel, operation.ways["atomics"]
    assert off(blocks(lost, args), blocks(lost, args)) > 0.1
    assert off(blocks(atomics, args), blocks(atomics, args)) < 1e-5


@pytest.mark.parametrize(
    ("way", "least", "most"),
    [("float32", 0, 1e-6), ("tf32-inside", 1e-5, 3e-3), ("bfloat16-products", 1e-4, 3e-2), ("bfloat16-sums", 1e-4, 1e-1)],
)
def test_an_arithmetic_rounds_as_much_as_it_says_forward_and_backward(way, least, most):
    from benchmarks.kernels.catalogue import OPERATIONS
    from benchmarks.kernels.ways import WAYS

    operation = OPERATIONS["linear"]
    args = arguments(operation, torch.float32, "odd")
    right = blocks(operation.reference, [x.detach().double().requires_grad_() for x in args])
    found = blocks(WAYS[way].wrapped(operation.ways["torch"]), args)
    for mine, exact in zip(found[:3], right[:3], strict=True):  # the bias has no product
        assert least < off([mine], [exact]) < most


def test_a_fused_kernel_is_rounded_once_and_an_eager_one_at_every_operation():
    from benchmarks.kernels.catalogue import OPERATIONS
    from benchmarks.kernels.ways import WAYS

    operation = OPERATIONS["layernorm"]
    args = arguments(operation, torch.bfloat16, "odd")
    right = blocks(operation.reference, [x.detach().double().requires_grad_() for x in args])
    fused = blocks(WAYS["bfloat16"].wrapped(operation.reference), args)
    eager = blocks(WAYS["bfloat16-eager"].wrapped(operation.reference), args)
    assert off(fused, right) < 0.03
    assert off(eager, right) > 2 * off(fused, right)


def test_one_entry_is_off_and_the_same_one_again():
    from benchmarks.kernels.ways import OneOff, planted

    x = torch.randn(5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    change = OneOff(1e-3, 7)
    kernel = planted(torch.tanh, 0, change)
    for point in (x, (1.01 * x).detach().requires_grad_()):
        (y, mine), (_, exact) = blocks(kernel, [point]), blocks(torch.tanh, [point])
        assert torch.equal(y, torch.tanh(point.detach()))
        (place,) = torch.nonzero((mine - exact).flatten()).flatten().tolist()
        assert place == change.place
        assert mine.flatten()[place] == pytest.approx(exact.flatten()[place] * 1.001)
        assert exact.flatten()[place].abs() > 0.29 * exact.square().mean().sqrt()
