# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (PyTorch's annotations are partial.)
"""Casts to float32 within a program that is evaluated in float64.

A program written for lower precision takes sums and softmaxes in float32. That is the arithmetic that float64 stands for
here, and no part of what the program means: such casts go to float64. Casts to narrower formats and to integers do mean
something, and stay.
"""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch

from gradcheck.adapters.pytorch.noise.table import Kind, Rule

WIDER = {torch.float32: torch.float64, torch.complex64: torch.complex128}
_BETWEEN = ("noise/wide.py", "noise/arithmetic.py", "noise/mode.py", "torch/_compile.py", "torch/_dynamo/eval_frame.py")
_ARITHMETIC = (Kind.ROUND, Kind.SUM, Kind.LOGSUM, Kind.PRODUCT, Kind.APART, Kind.REMAIN)


def tensors(args: Sequence[Any]) -> Iterator[torch.Tensor]:
    """Tensors among arguments and in lists of them."""
    for each in args:
        if isinstance(each, torch.Tensor):
            yield each
        elif isinstance(each, (list, tuple)):
            yield from (part for part in each if isinstance(part, torch.Tensor))


class Width:
    """Whether an evaluation is in float64, as it is told, or where one of float64 has been met, or none of float32 before."""

    def __init__(self, told: bool | None) -> None:
        self._told = told
        self._met = told

    def meets(self, args: Sequence[Any]) -> bool:
        """Whether it is, with these arguments."""
        if self._told is None and self._met is not True:
            met = {each.dtype for each in tensors(args)}
            if not met.isdisjoint(WIDER.values()):
                self._met = True
            elif not met.isdisjoint(WIDER):
                self._met = False
        return self._met is not False


def widened(rule: Rule, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
    """Arguments of an operation with float64 in the place of float32, where it computes or mixes both."""
    if rule.name == "view":  # a look at bits
        return args, kwargs
    if rule.kind is Kind.CAST and _by_autograd():
        return args, kwargs
    if not _narrow(args) and not (kwargs and _narrow(kwargs.values())):
        return args, kwargs
    dtypes = [WIDER.get(each, each) if isinstance(each, torch.dtype) and rule.exact else each for each in args]
    named = {
        name: WIDER.get(each, each) if isinstance(each, torch.dtype) and rule.exact else each
        for name, each in kwargs.items()
    }
    mixed = any(each.dtype in WIDER.values() for each in tensors([*args, *kwargs.values()]))
    if rule.kind not in _ARITHMETIC and not mixed:
        return dtypes, named
    lifted = [each if place in rule.writes else _lifted(each) for place, each in enumerate(dtypes)]
    return lifted, {name: each if name in rule.writes else _lifted(each) for name, each in named.items()}


def _by_autograd() -> bool:
    """Whether autograd asks for a cast, and no backward function of the user's: the gradient of what is float32 is that."""
    if torch._C._current_graph_task_id() < 0:  # pyright: ignore[reportPrivateUsage]
        return False
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename.endswith(_BETWEEN):
        frame = frame.f_back
    return frame is None or frame.f_code.co_name == "_engine_run_backward"


def _narrow(values: Any) -> bool:
    for each in values:
        kind = type(each)
        if kind is float or kind is int or each is None:
            continue
        if isinstance(each, torch.Tensor):
            if each.dtype in WIDER:
                return True
        elif kind is torch.dtype:
            if each in WIDER:
                return True
        elif isinstance(each, (list, tuple)) and each and type(each[0]) is not int and _narrow(cast("Sequence[Any]", each)):
            return True
    return False


def _lifted(each: Any) -> Any:
    if isinstance(each, torch.Tensor):
        wider = WIDER.get(each.dtype)
        return each if wider is None else each.to(wider)
    if isinstance(each, (list, tuple)):
        return [_lifted(part) for part in each]
    return each


def made(rule: Rule, func: Any, args: Sequence[Any], kwargs: dict[str, Any], result: Any) -> Any:
    """What was made from nothing, or from whole numbers, in float64; random numbers stay the same ones."""
    wider = WIDER.get(result.dtype) if isinstance(result, torch.Tensor) else None
    if wider is None:
        return result
    if rule.kind is not Kind.MADE:
        return func(*(_floating(each, wider) for each in args), **kwargs)
    if not rule.exact or all(argument.name != "dtype" for argument in func._schema.arguments):
        return result.to(wider)
    return func(*args, **(kwargs | {"dtype": wider}))


def _floating(each: Any, dtype: torch.dtype) -> Any:
    whole = isinstance(each, torch.Tensor) and not each.is_floating_point() and not each.is_complex()
    return each.to(dtype) if whole else each
