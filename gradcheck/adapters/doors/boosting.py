"""What boosting libraries call a custom objective: a gradient and a second derivative a row."""

from collections.abc import Callable
from typing import Any

from gradcheck.foundation.state.found import as_found
from gradcheck.foundation.validation import Asked
from gradcheck.report import Report
from gradcheck.report.reproducer.recipe import reproducible


@as_found
@reproducible
def check_objective(
    loss: Callable[..., Any],
    objective: Any,
    raw: Any,
    labels: Any = None,
    *,
    weights: Any = None,
    classes: int | None = None,
    hessian: str | float = "exact",
    convention: str | None = None,
    order: str | None = None,
    accuracy: float = 1e-6,
    resolve: float = 1e-3,
    diagnose: bool = True,
    seed: int = 0,
) -> Report:
    """Whether ``objective`` returns the first and second derivatives of ``loss`` by each raw prediction.

    Parameters
    ----------
    loss : callable
        What is meant: ``loss(raw)``, ``loss(raw, labels)`` or, where its arguments are called so, ``loss(y_true, y_pred)``;
        with an argument named ``weights`` or ``sample_weight`` it is handed the weights, else its rows are multiplied by
        them. It returns a value for each row (all rows are then judged at once, by themselves), or a number: their sum or
        mean, or a loss whose rows hang together.
    objective : callable or object
        As the library takes it. ``f(y_true, y_pred)``, with weights ``f(y_true, y_pred, sample_weight)``; ``f(preds,
        dtrain)``; CatBoost's object with ``calc_ders_range`` or ``calc_ders_multi``, whose derivatives are those of the
        negative loss; or ``f(raw)``. It returns the gradient and the diagonal second derivative, of the shape of ``raw``.
        Or an estimator of XGBoost or LightGBM with such an objective: a copy is fitted for a few rounds on ``raw`` and
        ``labels``, which are then features and targets, and what its objective was handed and returned is judged.
    raw : array of shape (n,) or (n, k)
        Raw predictions (margins): before any sigmoid or softmax.
    labels : array, DMatrix or Dataset, optional
        Of n rows; a data set brings its weights.
    weights : array of n numbers, optional
        Of the rows.
    classes : int, optional
        k, where ``raw`` is flat.
    hessian : str or float
        What the second derivative is meant to be. ``"exact"``; a number: so many times that; ``"clipped"``: raised to its
        smallest value; ``"upper-bound"``: nowhere less; ``"constant"``: one positive number, times the weight;
        ``"fisher"`` or ``"gauss-newton"``: nowhere negative, which is all that is asked of it.
    convention : {"sklearn", "native", "catboost", "plain"}, optional
        How the objective is called, where its arguments' names do not tell.
    order : {"C", "F"}, optional
        Of what is flat though there are several classes: row by row (XGBoost before 2.1), or class by class (LightGBM).
    accuracy, resolve, diagnose, seed
        As `check` takes them.

    Returns
    -------
    Report
        Findings ``"gradient"`` and ``"hessian"``; entries are (row,) or (row, class). Second derivatives across classes are
        no part of what the libraries take.

    Raises
    ------
    DataError
        Where an array has not n rows, the loss is no number, or the objective returns no pair.
    DescriptionError
        Where it cannot be told which argument of the objective is which.
    CallFailed
        Where a function raises.
    """
    from gradcheck.adapters.boosting import checking

    asked = Asked(accuracy=accuracy, resolve=resolve, diagnose=diagnose, seed=seed).checked()
    options = checking.Options(weights, classes, hessian, convention, order)
    return checking.check_objective(loss, objective, raw, labels, options, asked)
