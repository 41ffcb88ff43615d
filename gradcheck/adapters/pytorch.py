# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
# (What a module holds is public in no other way; PyTorch's annotations are partial.)
"""PyTorch's backward pass: functions, ``autograd.Function``s and modules, left as they were found."""

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any, NamedTuple

import numpy as np
import torch
from msgspec.structs import replace

from gradcheck.adapters.outputs import combine, draw
from gradcheck.adapters.pytorch_state import kept, module_of, random_kept, random_state, seed_all
from gradcheck.checking.checker import check as check_function
from gradcheck.errors import CallFailed, DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called
from gradcheck.foundation.pytree import flatten
from gradcheck.report import Report
from gradcheck.verdict.findings import Finding, Verdict

Tensors = dict[str, torch.Tensor]
BACKEND = "torch"
ROUNDING = 1000  # roundoffs of a block's largest entry, within which sums of gradients are equal. Chosen, not derived.


def check(f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], accuracy: float, seed: int) -> Report:
    """What `gradcheck.check_torch` does."""
    with kept(module_of(f)), random_kept(), torch.enable_grad():
        subject = Subject(f, args, kwargs, seed)
        report = check_function(subject.loss, subject.gradient, subject.point(), accuracy=accuracy, seed=seed)
        report = replace(report, findings=tuple(_told(finding, subject.unused) for finding in report.findings))
        if report.verdict is not Verdict.WRONG:
            report = _with_outputs_alone(report, subject, accuracy, seed)
    notes = (*report.notes, *subject.notes(report.findings))
    return replace(report.labelled(BACKEND), title=f"{subject.name}: {report.title}", notes=notes)


def _with_outputs_alone(report: Report, subject: "Subject", accuracy: float, seed: int) -> Report:
    """A backward pass right for all outputs together may not be for one: it is then handed None for the others.

    It is linear in the cotangents. Where its answers for single outputs add up to that for all, nothing is wrong with them.
    """
    if len(subject.cotangents) == 1 or subject.adds_up():
        return report
    for output in subject.cotangents:
        alone = subject.alone(output)
        found = check_function(alone.loss, alone.gradient, alone.point(), accuracy=accuracy, seed=seed)
        fresh = {each.name for each in found.findings if each.verdict is Verdict.WRONG} - report.wrong
        told = {
            finding.name: replace(finding, reason=f"where output {output} is used alone: {finding.reason}")
            for finding in found.findings
            if finding.name in fresh
        }
        report = replace(
            report,
            findings=tuple(told.get(finding.name, finding) for finding in report.findings),
            evaluations=report.evaluations + found.evaluations,
            diagnosis_evaluations=report.diagnosis_evaluations + found.diagnosis_evaluations,
            diagnoses=(*report.diagnoses, *(each for each in found.diagnoses if each.name in fresh)),
        )
    return report


class Call(NamedTuple):
    """One evaluation: the leaves that gradients are wanted of, and the outputs that have one."""

    leaves: Tensors
    outputs: Tensors


