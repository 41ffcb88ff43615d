"""The contract of a backward function: what breaks it is found with its cause, and its honest twin is correct.

Every fault here has the right gradient wherever differences look.
"""

import warnings

import numpy as np
import pytest

from gradcheck import Verdict, check_torch

torch = pytest.importorskip("torch")
nn, Function = torch.nn, torch.autograd.Function


def rand(*shape, dtype=torch.float64, grad=True, seed=0):
    values = np.random.default_rng([seed, *shape]).standard_normal(shape)
    return torch.tensor(values, dtype=dtype, requires_grad=grad)


def vjp(x, w, c):
    """Of tanh(x w), the function of most tests."""
    d = c * (1 - torch.tanh(x @ w) ** 2)
    return d @ w.T, x.T @ d


class Affine(Function):
    """Honest in everything."""

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return torch.tanh(x @ w)

    @staticmethod
    def backward(ctx, c):
        return vjp(*ctx.saved_tensors, c)


def affine(backward):
    """With another backward pass."""
    return type("Affine", (Affine,), {"backward": staticmethod(backward)}).apply


class Layer(nn.Module):
    """A function in a module, between other layers: it never sees the module's own cotangent."""

    def __init__(self, f):
        super().__init__()
        self.f, self.weight, self.out = f, nn.Parameter(rand(4, 5, grad=False).float()), nn.Linear(5, 2)

    def forward(self, x):
        return self.out(self.f(x.sin(), self.weight).exp())


PLACES = {
    "alone": lambda f: (f, (rand(6, 4), rand(4, 5))),
    "in float32": lambda f: (f, (rand(6, 4, dtype=torch.float32), rand(4, 5, dtype=torch.float32))),
    "deep inside": lambda f: (lambda x, w: f(x.sin(), 2 * w).exp().sum(), (rand(6, 4), rand(4, 5))),
    "beside another output": lambda f: (lambda x, w: {"a": f(x * 1, w), "b": [x.cos()]}, (rand(6, 4), rand(4, 5))),
    "in a module": lambda f: (Layer(f), (rand(6, 4, dtype=torch.float32),)),
}
everywhere = pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)


def holds(f, *args):
    report = check_torch(f, *args)
    assert report.verdict is Verdict.CORRECT, str(report)
    assert not [note for note in report.notes if "refused" in note or "raised" in note or "asked" in note], report.notes


def breaks(cause, f, *args, says=""):
    """It is found, with this very cause and no other; and is correct where nobody asks."""
    report = check_torch(f, *args)
    assert report.verdict is Verdict.WRONG, str(report)
    assert {diagnosis.cause for diagnosis in report.diagnoses} == {cause}, str(report)
    assert {diagnosis.name for diagnosis in report.diagnoses} == report.wrong
    wrong = [finding for finding in report.findings if finding.verdict is Verdict.WRONG]
    assert all(says in finding.reason for finding in wrong), str(report)
    assert cause_is_told(report)
    return report


def cause_is_told(report):
    text = str(report)
    return "cause:" in text and "remedy:" in text and report.to_html() and report.to_json()


def overwrites_saved(ctx, c):
    x, w = ctx.saved_tensors
    found = vjp(x, w, c)
    x.data.mul_(2)
    return found


def overwrites_saved_in_sight(ctx, c):
    x, w = ctx.saved_tensors
    found = vjp(x, w, c)
    w.mul_(0)
    return found


def counts(ctx, c):
    ctx.passes = getattr(ctx, "passes", 0) + 1
    gx, gw = vjp(*ctx.saved_tensors, c)
    return gx, gw * ctx.passes


def lets_go(ctx, c):
    if getattr(ctx, "gone", False):
        raise RuntimeError("its memory is gone")
    ctx.gone = True
    return vjp(*ctx.saved_tensors, c)


@everywhere
def test_an_honest_function_is_correct_wherever_it_stands(place):
    f, args = place(Affine.apply)
    holds(f, *args)


@everywhere
@pytest.mark.parametrize("backward", [overwrites_saved, overwrites_saved_in_sight, counts, lets_go])
def test_a_backward_pass_that_spoils_what_was_saved_is_found_by_a_second_one(backward, place):
    f, args = place(affine(backward))
    breaks("mutates-saved", f, *args, says="the second time through one graph")


def overwrites_cotangent(ctx, c):
    x, w = ctx.saved_tensors
    d = c.mul_(1 - torch.tanh(x @ w) ** 2)
    return d @ w.T, x.T @ d


