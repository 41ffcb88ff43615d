"""Vector-valued functions: products with a Jacobian or a Hessian, reduced to scalar checks by random cotangents.

A cotangent is never uniform: one of all ones hides every fault in a layer whose outputs add up to a constant.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradcheck.candidates.point import handed_on, held, point_of
from gradcheck.candidates.precision import cast
from gradcheck.checking.accusation import BACKEND
from gradcheck.checking.checker import check, with_notes
from gradcheck.errors import DataError
from gradcheck.foundation import arrays
from gradcheck.foundation.arrays import Array, norm
from gradcheck.foundation.calling import guarded, standing_for
from gradcheck.foundation.objects.pytree import Pytree, take_apart
from gradcheck.foundation.state.found import as_found
from gradcheck.foundation.validation import Asked
from gradcheck.oracles.directions import signs
from gradcheck.report import Report, joined
from gradcheck.report.reproducer.recipe import reproducible
from gradcheck.verdict import reasons
from gradcheck.verdict.findings import Finding, Verdict

# Roundoffs of the two sums that an adjoint pair may differ by. Of 200 correct float64 pairs the worst is at 1/1000 of this;
# at 1 none of them was accused, and 170 of 200 errors of 1e-12 more were found.
ROUNDING = 1000


@as_found
@reproducible
def check_vjp(
    f: Callable[[Any], Any],
    vjp: Callable[[Any, Any], Any],
    at: Any,
    *,
    accuracy: float = 1e-6,
    resolve: float = 1e-3,
    max_evaluations: int = 400,
    diagnose: bool = True,
    seed: int = 0,
    dtype: str | None = None,
) -> Report:
    """Whether ``vjp(x, c)`` is c^T J, the vector-Jacobian product of ``f``, by one random cotangent c.

    Parameters
    ----------
    f : callable
        From a pytree like ``at`` to a pytree of arrays.
    vjp : callable
        From a point and a cotangent of the structure of ``f``'s output to a pytree like ``at``.
    at, accuracy, resolve, max_evaluations, diagnose, seed, dtype
        As `check` takes them.
    """
    f, vjp = guarded(f, "f"), guarded(vjp, "vjp")
    c = cotangent(f(at), seed)

    def pulled(x: Any) -> Any:
        return vjp(x, c)

    pulled.__name__ = vjp.__name__
    asked = Asked(accuracy, resolve, max_evaluations, diagnose, seed, dtype)
    return check(_reduced(f, c), pulled, at, **asked.options)


@as_found
@reproducible
def check_jvp(
    f: Callable[[Any], Any],
    jvp: Callable[[Any, Any], Any],
    at: Any,
    *,
    accuracy: float = 1e-6,
    resolve: float = 1e-3,
    max_evaluations: int = 400,
    diagnose: bool = True,
    seed: int = 0,
    dtype: str | None = None,
) -> Report:
    """Whether ``jvp(x, v)`` is J v, the Jacobian-vector product of ``f``, by one random tangent a block.

    The derivative of c^T f(x + sum_b t_b v_b) by t_b, at t = 0, is c^T J v_b: `check` compares these numbers, one for each
    block b of ``at``, for a random cotangent c.
    """
    f, jvp = guarded(f, "f"), guarded(jvp, "jvp")
    tree = cast(point_of(at), dtype)
    c = cotangent(f(tree.rebuild(tree.arrays)), seed)
    tangents = {name: _random(name, value, seed) for name, value in tree.arrays.items()}

    def moved(t: Mapping[str, float]) -> Any:
        return tree.rebuild({name: value + t[name] * tangents[name] for name, value in tree.arrays.items()})

    def products(t: Mapping[str, float]) -> dict[str, float]:
        return {name: dot(c, jvp(moved(t), _only(tree, name, tangents[name])), jvp.__name__) for name in tangents}

    start = dict.fromkeys(tangents, 0.0)
    asked = Asked(accuracy, resolve, max_evaluations, diagnose, seed)
    report = check(_reduced(f, c, moved), products, start, **asked.options)
    return with_notes(report, handed_on(held(tree)), unchecked=held(tree))


@as_found
@reproducible
def check_adjoint(
    f: Callable[[Any], Any], jvp: Callable[[Any, Any], Any], vjp: Callable[[Any, Any], Any], at: Any, *, seed: int = 0
) -> Report:
    """The dot-product test: c^T (J v) = (c^T J) v, for a random tangent and cotangent. No derivative is computed."""
    f, jvp, vjp = guarded(f, "f"), guarded(jvp, "jvp"), guarded(vjp, "vjp")
    tree, c = take_apart(at), cotangent(f(at), seed)
    v = tree.rebuild({name: _random(name, value, seed) for name, value in tree.arrays.items()})
    forward, backward = jvp(at, v), vjp(at, c)
    products = dot(c, forward, jvp.__name__), dot(v, backward, vjp.__name__)
    finding = _equal("adjoint", *products, _size(c, forward) + _size(v, backward), _unit(c, v, forward, backward))
    return Report(title="dot-product test of jvp and vjp", findings=(finding,))


@as_found
@reproducible
def check_hvp(
    gradient: Callable[[Any], Any],
    hvp: Callable[[Any, Any], Any],
    at: Any,
    *,
    loss: Callable[[Any], Any] | None = None,
    accuracy: float = 1e-6,
    resolve: float = 1e-3,
    max_evaluations: int = 400,
    diagnose: bool = True,
    seed: int = 0,
    dtype: str | None = None,
) -> Report:
    """Whether ``hvp(x, v)`` is H v, H the Jacobian of ``gradient``, and whether H is symmetric: u^T (H v) = v^T (H u).

    Parameters
    ----------
    gradient : callable
        From a pytree like ``at`` to the same pytree.
    hvp : callable
        From a point and a tangent, both like ``at``, to the same pytree.
    loss : callable, optional
        Then the gradient is checked too, in the same report: its findings have the backend ``"gradient"``.
    at, accuracy, resolve, max_evaluations, diagnose, seed, dtype
        As `check` takes them.
    """
    gradient, hvp = guarded(gradient, "gradient"), guarded(hvp, "hvp")
    asked = Asked(accuracy, resolve, max_evaluations, diagnose, seed, dtype)
    second = check_jvp(gradient, hvp, at, **asked.options)
    tree = take_apart(at)
    u, v = (tree.rebuild({n: _random(n, a, seed + k) for n, a in tree.arrays.items()}) for k in (1, 2))
    hu, hv = hvp(at, u), hvp(at, v)
    products = dot(u, hv, hvp.__name__), dot(v, hu, hvp.__name__)
    symmetry = _equal("symmetry", *products, _size(u, hv) + _size(v, hu), _unit(u, v, hu, hv), accuracy)
    reports = [second.labelled("hvp"), Report(title="", findings=(symmetry,)).labelled("hvp")]
    if loss is not None:
        reports.insert(0, check(loss, gradient, at, **asked.options).labelled("gradient"))
    return joined("Hessian-vector products", reports)


def cotangent(output: Any, seed: int) -> Any:
    """Random entries of both signs and of different sizes, in the structure of an output.

    Raises
    ------
    DataError
        Where a leaf is complex, or none is floating: nothing would be compared.
    """
    tree = take_apart(output, "the output")
    for name, leaf in zip(tree.names, tree.leaves, strict=True):
        if np.iscomplexobj(leaf):
            raise DataError(f"the output's leaf {name!r} is complex: only real outputs are supported")
    if not tree.arrays:
        raise DataError(f"the output holds no floating array, but a value of type {type(output).__name__}")
    return tree.rebuild({name: _random(name, value, seed + 1) for name, value in tree.arrays.items()})


def dot(a: Any, b: Any, what: str) -> float:
    """Sum over all leaves of the products of their entries, the second argument being what a function returned."""
    left, right = take_apart(a).arrays, take_apart(b, what).arrays
    for name, value in left.items():
        if name not in right or right[name].shape != value.shape:
            got = f"shape {right[name].shape}" if name in right else "no floating array"
            raise DataError(f"{what} returned {got} at {name!r}, expected shape {value.shape}")
    return float(sum(arrays.dot(left[name].astype(np.float64), right[name].astype(np.float64)) for name in left))


def _reduced(f: Callable[[Any], Any], c: Any, at: Callable[[Any], Any] = lambda x: x) -> Callable[[Any], float]:
    """The loss c^T f."""

    def loss(x: Any) -> float:
        return dot(c, f(at(x)), f.__name__)

    return standing_for(loss, f)


def _random(name: str, like: Array, seed: int) -> Array:
    return signs(name, like.shape, seed).astype(like.dtype)


def _only(tree: Pytree, name: str, tangent: Array) -> Any:
    """The tangent that moves one block and leaves the others."""
    zero = {other: np.zeros_like(value) for other, value in tree.arrays.items()}
    return tree.rebuild({**zero, name: tangent})


def _size(a: Any, b: Any) -> float:
    left, right = take_apart(a).arrays, take_apart(b).arrays
    return float(sum(norm(left[name]) * norm(right[name]) for name in left))


def _unit(*trees: Any) -> float:
    """Unit roundoff of the coarsest arithmetic among the leaves."""
    return max(float(np.finfo(leaf.dtype).eps) / 2 for tree in trees for leaf in take_apart(tree).arrays.values())


def _equal(name: str, one: float, other: float, size: float, unit: float, accuracy: float = 0.0) -> Finding:
    """Two sums that must agree to rounding; an excess within the accuracy asked for, relative to their size, is inexact."""
    error, bound = abs(one - other), ROUNDING * unit * size
    excess = not error <= bound
    reason = reasons.should_be_equal(one, other) if excess else ""
    scale = max(abs(one), abs(other)) or 1.0
    verdict = Verdict.CORRECT if not excess else Verdict.INEXACT if error <= accuracy * size else Verdict.WRONG
    return Finding(
        name=name,
        backend=BACKEND,
        verdict=verdict,
        error=error / scale,
        bound=bound / scale,
        resolution=bound / scale,
        block_resolution=bound / scale,
        reason=reason,
    )
