"""What is checked of a released library: one derivative, the same with a fault planted, and the data that they need."""

import importlib
from collections.abc import Callable, Mapping
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from gradcheck import check, check_hvp, check_jvp
from gradcheck.report import Report

FAULT = 1 + 1e-4  # A factor: on one entry of a gradient, on the whole of a product.


class Subject(NamedTuple):
    """One derivative of a library: ``check(function, derivative, at)``."""

    check: Callable[..., Report]
    function: Callable[..., Any]
    derivative: Callable[..., Any]
    at: Any

    def report(self, **options: Any) -> Report:
        return self.check(self.function, self.derivative, self.at, **options)

    def planted(self) -> tuple["Subject", str]:
        """The same with a fault, and the block that it is in."""
        if self.check is not check:
            return self._replace(derivative=lambda x, v: FAULT * self.derivative(x, v)), "x"
        gradient = self.derivative(self.at)
        block = max(gradient, key=lambda name: np.linalg.norm(gradient[name])) if isinstance(gradient, Mapping) else "x"
        return self._replace(derivative=lambda x: nudged(self.derivative(x), block)), block


def nudged(gradient: Any, block: str) -> Any:
    """The largest entry of a block off by the fault."""
    if isinstance(gradient, Mapping):
        return {**gradient, block: nudged(gradient[block], block)}
    out = np.array(gradient, dtype=float)
    out.flat[np.abs(out).argmax()] *= FAULT
    return out


def matrix(function: Callable[..., Any], hessian: Callable[..., Any], at: Any) -> Subject:
    """A Hessian, or another Jacobian, that comes as a matrix."""
    return Subject(check_hvp, function, lambda x, v: hessian(x) @ v, at)


def pointwise(function: Callable[..., Any], derivative: Callable[..., Any], at: Any) -> Subject:
    """A function of one number, applied to each entry."""
    return Subject(check_jvp, function, lambda x, v: derivative(x) * v, at)


def data(seed: int, n: int = 40) -> SimpleNamespace:
    """Everything that a regression of some kind needs."""
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((n, 2))
    counts = rng.poisson(2.0, n).astype(float)
    return SimpleNamespace(
        rng=rng,
        inputs=inputs,
        design=np.column_stack([np.ones(n), inputs]),
        real=rng.standard_normal(n),
        positive=rng.gamma(2.0, 1.0, n) + 0.05,
        binary=rng.integers(0, 2, n).astype(float),
        fraction=rng.uniform(0.05, 0.95, n),
        classes=np.concatenate([np.arange(4), rng.integers(0, 4, n - 4)]),
        counts=counts,
        zeros=counts * rng.integers(0, 2, n),
        weights=rng.uniform(0.2, 3.0, n),
        offset=0.3 * rng.standard_normal(n),
        groups=np.repeat(np.arange(n // 5), 5),
        slopes=np.array([0.3, -0.2, 0.25]) + 0.05 * rng.standard_normal(3),
    )


def sklearn(name: str) -> ModuleType:
    """One of scikit-learn's modules, where it is installed."""
    missing = "the private functions under test took their form in scikit-learn 1.7: its derivatives are not checked"
    pytest.importorskip("sklearn", minversion="1.7", reason=missing)
    return importlib.import_module(f"sklearn.{name}")
