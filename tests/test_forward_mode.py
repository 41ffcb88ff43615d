"""`check_torch(modes=...)`: forward derivatives of PyTorch functions, against differences and the backward pass."""

import pytest

from gradcheck import Verdict, check_torch
from gradcheck.errors import DataError

torch = pytest.importorskip("torch")
from torch.autograd import Function  # noqa: E402 after what it needs

FORWARD = "torch forward"


def rand(*shape, dtype=torch.float64, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def forward(report):
    return {finding.name: finding for finding in report.findings if finding.backend == FORWARD}


def tanh(jvp, factor=1):
    """``tanh(x @ w)`` with a forward derivative ``jvp(tx, tw, x, w, slope)``; ``factor`` is what the gradient is off by."""

    class Tanh(Function):
        @staticmethod
        def forward(ctx, x, w):
            ctx.save_for_backward(x, w)
            ctx.save_for_forward(x, w)
            return torch.tanh(x @ w)

        @staticmethod
        def backward(ctx, c):
            x, w = ctx.saved_tensors
            d = factor * c * (1 - torch.tanh(x @ w) ** 2)
            return d @ w.T, x.T @ d

        @staticmethod
        def jvp(ctx, tx, tw):
            x, w = ctx.saved_tensors
            return jvp(tx, tw, x, w, 1 - torch.tanh(x @ w) ** 2)

    return Tanh.apply


def right(tx, tw, x, w, slope):
    return (tx @ w + x @ tw) * slope


def one_entry(*args):
    found = right(*args).clone()
    found[1, 1] *= 1.01
    return found


WRONG = {
    "an argument is forgotten": (lambda tx, tw, x, w, s: tx @ w * s, ["args.1"]),
    "a sign": (lambda tx, tw, x, w, s: (tx @ w - x @ tw) * s, ["args.1"]),
    "the slope is left out": (lambda tx, tw, x, w, s: tx @ w + x @ tw, ["args.0", "args.1"]),
    "one part in ten thousand": (lambda *args: 1.0001 * right(*args), ["args.0", "args.1"]),
    "rows are shifted": (lambda *args: right(*args).roll(1, 0), ["args.0", "args.1"]),
    "half precision": (lambda *args: right(*args).half().double(), ["args.0", "args.1"]),
    "one entry": (one_entry, ["args.0", "args.1"]),
    "zero": (lambda *args: 0 * right(*args), ["args.0", "args.1"]),
    "another shape": (lambda *args: right(*args).sum(), ["args.0", "args.1"]),
    "None": (lambda *args: None, ["args.0", "args.1"]),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_a_wrong_jvp_is_found_by_default_and_the_backward_pass_is_not_accused(case):
    jvp, wrong = case
    report = check_torch(lambda x, w: (tanh(jvp)(torch.sin(x), w) ** 2).sum(1), rand(3, 4), rand(4, 2, seed=1))
    assert [name for name, finding in forward(report).items() if finding.verdict is Verdict.WRONG] == wrong, str(report)
    assert {finding.verdict for finding in report.findings if finding.backend == "torch"} == {Verdict.CORRECT}
    assert {each.cause for each in report.diagnoses} == {"forward-mode"}
    assert {each.backend for each in report.diagnoses} == {FORWARD}


def test_a_right_jvp_is_correct_by_default():
    report = check_torch(lambda x, w: (tanh(right)(torch.sin(x), w) ** 2).sum(1), rand(3, 4), rand(4, 2, seed=1))
    assert report.verdict is Verdict.CORRECT
    assert list(forward(report)) == ["args.0", "args.1"]


def test_the_output_and_the_entry_are_named():
    class Two(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            ctx.save_for_forward(x)
            return x.sin(), x * x

        @staticmethod
        def backward(ctx, a, b):
            (x,) = ctx.saved_tensors
            return a * x.cos() + 2 * b * x

        @staticmethod
        def jvp(ctx, t):
            (x,) = ctx.saved_tensors
            return t * x.cos(), 2 * t * x * torch.tensor([1.0, 1.0, 1.5])

    reason = forward(check_torch(Two.apply, rand(3)))["args.0"].reason
    assert "the tangent of output.1 at [2] is" in reason
    assert "1 of 3 entries off" in reason
    (each,) = check_torch(tanh(lambda *args: -right(*args)), rand(3, 4), rand(4, 2, seed=1), modes="forward").diagnoses[:1]
    assert each.cause == "sign"


def test_a_jvp_is_judged_by_itself_where_the_backward_pass_is_wrong():
    report = check_torch(tanh(right, factor=2), rand(3, 4), rand(4, 2, seed=1))
    assert {finding.verdict for finding in forward(report).values()} == {Verdict.CORRECT}
    assert report.verdict is Verdict.WRONG
    both = check_torch(tanh(lambda *args: 2 * right(*args), factor=2), rand(3, 4), rand(4, 2, seed=1))
    assert {finding.verdict for finding in both.findings} == {Verdict.WRONG}
    assert {each.cause for each in both.diagnoses} == {"factor"}  # they agree, so neither is said to be another's


def test_tangents_of_several_blocks_at_once_are_asked_too():
    def product(together):
        class Product(Function):
            @staticmethod
            def forward(ctx, x, w):
                ctx.set_materialize_grads(False)
                ctx.save_for_backward(x, w)
                ctx.save_for_forward(x, w)
                return x * w

            @staticmethod
            def backward(ctx, c):
                x, w = ctx.saved_tensors
                return c * w, c * x

            @staticmethod
            def jvp(ctx, tx, tw):
                x, w = ctx.saved_tensors
                if tx is None:
                    return x * tw
                return tx * w if tw is None else together(tx * w, x * tw)

        return Product.apply

    args = rand(4), rand(4, seed=1)
    assert check_torch(product(lambda a, b: a + b), *args).verdict is Verdict.CORRECT
    report = check_torch(product(lambda a, b: a), *args)
    assert {finding.verdict for finding in forward(report).values()} == {Verdict.WRONG}
    assert "tangents of all blocks at once" in forward(report)["args.0"].reason


def test_operators_of_pytorch_are_asked_by_name_alone():
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.GELU())
    x = torch.randn(2, 3)
    assert not forward(check_torch(module, x))
    for modes in ("forward", ("forward",), ("reverse", "forward"), ["forward", "reverse"]):
        report = check_torch(module, x, modes=modes)
        assert report.verdict is Verdict.CORRECT, str(report)
        assert list(forward(report)) == ["0.weight", "0.bias"]
        assert ("torch" in {finding.backend for finding in report.findings}) is ("reverse" in modes)
    assert check_torch(lambda x: x.view(-1), rand(6)[1::2].detach().requires_grad_(), modes="forward")


def test_reverse_mode_alone_still_asks_whether_both_agree():
    report = check_torch(tanh(WRONG["a sign"][0]), rand(3, 4), rand(4, 2, seed=1), modes="reverse")
    assert {finding.backend for finding in report.findings} == {"torch"}
    assert [(each.name, each.cause) for each in report.diagnoses] == [("args.1", "forward-mode")]


class Square(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, c):
        return 2 * c * ctx.saved_tensors[0]


def test_where_there_is_no_forward_mode_it_is_said_by_whom():
    for modes in ("forward", ("reverse", "forward")):
        with pytest.raises(DataError, match=r"modes: Square.apply has no forward mode: .*jvp.* \(Square\)"):
            check_torch(Square.apply, rand(3), modes=modes)
    assert not check_torch(Square.apply, rand(3)).notes
    report = check_torch(lambda x, w: Square.apply(tanh(right)(x, w)), rand(3, 4), rand(4, 2, seed=1))
    assert report.verdict is Verdict.CORRECT
    assert any("has no forward mode" in note for note in report.notes)


@pytest.mark.parametrize("modes", ["sideways", ("reverse", "sideways"), (), [3]])
def test_another_mode_is_refused_in_one_line(modes):
    with pytest.raises(DataError, match="modes: expected some of reverse, forward, got"):
        check_torch(torch.sin, rand(3), modes=modes)


def test_a_function_of_float32_alone_is_judged_there():
    def sine(slope):
        class Sine(Function):
            @staticmethod
            def forward(ctx, x):
                if x.dtype != torch.float32:
                    raise TypeError("float32 only")
                ctx.save_for_backward(x)
                ctx.save_for_forward(x)
                return x.sin()

            @staticmethod
            def backward(ctx, c):
                return c * ctx.saved_tensors[0].cos()

            @staticmethod
            def jvp(ctx, t):
                return t * slope(ctx.saved_tensors[0])

        return Sine.apply

    x = rand(5, dtype=torch.float32)
    assert check_torch(sine(torch.cos), x).verdict is Verdict.CORRECT
    assert forward(check_torch(sine(torch.sin), x))["args.0"].verdict is Verdict.WRONG
