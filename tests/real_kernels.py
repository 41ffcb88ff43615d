"""Derivatives of scikit-learn's Gaussian processes: kernels, and evidence, by the logarithms of the parameters."""

from functools import partial
from typing import Any

import numpy as np
from real_subjects import Subject, sklearn

from gradcheck import check, check_jvp, check_vjp


def _kernels() -> dict[str, Any]:
    k = sklearn("gaussian_process.kernels")

    return {
        "rbf": k.RBF(0.7),
        "rbf per axis": k.RBF([0.7, 1.3]),
        **{f"matern {nu}": k.Matern(0.7, nu=nu) for nu in (0.5, 1.5, 2.5, np.inf, 0.7)},
        **{f"matern {nu} per axis": k.Matern([0.7, 1.3], nu=nu) for nu in (0.5, 1.5, 2.5, np.inf, 0.7)},
        "rational quadratic": k.RationalQuadratic(0.7, 1.5),
        "periodic": k.ExpSineSquared(0.7, 1.5),
        "linear": k.DotProduct(0.6),
        "noise": k.WhiteKernel(0.3),
        "constant": k.ConstantKernel(2.0),
        "product": k.ConstantKernel(2.0) * k.RBF([0.5, 2.0]),
        "square": k.Exponentiation(k.RationalQuadratic(0.7, 1.5), 2),
        "root": k.Exponentiation(k.RBF(0.7), 0.5),
        "sum": k.ConstantKernel(2.0) * k.RBF([0.5, 2.0]) + k.WhiteKernel(0.1) + k.DotProduct(0.6) ** 2,
        "partly fixed": k.ConstantKernel(2.0, "fixed") * k.RBF(0.5) + k.WhiteKernel(0.1, "fixed"),
        **{f"pairwise {metric}": k.PairwiseKernel(0.7, metric=metric) for metric in ("rbf", "laplacian", "poly", "chi2")},
    }


ANALYTIC = (
    *("rbf", "rbf per axis", "rational quadratic", "linear", "noise", "constant", "product", "square", "root", "sum"),
    *(f"matern {nu}{axes}" for nu in (0.5, 1.5, 2.5, np.inf) for axes in ("", " per axis")),
    "partly fixed",
)
NUMERIC = ("matern 0.7", "matern 0.7 per axis", *(f"pairwise {metric}" for metric in ("rbf", "laplacian", "poly", "chi2")))


def _points(seed: int) -> np.ndarray:
    """Two of them twice: the distance of zero is where Matern kernels go wrong."""
    points = np.random.default_rng(seed).uniform(0.1, 2.0, (10, 2))
    return np.vstack([points, points[:2]])


def kernel(name: str, seed: int) -> Subject:
    """The kernel matrix by the logarithms of the kernel's parameters."""
    kernel, points = _kernels()[name], _points(seed)

    def product(theta: np.ndarray, v: np.ndarray) -> np.ndarray:
        return kernel.clone_with_theta(theta)(points, eval_gradient=True)[1] @ v

    return Subject(check_jvp, lambda theta: kernel.clone_with_theta(theta)(points), product, kernel.theta)


def transposed_kernel(name: str, seed: int) -> Subject:
    kernel, points = _kernels()[name], _points(seed)

    def product(theta: np.ndarray, c: np.ndarray) -> np.ndarray:
        return np.tensordot(c, kernel.clone_with_theta(theta)(points, eval_gradient=True)[1], 2)

    return Subject(check_vjp, lambda theta: kernel.clone_with_theta(theta)(points), product, kernel.theta)


def evidence(name: str, outputs: int, seed: int) -> Subject:
    """``GaussianProcessRegressor.log_marginal_likelihood``."""
    kernel, points = _kernels()[name], _points(seed)
    targets = np.column_stack([np.sin(points[:, 0]), points[:, 1] ** 2, np.cos(points.sum(axis=1))])[:, :outputs]
    build = sklearn("gaussian_process").GaussianProcessRegressor
    model = build(kernel, alpha=0.01, optimizer=None, normalize_y=True).fit(points, targets)
    value = model.log_marginal_likelihood
    return Subject(check, value, lambda theta: value(theta, eval_gradient=True)[1], kernel.theta)


def laplace_evidence(name: str, seed: int) -> Subject:
    """``GaussianProcessClassifier``'s, by Laplace's approximation."""
    kernel, points = _kernels()[name], _points(seed)
    labels = (points[:, 0] > np.median(points[:, 0])).astype(int)
    model = sklearn("gaussian_process").GaussianProcessClassifier(kernel, optimizer=None).fit(points, labels)
    value = model.base_estimator_.log_marginal_likelihood
    return Subject(check, value, lambda theta: value(theta, eval_gradient=True)[1], kernel.theta)


SUBJECTS = (
    {f"kernel {name}": partial(kernel, name) for name in (*ANALYTIC, "periodic")}
    | {f"transposed kernel {name}": partial(transposed_kernel, name) for name in (*ANALYTIC, "periodic")}
    | {f"evidence {name}": partial(evidence, name, 1) for name in ANALYTIC}
    | {f"evidence of three {name}": partial(evidence, name, 3) for name in ("rbf per axis", "sum")}
)
