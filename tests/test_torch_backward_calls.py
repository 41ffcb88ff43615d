"""`check_torch(f, backward=)`: gradients that a call of the user's leaves in ``.grad``, or returns; each with its twin."""

import numpy as np
import pytest

import gradcheck
from gradcheck import Verdict, check_torch

torch = pytest.importorskip("torch")
nn = torch.nn


def rand(*shape, seed=0):
    return torch.tensor(np.random.default_rng([seed, *shape]).standard_normal(shape))


X, Y = rand(6, 3), rand(6, 2)
mse = nn.MSELoss()


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 2)).double()


def batches(size):
    return [(X[i : i + size], Y[i : i + size]) for i in range(0, len(X), size)]


def plain(model, wrong):
    def step():
        (mse(model(X), Y) * (2 if wrong else 1)).backward()

    return step


def accumulated(model, wrong):
    """Wrong: not divided by the number of micro-batches."""

    def step():
        for x, y in batches(3):
            (mse(model(x), y) / (1 if wrong else 2)).backward()

    return step


def a_smaller_last_batch(model, wrong):
    """Wrong: weighted like the others."""

    def step():
        for x, y in batches(4):
            (mse(model(x), y) * (1 / 2 if wrong else len(x) / len(X))).backward()

    return step


def averaged_twice(model, wrong):
    def step():
        for x, y in batches(2):
            (mse(model(x), y) / 3).backward()
        for parameter in model.parameters() if wrong else ():
            parameter.grad /= 3

    return step


def clipped(model, wrong):
    def step():
        (mse(model(X), Y)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.1 if wrong else 1e9)

    return step


def twice_through(model, wrong):
    def step():
        loss = mse(model(X), Y)
        loss.backward(retain_graph=True)
        if wrong:
            loss.backward()

    return step


def detached(model, wrong):
    def step():
        h = model[:2](X)
        mse(model[2](h.detach() if wrong else h), Y).backward()

    return step


def unscaled(model, wrong):
    def step():
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        scaler.scale(mse(model(X), Y)).backward()
        if not wrong:
            scaler.unscale_(torch.optim.SGD(model.parameters(), 0.1))

    return step


def a_whole_step(model, wrong):
    optimizer = torch.optim.AdamW(model.parameters())

    def step():
        optimizer.zero_grad()
        loss = mse(model(X), Y)
        (loss * (1.1 if wrong else 1)).backward()
        optimizer.step()
        return {"loss": loss.item()}

    return step


def checkpointed(model, wrong):
    from torch.utils.checkpoint import checkpoint

    def step():
        h = checkpoint(model[:2], X, use_reentrant=False)
        mse(model[2](h * (1.01 if wrong else 1)), Y).backward()

    return step


def by_name(model, wrong):
    """Deferred: weights' gradients are computed after the pass. Wrong: one is never written."""

    def step():
        found = torch.autograd.grad(mse(model(X), Y), list(model.parameters()))
        named = {name: g for (name, _), g in zip(model.named_parameters(), found, strict=True)}
        if wrong:
            del named["0.weight"]
        return named

    return step


def in_order(model, wrong):
    def step():
        found = list(torch.autograd.grad(mse(model(X), Y), list(model.parameters())))
        return [g * (1.01 if wrong else 1) for g in found]

    return step


def main_grad(model, wrong):
    """Gradients are added up in attributes. Wrong: these are not set to zero."""
    for parameter in model.parameters():
        parameter.main_grad = torch.zeros_like(parameter)

    def step():
        for parameter in model.parameters():
            if not wrong:
                parameter.main_grad = torch.zeros_like(parameter)
        found = torch.autograd.grad(mse(model(X), Y), list(model.parameters()))
        for parameter, gradient in zip(model.parameters(), found, strict=True):
            parameter.main_grad = parameter.main_grad + gradient
        return {name: parameter.main_grad for name, parameter in model.named_parameters()}

    return step


def accumulator(model, wrong):
    """The same in a dictionary, which is as it was whenever the gradient is asked for once."""
    sums = {name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}

    def step():
        found = torch.autograd.grad(mse(model(X), Y), list(model.parameters()))
        for total, gradient in zip(sums.values(), found, strict=True):
            total.copy_(gradient + (total if wrong else 0))
        return sums

    return step


def hooked(model, wrong):
    """Gradients are taken where they arise, as by an optimiser that is fused into the backward pass."""
    taken, names = {}, {parameter: name for name, parameter in model.named_parameters()}

    def take(parameter):
        taken[names[parameter]], parameter.grad = parameter.grad * (1.5 if wrong else 1), None

    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(take)

    def step():
        taken.clear()
        mse(model(X), Y).backward()
        return dict(taken)

    return step