def overwrites_cotangent_after_use(ctx, c):
    found = vjp(*ctx.saved_tensors, c)
    c.data.zero_()
    return found


@everywhere
@pytest.mark.parametrize("backward", [overwrites_cotangent, overwrites_cotangent_after_use])
def test_a_backward_pass_that_overwrites_its_cotangent_is_found_also_deep_inside(backward, place):
    f, args = place(affine(backward))
    breaks("mutates-cotangent", f, *args, says="the call changes the cotangent of AffineBackward")


def views(ctx, c):
    return vjp(*ctx.saved_tensors, c.view(-1).view(c.shape))


def reads_on(ctx, c):
    """As a kernel that is handed a pointer."""
    return vjp(*ctx.saved_tensors, torch.as_strided(c, c.shape, (c.shape[1], 1)))


def reads_the_buffer(ctx, c):
    found = vjp(*ctx.saved_tensors, c)
    return found if c.is_contiguous() else tuple(2 * each for each in found)


@everywhere
@pytest.mark.parametrize("backward", [views, reads_on, reads_the_buffer])
def test_a_backward_pass_that_takes_its_cotangent_for_contiguous_is_found(backward, place):
    f, args = place(affine(backward))
    breaks("cotangent-layout", f, *args, says="cotangent")


class Waves(Function):
    """sin and cos, either of which may be unused."""

    @staticmethod
    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x)
        return x.sin(), x.cos()

    @staticmethod
    def backward(ctx, first, second):
        (x,) = ctx.saved_tensors
        found = torch.zeros_like(x)
        if first is not None:
            found = found + first * x.cos()
        return found if second is None else found - second * x.sin()


class Careless(Waves):
    @staticmethod
    def backward(ctx, first, second):
        (x,) = ctx.saved_tensors
        return first * x.cos() - second * x.sin()


class Forgetful(Waves):
    @staticmethod
    def backward(ctx, first, second):
        return None if first is None or second is None else Waves.backward(ctx, first, second)


def test_a_backward_pass_that_cannot_do_without_one_of_its_cotangents_is_found():
    holds(Waves.apply, rand(3, 4))
    holds(lambda x: sum(Waves.apply(x * 1)).exp(), rand(3, 4))
    breaks("cotangent-layout", Careless.apply, rand(3, 4), says="where the cotangent of output 0 is None")
    for function in (Careless, Forgetful):
        breaks("cotangent-layout", lambda x, f=function.apply: sum(f(x * 1)).exp(), rand(3, 4), says="is None")


def test_a_backward_pass_that_cannot_do_without_any_cotangent_is_a_note():
    class Alone(Exponential):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return Exponential.forward(ctx, x)

    report = check_torch(lambda x: Alone.apply(x.sin()), rand(3, 4))
    assert report.verdict is Verdict.CORRECT
    assert any(note.startswith("where every cotangent is None the backward pass raised ") for note in report.notes)


def test_a_cotangent_of_zeros_has_no_gradient():
    class Plus(Affine):
        @staticmethod
        def backward(ctx, c):
            x, w = ctx.saved_tensors
            gx, gw = vjp(x, w, c)
            return gx, gw if c.any() else gw + w

    breaks("cotangent-layout", Plus.apply, rand(6, 4), rand(4, 5), says="zeros")


def reads_its_arguments_on(ctx, c):
    x, w = ctx.saved_tensors
    return vjp(torch.as_strided(x, x.shape, (x.shape[1], 1)), w, c)


def refuses_its_arguments(ctx, c):
    x, w = ctx.saved_tensors
    return vjp(x.view(-1).view(x.shape), w, c)


class ReadsOn(Affine):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return torch.tanh(torch.as_strided(x, x.shape, (x.shape[1], 1)) @ w)


class Refuses(Affine):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return torch.tanh(x.view(-1).view(x.shape) @ w)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("backward", [reads_its_arguments_on, refuses_its_arguments])
def test_a_backward_pass_that_takes_its_arguments_for_contiguous_is_found(backward, dtype):
    x, w = rand(6, 4, dtype=dtype), rand(4, 5, dtype=dtype)
    breaks("input-layout", affine(backward), x, w, says="arguments")
    breaks("input-layout", lambda x, w: affine(backward)(x, w).exp(), x, w, says="arguments")


