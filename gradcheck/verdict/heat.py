"""Where in a block an error sits: the block as a matrix, cut into a grid."""

from collections.abc import Iterator
from itertools import islice

import numpy as np

from gradcheck.foundation.arrays import Array

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
    grid = [len(row) for row in _parts(np.broadcast_to(False, shape), rows, columns)]
    for row, count in enumerate(grid):
        masks = [np.zeros(shape, bool) for _ in range(count)]
        for column, mask in enumerate(masks):
            next(islice(_parts(mask, rows, columns), row, None))[column][...] = True
        yield masks


def heat(ratio: Array) -> Heat:
    """The largest error of each cell, in units of its bound; nothing where there is but one number."""
    if ratio.size < 2:
        return ()
    return tuple(tuple(float(np.max(part)) for part in row) for row in _parts(ratio, ROWS, COLUMNS))


def _parts(block: Array, rows: int, columns: int) -> Iterator[list[Array]]:
    matrix = block.reshape(block.shape[0] if block.ndim > 1 else 1, -1)
    for band in np.array_split(matrix, min(rows, matrix.shape[0])):
        yield np.array_split(band, min(columns, matrix.shape[1]), axis=1)
