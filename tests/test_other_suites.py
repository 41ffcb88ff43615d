"""What the test suites of other libraries have shown: right gradients that were accused, each beside one that is wrong."""

import numpy as np
import pytest
import torch
from torch.autograd import Function

from gradcheck import check, check_torch, drop_in
from gradcheck.adapters.pytorch.suites import answered
from gradcheck.foundation.validation import Asked
from gradcheck.verdict.findings import Verdict


def rand(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()


def asked(f, *args, **options):
    return answered(f, args, options, Asked())


@pytest.mark.parametrize(("slope", "verdict"), [(1e-15, "correct"), (-2e-15, "correct"), (1e-12, "wrong"), (1.0, "wrong")])
def test_a_claim_of_nothing_is_not_held_against_the_last_bits_of_the_values(slope, verdict):
    report = check(lambda x: 3.5 + slope * float(x.sum()), lambda x: np.zeros(4), np.array([0.3, -1.2, 0.8, 2.1]))
    assert report.verdict == verdict


def test_that_tiny_numbers_move_nothing_says_nothing():
    report = check(lambda x: 1.0 + float(x.sum()), lambda x: np.zeros(3), np.full(3, 1e-20))
    assert report.verdict == "unresolved"


@pytest.mark.parametrize(
    ("slope", "claim", "verdict"),
    [(0.0, 1e-8, "inexact"), (0.0, 1e-4, "wrong"), (1e-8, 3e-8, "wrong"), (1e-8, 1e-8, "correct")],
)
def test_a_claim_where_there_is_no_slope_is_held_against_the_whole_gradient(slope, claim, verdict):
    class Claims(Function):
        @staticmethod
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return a.sin().sum() + slope * b.sum()

        @staticmethod
        def backward(ctx, c):
            a, b = ctx.saved_tensors
            return c * a.cos(), c * torch.full_like(b, claim)

    report = asked(Claims.apply, rand(2), rand(2, seed=1))
    assert {finding.name: finding.verdict for finding in report.findings} == {"args.0": "correct", "args.1": verdict}
    if verdict == "inexact":  # of who wants to know everything it is wrong
        assert check_torch(Claims.apply, rand(2), rand(2, seed=1)).wrong == {"args.1"}


class Nearly(Function):
    @staticmethod
    def forward(ctx, x, off):
        ctx.save_for_backward(x)
        ctx.off = off
        return x.sin()

    @staticmethod
    def backward(ctx, c):
        (x,) = ctx.saved_tensors
        return c * x.cos() * (1 + ctx.off * torch.sign(x)), None


def test_who_is_sparing_is_not_told_where_a_gradient_is_inexact():
    x = rand(40)
    told, spared = check_torch(lambda x: Nearly.apply(x, 1e-8), x), asked(lambda x: Nearly.apply(x, 1e-8), x)
    assert told.verdict == spared.verdict == Verdict.INEXACT
    assert spared.evaluations < told.evaluations / 2
    assert not spared.diagnoses


def test_who_is_sparing_is_told_where_a_gradient_is_wrong():
    report = asked(lambda x: Nearly.apply(x, 1e-3), rand(4))
    assert report.verdict == Verdict.WRONG
    assert report.findings[0].entries
    assert asked(lambda x: Nearly.apply(x, 1e-3), rand(4), rtol=0.01).verdict == Verdict.INEXACT


class Batched(Function):
    """By a rule that batches the first argument alone where the second comes with it, and says so."""

    @staticmethod
    def forward(x, w):
        return torch.tanh(x * w)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, c):
        x, w = ctx.saved_tensors
        slope = c * (1 - torch.tanh(x * w) ** 2)
        return slope * w, slope * x

    @staticmethod
    def vmap(info, places, x, w):
        if None in places:
            raise ValueError("both are to be batched")
        return Batched.apply(x.movedim(places[0], 0), w.movedim(places[1], 0)), 0


class Swapped(Batched):
    @staticmethod
    def vmap(info, places, x, w):
        return Batched.apply(x.movedim(places[0], 0).flip(0), w), 0


