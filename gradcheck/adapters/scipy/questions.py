"""What is asked of a derivative that a solver is given: is it that of the function, at this point?"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from gradcheck.adapters.scipy.given import Function, Sides, as_dense, as_matrix, ours
from gradcheck.candidates.answer import described
from gradcheck.checking.checker import check, with_notes
from gradcheck.checking.jacobians.checker import check_jacobian
from gradcheck.checking.jacobians.hessians import by_products, hessian_report
from gradcheck.checking.jacobians.matrix import DENSE
from gradcheck.checking.products import check_hvp
from gradcheck.errors import DataError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.calling import called, one_line, standing_for
from gradcheck.foundation.validation import Asked
from gradcheck.foundation.wording import shown
from gradcheck.report import Report, joined


class Left(NamedTuple):
    """A derivative that is not looked at, and why."""

    label: str
    why: str


class Question(Protocol):
    """A derivative that is looked at."""

    @property
    def label(self) -> str:
        """What it is called where it is handed in."""
        ...

    def report(self, asked: Asked) -> Report:
        """What is found of it."""
        ...


Asking = Iterator[Question | Left]


class First(NamedTuple):
    """Whether ``jac`` is the derivative of ``f`` at x: a gradient where f is one number, a matrix where it is several.

    Where the ``columns`` have names, each is a block of its own. Without ``jac`` the question is whether the declared
    structure is right.
    """

    label: str
    f: Function
    jac: Function | None
    x: Array
    bounds: Sides | None = None
    sparsity: Any = None
    columns: tuple[str, ...] = ()

    def report(self, asked: Asked) -> Report:
        """By the values of ``f`` alone."""
        size = np.size(called(self.f, self.f.__name__, self.x.copy()))
        options: dict[str, Any] = {**asked.options, **({"bounds": self.bounds} if self.bounds else {})}
        jac = self.jac
        if jac is not None and size == 1:
            return check(self.f, as_gradient(jac), self.x, **options)
        matrix = None if jac is None else ours(jac, lambda x: _column(as_matrix(jac(x)), (size, x.size)))
        f, at = self.f, self.x
        if self.columns and matrix is not None:
            f, matrix, at = self._by_name(f), self._by_name(matrix), self._named(at)
            options |= {"bounds": tuple(map(self._named, self.bounds))} if self.bounds else {}
        return check_jacobian(f, matrix, at, sparsity=self.sparsity, **options)

    def _named(self, x: Array) -> Any:
        return dict(zip(self.columns, x.tolist(), strict=True))

    def _by_name(self, f: Function) -> Callable[[Any], Any]:
        """Of a point that is a dict."""
        return ours(f, lambda at: f(np.array([at[name] for name in self.columns], self.x.dtype)))


class Second(NamedTuple):
    """Whether ``hess`` is the Hessian, the derivative of ``gradient``, and whether it is symmetric."""

    label: str
    gradient: Function
    hess: Function
    x: Array
    bounds: Sides | None = None

    def report(self, asked: Asked) -> Report:
        """By the values of ``gradient``: entry by entry, and of an operator that is too large for that by its products."""
        if self.x.size**2 > DENSE and hasattr(self._matrix(self.x.copy()), "matvec"):
            return check_hvp(self.gradient, lambda x, p: np.asarray(self._matrix(x) @ p), self.x, **asked.options)
        return hessian_report(
            self.gradient, ours(self.hess, lambda x: self._matrix(x)), self.x, asked, bounds=self.bounds, name=self.label
        )

    def _matrix(self, x: Array) -> Any:
        matrix = as_matrix(called(self.hess, self.hess.__name__, x))
        if tuple(matrix.shape) != (x.size, x.size):
            raise DataError(f"{self.label} returned {described(matrix)}, expected shape {(x.size, x.size)}")
        return matrix


class Product(NamedTuple):
    """Whether ``hessp`` is the product with the Hessian, and whether this is symmetric."""

    label: str
    gradient: Function
    hessp: Callable[[Array, Array], Any]
    x: Array
    bounds: Sides | None = None

    def report(self, asked: Asked) -> Report:
        """By the values of ``gradient``: along random directions, and where bounds forbid some, by the whole matrix."""
        product = standing_for(self._vector_of(), self.hessp)
        if self.bounds is None:
            return check_hvp(self.gradient, product, self.x, **asked.options)
        matrix = by_products(product, name=self.label)
        return hessian_report(self.gradient, matrix, self.x, asked, bounds=self.bounds, name=self.label)

    def _vector_of(self) -> Callable[[Array, Array], Array]:
        def vector(x: Array, p: Array) -> Array:
            found = self.hessp(x, p)
            if np.size(found) != x.size:
                raise DataError(f"{self.label} returned {described(found)}, expected shape {x.shape}")
            return np.reshape(found, x.shape)

        return vector


def answered(name: str, asking: Iterable[Question | Left], asked: Asked) -> Report:
    """All that is asked, in one report; what is left is named in it.

    Raises
    ------
    DataError
        Where nothing is asked: what was left first, and why.
    """
    every = list(asking)
    left = {each.label: each.why for each in every if isinstance(each, Left)}
    reports = [each.report(asked).labelled(each.label) for each in every if not isinstance(each, Left)]
    if not reports:
        raise DataError(next(f"{label}: {why}" for label, why in left.items()))
    report = joined(f"{name}: {reports[0].title}", reports)
    return with_notes(report, (f"{label}: {why}" for label, why in left.items()), unchecked=left)


def missing(label: str, jac: Any, expected: str = "a function") -> Left:
    """Of what is none of these."""
    return Left(label, f"expected {expected}, got {one_line(shown(jac))}: SciPy's own differences leave nothing to check")


def as_gradient(jac: Function) -> Function:
    """A gradient in the shape of the point: (n, 1) and (1, n) pass in SciPy, too."""

    def gradient(x: Array) -> Array:
        row = as_dense(jac(x))
        return row.reshape(x.shape) if row.size == x.size else row

    return ours(jac, gradient)


def _column(matrix: Any, shape: tuple[int, int]) -> Any:
    """A vector is the only column that there is."""
    return matrix.reshape(shape) if np.shape(matrix) == shape[:1] and shape[1] == 1 else matrix
