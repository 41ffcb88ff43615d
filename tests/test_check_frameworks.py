"""`check_jax`, `check_autograd`, `check_scipy`: each framework's own objects, broken and whole."""

import inspect
import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import rosen, rosen_der, rosen_hess, rosen_hess_prod

import gradcheck
from gradcheck import Verdict, check_autograd, check_jax, check_scipy

rng = np.random.default_rng(0)
X, W = rng.standard_normal((7, 4)), rng.standard_normal((4, 5))


class TestJax:
    @pytest.fixture(autouse=True)
    def _jax(self):
        self.jax = pytest.importorskip("jax")
        self.jnp = self.jax.numpy

    def affine(self, factor):
        jnp = self.jnp

        @self.jax.custom_vjp
        def affine(x, w):
            return jnp.tanh(x @ w)

        def backward(saved, c):
            x, w = saved
            d = c * (1 - jnp.tanh(x @ w) ** 2)
            return d @ w.T, (x.T @ d).at[1, 2].multiply(factor)

        affine.defvjp(lambda x, w: (affine(x, w), (x, w)), backward)
        return affine

    @pytest.mark.parametrize("jit", [False, True])
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_a_broken_custom_vjp_fails_with_block_and_entry_and_the_honest_one_passes(self, jit, dtype):
        x, w = X.astype(dtype), W.astype(dtype)
        wrap = self.jax.jit if jit else lambda f: f
        honest = check_jax(wrap(self.affine(1.0)), x, w)
        assert honest.verdict is Verdict.CORRECT
        assert "affine has no forward mode" in honest.notes
        report = check_jax(wrap(self.affine(1.5)), x, w)
        assert report.wrong == {"args.1"}
        assert next(f for f in report.findings if f.name == "args.1").worst_index == (1, 2)

    def test_a_broken_custom_jvp_fails_in_both_modes_and_only_in_the_one_asked_for(self):
        jnp = self.jnp

        @self.jax.custom_jvp
        def sine(x):
            return jnp.sin(x)

        sine.defjvp(lambda p, t: (jnp.sin(p[0]), 1.001 * jnp.cos(p[0]) * t[0]))
        assert {f.backend for f in check_jax(sine, X).findings if f.verdict == "wrong"} == {"reverse", "forward"}
        assert {f.backend for f in check_jax(sine, X, modes=("forward",)).findings} == {"forward"}
        assert check_jax(jnp.sin, X).verdict is Verdict.CORRECT

    def test_pytrees_keys_and_integers_are_handed_on_and_settings_are_left_alone(self):
        def f(key, p, n):
            return {"a": self.jax.random.normal(key, (4,)) @ p["w"] ** n, "b": self.jnp.argmax(p["w"])}

        report = check_jax(f, self.jax.random.key(0), {"w": W.astype("float32")}, 2)
        assert {finding.name for finding in report.findings} == {"args.1.w"}
        assert report.verdict is Verdict.CORRECT
        assert self.jnp.ones(3).dtype == "float32"

    @pytest.mark.parametrize(
        ("arguments", "options", "sentence"),
        [
            ((3,), {}, "sin: nothing to check"),
            ((X,), {"modes": ("sideways",)}, "modes: expected some of reverse, forward, got 'sideways'"),
            (("a",), {}, "sin: nothing to check"),
        ],
    )
    def test_bad_input_is_one_sentence(self, arguments, options, sentence):
        with pytest.raises(gradcheck.GradcheckError) as raised:
            check_jax(self.jnp.sin, *arguments, **options)
        assert str(raised.value).startswith(sentence)


class TestAutograd:
    @pytest.fixture(autouse=True)
    def _autograd(self):
        self.extend = pytest.importorskip("autograd.extend")
        self.anp = pytest.importorskip("autograd.numpy")

    def logsum(self, factor):
        @self.extend.primitive
        def logsum(x):
            return np.log(np.sum(np.exp(x)))

        slip = np.where(np.arange(5) == 2, factor, 1.0)
        self.extend.defvjp(logsum, lambda ans, x: lambda c: c * np.exp(x - ans) * slip)
        return logsum

    def test_a_broken_defvjp_fails_with_block_and_entry_and_the_honest_one_passes(self):
        x = rng.standard_normal(5)
        assert check_autograd(self.logsum(1.0), x).verdict is Verdict.CORRECT
        report = check_autograd(self.logsum(1 + 1e-4), x)
        assert report.wrong == {"args.0"}
        assert report.findings[0].worst_index == (2,)

    def test_vector_outputs_and_nestings_are_taken_whole(self):
        report = check_autograd(lambda p, y: (self.anp.tanh(p["a"]) * y, p["b"]), {"a": X[0], "b": 2.0}, X[1])
        assert report.verdict is Verdict.CORRECT
        assert [finding.name for finding in report.findings] == ["args.0.a", "args.0.b", "args.1"]

    def test_an_output_that_does_not_depend_on_its_input_has_a_gradient_of_zero(self):
        assert check_autograd(lambda x: 3.0, X).verdict is Verdict.CORRECT


