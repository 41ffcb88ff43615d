"""Asking a build: twice for its gradients and once for its loss, always on copies; whatever it raises is its answer."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np

from gradcheck.builds.protocol import Backend, built
from gradcheck.candidates.answer import Answer, Defect, changed, described, examined, repeated
from gradcheck.errors import Unsupported
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import one_line, passes, raised, theirs
from gradcheck.network.batch import Batch, Parameters
from gradcheck.network.network import Network
from gradcheck.verdict.causes import Cause


def ask(
    backend: Backend, network: Network, parameters: Parameters, batch: Batch, rounding: Mapping[str, Array] = {}
) -> Answer:
    """Build the network, evaluate the gradient twice and the loss once; ``rounding`` may put gradients off so far."""
    try:
        with theirs():
            model = built(backend, network)
    except Unsupported as error:
        return Answer(unsupported=one_line(error))
    except BaseException as error:
        if passes(error):
            raise
        return Answer(defects={"loss": _raised(error)})
    given = Copies(parameters, batch)
    first, second = (_evaluate(model, "loss_and_gradients", _pair, given) for _ in range(2))
    spacing = {name: float(np.finfo(value.dtype).eps) for name, value in parameters.items()}
    repeats = repeated(first.gradients, second.gradients, spacing.__getitem__, rounding)
    second = second._replace(gradients={})
    loss = _evaluate(model, "loss", _loss, given)
    unsupported = first.unsupported or second.unsupported or loss.unsupported
    if unsupported:
        return Answer(unsupported=unsupported)
    return Answer(
        gradients=first.gradients,
        defects={**loss.defects, **repeats.defects, **second.defects, **first.defects},
        notes=(*first.notes, *repeats.notes),
        losses=(*loss.losses, *first.losses, *second.losses),
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
        altered = " and ".join(changed(self.mine._asdict(), self.batch._asdict(), "array"))
        batch = Defect(Cause.MUTATES_INPUT, f"the call changed the batch's {altered}")
        return changed(self.own, self.parameters, "parameter") | ({"loss": batch} if altered else {})


def _evaluate(model: object, method: str, examine: Callable[[Any, Parameters], Answer], given: Copies) -> Answer:
    """One call: what it returned or raised, and which of its arguments it changed."""
    try:
        with np.errstate(all="ignore"), theirs():  # what overflows is seen in the numbers
            answer = examine(getattr(model, method)(given.own, given.mine), given.parameters)
    except Unsupported as error:  # a bare function is asked for nothing before this
        return Answer(unsupported=one_line(error))
    except BaseException as error:
        if passes(error):
            raise
        answer = Answer(defects={"loss": _raised(error)})
    defects = given.changed()
    if defects or given.own.keys() != given.parameters.keys():
        given.renew()
    return answer._replace(defects={**answer.defects, **defects})


def _raised(error: BaseException) -> Defect:
    return Defect(Cause.RAISED, raised(error))


def _malformed(sentence: str) -> Defect:
    return Defect(Cause.WRONG_STRUCTURE, sentence)


def _loss(value: Any, _parameters: Parameters) -> Answer:
    """A loss is whatever ``float`` takes without parsing it or throwing half of it away."""
    number = cast("Any", value)[()] if isinstance(value, np.ndarray) else value
    try:
        if isinstance(number, str | bytes | complex | np.complexfloating | np.ndarray):
            raise TypeError
        loss = float(number)
    except Exception:
        return Answer(defects={"loss": _malformed(f"the loss is {described(value)}, expected a number")})
    if not np.isfinite(loss):
        return Answer(losses=(loss,), defects={"loss": Defect(Cause.NON_FINITE, f"the loss is {loss}")})
    return Answer(losses=(loss,))


def _pair(returned: Any, parameters: Parameters) -> Answer:
    """Split what ``loss_and_gradients`` returned into what can be compared and what cannot."""
    pair = cast("tuple[object, ...]", returned) if isinstance(returned, tuple) else ()
    if len(pair) != 2:
        return Answer(defects={"loss": _malformed(f"returned {described(returned)}, expected a pair (loss, gradients)")})
    loss, answer = _loss(pair[0], parameters), _gradients(pair[1], parameters)
    return answer._replace(losses=loss.losses, defects={**answer.defects, **loss.defects})


def _gradients(gradients: object, parameters: Parameters) -> Answer:
    if not isinstance(gradients, Mapping):
        sentence = f"the gradients are {described(gradients)}, expected a dict"
        return Answer(defects=dict.fromkeys(parameters, _malformed(sentence)))
    by_name = cast("Mapping[Any, Any]", gradients)
    answer = examined(by_name, parameters)
    stranger = _malformed("a gradient for a parameter that does not exist")
    strangers = {str(name): stranger for name in by_name if name not in parameters}
    good: Mapping[str, Array] = answer.gradients
    notes = [
        f"{name}: the gradient is {array.dtype}, the parameter {parameters[name].dtype}"
        for name, array in good.items()
        if array.dtype != parameters[name].dtype
    ]
    wide = {name: array.astype(np.float64) for name, array in good.items()}
    return Answer(wide, {**strangers, **answer.defects}, tuple(notes))
