"""Complex arguments and parameters of `check_torch`: blocks of pairs, by PyTorch's convention; each with its twin."""

import numpy as np
import pytest

import gradcheck
from gradcheck import Verdict, check_torch

torch = pytest.importorskip("torch")
nn = torch.nn


def z(*shape, dtype=torch.complex128, seed=0):
    draws = np.random.default_rng([seed, *shape])
    values = draws.standard_normal(shape) + 1j * draws.standard_normal(shape)
    return torch.tensor(values, dtype=dtype).requires_grad_()


def x(*shape):
    return torch.tensor(np.random.default_rng([1, *shape]).standard_normal(shape)).requires_grad_()


class Product(torch.autograd.Function):
    """Of complex numbers; wrong: its backward function forgets to conjugate."""

    @staticmethod
    def forward(ctx, a, b, wrong):
        ctx.save_for_backward(a, b)
        ctx.wrong = wrong
        return a * b

    @staticmethod
    def backward(ctx, c):
        a, b = ctx.saved_tensors
        return (c * b, c * a, None) if ctx.wrong else (c * b.conj(), c * a.conj(), None)


class Power(torch.autograd.Function):
    """|a|^2; wrong: the other convention."""

    @staticmethod
    def forward(ctx, a, wrong):
        ctx.save_for_backward(a)
        ctx.wrong = wrong
        return (a * a.conj()).real

    @staticmethod
    def backward(ctx, c):
        (a,) = ctx.saved_tensors
        return 2 * c * (a.conj() if ctx.wrong else a), None


class Half(Power):
    """Wrong: the Wirtinger derivative, which is half of it."""

    @staticmethod
    def backward(ctx, c):
        (a,) = ctx.saved_tensors
        return (1 if ctx.wrong else 2) * c * a, None


class Scaled(torch.autograd.Function):
    """Complex numbers times real ones; wrong: the real ones' gradient is that of another sum."""

    @staticmethod
    def forward(ctx, r, a, wrong):
        ctx.save_for_backward(r, a)
        ctx.wrong = wrong
        return r * a

    @staticmethod
    def backward(ctx, c):
        r, a = ctx.saved_tensors
        return (c * a if ctx.wrong else c * a.conj()).real, c * r, None


class Layer(nn.Module):
    def __init__(self, wrong, dtype=torch.complex64):
        super().__init__()
        self.weight, self.bias = nn.Parameter(z(3, 2, dtype=dtype).detach()), nn.Parameter(torch.ones(2))
        self.register_buffer("phase", z(2, dtype=dtype).detach())
        self.wrong = wrong

    def forward(self, u):
        h = u.to(self.weight.dtype) @ self.weight * self.phase
        return Power.apply(h, self.wrong) + self.bias


CASES = {
    "a product": (lambda a, b, wrong: Product.apply(a, b, wrong), [z(5), z(5, seed=1)]),
    "of complex64": (lambda a, b, wrong: Product.apply(a, b, wrong), [z(5, dtype=torch.complex64)] * 1 + [z(5)]),
    "a number": (lambda a, wrong: Product.apply(a, a, wrong), [z()]),
    "in other strides": (lambda a, wrong: Product.apply(a, a, wrong), [z(3, 4).detach().t().requires_grad_()]),
    "a conjugate view": (lambda a, wrong: Product.apply(a.conj(), a, wrong).real, [z(4)]),
    "a real loss": (lambda a, wrong: Power.apply(a, wrong).sum(), [z(3, 2)]),
    "a Wirtinger derivative": (lambda a, wrong: Half.apply(a, wrong), [z(3, 2)]),
    "beside real ones": (lambda r, a, wrong: Scaled.apply(r, a, wrong), [x(4), z(4)]),
    "of linear algebra": (lambda a, wrong: torch.linalg.solve(a.detach() if wrong else a, a @ a), [z(3, 3)]),
    "real outside": (lambda r, wrong: Power.apply(torch.fft.fft(r), wrong).sum(), [x(6)]),
}


@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_complex_arguments_are_judged_by_pytorchs_convention(case, wrong):
    f, arguments = CASES[case]
    report = check_torch(lambda *given: f(*given, wrong), *arguments, diagnose=False)
    assert report.verdict is (Verdict.WRONG if wrong else Verdict.CORRECT), str(report)


@pytest.mark.parametrize(
    ("f", "count", "cause"),
    [
        (lambda a, b: Product.apply(a, b, True), 2, "conjugated"),
        (lambda a: Power.apply(a, True), 1, "conjugated"),
        (lambda a: Half.apply(a, True), 1, "factor"),
    ],
)
def test_what_forgets_to_conjugate_has_the_cause_conjugated_and_half_of_it_a_factor(f, count, cause):
    report = check_torch(f, *(z(5, seed=i) for i in range(count)))
    first = {diagnosis.name: str(diagnosis.cause) for diagnosis in reversed(report.diagnoses)}
    assert first == {f"args.{i}": cause for i in range(count)}


def test_a_product_that_is_wrong_otherwise_is_not_called_conjugated():
    class Other(Product):
        @staticmethod
        def backward(ctx, c):
            a, b = ctx.saved_tensors
            return 1j * c * b, c * a.conj(), None

    report = check_torch(lambda a, b: Other.apply(a, b, False), z(5), z(5, seed=1))
    assert report.wrong == {"args.0"}
    assert "conjugated" not in {diagnosis.cause for diagnosis in report.diagnoses}


@pytest.mark.parametrize("wrong", [False, True])
def test_a_module_of_complex64_is_judged_in_complex128_and_its_entries_have_parts(wrong):
    module, u = Layer(wrong), torch.linspace(-1, 1, 12).reshape(4, 3)
    before = [tensor.detach().clone() for tensor in module.state_dict().values()]
    report = check_torch(lambda: module(u).pow(2).mean(), module=module)
    assert report.wrong == ({"weight"} if wrong else set())
    assert "judged in float64, which the function follows" in report.notes
    shapes = {finding.name: finding.shape for finding in report.findings}
    assert shapes["bias"] == (2,)
    assert shapes["weight"] == (3, 2, 2)
    assert all(map(torch.equal, before, module.state_dict().values()))
    if wrong:
        finding = next(finding for finding in report.findings if finding.name == "weight")
        assert all(len(entry.index) == 3 for entry in finding.entries)


@pytest.mark.parametrize("wrong", [False, True])
def test_complex_gradients_that_are_handed_in_are_judged_alike(wrong):
    report = check_torch(lambda a: (a * a.conj()).real.sum(), z(4), backward=lambda a: 2 * (a.conj() if wrong else a))
    assert report.wrong == ({"args.0"} if wrong else set())


def test_against_a_reference_complex_blocks_are_refused():
    with pytest.raises(gradcheck.DataError, match=r"^reference: args.0 is torch.complex128: against a reference only real"):
        check_torch(lambda a: a * a, z(3), reference=lambda a: a**2)
