"""How an objective is called and what its answer means: one convention for each form in which libraries take it."""

import inspect
import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, cast

import numpy as np

from gradcheck.candidates.answer import described
from gradcheck.errors import DataError, DescriptionError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called, name_of

LABELS = re.compile(r"y|yt|t|y_?true|y_?train|true|truth|labels?|targets?|actual|observed")
PREDICTIONS = re.compile(
    r"y_?(pred|hat|score)|yp|[pfzsx]|preds?|predt|predict(ed|ions?)|raw(_scores?)?|margins?|scores?|approx(es)?|logits?"
)
DATA_SETS = re.compile(r"d_?train|dmatrix|dm|data(_?set)?|ds(et)?|train(_?data|_set)?|lgb_train")
WEIGHTS = re.compile(r"w|(sample_)?weights?")
BLOCKS = ("gradient", "hessian")


class Convention(StrEnum):
    """Who calls an objective how."""

    PLAIN = "plain"
    SKLEARN = "sklearn"
    NATIVE = "native"
    CATBOOST = "catboost"


class Data:
    """What a native objective is handed in place of a `DMatrix` or `Dataset`: labels and weights by the methods of both."""

    def __init__(self, labels: Any, weights: Any, rows: int) -> None:
        self.label, self.weight, self._rows = labels, weights, rows

    def get_label(self) -> Any:
        """The labels."""
        return self.label

    def get_weight(self) -> Any:
        """The weights; XGBoost's are empty where there are none, LightGBM's None."""
        return self.weight

    def num_row(self) -> int:
        """The number of rows, as a `DMatrix` says it."""
        return self._rows

    def num_data(self) -> int:
        """The number of rows, as a `Dataset` says it."""
        return self._rows


class Rows(NamedTuple):
    """The rows of a data set: predictions are (n, k) with k = 1 where there are no classes.

    Attributes
    ----------
    length, classes : int
        n and k.
    order : str, optional
        Of predictions and answers that are flat though there are several classes: ``"C"``, row by row, or ``"F"``.
    flat : bool
        Whether predictions are handed on flat.
    labels, weights, data : optional
        ``data`` is a `DMatrix` or a `Dataset` that was handed in.
    """

    length: int
    classes: int
    order: str | None
    flat: bool
    labels: Any = None
    weights: Any = None
    data: Any = None

    def inward(self, raw: Array) -> Array:
        """Predictions as they were handed in, as (n, k)."""
        return raw.reshape(self.length, self.classes, order=cast("Any", self.order or "C"))

    def outward(self, raw: Array) -> Array:
        """Predictions (n, k) as they were handed in, in memory of their own."""
        return raw.ravel(order=cast("Any", self.order or "C")).copy() if self.flat else raw.copy(order="K")

    def block(self, array: Array, what: str) -> tuple[Array | None, str]:
        """An answer as (n, k); or why it is none."""
        n, k = self.length, self.classes
        if array.dtype.kind not in "fiub":
            return None, f"the {what} is of dtype {array.dtype}, expected real numbers"
        if array.shape == (n, k) or (k == 1 and array.shape == (n,)):
            return array.reshape(n, k), ""
        if k > 1 and array.shape == (n * k,) and self.order:
            return self.inward(array), ""
        expected = f"({n},)" if k == 1 else f"({n}, {k})"
        if array.shape == (n * k,):
            hint = f": {k} classes in one line are order='C', row by row, or 'F', class by class; say which"
        else:
            hint = ": transposed" if array.shape == (k, n) else ""
        return None, f"the {what} has shape {array.shape}, expected {expected}{hint}"