def test_a_forward_pass_that_reads_its_arguments_on_is_found_and_one_that_refuses_them_is_a_note():
    breaks("input-layout", ReadsOn.apply, rand(6, 4), rand(4, 5), says="with transposed arguments the output is another")
    report = check_torch(Refuses.apply, rand(6, 4), rand(4, 5))
    assert report.verdict is Verdict.CORRECT
    assert any(note.startswith("with transposed arguments it is refused: ") for note in report.notes)


def asks_for_the_wrong_one(ctx, c):
    gx, gw = vjp(*ctx.saved_tensors, c)
    first = ctx.needs_input_grad[0]
    return gx if first else None, gw if first else None


def asks_for_both(ctx, c):
    return vjp(*ctx.saved_tensors, c) if all(ctx.needs_input_grad) else (None, None)


def shifts(ctx, c):
    gx, gw = vjp(*ctx.saved_tensors, c)
    return (gx, gw) if ctx.needs_input_grad[0] else (gw, None)


def asks(ctx, c):
    gx, gw = vjp(*ctx.saved_tensors, c)
    return gx if ctx.needs_input_grad[0] else None, gw if ctx.needs_input_grad[1] else None


@everywhere
@pytest.mark.parametrize("backward", [asks_for_the_wrong_one, asks_for_both, shifts])
def test_a_backward_pass_that_needs_all_to_require_a_gradient_is_found(backward, place):
    f, args = place(affine(asks))
    holds(f, *args)
    f, args = place(affine(backward))
    breaks("needs-input-grad", f, *args, says=" a gradient")


def test_of_many_blocks_halves_are_asked_for():
    class Many(Function):
        @staticmethod
        def forward(ctx, *args):
            return sum((k + 1) * each for k, each in enumerate(args))

        @staticmethod
        def backward(ctx, c):
            found = [(k + 1) * c for k in range(9)]
            return tuple(found) if ctx.needs_input_grad[4] else (None, *found[1:])

    breaks("needs-input-grad", Many.apply, *(rand(3, seed=k) for k in range(9)), says="of 9 blocks")


