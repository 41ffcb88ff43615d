"""What PyTorch tests its own derivatives on: its databases of operators and of modules, as subjects for `check_torch`."""

import importlib
import random
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils._pytree import tree_leaves

SAMPLES = 8  # of one operator or module, evenly spread over those that are small enough; the smallest where none is
NUMBERS = 200  # that require a gradient, in one sample
FLOAT64 = {"device": "cpu", "dtype": torch.float64, "requires_grad": True}


class Subject(NamedTuple):
    """``f(*args, **kwargs)``, some of whose tensors require a gradient."""

    name: str
    f: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@cache
def operators() -> dict[str, Any]:
    """Those that have a gradient in float64, by their full name."""
    database = _imported("common_methods_invocations").op_db
    return {op.full_name: op for op in database if op.supports_autograd and torch.float64 in op.dtypes}


@cache
def modules() -> dict[str, Any]:
    """Those that take float64, by name."""
    return {info.name: info for info in _imported("common_modules").module_db if torch.float64 in info.dtypes}


def operator_subjects(name: str, most: int = SAMPLES) -> list[Subject]:
    """A few small samples of one operator, in the convention that its wrapper sets: symmetric, triangular, seeded."""
    op = operators()[name]
    _seed()
    samples = op.sample_inputs(**FLOAT64, small_inputs_only=True)
    return _few((_of_sample(f"{name} {i}", op, sample) for i, sample in enumerate(samples)), most)


def module_subjects(name: str) -> list[Subject]:
    """A few small samples of one module, in training and, where that differs, in evaluation."""
    modes = (True, False) if modules()[name].train_and_eval_differ else (True,)
    return [subject for training in modes for subject in _few(_of_module(name, training))]


def required(subject: Subject) -> list[torch.Tensor]:
    """The tensors that a gradient is wanted of."""
    parameters = list(subject.f.parameters()) if isinstance(subject.f, torch.nn.Module) else []
    tensors = [*_tensors((subject.args, subject.kwargs)), *parameters]
    return [tensor for tensor in tensors if tensor.requires_grad]


def size(subject: Subject) -> int:
    """How many numbers a gradient is wanted of."""
    return sum(tensor.numel() for tensor in required(subject))


def _of_sample(name: str, op: Any, sample: Any) -> Subject:
    def f(*args: Any, **kwargs: Any) -> Any:
        return sample.output_process_fn_grad(op.gradcheck_wrapper(op.get_op(), *args, **kwargs))

    f.__name__ = op.name
    return Subject(name, f, (sample.input, *sample.args), sample.kwargs)


def _of_module(name: str, training: bool) -> Iterator[Subject]:
    info = modules()[name]
    _seed()
    for i, given in enumerate(info.module_inputs_func(info, **FLOAT64, training=training)):
        if given.forward_input is None:
            continue
        (args, kwargs), create = (given.forward_input.args, given.forward_input.kwargs), given.constructor_input
        module = info.module_cls(*create.args, **create.kwargs).to(torch.float64).train(training)
        module(*args, **kwargs)  # a lazy one has parameters from now on
        yield Subject(f"{name} {i} {'training' if training else 'evaluation'}", _as_documented(module), args, kwargs)


def _as_documented(module: torch.nn.Module) -> Callable[..., Any]:
    """The gradient of CTCLoss holds for what its documentation demands: logarithms of probabilities."""
    if not isinstance(module, torch.nn.CTCLoss):
        return module
    return lambda scores, *args, **kwargs: module(scores.log_softmax(2), *args, **kwargs)


def _few(subjects: Iterator[Subject], most: int = SAMPLES) -> list[Subject]:
    wanted = [subject for subject in subjects if required(subject) and _is_defined(subject)]
    small = [subject for subject in wanted if size(subject) <= NUMBERS] or sorted(wanted, key=size)[:1]
    chosen = sorted({round(i) for i in np.linspace(0, len(small) - 1, most)}) if small else []
    return [small[i] for i in chosen]


def _is_defined(subject: Subject) -> bool:
    """Some samples lie outside the function's domain (a power of a negative number), where it has no derivative."""
    outputs = _tensors(subject.f(*subject.args, **subject.kwargs))
    return all(bool(output.detach().isfinite().all()) for output in outputs if output.layout == torch.strided)


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _seed() -> None:
    """Samples and parameters are drawn from all three generators."""
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)


def _imported(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's test code warns of its own deprecations while it is imported
        return importlib.import_module(f"torch.testing._internal.{name}")
