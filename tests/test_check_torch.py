"""`check_torch`: functions, autograd.Functions and modules; what is wrong is named, and what was lent is given back."""

import random

import numpy as np
import pytest

import gradcheck
from gradcheck import Verdict, check_torch

torch = pytest.importorskip("torch")
nn = torch.nn


def rand(*shape, dtype=torch.float64, grad=True, seed=0):
    values = np.random.default_rng([seed, *shape]).standard_normal(shape)
    return torch.tensor(values, dtype=dtype, requires_grad=grad)


def affine(spoil=lambda gx, gw: None):
    """tanh(x w) with a hand-written backward, spoiled or not."""

    class Affine(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, w):
            ctx.save_for_backward(x, w)
            return torch.tanh(x @ w)

        @staticmethod
        def backward(ctx, c):
            x, w = ctx.saved_tensors
            d = c * (1 - torch.tanh(x @ w) ** 2)
            gx, gw = d @ w.T, x.T @ d
            spoil(gx, gw)
            return gx, gw

    return Affine.apply


def off(gx, gw):
    gw[1, 2] *= 1.5


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_a_broken_function_fails_with_block_and_entry_and_the_honest_one_passes(dtype):
    x, w = rand(7, 4, dtype=dtype), rand(4, 5, dtype=dtype)
    assert check_torch(affine(), x, w).verdict is Verdict.CORRECT
    report = check_torch(affine(off), x, w)
    assert report.wrong == {"args.1"}
    finding = next(finding for finding in report.findings if finding.name == "args.1")
    assert finding.worst_index == (1, 2)
    assert finding.backend == "torch"


def elementwise(slope, scale=1.0):
    class Sine(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return scale * x.sin()

        @staticmethod
        def backward(ctx, c):
            (x,) = ctx.saved_tensors
            return scale * slope(c * x.cos())

    return Sine.apply


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_what_pytorch_accepts_is_found(dtype):
    x = rand(30, dtype=dtype)
    assert check_torch(elementwise(lambda g: g), x).verdict is Verdict.CORRECT
    assert check_torch(elementwise(lambda g: g.half().to(g.dtype)), x).wrong == {"args.0"}
    assert check_torch(elementwise(lambda g: 0 * g, 1e-9), x).wrong == {"args.0"}


class Hiding(nn.Module):
    def __init__(self, hide):
        super().__init__()
        self.first, self.second, self.idle = nn.Linear(4, 3), nn.Linear(3, 2), nn.Linear(2, 2)
        self.hide = hide

    def forward(self, x):
        weight = self.second.weight.detach() if self.hide else self.second.weight
        return nn.functional.linear(torch.tanh(self.first(x)), weight, self.second.bias)


def test_a_module_that_hides_a_weight_from_its_gradient_is_found_and_an_idle_one_is_a_note():
    x = rand(5, 4, dtype=torch.float32, grad=False)
    honest = check_torch(Hiding(False), x)
    assert honest.verdict is Verdict.CORRECT
    assert "idle.weight: no gradient, and the output does not depend on it" in honest.notes
    report = check_torch(Hiding(True), x)
    assert report.wrong == {"second.weight"}
    assert "no gradient" in next(f.reason for f in report.findings if f.name == "second.weight")


MODULES = {
    "linear": (lambda: nn.Linear(4, 3), (5, 4)),
    "convolution": (lambda: nn.Conv2d(3, 4, 3, padding=1), (2, 3, 6, 6)),
    "layer norm": (lambda: nn.LayerNorm(6), (4, 6)),
    "batch norm": (lambda: nn.BatchNorm1d(5), (8, 5)),
    "gelu": (lambda: nn.Sequential(nn.Linear(4, 4), nn.GELU()), (5, 4)),
    "dropout": (lambda: nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.5)), (8, 4)),
    "transformer": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (2, 5, 8)),
    "lstm": (lambda: nn.LSTM(4, 6, 2, batch_first=True, dropout=0.1), (3, 5, 4)),
}


def state(module):
    """Everything that must be as it was."""
    tensors = [*module.parameters(), *module.buffers()]
    return (
        [(tensor.data_ptr(), tensor.dtype, tensor.detach().clone()) for tensor in tensors],
        [tensor.grad.clone() if tensor.grad is not None else None for tensor in tensors],
        [part.training for part in module.modules()],
        torch.get_rng_state(),
        np.random.get_state()[1].copy(),
        random.getstate(),
    )


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("name", MODULES)
def test_modules_with_pytorchs_own_gradients_are_correct_and_untouched(name, mode):
    make, shape = MODULES[name]
    torch.manual_seed(0)
    module = getattr(make(), mode)()
    module(rand(*shape, dtype=torch.float32))[0].sum().backward()  # gradients that must be kept
    before = state(module)
    report = check_torch(module, rand(*shape, dtype=torch.float32))
    assert report.verdict is Verdict.CORRECT, str(report)
    assert [f.name for f in report.findings] == [*(n for n, _ in module.named_parameters()), "args.0"]
    assert same(before, state(module))
    random_note = "random numbers are drawn from seed 0 at every call" in report.notes
    assert random_note == (mode == "train" and name in ("dropout", "transformer", "lstm"))


