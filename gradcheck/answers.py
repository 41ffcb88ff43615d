"""Asking a backend, and what can be wrong with its answer before any arithmetic."""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import numpy as np

from gradcheck.arrays import Array
from gradcheck.network.network import Network
from gradcheck.protocol import Backend, Batch, Parameters


class Answer(NamedTuple):
    """What a backend said, in float64, and what cannot be compared at all.

    Attributes
    ----------
    losses : tuple of float
        From ``loss`` and from ``loss_and_gradients``; empty where the backend did not get that far.
    gradients : dict of str to array
        Those of the right shape and with finite entries.
    defects : dict of str to str
        By parameter name (or ``"loss"``): one sentence each.
    notes : tuple of str
        Noticed, and no verdict.
    """

    losses: tuple[float, ...]
    gradients: dict[str, Array]
    defects: dict[str, str]
    notes: tuple[str, ...] = ()


def ask(backend: Backend, network: Network, parameters: Parameters, batch: Batch) -> Answer:
    """Build the network and evaluate it on copies; whatever the backend raises is its answer."""
    own = {name: value.copy() for name, value in parameters.items()}
    mine = Batch(batch.inputs.copy(), batch.targets.copy())
    try:
        model = backend.build(network)
        returned = cast("object", model.loss_and_gradients(own, mine))
        changed = _changed(own, mine, parameters, batch)
        answer = _examine(returned, float(model.loss(own, mine)), parameters)
    except (Exception, SystemExit) as error:
        sentence = f"raised {type(error).__name__}: {' '.join(str(error).split()) or 'without a message'}"
        return Answer((), {}, {"loss": sentence})
    return answer._replace(defects={**answer.defects, **changed})


def _examine(returned: object, loss: float, parameters: Parameters) -> Answer:
    """Split what ``loss_and_gradients`` returned into what can be compared and what cannot."""
    if not isinstance(returned, tuple) or len(cast("tuple[Any, ...]", returned)) != 2:
        return Answer(
            (), {}, {"loss": f"returned {type(cast('object', returned)).__name__}, expected a pair (loss, gradients)"}
        )
    value, gradients = cast("tuple[Any, Any]", returned)
    if not isinstance(gradients, Mapping):
        return Answer((), {}, {"loss": f"returned gradients as {type(gradients).__name__}, expected a dict"})
    by_name = cast("Mapping[str, Any]", gradients)
    defects = {name: "no gradient was returned" for name in parameters if name not in by_name}
    defects |= {str(name): "a gradient for a parameter that does not exist" for name in by_name if name not in parameters}
    good: dict[str, Array] = {}
    notes: list[str] = []
    for name in (name for name in parameters if name in by_name):
        array = np.asarray(by_name[name])
        problem = _problem(array, parameters[name])
        if problem:
            defects[name] = problem
            continue
        good[name] = array.astype(np.float64)
        if array.dtype != parameters[name].dtype:
            notes.append(f"{name}: the gradient is {array.dtype}, the parameter {parameters[name].dtype}")
    losses = (loss, float(value))
    if not np.isfinite(losses).all():
        defects["loss"] = f"the loss is {losses[0] if not np.isfinite(losses[0]) else losses[1]}"
    return Answer(losses, good, defects, tuple(notes))


def _problem(array: Array, parameter: Array) -> str:
    if array.dtype.kind not in "fiu":
        return f"the gradient has dtype {array.dtype}, expected real numbers"
    if array.shape != parameter.shape:
        return f"the gradient has shape {array.shape}, the parameter {parameter.shape}"
    if not np.isfinite(array).all():
        index = [int(i) for i in np.argwhere(~np.isfinite(array))[0]]
        return f"the gradient is {array[tuple(index)]} at {index}"
    return ""


def _changed(own: Parameters, mine: Batch, parameters: Parameters, batch: Batch) -> dict[str, str]:
    before = {**parameters, "inputs": batch.inputs, "targets": batch.targets}
    after = {**own, "inputs": mine.inputs, "targets": mine.targets}
    altered = [name for name in before if not np.array_equal(before[name], after[name])]
    where = {name: "the call changed this parameter" for name in altered if name in parameters}
    batch_too = [name for name in altered if name not in parameters]
    return where | ({"loss": f"the call changed the batch's {' and '.join(batch_too)}"} if batch_too else {})
