"""Products with Jacobians and Hessians: right ones are correct, and each kind of mistake is found."""

import numpy as np
import pytest

import gradcheck
from gradcheck import Verdict, check_adjoint, check_hvp, check_jvp, check_vjp

rng = np.random.default_rng(3)
A, B = rng.standard_normal((5, 4)), rng.standard_normal((5, 3))
AT = {"x": rng.standard_normal(4), "y": rng.standard_normal(3)}


def f(p):
    """Two outputs; the second is a softmax, whose entries add up to 1."""
    z = A @ p["x"] + B @ p["y"]
    e = np.exp(z - z.max())
    return {"tanh": np.tanh(z), "softmax": e / e.sum()}


def jvp(p, v, softmax=1.0, y=1.0):
    out = f(p)
    dz = A @ v["x"] + y * (B @ v["y"])
    s = out["softmax"]
    return {"tanh": (1 - out["tanh"] ** 2) * dz, "softmax": softmax * s * (dz - s @ dz)}


def vjp(p, c, softmax=1.0, y=1.0):
    out = f(p)
    s = out["softmax"]
    dz = (1 - out["tanh"] ** 2) * c["tanh"] + softmax * s * (c["softmax"] - s @ c["softmax"])
    return {"x": A.T @ dz, "y": y * (B.T @ dz)}


def test_correct_products_are_correct():
    for report in (check_vjp(f, vjp, AT), check_jvp(f, jvp, AT), check_adjoint(f, jvp, vjp, AT)):
        assert report.verdict is Verdict.CORRECT


@pytest.mark.parametrize(("check", "product"), [(check_vjp, vjp), (check_jvp, jvp)])
def test_a_mistake_in_one_block_names_it(check, product):
    assert check(f, lambda p, c: product(p, c, y=1 + 1e-5), AT).wrong == {"y"}


