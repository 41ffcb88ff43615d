"""`check_scipy` of solvers as they are called: right derivatives are correct, planted mistakes are found and named."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import integrate, optimize, sparse
from scipy.optimize import rosen, rosen_der, rosen_hess, rosen_hess_prod
from scipy.sparse.linalg import aslinearoperator

import gradcheck
from gradcheck import Report, check_scipy

X = np.array([1.3, 0.7, 0.8, 1.9])
T = np.linspace(0, 4, 30)
SLIP = np.array([1, 1, 1.01, 1])


def decay(t, a, k, c):
    return a * np.exp(-k * t) + c


def decay_jac(t, a, k, c, slope=-1.0):
    e = np.exp(-k * t)
    return np.stack([e, slope * a * t * e, np.ones_like(t)], axis=1)


def residual(p, t, y, weight=1.0):
    return weight * (decay(t, *p) - y)


def residual_jac(p, t, y, weight=1.0, slope=-1.0):
    return weight * decay_jac(t, *p, slope=slope)


DATA = (T, decay(T, 2.0, 0.9, 0.3) + 0.01 * np.cos(9 * T))
P = np.array([1.5, 0.8, 0.2])


def circle(x):
    return np.array([x[0] ** 2 + x[1] ** 2 - 4, np.exp(x[0]) + x[1] - 1])


def circle_jac(x, off=1.0):
    return np.array([[2 * x[0], 2 * off * x[1]], [np.exp(x[0]), 1.0]])


def robertson(t, y):
    fast, slow = 1e4 * y[1] * y[2], 3e7 * y[1] ** 2
    return [-0.04 * y[0] + fast, 0.04 * y[0] - fast - slow, slow]


def robertson_jac(t, y, sign=-1.0):
    return [
        [-0.04, 1e4 * y[2], 1e4 * y[1]],
        [0.04, -1e4 * y[2] - 6e7 * y[1], sign * 1e4 * y[1]],
        [0, 6e7 * y[1], 0],
    ]


def van_der_pol(t, y, mu):
    return [y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]]


def van_der_pol_jac(t, y, mu, factor=2.0):
    return np.array([[0, 1], [-factor * mu * y[0] * y[1] - 1, mu * (1 - y[0] ** 2)]])


def ring(x):
    return np.array([x[0] ** 2 + x[1] * x[2], np.sin(x[3]) * x[0]])


def ring_jac(x, off=1.0):
    return np.array([[2 * x[0], x[2], off * x[1], 0], [np.sin(x[3]), 0, 0, x[0] * np.cos(x[3])]])


def ring_hess(x, v, off=0.0):
    h = np.zeros((4, 4))
    h[0, 0], h[1, 2], h[2, 1] = 2 * v[0], v[0], v[0]
    h[0, 3] = h[3, 0] = v[1] * np.cos(x[3])
    h[3, 3] = -v[1] * x[0] * np.sin(x[3]) + off
    return h


def ringed(**given):
    return optimize.NonlinearConstraint(ring, -1, 1, **{"jac": ring_jac, **given})


def lattice(x, y):
    return np.vstack([y[1], -np.exp(y[0])])


def lattice_jac(x, y, off=1.0):
    d = np.zeros((2, 2, x.size))
    d[0, 1], d[1, 0] = 1, -off * np.exp(y[0])
    return d


def ends(ya, yb):
    return np.array([ya[0], yb[0] + yb[1] ** 2 - 1])


def ends_jac(ya, yb, off=2.0):
    return np.array([[1.0, 0], [0, 0]]), np.array([[0, 0], [1, off * yb[1]]])


minimize = partial(check_scipy, optimize.minimize, rosen, X)
NODES = np.linspace(0, 1, 5)

# Each with the derivative as it is, and with a mistake in it: what is handed in, and where the mistake is.
CASES: dict[str, tuple[Callable[..., Report], dict[str, Any], dict[str, Any], str, tuple[int, ...] | None]] = {
    "minimize jac": (minimize, {"jac": rosen_der}, {"jac": lambda x: rosen_der(x) * SLIP}, "jac", (2,)),
    "minimize jac, of shape (n, 1)": (
        minimize,
        {"jac": lambda x: rosen_der(x)[:, None]},
        {"jac": lambda x: (rosen_der(x) * SLIP)[None]},
        "jac",
        (2,),
    ),
    "minimize jac, a list": (
        minimize,
        {"jac": lambda x: list(rosen_der(x))},
        {"jac": lambda x: list(rosen_der(x) * SLIP)},
        "jac",
        (2,),
    ),
    "minimize hess": (
        minimize,
        {"jac": rosen_der, "hess": rosen_hess},
        {"jac": rosen_der, "hess": lambda x: rosen_hess(x) + np.eye(4)[2] * np.eye(4)[[1]].T},
        "hess",
        (1, 2),
    ),
    "minimize hess, sparse": (
        minimize,
        {"jac": rosen_der, "hess": lambda x: sparse.csr_array(rosen_hess(x))},
        {"jac": rosen_der, "hess": lambda x: sparse.csr_matrix(rosen_hess(x) * np.diag(SLIP) + np.triu(rosen_hess(x), 1))},
        "hess",
        None,
    ),
    "minimize hess, an operator": (
        minimize,
        {"jac": rosen_der, "hess": lambda x: aslinearoperator(rosen_hess(x))},
        {"jac": rosen_der, "hess": lambda x: aslinearoperator(rosen_hess(x) * 1.01)},
        "hess",
        None,
    ),
    "minimize hessp": (
        minimize,
        {"jac": rosen_der, "hessp": rosen_hess_prod},
        {"jac": rosen_der, "hessp": lambda x, p: rosen_hess_prod(x, p) * SLIP},
        "hessp",
        None,
    ),
    "minimize constraint, a dict": (
        minimize,
        {
            "jac": rosen_der,
            "constraints": {
                "type": "eq",
                "fun": lambda x, a: a * ring(x),
                "jac": lambda x, a: a * ring_jac(x),
                "args": (2.0,),
            },
        },
        {"jac": rosen_der, "constraints": {"type": "ineq", "fun": ring, "jac": lambda x: ring_jac(x, -1)}},
        "constraint 0: jac",
        (0, 2),
    ),
    "minimize constraint of one number": (
        minimize,
        {"jac": rosen_der, "constraints": [{"type": "eq", "fun": lambda x: x @ x - 1, "jac": lambda x: 2 * x}]},
        {"jac": rosen_der, "constraints": ({"type": "eq", "fun": lambda x: x @ x - 1, "jac": lambda x: x},)},
        "constraint 0: jac",
        None,
    ),
    "minimize nonlinear constraint": (
        minimize,
        {"jac": rosen_der, "constraints": ringed()},
        {"jac": rosen_der, "constraints": [optimize.LinearConstraint(np.eye(4)), ringed(jac=lambda x: ring_jac(x, 2))]},
        "constraint 1: jac",
        (0, 2),
    ),
    "minimize hess of a constraint": (
        minimize,
        {"jac": rosen_der, "constraints": ringed(hess=ring_hess)},
        {"jac": rosen_der, "constraints": ringed(hess=lambda x, v: ring_hess(x, v, 1.0))},
        "constraint 0: hess",
        (3, 3),
    ),
    "minimize hess of a constraint, without its multipliers": (
        minimize,
        {"jac": rosen_der, "constraints": ringed(hess=lambda x, v: sparse.csc_array(ring_hess(x, v)))},
        {"jac": rosen_der, "constraints": ringed(hess=lambda x, v: ring_hess(x, np.ones(2)))},
        "constraint 0: hess",
        None,
    ),
    "fmin_bfgs": (
        partial(check_scipy, optimize.fmin_bfgs, rosen, X),
        {"fprime": rosen_der},
        {"fprime": lambda x: -rosen_der(x)},
        "fprime",
        None,
    ),
    "fmin_ncg": (
        partial(check_scipy, optimize.fmin_ncg, rosen, X, rosen_der),
        {"fhess": rosen_hess},
        {"fhess": lambda x: rosen_hess(x).T * SLIP},
        "fhess",
        None,
    ),
    "fmin_l_bfgs_b, of pairs": (
        partial(check_scipy, optimize.fmin_l_bfgs_b),
        {"func": lambda x: (rosen(x), rosen_der(x)), "x0": X},
        {"func": lambda x: (rosen(x), rosen_der(x) * SLIP), "x0": X},
        "fprime",
        (2,),
    ),
    "fmin_slsqp": (
        partial(check_scipy, optimize.fmin_slsqp, rosen, X, fprime=rosen_der, f_eqcons=ring),
        {"fprime_eqcons": ring_jac},
        {"fprime_eqcons": lambda x: ring_jac(x, 0)},
        "fprime_eqcons",
        (0, 2),
    ),
    "basinhopping": (
        partial(check_scipy, optimize.basinhopping, rosen, X),
        {"minimizer_kwargs": {"jac": rosen_der, "method": "BFGS"}},
        {"minimizer_kwargs": {"jac": lambda x: rosen_der(x) * SLIP}},
        "jac",
        (2,),
    ),
    "dual_annealing": (
        partial(check_scipy, optimize.dual_annealing, rosen, [(-2, 2)] * 4),
        {"minimizer_kwargs": {"jac": rosen_der}},
        {"minimizer_kwargs": {"jac": lambda x: rosen_der(x) * SLIP}},
        "jac",
        (2,),
    ),
    "least_squares": (
        partial(check_scipy, optimize.least_squares, residual, P, args=DATA, loss="soft_l1", x_scale="jac"),
        {"jac": residual_jac},
        {"jac": partial(residual_jac, slope=1.0)},
        "jac",
        None,
    ),
    "least_squares, sparse with kwargs": (
        partial(
            check_scipy, optimize.least_squares, residual, P, args=DATA, kwargs={"weight": 3.0}, bounds=(0, [2, 3, np.inf])
        ),
        {"jac": lambda *a, weight: sparse.csr_array(residual_jac(*a, weight))},
        {"jac": lambda *a, weight: sparse.csr_array(residual_jac(*a))},
        "jac",
        None,
    ),
    "least_squares, an operator": (
        partial(check_scipy, optimize.least_squares, residual, P, args=DATA),
        {"jac": lambda *a: aslinearoperator(residual_jac(*a))},
        {"jac": lambda *a: aslinearoperator(residual_jac(*a) * [1, 1.01, 1])},
        "jac",
        None,
    ),
    "root": (
        partial(check_scipy, optimize.root, circle, [1, 2]),
        {"jac": circle_jac},
        {"jac": partial(circle_jac, off=0.5)},
        "jac",
        (0, 1),
    ),
    "root, of pairs": (
        partial(check_scipy, optimize.root, x0=[1.0, 2.0], jac=True),
        {"fun": lambda x: (circle(x), circle_jac(x))},
        {"fun": lambda x: (circle(x), circle_jac(x, 0.5))},
        "jac",
        (0, 1),
    ),
    "root, by columns": (
        partial(check_scipy, optimize.root, circle, [1.0, 2.0], options={"col_deriv": True}),
        {"jac": lambda x: circle_jac(x).T},
        {"jac": circle_jac},
        "jac",
        None,
    ),
    "fsolve": (
        partial(check_scipy, optimize.fsolve, circle, [1.0, 2.0]),
        {"fprime": circle_jac},
        {"fprime": lambda x: circle_jac(x).T},
        "fprime",
        None,
    ),
    "leastsq, by columns": (
        partial(check_scipy, optimize.leastsq, residual, P, args=DATA, col_deriv=True),
        {"Dfun": lambda *a: residual_jac(*a).T},
        {"Dfun": lambda *a: residual_jac(*a, slope=1.0).T},
        "Dfun",
        None,
    ),
    "curve_fit": (
        partial(check_scipy, optimize.curve_fit, decay, *DATA),
        {"jac": decay_jac},
        {"jac": partial(decay_jac, slope=1.0)},
        "jac",
        None,
    ),
    "curve_fit with errors and bounds": (
        partial(check_scipy, optimize.curve_fit, decay, *DATA, p0=[1, 1, 0], sigma=1 + T, bounds=(0, [3, 3, 3])),
        {"jac": decay_jac},
        {"jac": lambda *a: np.roll(decay_jac(*a), 1, axis=0)},
        "jac",
        None,
    ),
    "root_scalar": (
        partial(check_scipy, optimize.root_scalar, lambda x, a: x**3 - a, args=(2.0,), x0=1.5),
        {"fprime": lambda x, a: 3 * x**2, "fprime2": lambda x, a: 6 * x},
        {"fprime": lambda x, a: 3 * x**2, "fprime2": lambda x, a: 3 * x},
        "fprime2",
        None,
    ),
    "root_scalar, of triples": (
        partial(check_scipy, optimize.root_scalar, x0=1.5, fprime2=True),
        {"f": lambda x: (x**3 - 2, 3 * x**2, 6 * x)},
        {"f": lambda x: (x**3 - 2, 2 * x**2, 4 * x)},
        "fprime",
        None,
    ),
    "newton": (
        partial(check_scipy, optimize.newton, lambda x: np.cos(x) - x, 1),
        {"fprime": lambda x: -np.sin(x) - 1},
        {"fprime": np.sin},
        "fprime",
        None,
    ),
    "newton, of many": (
        partial(check_scipy, optimize.newton, lambda x: x**3 - [1, 2, 3], np.array([1.5, 2, 3])),
        {"fprime": lambda x: 3 * x**2},
        {"fprime": lambda x: 3 * x**2 * [1, 1, 2]},
        "fprime",
        (2, 2),
    ),
    "newton, in the complex plane": (
        partial(check_scipy, optimize.newton, lambda z: z**3 - 1, 1 + 2j),
        {"fprime": lambda z: 3 * z**2},
        {"fprime": lambda z: 3 * np.conj(z) ** 2},
        "fprime",
        None,
    ),
    "check_grad": (
        partial(check_scipy, optimize.check_grad, rosen),
        {"grad": rosen_der, "x0": X},
        {"grad": lambda x: rosen_der(x) * SLIP, "x0": X},
        "grad",
        (2,),
    ),
    "solve_ivp": (
        partial(check_scipy, integrate.solve_ivp, van_der_pol, (0, 100), [2, 0], "Radau", args=(100.0,)),
        {"jac": van_der_pol_jac},
        {"jac": partial(van_der_pol_jac, factor=1.0)},
        "jac at t = ",
        (1, 0),
    ),
    "odeint": (
        partial(check_scipy, integrate.odeint, lambda y, t: robertson(t, y), [1, 0, 0], np.linspace(0, 50, 3)),
        {"Dfun": lambda y, t: robertson_jac(t, y)},
        {"Dfun": lambda y, t: robertson_jac(t, y, 1.0)},
        "Dfun at t = ",
        (1, 2),
    ),
    "odeint, its diagonals": (
        partial(check_scipy, integrate.odeint, van_der_pol, [2, 0], [0, 9], (3.0,), tfirst=True, ml=1, mu=1),
        {
            "Dfun": lambda t, y, mu: np.array(
                [[0, 1], np.diag(van_der_pol_jac(t, y, mu)), [van_der_pol_jac(t, y, mu)[1, 0], 0]]
            )
        },
        {
            "Dfun": lambda t, y, mu: np.array(
                [[0, 2], np.diag(van_der_pol_jac(t, y, mu)), [van_der_pol_jac(t, y, mu)[1, 0], 0]]
            )
        },
        "Dfun at t = ",
        (0, 1),
    ),
    "solve_bvp": (
        partial(check_scipy, integrate.solve_bvp, lattice, ends, NODES, np.zeros((2, 5)), bc_jac=ends_jac),
        {"fun_jac": lattice_jac},
        {"fun_jac": partial(lattice_jac, off=0.5)},
        "fun_jac: df_dy at x = ",
        (1, 0),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_solver_is_given_is_correct_where_it_is_right_and_named_where_it_is_not(name):
    check, right, wrong, label, index = CASES[name]
    assert check(**right).verdict == "correct", check(**right)
    report = check(**wrong)
    found = [each for each in report.findings if each.verdict == "wrong"]
    assert found, report
    assert all(each.backend.startswith(label) for each in found), report
    assert index is None or {each.worst_index for each in found if each.name != "symmetry"} == {index}, report


def test_columns_have_the_names_of_a_models_parameters():
    report = check_scipy(optimize.curve_fit, decay, *DATA, jac=partial(decay_jac, slope=1.0))
    assert report.wrong == {"jacobian by k"}
    assert [each.name for each in report.findings] == ["jacobian by a", "jacobian by k", "jacobian by c"]
    assert ("jacobian by k", "sign") in {(each.name, each.cause) for each in report.diagnoses}


def misra(x, b1, b2):
    return b1 * (1 - np.exp(-b2 * x))


def misra_jac(x, b1, b2):
    return np.stack([1 - np.exp(-b2 * x), b1 * x * np.exp(-b2 * x)], axis=1)


def thurber(x, *b):
    return (b[0] + b[1] * x + b[2] * x**2 + b[3] * x**3) / (1 + b[4] * x + b[5] * x**2 + b[6] * x**3)


def thurber_jac(x, *b):
    powers, below = x[:, None] ** np.arange(4), 1 + x[:, None] ** np.arange(1, 4) @ b[4:]
    above = powers @ b[:4]
    return np.hstack([powers / below[:, None], -(above / below**2)[:, None] * powers[:, [1, 2, 3]]])


def lanczos(x, *b):
    return sum(b[i] * np.exp(-b[i + 1] * x) for i in (0, 2, 4))


def lanczos_jac(x, *b):
    pairs = [(np.exp(-b[i + 1] * x), -b[i] * x * np.exp(-b[i + 1] * x)) for i in (0, 2, 4)]
    return np.stack([column for pair in pairs for column in pair], axis=1)


NIST = {  # models of the NIST StRD: at a start, and at the certified solution
    "Misra1a": (misra, misra_jac, np.linspace(77, 760, 14), [500, 1e-4], [238.94212918, 5.5015643181e-4]),
    "Thurber": (
        thurber,
        thurber_jac,
        np.linspace(-3, 2.2, 37),
        [1000, 1000, 400, 40, 0.7, 0.3, 0.03],
        [1288.13968, 1491.0792535, 583.23836877, 75.416644291, 0.96629502864, 0.39797285797, 0.049727297349],
    ),
    "Lanczos3": (
        lanczos,
        lanczos_jac,
        0.05 * np.arange(24),
        [1.2, 0.3, 5.6, 5.5, 6.5, 7.6],
        [0.086816414977, 0.95498101505, 0.84400777463, 2.9515951832, 1.5825685901, 4.9863565084],
    ),
}


@pytest.mark.parametrize("name", NIST)
@pytest.mark.parametrize("solved", [0, 1])
def test_models_of_nist_are_right_and_a_slipped_sign_or_factor_is_found_in_its_column(name, solved):
    f, jac, x, *points = NIST[name]
    p = points[solved]
    fit = partial(check_scipy, optimize.curve_fit, f, x, f(x, *p), p0=p)
    assert fit(jac=jac).verdict == "correct"
    for column, factor in ((1, -1.0), (len(p) - 1, 1.01)):
        slips = np.where(np.arange(len(p)) == column, factor, 1.0)
        report = fit(jac=lambda *a, slips=slips: jac(*a) * slips)
        (found,) = [each for each in report.findings if each.verdict == "wrong"]
        assert f"column {column}" in found.reason or found.name == f"jacobian by b{column + 1}"


def test_a_fit_of_many_exponentials_takes_few_evaluations_and_a_wrong_entry_is_named():
    rng, t = np.random.default_rng(0), np.linspace(0, 5, 200)
    p = np.concatenate([rng.standard_normal(25), rng.uniform(0.1, 3, 25)])

    def jac(p):
        e = np.exp(-np.outer(t, p[25:]))
        return np.hstack([e, -t[:, None] * e * p[:25]])

    fit = partial(check_scipy, optimize.least_squares, lambda p: np.exp(-np.outer(t, p[25:])) @ p[:25], p)
    report = fit(jac)
    assert (report.verdict, report.evaluations < 100) == ("correct", True)
    slip = np.ones((200, 50))
    slip[3, 7] = 1.001
    (finding,) = fit(lambda p: jac(p) * slip).findings
    assert (str(finding.verdict), finding.worst_index) == ("wrong", (3, 7))


def test_a_sparse_hessian_in_a_thousand_dimensions():
    x = np.random.default_rng(0).standard_normal(1000)

    def hess(x, corner=0.0):
        main = np.concatenate([1200 * x[:-1] ** 2 - 400 * x[1:] + 2, [0.0]])
        main[1:] += 200
        main[0] += corner
        return sparse.diags_array([main, -400 * x[:-1], -400 * x[:-1]], offsets=[0, 1, -1]).tocsr()

    minimize = partial(check_scipy, optimize.minimize, rosen, x, jac=rosen_der, method="trust-constr")
    assert minimize(hess=hess).verdict == "correct"
    report = minimize(hess=partial(hess, corner=200.0))
    assert [(each.name, each.worst_index) for each in report.findings if each.verdict == "wrong"] == [("hessian", (0, 0))]


def test_a_jacobian_is_looked_at_where_the_solution_goes_and_each_place_is_named():
    solve = partial(check_scipy, integrate.solve_ivp, robertson, (0, 500), [1, 0, 0], method="BDF")
    report = solve(jac=robertson_jac)
    assert report.verdict == "correct"
    assert [each.backend for each in report.findings][::3] == ["jac at t = 0", "jac at t = 500"]
    wrong = {each.backend for each in solve(jac=partial(robertson_jac, sign=1.0)).findings if each.verdict == "wrong"}
    assert len(wrong) == 3
    assert "jac at t = 0" not in wrong  # where y[1] is zero


def test_a_right_hand_side_that_fails_on_the_way_is_looked_at_as_far_as_it_goes():
    def f(t, y):
        if t > 1:
            raise RuntimeError("out of the table")
        return -(y**3)

    report = check_scipy(integrate.solve_ivp, f, (0, 9), [1.0, 0.5], jac=lambda t, y: np.diag(-3 * y**2))
    assert report.verdict == "correct"
    assert report.findings[0].backend == "jac at t = 0"


@pytest.mark.parametrize(
    ("bounds", "x0"),
    [
        ([(0, None), (None, 0.7), (0.8, 2), (0, 3)], X),
        (optimize.Bounds([0, 0, 0.8, -np.inf], [1.3, 1, 1, 1.9]), X),
        (None, X),
    ],
)
def test_a_function_is_not_called_outside_its_bounds(bounds, x0):
    seen = []

    def fun(x):
        seen.append(x.copy())
        return rosen(x)

    assert check_scipy(optimize.minimize, fun, x0, jac=rosen_der, bounds=bounds).verdict == "correct"
    lower, upper = (
        (bounds.lb, bounds.ub)
        if hasattr(bounds, "lb")
        else np.array([(-np.inf, np.inf)] * 4 if bounds is None else bounds, float).T
    )
    inside = [np.all(x >= np.nan_to_num(lower, nan=-np.inf)) and np.all(x <= np.nan_to_num(upper, nan=np.inf)) for x in seen]
    assert len(inside) > 20
    assert all(inside)
    wrong = check_scipy(optimize.minimize, fun, x0, jac=lambda x: rosen_der(x) * SLIP, bounds=bounds)
    assert wrong.findings[0].worst_index == (2,)


@pytest.mark.parametrize("x0", [[0.5, 1, 0], [2, 3, 0]])
def test_residuals_gradients_and_hessians_are_not_taken_outside_bounds_either(x0):
    lower, upper = np.zeros(3), np.array([2.0, 3.0, np.inf])

    def inside(f):
        def function(p, *rest):
            assert np.all(lower <= p)
            assert np.all(p <= upper)
            return f(p, *rest)

        return function

    fit = partial(check_scipy, optimize.least_squares, inside(residual), x0, args=DATA, bounds=(0, [2, 3, np.inf]))
    assert fit(inside(residual_jac)).verdict == "correct"
    assert fit(inside(partial(residual_jac, slope=1.0))).findings[0].reason.endswith("column 1")
    pairs = list(zip(lower, upper, strict=True))
    minimize = partial(check_scipy, optimize.minimize, inside(rosen), x0, jac=inside(rosen_der), bounds=pairs)
    report = minimize(hess=inside(rosen_hess), hessp=inside(rosen_hess_prod))
    assert report.verdict == "correct", report
    report = minimize(hess=lambda x: rosen_hess(x) + 1, hessp=lambda x, p: rosen_hess_prod(x, p) + p)
    assert {each.backend for each in report.findings if each.verdict == "wrong"} == {"hess", "hessp"}


def test_what_is_not_looked_at_is_named():
    constraints = [ringed(jac="3-point", hess="cs"), optimize.LinearConstraint(np.eye(4)), {"type": "eq", "fun": ring}]
    report = check_scipy(optimize.minimize, rosen, X, jac=rosen_der, hess="2-point", constraints=constraints)
    assert report.verdict == "correct"
    assert report.unchecked == ("hess", "constraint 0: jac", "constraint 0: hess", "constraint 1", "constraint 2: jac")
    assert (
        report.notes[1]
        == "constraint 0: jac: expected a function, got '3-point': SciPy's own differences leave nothing to check"
    )


@pytest.mark.parametrize("pattern", [[[1, 1], [1, 1]], [[0, 1], [1, 0]]])
def test_a_declared_structure_is_checked_without_a_jacobian(pattern):
    report = check_scipy(integrate.solve_ivp, van_der_pol, (0, 9), [2, 1], args=(2.0,), method="BDF", jac_sparsity=pattern)
    assert (report.verdict == "wrong") == (pattern[1][1] == 0)
    assert report.unchecked == ("jac",)


@pytest.mark.parametrize(
    ("args", "kwargs", "sentence"),
    [
        ((), {}, "check_scipy: missing a required argument: 'fun'"),
        ((3, X, rosen_der), {}, "fun: expected a function, got 3"),
        ((optimize.minimize,), {}, "minimize: missing a required argument: 'fun'"),
        ((optimize.minimize, rosen, X), {"hes": 1}, "minimize: got an unexpected keyword argument 'hes'"),
        ((rosen, X, rosen_der), {"method": "BFGS"}, "check_scipy: got an unexpected keyword argument 'method'"),
        ((optimize.minimize_scalar, np.sin), {}, "minimize_scalar takes no derivative: nothing to check"),
        ((optimize.least_squares, circle, [1, 2]), {}, "jac: expected a function, got '2-point': SciPy's own differences"),
        ((optimize.minimize, rosen, X), {"jac": "cs"}, "jac: expected a function or True, got 'cs': SciPy's own"),
        ((optimize.curve_fit, decay, *DATA), {}, "jac: expected a function, got None"),
        ((optimize.curve_fit, lambda x, *p: x, T, T), {"jac": decay_jac}, "p0: expected the parameters at which to start"),
        ((optimize.root_scalar, np.sin), {"x0": 1.0}, "fprime: expected a function, got None"),
        ((integrate.solve_ivp, robertson, (0, 1), [1, 0, 0]), {"jac": np.eye(2)}, "jac returned shape (2, 2), expected"),
        ((circle, [1, 2], circle_jac), {"hess": rosen_hess}, "hess: circle returns 2 values, and a Hessian is that"),
        ((optimize.minimize, rosen, X), {"jac": rosen_der, "bounds": [(0, 1)] * 3}, "bounds: expected 4 pairs"),
        ((optimize.minimize, rosen, X), {"jac": rosen_der, "bounds": [(0, 1)] * 4}, "bounds: x[0] = 1.3 has [0, 1]"),
        ((optimize.minimize, rosen, X), {"jac": rosen_der, "constraints": [3]}, "constraint 0: expected a dict or one"),
        ((optimize.least_squares, residual, P), {"jac": lambda *a: residual_jac(*a).T, "args": DATA}, "jac returned shape"),
        (
            (integrate.odeint, van_der_pol, [2, 0], [0, 1], (2.0,)),
            {"Dfun": van_der_pol_jac, "ml": 0, "tfirst": True},
            "van_der_pol_jac returned shape (2, 2), expected (1, 2): a row for each diagonal",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(args, kwargs, sentence):
    with pytest.raises(gradcheck.GradcheckError) as raised:
        check_scipy(*args, **kwargs)
    assert str(raised.value).startswith(sentence)
    assert "\n" not in str(raised.value)


def test_the_fixture_and_the_reproducer_take_the_same_calls(gradcheck, tmp_path):
    report = gradcheck.scipy(optimize.curve_fit, decay, *DATA, jac=decay_jac, p0=[1, 1, 0])
    assert report.verdict == "correct"
    assert report.recipe.function == "check_scipy"
    path = tmp_path / "again.py"
    check_scipy(integrate.solve_ivp, van_der_pol, (0, 9), [2, 0], args=(2.0,), jac=van_der_pol_jac).reproducer(path)
    assert "scipy.integrate.solve_ivp" in path.read_text()
    assert subprocess.run([sys.executable, path], capture_output=True, text=True).returncode == 0


class TestLmfit:
    @pytest.fixture
    def fit(self):
        lmfit = pytest.importorskip("lmfit")
        params = lmfit.create_params(a=1.5, k={"value": 0.8, "min": 0}, fixed={"value": 2.0, "vary": False}, c=0.2)

        def fcn(p, t, y):
            return decay(t, p["a"].value, p["k"].value, p["c"].value) - y

        def dfun(p, t, y, slope=-1.0):
            return decay_jac(t, p["a"].value, p["k"].value, p["c"].value, slope).T

        return lmfit, params, fcn, dfun

    def test_the_columns_are_the_parameters_that_vary(self, fit):
        lmfit, params, fcn, dfun = fit
        report = check_scipy(lmfit.minimize, fcn, params, args=DATA, Dfun=dfun, col_deriv=True)
        assert report.verdict == "correct"
        assert [each.name for each in report.findings] == ["jacobian by a", "jacobian by k", "jacobian by c"]
        wrong = check_scipy(lmfit.minimize, fcn, params, args=DATA, Dfun=partial(dfun, slope=1.0), col_deriv=True)
        assert wrong.wrong == {"jacobian by k"}
        assert params["k"].value == 0.8

    def test_a_minimizers_own_method(self, fit):
        lmfit, params, fcn, dfun = fit
        minimizer = lmfit.Minimizer(fcn, params, fcn_args=DATA)
        assert check_scipy(minimizer.leastsq, Dfun=dfun, col_deriv=1).verdict == "correct"
        assert check_scipy(minimizer.minimize, method="least_squares", jac=lambda *a: dfun(*a).T).verdict == "correct"
        assert check_scipy(minimizer.leastsq, Dfun=partial(dfun, slope=1.0), col_deriv=1).wrong == {"jacobian by k"}

    def test_a_model(self, fit):
        lmfit, *_ = fit
        model = lmfit.Model(decay)
        params = model.make_params(a=1.5, k=0.8, c=0.2)

        def dfun(p, data, weights, t, slope=-1.0):
            return -decay_jac(t, p["a"].value, p["k"].value, p["c"].value, slope)

        ask = partial(check_scipy, model.fit, DATA[1], params, t=T)
        assert ask(fit_kws={"Dfun": dfun}).verdict == "correct"
        assert ask(fit_kws={"Dfun": partial(dfun, slope=1.0)}).wrong == {"jacobian by k"}
        with pytest.raises(gradcheck.DataError, match=r"^Dfun: expected a function, got None"):
            ask()
