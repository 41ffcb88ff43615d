"""The dtype that was given: what is right in float64 may be wrong there, and a function may take no other."""

import numpy as np
import pytest

import gradcheck
from gradcheck import Verdict, check, check_jax, check_torch
from gradcheck.candidates.given import Narrow, in_given_dtype

rng = np.random.default_rng(0)
X = np.linspace(0.3, 2, 9)


def loss(x):
    return np.sum(np.sin(x))


def slope(dtype, spoil):
    """cos, spoilt where it is asked in one dtype."""
    return lambda x: spoil(np.cos(x)) if x.dtype == dtype else np.cos(x)


def entry(g):
    g = g.copy()
    g[3] *= 1.2
    return g


SPOILT = {
    "factor": lambda g: g * g.dtype.type(1.5),
    "sign": lambda g: -g,
    "zero": lambda g: 0 * g,
    "entry": entry,
}


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("fault", SPOILT)
def test_a_gradient_wrong_in_the_given_dtype_alone_is_wrong_and_the_honest_one_is_not(dtype, fault):
    at = X.astype(dtype)
    honest = check(loss, np.cos, at)
    assert honest.verdict is Verdict.CORRECT
    name = np.dtype(dtype).name
    assert any(note.startswith(f"in {name}, as given, the gradient is the same to ") for note in honest.notes)
    report = check(loss, slope(dtype, SPOILT[fault]), at)
    assert report.wrong == {"x"}
    assert [diagnosis.cause for diagnosis in report.diagnoses] == ["given-dtype"]
    assert name in report.findings[0].reason
    assert report.findings[0].entries
    assert fault != "entry" or report.findings[0].worst_index == (3,)


def test_a_gradient_rounded_more_coarsely_than_the_given_dtype_is_told_by_how_much():
    report = check(loss, slope(np.float32, lambda g: g.astype(np.float16).astype(g.dtype)), X.astype(np.float32))
    (note,) = (note for note in report.notes if note.startswith("in float32"))
    assert 1e-4 < float(note.split()[-1]) < 1e-3


def test_a_number_that_is_none_in_the_given_dtype_is_found_where_it_is():
    def overflowing(x):
        g = np.cos(x)
        if x.dtype == np.float16:
            g[2] = np.float16(300) * np.float16(300)
        return g

    with np.errstate(over="ignore"):
        report = check(loss, overflowing, X.astype(np.float16))
    assert report.wrong == {"x"}


def test_where_the_loss_is_another_one_in_the_given_dtype_its_gradient_is_not_compared():
    def f(x):
        return np.sum(x) * (2 if x.dtype == np.float32 else 1)

    report = check(f, lambda x: np.full(x.shape, 2.0 if x.dtype == np.float32 else 1.0, x.dtype), X.astype(np.float32))
    assert report.verdict is Verdict.CORRECT
    assert any("its gradient was not compared" in note for note in report.notes)


def narrow(low, value=1.0):
    def nearest(_, x):
        return x.astype(np.float32).astype(float)

    return Narrow("narrow", 2.0**-24, nearest, lambda p: value, lambda p: {"x": low(p["x"])})


def test_rounding_changes_with_the_low_bits_of_the_point_and_a_mistake_stays():
    """Errors of one size: those of random sign are rounding, however large; those of one sign are not."""
    noise = np.random.default_rng(1)
    high = lambda p: {"x": np.cos(p["x"])}  # noqa: E731

    def rounded(x):
        return np.cos(x) * (1 + 1e-2 * noise.standard_normal(x.shape))

    assert not in_given_dtype(narrow(rounded), 1.0, high, {"x": X}, 0).off
    assert in_given_dtype(narrow(lambda x: np.cos(x) * 1.01), 1.0, high, {"x": X}, 0).off.keys() == {"x"}
    assert not in_given_dtype(narrow(np.cos), 1.0, high, {"x": X}, 0).off


def test_what_is_nothing_beside_the_loss_s_own_rounding_is_no_mistake():
    """tanh(10) is 1 in float32, and its slope 0; the twin is wrong by as much of itself where that counts."""
    saturated = np.full(4, 9.5)
    high = lambda p: {"x": 1 / np.cosh(p["x"]) ** 2}  # noqa: E731
    assert not in_given_dtype(narrow(lambda x: 0 * x, 4.0), 4.0, high, {"x": saturated}, 0).off
    assert in_given_dtype(narrow(lambda x: 0 * x, 4.0), 4.0, high, {"x": saturated / 10}, 0).off


