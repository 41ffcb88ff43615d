"""Asking a backend, and what can be wrong with its answer before any arithmetic."""

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from gradcheck.builds.protocol import Backend
from gradcheck.candidates.form import Defect, comparable, described
from gradcheck.foundation.arrays import Array
from gradcheck.network.batch import Batch, Parameters
from gradcheck.network.network import Network

HOME = Path(__file__).parents[1]


class Answer(NamedTuple):
    """What a backend said, in float64, and what cannot be compared at all.

    Attributes
    ----------
    losses : tuple of float
        From every call that returned one.
    gradients : dict of str to array
        Those of the right shape and with finite entries.
    defects : dict of str to Defect
        By parameter name (or ``"loss"``).
    notes : tuple of str
        Noticed, and no verdict.
    """

    losses: tuple[float, ...] = ()
    gradients: Mapping[str, Array] = {}
    defects: Mapping[str, Defect] = {}
    notes: tuple[str, ...] = ()


def ask(backend: Backend, network: Network, parameters: Parameters, batch: Batch) -> Answer:
    """Build the network, evaluate the gradient twice and the loss once; whatever the backend raises is its answer."""
    try:
        model = backend.build(network)
    except (Exception, SystemExit) as error:
        return Answer(defects={"loss": _raised(error)})
    given = Copies(parameters, batch)
    first, second = (_evaluate(model, "loss_and_gradients", _pair, given) for _ in range(2))
    repeated = _repeated(first.gradients, second.gradients, parameters)
    second = second._replace(gradients={})
    loss = _evaluate(model, "loss", _loss, given)
    return Answer(
        losses=(*loss.losses, *first.losses, *second.losses),
        gradients=first.gradients,
        defects={**loss.defects, **repeated.defects, **second.defects, **first.defects},
        notes=(*first.notes, *repeated.notes),
    )


class Copies:
    """Copies of the arguments for a model to be called with, made anew when a call has changed them."""

    def __init__(self, parameters: Parameters, batch: Batch) -> None:
        self.parameters, self.batch = parameters, batch
        self.renew()

    def renew(self) -> None:
        """Forget what a call did to them."""
        self.own = {name: value.copy() for name, value in self.parameters.items()}
        self.mine = Batch(self.batch.inputs.copy(), self.batch.targets.copy())

    def changed(self) -> dict[str, Defect]:
        """What the last call has changed, by parameter name; ``"loss"`` for the batch."""
        where = {
            name: Defect("mutates-input", "the call changed this parameter")
            for name, value in self.parameters.items()
            if name not in self.own or not np.array_equal(self.own[name], value)
        }
        altered = [name for name in Batch._fields if not np.array_equal(getattr(self.mine, name), getattr(self.batch, name))]
        batch = Defect("mutates-input", f"the call changed the batch's {' and '.join(altered)}")
        return where | ({"loss": batch} if altered else {})


def _evaluate(model: object, method: str, examine: Callable[[Any, Parameters], Answer], given: Copies) -> Answer:
    """One call: what it returned or raised, and which of its arguments it changed."""
    try:
        with np.errstate(all="ignore"):  # what overflows is seen in the numbers
            answer = examine(getattr(model, method)(given.own, given.mine), given.parameters)
    except (Exception, SystemExit) as error:
        answer = Answer(defects={"loss": _raised(error)})
    changed = given.changed()
    if changed or given.own.keys() != given.parameters.keys():
        given.renew()
    return answer._replace(defects={**answer.defects, **changed})


def _raised(error: BaseException) -> Defect:
    message = " ".join(str(error).split()) or "without a message"
    frame = traceback.extract_tb(error.__traceback__)[-1]
    file = Path(frame.filename)
    ours = file.is_relative_to(HOME)
    where = "" if ours else f" ({file.name}:{frame.lineno})"
    return Defect("raised", f"raised {type(error).__name__}: {message}{where}")


def _loss(value: Any, _parameters: Parameters) -> Answer:
    """A loss is whatever ``float`` takes without parsing it or throwing half of it away."""
    number = cast("Any", value)[()] if isinstance(value, np.ndarray) else value
    try:
        if isinstance(number, str | bytes | complex | np.complexfloating | np.ndarray):
            raise TypeError
        loss = float(number)
    except Exception:
        return Answer(defects={"loss": Defect("wrong-structure", f"the loss is {described(value)}, expected a number")})
    if not np.isfinite(loss):
        return Answer(losses=(loss,), defects={"loss": Defect("non-finite", f"the loss is {loss}")})
    return Answer(losses=(loss,))


def _pair(returned: Any, parameters: Parameters) -> Answer:
    """Split what ``loss_and_gradients`` returned into what can be compared and what cannot."""
    pair = cast("tuple[object, ...]", returned) if isinstance(returned, tuple) else ()
    if len(pair) != 2:
        sentence = f"returned {described(returned)}, expected a pair (loss, gradients)"
        return Answer(defects={"loss": Defect("wrong-structure", sentence)})
    loss, answer = _loss(pair[0], parameters), _gradients(pair[1], parameters)
    return answer._replace(losses=loss.losses, defects={**answer.defects, **loss.defects})


def _gradients(gradients: object, parameters: Parameters) -> Answer:
    if not isinstance(gradients, Mapping):
        sentence = f"the gradients are {described(gradients)}, expected a dict"
        return Answer(defects=dict.fromkeys(parameters, Defect("wrong-structure", sentence)))
    by_name = cast("Mapping[object, object]", gradients)
    good: dict[str, Array] = {}
    stranger = Defect("wrong-structure", "a gradient for a parameter that does not exist")
    defects = {str(name): stranger for name in by_name if name not in parameters}
    notes: list[str] = []
    for name, parameter in parameters.items():
        array, problem = comparable(by_name[name], parameter) if name in by_name else (None, "no gradient was returned")
        if problem:
            defects[name] = Defect("wrong-structure" if array is None else "non-finite", problem)
        if problem or array is None:
            continue
        good[name] = array.astype(np.float64)
        if array.dtype != parameter.dtype:
            notes.append(f"{name}: the gradient is {array.dtype}, the parameter {parameter.dtype}")
    return Answer(gradients=good, defects=defects, notes=tuple(notes))


def _repeated(first: Mapping[str, Array], second: Mapping[str, Array], parameters: Parameters) -> Answer:
    """What two calls disagree on: a note where it may be the order of additions, a defect beyond that.

    The line is drawn at sqrt(2 u) of the largest entry. Chosen, not derived.
    """
    defects: dict[str, Defect] = {}
    notes: list[str] = []
    for name in (name for name in first if name in second):
        if np.array_equal(first[name], second[name]):
            continue
        difference = np.abs(first[name] - second[name])
        worst = tuple(int(i) for i in np.unravel_index(np.argmax(difference), difference.shape))
        change = f"from {first[name][worst]:.17g} to {second[name][worst]:.17g} at {list(worst)}"
        if difference[worst] > np.sqrt(np.finfo(parameters[name].dtype).eps) * np.max(np.abs(first[name])):
            defects[name] = Defect("nondeterministic", f"a second call changed the gradient {change}")
        else:
            notes.append(f"{name}: the gradient changes from call to call, {change}")
    return Answer(defects=defects, notes=tuple(notes))
