# pyright: reportUnknownMemberType=false
# (PyTorch's annotations are partial.)
"""A PyTorch function at its arguments, as a loss and a gradient of NumPy arrays by name."""

from collections.abc import Callable, Mapping
from copy import copy
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from gradcheck.adapters.leaves import combine, draw
from gradcheck.adapters.leaves import name_of as plain_name
from gradcheck.adapters.pytorch.calls.left import Before, Gradients, cleared, is_spent, left_behind
from gradcheck.adapters.pytorch.calls.moving import Moving
from gradcheck.adapters.pytorch.calls.outputs import outputs_of
from gradcheck.adapters.pytorch.generators import Draws
from gradcheck.adapters.pytorch.holdings import MANY, Holdings, Tensors, left_out, reached, refuse, size
from gradcheck.adapters.pytorch.numbers import WIDE, array_of, arrays_of, dtype_of, tensor_like
from gradcheck.candidates.precision import AS_GIVEN
from gradcheck.errors import CallFailed, DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called
from gradcheck.foundation.objects.pytree import Flat


class Call(NamedTuple):
    """One evaluation: the leaves that gradients are wanted of, and the outputs that have one."""

    leaves: Tensors
    outputs: Tensors


class TorchFunction(Moving):
    """Evaluated from the same random state and with the same buffers every time. The caller puts back all that is moved.

    Attributes
    ----------
    step : callable, optional
        Leaves the gradients behind, where these are not those of a backward pass of ours: what the user says does, or the
        function itself where it goes backward.
    blocks : dict of str to tensor
        What the gradient is wanted of.
    cotangents : dict of str to array
        They reduce the outputs to one number. Outputs ``without_gradient`` are marked as not differentiable where others are
        not.
    others : dict of str to str
        Outputs that do not float, and their dtypes.
    pairs : frozenset of str
        Outputs that are complex, taken as pairs of real numbers.
    draws : Draws
        Of random numbers.
    idle : frozenset of str, optional
        Blocks that there is no gradient for, once one was asked for.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        arguments: Flat,
        held: Holdings,
        draws: Draws,
        most: int = MANY,
        dtype: torch.dtype | None = None,
        step: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(arguments, held, dtype)
        self.f, self.draws, self.name, self.step = f, draws, name_of(f), step
        self.seed = draws.seed
        self.idle: frozenset[str] | None = None
        for name, tensor in held.wanted.items():
            refuse(self.name, name, tensor, name in arguments.names)
        computed = [
            tensor for tensor in (*self.replaced.values(), *held.beside.values(), *held.left.values()) if not tensor.is_leaf
        ]
        leaves, outputs = self._first()
        stand_ins = {id(leaves[name]) for name in self.replaced}
        ends = [leaf for leaf in reached(outputs.values(), computed) if id(leaf) not in stand_ins]
        ends = self._lasting(ends, held, computed)
        self.blocks = self._wanted(held, ends if self.step is None else self._written(held, ends), most)
        self.unchecked = {name: "no gradient reaches it" for name in held.beside if name not in self.blocks}
        self.unchecked |= left_out(held, ends, self.state)

    def settle(self, dtype: str | None) -> None:
        """Find out how it is to be called; ``dtype`` is as `gradcheck.check` takes it."""
        self.dtype = self._dtype(dtype)
        try:
            outputs = self.call(self.point()).outputs
        except CallFailed as failed:
            raise CallFailed(f"{failed} (dtype={dtype!r})") if dtype else failed from failed.__cause__
        differentiable = {name: output for name, output in outputs.items() if output.requires_grad}
        self.cotangents = draw(arrays_of(differentiable or outputs), self.seed)
        self.without_gradient = outputs.keys() - self.cotangents
        numbers = sum(cotangent.size for cotangent in self.cotangents.values())
        if self.step is not None and numbers != 1:
            raise DataError(f"{self.name}: gradients left behind are those of a loss, one number, and it returned {numbers}")

    @property
    def same(self) -> dict[str, str]:
        """Arguments that are a tensor which has another name already, and that name."""
        names = {id(tensor): name for name, (tensor, _) in reversed(self.state.items()) if tensor.requires_grad}
        pairs = zip(self.arguments.names, self.arguments.leaves, strict=True)
        return {name: names[id(leaf)] for name, leaf in pairs if names.get(id(leaf), name) != name}

    @property
    def hooked(self) -> list[str]:
        """Blocks with hooks that only ``backward()`` runs, and no question of ours."""
        moved = {name: tensor for name, (tensor, _) in self.state.items() if name in self.blocks and self.step is None}
        return [name for name, tensor in moved.items() if getattr(tensor, "_post_accumulate_grad_hooks", None)]

    @property
    def random(self) -> bool:
        """Whether it draws random numbers."""
        return bool(self.draws.drawn)

    @property
    def wide(self) -> bool:
        """Whether it is judged in float64, which not all of it is and all of it follows."""
        return self.dtype is WIDE and not self._is_wide()

    def point(self) -> dict[str, Array]:
        """Values of the blocks, as numbers of float64."""
        arrays = arrays_of(self.blocks)
        if self.dtype is not None:
            arrays = {name: array_of(torch.from_numpy(array).to(self.dtype)) for name, array in arrays.items()}
        return {name: array.astype(np.float64) for name, array in arrays.items()}

    def loss(self, arrays: Mapping[str, Array]) -> float:
        """The outputs reduced by the cotangents."""
        outputs = self.call(arrays).outputs
        return combine({name: array_of(outputs[name]) for name in self.cotangents}, self.cotangents)

    def gradient(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """PyTorch's, or what was left behind; zero where there is none."""
        leaves, gradients = self._gradients(arrays)
        if self.idle is None:
            self.idle = frozenset(name for name, gradient in gradients.items() if gradient is None)
        return arrays_of({name: torch.zeros_like(leaves[name]) if g is None else g for name, g in gradients.items()})

    def alone(self, output: str) -> "TorchFunction":
        """The same function of which one output is used and no other."""
        other = copy(self)
        other.cotangents = {output: self.cotangents[output]}
        return other

    def handing(self, hand_on: Callable[[str, torch.Tensor], torch.Tensor]) -> "TorchFunction":
        """The same function, which is handed what is made of each argument; others are changed in place."""
        other = copy(self)
        other.hand_on = hand_on
        return other

    def in_dtype(self, dtype: torch.dtype | None) -> "TorchFunction":
        """The same function of tensors of another dtype; of those that were given where it is None."""
        other = copy(self)
        other.dtype = dtype
        return other

    def call(self, arrays: Mapping[str, Array]) -> Call:
        """One evaluation where the blocks have these values."""
        leaves, outputs = self._evaluated(arrays)
        return Call({name: leaves[name] for name in arrays}, outputs)

    def stepped(self, arrays: Mapping[str, Array], times: int = 1) -> list[tuple[Tensors, Gradients]]:
        """The leaves, and the gradients that a call of the user's leaves behind; and again, with nothing put back."""
        leaves, given = self.placed(arrays)
        cleared(leaves.values())
        return [self._step(leaves, given) for _ in range(times)]

    def _step(self, leaves: Tensors, given: Any) -> tuple[Tensors, Gradients]:
        returned = self._taken(given)
        wanted = {name: leaves[name] for name in self.blocks}
        found = left_behind(None if self.step is self.f else returned, wanted, f"backward={name_of(self.step)}")
        return wanted, {name: None if gradient is None else gradient.detach().clone() for name, gradient in found.items()}

    def _taken(self, given: Any) -> Any:
        """What the call of the user's returns."""
        assert self.step is not None
        with self.draws.again(first=self.idle is None):
            return called(self.step, f"the backward pass of {self.name}", *given["args"], **given["kwargs"])

    def backward(self, call: Call, cotangents: Mapping[str, Array]) -> Gradients:
        """PyTorch's gradients of an evaluation; None where it has none."""
        outputs = {name: call.outputs[name] for name in cotangents if call.outputs[name].requires_grad}
        if not outputs:
            return dict.fromkeys(call.leaves)
        typed = [tensor_like(cotangents[name], output) for name, output in outputs.items()]
        found = torch.autograd.grad(list(outputs.values()), list(call.leaves.values()), typed, allow_unused=True)
        return dict(zip(call.leaves, found, strict=True))

    def _evaluated(self, arrays: Mapping[str, Array], first: bool = False) -> Call:
        """The same, with all that is moved; what is not named has its own values."""
        leaves, given = self.placed(arrays)
        if self.step is not None:
            cleared(leaves.values())
        before = Before.of(leaves.values() if first else ())
        with self.draws.again(first):
            output = called(self.f, self.name, *given["args"], **given["kwargs"])
        written = self.step is None and before.is_written()
        outputs = outputs_of(output, self.name, numbers=written or self.step is not None)
        if written and is_spent(outputs.floating.values(), leaves.values()):
            self.step = self.f
        self.others, self.pairs = outputs.others, outputs.pairs
        return Call(leaves, outputs.floating)

    def _first(self) -> Call:
        """A first evaluation: in the dtype asked for, else as given; on the leaves, else on copies: it may work in place."""
        try:
            return self._evaluated({}, first=True)
        except CallFailed:
            if self.dtype is not None:
                self.dtype = None
                return self._first()
            undo = self.replace_arguments()
            if undo is None:
                raise
            try:
                return self._evaluated({}, first=True)
            except CallFailed:
                undo()
            raise

    def _written(self, held: Holdings, ends: list[torch.Tensor]) -> list[torch.Tensor]:
        """The leaves of a function whose gradients are left behind: also those that its own graph does not end in.

        Where it has no graph, they may be all that is brought along.
        """
        leaves, given = self.placed({})
        cleared(leaves.values())
        self._taken(given)
        known = set(map(id, ends))
        more = (each for each in held.beside.values() if each.grad is not None or not ends)
        return [*ends, *(each for each in more if id(each) not in known)]

    def _lasting(self, ends: list[torch.Tensor], held: Holdings, computed: list[torch.Tensor]) -> list[torch.Tensor]:
        """Those of these leaves that a second call ends in, too: others are made in a call, and nobody can move them."""
        known = {id(tensor) for tensor in (*held.wanted.values(), *held.beside.values())}
        if known.issuperset(map(id, ends)):
            return ends
        again = {id(leaf) for leaf in reached(self._evaluated({}, first=True).outputs.values(), computed)}
        return [leaf for leaf in ends if id(leaf) in again]

    def _wanted(self, held: Holdings, leaves: list[torch.Tensor], most: int) -> Tensors:
        """What was handed in, and of what closures bring along that which the graph reaches."""
        found, names = dict(held.wanted), {id(tensor): name for name, tensor in held.beside.items()}
        mine = {id(tensor) for tensor in found.values()}
        new = [leaf for leaf in leaves if id(leaf) not in mine]
        for leaf in new if size(new) <= most or not found else ():
            name = names.get(id(leaf), f"captured.{len(found)}")
            found[name] = leaf
            self.state.setdefault(name, (leaf, leaf.data))
        if not found:
            raise DataError(f"{self.name}: nothing to check: no parameter and no tensor argument requires a gradient")
        for name, tensor in found.items():
            refuse(self.name, name, tensor, name in self.arguments.names)
        return {name: self.state[name][1] if name in self.state else tensor.detach() for name, tensor in found.items()}

    def _is_wide(self) -> bool:
        return all(value.dtype.to_real() == WIDE for value in self.blocks.values())

    def _dtype(self, dtype: str | None) -> torch.dtype | None:
        if dtype == AS_GIVEN or (dtype is None and self._is_wide()):
            return None
        if dtype is None:
            return WIDE if self._follows() else None
        return dtype_of(dtype)

    def _follows(self) -> bool:
        """Whether outputs and gradients are float64 where all that goes in is."""
        widened = self.in_dtype(WIDE)
        try:
            call = widened.call(widened.point())
            outputs = list(call.outputs.values())
            if self.step is None:
                gradients = widened.backward(call, draw(arrays_of(call.outputs), self.seed))
            else:
                _, gradients = widened.stepped(widened.point())[0]
        except (RuntimeError, TypeError, ValueError, CallFailed):
            return False
        tensors = (*outputs, *(gradient for gradient in gradients.values() if gradient is not None))
        return all(tensor.dtype in (torch.float64, torch.complex128) for tensor in tensors)

    def _gradients(self, arrays: Mapping[str, Array]) -> tuple[Tensors, Gradients]:
        """The leaves, and the gradient of each."""
        with self.draws.again(first=self.idle is None):
            if self.step is not None:
                return self.stepped(arrays)[0]
            call = self.call(arrays)
            return call.leaves, called(self.backward, f"the backward pass of {self.name}", call, self.cotangents)


def name_of(f: Any) -> str:
    """What a function is called in a report: a class before its method, a module by its class."""
    if isinstance(f, partial):
        return name_of(f.func)
    if isinstance(f, torch.nn.Module):
        return type(f).__name__
    owner = getattr(f, "__self__", None)
    return f"{owner.__name__}.{plain_name(f)}" if isinstance(owner, type) else plain_name(f)
