"""`check_torch(order=2)`: the double backward, judged against differences of the first derivative."""

import numpy as np
import pytest

from gradcheck import Verdict, check_torch
from gradcheck.errors import DataError, DescriptionError

torch = pytest.importorskip("torch")
from torch.autograd import Function  # noqa: E402 after what it needs
from torch.autograd.function import once_differentiable  # noqa: E402 after what it needs

SECOND = "torch, second order"
HIDES = "hides-second-order"


def rand(*shape, dtype=torch.float64, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def second(report):
    return {finding.name: finding for finding in report.findings if finding.backend == SECOND}


def how(report):
    return {each.name: each.evidence["how"] for each in report.diagnoses if each.cause == HIDES}


def holds(f, *args, **options):
    report = check_torch(f, *args, order=2, **options)
    assert report.verdict is Verdict.CORRECT, str(report)
    return report


def breaks(f, *args, wrong):
    """Wrong in these blocks of the second order, and in nothing else."""
    report = check_torch(f, *args, order=2)
    assert {name for name, finding in second(report).items() if finding.verdict is Verdict.WRONG} == set(wrong), str(report)
    assert {finding.verdict for finding in report.findings if finding.backend == "torch"} == {Verdict.CORRECT}
    return report


# What is right


def test_blocks_keep_their_names_and_every_cotangent_is_one():
    report = holds(torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Tanh()), torch.randn(2, 3))
    assert list(second(report)) == ["0.weight", "0.bias", "cotangent"]
    assert [finding.name for finding in report.findings if finding.backend == "torch"] == ["0.weight", "0.bias"]
    assert list(second(holds(lambda x: (x.sin(), x.exp()), rand(3)))) == [
        "args.0",
        "cotangent.output.0",
        "cotangent.output.1",
    ]


RIGHT = {
    "linear by its argument": (lambda x: x @ torch.ones(3, 2, dtype=x.dtype), rand(2, 3)),
    "a sum": (lambda x: x.sum(), rand(4)),
    "kinks, at generic points": (lambda x: torch.relu(x).abs() + x.clamp(-1, 1), rand(8)),
    "the largest": (lambda x: x.max(-1).values, rand(3, 5)),
    "constant to rounding": (lambda x: torch.corrcoef(x), rand(2)),
    "cross entropy": (lambda x: torch.nn.functional.cross_entropy(x, torch.tensor([0, 2])), rand(2, 3)),
    "float32": (lambda x: torch.tanh(x) ** 2, rand(4, dtype=torch.float32)),
    "random numbers": (lambda x: torch.nn.functional.dropout(x * x, 0.5), rand(8)),
    "complex inside": (lambda x: torch.fft.rfft(x).abs(), rand(5)),
}


@pytest.mark.parametrize("case", RIGHT.values(), ids=RIGHT)
def test_what_pytorch_differentiates_twice_is_correct(case):
    f, *args = case
    holds(f, *args)


