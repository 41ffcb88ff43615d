"""What a library hands an objective in a real fit, and what it gets: recorded at the first and the last of a few rounds."""

import copy
from functools import wraps
from typing import Any, NamedTuple, cast

import numpy as np

from gradcheck.adapters.boosting.functions import Answer
from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called

ROUNDS = 3


class Visit(NamedTuple):
    """One call of an objective by a library."""

    backend: str
    objective: Any
    labels: Array
    raw: Array
    weights: Array | None
    answer: Answer


def backend_of(thing: Any) -> str:
    """The library that an object is of, if it is one of those."""
    library = str(type(thing).__module__).partition(".")[0]
    return library if library in ("xgboost", "lightgbm", "catboost") else "objective"


def visits(estimator: Any, features: Any, targets: Any, weights: Any) -> list[Visit]:
    """The first and the last call of the objective in a fit of a few rounds of a copy.

    Raises
    ------
    DataError
        Where the estimator has no objective of the user's, or its fit does not call it.
    CallFailed
        Where the fit raises.
    """
    own = getattr(estimator, "objective", None)
    if not callable(own):
        hint = "hand in the object itself" if backend_of(estimator) == "catboost" else "there is nothing to check"
        raise DataError(f"{type(estimator).__name__}(objective={own!r}): no function of yours; {hint}")
    calls: list[Visit] = []

    @wraps(cast("Any", own))
    def recorded(labels: Any, raw: Any, *rest: Any, **named: Any) -> Any:
        before, weights = np.array(raw), next(iter((*rest, *named.values())), None)
        answer: Any = own(labels, raw, *rest, **named)
        kept = None if weights is None or not len(weights) else np.array(weights)
        round_ = f"{backend_of(estimator)}, round {len(calls) + 1}"
        calls.append(Visit(round_, own, np.array(labels), before, kept, Answer(np.array(answer[0]), np.array(answer[1]))))
        return answer

    model: Any = copy.deepcopy(estimator)
    rounds = min(int(getattr(estimator, "n_estimators", None) or ROUNDS), ROUNDS)
    model.set_params(objective=recorded, n_estimators=rounds)
    options = {} if weights is None else {"sample_weight": weights}
    called(model.fit, f"{type(estimator).__name__}.fit", features, targets, **options)
    if not calls:
        raise DataError(f"{type(estimator).__name__}.fit did not call the objective")
    return calls[:: max(1, len(calls) - 1)]
