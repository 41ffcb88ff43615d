"""What a call has returned stays as it was, whatever is called next: outputs and gradients, which others go on using."""

from collections.abc import Mapping
from contextlib import suppress

import torch

from gradcheck.adapters.contract.breaches import Breach, Told
from gradcheck.adapters.pytorch.contract.answers import Examined
from gradcheck.adapters.pytorch.contract.keeping import as_it_is
from gradcheck.adapters.pytorch.contract.repeating import is_changed
from gradcheck.adapters.pytorch.function import Call
from gradcheck.foundation.arrays import Array
from gradcheck.verdict.causes import Cause


def returned(examined: Examined) -> Told:
    """A second call and its backward pass, at another point, write to no memory that the first ones have handed out."""
    call = examined.call()
    outputs, gradients = _handed_out(examined, call)
    before = {id(each): each.clone() for each in (*outputs.values(), *gradients.values())}
    with as_it_is(examined.function, call), suppress(Exception):
        _handed_out(examined, examined.function.call(examined.elsewhere(examined.function.seed)))
    for what, tensors in (("the output", outputs), ("the gradient", gradients)):
        for name in (name for name, each in tensors.items() if is_changed(each, before[id(each)])):
            whose = frozenset({name}) if name in examined.judged else frozenset(examined.gradients)
            yield Breach(Cause.SHARED_OUTPUT, whose, f"{what} {name} of a first call is another after a second one")


def _handed_out(examined: Examined, call: Call) -> tuple[Mapping[str, torch.Tensor], Mapping[str, torch.Tensor]]:
    """Outputs, in the memory that they have now, and gradients; what is moved by us has another one afterwards."""
    outputs = {name: output.detach() for name, output in call.outputs.items()}
    given: Mapping[str, Array] = examined.function.cotangents
    with examined.function.draws.again():
        found = examined.function.backward(call, given)
    return outputs, {name: each for name, each in found.items() if each is not None}