def test_a_gradient_penalty_is_correct_and_everything_is_put_back():
    critic = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Softplus(), torch.nn.Linear(4, 1))
    before = {name: (value.clone(), value.data_ptr()) for name, value in critic.state_dict().items()}

    def penalty(x):
        (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
        return ((slope.norm(dim=1) - 1) ** 2).mean()

    holds(penalty, rand(2, 3, dtype=torch.float32))
    for name, value in critic.state_dict().items():
        assert torch.equal(value, before[name][0])
        assert value.data_ptr() == before[name][1]
        assert value.grad is None


# A double backward of its own


def product(rule):
    """``x @ w``, whose backward pass is a function with a backward pass: ``rule(ggx, ggw, c, x, w)``."""

    class Double(Function):
        @staticmethod
        def forward(ctx, c, x, w):
            ctx.save_for_backward(c, x, w)
            return c @ w.T, x.T @ c

        @staticmethod
        def backward(ctx, ggx, ggw):
            return rule(ggx, ggw, *ctx.saved_tensors)

    class Product(Function):
        @staticmethod
        def forward(ctx, x, w):
            ctx.save_for_backward(x, w)
            return x @ w

        @staticmethod
        def backward(ctx, c):
            return Double.apply(c, *ctx.saved_tensors)

    return Product.apply


RULES = {
    "right": (lambda a, b, c, x, w: (a @ w + x @ b, c @ b.T, a.T @ c), ()),
    "a term by the cotangent is missing": (lambda a, b, c, x, w: (a @ w, c @ b.T, a.T @ c), ("cotangent",)),
    "the other term is missing": (lambda a, b, c, x, w: (x @ b, c @ b.T, a.T @ c), ("cotangent",)),
    "a sign": (lambda a, b, c, x, w: (a @ w + x @ b, -(c @ b.T), a.T @ c), ("args.0",)),
    "one part in ten thousand": (lambda a, b, c, x, w: (a @ w + x @ b, c @ b.T, 1.0001 * (a.T @ c)), ("args.1",)),
    "no dependence on an argument": (lambda a, b, c, x, w: (a @ w + x @ b, None, a.T @ c), ("args.0",)),
    "no dependence on the cotangent": (lambda a, b, c, x, w: (None, c @ b.T, a.T @ c), ("cotangent",)),
    "the cotangent is taken for ones": (lambda a, b, c, x, w: (a @ w + x @ b, (c * 0 + 1) @ b.T, a.T @ c), ("args.0",)),
    "half precision": (lambda a, b, c, x, w: ((a @ w + x @ b).half().to(c), c @ b.T, a.T @ c), ("cotangent",)),
}


@pytest.mark.parametrize("case", RULES.values(), ids=RULES)
def test_a_wrong_double_backward_is_found_by_the_block_that_it_is_wrong_for(case):
    rule, wrong = case
    report = breaks(product(rule), rand(3, 4), rand(4, 2, seed=1), wrong=wrong)
    assert not how(report)  # nothing is hidden: it is there, and wrong


def test_what_is_right_for_all_gradients_and_wrong_for_one_alone_is_found():
    class Double(Function):
        @staticmethod
        def forward(ctx, c, x, w):
            ctx.set_materialize_grads(False)
            ctx.save_for_backward(c, x, w)
            return c * w, x * c

        @staticmethod
        def backward(ctx, a, b):
            c, x, w = ctx.saved_tensors
            if b is None:
                return a * w, None, None  # c by w is forgotten
            return (x * b, c * b, None) if a is None else (a * w + x * b, c * b, a * c)

    class Product(Function):
        @staticmethod
        def forward(ctx, x, w):
            ctx.save_for_backward(x, w)
            return x * w

        @staticmethod
        def backward(ctx, c):
            return Double.apply(c, *ctx.saved_tensors)

    report = breaks(Product.apply, rand(4), rand(4, seed=1), wrong=["args.1"])
    assert "where output gradient of args.0 is used alone" in second(report)["args.1"].reason


@pytest.mark.parametrize(("factor", "said"), [(4, "which it is the derivative of"), (6, "it is not the derivative of that")])
def test_the_derivative_of_a_wrong_first_one_is_said_to_be_that(factor, said):
    class Double(Function):
        @staticmethod
        def forward(ctx, c, x):
            ctx.save_for_backward(c, x)
            return 2 * x * x * c  # where 3 belongs

        @staticmethod
        def backward(ctx, g):
            c, x = ctx.saved_tensors
            return 2 * x * x * g, factor * x * c * g

    class Cube(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, c):
            return Double.apply(c, *ctx.saved_tensors)

    report = check_torch(Cube.apply, rand(4), order=2)
    assert report.wrong == {"args.0"}
    found = second(report)["args.0"]
    assert found.verdict is (Verdict.CORRECT if factor == 4 else Verdict.WRONG)
    assert found.reason.startswith("the first derivative is wrong in args.0, ")
    assert said in found.reason


# What is hidden


def sine(backward, forward=lambda ctx, x: ctx.save_for_backward(x)):
    class Sine(Function):
        @staticmethod
        def forward(ctx, x):
            forward(ctx, x)
            return torch.sin(x)

    Sine.backward = staticmethod(backward)
    return Sine.apply


def without_recording(ctx, c):
    with torch.no_grad():
        slope = torch.cos(ctx.saved_tensors[0])
    return c * slope


def by_hand(ctx, c):
    with torch.enable_grad():
        x = ctx.saved_tensors[0].detach().requires_grad_()
        return torch.autograd.grad(torch.sin(x), x, c.detach())[0]


def attribute(ctx, x):
    ctx.slope = torch.cos(x)


def listed(ctx, x):
    ctx.kept = {"slopes": [torch.cos(x).numpy()]}


HIDDEN = {
    "detach": (lambda ctx, c: c * torch.cos(ctx.saved_tensors[0].detach()), None, "detach() in Sine.backward"),
    "data": (lambda ctx, c: c * torch.cos(ctx.saved_tensors[0].data), None, ".data in Sine.backward"),
    "numpy": (
        lambda ctx, c: c * torch.from_numpy(np.cos(ctx.saved_tensors[0].detach().numpy())),
        None,
        "detach() in Sine.backward",
    ),
    "no_grad": (without_recording, None, "cos() under torch.no_grad() in Sine.backward"),
    "attribute": (lambda ctx, c: c * ctx.slope, attribute, "ctx.slope of Sine"),
    "attribute within": (
        lambda ctx, c: c * torch.from_numpy(ctx.kept["slopes"][0]),
        listed,
        "ctx.kept.slopes.0 of Sine",
    ),
    "intermediate": (
        lambda ctx, c: c * ctx.saved_tensors[0],
        lambda ctx, x: ctx.save_for_backward(torch.cos(x)),
        "saved tensor 0 of Sine (neither argument nor output)",
    ),
}


@pytest.mark.parametrize("case", HIDDEN.values(), ids=HIDDEN)
def test_numbers_without_a_graph_hide_the_second_derivative_and_are_named(case):
    backward, forward, said = case
    report = breaks(sine(backward, *([forward] if forward else [])), rand(4), wrong=["args.0"])
    assert how(report)["args.0"].startswith("no graph leads from the first derivative to it")
    assert said in how(report)["args.0"]


def test_what_records_nothing_at_all_hides_both():
    report = breaks(sine(by_hand), rand(4), wrong=["args.0", "cotangent"])
    assert set(how(report)) == {"args.0", "cotangent"}


def test_a_saved_argument_as_an_attribute_hides_nothing():
    def keeps(ctx, x):
        ctx.x = x

    holds(sine(lambda ctx, c: c * torch.cos(ctx.x), keeps), rand(4))


def normalised(change, saved=False):
    """A layer norm, in whose backward pass the deviation is changed, or taken as it was saved."""

    class Norm(Function):
        @staticmethod
        def forward(ctx, x, w):
            mean, deviation = x.mean(-1, keepdim=True), x.std(-1, correction=0, keepdim=True)
            ctx.save_for_backward(x, w, mean, deviation)
            return (x - mean) / deviation * w

        @staticmethod
        def backward(ctx, c):
            x, w, mean, deviation = ctx.saved_tensors
            if not saved:
                mean, deviation = x.mean(-1, keepdim=True), x.std(-1, correction=0, keepdim=True)
            deviation = change(deviation)
            h, d = (x - mean) / deviation, c * w
            return (d - d.mean(-1, keepdim=True) - h * (d * h).mean(-1, keepdim=True)) / deviation, (c * h).sum(0)

    return Norm.apply


def test_a_part_that_is_held_fixed_is_named_by_what_the_claim_is_the_derivative_of():
    args = rand(3, 5), rand(5, seed=1)
    holds(normalised(lambda s: s), *args)
    report = breaks(normalised(lambda s: s.detach()), *args, wrong=["args.0"])
    assert how(report) == {"args.0": "it is the derivative with the result of detach() in Norm.backward held fixed"}
    report = breaks(normalised(lambda s: s, saved=True), *args, wrong=["args.0"])
    assert "saved tensor 3 of Norm (neither argument nor output)" in how(report)["args.0"]


def test_a_penalty_by_a_number_is_named():
    class Norm(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.norm()

        @staticmethod
        def backward(ctx, c):
            (x,) = ctx.saved_tensors
            return c * x / x.detach().norm().item()

    report = breaks(Norm.apply, rand(4), wrong=["args.0"])
    assert how(report) == {"args.0": "it is the derivative with the result of detach() in Norm.backward held fixed"}


def test_a_wrong_sign_beside_saved_numbers_is_no_hiding():
    """The twin of what is named by what it holds: the numbers are accounted for by hand, and wrongly."""

    def tanh(factor):
        class Double(Function):
            @staticmethod
            def forward(ctx, x, slope, c):
                ctx.save_for_backward(x, slope, c)
                return slope * c

            @staticmethod
            def backward(ctx, g):
                x, slope, c = ctx.saved_tensors
                return factor * torch.tanh(x) * slope * c * g, None, slope * g

        class Tanh(Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x, 1 - torch.tanh(x) ** 2)
                return torch.tanh(x)

            @staticmethod
            def backward(ctx, c):
                return Double.apply(*ctx.saved_tensors, c)

        return Tanh.apply

    holds(tanh(-2), rand(4))
    report = breaks(tanh(2), rand(4), wrong=["args.0"])
    assert [each.cause for each in report.diagnoses] == ["sign"]


# What is refused


def test_once_differentiable_is_no_wrong_derivative_and_no_right_one():
    @once_differentiable
    def backward(ctx, c):
        return c * torch.cos(ctx.saved_tensors[0])

    report = check_torch(lambda x, w: sine(backward)(x).sum() + (w**3).sum(), rand(3), rand(3, seed=1), order=2)
    found = second(report)
    assert report.verdict is Verdict.UNRESOLVED
    assert not report.wrong
    assert found["args.0"].verdict is found["cotangent"].verdict is Verdict.UNSUPPORTED
    assert found["args.1"].verdict is Verdict.CORRECT
    assert how(report)["args.0"] == "Sine is marked once_differentiable, and refuses it"
    assert "once_differentiable" in found["second derivative"].reason


def test_an_operator_without_a_second_derivative_is_named():
    scores, targets = rand(5, 1, 3), torch.tensor([[1, 2]])
    lengths = torch.tensor([5]), torch.tensor([2])
    report = check_torch(lambda x: torch.nn.functional.ctc_loss(x.log_softmax(2), targets, *lengths), scores, order=2)
    assert report.verdict is Verdict.UNRESOLVED
    assert "_ctc_loss_backward is not implemented" in second(report)["second derivative"].reason


def test_what_raises_only_where_it_is_differentiated_twice_is_no_exception_of_ours():
    def raising(ctx, c):
        if c.requires_grad:
            raise ValueError("not twice")
        return c * torch.cos(ctx.saved_tensors[0])

    report = check_torch(sine(raising), rand(4), order=2)
    assert report.verdict is Verdict.UNRESOLVED
    assert "raised ValueError: not twice" in second(report)["args.0"].reason


@pytest.mark.parametrize("order", [0, 3, "2", True, None, 2.5])
def test_another_order_is_refused_in_one_line(order):
    with pytest.raises(DescriptionError, match="order: expected 1 or 2, got"):
        check_torch(torch.sin, rand(3), order=order)


def test_the_second_order_has_no_reference_and_no_forward_mode():
    with pytest.raises(DataError, match=r"reference: .* leave order out"):
        check_torch(torch.sin, rand(3), order=2, reference=torch.sin)
    with pytest.raises(DataError, match=r"order: .* ask for 'reverse', too"):
        check_torch(torch.sin, rand(3), order=2, modes="forward")


def test_nothing_is_asked_where_there_is_no_first_derivative():
    report = check_torch(lambda x: x.detach() * 0, rand(3), order=2)
    assert "no second derivative was asked for: there is no first one" in report.notes
