"""`drop_in`: somebody else's suite, whose calls of `torch.autograd.gradcheck` are answered by ours."""

import sys

import pytest

import gradcheck

torch = pytest.importorskip("torch")
pytest_plugins = ["pytester"]


class Cube(torch.autograd.Function):
    factor = 3.0

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, c):
        (x,) = ctx.saved_tensors
        return c * Cube.factor * x**2


X = torch.linspace(0.5, 2, 5, dtype=torch.float64, requires_grad=True)
SLIGHTLY = 3.0005  # within the tolerance of the original


def test_a_right_gradient_passes_and_a_wrong_one_raises_what_the_original_raises(monkeypatch):
    with gradcheck.drop_in() as ours:
        assert torch.autograd.gradcheck(Cube.apply, X)
        assert torch.autograd.gradcheck(Cube.apply, (X,), eps=1e-6, fast_mode=True)
        monkeypatch.setattr(Cube, "factor", SLIGHTLY)
        with pytest.raises(sys.modules["torch.autograd.gradcheck"].GradcheckError, match=r"args\.0"):
            torch.autograd.gradcheck(Cube.apply, X)
        assert not torch.autograd.gradcheck(Cube.apply, X, raise_exception=False)
    assert [call.verdict for call in ours.calls] == ["correct", "correct", "wrong", "wrong"]
    assert str(ours) == "4 calls of torch.autograd.gradcheck: 2 correct, 2 wrong"
    assert torch.autograd.gradcheck(Cube.apply, X)  # the original's again, which does not see it


def test_a_suite_s_own_tolerance_is_the_accuracy_that_it_asks_for(monkeypatch):
    monkeypatch.setattr(Cube, "factor", SLIGHTLY)
    with gradcheck.drop_in() as ours:
        assert torch.autograd.gradcheck(Cube.apply, X, rtol=1e-3)
        assert torch.autograd.gradcheck(Cube.apply, X, atol=1e-3)
    assert [call.verdict for call in ours.calls] == ["inexact", "inexact"]


@pytest.mark.filterwarnings("ignore:Sparse invariant")  # by the original
@pytest.mark.parametrize(
    ("f", "x", "said"),
    [
        (lambda x: x.to_dense(masked_grad=False), torch.ones(2).double().to_sparse().requires_grad_(), "refused"),
        (torch.relu, torch.tensor([0.0, 1.0], dtype=torch.float64, requires_grad=True), "nonsmooth"),
    ],
)
def test_what_ours_does_not_decide_the_original_decides(f, x, said):
    own = torch.autograd.gradcheck(f, x, raise_exception=False)
    with gradcheck.drop_in() as ours:
        assert torch.autograd.gradcheck(f, x, raise_exception=False) == own
    assert [call.verdict for call in ours.calls] == [said]


def test_whoever_has_imported_it_already_is_served_too_and_gets_it_back():
    own = torch.autograd.gradcheck
    names = {"gradcheck": own, "theirs": own, "other": print}
    module = type(pytest)("a_module_of_theirs")
    vars(module).update(names)
    sys.modules[module.__name__] = module
    try:
        ours = gradcheck.drop_in()
        assert module.theirs is module.gradcheck is not own
        assert module.other is print
        ours.undo()
        assert {name: vars(module)[name] for name in names} == names
        ours.undo()
    finally:
        del sys.modules[module.__name__]


def test_of_a_module_the_inputs_are_asked_for_and_its_parameters_are_named():
    net = torch.nn.Linear(5, 2, dtype=torch.float64)
    net.weight.register_hook(lambda gradient: gradient / 2)
    with gradcheck.drop_in() as ours:
        assert torch.autograd.gradcheck(net, X)
        assert torch.autograd.gradcheck(net.forward, X)
    for call in ours.calls:
        assert [finding.name for finding in call.report.findings] == ["args.0"]
        assert len(call.report.unchecked) == 1
    assert gradcheck.check_torch(net, X).wrong == {"weight"}


def test_second_derivatives_are_left_to_the_original():
    with gradcheck.drop_in() as ours:
        assert torch.autograd.gradgradcheck(torch.sin, X)
    assert ours.calls == []


SUITE = """
import torch
from torch.autograd import gradcheck

class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, c):
        (x,) = ctx.saved_tensors
        return c * {factor} * x**2

def test_cube():
    assert gradcheck(Cube.apply, torch.ones(3, dtype=torch.float64, requires_grad=True))
"""


@pytest.mark.parametrize(("factor", "option", "passes"), [(3.0005, True, False), (3.0005, False, True)])
def test_a_run_of_pytest_is_asked_by_an_option(pytester, factor, option, passes):
    pytester.makepyfile(SUITE.format(factor=factor))
    result = pytester.runpytest_subprocess("-n0", *(["--gradcheck-drop-in"] if option else []))
    result.assert_outcomes(passed=int(passes), failed=int(not passes))
    said = "\n".join(result.outlines)
    assert ("gradient checks" in said) == option
    assert ("off by" in said) == (option and not passes)
