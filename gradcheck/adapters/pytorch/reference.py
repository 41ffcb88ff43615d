# pyright: reportUnknownMemberType=false
# (PyTorch's annotations are partial.)
"""A PyTorch kernel and its reference as a pair: outputs and gradients of both, at the dtypes that were given."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from msgspec.structs import replace

from gradcheck.adapters.contract.breaches import under_contract
from gradcheck.adapters.pytorch.checking import BACKEND, lent
from gradcheck.adapters.pytorch.contract.answers import Beside
from gradcheck.adapters.pytorch.contract.questions import asked as asked_about
from gradcheck.adapters.pytorch.function import TorchFunction, name_of
from gradcheck.adapters.pytorch.holdings import Tensors
from gradcheck.adapters.pytorch.interpreted import NO_EVIDENCE, NOTE, REMEDY, Launches
from gradcheck.adapters.pytorch.noise.mode import Decisions, Exact, Noise
from gradcheck.adapters.pytorch.numbers import DTYPES, dtype_of
from gradcheck.comparison.levels import Level, known_format
from gradcheck.comparison.pair import Blocks, Inputs, Shaken, moved, output_block
from gradcheck.comparison.procedure import compared
from gradcheck.errors import CallFailed, DataError, DescriptionError
from gradcheck.foundation.arithmetic import UNITS
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called
from gradcheck.foundation.validation import Asked
from gradcheck.foundation.wording import enumerated, shown
from gradcheck.oracles.directions import normal
from gradcheck.report import Report
from gradcheck.verdict import reasons
from gradcheck.verdict.findings import Finding, Verdict

EAGER = "eager"
RECOMPILED = "compiled anew for each layout and subset of arguments: its contract was not asked about"


def check_against(
    f: Callable[..., Any],
    reference: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    module: Any,
    asked: Asked,
    contract: bool = True,
) -> Report:
    """What `gradcheck.check_torch` does where it is given a reference."""
    plain = _eager(f) if isinstance(reference, str) and reference == EAGER else reference
    if not callable(plain):
        raise DescriptionError(f"expected a function, or {EAGER!r}, got {shown(reference)}", "reference")
    second = lent(plain, args, kwargs, module, asked.seed, dtype=torch.float64)  # of a module: whatever dtype it is in
    with lent(f, args, kwargs, module, asked.seed) as kernel, second as function:
        kernel.dtype = dtype_of(asked.dtype)
        pair = TorchPair(kernel, function)
        report = compared(pair, asked)
        if kernel.random or function.random:
            report = replace(report, findings=tuple(map(_undecided, report.findings)), diagnoses=())
        lend = partial(lent, module=None, seed=asked.seed)
        beside = Beside(function, partial(lend, f), partial(lend, plain, dtype=torch.float64), TorchPair, asked.accuracy)
        report = _under_contract(report, kernel, beside, f) if contract else report
    unchecked = (*report.unchecked, *kernel.unchecked, *pair.extra)
    return replace(report.labelled(BACKEND), notes=(*report.notes, *_notes(kernel, pair)), unchecked=unchecked)


class TorchPair:
    """A kernel and its reference (`gradcheck.comparison.pair.Pair`); blocks are outputs and gradients.

    Raises
    ------
    DataError
        Where they have not the same parameters, or no output in common.
    """

    def __init__(self, kernel: TorchFunction, reference: TorchFunction) -> None:
        self.kernel, self.reference = kernel, reference
        self.name = f"{kernel.name} against {reference.name}"
        self.launches = Launches()
        _refuse_other_blocks(kernel, reference)
        _refuse_complex(kernel)
        _share_constants(kernel, reference)
        point = kernel.point()
        mine, theirs = kernel.call(point).outputs, reference.call(point).outputs
        both = _counterparts(mine, theirs, self.name)
        self.mine = {output_block(name): name for name in both}
        self.theirs = {output_block(name): other for name, other in both.items()}
        self.extra = [output_block(name) for name in mine if name not in both]
        found = {label: mine[name] for label, name in self.mine.items()}
        self.formats = {label: _format(tensor.dtype) for label, tensor in found.items()}
        self.formats |= {name: _format(kernel.dtype or value.dtype) for name, value in kernel.blocks.items()}
        cotangents = {
            label: normal(label, tuple(each.shape), kernel.seed)
            for label, each in found.items()
            if _has_cotangent(each, theirs[self.theirs[label]])
        }
        self.given = self.nearest(Inputs(point, cotangents))
        kernel.cotangents = {self.mine[label]: array for label, array in self.given.cotangents.items()}
        self._decided: tuple[Inputs, Decisions] | None = None

    @property
    def doubt(self) -> str:
        """Of kernels that were interpreted."""
        return f"{NO_EVIDENCE}: {REMEDY}" if self.launches.any and "bfloat16" in self.formats.values() else ""

    @cached_property
    def wide(self) -> TorchFunction | None:
        """The reference in float64, if its outputs are then no narrower than those of the kernel."""
        function = self.reference.in_dtype(torch.float64)
        try:
            with Exact():
                outputs = function.call(self.given.point).outputs
        except CallFailed:
            return None
        narrow = any(UNITS[_format(outputs[name].dtype)] > UNITS[self.formats[label]] for label, name in self.theirs.items())
        return None if narrow else function

    def candidate(self, at: Inputs) -> Blocks:
        """Outputs and gradients, at the dtypes that were given."""
        return self._evaluated(self.kernel, at, self.mine, nullcontext())

    def in_float32(self, at: Inputs) -> Blocks | None:
        """The same in float32, if what it returns is float32 then."""
        wide = self.kernel.in_dtype(torch.float32)
        try:
            outputs = wide.call(at.point).outputs
            if any(UNITS[_format(outputs[name].dtype)] > UNITS["float32"] for name in self.mine.values()):
                return None
            return self._evaluated(wide, at, self.mine, nullcontext())
        except CallFailed:
            return None

    def exact(self, at: Inputs) -> Blocks | None:
        """The reference in float64."""
        if self.wide is None:
            return None
        exact = Exact()
        found = self._evaluated(self.wide, at, self.theirs, exact)
        self._decided = at, exact.decisions
        return found

    def shaken(self, at: Inputs, level: Level, seed: int, *, free: bool = False) -> Shaken:
        """The reference under noise: in float64, or where it has no such path in its own dtypes."""
        noise = Noise(level, seed, self._decisions(at), free=free)
        function = self.wide or self.reference
        return Shaken(self._evaluated(function, moved(at, level, seed), self.theirs, noise), noise.flips)

    def nearest(self, at: Inputs) -> Inputs:
        """Rounded to the dtypes of leaves and outputs."""
        return Inputs(*({name: _rounded(array, self.formats[name]) for name, array in each.items()} for each in at))

    def _decisions(self, at: Inputs) -> Decisions:
        """What the reference decides at a point; of the last one this is known."""
        if self._decided is None or self._decided[0] is not at:
            exact = Exact(wide=self.wide is not None)
            self._evaluated(self.wide or self.reference, at, self.theirs, exact)
            self._decided = at, exact.decisions
        return self._decided[1]

    def _evaluated(
        self,
        function: TorchFunction,
        at: Inputs,
        outputs: Mapping[str, str],
        mode: AbstractContextManager[Any],
    ) -> Blocks:
        """Outputs, by label, where ``outputs`` has the function's names for them; and gradients."""
        cotangents = {outputs[label]: array for label, array in at.cotangents.items()}
        with mode, function.draws.again():
            call = function.call(at.point)
            gradients = called(function.backward, f"the backward pass of {function.name}", call, cotangents)
        found = {label: call.outputs[name] for label, name in outputs.items()}
        return {
            **{name: _wide(tensor) for name, tensor in found.items()},
            **{name: np.zeros(call.leaves[name].shape) if g is None else _wide(g) for name, g in gradients.items()},
        }


