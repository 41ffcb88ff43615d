"""Choices, atomics, numbers that are none, arguments that do not float, references without float64; each with its twin."""

import numpy as np
import pytest

import gradcheck
from gradcheck import Verdict

torch = pytest.importorskip("torch")
Function = torch.autograd.Function


def rand(*shape, dtype=torch.float32, grad=True, seed=0):
    values = np.random.default_rng([seed, *shape]).standard_normal(shape)
    return torch.tensor(values, dtype=dtype, requires_grad=grad)


def judged(f, *args, reference):
    return gradcheck.check_torch(f, *args, reference=reference, contract=False)


def verdicts(report):
    return {finding.name: finding.verdict for finding in report.findings}


# Atomics: sums in an order that nobody knows.

INDEX = torch.from_numpy(np.random.default_rng(1).integers(0, 5, 400))


def summed(x):
    return torch.zeros(5, x.shape[1], dtype=x.dtype).index_add(0, INDEX, x)


def atomic(lost):
    """Adds up in another order at each call, and loses a part of the updates."""
    draws = np.random.default_rng(2)

    class Atomic(Function):
        @staticmethod
        def forward(ctx, x):
            order = draws.permutation(len(x))
            order = torch.from_numpy(order[draws.random(len(x)) >= lost])
            return torch.zeros(5, x.shape[1]).index_add(0, INDEX[order], x[order].float()).to(x.dtype)

        @staticmethod
        def backward(ctx, c):
            return c[INDEX]

    return Atomic.apply


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_sums_in_random_order_are_correct_and_lost_updates_are_not(dtype):
    assert judged(atomic(0.0), rand(400, 3, dtype=dtype), reference=summed).verdict is Verdict.CORRECT
    report = judged(atomic(0.02), rand(400, 3, dtype=dtype), reference=summed)
    assert report.wrong == {"output"}, str(report)
    assert [diagnosis.cause for diagnosis in report.diagnoses] == ["nondeterministic"]


# Arguments that do not float.


def test_indices_masks_flags_and_generators_are_handed_on():
    def plain(table, tokens, mask, generator, scale):
        assert generator is None or isinstance(generator, torch.Generator)
        return scale * torch.where(mask[:, None], table[tokens], 0.0)

    class Kernel(Function):
        @staticmethod
        def forward(ctx, table, tokens, mask, generator, scale):
            ctx.save_for_backward(tokens, mask)
            ctx.shape, ctx.scale = table.shape, scale
            return scale * torch.where(mask[:, None], table[tokens], 0.0)

        @staticmethod
        def backward(ctx, c):
            tokens, mask = ctx.saved_tensors
            c = ctx.scale * torch.where(mask[:, None], c, 0.0)
            return torch.zeros(ctx.shape, dtype=c.dtype).index_add(0, tokens, c), None, None, None, None

    class Unmasked(Kernel):
        @staticmethod
        def backward(ctx, c):
            ctx.saved_tensors[1].sum()
            return torch.zeros(ctx.shape, dtype=c.dtype).index_add(0, ctx.saved_tensors[0], ctx.scale * c), *[None] * 4

    args = rand(7, 3), torch.tensor([1, 6, 1, 3]), torch.tensor([True, False, True, True]), torch.Generator(), 3
    assert judged(Kernel.apply, *args, reference=plain).verdict is Verdict.CORRECT
    assert judged(Unmasked.apply, *args, reference=plain).wrong == {"args.0"}
    assert args[1].tolist() == [1, 6, 1, 3]


# What is no number.


def test_what_is_no_number_is_wrong_where_the_reference_has_one_and_undecided_where_it_may_overflow():
    def plain(x):
        return x.exp()

    report = judged(lambda x: torch.where(x > 1, float("nan"), x.exp()), rand(6, 4), reference=plain)
    assert report.verdict is Verdict.WRONG
    assert "not finite" in report.findings[0].reason
    assert judged(lambda x: x.exp() * 1, rand(6, 4), reference=plain).verdict is Verdict.CORRECT

    large = torch.full((2, 3), 88.9).requires_grad_()  # its exponential is beyond float32
    assert set(verdicts(judged(lambda x: x.exp() * 1, large, reference=plain)).values()) == {Verdict.UNRESOLVED}


def test_a_sigmoid_that_overflows_on_the_way_back_is_wrong():
    def silu(x):
        return x * torch.sigmoid(x)

    def by_its_formula(x):
        return x / (1 + torch.exp(-x))

    x = torch.tensor([[-100.0, 0.3, 2.0, -1.0]], requires_grad=True)
    report = judged(by_its_formula, x, reference=silu)
    assert report.verdict is Verdict.WRONG, str(report)
    assert judged(torch.nn.functional.silu, x, reference=silu).verdict is Verdict.CORRECT


# A reference that is float32 and nothing else.


