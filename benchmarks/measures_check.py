"""What is asked of `check` and its kin: verdicts, causes, the complex step, adjoint pairs, outputs that are used alone."""

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, cast

import numpy as np
import torch
from detection_report import Row
from detection_tools import run
from measures_replies import Reply, Sizes
from subjects import AWKWARD, Subject, awkward, faulty, find, mapped
from subjects_common import Problem
from subjects_faulty import draw_problem

import gradcheck
from gradcheck.adapters.pytorch import checking

Claim = Callable[..., Any]


def detection(sizes: Sizes) -> Iterator[Reply]:
    """The corpus that the ablation asks about."""
    for subject in [*islice(faulty(sizes.seed), sizes.faults), *islice(awkward(sizes.seed), sizes.correct)]:
        answer = run("ours", find(subject.name))
        yield Reply(subject.name, "", answer.answer.verdict, answer.evaluations, row=Row(subject, answer))


def by_complex_step(sizes: Sizes) -> Iterator[Reply]:
    """Losses of the corpus as they are, which take complex arrays or do not; right, and with a block slightly scaled.

    Where the complex step was refused, what is said tells why.
    """
    words = {"complex arguments": "refused", "it disagrees": "refused as it disagrees", "too coarse here": "not vouched for"}
    for subject, truth, problem, gradient in _problems(sizes):
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                report = gradcheck.check(problem.loss, gradient, problem.at, complex_step=True)
        except Exception as error:
            yield Reply(subject, truth, f"error: {type(error).__name__}")
            continue
        refused = next((what for word, what in words.items() if any(word in note for note in report.notes)), "")
        said = f"{report.verdict}, {refused}" if refused else str(report.verdict)
        yield Reply(subject, truth, said, report.evaluations, bool(refused))


def _problems(sizes: Sizes) -> Iterator[tuple[str, str, Problem, Claim]]:
    for index in range(3 * sizes.faults):
        rng = np.random.default_rng([sizes.seed, index, 2])
        problem = draw_problem(rng)
        name, relative = str(rng.choice(list(problem.at))), 10.0 ** rng.uniform(-15, -5)
        yield f"{problem.family} {index}", "correct", problem, problem.gradient
        title = f"{problem.family} {index}, off by {relative:.0e}"
        yield title, "", problem, partial(_scaled, problem.gradient, name, 1 + relative)
    for index in range(sizes.correct):
        kind, make = list(AWKWARD.items())[index % len(AWKWARD)]
        yield f"{kind} {index}", "", (problem := make(np.random.default_rng([sizes.seed, index, 1]))), problem.gradient


def _scaled(gradient: Claim, name: str, factor: float, at: Any) -> Any:
    found = gradient(at)
    return found | {name: factor * found[name]}


def repeated(sizes: Sizes) -> Iterator[Reply]:
    """Correct gradients that change from call to call by so much of the largest entry of their block."""
    kinds = ("smooth", "pytree: nested", "polynomial: quintic", "strongly curved: 1/x")
    smooth = [one for one in islice(awkward(sizes.seed), sizes.correct) if one.kind in kinds]
    for exponent in (-15, -12, -10, -9, -8, -7, -6, -5, -4, -2):
        for subject in smooth:
            gradient = partial(shaken, subject.gradient, 10.0**exponent, np.random.default_rng(0))
            answer = run("ours", Subject(subject.name, subject.kind, subject.loss, gradient, subject.at, None))
            changing = "changes" if "a second call changed" in answer.answer.detail else answer.answer.verdict
            truth = "correct" if exponent < -11 else ""
            yield Reply(f"{subject.name}, shaken by 1e{exponent}", truth, changing, answer.evaluations)


def shaken(gradient: Claim, size: float, dice: np.random.Generator, at: Any) -> Any:
    def change(g: Any) -> Any:
        return g + size * np.max(np.abs(g), initial=0) * dice.uniform(-1, 1, np.shape(g))

    return mapped(change, gradient(at))


def staircases(sizes: Sizes) -> Iterator[Reply]:
    """Smooth losses whose arguments, or those of one block, are rounded to a grid first; the gradient is that without it.

    There is no derivative but 0 or that of another function: to say nothing is right, to accuse the gradient is not.
    """
    for index in range(3 * sizes.faults):
        rng = np.random.default_rng([sizes.seed, index, 3])
        problem, grid = draw_problem(rng), 10.0 ** rng.uniform(-9, -1)
        names = list(problem.at)
        rounded = names if index % 2 else [str(rng.choice(names))]
        loss = partial(on_grid, problem.loss, rounded, grid)
        answer = run("ours", Subject(f"{problem.family} {index}", "", loss, problem.gradient, problem.at, None))
        kind = "all rounded" if index % 2 else "one block rounded"
        yield Reply(
            f"{problem.family} {index}, grid {grid:.0e}, {kind}", "unresolved", answer.answer.verdict, answer.evaluations
        )


def on_grid(loss: Claim, names: list[str], grid: float, at: Any) -> float:
    return float(loss({name: np.round(value / grid) * grid if name in names else value for name, value in at.items()}))


