"""`check_torch` on what people hand in: closures and their models, outputs of any form, parametrizations, compiled models.

Every habit has a twin in which the activation's backward function is wrong, and is found.
"""

import collections
import copy
import dataclasses
import functools
import math

import numpy as np
import pytest

import gradcheck
from gradcheck import Verdict, check_torch

torch = pytest.importorskip("torch")
nn = torch.nn
F = torch.nn.functional


def rand(*shape, dtype=torch.float64, seed=0):
    return torch.tensor(np.random.default_rng([seed, *shape]).standard_normal(shape), dtype=dtype)


class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, wrong):
        ctx.save_for_backward(x)
        ctx.wrong = wrong
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx, c):
        (x,) = ctx.saved_tensors
        s = torch.sigmoid(x)
        return c * (s if ctx.wrong else s + x * s * (1 - s)), None


class Activation(nn.Module):
    def __init__(self, wrong):
        super().__init__()
        self.wrong = wrong

    def forward(self, x):
        return Swish.apply(x, self.wrong)


def net(wrong, width=2):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, width), Activation(wrong), nn.Linear(width, 2)).double()


X, Y, LABELS = rand(4, 3), rand(4, 2), torch.tensor([0, 1, 1, 0])
mse = nn.MSELoss()


class Criterion(nn.Module):
    def __init__(self):
        super().__init__()
        self.logvar = nn.Parameter(rand(2))

    def forward(self, found, wanted):
        return ((found - wanted) ** 2 * torch.exp(-self.logvar) + self.logvar).mean()


class Trainer:
    def __init__(self, model):
        self.model, self.criterion = model, nn.CrossEntropyLoss()
        self.optimizer = torch.optim.AdamW(model.parameters())

    def training_step(self, batch, index):
        return self.criterion(self.model(batch[0]), batch[1])


def loss_of(model, criterion, x, y):
    return criterion(model(x), y)


def closure(wrong):
    model = net(wrong)
    return (lambda: mse(model(X), Y)), {"module": model}


def brought_along(wrong):
    return closure(wrong)[0], {}


def larger_than_what_is_moved_unasked(wrong):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gradcheck.adapters.pytorch.holdings.MANY", 10)
        return closure(wrong)[0], {}


def method(wrong):
    return functools.partial(Trainer(net(wrong)).training_step, (X, LABELS), 0), {}


def partial(wrong):
    return functools.partial(loss_of, net(wrong), mse, X, Y), {}


def several(wrong):
    model, criterion = net(wrong), Criterion()
    return (lambda: criterion(model(X), Y)), {"module": [model, criterion]}


def named(wrong):
    models = {"first": net(wrong), "second": nn.Linear(2, 2).double()}
    return (lambda: mse(models["second"](models["first"](X)), Y)), {"module": models}


def frozen(wrong):
    model = net(wrong)
    model[2].requires_grad_(False)
    return (lambda: mse(model(X), Y)), {"module": model}


def averaged(wrong):
    model = net(wrong)
    ema = copy.deepcopy(model).requires_grad_(False)
    return (lambda: mse(model(X), ema(X)) + mse(model(X), Y)), {"module": [model, ema]}


def shared(wrong):
    model, other = net(wrong), nn.Linear(3, 2).double()
    other.weight = model[0].weight
    return (lambda: mse(model(X), Y) + other(X).pow(2).mean()), {"module": [model, other]}


def sparse(wrong):
    table, model, rows = nn.Embedding(6, 3, sparse=True).double(), net(wrong), torch.tensor([1, 4, 1, 2])
    return (lambda: mse(model(table(rows)), Y)), {"module": [table, model]}


def bags(wrong):
    table, model, rows = nn.EmbeddingBag(6, 3, sparse=True, mode="sum").double(), net(wrong), torch.tensor([[1, 4], [1, 2]])
    return (lambda: mse(model(table(rows)), Y[:2])), {"module": [table, model]}


def normalised(wrong):
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), Activation(wrong), nn.Linear(2, 2)).double()
    return (lambda: mse(model(X), Y)), {"module": model}


