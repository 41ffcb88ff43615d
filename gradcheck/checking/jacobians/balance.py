"""What is usual in each row and column of a matrix whose rows have one unit each, and whose columns have another."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gradcheck.foundation.arrays import Array, rms
from gradcheck.oracles.directions import scales

SWEEPS = 4  # of rows, then columns; see `balanced`
FAINT = 1e-6  # of what columns contribute on average: one that contributes less counts as much
EMPTY = 1e-3  # the same of a column that is claimed to be zero
TELLING = 1e-8  # of its leaf's RMS: a number that is smaller says nothing of its own size


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


def sizes(value: Array) -> Array:
    """By how much each number may be moved: its own size, whatever units its neighbours have; else what is usual."""
    usual = rms(value)
    return np.where(np.abs(value) > TELLING * usual, np.abs(value), usual or 1.0)


def balanced(squares: Any, x: Array, parts: Sequence[slice], values: Array) -> tuple[Balance, Array]:
    """Numbers for rows and columns, so that all rows and all columns of J_ij / (rows_i columns_j) have RMS 1, or nearly.

    Rows and columns are scaled in turn (Sinkhorn and Knopp, Pacific J. Math. 21, 1967, here of the squares). They are the
    same whichever units rows and columns have. The scaling need not converge where entries are zero, and is used for sizes
    alone, so few sweeps are enough.

    Parameters
    ----------
    squares : array or sparse array of shape (m, n)
        Of the entries.
    x : array of shape (n,)
        The inputs.
    parts : sequence of slice
        Of the inputs that belong together.
    values : array of shape (m,)
        Of the function: a row of zeros has no other size.

    Returns
    -------
    Balance, array of shape (n,)
        Besides, by how much each input may be moved before the function is a different one.
    """
    m, n = squares.shape
    rows, columns, known = np.ones(m), np.ones(n), np.ones(n, bool)
    for _ in range(SWEEPS):
        rows = np.sqrt(squares @ (1 / columns**2) / n)
        inverse = np.where(rows > 0, 1 / np.where(rows > 0, rows, 1.0) ** 2, 0.0)
        found = np.sqrt(squares.T @ inverse / max(int(np.count_nonzero(inverse)), 1))
        known = found > 0
        columns = np.where(known, found, 1.0)
    steep = np.where(known, columns, 0.0)
    moves = np.concatenate([np.where(known[part], scales(x[part], steep[part]), sizes(x[part])) for part in parts])
    usual = rms((columns * moves)[known]) or 1.0
    columns = np.where(known, np.maximum(columns / usual, FAINT / moves), EMPTY / moves)
    rows = np.sqrt(squares @ (1 / columns**2) / n)
    nothing = ~(rows > 0)
    rows[nothing] = np.where(np.abs(values[nothing]) > 0, np.abs(values[nothing]), 1.0)
    return Balance(rows, columns), moves