def test_a_reference_without_float64_vouches_by_its_noise_runs():
    def narrow(x, w):
        assert x.dtype is torch.float32
        return torch.tanh(x @ w)

    def kernel(x, w):
        return torch.tanh(torch.einsum("ij,jk->ik", x, w))

    def off(x, w):
        return kernel(x, w) * (1 + 1e-4)

    args = rand(6, 4), rand(4, 5)
    report = judged(kernel, *args, reference=narrow)
    assert report.verdict is Verdict.CORRECT, str(report)
    assert any("no float64 path" in note for note in report.notes)
    assert judged(off, *args, reference=narrow).wrong == {"output", "args.0", "args.1"}
    assert not any("float64" in note for note in judged(kernel, *args, reference=lambda x, w: torch.tanh(x @ w)).notes)


# Choices.

NEVER_WRONG = {Verdict.CORRECT, Verdict.NONSMOOTH}


class Pool(Function):
    """The largest of each three; of equal ones the last, where PyTorch takes the first."""

    @staticmethod
    def chosen(parts):
        return 2 - parts.flip(-1).argmax(-1, keepdim=True)

    @classmethod
    def forward(cls, ctx, x):
        parts = x.unflatten(-1, (-1, 3))
        ctx.places, ctx.shape = cls.chosen(parts), parts.shape
        return parts.gather(-1, ctx.places).squeeze(-1)

    @staticmethod
    def backward(ctx, c):
        return torch.zeros(ctx.shape, dtype=c.dtype).scatter(-1, ctx.places, c[..., None]).flatten(-2)


class Smallest(Pool):
    @staticmethod
    def chosen(parts):
        return parts.argmin(-1, keepdim=True)


def pooled(x):
    return torch.nn.functional.max_pool1d(x, 3)


def tied():
    x = rand(4, 12, grad=False)
    x[0, :3], x[2, 3:6] = 1.0, -0.5
    return x.requires_grad_()


def test_of_equal_numbers_any_may_be_pooled_and_of_others_the_largest():
    report = judged(Pool.apply, tied(), reference=pooled)
    assert verdicts(report)["output"] is Verdict.CORRECT
    assert verdicts(report)["args.0"] is Verdict.NONSMOOTH, str(report)
    assert judged(Pool.apply, rand(4, 12), reference=pooled).verdict is Verdict.CORRECT
    assert judged(Smallest.apply, rand(4, 12), reference=pooled).wrong == {"output", "args.0"}


def test_a_wrong_choice_is_found_beside_one_that_is_free():
    """At one place, clearly; the ties are as free as before."""

    class Once(Pool):
        @classmethod
        def forward(cls, ctx, x):
            found = Pool.forward(ctx, x)
            ctx.places = ctx.places.clone()
            ctx.places[1, 2] = (ctx.places[1, 2] + 1) % 3
            return found

    assert "args.0" in judged(Once.apply, tied(), reference=pooled).wrong


@pytest.mark.parametrize(("slope", "expected"), [(0.0, NEVER_WRONG), (1.0, NEVER_WRONG), (0.5, NEVER_WRONG)])
def test_a_rectifier_may_have_any_slope_at_zero(slope, expected):
    class Relu(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.clamp(min=0)

        @staticmethod
        def backward(ctx, c):
            (x,) = ctx.saved_tensors
            return c * torch.where(x == 0, slope, (x > 0).to(c.dtype))

    class Leaky(Relu):
        @staticmethod
        def backward(ctx, c):
            (x,) = ctx.saved_tensors
            return c * torch.where(x <= 0, 0.01, 1.0)

    x = rand(5, 4, grad=False)
    x[0, 0] = x[3, 2] = 0.0
    x.requires_grad_()
    assert set(verdicts(judged(Relu.apply, x, reference=torch.relu)).values()) <= expected
    assert judged(Leaky.apply, x, reference=torch.relu).wrong == {"args.0"}


def routed(x, w, experts):
    """Each row by its best expert."""
    logits = x @ w
    best, places = logits.topk(1, dim=-1)
    return torch.einsum("ni,nio->no", x, experts[places[:, 0]]) * torch.sigmoid(best)


def by_sums(least):
    """The same, the logits added up in another order; of two that are as good, the ``least`` as well."""

    def kernel(x, w, experts):
        logits = (x.flip(1)[:, :, None] * w.flip(0)[None]).sum(1)
        places = logits.detach().argsort(dim=-1)[:, 0 if least else -1]
        best = logits.gather(-1, places[:, None])
        return (x[:, None] @ experts[places])[:, 0] * torch.sigmoid(best)

    return kernel


def test_who_is_routed_to_within_rounding_is_free_and_otherwise_is_not():
    x, w, experts = rand(6, 4, grad=False), rand(4, 3, grad=False), rand(3, 4, 2)
    w[:, 1] = w[:, 0] * (1 + 1e-8)
    x, w = x.requires_grad_(), w.requires_grad_()
    assert set(verdicts(judged(by_sums(least=False), x, w, experts, reference=routed)).values()) <= NEVER_WRONG
    assert "output" in judged(by_sums(least=True), x, w, experts, reference=routed).wrong
    apart = rand(4, 3)
    assert judged(by_sums(least=False), x, apart, experts, reference=routed).verdict is Verdict.CORRECT
