"""Along a tangent space only what a gradient says there counts; without, one that is right there is symmetrised."""

import numpy as np
import pytest
import scipy.linalg

from gradcheck import DataError, DescriptionError, GradcheckError, Verdict, check
from gradcheck.verdict.causes import sentence

DRAW = np.random.default_rng(0)
B, Z, Y = DRAW.standard_normal((5, 5)), DRAW.standard_normal((30, 5)), DRAW.standard_normal(5)
A = B @ B.T + 5 * np.eye(5)
FORM = (M := DRAW.standard_normal((6, 6))) + M.T
UNIT = (U := DRAW.standard_normal(6)) / np.linalg.norm(U)
FRAME, WEIGHTS = np.linalg.qr(DRAW.standard_normal((6, 3)))[0], np.diag([1.0, 2.0, 3.0])
inv = np.linalg.inv


def likelihood(k):
    root = np.linalg.cholesky(k)
    return Y @ scipy.linalg.cho_solve((root, True), Y) / 2 + np.sum(np.log(np.diag(root)))


def likelihood_gradient(k):
    a = inv(k) @ Y
    return (inv(k) - np.outer(a, a)) / 2


def strict(a):
    """Defined on symmetric matrices and nowhere else."""
    assert np.array_equal(a, a.T)
    return np.linalg.slogdet(a)[1]


def angles(x):
    """Defined on the sphere and nowhere else."""
    assert abs(np.linalg.norm(x) - 1) < 1e-12
    return np.sum(np.arccos(x) ** 2)


def brockett(q):
    return np.trace(q.T @ FORM @ q @ WEIGHTS)


def brockett_gradient(q):
    return 2 * FORM @ q @ WEIGHTS


def riemannian(q):
    g = brockett_gradient(q)
    return g - q @ (q.T @ g + g.T @ q) / 2


def lower(g):
    return np.tril(g + g.T - np.diag(np.diag(g)))


# Each a loss, a right gradient, a point and along what.
RIGHT = {
    "a likelihood": (likelihood, likelihood_gradient, A, "symmetric"),
    "a likelihood, by its lower triangle": (likelihood, lambda k: lower(likelihood_gradient(k)), A, "symmetric"),
    "a likelihood, along its lower triangle": (likelihood, lambda k: lower(likelihood_gradient(k)), A, "lower"),
    "symmetric alone": (strict, inv, A, "symmetric"),
    "an eigenvalue": (lambda a: np.linalg.eigvalsh(a) @ Y, lambda a: (v := np.linalg.eigh(a)[1]) * Y @ v.T, A, "symmetric"),
    "float32": (strict, inv, A.astype(np.float32), "symmetric"),
    "several": (lambda a: np.sum(np.linalg.slogdet(a)[1]), inv, np.stack([A, 2 * A]), "symmetric"),
    "rotations": (
        lambda k: np.sum(scipy.linalg.expm(k) * B),
        lambda k: scipy.linalg.expm_frechet(k.T, B, compute_expm=False),
        B - B.T,
        "skew",
    ),
    "a quotient": (lambda x: x @ FORM @ x / (x @ x), lambda x: 2 * FORM @ x, UNIT, "sphere"),
    "a quotient, Riemannian": (lambda x: x @ FORM @ x, lambda x: 2 * (FORM @ x - x * (x @ FORM @ x)), UNIT, "sphere"),
    "the sphere alone": (angles, lambda x: -2 * np.arccos(x) / np.sqrt(1 - x**2), UNIT, "sphere"),
    "the sphere in float32": (lambda x: np.sum(x**3), lambda x: 3 * x**2, UNIT.astype(np.float32), "sphere"),
    "frames": (brockett, brockett_gradient, FRAME, "orthogonal"),
    "frames, Riemannian": (brockett, riemannian, FRAME, "orthogonal"),
    "Procrustes": (lambda q: np.sum((B @ q - A) ** 2), lambda q: 2 * B.T @ (B @ q - A), np.linalg.qr(B)[0], "orthogonal"),
    "a portfolio": (lambda w: w @ A @ w / np.sum(w), lambda w: 2 * A @ w, np.array([0.2, 0.3, 0.5, 0, 0]), "simplex"),
    "a function": (lambda w: w @ A @ w, lambda w: 2 * A @ w + 7, Y, lambda v: v - v.mean()),
    "a function that is not linear": (lambda w: w @ A @ w, lambda w: 2 * A @ w + 7, Y, lambda v: (v**2) - np.mean(v**2)),
    "a function of many": (
        lambda w: np.sum(w**4),
        lambda w: 4 * w**3 + 7,
        DRAW.standard_normal(500),
        lambda v: v - v.mean(),
    ),
    "one block of two": (
        lambda p: strict(p["a"]) + p["b"] @ p["a"] @ p["b"],
        lambda p: {"a": inv(p["a"]) + np.outer(p["b"], p["b"]), "b": 2 * p["a"] @ p["b"]},
        {"a": A, "b": Y},
        {"a": "symmetric"},
    ),
}


def spoilt(g):
    """One entry of the last row, or of the first block, off by a fifth of the largest."""
    if isinstance(g, dict):
        return {**g, "a": spoilt(g["a"])}
    off = np.zeros(g.shape)
    off.flat[-2] = 0.2 * np.max(np.abs(g))
    return g + off


@pytest.mark.parametrize("name", RIGHT)
def test_along_a_space_a_right_gradient_is_correct_and_a_wrong_one_is_found(name):
    loss, gradient, at, along = RIGHT[name]
    report = check(loss, gradient, at, along=along)
    assert report.verdict is Verdict.CORRECT
    assert any("compared along" in note for note in report.notes)
    assert check(loss, lambda x: spoilt(gradient(x)), at, along=along).verdict is Verdict.WRONG


