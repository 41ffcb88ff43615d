"""A report as a value: true where the gradient is good enough, one line for developers, a page for notebooks."""

import html

import numpy as np
import pytest

import gradcheck
from gradcheck import Report, Verdict, check
from gradcheck.verdict.findings import Finding


def report_of(*verdicts):
    findings = tuple(Finding(name=f"block {i}", backend="claimed", verdict=each) for i, each in enumerate(verdicts))
    return Report(title="of a test", findings=findings)


@pytest.mark.parametrize("verdict", Verdict)
def test_a_report_is_true_for_correct_and_inexact_alone(verdict):
    assert bool(report_of(verdict)) == (verdict in ("correct", "inexact"))
    passing = verdict in ("correct", "inexact", "unsupported")  # the last says nothing of the others
    assert bool(report_of(Verdict.CORRECT, verdict)) == passing
    assert not report_of()  # nothing was checked


def test_asserting_a_check_means_something():
    assert check(lambda x: x @ x, lambda x: 2 * x, np.ones(3))
    with pytest.raises(AssertionError):
        assert check(lambda x: x @ x, lambda x: 3 * x, np.ones(3))
    assert not gradcheck.check_vjp(np.sin, lambda x, c: 2 * c * np.cos(x), np.ones(3))


def test_asserting_a_check_of_pytorch_means_something():
    torch = pytest.importorskip("torch")

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor):
            ctx.save_for_backward(x)
            ctx.factor = factor
            return x**3

        @staticmethod
        def backward(ctx, cotangent):
            (x,) = ctx.saved_tensors
            return ctx.factor * cotangent * x**2, None

    x = torch.linspace(1, 2, 4, requires_grad=True)
    assert gradcheck.check_torch(Cube.apply, x, 3.0)
    assert not gradcheck.check_torch(Cube.apply, x, 3.001)


@pytest.mark.parametrize("name", ["w", "a\nb", "\x1b[31m", "\u202e", "<b>", "x" * 500])
def test_repr_is_one_line_whatever_a_block_is_called(name):
    report = check(lambda p: p[name] @ p[name], lambda p: {name: 3 * p[name]}, {name: np.ones(2)})
    assert repr(report).startswith("<Report: wrong in '")
    assert repr(report).isprintable()
    assert len(repr(report)) < 250


def test_a_notebook_shows_the_page_in_a_frame_of_its_own():
    """Neither page's style reaches the other, and the frame ends where it should."""
    report = check(lambda p: p["</iframe>"] @ p["</iframe>"], lambda p: p, {"</iframe>": np.ones(2)})
    shown = report._repr_html_()
    start, end = '<iframe srcdoc="', '" title="gradcheck report"'
    assert shown.startswith(start)
    assert html.unescape(shown[len(start) : shown.index(end)]) == report.to_html()
    assert shown.count("<") == 2