class TestScipy:
    x = np.array([1.3, 0.7, 0.8, 1.9])

    def test_all_three_derivatives_of_rosenbrock_are_correct(self):
        report = check_scipy(rosen, self.x, rosen_der, rosen_hess, rosen_hess_prod)
        assert report.verdict is Verdict.CORRECT
        assert {finding.backend for finding in report.findings} == {"jac", "hess", "hessp"}

    def test_a_wrong_entry_of_each_is_found_where_it_is(self):
        slip = np.array([1, 1, 1.01, 1])
        report = check_scipy(rosen, self.x, lambda x: rosen_der(x) * slip)
        assert report.wrong == {"x"}
        assert report.findings[0].worst_index == (2,)
        for given in ({"hess": lambda x: rosen_hess(x) * slip}, {"hessp": lambda x, p: rosen_hess_prod(x, p) * slip}):
            report = check_scipy(rosen, self.x, rosen_der, **given)
            assert {f.backend for f in report.findings if f.verdict == "wrong"} == set(given)

    def test_jac_true_extra_arguments_sparse_hessians_and_integer_points_mean_what_they_mean_in_scipy(self):
        def fun(x, a, b):
            return a * rosen(x) + b, a * rosen_der(x)

        report = check_scipy(
            fun, [1, 2, 3], jac=True, hess=lambda x, a, b: sparse.csr_array(a * rosen_hess(x)), args=(2.0, 1.0)
        )
        assert report.verdict is Verdict.CORRECT
        assert check_scipy(lambda x, a: a * rosen(x), self.x, lambda x, a: a * rosen_der(x), args=3.0).verdict == "correct"

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ({"jac": "2-point"}, "jac: expected a function or True, got '2-point'"),
            ({}, "jac: expected a function or True, got None"),
            ({"jac": rosen_der, "hess": "cs"}, "hess: expected a function, got 'cs'"),
            (
                {"jac": rosen_der, "hess": lambda x: np.eye(2)},
                "hess returned a value of type ndarray and shape (2, 2), expected shape (4, 4)",
            ),
            ({"jac": rosen_der, "hessp": lambda x, p: None}, "hessp returned None, expected shape (4,)"),
            ({"jac": True}, "rosen: jac=True: expected a pair (value, gradient), got float64"),
            ({"jac": rosen_der, "x0": np.ones((2, 2))}, "x0: expected a vector of real numbers, got shape (2, 2)"),
            ({"jac": rosen_der, "x0": [1j, 2]}, "x0: expected a vector of real numbers"),
        ],
    )
    def test_bad_input_is_one_sentence(self, options, sentence):
        with pytest.raises(gradcheck.GradcheckError) as raised:
            check_scipy(rosen, **{"x0": self.x, **options})
        assert str(raised.value).startswith(sentence)


def test_a_framework_is_imported_only_by_the_call_that_needs_it():
    code = (
        "import sys, numpy as np, gradcheck\n"
        "gradcheck.check_scipy(lambda x: x @ x, np.ones(3), lambda x: 2 * x)\n"
        "for name in gradcheck.__all__: getattr(gradcheck, name)\n"
        "print(*{'torch', 'jax', 'autograd'} & set(sys.modules))"
    )
    assert not subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("library", ["torch", "jax", "autograd"])
def test_a_framework_that_is_absent_is_one_sentence(library, monkeypatch):
    home = {"torch": "pytorch", "jax": "jax", "autograd": "hips"}[library]
    for module in [name for name in sys.modules if name.startswith(f"gradcheck.adapters.{home}")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delattr(f"gradcheck.adapters.{home}", raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(gradcheck.LibraryNotInstalled, match=f"^{library} is not installed: pip install 'gradcheck"):
        getattr(gradcheck, f"check_{library}")(np.sin, np.ones(2))


def test_value_and_gradient_from_one_function():
    def both(x):
        return float(np.sin(x).sum()), np.cos(x)

    at = np.arange(4.0)
    assert gradcheck.check(value_and_gradient=both, at=at).verdict is Verdict.CORRECT
    assert gradcheck.check(value_and_gradient=lambda x: (both(x)[0], 1.1 * both(x)[1]), at=at).wrong == {"x"}
    with pytest.raises(gradcheck.DataError, match=r"sum: expected a pair \(value, gradient\), got float64"):
        gradcheck.check(value_and_gradient=np.sum, at=at)
    with pytest.raises(gradcheck.DescriptionError, match="gradient: expected a function"):
        gradcheck.check(np.sum, at=at)


def test_every_door_asks_for_the_same_accuracy_and_seed_unless_told_otherwise():
    doors = ("check", "check_torch", "check_jax", "check_autograd", "check_scipy", "check_vjp", "check_jvp", "check_hvp")
    for door in doors:
        defaults = inspect.signature(getattr(gradcheck, door)).parameters
        accuracy = None if "reference" in defaults else 1e-6  # which is 1e-6, and against a reference 0
        assert (defaults["accuracy"].default, defaults["seed"].default) == (accuracy, 0), door