def test_a_rule_may_refuse_a_batch_and_not_answer_otherwise():
    refused = check_torch(lambda x: Batched.apply(x, torch.full((5,), 0.7, dtype=torch.float64)), rand(5))
    assert refused.verdict == Verdict.CORRECT
    assert any("both are to be batched" in note for note in refused.notes)
    assert check_torch(lambda x: Swapped.apply(x, torch.ones(5, dtype=torch.float64)), rand(5)).verdict == Verdict.WRONG


class OfTwo(Function):
    lazy = False

    @classmethod
    def forward(cls, ctx, x, w):
        ctx.save_for_backward(x, w)
        return x * w

    @classmethod
    def backward(cls, ctx, c):
        x, w = ctx.saved_tensors
        return c * w if ctx.needs_input_grad[1] or not cls.lazy else 2 * c * w, c * x


class Lazy(OfTwo):
    lazy = True


@pytest.mark.parametrize(("kind", "verdict"), [(OfTwo, "correct"), (Lazy, "wrong")])
def test_a_function_that_reads_what_requires_a_gradient_is_another_one_without(kind, verdict):
    def first_that_does(x, w):
        return kind.apply(x, w) if x.requires_grad and w.requires_grad else kind.apply(x, x)

    assert check_torch(first_that_does, rand(3), rand(3, seed=1)).verdict == "correct"
    assert check_torch(kind.apply, rand(3), rand(3, seed=1)).verdict == verdict


class Output(Function):
    """Of which the output is kept; as a view of something, where it may be changed unseen."""

    @staticmethod
    def forward(ctx, x):
        y = torch.exp(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, c):
        return c * ctx.saved_tensors[0]


class Unseen(Output):
    @staticmethod
    def forward(ctx, x):
        ctx.y = torch.exp(x)
        return ctx.y

    @staticmethod
    def backward(ctx, c):
        return c * ctx.y


@pytest.mark.parametrize(("kind", "verdict"), [(Output, "correct"), (Unseen, "wrong")])
def test_a_parameter_is_none_any_more_where_a_copy_stands_in_for_it(kind, verdict):
    def of_parameters(p):
        value = kind.apply(p)
        return value if isinstance(p, torch.nn.Parameter) else value.detach() + 0 * value

    p = torch.nn.Parameter(rand(4).detach())
    assert check_torch(of_parameters, p).verdict == "correct"
    assert check_torch(kind.apply, rand(4)).verdict == verdict


def test_large_graphs_of_pytorch_alone_are_not_asked_for_their_contract():
    class Overwrites(Output):
        @staticmethod
        def backward(ctx, c):
            return c.mul_(ctx.saved_tensors[0])

    def deep(x, first=torch.exp):
        x = first(x)
        for _ in range(150):
            x = torch.sin(x) + 0.1
        return x

    report = check_torch(deep, rand(3))
    assert report.verdict == "correct"
    assert any("all of PyTorch" in note for note in report.notes)
    assert not any("all of PyTorch" in note for note in check_torch(torch.exp, rand(3)).notes)
    assert check_torch(lambda x: deep(x, Overwrites.apply), rand(3)).verdict == "wrong"


def test_random_numbers_are_noticed_of_each_generator():
    for draw in (lambda: torch.rand(()), np.random.random):
        report = check_torch(lambda x, draw=draw: x * float(draw()), rand(3))
        assert any("random numbers are drawn" in note for note in report.notes)
    assert not any("random numbers" in note for note in check_torch(torch.sin, rand(3)).notes)


def test_the_drop_in_says_what_is_answered():
    with drop_in() as dropped:
        assert torch.autograd.gradcheck(lambda x: Nearly.apply(x, 1e-8), (rand(6),))
        with pytest.raises(RuntimeError, match="verdict: wrong"):
            torch.autograd.gradcheck(lambda x: Nearly.apply(x, 1e-2), (rand(6),))
    assert [call.verdict for call in dropped.calls] == ["inexact", "wrong"]
