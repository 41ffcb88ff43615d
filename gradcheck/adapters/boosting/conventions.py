"""How an objective is called: one convention for each form in which libraries take it, told by names of arguments."""

import inspect
import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, cast

from gradcheck.errors import DescriptionError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import name_of

LABELS = re.compile(r"y|yt|t|y_?true|y_?train|true|truth|labels?|targets?|actual|observed")
PREDICTIONS = re.compile(
    r"y_?(pred|hat|score)|yp|[pfzsx]|preds?|predt|predict(ed|ions?)|raw(_scores?)?|margins?|scores?|approx(es)?|logits?"
)
DATA_SETS = re.compile(r"d_?train|dmatrix|dm|data(_?set)?|ds(et)?|train(_?data|_set)?|lgb_train")
WEIGHTS = re.compile(r"w|(sample_)?weights?")
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Convention(StrEnum):
    """Who calls an objective how."""

    PLAIN = "plain"
    SKLEARN = "sklearn"
    NATIVE = "native"
    CATBOOST = "catboost"


class Data:
    """What a native objective is handed in place of a `DMatrix` or `Dataset`: labels and weights by the methods of both.

    XGBoost's weights are empty where there are none, LightGBM's None.
    """

    def __init__(self, labels: Any, weights: Any, rows: int) -> None:
        self.get_label, self.get_weight = lambda: labels, lambda: weights
        self.num_row = self.num_data = lambda: rows


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
        return raw.flatten(order=cast("Any", self.order or "C")) if self.flat else raw.copy(order="K")

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


def convention_of(objective: Any, labels: Any, said: str | None) -> tuple[Convention, str]:
    """In which form an objective is, by its methods and the names of its arguments; and a note where these do not tell.

    Raises
    ------
    DescriptionError
        Where two arguments are predictions and labels, in this order.
    """
    if said is not None:
        if said not in set(Convention):
            raise DescriptionError(f"expected one of {', '.join(map(repr, Convention))}, got {said!r}", "convention")
        return Convention(said), ""
    if hasattr(objective, "calc_ders_range") or hasattr(objective, "calc_ders_multi"):
        return Convention.CATBOOST, ""
    if not callable(objective):
        raise DescriptionError(f"expected a function, an estimator or CatBoost's object, got {objective!r}", "objective")
    names = required(objective)
    if len(names) == 1:
        return Convention.PLAIN, ""
    if labels_come_first(names):
        return Convention.SKLEARN, ""
    if (names and means(names[1], DATA_SETS)) or hasattr(labels, "get_label"):
        return Convention.NATIVE, ""
    shown = f"{name_of(objective) or 'objective'}({', '.join(names)})"
    if _predictions_come_first(names):
        raise exchanged(f"{shown}: its arguments' names do not tell which are labels")
    return Convention.SKLEARN, f"{shown} was called with labels first, as XGBoost's and LightGBM's estimators do"


def exchanged(why: str) -> DescriptionError:
    """Of an objective that takes predictions first, and labels, which no library hands in so."""
    hint = "say 'sklearn' for (y_true, y_pred), 'native' for (preds, dtrain), or hand in a function of the predictions alone"
    return DescriptionError(f"{why}: {hint}", "convention")


def means(name: str, words: re.Pattern[str]) -> bool:
    """Whether an argument is called by one of these words."""
    return words.fullmatch(name.lower()) is not None


def labels_come_first(names: Sequence[str]) -> bool:
    """Whether of a function's arguments the first are labels and predictions, in this order."""
    return len(names) >= 2 and means(names[0], LABELS) and means(names[1], PREDICTIONS)


def _predictions_come_first(names: Sequence[str]) -> bool:
    """Whether one name says so, and the other not the opposite."""
    if not names:
        return False
    first, second = ((means(name, LABELS), means(name, PREDICTIONS)) for name in names[:2])
    return (first[1] and not second[1]) or (second[0] and not first[0])


def required(f: Callable[..., Any]) -> list[str]:
    """Names of the arguments that a function must be given by their place; none where it does not say."""
    names = [p.name for p in _parameters(f) if p.kind in POSITIONAL and p.default is inspect.Parameter.empty]
    return names or [p.name for p in _parameters(f) if p.kind in POSITIONAL][:1]


def weight_of(f: Callable[..., Any]) -> str | None:
    """The name of the argument that takes weights, if there is one."""
    return next((p.name for p in _parameters(f) if means(p.name, WEIGHTS)), None)


def _parameters(f: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        return []