STEPS = [
    plain, accumulated, a_smaller_last_batch, averaged_twice, clipped, twice_through, detached, unscaled, a_whole_step,
    checkpointed, by_name, in_order, main_grad, accumulator, hooked,
]  # fmt: skip


@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("steps", STEPS, ids=lambda steps: steps.__name__)
def test_gradients_that_a_call_leaves_behind_are_held_against_the_loss(steps, wrong):
    model = net()
    model[2].bias.grad = kept = torch.ones(2, dtype=torch.float64)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    report = check_torch(lambda: mse(model(X), Y), module=model, backward=steps(model, wrong), diagnose=False)
    assert report.verdict is (Verdict.WRONG if wrong else Verdict.CORRECT), str(report)
    assert model[2].bias.grad is kept
    assert kept.eq(1).all()
    assert all(map(torch.equal, before, model.parameters()))


def test_what_a_call_adds_to_is_a_note_in_grad_and_wrong_in_what_it_returns():
    model = net()
    notes = check_torch(lambda: mse(model(X), Y), module=model, backward=plain(model, False)).notes
    assert any(note.startswith("a second call adds to what .grad holds") for note in notes)
    report = check_torch(lambda: mse(model(X), Y), module=model, backward=accumulator(model, True))
    assert {diagnosis.cause for diagnosis in report.diagnoses} == {"shared-state"}


@pytest.mark.parametrize("wrong", [False, True])
def test_gradients_may_be_nested_like_the_arguments_and_the_loss_a_number(wrong):
    def loss(p, x):
        return float((p["w"] * x).tanh().sum() + (p["b"] ** 2).sum())

    def backward(p, x):
        return ({"w": (1 - (p["w"] * x).tanh() ** 2) * x, "b": (2.1 if wrong else 2) * p["b"]},)

    p = {"w": rand(5).requires_grad_(), "b": rand(3).requires_grad_()}
    report = check_torch(loss, p, rand(5, seed=1), backward=backward)
    assert report.wrong == ({"args.0.b"} if wrong else set())


@pytest.mark.parametrize("wrong", [False, True])
def test_sparse_gradients_that_are_left_behind_count_by_their_values(wrong):
    table, rows = nn.Embedding(5, 3, sparse=True).double(), torch.tensor([1, 4, 1])

    def step():
        table(rows).tanh().sum().backward()
        if wrong:
            gradient = table.weight.grad
            table.weight.grad = torch.sparse_coo_tensor(
                gradient._indices()[:, :2], gradient._values()[:2], gradient.shape, check_invariants=True
            )

    report = check_torch(lambda: table(rows).tanh().sum(), module=table, backward=step, diagnose=False)
    assert report.wrong == ({"weight"} if wrong else set())


@pytest.mark.parametrize("wrong", [False, True])
def test_a_tied_weight_that_is_written_once_is_found(wrong):
    weight = nn.Parameter(rand(3, 3))

    def loss():
        return ((X @ weight).tanh() @ weight).pow(2).sum()

    def step():
        h = (X @ weight).tanh()
        ((h.detach() if wrong else h) @ weight).pow(2).sum().backward()

    assert check_torch(loss, backward=step, diagnose=False).wrong == ({"weight"} if wrong else set())


@pytest.mark.parametrize("wrong", [False, True])
def test_a_distributed_wrapper_on_one_process_is_checked(wrong, tmp_path):
    distributed = torch.distributed
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        model = net()
        wrapped = nn.parallel.DistributedDataParallel(model)

        def step():
            with wrapped.no_sync():
                (mse(wrapped(X[:3]), Y[:3]) / 2).backward()
            (mse(wrapped(X[3:]), Y[3:]) / (1 if wrong else 2)).backward()

        report = check_torch(lambda: mse(model(X), Y), module=model, backward=step, diagnose=False)
        assert report.verdict is (Verdict.WRONG if wrong else Verdict.CORRECT), str(report)
    finally:
        distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("loss", "options", "error"),
    [
        (
            lambda: mse(MODEL(X), Y),
            {"backward": lambda: [1.0]},
            "backward=<lambda> returned a list of 1, and left nothing in",
        ),
        (
            lambda: mse(MODEL(X), Y),
            {"backward": "step"},
            "backward: expected a function, and no reference beside it, got 'st",
        ),
        (
            lambda: MODEL(X),
            {"backward": lambda: None},
            "<lambda>: gradients left behind are those of a loss, one number, and",
        ),
    ],
)
def test_what_is_no_gradient_and_no_loss_is_refused_in_one_line(loss, options, error):
    with pytest.raises(gradcheck.GradcheckError) as raised:
        check_torch(loss, module=MODEL, **options)
    assert str(raised.value).startswith(error)
    assert "\n" not in str(raised.value)


MODEL = net()
