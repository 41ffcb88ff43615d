"""What claims to be a Jacobian as one matrix, all outputs by all inputs, from whichever form it has."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gradcheck.candidates.answer import described
from gradcheck.checking.jacobians.system import Sides, plain
from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.objects.pytree import BARE, flatten
from gradcheck.foundation.wording import shown

DENSE = 2**24  # entries that are held at once: 128 MiB
NOTHING = "finite differences leave nothing to check"


class Matrix(NamedTuple):
    """Rows by columns.

    Attributes
    ----------
    value : array or sparse array
        In float64.
    unit : float
        Unit roundoff of the dtype that it came in.
    stored : array or sparse array, optional
        Of a sparse one, true where it has an entry.
    turned : callable, optional
        Of a linear operator, its own products with the transposed matrix.
    """

    value: Any
    unit: float
    stored: Any = None
    turned: Callable[[Array], Array] | None = None

    @property
    def squares(self) -> Any:
        """Of its entries."""
        return self.value.multiply(self.value).tocsr() if is_sparse(self.value) else self.value * self.value

    def row(self, i: int) -> Array:
        """One of them."""
        return self.value[[i]].toarray().ravel() if is_sparse(self.value) else self.value[i]

    def column(self, j: int) -> Array:
        """One of them."""
        return self.value[:, [j]].toarray().ravel() if is_sparse(self.value) else self.value[:, j]

    def entries(self) -> tuple[Array, Array, Array]:
        """Rows, columns and values of all that is not zero."""
        if is_sparse(self.value):
            found = self.value.tocoo()
            return found.row, found.col, found.data
        rows, columns = np.nonzero(self.value)
        return rows, columns, self.value[rows, columns]

    def is_stored(self, i: int, j: int) -> bool:
        """Whether it has a place for this entry."""
        return self.stored is None or bool(self.stored[i, j])


def is_sparse(value: Any) -> bool:
    """Whether it is a matrix of `scipy.sparse`, or looks like one."""
    return hasattr(value, "tocsr") and hasattr(value, "toarray")


def is_operator(value: Any) -> bool:
    """Whether it has the products of a linear operator, and nothing more."""
    return hasattr(value, "matvec") and hasattr(value, "rmatvec") and hasattr(value, "shape")


def is_matrix(value: Any) -> bool:
    """Whether it is some matrix itself, and no function that returns one."""
    return is_sparse(value) or is_operator(value) or isinstance(value, list | tuple | dict) or hasattr(value, "__array__")


def function_of(jac: Any, name: str = "jac") -> Callable[..., Any]:
    """The function that returns the matrix; of a matrix itself the one that is constant.

    Raises
    ------
    DataError
        Where it is neither: with what it is.
    """
    if isinstance(jac, str):
        raise DataError(f"{name}: expected a function or a matrix, got {shown(jac)}: {NOTHING}")
    if is_matrix(jac):
        return lambda *_: jac
    if not callable(jac):
        raise DataError(f"{name}: expected a function or a matrix, got {shown(jac)}")
    return jac


def matrix_of(returned: Any, sides: Sides, said: str = "jac returned") -> Matrix:
    """What was returned, as a matrix.

    Raises
    ------
    DataError
        Where it is none, or its shape is another: with the shape that was expected, and what the other one looks like.
    """
    if is_sparse(returned):
        return _sparse(returned, sides, said)
    if is_operator(returned):
        return _operator(returned, sides, said)
    value = plain(returned)
    output, given = sides.outputs[0], sides.inputs[0]
    if hasattr(value, "__array__") or np.isscalar(value):
        array = _real(np.asarray(value), said)
        shape = (*output.shape, *given.shape) if len(sides.outputs) == len(sides.inputs) == 1 else sides.shape
        return _dense(_shaped(array, shape, sides.shape, said), array.dtype)
    return _blocks(value, sides, said)


def _blocks(value: Any, sides: Sides, said: str) -> Matrix:
    """Nested as JAX nests them: the structure of the outputs outside, of the inputs inside."""
    flat = flatten(value, what="the matrix")
    blocks = dict(zip(flat.names, flat.leaves, strict=True))
    if list(blocks) == [BARE]:
        raise DataError(f"{said} {described(value)}, expected a matrix")
    matrix, dtypes = np.zeros(sides.shape), set[np.dtype[Any]]()
    for output in sides.outputs:
        for given in sides.inputs:
            path = ".".join(part.name for part in (output, given) if not part.is_bare) or BARE
            if blocks.get(path) is None:
                raise DataError(f"{said} no block {path!r}, but {described(value)} with {list(blocks)[:6]}")
            block, size = blocks[path], (output.stop - output.start, given.stop - given.start)
            array = _real(np.asarray(block.toarray() if is_sparse(block) else block), f"{said} at {path!r}")
            shaped = _shaped(array, (*output.shape, *given.shape), size, f"{said} at {path!r}")
            matrix[output.span, given.span] = shaped
            dtypes.add(array.dtype)
    return _dense(matrix, max(dtypes, key=_unit))


def _shaped(array: Array, shape: tuple[int, ...], flat: tuple[int, int], said: str) -> Array:
    """As a matrix, if it has the shape of the block or of the flat matrix."""
    if array.shape not in (shape, flat):
        raise DataError(f"{said} shape {array.shape}, expected {shape}{_likeness(array.shape, shape, flat)}")
    return array.reshape(flat)


def _likeness(got: tuple[int, ...], shape: tuple[int, ...], flat: tuple[int, int]) -> str:
    if got in (shape[::-1], flat[::-1]):
        return ": it is the transposed one"
    if len(got) == 1 and got[0] == flat[0] * flat[1]:
        return ": it is flattened"
    if len(got) == len(flat):
        differences = [
            f"{abs(had - has)} {what}{'s' if abs(had - has) > 1 else ''} {'too many' if had > has else 'short'}"
            for had, has, what in zip(got, flat, ("row", "column"), strict=True)
            if had != has
        ]
        return f": {' and '.join(differences)}"
    return ""


def _real(array: Array, said: str) -> Array:
    if array.dtype.kind not in "fiu":
        raise DataError(f"{said} {array.dtype}, expected a matrix of real numbers")
    return array


def _unit(dtype: np.dtype[Any]) -> float:
    return float(np.finfo(dtype).eps) / 2 if dtype.kind == "f" else 2.0**-53


def _dense(matrix: Array, dtype: np.dtype[Any]) -> Matrix:
    return Matrix(np.array(matrix, np.float64), _unit(dtype))


def _sparse(returned: Any, sides: Sides, said: str) -> Matrix:
    _real(np.zeros(0, returned.dtype), said)
    if tuple(returned.shape) != sides.shape:
        shape = tuple(returned.shape)
        raise DataError(f"{said} shape {shape}, expected {sides.shape}{_likeness(shape, sides.shape, sides.shape)}")
    value = returned.tocsr().astype(np.float64)
    value.sum_duplicates()
    stored = value.copy()
    stored.data = np.ones(stored.data.shape, bool)
    small = value.shape[0] * value.shape[1] <= DENSE
    dense = value.toarray() if small else value
    return Matrix(dense, _unit(returned.dtype), stored.toarray() if small else stored)


def _operator(returned: Any, sides: Sides, said: str) -> Matrix:
    """Column by column, by products with unit vectors."""
    shape = tuple(returned.shape)
    if shape != sides.shape:
        raise DataError(f"{said} shape {shape}, expected {sides.shape}{_likeness(shape, sides.shape, sides.shape)}")
    rows, columns = shape
    if rows * columns > DENSE:
        raise DataError(f"{said} an operator of {rows} x {columns} entries: hand its products to check_jvp, check_vjp")
    matrix, unit = np.empty(shape), np.zeros(columns)
    for j in range(columns):
        unit[j] = 1.0
        column = _real(np.asarray(returned.matvec(unit.copy())), "matvec returned")
        if column.size != rows:
            raise DataError(f"matvec returned shape {column.shape}, expected ({rows},)")
        matrix[:, j], unit[j] = column.ravel(), 0.0
    dtype = np.dtype(getattr(returned, "dtype", None) or np.float64)
    turned = None if _has_no_transpose(returned, rows) else returned.rmatvec
    return _dense(matrix, dtype)._replace(turned=turned)


def _has_no_transpose(operator: Any, rows: int) -> bool:
    """Whether its products with the transposed matrix are not implemented, which SciPy says when they are asked for."""
    try:
        operator.rmatvec(np.zeros(rows))
    except (NotImplementedError, TypeError):
        return True
    except Exception:
        return False
    return False
