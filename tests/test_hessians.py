"""Hessians as Jacobians of a gradient: wrong entries, and breaches of the symmetry, by row and column."""

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import rosen, rosen_der, rosen_hess, rosen_hess_prod
from scipy.sparse.linalg import aslinearoperator

from gradcheck import Verdict, check_hvp
from gradcheck.checking.jacobians.hessians import by_products, hessian_report
from gradcheck.foundation.validation import Asked

ASKED = Asked().checked()
AT = np.linspace(-1, 1.5, 12)


def tridiagonal(x):
    middle = np.r_[1200 * x[:-1] ** 2 - 400 * x[1:] + 2, 200.0]
    middle[1:-1] += 200
    return sparse.diags_array([middle, -400 * x[:-1], -400 * x[:-1]], offsets=[0, 1, -1]).tocsr()


def changed(*entries):
    def hess(x):
        matrix = rosen_hess(x)
        for i, j, value in entries:
            matrix[i, j] = value
        return matrix

    return hess


def named(report):
    return {finding.name: [entry.index for entry in finding.entries] for finding in report.findings if finding.entries}


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array, aslinearoperator, np.ndarray.tolist])
def test_a_right_hessian_is_correct_in_any_form(form):
    report = hessian_report(rosen_der, lambda x: form(rosen_hess(x)), AT, ASKED, loss=rosen)
    assert report.verdict is Verdict.CORRECT
    assert [finding.name for finding in report.findings][:2] == ["x", "hessian"]


def test_wrong_entries_are_named_by_row_and_column():
    report = hessian_report(rosen_der, changed((2, 5, 1.0), (5, 2, 1.0)), AT, ASKED)
    assert set(named(report)["hessian"]) == {(2, 5), (5, 2)}
    assert {finding.verdict for finding in report.findings if finding.name == "symmetry"} == {Verdict.CORRECT}


def test_a_breach_of_the_symmetry_is_named():
    report = hessian_report(rosen_der, changed((2, 5, 1.0), (5, 2, 0.5)), AT, ASKED)
    assert report.findings[-1].reason == "not symmetric, at 2 entries: H[2, 5] = 1 and H[5, 2] = 0.5"


def test_a_thousand_dimensions_take_no_more_evaluations():
    x = np.random.default_rng(0).uniform(-1.5, 1.5, 1000)
    report = hessian_report(rosen_der, tridiagonal, x, ASKED, loss=rosen)
    assert report.verdict is Verdict.CORRECT
    assert report.evaluations < 100

    def spoilt(x):
        matrix = tridiagonal(x).tolil()
        matrix[500, 501] *= 1.01
        return matrix.tocsr()

    assert named(hessian_report(rosen_der, spoilt, x, ASKED)) == {"hessian": [(500, 501)], "symmetry": [(500, 501)]}


def test_half_of_a_hessian_is_told():
    report = hessian_report(rosen_der, lambda x: np.tril(rosen_hess(x)), AT, ASKED)
    assert report.diagnoses[0].cause == "left-out"
    assert "upper triangle is zero" in report.diagnoses[0].evidence["why"]


@pytest.mark.parametrize("wrong", [False, True])
def test_products_alone_name_entries_as_well(wrong):
    def product(x, v):
        return changed((2, 5, 1.0))(x) @ v if wrong else rosen_hess_prod(x, v)

    report = hessian_report(rosen_der, by_products(product), AT, ASKED)
    assert report.verdict is (Verdict.WRONG if wrong else Verdict.CORRECT)
    report = check_hvp(rosen_der, product, AT, loss=rosen)
    assert named(report) == ({"x": [(2, 5)], "symmetry": [(2, 5)]} if wrong else {})


def test_of_a_nesting_the_wrong_pair_is_named():
    def gradient(p):
        return {"a": 2 * p["a"] * p["b"], "b": np.sum(p["a"] ** 2)}

    def product(p, v):
        return {"a": 2 * v["a"] * p["b"] + p["a"] * v["b"], "b": 2 * np.sum(p["a"] * v["a"])}

    report = check_hvp(gradient, product, {"a": np.array([1.0, 2]), "b": 0.5})
    assert report.wrong == {"a by b", "symmetry"}


def test_arguments_are_handed_on():
    scaled = hessian_report(lambda x, a: a * rosen_der(x), lambda x, a: a * rosen_hess(x), AT, ASKED, args=(3.0,))
    assert scaled.verdict is Verdict.CORRECT
