"""Where in a block an error sits: the block as a matrix, cut into a grid."""

from collections.abc import Iterator

import numpy as np

from gradcheck.arrays import Array

ROWS, COLUMNS = 8, 16

Heat = tuple[tuple[float, ...], ...]


def cells(shape: tuple[int, ...], rows: int = ROWS, columns: int = COLUMNS) -> Iterator[list[Array]]:
    """Masks of a block's entries, row by row of a grid of nearly equal cells; a vector is one row, else the first axis is.

    Parameters
    ----------
    shape : tuple of int
        Of the block.
    rows, columns : int
        Of the grid, at most.
    """
    first = shape[0] if len(shape) > 1 else 1
    matrix = np.arange(int(np.prod(shape))).reshape(first, -1)
    for band in np.array_split(matrix, min(rows, first)):
        yield [np.isin(matrix, part).reshape(shape) for part in np.array_split(band, min(columns, matrix.shape[1]), axis=1)]


def heat(ratio: Array) -> Heat:
    """The largest error of each cell, in units of its bound; nothing where there is but one number."""
    if ratio.size < 2:
        return ()
    return tuple(tuple(float(np.max(ratio[mask])) for mask in row) for row in cells(ratio.shape))