class Answer(NamedTuple):
    """What an objective returned, and whether it changed the predictions that it was handed."""

    gradient: Array
    hessian: Array
    changed: bool


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
        """The same with other labels or weights."""
        return self._replace(rows=self.rows._replace(data=None, **changed))

    def answer(self, raw: Array) -> "Answer":
        """What it returns at predictions (n, k).

        Raises
        ------
        DataError
            Where that is no pair of arrays.
        """
        handed = self.rows.outward(raw)
        kept = handed.copy()
        with np.errstate(all="ignore"):
            found = called(self._returned, self.name, handed)
        pair: Any = tuple(cast("Sequence[Any]", found)) if isinstance(found, tuple | list) else ()
        if len(pair) != 2:
            size = f" of {len(pair)}" if isinstance(found, tuple | list) else ""
            raise DataError(f"{self.name} returned {described(found)}{size}, expected a pair (gradient, hessian)")
        return Answer(
            *(_array(part, f"{self.name}: the {what}") for part, what in zip(pair, BLOCKS, strict=True)),
            changed=not np.array_equal(handed, kept),
        )

    def _returned(self, raw: Array) -> Any:
        f, rows = self.function, self.rows
        if self.convention is Convention.PLAIN:
            return f(raw)
        if self.convention is Convention.CATBOOST:
            return _catboost(f, raw, rows)
        if self.convention is Convention.NATIVE:
            return f(raw, rows.data if rows.data is not None else Data(rows.labels, rows.weights, rows.length))
        weight = weight_of(f)
        if rows.weights is None or weight is None:
            return f(rows.labels, raw)
        return f(rows.labels, raw, **{weight: rows.weights})


def convention_of(objective: Any, labels: Any, said: str | None) -> Convention:
    """In which form an objective is, by its methods and the names of its arguments.

    Raises
    ------
    DescriptionError
        Where the order of two arguments cannot be told from their names.
    """
    if said is not None:
        if said not in set(Convention):
            raise DescriptionError(f"expected one of {', '.join(map(repr, Convention))}, got {said!r}", "convention")
        return Convention(said)
    if hasattr(objective, "calc_ders_range") or hasattr(objective, "calc_ders_multi"):
        return Convention.CATBOOST
    if not callable(objective):
        raise DescriptionError(f"expected a function, an estimator or CatBoost's object, got {objective!r}", "objective")
    names = required(objective)
    if len(names) == 1:
        return Convention.PLAIN
    if len(names) >= 2 and means(names[1], DATA_SETS):
        return Convention.NATIVE
    if labels_come_first(names):
        return Convention.SKLEARN
    if hasattr(labels, "get_label"):
        return Convention.NATIVE
    shown = f"{name_of(objective) or 'objective'}({', '.join(names)})"
    raise DescriptionError(
        f"{shown}: its arguments' names do not tell which are labels: say 'sklearn' for (y_true, y_pred), 'native' for "
        "(preds, dtrain), or hand in a function of the predictions alone",
        "convention",
    )


def means(name: str, words: re.Pattern[str]) -> bool:
    """Whether an argument is called by one of these words."""
    return words.fullmatch(name.lower()) is not None


def labels_come_first(names: Sequence[str]) -> bool:
    """Whether of a function's arguments the first are labels and predictions, in this order."""
    return len(names) >= 2 and means(names[0], LABELS) and means(names[1], PREDICTIONS)


def required(f: Callable[..., Any]) -> list[str]:
    """Names of the arguments that a function must be given by their place; none where it does not say."""
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [p.name for p in parameters if p.kind in positional and p.default is inspect.Parameter.empty]
    return names or [p.name for p in parameters if p.kind in positional][:1]


def weight_of(f: Callable[..., Any]) -> str | None:
    """The name of the argument that takes weights, if there is one."""
    try:
        names = list(inspect.signature(f).parameters)
    except (TypeError, ValueError):
        return None
    return next((name for name in names if means(name, WEIGHTS)), None)


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
        found = np.array([tuple(pair) for pair in pairs], dtype=np.float64).reshape(-1, 2)
        return found[:, 0], found[:, 1]
    weights: Any = [None] * rows.length if rows.weights is None else rows.weights
    first: list[Any] = []
    second: list[Any] = []
    for approx, label, weight in zip(raw.reshape(rows.length, -1), rows.labels, weights, strict=True):
        one, other = f.calc_ders_multi(approx, label, weight)
        first.append(one)
        second.append(np.diag(np.asarray(other)))
    return np.array(first, dtype=np.float64), np.array(second, dtype=np.float64)