@pytest.mark.parametrize(("check", "product"), [(check_vjp, vjp), (check_jvp, jvp)])
def test_a_fault_in_a_normalised_layer_is_not_hidden_by_the_cotangent(check, product):
    assert check(f, lambda p, c: product(p, c, softmax=-1.0), AT).wrong == {"x", "y"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_dot_product_test_judges_a_pair_in_its_own_precision(dtype):
    """The twin: a pair that is off by more than its rounding."""
    rng = np.random.default_rng(0)
    for rows, columns in ((3, 5), (40, 200), (500, 300)):
        matrix = rng.standard_normal((rows, columns)).astype(dtype)
        at = rng.standard_normal(columns).astype(dtype)

        def pair(factor, matrix=matrix, at=at):
            f, vjp = (lambda x: matrix @ x), (lambda x, c: (factor * (matrix.T @ c)).astype(dtype))
            return check_adjoint(f, lambda x, v: matrix @ v, vjp, at)

        assert pair(1.0).verdict is Verdict.CORRECT
        assert pair(1.1).wrong == {"adjoint"}


def test_the_dot_product_test_sees_a_pair_that_is_not_adjoint():
    assert check_adjoint(f, jvp, lambda p, c: vjp(p, c, y=1 + 1e-9), AT).wrong == {"adjoint"}


H = rng.standard_normal((4, 4))
H = H + H.T


def loss(x):
    return x @ H @ x / 2 + np.sin(x).sum()


def gradient(x):
    return H @ x + np.cos(x)


def hvp(x, v):
    return H @ v - np.sin(x) * v


def test_a_hessian_is_checked_with_its_gradient_in_one_report():
    report = check_hvp(gradient, hvp, AT["x"], loss=loss)
    assert report.verdict is Verdict.CORRECT
    found = [(finding.name, finding.backend) for finding in report.findings]
    assert found == [("x", "gradient"), ("x", "hvp"), ("symmetry", "hvp")]
    assert check_hvp(gradient, lambda x, v: hvp(x, v) * (1 + 1e-5), AT["x"]).wrong == {"x"}
    assert check_hvp(lambda x: gradient(x) * 2, lambda x, v: hvp(x, v) * 2, AT["x"], loss=loss).wrong == {"x"}


def test_a_hessian_that_is_not_symmetric_is_found():
    skew = np.triu(np.ones((4, 4)), 1)

    def bent(x, v):
        return hvp(x, v) + 1e-9 * skew @ v

    report = check_hvp(gradient, bent, AT["x"])
    assert next(f for f in report.findings if f.name == "symmetry").verdict is Verdict.INEXACT  # within the accuracy
    assert "symmetry" in check_hvp(gradient, bent, AT["x"], accuracy=1e-12).wrong


def complex_valued(x):
    return np.exp(1j * x)


@pytest.mark.parametrize(
    ("f", "sentence"),
    [
        (complex_valued, "the output's leaf 'x' is complex"),
        (lambda x: {"a": x, "b": 1j * x}, "the output's leaf 'b' is complex"),
        (lambda x: x > 0, "the output holds no floating array"),
    ],
)
def test_outputs_that_would_not_be_compared_are_refused(f, sentence):
    with pytest.raises(gradcheck.DataError, match=sentence):
        check_vjp(f, lambda x, c: x, AT["x"])
    with pytest.raises(gradcheck.DataError, match=sentence):
        check_jvp(f, lambda x, v: x, AT["x"])


def test_a_product_of_another_structure_is_one_sentence():
    with pytest.raises(gradcheck.DataError, match="jvp returned no floating array at 'x', expected shape"):
        check_jvp(np.sin, lambda x, v: 1j * v, AT["x"])


@pytest.mark.parametrize("answer", [lambda d: d.sum(), lambda d: d[:1], lambda d: d[:, None], lambda d: d[None]])
def test_a_product_of_another_shape_is_refused_in_one_line_also_where_it_would_broadcast(answer):
    """The twin: the same product in its own shape."""
    x = np.array([0.1, -0.4, 0.7])

    def product(x, v, answer=lambda d: d):
        return np.asarray(answer(np.cos(x) * v))

    assert check_jvp(np.sin, product, x).verdict is Verdict.CORRECT
    assert check_adjoint(np.sin, product, product, x).verdict is Verdict.CORRECT
    for call in (
        lambda: check_jvp(np.sin, lambda x, v: product(x, v, answer), x),
        lambda: check_adjoint(np.sin, lambda x, v: product(x, v, answer), product, x),
        lambda: check_adjoint(np.sin, product, lambda x, v: product(x, v, answer), x),
        lambda: check_hvp(np.sin, lambda x, v: product(x, v, answer), x),
    ):
        with pytest.raises(
            gradcheck.DataError, match=r"^(jvp|vjp|hvp) returned shape \(.*\) at 'x', expected shape \(3,\)"
        ) as caught:
            call()
        assert "\n" not in str(caught.value)


def boom(*_):
    raise KeyError("boom")


@pytest.mark.parametrize(
    "call",
    [
        lambda x: check_vjp(boom, lambda x, c: c, x),
        lambda x: check_vjp(np.sin, boom, x),
        lambda x: check_jvp(np.sin, boom, x),
        lambda x: check_hvp(np.sin, boom, x),
        lambda x: check_adjoint(np.sin, boom, boom, x),
    ],
)
def test_whatever_a_function_raises_is_one_sentence_with_its_name(call):
    with pytest.raises(gradcheck.CallFailed, match="boom raised KeyError: 'boom'"):
        call(np.ones(3))


@pytest.mark.parametrize("asked", [check_vjp, check_jvp, check_hvp, check_adjoint])
def test_complex_points_of_products_are_refused_in_one_line(asked):
    def product(z, v):
        return 2 * v

    functions = (np.abs, product, product) if asked is check_adjoint else (np.abs, product)
    with pytest.raises(gradcheck.DataError, match="x is ndarray of complex128: only real arrays are moved"):
        asked(*functions, np.array([1 + 1j, 2.0]))