def only(dtype):
    def function(f):
        def strict(x):
            assert x.dtype == dtype, "another dtype"
            return f(x)

        return strict

    return function


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("strict", ["loss", "gradient", "both"])
def test_functions_that_take_their_dtype_only_are_judged_in_it(dtype, strict):
    f = only(dtype)(loss) if strict != "gradient" else loss
    g = only(dtype)(np.cos) if strict != "loss" else np.cos
    at = X.astype(dtype)
    assert check(f, g, at).verdict in ((Verdict.CORRECT,) if dtype is np.float32 else (Verdict.CORRECT, Verdict.UNRESOLVED))
    assert check(f, lambda x: g(x) * dtype(2), at).wrong == {"x"}
    assert check(f, lambda x: -g(x), at).wrong == {"x"}


def test_a_function_that_refuses_what_it_is_given_has_failed():
    with pytest.raises(gradcheck.CallFailed, match="another dtype"):
        check(only(np.float16)(loss), np.cos, X.astype(np.float32))


@pytest.mark.parametrize("dtype", ["as given", "float32"])
def test_as_given_judges_there_only(dtype):
    at = X.astype(np.float32)
    report = check(loss, slope(np.float64, SPOILT["factor"]), at, dtype=dtype)
    assert report.verdict is Verdict.CORRECT
    assert check(loss, slope(np.float64, SPOILT["factor"]), at).wrong == {"x"}
    assert check(loss, slope(np.float32, SPOILT["factor"]), at, dtype=dtype).wrong == {"x"}


def test_a_dtype_may_be_named_and_one_that_is_none_or_is_refused_is_one_line():
    assert check(loss, slope(np.float32, SPOILT["sign"]), X, dtype="float32").wrong == {"x"}
    assert check(loss, slope(np.float32, SPOILT["sign"]), X).verdict is Verdict.CORRECT
    with pytest.raises(gradcheck.DescriptionError, match=r"^dtype: expected 'as given', float64, .*got 'double'$"):
        check(loss, np.cos, X, dtype="double")
    with pytest.raises(gradcheck.CallFailed, match="another dtype"):
        check(only(np.float32)(loss), np.cos, X.astype(np.float32), dtype="float64")


