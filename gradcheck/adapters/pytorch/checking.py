"""PyTorch's backward pass: functions, ``autograd.Function``s and modules, left as they were found."""

from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from msgspec.structs import replace

from gradcheck.adapters.contract.breaches import under_contract
from gradcheck.adapters.pytorch.arithmetic import arithmetic
from gradcheck.adapters.pytorch.conjugates import conjugated
from gradcheck.adapters.pytorch.contract.questions import QUESTIONS, Question
from gradcheck.adapters.pytorch.contract.questions import asked as asked_about
from gradcheck.adapters.pytorch.function import TorchFunction, name_of
from gradcheck.adapters.pytorch.generators import Draws
from gradcheck.adapters.pytorch.holdings import MANY, holdings, modules_of
from gradcheck.adapters.pytorch.state import TURNS, Lent, Modes, parts_of, refuse_within_transformations
from gradcheck.candidates.complex_points import CONJUGATE
from gradcheck.checking.checker import checked
from gradcheck.errors import CallFailed, DataError
from gradcheck.foundation.objects.pytree import flatten
from gradcheck.foundation.validation import Asked
from gradcheck.foundation.wording import enumerated
from gradcheck.report import Report
from gradcheck.verdict.findings import Finding, Verdict

Look: TypeAlias = Callable[[TorchFunction, Asked, bool], Report]
"""What is asked of a settled function; whether its contract is, too."""

BACKEND = "torch"
IDLE = "no gradient, and the output does not depend on it"
# Roundoffs of a block's largest entry, within which sums of gradients are equal. At 1, 32 of 100 right sums were refused; at
# 1e5, 49 of 100 off by 1e-3 passed; as it is one.
ROUNDING = 1000


def check_torch(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    module: Any,
    asked: Asked,
    contract: bool = True,
    most: int = MANY,
    step: Callable[..., Any] | None = None,
    look: Look | None = None,
) -> Report:
    """What `gradcheck.check_torch` does, with so many numbers of closures at ``most``; unless told by the backward pass."""
    with lent(f, args, kwargs, module, asked.seed, most, step=step) as function:
        function.settle(asked.dtype)
        report = (look or reverse)(function, asked, contract)
    if module is not None and step is None:
        _refuse_if_nothing_is_shared(function, module, report)
    return report


