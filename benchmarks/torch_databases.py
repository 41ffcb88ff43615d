"""PyTorch's own gradients, checked by `gradcheck.check_torch` and by both modes of ``torch.autograd.gradcheck``, in one run.

``python benchmarks/torch_databases.py [--every N]`` takes the samples of PyTorch's databases of operators and modules that
the tests take, and times the three checks sample by sample, in turn. PyTorch's checks look at the tensor arguments only;
for modules they are given the parameters too. It needs ``expecttest``.
"""

import argparse
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import torch
from tests_of_ours import module_of_tests
from torch.utils import _pytree

import gradcheck


def ours(subject: Any) -> str:
    return str(gradcheck.check_torch(subject.f, *subject.args, **subject.kwargs).verdict)


def theirs(required: list[torch.Tensor], subject: Any, fast: bool) -> str:
    """As a user would call it: a function of the tensors that require a gradient."""
    leaves: list[Any]
    leaves, structure = _pytree.tree_flatten((subject.args, subject.kwargs))
    wanted = [i for i, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor) and leaf.requires_grad]

    def f(*tensors: torch.Tensor) -> Any:
        torch.default_generator.manual_seed(0)
        moved = list(leaves)
        for i, tensor in zip(wanted, tensors, strict=False):
            moved[i] = tensor
        args, kwargs = _pytree.tree_unflatten(moved, structure)
        return tuple(_pytree.tree_leaves(subject.f(*args, **kwargs)))

    return "correct" if torch.autograd.gradcheck(f, required, fast_mode=fast, raise_exception=False) else "wrong"


def timed(call: Callable[[], str]) -> tuple[str, float]:
    start = time.perf_counter()
    try:
        verdict = call()
    except Exception as error:
        verdict = f"raised {type(error).__name__}"
    return verdict, time.perf_counter() - start


def subjects(source: Any, every: int) -> Iterator[Any]:
    for name in list(source.operators())[::every]:
        yield from source.operator_subjects(name)
    for name in list(source.modules())[::every]:
        yield from source.module_subjects(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take one operator or module of so many")
    every = parser.parse_args().every
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    source = module_of_tests("torch_databases")
    verdicts: dict[str, Counter[str]] = {"ours": Counter(), "torch fast": Counter(), "torch slow": Counter()}
    seconds: dict[str, list[float]] = {name: [] for name in verdicts}
    for subject in subjects(source, every):
        required = source.required(subject)
        ways = (
            lambda s=subject: ours(s),
            *(lambda s=subject, r=required, fast=fast: theirs(r, s, fast) for fast in (True, False)),
        )
        for name, call in zip(verdicts, ways, strict=True):
            verdict, spent = timed(call)
            verdicts[name][verdict] += 1
            seconds[name].append(spent)
    for name, times in seconds.items():
        said = ", ".join(f"{count} {verdict}" for verdict, count in verdicts[name].most_common())
        print(f"{name:10s} {sum(times):7.1f} s, median {median(times) * 1e3:6.1f} ms a sample: {said}")


if __name__ == "__main__":
    main()