def _under_contract(report: Report, kernel: TorchFunction, beside: Beside, f: Callable[..., Any]) -> Report:
    if _compiled_from(f) is not None:  # after eight times PyTorch gives up, and runs what was to be compiled
        return replace(report, notes=(*report.notes, RECOMPILED))
    return under_contract(report, partial(asked_about, kernel, beside=beside))


def _compiled_from(f: Callable[..., Any]) -> Any:
    """What a compiled function or module was made of; None of any other."""
    return getattr(f, "_orig_mod", None) or getattr(f, "_torchdynamo_orig_callable", None)


def _eager(f: Callable[..., Any]) -> Callable[..., Any]:
    """What a compiled function or module was made of.

    Raises
    ------
    DataError
        Where it was made of nothing.
    """
    found = _compiled_from(f)
    if found is None:
        raise DataError(f"reference: 'eager' is of what torch.compile returned, and {name_of(f)} is no such function")
    return found


def _refuse_other_blocks(kernel: TorchFunction, reference: TorchFunction) -> None:
    missing = sorted(kernel.blocks.keys() ^ reference.blocks.keys())
    if missing:
        where = kernel.name if missing[0] in reference.blocks else reference.name
        raise DataError(f"reference: {where} has no block called {missing[0]}: both take the same arguments and parameters")
    for name, value in kernel.blocks.items():
        if value.shape != reference.blocks[name].shape:
            shapes = f"{tuple(value.shape)} in {kernel.name} and {tuple(reference.blocks[name].shape)} in {reference.name}"
            raise DataError(f"reference: {name} has shape {shapes}")