def own_dtype(dtype: Any, kwargs: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """The dtype to judge in, which is a name: one of PyTorch's own is an argument of the function, as of ``softmax``."""
    return (None, {**kwargs, "dtype": dtype}) if isinstance(dtype, torch.dtype) else (dtype, kwargs)


@contextmanager
def lent(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    module: Any,
    seed: int,
    most: int = MANY,
    dtype: torch.dtype | None = None,
    step: Callable[..., Any] | None = None,
) -> Generator[TorchFunction]:
    """A function whose tensors are moved, and are afterwards what they were, as are its modules and the random numbers.

    No other check has any of them meanwhile. What a function brings along in hiding is known once it has been evaluated:
    then all is put back, and taken again with that. Where another check had moved it just then, it may have failed for this.
    """
    refuse_within_transformations()
    arguments = flatten({"args": args, "kwargs": kwargs}, what=name_of(f))
    functions = [f] if step is None else [f, step]
    find = partial(holdings, functions, arguments, modules_of(f, module), name_of(f), most)
    given = [leaf for leaf in arguments.leaves if isinstance(leaf, torch.Tensor)]
    seen, held, hidden, alone = TURNS.seen(), find(), list[torch.Tensor](), False
    while True:
        things = [*held.tensors(), *held.left.values(), *parts_of(held.modules), *TURNS.taken(given), *hidden]
        with TURNS.of_everything() if alone else TURNS.of(things):
            held = find() if TURNS.moved_since(seen) else held
            with Modes(), Draws(seed) as draws, Lent(held.modules, (*held.tensors(), *hidden)):
                try:
                    function = TorchFunction(f, arguments, held, draws, most, dtype, step)
                except CallFailed:
                    if alone or not TURNS.moved_since(seen):
                        raise
                    alone = True
                    continue
                known = set(map(id, things))
                needed = [*held.tensors(), *TURNS.taken(given), *(tensor for tensor, _ in function.state.values())]
                late = [tensor for tensor in needed if id(tensor) not in known]
                if not late:
                    yield function
                    return
                hidden += late


def reverse(function: TorchFunction, asked: Asked, contract: bool, questions: Collection[Question] = QUESTIONS) -> Report:
    """The backward pass, and these questions of its contract."""
    report = conjugated(judged(function, asked), function, asked)
    unused = function.idle or frozenset()
    report = replace(report, findings=tuple(_without_gradient(finding, unused) for finding in report.findings))
    with suppress(CallFailed) if contract else nullcontext():  # the contract says of what cotangent it cannot do without
        report = with_outputs_alone(report, function, asked)
    report = under_contract(report, partial(asked_about, function, questions=questions)) if contract else report
    notes = (*report.notes, *_notes(function, unused, report.findings))
    title, unchecked = f"{function.name}: {report.title}", (*report.unchecked, *function.unchecked)
    return replace(report.labelled(BACKEND), title=title, notes=notes, unchecked=unchecked)


def _refuse_if_nothing_is_shared(function: TorchFunction, module: Any, report: Report) -> None:
    several = flatten(module, "", what="module", none_is_leaf=False).leaves
    own = {id(parameter) for each in several for parameter in each.parameters() if parameter.requires_grad}
    idle = {note.partition(":")[0] for note in report.notes if note.endswith(IDLE)}
    if own and own <= {id(function.state[name][0]) for name in idle if name in function.state}:
        names = enumerated([type(each).__name__ for each in several])
        raise DataError(
            f"module: {function.name} does not depend on any parameter of this {names}: hand in the one that it calls"
        )


def judged(function: TorchFunction, asked: Asked) -> Report:
    """Its gradient against differences, as all doors judge; nothing else is asked."""
    pairs = dict.fromkeys((name for name, value in function.blocks.items() if value.is_complex()), CONJUGATE)
    wanted, numbers = asked._replace(dtype=None), arithmetic(function)
    return checked(function.loss, function.gradient, function.point(), wanted, numbers, complex_blocks=pairs)[0]


def adds_up(function: TorchFunction) -> bool:
    """Whether the gradients of single outputs add up to that of all, to rounding.

    A backward pass right for all outputs at once may not be for one: it is then handed None for the others. It is linear in
    the cotangents. Where its answers for single outputs add up to that for all, nothing is wrong with them.
    """
    if len(function.cotangents) == 1:
        return True
    alone = [function.alone(output).gradient(function.point()) for output in function.cotangents]
    for name, gradient in function.gradient(function.point()).items():
        parts = np.stack([gradients[name].astype(np.float64) for gradients in alone])
        rounding = ROUNDING * np.finfo(gradient.dtype).eps * np.abs(parts).max(initial=0.0)
        if not np.allclose(parts.sum(axis=0), gradient, rtol=0, atol=rounding, equal_nan=True):
            return False
    return True


def with_outputs_alone(report: Report, function: TorchFunction, asked: Asked) -> Report:
    """With what is wrong of one output alone, where the gradients of single outputs do not add up."""
    if report.verdict is not Verdict.WRONG and not adds_up(function):
        for output in function.cotangents:
            report = _with_output_alone(report, function, output, asked)
    return report


def _with_output_alone(report: Report, function: TorchFunction, output: str, asked: Asked) -> Report:
    alone = function.alone(output)
    found = judged(alone, asked)
    fresh = {
        finding.name: replace(finding, reason=f"where output {output} is used alone: {finding.reason}")
        for finding in found.findings
        if finding.verdict is Verdict.WRONG and finding.name not in report.wrong
    }
    return replace(
        report,
        findings=tuple(fresh.get(finding.name, finding) for finding in report.findings),
        evaluations=report.evaluations + found.evaluations,
        diagnosis_evaluations=report.diagnosis_evaluations + found.diagnosis_evaluations,
        diagnoses=(*report.diagnoses, *(each for each in found.diagnoses if each.name in fresh)),
    )


def _without_gradient(finding: Finding, unused: frozenset[str]) -> Finding:
    if finding.verdict is Verdict.WRONG and finding.name in unused:
        return replace(finding, reason="PyTorch has no gradient for it, and the output depends on it")
    return finding


def _notes(function: TorchFunction, unused: frozenset[str], findings: tuple[Finding, ...]) -> Generator[str]:
    """What was noticed and is no verdict."""
    correct = {finding.name for finding in findings if finding.verdict is Verdict.CORRECT}
    yield from (f"{name}: {IDLE}" for name in sorted(correct & unused))
    yield from (f"{name} is {other}, and is moved with it" for name, other in function.same.items())
    yield from (f"{name}: its hook that runs after accumulation was not asked" for name in function.hooked)
    yield from (f"{name}: brought along, and {why}: not looked at" for name, why in function.unchecked.items())
    yield from (f"output {name} carries no gradient and is left out" for name in sorted(function.without_gradient))
    yield from (f"output {name} is {dtype} and not looked at" for name, dtype in function.others.items())
    if function.step is function.f:
        yield f"{function.name} calls backward() itself: its gradients are what that leaves in .grad"
    if function.random:
        yield f"random numbers are drawn from seed {function.seed} at every call"