def test_a_wrong_entry_is_named_as_the_mean_of_the_two_that_it_stands_for():
    def wrong(a):
        g = inv(a)
        g[1, 3] *= 1.1
        return g

    entries = check(strict, wrong, A, along="symmetric").findings[0].entries
    assert {entry.index for entry in entries} == {(1, 3), (3, 1)}


def twice(g):
    return 2 * g - np.diag(np.diag(g))


SOLVED = inv(A) @ Y
SPREAD = {
    "Cholesky": (lambda a: np.sum(np.log(np.diag(np.linalg.cholesky(a)))), lambda a: inv(a) / 2, "the lower triangle"),
    "SciPy's Cholesky": (lambda a: np.sum(np.log(np.diag(scipy.linalg.cholesky(a)))), lambda a: inv(a) / 2, "the upper"),
    "a solver": (lambda a: Y @ scipy.linalg.solve(a, Y, assume_a="pos"), lambda a: -np.outer(SOLVED, SOLVED), "the upper"),
    "eigenvalues": (lambda a: np.sum(np.linalg.eigvalsh(a) ** 3), lambda a: 3 * a @ a, "the lower triangle"),
    "a likelihood": (likelihood, likelihood_gradient, "the lower triangle"),
    "a triangle of all": (lambda a: np.linalg.slogdet(a)[1], lambda a: lower(inv(a)), "each triangle for itself"),
    "a form": (lambda a: Y @ a @ Y, lambda a: lower(np.outer(Y, Y)), "each triangle for itself"),
    "a form, symmetrised": (lambda a: Y @ a @ Z[0], lambda a: (np.outer(Y, Z[0]) + np.outer(Z[0], Y)) / 2, "only"),
    "both": (
        lambda a: np.linalg.slogdet(a)[1] + Y @ scipy.linalg.solve(a, Y, assume_a="pos"),
        lambda a: inv(a) - np.outer(SOLVED, SOLVED),
        "only",
    ),
    "texts, Cholesky": (likelihood, lambda k: twice(likelihood_gradient(k)), "2 g - diag(g)"),
    "texts, log-determinant": (lambda a: np.linalg.slogdet(a)[1], lambda a: twice(inv(a)), "2 g - diag(g)"),
}


@pytest.mark.parametrize("name", SPREAD)
def test_what_is_right_along_symmetric_directions_only_is_symmetrised(name):
    loss, gradient, words = SPREAD[name]
    report = check(loss, gradient, A)
    assert report.verdict is Verdict.WRONG
    assert [diagnosis.cause for diagnosis in report.diagnoses] == ["symmetrised"]
    assert words in sentence(report.diagnoses[0])
    assert bool(check(loss, gradient, A, along="symmetric")) is ("texts" not in name)


@pytest.mark.parametrize(
    ("loss", "gradient"),
    [
        (likelihood, lambda k: lower(likelihood_gradient(k))),
        (lambda a: np.linalg.slogdet(a)[1], inv),
        (lambda a: np.sum(np.linalg.eigvalsh(a) ** 3), lambda a: lower(3 * a @ a)),
    ],
)
def test_entry_by_entry_the_derivatives_of_these_are_correct(loss, gradient):
    assert check(loss, gradient, A).verdict is Verdict.CORRECT


@pytest.mark.parametrize("spoil", [lambda g: g / 2, lambda g: g + np.triu(g, 1), lambda g: g @ g])
def test_other_mistakes_at_a_symmetric_matrix_are_not_called_so(spoil):
    report = check(lambda a: np.linalg.slogdet(a)[1], lambda a: spoil(inv(a)), A)
    assert report.verdict is Verdict.WRONG
    assert "symmetrised" not in [diagnosis.cause for diagnosis in report.diagnoses]


@pytest.mark.parametrize(
    ("at", "along", "words"),
    [
        (B, "symmetric", "along: x is off by 1 relative, and 'symmetric' wants a symmetric matrix"),
        (FRAME, "symmetric", "along: x is of shape (6, 3), and 'symmetric' wants a symmetric matrix"),
        (B, "orthogonal", "and 'orthogonal' wants orthonormal columns, X^T X = 1"),
        (np.zeros(3), "sphere", "and 'sphere' wants a vector that is not zero"),
        (np.ones(1), "sphere", "along: x of shape (1,) has no direction along 'sphere': its dimension is 0"),
        (np.ones((1, 1)), "orthogonal", "along: x of shape (1, 1) has no direction along 'orthogonal': its dimension is 0"),
        (Y, lambda v: 0 * v, "along: of x all directions are zero: the dimension is 0"),
        (Y, lambda v: v[:2], "along: of x a direction of shape (2,) was made, expected (5,), finite and real"),
        (Y, lambda v: [][0], "along of x raised IndexError"),
        (A, {"w": "symmetric"}, "along: there is no block 'w', but x"),
        (A, "hermitian", "along: expected a function or one of 'symmetric', 'skew', 'lower'"),
        ({"a": A, "b": Y}, lambda v: v, "along: there are several blocks, a and b: hand in a dict of functions"),
    ],
)
def test_a_point_or_a_space_that_cannot_be_is_refused_in_one_line(at, along, words):
    with pytest.raises(GradcheckError) as refused:
        check(lambda x: 1.0, lambda x: x, at, along=along)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_does_not_go_together_is_refused():
    with pytest.raises(DataError, match="bounds: x is moved along tangents"):
        check(lambda w: w @ w, lambda w: 2 * w, Y, along="simplex", bounds=(-9, 9))
    with pytest.raises(DescriptionError, match="complex_step: it takes points that are free"):
        check(lambda w: w @ w, lambda w: 2 * w, Y, along="simplex", complex_step=True)