# Faults of the corpus whose cause has one name; a factor that is near an integer may be called a mean.
CAUSES = {
    "entry off": "single-entry",
    "entry off, again": "single-entry",
    "entry's sign": "single-entry",
    "entry zeroed": "single-entry",
    "mean missing": "factor",
    "one mean too many": "factor",
    "block slightly scaled": "factor",
    "sign": "sign",
    "zero": "zero",
    "transposed": "transposed",
    "another block's": "permuted",
    "rounded to float32": "low-precision",
    "rounded to float16": "low-precision",
    "clipped": "clipped",
}


def causes(sizes: Sizes) -> Iterator[Reply]:
    """Which cause `check` names first of the block that is wrong; besides, how many blocks were mapped."""
    for subject in islice(faulty(sizes.seed), 2 * sizes.faults):
        kind = subject.kind.split(":")[0]
        truth = CAUSES.get(kind, "")
        assert subject.fault is not None
        try:
            with np.errstate(all="ignore"):
                report = gradcheck.check(subject.loss, subject.gradient, subject.at)
        except Exception as error:
            yield Reply(subject.name, truth, f"error: {type(error).__name__}")
            continue
        found = [each.cause for each in report.diagnoses if each.name == subject.fault.block]
        cost, maps = report.evaluations + report.diagnosis_evaluations, sum(f.heat != () for f in report.findings)
        yield Reply(subject.name, truth, found[0] if found else f"({report.verdict})", cost, maps)


def products(sizes: Sizes) -> Iterator[Reply]:
    """Adjoint pairs of random matrices, entries of ten decades: right, and with one entry off by 1e-6 or by 1e-12."""
    for index in range(80 * sizes.networks):
        rng = np.random.default_rng([sizes.seed, index])
        rows, columns = (int(1 + 1000 ** rng.random()) for _ in range(2))
        matrix = rng.standard_normal((rows, columns)) * 10.0 ** rng.integers(-5, 6, (rows, columns))
        dtype = ("float64", "float32")[index % 2]
        for off, truth in ((0.0, "correct"), (1e-6, "wrong"), (1e-12, "")):
            if off and dtype == "float32":
                continue
            other = matrix.copy()
            place = np.unravel_index(int(rng.integers(matrix.size)), matrix.shape)
            other[place] += off * np.abs(matrix).max()
            one, two = matrix.astype(dtype), other.astype(dtype)
            try:
                report = gradcheck.check_adjoint(
                    lambda x, one=one: one @ x,
                    lambda _, v, one=one: one @ v,
                    lambda _, c, two=two: two.T @ c,
                    rng.standard_normal(columns).astype(dtype),
                )
                said, ratio = str(report.verdict), report.findings[0].ratio
            except Exception as error:
                said, ratio = f"error: {type(error).__name__}", 0.0
            yield Reply(
                f"{dtype} {rows} x {columns}, off by {off}", truth, said, extra=0 if off or dtype == "float32" else ratio
            )


def sums(sizes: Sizes) -> Iterator[Reply]:
    """Several outputs of one function in PyTorch: whether the gradients of each alone are seen to add up to that of all.

    Half of the functions are right; the backward pass of the others is off by 1e-3 where an output is not used.
    """
    for index in range(20 * sizes.networks):
        rng = np.random.default_rng([sizes.seed, index])
        dtype, n, m = (torch.float64, torch.float32)[index % 2], int(2 + 500 ** rng.random()), int(rng.integers(2, 40))
        weights = torch.tensor(rng.standard_normal((m, n, n)) * 10.0 ** rng.integers(-2, 3), dtype=dtype)
        x = torch.tensor(rng.standard_normal(n), dtype=dtype, requires_grad=True)
        for off in (0.0, 1e-3):
            try:
                with checking.lent(partial(outputs, weights, off), (x,), {}, None, 0) as function:
                    function.settle(None)
                    said = str(checking.adds_up(function))
            except Exception as error:
                said = f"error: {type(error).__name__}"
            yield Reply(f"{n}, {m} outputs, {dtype}, {off}", str(not off), said)


class Sums(torch.autograd.Function):
    """Sums of hyperbolic tangents, a matrix each; off where some are not used."""

    @staticmethod
    def forward(ctx: Any, x: Any, weights: Any, off: float) -> Any:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, weights)
        ctx.off = off
        return tuple(torch.tanh(weight @ x).sum() for weight in weights)

    @staticmethod
    def backward(ctx: Any, *out: Any) -> Any:
        x, weights = ctx.saved_tensors
        found = torch.zeros_like(x)
        for weight, c in zip(weights, out, strict=True):
            if c is not None:
                found = found + weight.T @ (c * (1 - torch.tanh(weight @ x) ** 2))
        return (found * (1 + ctx.off) if any(c is None for c in out) else found), None, None


def outputs(weights: Any, off: float, x: Any) -> Any:
    return cast(Any, Sums).apply(x, weights, off)
