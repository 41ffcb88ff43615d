"""What is minimised: a backend's loss and gradient as functions of one vector, counted."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from gradcheck.builds.protocol import Model
from gradcheck.candidates.answer import comparable, described
from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called
from gradcheck.foundation.validation import pair_of
from gradcheck.network.batch import Batch, Parameters


class Objective:
    """All parameters one behind the other in a vector; every evaluation gives the backend arrays that nobody writes to.

    ``evaluations`` counts how often it was asked for a loss, with or without its gradient, on the whole batch or a part.
    """

    def __init__(self, model: Model, backend: str, parameters: Parameters, batch: Batch) -> None:
        self._model, self._backend, self._batch = model, backend, batch
        ends = np.cumsum([value.size for value in parameters.values()]).tolist()
        self._places = [
            (name, slice(end - value.size, end), value.shape)
            for (name, value), end in zip(parameters.items(), ends, strict=True)
        ]
        self.start = np.concatenate([value.ravel() for value in parameters.values()])
        self.samples = len(batch.inputs)
        self.evaluations = 0

    def named(self, vector: Array) -> dict[str, Array]:
        """The vector as arrays by parameter name, which share its memory."""
        return {name: vector[place].reshape(shape) for name, place, shape in self._places}

    def loss(self, at: Array) -> float:
        """Of the whole batch."""
        self.evaluations += 1
        return self._number(called(self._model.loss, self._backend, self.named(at), self._batch))

    def loss_and_gradient(self, at: Array, chosen: Array | None = None) -> tuple[float, Array]:
        """Of the whole batch, or of the samples with these numbers."""
        self.evaluations += 1
        batch = self._batch if chosen is None else Batch(*(array[chosen] for array in self._batch))
        returned = called(self._model.loss_and_gradients, self._backend, self.named(at), batch)
        loss, gradients = pair_of(returned, self._backend)
        return self._number(loss), self._vector(gradients, at)

    def not_finite(self, vector: Array) -> str:
        """``0.weight is nan`` for the first entry of the vector that is not finite."""
        index = int(np.argmin(np.isfinite(vector)))
        name = next(name for name, place, _ in self._places if index < place.stop)
        return f"{name} is {vector[index]}"

    def _vector(self, gradients: object, at: Array) -> Array:
        if not isinstance(gradients, Mapping):
            raise DataError(f"{self._backend}: the gradients are {described(gradients)}, expected a dict")
        by_name = cast("Mapping[str, Any]", gradients)
        parts: list[Array] = []
        for name, place, shape in self._places:
            part = by_name.get(name)
            if type(part) is not np.ndarray or part.shape != shape or part.dtype != at.dtype:
                part = self._converted(part, name, at[place].reshape(shape))
            parts.append(part.ravel())
        return np.concatenate(cast("Sequence[Array]", parts), dtype=at.dtype, casting="same_kind")

    def _converted(self, part: Any, name: str, like: Array) -> Array:
        array, problem = (None, "no gradient was returned") if part is None else comparable(part, like)
        if array is None:
            raise DataError(f"{self._backend}: {name}: {problem}")
        return array

    def _number(self, loss: Any) -> float:
        if type(loss) is float:
            return loss
        array = np.asarray(loss)
        if array.shape or array.dtype.kind not in "fiu":
            raise DataError(f"{self._backend}: the loss is {described(loss)}, expected a number")
        return float(array)
