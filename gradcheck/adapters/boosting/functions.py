"""The user's two functions: the loss that is meant, and the objective, with what can be compared of its answer."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from gradcheck.adapters.boosting.conventions import Convention, Data, Rows, labels_come_first, required, weight_of
from gradcheck.candidates.answer import Defect, described, is_another
from gradcheck.errors import DataError
from gradcheck.foundation.arithmetic import UNIT
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called, name_of
from gradcheck.verdict.causes import Cause

BLOCKS = ("gradient", "hessian")


class Loss(NamedTuple):
    """The loss: a value for each row, times the weights where it takes none, or a number: their sum, mean, or another."""

    function: Callable[..., Any]
    rows: Rows

    @property
    def name(self) -> str:
        """What it is called."""
        return name_of(self.function) or "loss"

    def __call__(self, raw: Array) -> Array:
        """At predictions (n, k): n values, or a number as an array of shape ()."""
        with np.errstate(all="ignore"):
            found = np.asarray(called(self._returned, self.name, self.rows.outward(raw)))
        if found.dtype.kind not in "fiub":
            raise DataError(f"{self.name} returned {found.dtype}, expected real numbers")
        n, weights = self.rows.length, self.rows.weights
        unweighted = weights is not None and weight_of(self.function) is None
        if found.size == 1 and (found.ndim == 0 or n > 1):
            if unweighted:
                raise DataError(f"{self.name} returns a number and takes no weights: return a value for each row")
            return found.astype(np.float64).reshape(())
        if found.size % n or found.shape[:1] != (n,):
            raise DataError(f"{self.name} returned shape {found.shape}, expected ({n},), a value for each row, or a number")
        found = found.astype(np.float64, copy=False)
        found = found if found.ndim == 1 else found.reshape(n, -1).sum(axis=1)
        return found * np.asarray(weights, dtype=np.float64) if unweighted else found

    def _returned(self, raw: Array) -> Any:
        f, rows = self.function, self.rows
        names = required(f)
        if rows.labels is None or len(names) == 1:
            return f(raw)
        both = (rows.labels, raw) if labels_come_first(names) else (raw, rows.labels)
        return f(*both, **_weights(f, rows))


class Answer(NamedTuple):
    """What an objective returned, and whether it changed the predictions that it was handed."""

    gradient: Array
    hessian: Array
    changed: bool = False


class Objective(NamedTuple):
    """A user's objective in its convention."""

    function: Any
    convention: Convention
    rows: Rows

    @property
    def name(self) -> str:
        """What it is called."""
        return name_of(self.function) or type(self.function).__name__

    @property
    def sign(self) -> float:
        """CatBoost maximises: what it is given are derivatives of the negative loss."""
        return -1.0 if self.convention is Convention.CATBOOST else 1.0

    def of(self, **changed: Any) -> "Objective":
        """The same with other labels, or another order."""
        return self._replace(rows=self.rows._replace(data=None, **changed))

    def answer(self, raw: Array) -> Answer:
        """What it returns at predictions (n, k).

        Raises
        ------
        DataError
            Where that is no pair of arrays.
        """
        handed = self.rows.outward(raw)
        with np.errstate(all="ignore"):
            found = called(self._returned, self.name, handed)
        pair: Any = tuple(cast("Sequence[Any]", found)) if isinstance(found, tuple | list) else ()
        if len(pair) != 2:
            size = f" of {len(pair)}" if isinstance(found, tuple | list) else ""
            raise DataError(f"{self.name} returned {described(found)}{size}, expected a pair (gradient, hessian)")
        parts = [_array(part, f"{self.name}: the {what}") for part, what in zip(pair, BLOCKS, strict=True)]
        return Answer(parts[0], parts[1], not np.array_equal(self.rows.inward(handed), raw))

    def _returned(self, raw: Array) -> Any:
        f, rows = self.function, self.rows
        if self.convention is Convention.PLAIN:
            return f(raw)
        if self.convention is Convention.CATBOOST:
            return _catboost(f, raw, rows)
        if self.convention is Convention.NATIVE:
            return f(raw, rows.data if rows.data is not None else Data(rows.labels, rows.weights, rows.length))
        return f(rows.labels, raw, **_weights(f, rows))

    def blocks(self, raw: Array) -> dict[str, Array]:
        """What it says at predictions (n, k), by block, as (n, k); without those that are of another shape."""
        answer = self.answer(raw)
        found = ((name, self.rows.block(part, name)[0]) for name, part in zip(BLOCKS, answer[:2], strict=True))
        return {name: self.sign * block.astype(np.float64) for name, block in found if block is not None}


class Claimed(NamedTuple):
    """What an objective says, as (n, k) by block, in float64; what of it cannot be compared; its unit roundoff."""

    blocks: dict[str, Array]
    defects: dict[str, Defect]
    unit: float


def claimed(objective: Objective, first: Answer, second: Answer, unit: float = UNIT) -> Claimed:
    """What can be compared of an answer that was given twice."""
    blocks: dict[str, Array] = {}
    defects: dict[str, Defect] = {}
    for name, one, other in zip(BLOCKS, first[:2], second[:2], strict=True):
        block, problem = objective.rows.block(one, name)
        if block is None:
            defects[name] = Defect(Cause.WRONG_STRUCTURE, problem)
            continue
        if one.dtype.kind == "f" and one.dtype.itemsize < 8:
            unit = max(unit, float(np.finfo(one.dtype).eps) / 2)
        blocks[name] = objective.sign * block.astype(np.float64, copy=False)
        if not np.isfinite(block).all():
            index = np.argwhere(~np.isfinite(block))[0]
            where = list(indexed(index, objective.rows.classes))
            defects[name] = Defect(Cause.NON_FINITE, f"the {name} is {block[tuple(index)]} at {where}")
        elif other is not one and is_another(one, other, float(np.finfo(np.float64).eps)):
            defects[name] = Defect(Cause.NONDETERMINISTIC, f"a second call changed the {name}")
        elif first.changed:
            defects[name] = Defect(Cause.MUTATES_INPUT, "the call changed the predictions that it was handed")
    return Claimed(blocks, defects, unit)


def indexed(index: Any, classes: int) -> tuple[int, ...]:
    """An index into (n, k) as people see it: of a single class by its row."""
    return tuple(int(i) for i in (index[:1] if classes == 1 else index))


def _weights(f: Callable[..., Any], rows: Rows) -> dict[str, Any]:
    weight = weight_of(f)
    return {} if weight is None or rows.weights is None else {weight: rows.weights}


def _array(part: Any, what: str) -> Array:
    if part is None:
        raise DataError(f"{what} is None, expected an array")
    try:
        return np.asarray(part)
    except Exception as error:
        raise DataError(f"{what} is {described(part)} and no array: {error}") from error


def _catboost(f: Any, raw: Array, rows: Rows) -> tuple[Array, Array]:
    if rows.classes == 1 and hasattr(f, "calc_ders_range"):
        pairs: Any = f.calc_ders_range(raw.ravel(), rows.labels, rows.weights)
    else:
        weights: Any = [None] * rows.length if rows.weights is None else rows.weights
        each = zip(raw.reshape(rows.length, -1), rows.labels, weights, strict=True)
        answers = (f.calc_ders_multi(*row) for row in each)
        pairs = [(first, np.diag(np.asarray(second))) for first, second in answers]
    first, second = (np.array(part, dtype=np.float64) for part in zip(*pairs, strict=True))
    return first, second