class Dual(Function):
    """In the style of ``setup_context``, with a forward derivative."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x, w):
        return torch.tanh(x @ w)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    backward = Affine.backward

    @staticmethod
    def jvp(ctx, tx, tw):
        x, w = ctx.saved_tensors
        return (tx @ w + x @ tw) * (1 - torch.tanh(x @ w) ** 2)


class Lame(Dual):
    @staticmethod
    def jvp(ctx, tx, tw):
        x, w = ctx.saved_tensors
        return tx @ w * (1 - torch.tanh(x @ w) ** 2)


class Failing(Dual):
    @staticmethod
    def jvp(ctx, tx, tw):
        raise ValueError("no such luck")


class Old(Affine):
    """Forward derivatives in the older style."""

    factor = 1

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        ctx.save_for_forward(x, w)
        return torch.tanh(x @ w)

    @classmethod
    def jvp(cls, ctx, tx, tw):
        return cls.factor * Dual.jvp(ctx, tx, tw)


@everywhere
def test_a_forward_derivative_that_says_something_else_is_found(place):
    for honest in (Dual, Old):
        holds(place(honest.apply)[0], *place(honest.apply)[1])
    for wrong in (Lame, type("Older", (Old,), {"factor": 1.001})):
        f, args = place(wrong.apply)
        breaks("forward-mode", f, *args, says="along a tangent the forward derivative is")
    f, args = place(Failing.apply)
    breaks("forward-mode", f, *args, says="the forward derivative raised ValueError: no such luck")


def test_where_an_operator_beside_it_has_no_forward_derivative_nothing_is_said():
    holds(lambda x, w: Affine.apply(Lame.apply(x, w), w.T), rand(6, 4), rand(4, 5))


class Each(Function):
    """Batched by a rule of its own."""

    @staticmethod
    def forward(x, w):
        return torch.tanh(x @ w)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    backward = Affine.backward

    @staticmethod
    def vmap(info, places, *args):
        pairs = zip(args, places, strict=True)
        moved = [a.movedim(k, 0) if k is not None else a.expand(info.batch_size, *a.shape) for a, k in pairs]
        return torch.stack([Each.apply(*pair) for pair in zip(*moved, strict=True)]), 0


class First(Each):
    @staticmethod
    def vmap(info, places, *args):
        found, _ = Each.vmap(info, places, *args)
        return found[:1].expand(found.shape), 0


class Misplaced(Each):
    @staticmethod
    def vmap(info, places, *args):
        return (Each.vmap(info, places, *args)[0].flip(0)), 0


class Item(Dual):
    """Declares what it cannot do."""

    @staticmethod
    def backward(ctx, c):
        return vjp(*ctx.saved_tensors, c if c.sum().item() < np.inf else 0 * c)


@pytest.mark.parametrize("place", [PLACES["alone"], PLACES["deep inside"]], ids=["alone", "deep inside"])
def test_a_batch_that_is_answered_otherwise_than_one_by_one_is_found(place):
    holds(place(Each.apply)[0], *place(Each.apply)[1])
    for wrong in (First, Misplaced, Item):
        f, args = place(wrong.apply)
        breaks("vmap", f, *args, says="at once")


class OnTheClass(Affine):
    @staticmethod
    def forward(ctx, x, w):
        OnTheClass.x = x
        ctx.save_for_backward(w)
        return torch.tanh(x @ w)

    @staticmethod
    def backward(ctx, c):
        return vjp(OnTheClass.x, *ctx.saved_tensors, c)


KEPT = {}


class InAGlobal(Affine):
    @staticmethod
    def forward(ctx, x, w):
        KEPT["slope"] = 1 - torch.tanh(x @ w) ** 2
        ctx.save_for_backward(x, w)
        return torch.tanh(x @ w)

    @staticmethod
    def backward(ctx, c):
        x, w = ctx.saved_tensors
        d = c * KEPT["slope"]
        return d @ w.T, x.T @ d


class BatchSize(Affine):
    @staticmethod
    def forward(ctx, x, w):
        BatchSize.n = len(x)
        ctx.save_for_backward(x, w)
        return torch.tanh(x @ w) / len(x)

    @staticmethod
    def backward(ctx, c):
        return vjp(*ctx.saved_tensors, c / BatchSize.n)


class Once(Affine):
    """Answers for ever what it answered first."""

    answer = ()

    @classmethod
    def backward(cls, ctx, c):
        cls.answer = cls.answer or vjp(*ctx.saved_tensors, c)
        return cls.answer


def test_an_answer_that_is_kept_for_ever_is_found():
    report = check_torch(type("Once", (Once,), {}).apply, rand(6, 4), rand(4, 5))
    assert report.wrong == {"args.0", "args.1"}
    assert "cotangent-layout" in {diagnosis.cause for diagnosis in report.diagnoses}


@everywhere
@pytest.mark.parametrize("function", [OnTheClass, InAGlobal, BatchSize])
def test_what_is_kept_beside_the_context_is_found_by_a_forward_pass_in_between(function, place):
    f, args = place(function.apply)
    breaks("shared-state", f, *args, says="after a forward pass")


class Exponential(Function):
    """Its output is what it saves."""

    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, c):
        return c * ctx.saved_tensors[0]


class OutOfSight(Exponential):
    @staticmethod
    def forward(ctx, x):
        ctx.y = x.exp()
        return ctx.y

    @staticmethod
    def backward(ctx, c):
        return c * ctx.y


class Alias(Function):
    """NumPy's view of its argument, of which PyTorch does not know."""

    @staticmethod
    def forward(ctx, x):
        return torch.from_numpy(x.detach().numpy().ravel())

    @staticmethod
    def backward(ctx, c):
        return c.reshape(3, 4)


class Same(Function):
    @staticmethod
    def forward(ctx, x):
        return x

    @staticmethod
    def backward(ctx, c):
        return c


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_an_output_that_may_not_be_changed_in_place_is_found_unless_pytorch_refuses(dtype):
    x = rand(3, 4, dtype=dtype)
    for function in (Exponential, Same):
        holds(function.apply, x)
    breaks("output-view", OutOfSight.apply, x, says="where the output is doubled in place the gradient is off")
    breaks("output-view", lambda x: (OutOfSight.apply(x * 1), x.sin()), x, says="where the output is doubled in place")
    breaks("output-view", Alias.apply, x, says="of another function of the argument")


def test_several_faults_are_told_in_the_order_of_their_causes():
    def all_at_once(ctx, c):
        x, w = ctx.saved_tensors
        found = vjp(x, w, c.view(-1).view(c.shape))
        x.data.mul_(2)
        return found

    report = check_torch(affine(all_at_once), rand(6, 4), rand(4, 5))
    causes = [diagnosis.cause for diagnosis in report.diagnoses if diagnosis.name == "args.0"]
    assert causes == ["mutates-saved", "cotangent-layout"]