def _refuse_complex(kernel: TorchFunction) -> None:
    for name, value in kernel.blocks.items():
        if value.is_complex():
            raise DataError(f"reference: {name} is {value.dtype}: against a reference only real blocks are judged")


def _share_constants(kernel: TorchFunction, reference: TorchFunction) -> None:
    """Buffers of the reference have the kernel's values: the same ``state_dict``."""
    for name, (tensor, value) in reference.state.items():
        mine = kernel.state.get(name)
        if mine is not None and name not in reference.blocks and mine[1].shape == value.shape:
            reference.state[name] = (tensor, mine[1].to(value.dtype))


def _counterparts(mine: Tensors, theirs: Tensors, what: str) -> dict[str, str]:
    """Of each output of the kernel the reference's: of the same name, or where as many are returned in their order."""
    found = {name: name for name in mine if name in theirs}
    if not found and len(mine) == len(theirs):
        found = dict(zip(mine, theirs, strict=True))
    lost = [name for name in theirs if name not in found.values()]
    if lost:
        returned, own = (enumerated(list(map(output_block, each))) for each in (theirs, mine))
        raise DataError(f"{what}: the reference returns {returned}, the kernel {own}")
    return found


def _undecided(finding: Finding) -> Finding:
    """Where numbers are drawn a difference is no mistake: others may be drawn in another dtype, or another order."""
    if finding.verdict not in (Verdict.WRONG, Verdict.INEXACT):
        return finding
    return Finding(
        name=finding.name,
        backend="",
        verdict=Verdict.UNRESOLVED,
        reason=reasons.RANDOM,
        shape=finding.shape,
        error=finding.error,
    )


def _has_cotangent(mine: torch.Tensor, theirs: torch.Tensor) -> bool:
    """Also where a kernel has lost its gradient; one of another size has none that both could take."""
    return (mine.requires_grad or theirs.requires_grad) and mine.numel() == theirs.numel()


def _notes(kernel: TorchFunction, pair: TorchPair) -> Iterator[str]:
    if pair.launches.any:
        yield NOTE
    yield from (f"{name}: the reference returns no such output: not looked at" for name in pair.extra)
    yield from (f"{name}: brought along, and {why}: not looked at" for name, why in kernel.unchecked.items())
    if kernel.random or pair.reference.random:
        yield f"random numbers are drawn from seed {kernel.seed} at every call"


def _format(dtype: torch.dtype) -> str:
    return known_format(str(dtype).removeprefix("torch."))


def _rounded(array: Array, held: str) -> Array:
    return torch.from_numpy(np.array(array, np.float64)).to(DTYPES[held]).to(torch.float64).numpy()


def _wide(tensor: torch.Tensor) -> Array:
    """Numbers of its own: what a kernel returned it may change at the next call."""
    return tensor.detach().to("cpu", torch.float64, copy=True).numpy()