class TestTorch:
    @pytest.fixture(autouse=True)
    def _torch(self):
        self.torch = pytest.importorskip("torch")

    def sine(self, spoil=lambda g: g, dtype=None, strict=None):
        torch = self.torch

        class Sine(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                if strict not in (None, x.dtype):
                    raise RuntimeError("another dtype")
                ctx.save_for_backward(x)
                return x.sin()

            @staticmethod
            def backward(ctx, c):
                (x,) = ctx.saved_tensors
                return spoil(c * x.cos()) if dtype in (None, x.dtype) else c * x.cos()

        return Sine.apply

    @pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
    @pytest.mark.parametrize("factor", [1.0, 1.5, -1.0])
    def test_a_backward_pass_wrong_in_the_given_dtype_alone_is_wrong(self, name, factor):
        dtype = getattr(self.torch, name)
        x = self.torch.tensor(X, dtype=dtype, requires_grad=True)
        report = check_torch(self.sine(lambda g: factor * g, dtype), x)
        assert report.wrong == (set() if factor == 1 else {"args.0"})
        assert factor == 1 or [diagnosis.cause for diagnosis in report.diagnoses] == ["given-dtype"]

    @pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
    @pytest.mark.parametrize("factor", [1.0, 1.5, -1.0])
    def test_a_kernel_of_one_dtype_is_judged_in_it(self, name, factor):
        dtype = getattr(self.torch, name)
        x = self.torch.tensor(X, dtype=dtype, requires_grad=True)
        report = check_torch(self.sine(lambda g: factor * g, strict=dtype), x)
        assert report.wrong == (set() if factor == 1 else {"args.0"})
        assert report.verdict is Verdict.CORRECT or factor != 1 or name == "bfloat16"

    def test_bfloat16_attention_without_dv_is_wrong(self):
        torch = self.torch

        class Attention(torch.autograd.Function):
            @staticmethod
            def forward(ctx, q, k, v):
                if q.dtype != torch.bfloat16:
                    raise RuntimeError("bfloat16 only")
                p = (q.float() @ k.float().T * q.shape[-1] ** -0.5).softmax(-1)
                ctx.save_for_backward(q, k, v, p)
                return p.bfloat16() @ v

            @staticmethod
            def backward(ctx, c):
                q, k, v, p = ctx.saved_tensors
                dp = c.float() @ v.float().T
                ds = p * (dp - (p * dp).sum(-1, keepdim=True)) * q.shape[-1] ** -0.5
                dv = p.T @ c.float()
                return (ds @ k.float()).bfloat16(), (ds.T @ q.float()).bfloat16(), (Attention.kept * dv).bfloat16()

        torch.manual_seed(0)
        qkv = [torch.randn(12, 8).bfloat16().requires_grad_() for _ in range(3)]
        Attention.kept = 0.0
        assert check_torch(Attention.apply, *qkv).wrong == {"args.2"}
        Attention.kept = 1.0
        assert not check_torch(Attention.apply, *qkv).wrong

    @pytest.mark.parametrize(("factor", "verdict"), [(1.0, Verdict.CORRECT), (2.0, Verdict.WRONG)])
    @pytest.mark.parametrize("name", ["float32", "float64"])
    def test_what_differs_by_float32_s_rounding_from_call_to_call_is_noise(self, name, factor, verdict):
        shake = self.torch.Generator()

        def shaken(x):
            return x * (1 + 1e-7 * self.torch.randn(x.shape, generator=shake, dtype=x.dtype))

        class Sine(self.torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return shaken(x.sin())

            @staticmethod
            def backward(ctx, c):
                return factor * shaken(c * ctx.saved_tensors[0].cos())

        x = self.torch.tensor(X, dtype=getattr(self.torch, name), requires_grad=True)
        assert check_torch(Sine.apply, x).verdict is verdict

    def test_a_dtype_that_the_function_refuses_is_one_line(self):
        x = self.torch.tensor(X, dtype=self.torch.float32, requires_grad=True)
        with pytest.raises(gradcheck.CallFailed, match=r"another dtype .*dtype='float64'"):
            check_torch(self.sine(strict=self.torch.float32), x, dtype="float64")
        with pytest.raises(gradcheck.DescriptionError, match=r"^dtype: expected"):
            check_torch(self.sine(), x, dtype="half")

    def test_a_dtype_of_pytorch_s_is_an_argument_of_the_function(self):
        x = self.torch.tensor(X, requires_grad=True)
        softmax = self.torch.softmax
        assert check_torch(softmax, x, dim=0, dtype=self.torch.float64).verdict is Verdict.CORRECT
        report = check_torch(softmax, x, dim=0, dtype=self.torch.float32)
        assert any("unit roundoff" in note for note in report.notes)

    def test_constants_of_a_closure_follow_and_are_what_they_were(self):
        w = self.torch.tensor(X, dtype=self.torch.float32)
        report = check_torch(lambda x: (x * w).sin(), self.torch.ones(9, requires_grad=True))
        assert "judged in float64, which the function follows" in report.notes
        assert w.dtype == self.torch.float32


class TestJax:
    @pytest.fixture(autouse=True)
    def _jax(self):
        self.jax = pytest.importorskip("jax")

    def sine(self, spoil=lambda g: g, dtype=None, strict=None):
        jnp = self.jax.numpy

        @self.jax.custom_vjp
        def sine(x):
            if strict not in (None, x.dtype):
                raise TypeError("another dtype")
            return jnp.sin(x)

        def backward(x, c):
            return (spoil(c * jnp.cos(x)) if dtype in (None, x.dtype) else c * jnp.cos(x),)

        sine.defvjp(lambda x: (sine(x), x), backward)
        return sine

    @pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
    @pytest.mark.parametrize("factor", [1, 2, -1])
    def test_a_backward_pass_wrong_in_the_given_dtype_alone_is_wrong(self, name, factor):
        dtype = self.jax.numpy.dtype(name)
        report = check_jax(self.sine(lambda g: factor * g, dtype), self.jax.numpy.asarray(X, dtype))
        assert report.wrong == (set() if factor == 1 else {"args.0"})

    @pytest.mark.parametrize("factor", [1, 2, -1])
    def test_a_kernel_of_one_dtype_is_judged_in_it(self, factor):
        dtype = self.jax.numpy.dtype("float32")
        report = check_jax(self.sine(lambda g: factor * g, strict=dtype), self.jax.numpy.asarray(X, dtype))
        assert report.verdict is (Verdict.CORRECT if factor == 1 else Verdict.WRONG)