@pytest.mark.parametrize("backward", [overwrites_saved, views, overwrites_cotangent, asks_for_both])
def test_nobody_is_asked_who_is_not_to_be(backward):
    report = check_torch(affine(backward), rand(6, 4), rand(4, 5), contract=False)
    assert report.verdict is Verdict.CORRECT
    assert report.diagnoses == ()


def test_a_block_whose_gradient_is_wrong_keeps_that_reason():
    def both(ctx, c):
        gx, gw = views(ctx, c)
        return 2 * gx, gw

    reasons = {finding.name: finding.reason for finding in check_torch(affine(both), rand(6, 4), rand(4, 5)).findings}
    assert "cotangent" not in reasons["args.0"]
    assert "cotangent" in reasons["args.1"]


class Narrow(Affine):
    """Computed in another arithmetic than it shows."""

    dtype = torch.float32

    @classmethod
    def forward(cls, ctx, x, w):
        ctx.save_for_backward(x, w)
        return torch.tanh(x.to(cls.dtype) @ w.to(cls.dtype)).to(x.dtype)

    @classmethod
    def backward(cls, ctx, c):
        x, w = ctx.saved_tensors
        return tuple(each.to(c.dtype) for each in vjp(x.to(cls.dtype), w.to(cls.dtype), c.to(cls.dtype)))


class Narrower(Narrow):
    dtype = torch.bfloat16


@pytest.mark.parametrize("function", [Narrow, Narrower])
def test_coarse_arithmetic_within_a_function_breaks_no_contract(function):
    for f in (function.apply, lambda x, w: function.apply(x.sin(), w).cos() * x[:, :30]):
        report = check_torch(f, rand(50, 40), rand(40, 30))
        assert report.verdict is not Verdict.WRONG, str(report)
        assert report.diagnoses == ()


def test_gradients_that_are_summed_in_another_order_each_time_break_no_contract():
    class Atomic(Affine):
        @staticmethod
        def backward(ctx, c):
            x, w = ctx.saved_tensors
            order = torch.randperm(len(x), generator=SHUFFLED)
            return vjp(x, w, c)[0], vjp(x[order].float(), w.float(), c[order].float())[1].to(c.dtype)

    report = check_torch(Atomic.apply, rand(300, 4, dtype=torch.float32), rand(4, 5, dtype=torch.float32))
    assert report.verdict is not Verdict.WRONG, str(report)


SHUFFLED = torch.Generator()


def test_a_block_that_is_zero_to_rounding_breaks_no_contract():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 1))
    report = check_torch(module, rand(16, 4, dtype=torch.float32))
    assert report.verdict is Verdict.CORRECT, str(report)


def test_checkpoints_custom_operators_and_functions_in_place_are_honest():
    from torch.utils.checkpoint import checkpoint

    holds(lambda x, w: checkpoint(Affine.apply, x * 1, w, use_reentrant=False), rand(6, 4), rand(4, 5))
    holds(lambda x: InPlace.apply(x.clone()).sin(), rand(3, 4))
    holds(waves, rand(3, 4))
    breaks("cotangent-layout", lambda x: viewed_waves(x * 1).exp(), rand(3, 4), says="transposed")


class InPlace(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        ctx.save_for_backward(x.exp_())
        return x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, c):
        return c * ctx.saved_tensors[0]


def operator(name, backward):
    def sine(x: torch.Tensor) -> torch.Tensor:
        return x.detach().sin()

    made = torch.library.custom_op(f"gradcheck_tests::{name}", sine, mutates_args=())
    made.register_autograd(backward, setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs))
    return made


waves = operator("waves", lambda ctx, c: c * ctx.saved_tensors[0].cos())
viewed_waves = operator("viewed_waves", lambda ctx, c: c.view(-1).view(c.shape) * ctx.saved_tensors[0].cos())


def test_a_compiled_function_is_honest():
    """But for a second time through its graph, which it says that it was not compiled for."""
    compiled = torch.compile(lambda x, w: torch.tanh(x @ w), backend="aot_eager")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the compiler looks at all that a tensor has, deprecated or not
        for f in (compiled, lambda x, w: compiled(x.sin(), w).exp()):
            report = check_torch(f, rand(6, 4), rand(4, 5))
            assert report.verdict is Verdict.CORRECT, str(report)
            assert all(note.startswith("its graph is not to be kept: ") for note in report.notes)


