"""What is kept between forward and backward: on the context, not on the class, and safe from who changes an output."""

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial

import numpy as np
import torch

from gradcheck.adapters.contract.breaches import Told
from gradcheck.adapters.contract.first import Gradients
from gradcheck.adapters.pytorch.contract.answers import Examined, wide
from gradcheck.adapters.pytorch.contract.smaller import cropping, samples
from gradcheck.adapters.pytorch.function import Call, TorchFunction
from gradcheck.adapters.pytorch.holdings import Tensors
from gradcheck.foundation.arrays import Array
from gradcheck.verdict.causes import Cause

FACTOR = 2.0  # by which an output is multiplied in place: a power of two, so that nothing rounds otherwise


def state(examined: Examined) -> Told:
    """A backward pass answers for its own forward pass, whatever others came in between."""
    if not examined.custom:
        return
    for what, between in (("at another point", _elsewhere), ("of a smaller batch", _cropped)):
        call = examined.call()
        with as_it_is(examined.function, call), suppress(Exception):
            between(examined)
        backward = partial(examined.backward, call, retain=False)
        yield from examined.answers(Cause.SHARED_STATE, f"after a forward pass {what}", backward)


def _elsewhere(examined: Examined) -> None:
    names = examined.function.arguments.names
    function = examined.function.handing(lambda name, tensor: another(tensor) if name in names else tensor)
    function.call(examined.elsewhere(examined.function.seed))


def _cropped(examined: Examined) -> None:
    """By one sample: of the arguments that have as many as the first one."""
    if samples(examined):
        examined.function.handing(cropping(examined.function, samples(examined), {})).call(examined.point)


def another(tensor: torch.Tensor) -> torch.Tensor:
    """Of the same values: the one that is kept from the first forward pass is not to be moved with the second."""
    return tensor.detach().clone().requires_grad_(tensor.requires_grad)


@contextmanager
def as_it_is(function: TorchFunction, call: Call) -> Generator[None]:
    """What a forward pass has read lies afterwards where it lay: the same tensors may be moved by the next one."""
    tensors = [*call.leaves.values(), *(tensor for tensor, _ in function.state.values())]
    contents = [(tensor, tensor.data) for tensor in tensors]
    try:
        yield
    finally:
        for tensor, content in contents:
            tensor.data = content


def outputs(examined: Examined) -> Told:
    """An output may be changed in place: then the backward pass raises, or is right for what was changed."""
    if not examined.custom:
        return
    for output in examined.function.cotangents:
        yield from _changed(examined, output)


def _changed(examined: Examined, output: str) -> Told:
    handed: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    # Of copies, too: a module's parameter is none any more where a copy stands in for it.
    alone = examined.function.handing(_copies(examined.function.arguments.names, {})).call(examined.point)
    call = examined.function.handing(_copies(examined.function.arguments.names, handed)).call(examined.point)
    if not call.outputs[output].requires_grad:
        return
    expected = _quiet(lambda: examined.backward(alone, _own(examined, alone, output)))
    try:
        call.outputs[output].mul_(FACTOR)
    except RuntimeError:  # a view, or something expanded: PyTorch says so
        return
    found = _quiet(lambda: examined.backward(call, _own(examined, call, output)))
    if found is not None and expected is not None:
        larger = {name: FACTOR * gradient for name, gradient in expected.items()}
        yield from examined.differing(Cause.OUTPUT_VIEW, "where the output is doubled in place", found, larger)
    if any(shares(call.outputs[output], copy) for copy, _ in handed.values()):
        yield from _witnesses(examined, call, handed)


def _copies(
    names: tuple[str, ...], handed: dict[str, tuple[torch.Tensor, torch.Tensor]]
) -> Callable[[str, torch.Tensor], torch.Tensor]:
    """Copies, so that in place is allowed; and the square of each, of which the copy is saved."""

    def hand_on(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if name not in names:
            return tensor
        copy = tensor.clone()
        if tensor.requires_grad:
            handed[name] = copy, copy.square()
        return copy

    return hand_on


def shares(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors lie in one storage."""
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def _own(examined: Examined, call: Call, output: str) -> Tensors:
    return {output: examined.cotangents(call)[output]}


def _quiet(backward: Callable[[], Gradients]) -> Gradients | None:
    """None where it raises, as it may."""
    try:
        return backward()
    except Exception:
        return None


def _witnesses(examined: Examined, call: Call, handed: dict[str, tuple[torch.Tensor, torch.Tensor]]) -> Told:
    """Others that saved an argument are told that it was changed, or are right all the same."""
    when = "where the output is doubled in place, of another function of the argument"
    for name, (_, square) in handed.items():
        leaf = call.leaves[name]

        def backward(name: str = name, leaf: torch.Tensor = leaf, square: torch.Tensor = square) -> Gradients:
            return {name: wide(torch.autograd.grad(square.sum(), leaf, retain_graph=True)[0])}

        found = _quiet(backward)
        twice: dict[str, Array] = {name: 2 * examined.point[name].astype(np.float64)}
        if found is not None:
            yield from examined.differing(Cause.OUTPUT_VIEW, when, found, twice)
