"""The loss that is meant: a value for each row, or a number that is their sum, their mean, or something else."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gradcheck.adapters.boosting.conventions import Rows, labels_come_first, required, weight_of
from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called, name_of


class Loss(NamedTuple):
    """A user's loss.

    Attributes
    ----------
    function : callable
    rows : Rows
    times : array or float
        What its values are multiplied by: the weights, where it takes none.
    """

    function: Callable[..., Any]
    rows: Rows
    times: Any = 1.0

    @property
    def name(self) -> str:
        """What it is called."""
        return name_of(self.function) or "loss"

    def of(self, labels: Any) -> "Loss":
        """The same with other labels."""
        return self._replace(rows=self.rows._replace(labels=labels, data=None))

    def __call__(self, raw: Array) -> Array:
        """At predictions (n, k): n values, or a number as an array of shape ()."""
        with np.errstate(all="ignore"):
            found = np.asarray(called(self._returned, self.name, self.rows.outward(raw)))
        if found.dtype.kind not in "fiub":
            raise DataError(f"{self.name} returned {found.dtype}, expected real numbers")
        n = self.rows.length
        if found.size == 1 and (found.ndim == 0 or n > 1):
            return found.astype(np.float64).reshape(())
        if found.size % n or found.shape[:1] != (n,):
            raise DataError(f"{self.name} returned shape {found.shape}, expected ({n},), a value for each row, or a number")
        return found.astype(np.float64).reshape(n, -1).sum(axis=1) * self.times

    def _returned(self, raw: Array) -> Any:
        f, rows = self.function, self.rows
        names = required(f)
        if rows.labels is None or len(names) == 1:
            return f(raw)
        both = (rows.labels, raw) if labels_come_first(names) else (raw, rows.labels)
        weight = weight_of(f)
        if rows.weights is None or weight is None:
            return f(*both)
        return f(*both, **{weight: rows.weights})


def loss_of(function: Callable[..., Any], rows: Rows) -> Loss:
    """The loss, weighted by us where it takes no weights."""
    weighted = rows.weights is not None and weight_of(function) is None
    return Loss(function, rows, np.asarray(rows.weights, dtype=np.float64) if weighted else 1.0)