def test_on_a_kink_nothing_is_compared_and_what_raises_is_found():
    class Relu(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.relu()

        @staticmethod
        def backward(ctx, c):
            (x,) = ctx.saved_tensors
            return c * (x > 0)

    class Viewing(Relu):
        @staticmethod
        def backward(ctx, c):
            return Relu.backward(ctx, c.view(-1).view(c.shape))

    x = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    assert check_torch(Relu.apply, x).verdict is Verdict.NONSMOOTH
    assert check_torch(Viewing.apply, x).wrong == {"args.0"}


def test_a_graph_may_be_deeper_than_the_stack_of_python():
    def deep(x, w):
        y = Affine.apply(x, w)
        for _ in range(3000):
            y = y + 0
        return y

    holds(deep, rand(2, 2), rand(2, 2))


def test_parameters_and_flags_are_as_they_were():
    layer, x = Layer(affine(asks_for_both)), rand(6, 4, dtype=torch.float32)
    before = {name: parameter.detach().clone() for name, parameter in layer.named_parameters()}
    places = {name: parameter.data_ptr() for name, parameter in layer.named_parameters()}
    check_torch(layer, x)
    assert all(torch.equal(before[name], parameter) for name, parameter in layer.named_parameters())
    assert places == {name: parameter.data_ptr() for name, parameter in layer.named_parameters()}
    assert all(parameter.requires_grad for parameter in layer.parameters())
    assert x.is_contiguous()
    assert x.requires_grad


class Padded(Function):
    """It keeps the size of its first batch; an honest one that of each."""

    honest, size = True, None

    @staticmethod
    def forward(ctx, x, w):
        if Padded.honest or Padded.size is None:
            Padded.size = len(x)
        ctx.size = Padded.size
        ctx.save_for_backward(x, w)
        return torch.tanh(x @ w)

    @staticmethod
    def backward(ctx, c):
        x, w = ctx.saved_tensors
        gx, gw = vjp(x, w, c)
        return gx, gw * len(x) / ctx.size


@pytest.mark.parametrize("honest", [True, False])
@pytest.mark.parametrize("deep", [False, True])
def test_a_function_that_keeps_the_size_of_its_first_batch_is_found_by_a_smaller_one(honest, deep, monkeypatch):
    monkeypatch.setattr(Padded, "honest", honest)
    monkeypatch.setattr(Padded, "size", None)

    def f(x, w):
        return Padded.apply(x.sin(), w).exp().mean(0) if deep else Padded.apply(x, w)

    report = check_torch(f, rand(6, 4), rand(4, 5))
    assert report.wrong == (set() if honest else {"args.1"})
    assert [diagnosis.cause for diagnosis in report.diagnoses] == ([] if honest else ["shared-state"])
    assert honest or "with one sample less" in report.findings[1].reason


def test_a_function_of_one_size_only_is_not_asked_for_another():
    class Six(Affine):
        @staticmethod
        def forward(ctx, x, w):
            assert len(x) == 6
            return Affine.forward(ctx, x, w)

    assert check_torch(Six.apply, rand(6, 4), rand(4, 5)).verdict is Verdict.CORRECT


def test_who_reads_on_in_an_expanded_cotangent_finds_no_number_and_no_end_of_memory():
    from gradcheck.adapters.pytorch.contract.layouts import expanded, flat

    found = expanded(rand(4, 5))
    assert found.stride() == (0, 0)
    assert torch.equal(found, flat(rand(4, 5)))
    whole = torch.as_strided(found, (20,), (1,))
    assert whole.isnan().sum() == 19


@pytest.mark.parametrize(("index", "lengths"), [(None, {5, 6}), (torch.arange(6), {6})])
def test_a_function_of_indices_is_not_asked_for_a_smaller_batch(index, lengths):
    """They may point to what is not there any more."""
    seen = set()

    class Counted(Affine):
        @staticmethod
        def forward(ctx, x, w):
            seen.add(len(x))
            return Affine.forward(ctx, x, w)

    def f(x, w, index):
        return Counted.apply(x, w) if index is None else Counted.apply(x, w)[index]

    assert check_torch(f, rand(6, 4), rand(4, 5), index).verdict is Verdict.CORRECT
    assert seen == lengths
