# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (PyTorch's annotations are partial.)
"""`check_torch` in the place of ``torch.autograd.gradcheck``, for somebody else's suite as it is.

What is wrong fails there as it failed, by PyTorch's own exception, with our report in it. What is correct passes. Where ours
does not decide (sparse tensors, kinks, noise) the original is asked, and its answer holds: a suite is never
worse off.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType, TracebackType
from typing import Any, NamedTuple, Self

import torch
from torch.autograd.gradcheck import GradcheckError as TorchError

from gradcheck.adapters.pytorch.checking import check_torch
from gradcheck.adapters.pytorch.function import name_of
from gradcheck.adapters.pytorch.state import module_of
from gradcheck.errors import GradcheckError
from gradcheck.foundation.state.found import as_found
from gradcheck.foundation.validation import Asked
from gradcheck.report import Report
from gradcheck.verdict.findings import Verdict

MODULE = sys.modules["torch.autograd.gradcheck"]
OURS = frozenset({Verdict.CORRECT, Verdict.INEXACT, Verdict.WRONG})


class Dropped(NamedTuple):
    """One call of the suite: what was said, and in how many words it was refused where it was not."""

    report: Report | None
    refusal: str = ""

    @property
    def verdict(self) -> str:
        """Of the report, or that there is none."""
        return "refused" if self.report is None else str(self.report.verdict)


class DropIn:
    """In force from its making to `undo`, or to the end of a ``with`` block.

    Attributes
    ----------
    calls : list of Dropped
        In their order.
    """

    def __init__(self, asked: Asked, contract: bool, told: Callable[[Report], None] | None = None) -> None:
        self.asked, self.contract, self.calls, self._told = asked, contract, list[Dropped](), told
        self._original: Callable[..., bool] = MODULE.gradcheck
        self._places, ours = list(_places(self._original)), self._gradcheck
        for holder, name in self._places:
            setattr(holder, name, ours)

    def undo(self) -> None:
        """PyTorch's own again, wherever it was."""
        for holder, name in self._places:
            setattr(holder, name, self._original)
        self._places = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.undo()

    def __str__(self) -> str:
        counts = dict.fromkeys((*map(str, Verdict), "refused"), 0)
        for call in self.calls:
            counts[call.verdict] += 1
        said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
        return f"{len(self.calls)} calls of torch.autograd.gradcheck: {said or 'none'}"

    def _gradcheck(self, func: Callable[..., Any], inputs: Any, **options: Any) -> bool:
        """As PyTorch's own is called."""
        # Of gradgradcheck's: second derivatives are left to it.
        if sys._getframe(1).f_globals is MODULE.__dict__:  # pyright: ignore[reportPrivateUsage]
            return self._original(func, inputs, **options)
        call = self._asked(func, inputs, options)
        self.calls.append(call)
        if call.report is None or call.report.verdict not in OURS:
            return self._original(func, inputs, **options)
        if call.report.verdict is Verdict.WRONG and options.get("raise_exception", True):
            raise TorchError(f"verdict: {call.report.verdict}\n{call.report}")
        return bool(call.report)

    def _asked(self, func: Callable[..., Any], inputs: Any, options: dict[str, Any]) -> Dropped:
        try:
            report = answered(func, inputs, options, self.asked, self.contract)
        except GradcheckError as refused:
            return Dropped(None, str(refused))
        if self._told:
            self._told(report)
        return Dropped(report)


@as_found
def answered(
    func: Callable[..., Any], inputs: Any, options: Mapping[str, Any], asked: Asked, contract: bool = True
) -> Report:
    """What is said of one call, with the tolerances that a suite has chosen as the accuracy that it asks for."""
    accuracy = max(asked.accuracy, *(float(options.get(name, 0.0)) for name in ("rtol", "atol")))
    args = (inputs,) if isinstance(inputs, torch.Tensor) else tuple(inputs)
    f = func if not any(True for _ in module_of(func).parameters()) else _of_inputs(func)
    return check_torch(f, args, {}, None, asked._replace(accuracy=accuracy, sparing=True), contract, 0)


def _of_inputs(module: Callable[..., Any]) -> Callable[..., Any]:
    """A module, or a method of one, as a function that is asked for its inputs' gradient alone, as PyTorch asks."""

    def function(*inputs: Any) -> Any:
        return module(*inputs)

    function.__name__ = name_of(module)
    return function


def _places(function: Callable[..., Any]) -> Iterator[tuple[ModuleType, str]]:
    """Every module that has it, under whichever name: whoever has imported it already is served, too."""
    for module in list(sys.modules.values()):
        names = list(getattr(module, "__dict__", {}).items())
        yield from ((module, name) for name, value in names if value is function)