def checkpointed(wrong):
    from torch.utils.checkpoint import checkpoint

    model = net(wrong)
    return (lambda: mse(checkpoint(model, X, use_reentrant=False), Y)), {"module": model}


def recurrent(wrong):
    model, activation = nn.LSTM(3, 2, batch_first=True).double(), Activation(wrong)
    return (lambda: activation(model(X[None])[0]).pow(2).sum()), {"module": model}


def attending(wrong):
    model, activation = nn.MultiheadAttention(4, 2, batch_first=True).double(), Activation(wrong)
    return (lambda: activation(model(*[rand(1, 3, 4)] * 3)[0]).sum()), {"module": model}


def functional(wrong):
    model = net(wrong)
    values = {name: value.detach().requires_grad_() for name, value in model.named_parameters()}
    return (lambda: mse(torch.func.functional_call(model, values, (X,)), Y)), {}


def mapped(wrong):
    model = nn.Linear(3, 2).double()
    return (lambda: Swish.apply(torch.vmap(model)(X), wrong).sum()), {"module": model}


def scripted(wrong):
    model = torch.jit.script(nn.Linear(3, 2).double())
    return (lambda: Swish.apply(model(X), wrong).sum()), {"module": model}


def compiled(wrong):
    model = net(wrong)
    fast = torch.compile(model, backend="eager")
    return (lambda: mse(fast(X), Y)), {"module": fast}


def parallel(wrong):
    model = nn.DataParallel(net(wrong))
    return (lambda: mse(model(X), Y)), {"module": model}


def parametrized(wrong):
    parametrizations, model = nn.utils.parametrizations, net(wrong)
    parametrizations.weight_norm(model[0])
    parametrizations.spectral_norm(model[2]).eval()
    return (lambda: mse(model(X), Y)), {"module": model}


def orthogonal(wrong):
    model = nn.Sequential(nn.utils.parametrizations.orthogonal(nn.Linear(3, 3)), Activation(wrong)).double()
    return (lambda: model(X).pow(2).sum()), {"module": model}


