"""A pytest plugin: every call of ``torch.autograd.gradcheck`` in a run is recorded, and `gradcheck.drop_in` asked first.

`benchmarks/suites.py` loads it with ``-p suites_recorder``. Each call becomes a line of JSON in the file that
``SUITES_RECORD`` names. The suite gets PyTorch's answer, so that it runs as it always does, but for random numbers: every
test starts from `SEED`, so that two runs can be compared call by call. With ``SUITES_COUNT`` set our check is not made: that
shows in little time which tests call at all. Calls that ``gradgradcheck`` makes are marked as of second order and not asked
about: the drop-in leaves them to PyTorch.
"""

import contextlib
import functools
import importlib
import json
import os
import random
import signal
import sys
import time
import warnings
from collections.abc import Callable, Generator
from types import FrameType
from typing import Any, cast

import numpy as np
import pytest
import torch

from gradcheck.adapters.pytorch.suites import answered
from gradcheck.foundation.validation import Asked

MODULE = importlib.import_module("torch.autograd.gradcheck")
ORIGINAL: Callable[..., bool] = MODULE.gradcheck
LIMIT = 120  # seconds that our check may take; chosen, some forty times what the slowest of the usual calls takes
SLOW = 20  # seconds after which PyTorch's slow mode is stopped where a suite asks for the fast one; it takes more then
SEED = 0
ASKED = Asked(1e-6, 1e-3, 400, True, SEED)  # what `gradcheck.drop_in` asks by default
RUNNING = [False]  # whether a check is being made: a call within one is not the suite's


class TooSlow(BaseException):
    """A check was stopped. No `Exception`: nothing between here and there may take it for a function's failure."""


def seeded() -> None:
    """PyTorch's, NumPy's and Python's random numbers start again."""
    torch.default_generator.manual_seed(SEED)
    np.random.seed(SEED)
    random.seed(SEED)


@pytest.hookimpl(tryfirst=True)
def pytest_collectstart() -> None:
    """Also a file that draws its examples when it is imported has the same ones in every run."""
    seeded()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Whichever tests ran before, this one draws the same."""
    seeded()


def as_tuple(inputs: Any) -> tuple[Any, ...]:
    """The arguments, as PyTorch's check takes them."""
    return tuple(cast("tuple[Any, ...]", inputs)) if isinstance(inputs, tuple | list) else (inputs,)


def described(value: Any) -> dict[str, Any]:
    """One argument: of a tensor what a reader needs to know, of anything else its type."""
    if not isinstance(value, torch.Tensor):
        return {"type": type(value).__name__}
    kind = str(value.dtype).removeprefix("torch.")
    return {
        "type": type(value).__name__,
        "dtype": kind,
        "shape": list(value.shape),
        "layout": str(value.layout).removeprefix("torch."),
        "grad": value.requires_grad,
    }


def line_of(error: BaseException) -> str:
    """An exception in one line, with what it was raised from."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return text if error.__cause__ is None else f"{text} <- {line_of(error.__cause__)}"


def _stopped(number: int, frame: FrameType | None) -> None:
    raise TooSlow("stopped")


@contextlib.contextmanager
def limited(seconds: int) -> Generator[None]:
    """Ends what takes longer; on systems without alarms nothing does."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, _stopped)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def ours(func: Any, inputs: Any, options: dict[str, Any]) -> dict[str, Any]:
    """What `gradcheck.drop_in` says: its verdict and, where that is not correct, why."""
    start = time.perf_counter()
    try:
        with limited(LIMIT), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = answered(func, inputs, options, ASKED)
    except (Exception, TooSlow) as error:
        return {"verdict": "refused", "sentence": line_of(error), "seconds": time.perf_counter() - start}
    said: dict[str, Any] = {
        "verdict": str(report.verdict),
        "seconds": time.perf_counter() - start,
        "evaluations": report.evaluations,
    }
    if said["verdict"] != "correct":
        worst = [finding for finding in report.findings if finding.verdict == report.verdict]
        said |= {"sentence": "; ".join(f"{finding.name}: {finding.reason}" for finding in worst), "report": str(report)}
    return said


def theirs(func: Any, inputs: Any, options: dict[str, Any]) -> tuple[dict[str, Any], BaseException | None]:
    """What PyTorch's check says, and the exception that it says it with."""
    complex_output = [False]

    def watched(*args: Any) -> Any:
        outputs = func(*args)
        complex_output[0] |= any(isinstance(each, torch.Tensor) and each.is_complex() for each in as_tuple(outputs))
        return outputs

    start, raised = time.perf_counter(), None
    said: dict[str, Any] = {}
    try:
        said["outcome"] = bool(ORIGINAL(watched, inputs, **options))
    except Exception as error:
        raised, said["outcome"], said["sentence"] = error, "raised", line_of(error)
    return said | {"seconds": time.perf_counter() - start, "complex_output": complex_output[0]}, raised


def slowly(func: Any, inputs: Any, options: dict[str, Any]) -> float:
    """Seconds of PyTorch's slow mode, which compares every entry as ours does: at least so many where it was stopped."""
    start = time.perf_counter()
    with contextlib.suppress(Exception, TooSlow), limited(SLOW), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ORIGINAL(func, inputs, **{**options, "fast_mode": False})
    return time.perf_counter() - start


def written(record: dict[str, Any]) -> None:
    with open(os.environ["SUITES_RECORD"], "a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


@functools.wraps(ORIGINAL)
def recording(func: Any, inputs: Any, **options: Any) -> bool:
    """PyTorch's check, recorded."""
    if RUNNING[0]:
        return ORIGINAL(func, inputs, **options)
    RUNNING[0] = True
    try:
        arguments = as_tuple(inputs)
        record: dict[str, Any] = {
            "library": os.environ.get("SUITES_LIBRARY", ""),
            "test": os.environ.get("PYTEST_CURRENT_TEST", "").removesuffix(" (call)"),
            "second_order": sys._getframe(1).f_code.co_name == "gradgradcheck",  # pyright: ignore[reportPrivateUsage]
            "function": getattr(func, "__qualname__", type(func).__qualname__),
            "arguments": [described(each) for each in arguments],
            "complex_input": any(isinstance(each, torch.Tensor) and each.is_complex() for each in arguments),
            "options": {name: repr(value) for name, value in options.items()},
        }
        if "SUITES_COUNT" not in os.environ and not record["second_order"]:
            record["ours"] = ours(func, inputs, options)
        record["torch"], raised = theirs(func, inputs, options)
        if options.get("fast_mode") and "ours" in record:
            record["torch"]["slow"] = slowly(func, inputs, options)
        written(record)
    finally:
        RUNNING[0] = False
    if raised is not None:
        raise raised
    return record["torch"]["outcome"]


def replaced() -> None:
    """Wherever PyTorch's check goes by a name, the recording one does."""
    for module in list(sys.modules.values()):
        for name, value in list(vars(module).items()) if hasattr(module, "__dict__") else ():
            if value is ORIGINAL and module.__name__ != __name__:
                setattr(module, name, recording)


replaced()