class Failing(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.norm, self.calls = nn.Linear(3, 3), nn.BatchNorm1d(3), 0

    def forward(self, x):
        self.calls += 1
        out = self.norm(self.linear(x))
        if self.calls > 5:
            raise RuntimeError("out of luck")
        return out


def test_a_module_is_untouched_after_an_exception_too():
    module = Failing()
    before = state(module)
    with pytest.raises(gradcheck.CallFailed, match=r"^Failing raised RuntimeError: out of luck \(test_check_torch.py"):
        check_torch(module, rand(4, 3, dtype=torch.float32, grad=False))
    assert same(before, state(module))
    assert module.calls == 0


def test_arguments_are_named_by_their_paths_and_outputs_may_be_nested():
    def f(pair, n, mask=None):
        return {"a": pair[0] * pair[1] ** n, "b": [mask.exp(), torch.arange(3)]}

    report = check_torch(f, (rand(3), rand(3, seed=1)), 3, mask=rand(2))
    assert [finding.name for finding in report.findings] == ["args.0.0", "args.0.1", "kwargs.mask"]
    assert report.verdict is Verdict.CORRECT


def test_every_output_counts():
    class Second(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone(), 2 * x

        @staticmethod
        def backward(ctx, first, second):
            return first + 2.01 * second

    assert check_torch(Second.apply, rand(4)).wrong == {"args.0"}


class TwoOutputs(torch.autograd.Function):
    """x and x^2; where only the square is used, a broken one takes it for unused."""

    broken = False

    @staticmethod
    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x)
        return x.clone(), x * x

    @staticmethod
    def backward(ctx, first, second):
        (x,) = ctx.saved_tensors
        if first is None:
            return torch.zeros_like(x) if TwoOutputs.broken else 2 * x * second
        return first if second is None else first + 2 * x * second


@pytest.mark.parametrize("broken", [False, True])
def test_a_backward_pass_that_fails_where_one_output_is_used_alone_is_found(broken, monkeypatch):
    monkeypatch.setattr(TwoOutputs, "broken", broken)
    report = check_torch(TwoOutputs.apply, torch.linspace(0.5, 2, 4, dtype=torch.float64, requires_grad=True))
    assert report.wrong == ({"args.0"} if broken else frozenset())
    assert broken == ("where output 1 is used alone" in report.findings[0].reason)


@pytest.mark.parametrize("factor", [1.0, 1.001, 0.5, -1.0])
def test_a_backward_pass_that_answers_otherwise_for_one_output_alone_is_found_however_little(factor):
    class Sometimes(TwoOutputs):
        @staticmethod
        def backward(ctx, first, second):
            (x,) = ctx.saved_tensors
            if first is None:
                return factor * 2 * x * second
            return first if second is None else first + 2 * x * second

    report = check_torch(Sometimes.apply, torch.linspace(0.5, 2, 4, dtype=torch.float64, requires_grad=True))
    assert report.wrong == (set() if factor == 1 else {"args.0"})


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_gradients_of_single_outputs_add_up_to_rounding_and_are_then_not_checked_one_by_one(scale):
    """The twin: a sum that is off by more than that."""
    from gradcheck.adapters.pytorch import checking

    with checking.lent(lambda x: tuple(scale * (x * k).sin() for k in range(1, 9)), (rand(50),), {}, None, 0) as function:
        function.settle(None)
        whole = function.gradient(function.point())["args.0"]
        parts = [function.alone(output).gradient(function.point())["args.0"] for output in function.cotangents]
        assert not np.array_equal(sum(parts), whole)
        assert checking.adds_up(function)
        function.gradient = lambda _: {"args.0": whole + 1e-9 * np.abs(whole).max()}
        assert not checking.adds_up(function)


def test_only_a_wrong_block_that_has_no_gradient_is_told_so():
    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.hidden, self.idle = (nn.Parameter(rand(3, seed=i)) for i in range(3))

        def forward(self, x):
            return Third.apply(x * self.used) + self.hidden.detach() ** 2

    class Third(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x / 3

        @staticmethod
        def backward(ctx, c):
            return c

    reasons = {finding.name: finding.reason for finding in check_torch(Half(), rand(3, grad=False)).findings}
    told = "PyTorch has no gradient for it, and the output depends on it"
    assert reasons["hidden"] == told
    assert reasons["idle"] == ""
    assert reasons["used"] not in ("", told)


@pytest.mark.parametrize("factor", [1.0, 1.01])
def test_a_sparse_gradient_is_taken_as_the_dense_one_that_it_stands_for(factor):
    table = nn.Embedding(6, 3, sparse=True, dtype=torch.float64)
    table.weight.data.copy_(rand(6, 3))
    if factor != 1:
        table.weight.register_hook(lambda gradient: factor * gradient)
    report = check_torch(table, torch.tensor([1, 4, 1]))
    assert report.wrong == (set() if factor == 1 else {"weight"})


def test_complex_outputs_of_real_arguments_are_checked_as_pairs_of_numbers():
    assert check_torch(torch.fft.rfft, rand(8)).verdict is Verdict.CORRECT
    assert check_torch(elementwise(lambda g: 1.01 * g), rand(8)).verdict is Verdict.WRONG


def test_a_function_that_computes_in_float32_is_judged_at_its_own_precision():
    def narrow(x):
        return (x.float().sin() * 2).to(x.dtype)

    report = check_torch(narrow, rand(20))
    assert report.verdict is Verdict.CORRECT
    assert any("unit roundoff" in note for note in report.notes)


@pytest.mark.parametrize("seed", [2**32 - 1, 2**32, 2**40 + 1])
def test_a_seed_may_be_larger_than_numpy_takes(seed):
    assert check_torch(affine(), rand(2, 3), rand(3, 2), seed=seed).verdict is Verdict.CORRECT
    assert check_torch(affine(off), rand(2, 3), rand(3, 3), seed=seed).wrong == {"args.1"}


def test_a_function_is_judged_in_float64_only_where_all_of_it_follows():
    """The twin follows in both outputs."""
    for second, followed in ((torch.cos, True), (lambda x: x.float().cos(), False)):
        report = check_torch(lambda x, second=second: (x.sin(), second(x)), rand(4, dtype=torch.float32))
        assert report.verdict is Verdict.CORRECT
        assert ("judged in float64, which the function follows" in report.notes) == followed


@pytest.mark.parametrize(
    ("f", "arguments", "sentence"),
    [
        (torch.sin, (rand(3, grad=False),), "sin: nothing to check"),
        (torch.neg, (rand(3, grad=False).to_sparse().requires_grad_(),), "neg: args.0 is torch.sparse_coo"),
        (lambda x: None, (rand(3),), "<lambda> returned no floating tensor, but None"),
        (lambda x: "text", (rand(3),), "<lambda> returned no floating tensor, but a value of type str"),
        (lambda x: x @ x[:2], (rand(3),), "<lambda> raised RuntimeError: "),
    ],
)
def test_bad_input_is_one_sentence(f, arguments, sentence):
    with pytest.raises(gradcheck.GradcheckError) as raised:
        check_torch(f, *arguments)
    assert str(raised.value).startswith(sentence)
    assert "\n" not in str(raised.value)


def test_a_backward_pass_that_raises_is_one_sentence():
    def fail(gx, gw):
        raise ValueError("no backward\nhere")

    with pytest.raises(
        gradcheck.CallFailed, match=r"^the backward pass of Affine.apply raised ValueError: no backward here"
    ):
        check_torch(affine(fail), rand(3, 2), rand(2, 2))


def test_an_output_without_gradient_beside_others_is_left_out_and_said_so():
    report = check_torch(lambda x: (x.sin(), (x * x).detach()), rand(4))
    assert report.verdict is Verdict.CORRECT
    assert "output 1 carries no gradient and is left out" in report.notes
    assert check_torch(lambda x: (x * x).detach(), rand(4)).wrong == {"args.0"}


def test_empty_tensors_are_correct_and_judge_nothing_else():
    def f(x, y):
        return x.sum() + (y**2).sum()

    report = check_torch(f, rand(0, 3), rand(2))
    assert [str(finding.verdict) for finding in report.findings] == ["correct", "correct"]
    assert check_torch(affine(off), rand(0, 4), rand(4, 5)).verdict is Verdict.CORRECT
    assert check_torch(lambda x, y: f(x, elementwise(lambda g: 2 * g)(y)), rand(0, 3), rand(2)).wrong == {"args.1"}


@pytest.mark.parametrize(
    "draw", [random.random, np.random.random, lambda: torch.rand(()).item()], ids=["python", "numpy", "torch"]
)
def test_each_generator_is_seeded_before_every_call_and_goes_on_as_if_none_had_been_drawn(draw):
    """The twin: a generator that nobody knows of."""

    def scaled(x, draw=draw):
        return x.sin() * (1 + draw())

    for start in (0, 1):
        random.seed(start)
        np.random.seed(start)
        torch.manual_seed(start)
        before = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()
        report = check_torch(scaled, rand(3))
        assert report.verdict is Verdict.CORRECT
        assert "random numbers are drawn from seed 0 at every call" in report.notes
        after = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()
        assert after == before
    own = np.random.default_rng(0)
    assert check_torch(lambda x: scaled(x, own.random), rand(3)).verdict is Verdict.UNRESOLVED
