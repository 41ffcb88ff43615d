"""All questions, in the order in which an answer does not spoil the next one."""

import warnings
from collections.abc import Callable, Collection
from typing import NamedTuple

from gradcheck.adapters.contract import arguments, batches, cotangents, forward, keeping, repeating
from gradcheck.adapters.contract.answers import Breach, Examined, Told, shortly
from gradcheck.adapters.contract.graph import nodes_of
from gradcheck.adapters.pytorch_function import TorchFunction

OWN = 200  # nodes of PyTorch's own and no others, which its own tests ask about: of more it would take as long as the rest

QUESTIONS: tuple[Callable[[Examined], Told], ...] = (
    repeating.twice,
    repeating.cotangents,
    cotangents.layouts,
    cotangents.undefined,
    arguments.layouts,
    arguments.subsets,
    forward.forward,
    batches.batched,
    keeping.state,
    keeping.outputs,
)


class Kept(NamedTuple):
    """What a backward function did not keep of its contract, and what was noticed."""

    breaches: tuple[Breach, ...]
    notes: tuple[str, ...]


def asked(function: TorchFunction, judged: Collection[str]) -> Kept:
    """Ask about the blocks whose gradients differences have judged, and not found wrong.

    What PyTorch and the function warn of was seen when it was judged, or is about what nobody but these questions does.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call = function.call(function.point())
        graph = nodes_of(call.outputs.values())
        if not graph.custom and graph.size > OWN:
            return Kept((), (f"{graph.size} backward functions, all of PyTorch: their contract was not asked about",))
        examined = Examined(function, judged, call, graph)
        told = [each for question in QUESTIONS for each in _told(question, examined)]
    notes = dict.fromkeys(each for each in told if isinstance(each, str))
    return Kept(tuple(each for each in told if isinstance(each, Breach)), tuple(notes))


def _told(question: Callable[[Examined], Told], examined: Examined) -> Told:
    """What it brings until the function fails where it did not before, which is a note."""
    try:
        yield from question(examined)
    except Exception as error:
        yield f"{question.__module__.rpartition('.')[2]}.{question.__name__} could not be asked: it {shortly(error)}"
