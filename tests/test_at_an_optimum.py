"""A fit at its optimum is an ordinary place to ask: a right gradient is correct there, and a wrong one is found."""

import numpy as np
import pytest
from scipy.optimize import minimize, rosen, rosen_der

from gradcheck import check


def _least_squares(rng, exact):
    x = rng.standard_normal((30, 4)) * 10.0 ** rng.uniform(-1, 1, 4)
    y = 20 * (x @ rng.standard_normal(4) + (0 if exact else 0.3) * rng.standard_normal(30))
    fitted = np.linalg.lstsq(x, y, rcond=None)[0]
    return (lambda w: float(np.sum((x @ w - y) ** 2)) / 2), (lambda w: x.T @ (x @ w - y)), fitted


def _logistic(rng, steps):
    x, decay = rng.standard_normal((50, 5)), 10.0 ** rng.uniform(-3, 0)
    y = np.sign(x @ rng.standard_normal(5) + rng.standard_normal(50))

    def loss(w):
        return float(np.mean(np.logaddexp(0, -y * (x @ w))) + decay / 2 * w @ w)

    def gradient(w):
        return -x.T @ (y / (1 + np.exp(y * (x @ w)))) / len(y) + decay * w

    w = np.zeros(5)
    for _ in range(steps):
        p = 1 / (1 + np.exp(x @ w))
        w = w - np.linalg.solve(x.T @ ((p * (1 - p))[:, None] * x) / len(y) + decay * np.eye(5), gradient(w))
    return loss, gradient, w


def _softmax(rng, tolerance):
    x, labels, decay = rng.standard_normal((40, 3)), np.eye(4)[rng.integers(0, 4, 40)], 10.0 ** rng.uniform(-3, 0)

    def loss(w):
        z = x @ w
        return float(np.mean(np.log(np.sum(np.exp(z), 1)) - np.sum(labels * z, 1)) + decay / 2 * np.sum(w * w))

    def gradient(w):
        p = np.exp(x @ w)
        return x.T @ (p / p.sum(1, keepdims=True) - labels) / 40 + decay * w

    fitted = minimize(
        lambda w: loss(w.reshape(3, 4)), np.zeros(12), jac=lambda w: gradient(w.reshape(3, 4)).ravel(), tol=tolerance
    )
    return loss, gradient, fitted.x.reshape(3, 4)


def _fit(kind, seed):
    rng = np.random.default_rng(seed)
    if kind == "least squares":
        return _least_squares(rng, exact=seed % 2 == 0)
    if kind == "logistic":
        return _logistic(rng, 30 if seed % 2 else 4)
    return _softmax(rng, (1e-12, 1e-8, 1e-6)[seed % 3])


FITS = [(kind, seed) for kind in ("least squares", "logistic", "softmax") for seed in range(7)]


@pytest.mark.parametrize(("kind", "seed"), FITS)
def test_a_right_gradient_is_correct_at_an_optimum_and_a_wrong_entry_is_found(kind, seed):
    loss, gradient, at = _fit(kind, seed)
    assert check(loss, gradient, at).verdict == "correct"

    def wrong(w):
        g = np.array(gradient(w))
        g.flat[seed % g.size] += 1e-3
        return g

    assert check(loss, wrong, at, diagnose=False).verdict == "wrong"


@pytest.mark.parametrize("size", [2, 3, 4, 5, 8, 10, 20, 30, 100])
def test_where_the_gradient_is_exactly_zero_the_verdict_depends_on_no_size(size):
    assert check(rosen, rosen_der, np.ones(size)).verdict == "correct"
    off = np.zeros(size)
    off[size // 2] = 1e-3
    found = check(rosen, lambda x: rosen_der(x) + off, np.ones(size), diagnose=False).findings[0]
    assert found.verdict == "wrong"
    assert [entry.index for entry in found.entries] == [(size // 2,)]


def test_what_is_said_of_an_optimum_is_relative_to_what_the_slope_changes_by():
    loss, gradient, at = _least_squares(np.random.default_rng(0), exact=True)
    found = check(loss, gradient, at).findings[0]
    assert found.verdict == "correct"
    assert "optimum" in found.reason or "zero to rounding" in found.reason
    assert found.resolution < 1e-9


def test_a_kink_at_an_optimum_is_still_one():
    assert check(lambda x: float(np.sum(np.abs(x))), np.sign, np.zeros(3)).verdict == "nonsmooth"
    x0 = np.array([1.0, -2.0])
    assert check(lambda x: float(np.sum(np.abs(x - x0))), lambda x: np.sign(x - x0), x0).verdict == "nonsmooth"