HABITS = [
    closure, brought_along, larger_than_what_is_moved_unasked, method, partial, several, named, frozen, averaged, shared,
    sparse, bags, normalised, checkpointed, recurrent, attending, functional, mapped, scripted, compiled, parallel,
    parametrized, orthogonal,
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.jit, and of what the compiler looks at
@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("habit", HABITS, ids=lambda habit: habit.__name__)
def test_a_loss_without_arguments_is_checked_however_its_model_is_brought_along(habit, wrong):
    torch.manual_seed(0)
    f, options = habit(wrong)
    report = check_torch(f, **options, diagnose=False, contract=False)
    assert report.verdict is (Verdict.WRONG if wrong else Verdict.CORRECT), str(report)


def test_blocks_of_several_modules_have_their_keys_in_front_and_a_criterion_counts():
    f, options = several(False)
    names = [finding.name for finding in check_torch(f, **options).findings]
    assert names == ["0.0.weight", "0.0.bias", "0.2.weight", "0.2.bias", "1.logvar"]
    f, options = named(False)
    assert "second.weight" in [finding.name for finding in check_torch(f, **options).findings]


@pytest.mark.parametrize("module", ["net", [1], {"a": net(False).weight if hasattr(net(False), "weight") else 3}])
def test_what_is_no_module_is_refused_in_one_line(module):
    with pytest.raises(gradcheck.DataError, match=r"^module: expected a Module, or several in a list or dict, got a? ?"):
        check_torch(lambda: mse(net(False)(X), Y), module=module)


@pytest.mark.parametrize("as_number", [False, True])
@pytest.mark.parametrize("wrong", [False, True])
def test_a_closure_as_lbfgs_takes_it_is_judged_by_what_it_leaves_in_grad(wrong, as_number):
    model = net(wrong)
    optimizer = torch.optim.LBFGS(model.parameters())
    model[0].bias.grad = kept = torch.ones(2, dtype=torch.float64)

    def lbfgs():
        optimizer.zero_grad()
        loss = mse(model(X), Y)
        loss.backward()
        return loss.item() if as_number else loss

    report = check_torch(lbfgs, module=model, diagnose=False)
    assert report.wrong == ({"0.weight", "0.bias"} if wrong else set())
    assert "lbfgs calls backward() itself: its gradients are what that leaves in .grad" in report.notes
    assert model[0].bias.grad is kept
    assert kept.eq(1).all()
    assert model[0].weight.grad is None


@dataclasses.dataclass
class Plain:
    loss: torch.Tensor
    logits: torch.Tensor | None = None


class ModelOutput(collections.OrderedDict):
    """As that of transformers: an ordered dictionary whose entries are attributes, which are set once."""

    def __post_init__(self):
        for field in dataclasses.fields(self):
            if getattr(self, field.name) is not None:
                self[field.name] = getattr(self, field.name)

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        super().__setattr__(key, value)

    def _refuse(self, *args, **kwargs):
        raise TypeError("no such change")

    pop = update = setdefault = __delitem__ = _refuse


@dataclasses.dataclass
class Causal(ModelOutput):
    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    past_key_values: object = None


class Holder:
    def __init__(self, **attributes):
        vars(self).update(attributes)


Pair = collections.namedtuple("Pair", "first second")
OUTPUTS = {
    "dataclass": (lambda h: Plain(h.sum(), h), {"loss", "logits"}),
    "ModelOutput": (lambda h: Causal(loss=h.sum(), logits=h), {"loss", "logits"}),
    "with a cache": (
        lambda h: Causal(logits=h, past_key_values=Holder(keys=[h.sin()])),
        {"logits", "past_key_values.keys.0"},
    ),
    "nested": (lambda h: {"a": Causal(logits=h), "b": Pair(None, [Plain(h.cos())])}, {"a.logits", "b.1.0.loss"}),
    "an object": (lambda h: Holder(sample=h, rows=h.argmax(-1)), {"output.sample"}),
    "packed": (lambda h: nn.utils.rnn.pack_padded_sequence(h[None], [4], batch_first=True), {"0"}),
    "a distribution": (lambda h: torch.distributions.Normal(h, h.exp()), {"output.loc", "output.scale"}),
}


@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("kind", OUTPUTS)
def test_outputs_are_found_in_whatever_they_lie(kind, wrong):
    from gradcheck.adapters.pytorch import checking

    make, names = OUTPUTS[kind]
    model = net(wrong)
    report = check_torch(lambda x: make(model(x)), X.clone().requires_grad_(), diagnose=False, contract=False)
    assert report.verdict is (Verdict.WRONG if wrong else Verdict.CORRECT), str(report)
    with checking.lent(lambda x: make(model(x)), (X.clone().requires_grad_(),), {}, None, 0) as function:
        function.settle(None)
        assert function.cotangents.keys() == names


def test_outputs_that_do_not_float_are_named():
    notes = check_torch(lambda x: (x.sin(), x.argmax(), x > 0), X.clone().requires_grad_()).notes
    assert "output 1 is int64 and not looked at" in notes
    assert "output 2 is bool and not looked at" in notes


def test_the_real_model_outputs_are_taken_apart():
    outputs = pytest.importorskip("transformers.modeling_outputs")
    report = check_torch(lambda x: outputs.CausalLMOutput(loss=x.sum(), logits=x.sin()), X.clone().requires_grad_())
    assert report.verdict is Verdict.CORRECT


class Resnet(nn.Module):
    def __init__(self, into, out, time, wrong):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(2, into), nn.Conv2d(into, out, 3, padding=1)
        self.time, self.act = nn.Linear(time, out), Activation(wrong)
        self.norm2, self.conv2 = nn.GroupNorm(2, out), nn.Conv2d(out, out, 3, padding=1)
        self.shortcut = nn.Conv2d(into, out, 1) if into != out else nn.Identity()

    def forward(self, x, t):
        h = self.conv1(F.silu(self.norm1(x))) + self.time(self.act(t))[:, :, None, None]
        return self.conv2(F.silu(self.norm2(h))) + self.shortcut(x)


class Attention(nn.Module):
    def __init__(self, width, context):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(width, width), nn.Linear(context, width), nn.Linear(context, width)

    def forward(self, x, context):
        return F.scaled_dot_product_attention(self.q(x), self.k(context), self.v(context))


class UNet(nn.Module):
    """Down and up again, with a connection that skips the middle; time, self-attention, attention to a context."""

    def __init__(self, wrong):
        super().__init__()
        self.enter, self.time = nn.Conv2d(2, 4, 3, padding=1), nn.Linear(4, 6)
        self.down, self.pool = Resnet(4, 4, 6, False), nn.Conv2d(4, 4, 3, stride=2, padding=1)
        self.middle, self.own, self.cross = Resnet(4, 8, 6, wrong), Attention(8, 8), Attention(8, 3)
        self.up, self.leave = Resnet(12, 4, 6, False), nn.Conv2d(4, 2, 3, padding=1)

    def forward(self, x, t, context):
        angle = t[:, None].to(x.dtype) * torch.exp(-math.log(1e4) * torch.arange(2, device=x.device) / 2).to(x.dtype)
        t = self.time(torch.cat([angle.sin(), angle.cos()], -1))
        skipped = self.down(self.enter(x), t)
        h = self.middle(self.pool(skipped), t)
        tokens = h.flatten(2).transpose(1, 2)
        tokens = tokens + self.own(tokens, tokens)
        tokens = tokens + self.cross(tokens, context)
        h = F.interpolate(tokens.transpose(1, 2).reshape(h.shape), scale_factor=2.0)
        return self.leave(self.up(torch.cat([h, skipped], 1), t))


def test_a_unet_with_a_closure_is_one_call():
    """The twin: an activation of its middle block, which time goes through; what lies above is right."""
    x, y, t = (rand(2, 2, 4, 4, dtype=torch.float32, seed=i) for i in (0, 1)), rand(2, 2, 4, 4), torch.tensor([3, 70])
    (x, _), context = x, rand(2, 3, 3, dtype=torch.float32)
    for wrong in (False, True):
        torch.manual_seed(0)
        unet = UNet(wrong)
        unet.requires_grad_(not wrong)
        unet.time.requires_grad_()
        unet.leave.requires_grad_()
        report = check_torch(
            lambda unet=unet: mse(unet(x, t, context), y.to(x.dtype)), module=unet, diagnose=False, contract=False
        )
        assert report.wrong == ({"time.weight", "time.bias"} if wrong else set()), str(report)
        assert wrong or report.verdict is Verdict.CORRECT


def test_leaves_that_are_made_in_a_call_are_no_blocks():
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double()
    data = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(4, 3)

    def penalty(hidden=lambda norm: norm):
        x = data.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
        return ((hidden(gradient.norm(dim=1)) - 1) ** 2).mean() + (gradient**2).sum()

    report = gradcheck.check_torch(penalty, module=net)
    assert report
    assert {finding.name for finding in report.findings} == {name for name, _ in net.named_parameters()}
    assert not gradcheck.check_torch(lambda: penalty(torch.Tensor.detach), module=net)


def test_a_module_that_a_closure_does_not_use_is_refused_in_one_line():
    net = torch.nn.Linear(3, 1)
    with pytest.raises(gradcheck.DataError, match="does not depend on any parameter of this Linear"):
        gradcheck.check_torch(lambda: net(torch.ones(2, 3)).sum(), module=torch.nn.Linear(2, 2))


@pytest.mark.parametrize("wrong", [False, True])
def test_second_derivatives_by_complex_blocks_are_judged(wrong):
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z):
            ctx.save_for_backward(z)
            return z * z

        @staticmethod
        def backward(ctx, cotangent):
            (z,) = ctx.saved_tensors
            return 2 * cotangent * (z.detach() if wrong else z).conj()

    z = torch.tensor([1 + 2j, -0.5 + 0.3j], dtype=torch.complex128, requires_grad=True)
    report = gradcheck.check_torch(Square.apply, z, order=2)
    assert bool(report) is not wrong
    assert [each.cause for each in report.diagnoses] == ["hides-second-order"] * wrong
