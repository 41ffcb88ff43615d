"""All questions, in the order in which an answer does not spoil the next one."""

from collections.abc import Callable, Collection
from typing import TypeAlias

from gradcheck.adapters.contract.breaches import Kept, Told, gathered
from gradcheck.adapters.pytorch.contract import (
    arguments,
    batches,
    cotangents,
    forward,
    keeping,
    repeating,
    returned,
    shapes,
    smaller,
)
from gradcheck.adapters.pytorch.contract.answers import Beside, Examined
from gradcheck.adapters.pytorch.contract.graph import nodes_of
from gradcheck.adapters.pytorch.function import TorchFunction
from gradcheck.foundation.state.silence import Silence

OWN = 200  # nodes of PyTorch's own and no others, which its own tests ask about: of more it would take as long as the rest

Question: TypeAlias = Callable[[Examined], Told]

QUESTIONS: tuple[Question, ...] = (
    repeating.twice,
    repeating.cotangents,
    cotangents.layouts,
    cotangents.undefined,
    arguments.layouts,
    arguments.expanded,
    arguments.subsets,
    forward.forward,
    batches.batched,
    keeping.state,
    keeping.outputs,
    returned.returned,
    smaller.batch,
    shapes.others,
)


def asked(
    function: TorchFunction,
    judged: Collection[str],
    beside: Beside | None = None,
    questions: Collection[Question] = QUESTIONS,
) -> Kept:
    """Ask about the blocks whose gradients differences, or a reference, have judged and not found wrong.

    What PyTorch and the function warn of was seen when it was judged, or is about what nobody but these questions does.
    """
    with Silence():
        if function.step is not None:
            return gathered((repeating.added,), function)
        call = function.call(function.point())
        graph = nodes_of(call.outputs.values())
        if not graph.custom and graph.size > OWN:
            return Kept((), (f"{graph.size} backward functions, all of PyTorch: their contract was not asked about",))
        return gathered(questions, Examined(function, judged, call, graph, beside))
