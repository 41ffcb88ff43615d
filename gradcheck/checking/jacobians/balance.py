"""What is usual in each row and column of a matrix whose rows have one unit each, and whose columns have another."""

from typing import Any, NamedTuple

import numpy as np

from gradcheck.foundation.arrays import Array, rms

SWEEPS = 4  # of rows, then columns; see `balanced`
FAINT = 1e-6  # of what columns contribute on average: one that contributes less counts as much


class Balance(NamedTuple):
    """An entry is usually as large as ``rows[i] * columns[j]``.

    Attributes
    ----------
    rows : array of shape (m,)
    columns : array of shape (n,)
    """

    rows: Array
    columns: Array

    def scale(self, i: int, row: Array) -> Array:
        """To which the errors of the entries of one row are relative."""
        return np.maximum(np.abs(row), self.rows[i] * self.columns)


def balanced(squares: Any, natural: Array, values: Array) -> Balance:
    """Numbers for rows and columns, so that all rows and all columns of J_ij / (rows_i columns_j) have RMS 1, or nearly.

    Rows and columns are scaled in turn (Sinkhorn and Knopp, Pacific J. Math. 21, 1967, here of the squares). They are the
    same whichever units rows and columns have. The scaling need not converge where entries are zero, and is used for sizes
    alone, so few sweeps are enough.

    Parameters
    ----------
    squares : array or sparse array of shape (m, n)
        Of the entries.
    natural : array of shape (n,)
        By how much each input may be moved: of its own size.
    values : array of shape (m,)
        Of the function: a row of zeros has no other size.
    """
    m, n = squares.shape
    columns, rows = 1 / natural, np.ones(m)
    for _ in range(SWEEPS):
        rows = np.sqrt(squares @ (1 / columns**2) / n)
        inverse = np.where(rows > 0, 1 / np.where(rows > 0, rows, 1.0) ** 2, 0.0)
        found = np.sqrt(squares.T @ inverse / max(int(np.count_nonzero(inverse)), 1))
        usual = rms(found * natural) or 1.0
        columns = np.where(found > 0, np.maximum(found / usual, FAINT / natural), 1 / natural)
    rows = np.sqrt(squares @ (1 / columns**2) / n)
    nothing = ~(rows > 0)
    rows[nothing] = np.where(np.abs(values[nothing]) > 0, np.abs(values[nothing]), 1.0)
    return Balance(rows, columns)