class Subject:
    """A function with its arguments, as a loss and a gradient of NumPy arrays by name.

    Parameters
    ----------
    f, args, kwargs, seed
        As `gradcheck.check_torch` takes them.
    """

    def __init__(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], seed: int) -> None:
        self.f, self.seed, self.name = f, seed, _name(f)
        self.wide, self.unused, self.left_out = False, set[str](), frozenset[str]()
        self.given = flatten({"args": args, "kwargs": kwargs})
        module = module_of(f)
        self.parameters = dict(module.named_parameters()) if module is not None else {}
        state = {**self.parameters, **(dict(module.named_buffers()) if module is not None else {})}
        self.state = {name: (tensor, tensor.data.clone()) for name, tensor in state.items()}
        self.blocks = self._blocks()
        self.wide = any(tensor.dtype != torch.float64 for tensor in self.blocks.values()) and self._follows()
        self.left_out = self._without_gradient()
        self.cotangents = draw(self._numbers(self._call(self.point()).outputs), seed)
        self.random = self._draws()

    def point(self) -> dict[str, Array]:
        """Values of the blocks, in float64 where the function follows."""
        arrays = {name: _array(tensor) for name, tensor in self.blocks.items()}
        return {name: array.astype(np.float64) for name, array in arrays.items()} if self.wide else arrays

    def loss(self, arrays: Mapping[str, Array]) -> float:
        """The outputs reduced by the cotangents."""
        try:
            return combine(self._numbers(self._call(arrays).outputs), self.cotangents)
        except CallFailed as failed:
            # Outside a domain PyTorch raises this where Python has ValueError.
            if isinstance(failed.__cause__, RuntimeError):
                raise CallFailed(str(failed)) from ValueError(str(failed.__cause__))
            raise

    def gradient(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """PyTorch's; zero where it has none, which is remembered."""
        leaves, outputs = self._call(arrays)
        with_gradient = {name: output for name, output in outputs.items() if output.requires_grad}
        found: tuple[Any, ...] = (None,) * len(leaves)
        if with_gradient:
            found = called(self._backward, f"the backward pass of {self.name}", with_gradient, list(leaves.values()))
        gradients = dict(zip(leaves, found, strict=True))
        self.unused = {name for name, gradient in gradients.items() if gradient is None}
        return {
            name: np.zeros(leaf.shape, _array(leaf).dtype) if gradients[name] is None else _array(gradients[name])
            for name, leaf in leaves.items()
        }

    def alone(self, output: str) -> "Subject":
        """The same function of which one output is used and no other."""
        other = copy(self)
        other.left_out = self.left_out | self.cotangents.keys() - {output}
        return other

    def adds_up(self) -> bool:
        """Whether the gradients of single outputs add up to that of all, to rounding."""
        together = self.gradient(self.point())
        alone = [self.alone(output).gradient(self.point()) for output in self.cotangents]
        for name, gradient in together.items():
            parts = np.stack([one[name].astype(np.float64) for one in alone])
            rounding = ROUNDING * np.finfo(gradient.dtype).eps * np.abs(parts).max(initial=0.0)
            if not np.allclose(parts.sum(axis=0), gradient, rtol=0, atol=rounding, equal_nan=True):
                return False
        return True

    def notes(self, findings: tuple[Finding, ...]) -> list[str]:
        """What was noticed and is no verdict."""
        correct = {finding.name for finding in findings if finding.verdict is Verdict.CORRECT}
        notes = [f"{name}: no gradient, and the output does not depend on it" for name in sorted(self.unused & correct)]
        notes += [f"output {name} carries no gradient and is left out" for name in sorted(self.left_out)]
        if self.wide:
            notes.append("judged in float64, which the function follows")
        if self.random:
            notes.append(f"random numbers are drawn from seed {self.seed} at every call")
        return notes

    def _blocks(self) -> Tensors:
        found = {name: parameter for name, parameter in self.parameters.items() if parameter.requires_grad}
        leaves = zip(self.given.names, self.given.leaves, strict=True)
        found |= {name: leaf for name, leaf in leaves if isinstance(leaf, torch.Tensor) and leaf.requires_grad}
        if not found:
            raise DataError(f"{self.name}: nothing to check: no parameter and no tensor argument requires a gradient")
        for name, tensor in found.items():
            if tensor.is_complex() or tensor.layout != torch.strided:
                kind = tensor.dtype if tensor.is_complex() else tensor.layout
                raise DataError(f"{self.name}: {name} is {kind}: only dense real tensors are supported")
        return {name: tensor.detach().clone() for name, tensor in found.items()}

    def _follows(self) -> bool:
        """Whether outputs and gradients are float64 where all that goes in is."""
        self.wide = True
        try:
            leaves, outputs = self._call(self.point())
            with_gradient = {name: output for name, output in outputs.items() if output.requires_grad}
            self.cotangents = draw(self._numbers(outputs), self.seed)
            gradients = self._backward(with_gradient, list(leaves.values())) if with_gradient else ()
        except (RuntimeError, TypeError, ValueError, CallFailed):
            return False
        wide = (*outputs.values(), *(gradient for gradient in gradients if gradient is not None))
        return all(tensor.dtype in (torch.float64, torch.complex128) for tensor in wide)

    def _without_gradient(self) -> frozenset[str]:
        """Outputs that carry no gradient where others do: PyTorch was told that they are not differentiable."""
        outputs = self._call(self.point()).outputs
        without = frozenset(name for name, output in outputs.items() if not output.requires_grad)
        return without if len(without) < len(outputs) else frozenset()

    def _call(self, arrays: Mapping[str, Array], seeded: bool = True) -> Call:
        """Evaluate at these values, from the same random state and with the same buffers every time."""
        leaves: Tensors = {}
        for name, (tensor, value) in self.state.items():
            tensor.data = self._as_given(name, value, arrays)
            if name in arrays:
                leaves[name] = tensor
        pairs = zip(self.given.names, self.given.leaves, strict=True)
        given = self.given.rebuild([self._argument(*pair, arrays, leaves) for pair in pairs])
        if seeded:
            seed_all(self.seed)
        output = called(self.f, self.name, *given["args"], **given["kwargs"])
        return Call({name: leaves[name] for name in arrays}, self._differentiable(output))

    def _argument(self, name: str, leaf: Any, arrays: Mapping[str, Array], leaves: Tensors) -> Any:
        if not isinstance(leaf, torch.Tensor):
            return leaf
        tensor = self._as_given(name, leaf.detach(), arrays)
        if name in arrays:
            leaves[name] = tensor.requires_grad_()
            # A view: what works in place may not work on a leaf.
            return leaves[name].view_as(leaves[name])
        return tensor

    def _as_given(self, name: str, value: torch.Tensor, arrays: Mapping[str, Array]) -> torch.Tensor:
        """A fresh tensor, of the given values where there are some, on the device of the old one."""
        widened = self.wide and value.is_floating_point()
        dtype = torch.float64 if widened else value.dtype
        if name not in arrays:
            return value.detach().clone().to(dtype)
        # With the strides of the old one, on which a backward pass may depend.
        return torch.empty_like(value, dtype=dtype).copy_(_tensor(arrays[name], value.shape))

    def _draws(self) -> bool:
        """Whether a call draws random numbers."""
        seed_all(self.seed)
        before = random_state()
        self._call(self.point(), seeded=False)
        return random_state() != before

    def _differentiable(self, output: Any) -> Tensors:
        """Floating tensors of an output by path; complex ones as pairs of real ones."""
        flat = flatten(output, "output")
        found: Tensors = {}
        for name, leaf in zip(flat.names, flat.leaves, strict=True):
            if isinstance(leaf, torch.Tensor) and (leaf.is_floating_point() or leaf.is_complex()):
                dense = leaf if leaf.layout == torch.strided else leaf.to_dense()
                found[name] = torch.view_as_real(dense.resolve_conj()) if dense.is_complex() else dense
        if not found:
            raise DataError(f"{self.name} returned no floating tensor, but {_kind(output)}")
        return {name: tensor for name, tensor in found.items() if name not in self.left_out}

    def _backward(self, outputs: Tensors, leaves: list[torch.Tensor]) -> tuple[Any, ...]:
        cotangents = [
            _tensor(self.cotangents[name], output.shape).to(dtype=output.dtype, device=output.device)
            for name, output in outputs.items()
        ]
        return torch.autograd.grad(list(outputs.values()), leaves, cotangents, allow_unused=True)

    def _numbers(self, outputs: Tensors) -> dict[str, Array]:
        return {name: _array(output) for name, output in outputs.items()}


def _array(tensor: torch.Tensor) -> Array:
    """As NumPy, which has no bfloat16."""
    plain = tensor.to_dense() if tensor.layout != torch.strided else tensor
    kept_as = (torch.float64, torch.float32, torch.float16)
    return (plain if plain.dtype in kept_as else plain.to(torch.float32)).numpy(force=True).copy()


def _tensor(array: Array, shape: torch.Size) -> torch.Tensor:
    """Contiguous, which ``torch.tensor`` of an empty array is not."""
    return torch.tensor(np.ascontiguousarray(array)).reshape(shape).clone(memory_format=torch.contiguous_format)


def _name(f: Any) -> str:
    if isinstance(f, torch.nn.Module):
        return type(f).__name__
    owner = getattr(f, "__self__", None)
    own = str(getattr(f, "__name__", type(f).__name__))
    return f"{owner.__name__}.{own}" if isinstance(owner, type) else own


def _kind(value: Any) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"


def _told(finding: Finding, unused: set[str]) -> Finding:
    reason = finding.reason
    if finding.verdict is Verdict.WRONG and finding.name in unused:
        reason = "PyTorch has no gradient for it, and the output depends on it"
    return replace(finding, reason=reason)
