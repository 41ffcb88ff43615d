"""Each cause of a kernel is named first where it was planted, and the neighbouring one where that was."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.autograd import Function

import gradcheck
from gradcheck.verdict.causes import Cause, sentence

ROWS, COLUMNS = 20, 24


def drawn(*shape, seed=0, positive=False):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return (x.abs() + 0.5 if positive else x).requires_grad_()


def passing(change):
    """The identity, with this done to what comes back."""

    class Passing(Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            return change(g)

    return Passing.apply


def cotangent(f, change):
    return lambda *args: passing(change)(f(*args))


def gradient(f, place, change):
    return lambda *args: f(*args[:place], passing(change)(args[place]), *args[place + 1 :])


def by_hand(forward, backward):
    class Hand(Function):
        @staticmethod
        def forward(ctx, *args):
            ctx.save_for_backward(*args)
            return forward(*args)

        @staticmethod
        def backward(ctx, g):
            return backward(g, *ctx.saved_tensors)

    return Hand.apply


def gated(x, y):
    return torch.tanh(x) * y


def linear(x, w):
    return x @ w


def softmax(x):
    return torch.softmax(x, -1)


def rms_norm(eps, outside=False):
    def normed(x, w):
        square = (x * x).mean(-1, keepdim=True)
        return x / (square.sqrt() + eps) * w if outside else x * torch.rsqrt(square + eps) * w

    return normed


def without(dim, indices):
    def changed(g):
        g = g.clone()
        g.index_fill_(dim, torch.as_tensor(indices), 0.0)
        return g

    return changed


def misread(g):
    return g.mT.reshape(-1).reshape(g.shape)


def of_samples(kept):
    """A product whose weight is given a gradient by some samples alone."""
    return by_hand(linear, lambda g, x, w: (g @ w.mT, x[kept].mT @ g[kept]))


def softmax_of(columns):
    """Of the first columns alone."""
    return lambda x: torch.cat([torch.softmax(x[:, :columns], -1), torch.zeros_like(x[:, columns:])], -1)


def logsumexp_of(columns):
    return lambda x: torch.logsumexp(x[:, :columns], -1)


def softmax_without_mean(g, x):
    return softmax(x) * g


def attention(scale):
    return lambda q, k, v: torch.softmax(q @ k.mT * scale, -1) @ v


def attention_without_delta(g, q, k, v):
    p = torch.softmax(q @ k.mT * 0.25, -1)
    ds = 0.25 * p * (g @ v.mT)
    return ds @ k, ds.mT @ q, p.mT @ g


def causal(diagonal):
    def masked(q, k, v):
        seen = torch.ones(len(q), len(k), dtype=torch.bool).tril(diagonal)
        return torch.softmax((q @ k.mT).masked_fill(~seen, -torch.inf), -1) @ v

    return masked


def experts(skipped=None):
    return lambda x, w: sum(F.silu(x @ each) for place, each in enumerate(w) if place != skipped)


def stale(x):
    """Lengths of rows one row on."""
    length = x.norm(dim=-1, keepdim=True)
    return x / length.roll(1, 0).detach() + 0 * length


def normal_rows(x):
    return x / x.norm(dim=-1, keepdim=True).detach()


X, Y = drawn(ROWS, COLUMNS), drawn(ROWS, COLUMNS, seed=1)
SQUARE = drawn(COLUMNS, COLUMNS, seed=2)
W = drawn(COLUMNS, seed=3)
QKV = [drawn(12, 16, seed=seed) for seed in (4, 5, 6)]
EXPERTS = drawn(4, COLUMNS, 6, seed=9)
SAMPLES = torch.arange(ROWS)

# What is planted: kernel, reference, arguments, the cause, and what its sentence says.
PLANTED = {
    "cotangent ignored": (cotangent(gated, torch.ones_like), gated, (X, Y), "cotangent-ignored", "ones"),
    "cotangent a number": (
        cotangent(gated, lambda g: g.flatten()[0].expand_as(g).clone()),
        gated,
        (X, Y),
        "cotangent-scalar",
        "its first entry",
    ),
    "cotangent of the first row": (
        cotangent(gated, lambda g: g[:1].expand_as(g).clone()),
        gated,
        (X, Y),
        "cotangent-first-row",
        "first along axis 0",
    ),
    "cotangent of the first column": (
        cotangent(gated, lambda g: g[:, :1].expand_as(g).clone()),
        gated,
        (X, Y),
        "cotangent-first-row",
        "first along axis 1",
    ),
    "one of two cotangents dropped": (
        lambda x, y: (gated(x, y), passing(torch.zeros_like)(x * y)),
        lambda x, y: (gated(x, y), x * y),
        (X, Y),
        "cotangent-ignored",
        "zeros",
    ),
    "one of two cotangents twice": (
        lambda x, y: (gated(x, y), passing(lambda g: 2 * g)(x * y)),
        lambda x, y: (gated(x, y), x * y),
        (X, Y),
        "factor",
        "contributes is off by the constant factor 2",
    ),
    "cotangent in the order of memory": (cotangent(gated, misread), gated, (X, Y), "wrong-stride", "the cotangent of"),
    "result in the order of memory": (gradient(gated, 0, misread), gated, (X, Y), "wrong-stride", "written"),
    "argument in the order of memory": (lambda x, y: gated(misread(x), y), gated, (X, Y), "wrong-stride", "args.0 is read"),
    "transposed": (gradient(linear, 1, lambda g: g.mT), linear, (X, SQUARE), "transposed", ""),
    "argument transposed": (lambda x, w: x @ w.mT, linear, (X, SQUARE), "transposed", "args.1 with axes 0 and 1"),
    "arguments exchanged": (lambda x, y: gated(y, x), gated, (X, Y), "exchanged", "args.0 and args.1"),
    "halves exchanged": (lambda x, y: gated(x.roll(12, 1), y), gated, (X, Y), "reordered", "args.0 were with its halves"),
    "from the other end": (
        by_hand(lambda x: x.cumsum(0), lambda g, x: g.cumsum(0)),
        lambda x: x.cumsum(0),
        (X,),
        "reordered",
        "from the other end",
    ),
    "tail": (gradient(gated, 0, without(1, range(16, 24))), gated, (X, Y), "masked-tail", "entries 16 to 23 along axis 1"),
    "a column left out": (gradient(gated, 0, without(1, [23])), gated, (X, Y), "left-out", "index 23 along axis 1"),
    "a row left out": (gradient(gated, 0, without(0, [7])), gated, (X, Y), "left-out", "index 7 along axis 0"),
    "a region": (
        gradient(gated, 0, lambda g: g + F.pad(0.1 * SQUARE.detach()[:3], (0, 0, 5, ROWS - 8))),
        gated,
        (X, Y),
        "region",
        "indices 5 to 7 along axis 0",
    ),
    "tail of a sum": (
        of_samples(SAMPLES < 16),
        linear,
        (X, SQUARE),
        "masked-tail",
        "indices 16 to 19 along axis 0 of output",
    ),
    "a sample of a sum": (of_samples(SAMPLES != 3), linear, (X, SQUARE), "left-out", "index 3 along axis 0 of output"),
    "every other sample": (of_samples(SAMPLES % 2 == 0), linear, (X, SQUARE), "left-out", "every index but 0, 2"),
    "tail of a product": (
        lambda x, w: x[:, :16] @ w[:16],
        linear,
        (X, SQUARE),
        "masked-tail",
        "indices 16 to 23 along axis",
    ),
    "an expert left out": (experts(skipped=2), experts(), (X, EXPERTS), "left-out", "index 2 along axis 0 of args.1"),
    "tail not read": (logsumexp_of(16), lambda x: torch.logsumexp(x, -1), (X,), "masked-tail", "16 to 23 along axis 1"),
    "scale twice": (
        gradient(attention(0.25), 0, lambda g: g * 0.25),
        attention(0.25),
        QKV,
        "scale",
        "smaller by 4 = sqrt(n), n = 16 being the size of axis 1 of args.0",
    ),
    "scale missing forward": (attention(1.0), attention(0.25), QKV, "scale", "were 4 = sqrt(n) times itself"),
    "another temperature": (attention(0.5), attention(0.1), QKV, "scale", "as if args.0 were 5 times itself"),
    "weight forgotten": (
        by_hand(lambda x, w: x * w, lambda g, x, w: (g, (g * x).sum(0))),
        lambda x, w: x * w,
        (X, W),
        "scale",
        "args.1 were ones",
    ),
    "factor": (gradient(gated, 0, lambda g: 1.25 * g), gated, (X, Y), "factor", "1.25"),
    "sign": (gradient(attention(0.25), 0, torch.neg), attention(0.25), QKV, "sign", ""),
    "eps another": (rms_norm(1e-3), rms_norm(2e-3), (X, W), "eps", "falls as the inputs grow"),
    "eps outside": (rms_norm(1e-3, outside=True), rms_norm(1e-3), (X, W), "eps", "falls as the inputs grow"),
    "stale lengths": (stale, normal_rows, (X,), "stale-statistics", "each line along axis 1 is off by a factor of its own"),
    "mean term dropped": (by_hand(softmax, softmax_without_mean), softmax, (X,), "path-lost", "a multiple of output"),
    "path through an argument": (
        by_hand(lambda x, a, b: x + x @ a @ b, lambda g, x, a, b: (g, (g @ b.mT).mT.matmul(x).mT, (x @ a).mT @ g)),
        lambda x, a, b: x + x @ a @ b,
        (X, drawn(COLUMNS, 4, seed=7), drawn(4, COLUMNS, seed=8)),
        "path-lost",
        "what goes through args.1",
    ),
    "delta dropped": (
        by_hand(attention(0.25), attention_without_delta),
        attention(0.25),
        QKV,
        "path-lost",
        "delta, the sum over each row",
    ),
    "sees the next": (causal(1), causal(0), QKV, "mask", "and should not"),
    "sum of products in bfloat16": (
        lambda x, w: x.bfloat16().float() @ w.bfloat16().float(),
        linear,
        (X, SQUARE),
        "coarse-arithmetic",
        "as if products of bfloat16 numbers",
    ),
    "one entry": (
        gradient(gated, 0, lambda g: g + F.pad(torch.ones(1, 1), (5, COLUMNS - 6, 3, ROWS - 4))),
        gated,
        (X, Y),
        "single-entry",
        "at [3, 5]",
    ),
}
COARSE = ("cotangent a number", "tail", "tail of a sum", "scale twice", "mean term dropped", "result in the order of memory")


def first_of(report):
    return report.diagnoses[0] if report.diagnoses else None


def asked(kernel, reference, args):
    return gradcheck.check_torch(kernel, *args, reference=reference, contract=False)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_cause_is_named_first(name):
    kernel, reference, args, cause, words = PLANTED[name]
    report = asked(kernel, reference, args)
    first = first_of(report)
    assert first is not None
    assert first.cause == cause, str(report)
    assert words in sentence(first)


@pytest.mark.parametrize("name", COARSE)
def test_in_bfloat16_it_is_the_same_cause(name):
    kernel, reference, args, cause, words = PLANTED[name]
    coarse = [arg.detach().bfloat16().requires_grad_() for arg in args]
    first = first_of(asked(kernel, reference, coarse))
    assert first is not None
    assert first.cause == cause
    assert words in sentence(first)


def test_what_only_the_given_dtype_reaches_is_called_so():
    def kernel(x, y):
        return gated(x, y) * (3.0 if x.dtype == torch.bfloat16 else 1.0)

    coarse = [arg.detach().bfloat16().requires_grad_() for arg in (X, Y)]
    found = {each.cause for each in asked(kernel, gated, coarse).diagnoses}
    assert Cause.GIVEN_DTYPE in found
    assert Cause.LOW_PRECISION not in found
    assert first_of(asked(kernel, gated, coarse)).cause == "given-dtype"


def test_what_nothing_explains_has_no_cause_of_its_own():
    kernel = by_hand(torch.tanh, lambda g, x: g * torch.cos(x))
    report = asked(kernel, torch.tanh, (X,))
    assert report.verdict == "wrong"
    assert report.diagnoses == ()


def test_one_number_is_no_evidence_for_a_factor_that_is_fitted():
    def loss(margin):
        return lambda x: (x * x).sum() + margin * torch.tanh(x).sum()

    assert "scale" not in {each.cause for each in asked(loss(1.0), loss(2.0), (X,)).diagnoses}


def test_of_a_gradient_that_follows_from_a_wrong_output_that_is_said():
    report = asked(lambda x, y: torch.sin(x) * y, gated, (X, Y))
    assert {(each.name, each.cause) for each in report.diagnoses} >= {("args.0", "output-wrong")}
    assert "output" not in {each.name for each in report.diagnoses}


def test_a_diagnosis_is_counted_and_costs_no_more_than_so_many_evaluations():
    spent = asked(cotangent(gated, torch.ones_like), gated, (X, Y))
    assert 0 < spent.diagnosis_evaluations <= 8
    assert np.isfinite(spent.findings[0].error)
