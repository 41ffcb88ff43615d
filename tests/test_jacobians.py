"""`check_jacobian`: matrices of derivatives in every form, right ones and those with the mistakes that people make."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator

import gradcheck
from gradcheck import DataError, Verdict, check_jacobian

RNG = np.random.default_rng(3)


def robertson(y):
    return np.array([-0.04 * y[0] + 1e4 * y[1] * y[2], 0.04 * y[0] - 1e4 * y[1] * y[2] - 3e7 * y[1] ** 2, 3e7 * y[1] ** 2])


def robertson_jac(y):
    return np.array([[-0.04, 1e4 * y[2], 1e4 * y[1]], [0.04, -1e4 * y[2] - 6e7 * y[1], -1e4 * y[1]], [0, 6e7 * y[1], 0.0]])


def van_der_pol(y):
    return [y[1], 1e3 * (1 - y[0] ** 2) * y[1] - y[0]]


def van_der_pol_jac(y):
    return [[0, 1], [-2e3 * y[0] * y[1] - 1, 1e3 * (1 - y[0] ** 2)]]


TIMES = np.linspace(0, 4, 80)


def exponentials(p, times=TIMES):
    k = p.size // 2
    return np.exp(-np.outer(times, p[k:])) @ p[:k]


def exponentials_jac(p, times=TIMES):
    k = p.size // 2
    e = np.exp(-np.outer(times, p[k:]))
    return np.hstack([e, -p[:k] * times[:, None] * e])


GROWN = np.linspace(0, 10, 40)


def logistic(p):
    return p[0] / (1 + np.exp(-p[1] * (GROWN - p[2])))


def logistic_jac(p):
    s = 1 / (1 + np.exp(-p[1] * (GROWN - p[2])))
    return np.stack([s, p[0] * s * (1 - s) * (GROWN - p[2]), -p[0] * s * (1 - s) * p[1]], 1)


def broyden(x):
    return (3 - 2 * x) * x - np.r_[0, x[:-1]] - 2 * np.r_[x[1:], 0] + 1


def broyden_jac(x):
    ones = np.ones(len(x) - 1)
    return sparse.diags_array([3 - 4 * x, -ones, -2 * ones], offsets=[0, -1, 1]).tocsc()


CELLS = 30


def brusselator(y):
    u, v, d = y[::2], y[1::2], (CELLS + 1) ** 2 / 50
    wide_u, wide_v, out = np.r_[1, u, 1], np.r_[3, v, 3], np.empty_like(y)
    out[::2] = 1 + u * u * v - 4 * u + d * (wide_u[:-2] - 2 * u + wide_u[2:])
    out[1::2] = 3 * u - u * u * v + d * (wide_v[:-2] - 2 * v + wide_v[2:])
    return out


def brusselator_jac(y):
    u, v, d, n = y[::2], y[1::2], (CELLS + 1) ** 2 / 50, 2 * CELLS
    middle, up, low = np.empty(n), np.zeros(n - 1), np.zeros(n - 1)
    middle[::2], middle[1::2], up[::2], low[::2] = 2 * u * v - 4 - 2 * d, -u * u - 2 * d, u * u, 3 - 2 * u * v
    return sparse.diags_array([middle, up, low, np.full(n - 2, d), np.full(n - 2, d)], offsets=[0, 1, -1, 2, -2]).tocsr()


CELL = np.arange(1, CELLS + 1) / (CELLS + 1)
STIFF = np.array([0.8, 2e-5, 0.2])
FIT = np.r_[RNG.uniform(0.5, 2, 6), np.linspace(0.1, 3, 6)]
MANY, OFTEN = np.r_[RNG.uniform(0.5, 2, 25), RNG.uniform(0.1, 3, 25)], np.linspace(0, 4, 200)
SYSTEMS = {
    "robertson": (robertson, robertson_jac, STIFF),
    "robertson at its start": (robertson, robertson_jac, np.array([1.0, 0, 0])),
    "van der pol": (van_der_pol, van_der_pol_jac, np.array([2.0, -0.5])),
    "exponentials": (exponentials, exponentials_jac, FIT),
    "logistic": (logistic, logistic_jac, np.array([2.5e6, 0.9, 4.0])),
    "broyden": (broyden, broyden_jac, RNG.standard_normal(300)),
    "brusselator": (brusselator, brusselator_jac, np.ravel([1 + np.sin(6 * CELL), 3 + 0.1 * np.cos(CELL)], "F")),
    "units of outputs": (
        lambda x: np.logspace(-9, 9, 12) * np.sin(np.outer(np.arange(1, 13), x)).sum(1),
        lambda x: np.logspace(-9, 9, 12)[:, None] * np.arange(1, 13)[:, None] * np.cos(np.outer(np.arange(1, 13), x)),
        np.array([0.3, -0.7, 1.1]),
    ),
    "units of inputs": (
        lambda x: np.sin(np.outer([1, 2, 3], x * np.logspace(-6, 6, 8))).sum(1),
        lambda x: np.cos(np.outer([1, 2, 3], x * np.logspace(-6, 6, 8))) * np.outer([1, 2, 3], np.logspace(-6, 6, 8)),
        np.linspace(0.3, 1.5, 8) / np.logspace(-6, 6, 8),
    ),
    "one row": (lambda x: np.sum(x**3), lambda x: 3 * x**2, np.array([1.0, -2, 3])),
    "a matrix of outputs": (
        lambda x: np.outer(x, x),
        lambda x: np.einsum("ik,j->ijk", np.eye(3), x) + np.einsum("jk,i->ijk", np.eye(3), x),
        np.array([1.0, -2, 3]),
    ),
}


def dense(matrix):
    return np.array(matrix.toarray() if hasattr(matrix, "toarray") else matrix, float)


def changed(jac, change):
    """The same function, whose matrix is changed and given in its own form."""

    def function(x):
        given = jac(x)
        matrix = change(dense(given))
        return type(given)(matrix) if hasattr(given, "toarray") else matrix

    return function


def report_of(name, change=lambda matrix: matrix, **options):
    f, jac, at = SYSTEMS[name]
    return check_jacobian(f, changed(jac, change), at, **options)


def at_index(change, *index):
    def function(matrix):
        place = index[0] if len(index) == 1 else index
        matrix[place] = change(matrix[place])
        return matrix

    return function


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_right_matrix_is_correct(name):
    f, jac, at = SYSTEMS[name]
    report = check_jacobian(f, jac, at)
    assert report.verdict is Verdict.CORRECT
    assert report.findings[0].resolution < 1e-3


def test_a_right_matrix_takes_as_many_evaluations_as_a_gradient():
    calls = []

    def f(p):
        calls.append(p)
        return exponentials(p, OFTEN)

    report = check_jacobian(f, lambda p: exponentials_jac(p, OFTEN), MANY)
    assert report.verdict is Verdict.CORRECT
    assert report.evaluations == len(calls) < 60
    wrong = changed(lambda p: exponentials_jac(p, OFTEN), at_index(lambda x: x * (1 + 1e-5), 17, 30))
    assert [entry.index for entry in check_jacobian(f, wrong, MANY).findings[0].entries] == [(17, 30)]


@pytest.mark.parametrize("index", [(i, j) for i in range(3) for j in range(3)])
def test_each_entry_of_a_stiff_system_is_named(index):
    report = report_of("robertson", at_index(lambda x: x * 1.01 if x else 4e-4, *index))
    assert (report.verdict, report.findings[0].worst_index, len(report.findings[0].entries)) == (Verdict.WRONG, index, 1)
    assert report.diagnoses[0].cause == "single-entry"


def rolled(matrix):
    return np.roll(matrix, 1, 1)


def stretched(matrix):
    return matrix * np.linspace(0.5, 2, len(matrix))[:, None]


def reordered(matrix):
    return matrix[np.r_[1 : len(matrix), 0]]


ROW, COLUMN = np.s_[5], np.s_[:, 7]
MISTAKES = [
    ("exponentials", at_index(lambda x: -x, ROW), "rows", {"rows": [5], "how": "the sign"}),
    ("exponentials", at_index(lambda x: 2 * x, COLUMN), "columns", {"columns": [7]}),
    ("exponentials", at_index(lambda x: 1e3 * x, COLUMN), "columns", {"columns": [7]}),
    ("exponentials", at_index(lambda x: 0 * x, COLUMN), "columns", {"columns": [7]}),
    ("exponentials", at_index(lambda x: 0 * x, ROW), "rows", {"rows": [5]}),
    ("exponentials", at_index(lambda x: x * (1 + 1e-5), 17, 10), "single-entry", {"index": [17, 10]}),
    ("exponentials", lambda m: -m, "sign", {}),
    ("exponentials", rolled, "permuted", {"axis": 1}),
    ("exponentials", stretched, "rows", {"which": "all rows are"}),
    ("exponentials", reordered, "permuted", {}),
    ("exponentials", np.trunc, "low-precision", {"format": "whole numbers"}),
    ("logistic", at_index(lambda x: x / 3, np.s_[::3]), "rows", {"which": "14 of 40 rows are"}),
    ("logistic", at_index(lambda x: 0 * x, np.s_[:, 0]), "columns", {"columns": [0]}),
    ("robertson", np.transpose, "transposed", {}),
    ("robertson", lambda m: 2 * m, "factor", {}),
    ("van der pol", at_index(lambda x: -x, 1, 1), "single-entry", {"index": [1, 1]}),
    ("broyden", at_index(lambda x: x + 1e-3, 100, 101), "single-entry", {"index": [100, 101]}),
    ("broyden", at_index(lambda x: x + 0.1, 7, 290), "single-entry", {"index": [7, 290]}),
    ("broyden", np.tril, "outside-pattern", {"of": "returned"}),
    ("brusselator", np.transpose, "transposed", {}),
    ("brusselator", at_index(lambda x: -x, ROW), "rows", {"rows": [5], "how": "the sign"}),
    ("units of outputs", at_index(lambda x: 1.01 * x, 0, 1), "single-entry", {"index": [0, 1]}),
    ("units of inputs", at_index(lambda x: 1.01 * x, 1, 7), "single-entry", {"index": [1, 7]}),
    ("a matrix of outputs", at_index(lambda x: x + 1, 1, 2, 0), "single-entry", {"index": [1, 2, 0]}),
]


@pytest.mark.parametrize(("name", "change", "cause", "evidence"), MISTAKES)
def test_mistakes_that_people_make_have_their_cause(name, change, cause, evidence):
    report = report_of(name, change)
    _, jac, at = SYSTEMS[name]
    wrong = dense(jac(at)) != change(dense(jac(at)))
    assert report.verdict is Verdict.WRONG
    assert all(wrong[entry.index] for entry in report.findings[0].entries)
    assert report.diagnoses[0].cause == cause
    assert {key: report.diagnoses[0].evidence[key] for key in evidence} == evidence


def test_a_matrix_of_another_point_is_told():
    stale = exponentials_jac(FIT * 1.1)
    assert check_jacobian(exponentials, lambda p: stale, FIT).diagnoses[0].cause == "stale-point"
    constant = RNG.standard_normal((5, 4))
    assert check_jacobian(lambda x: constant @ x, constant, np.ones(4))  # the twin


FORMS = {
    "csr": sparse.csr_array,
    "coo with duplicates": lambda m: sparse.coo_matrix(
        (np.r_[m.ravel(), m.ravel()] / 2, np.tile(np.indices(m.shape).reshape(2, -1), 2))
    ),
    "matrix": sparse.csc_matrix,
    "operator": aslinearoperator,
    "operator without rmatvec": lambda m: LinearOperator(m.shape, matvec=lambda v: m @ v),
    "lists": lambda m: m.tolist(),
    "float32": lambda m: m.astype(np.float32),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_matrix_may_have_any_form(form):
    assert check_jacobian(robertson, lambda y: FORMS[form](robertson_jac(y)), STIFF).verdict is Verdict.CORRECT
    report = check_jacobian(robertson, lambda y: FORMS[form](robertson_jac(y) + np.diag([1e-3, 1, 1e-3])), STIFF)
    assert report.verdict is Verdict.WRONG
    assert {entry.index for entry in report.findings[0].entries} == {(0, 0), (1, 1), (2, 2)}


def test_the_two_products_of_an_operator_belong_together():
    matrix = np.arange(12.0).reshape(3, 4) ** 1.1
    other = matrix.copy()
    other[1, 2] += 0.5
    operator = LinearOperator((3, 4), matvec=lambda v: matrix @ v, rmatvec=lambda c: other.T @ c)
    report = check_jacobian(lambda x: matrix @ x, lambda x: operator, np.ones(4))
    assert report.wrong == {"adjoint"}
    assert "column 2" in report.findings[-1].reason


TREE = {"mass": np.array([1.0, 2.0]), "k": 0.5}


def motion(p):
    return {"velocity": p["k"] * p["mass"] ** 2, "energy": np.sum(p["mass"]) * p["k"] ** 2}


def motion_jac(p):
    return {
        "velocity": {"mass": np.diag(2 * p["k"] * p["mass"]), "k": p["mass"] ** 2},
        "energy": {"mass": np.full(2, p["k"] ** 2), "k": 2 * p["k"] * np.sum(p["mass"])},
    }


def test_each_pair_of_leaves_has_a_finding():
    report = check_jacobian(motion, motion_jac, TREE)
    names = [finding.name for finding in report.findings]
    assert names == ["velocity by mass", "velocity by k", "energy by mass", "energy by k"]
    assert report.verdict is Verdict.CORRECT
    flat = [[1, 0, 1], [0, 2, 4], [0.25, 0.25, 3]]
    assert check_jacobian(motion, np.array(flat, float), TREE).verdict is Verdict.CORRECT


def test_a_wrong_pair_is_accused_alone():
    def spoilt(p):
        blocks = motion_jac(p)
        return {**blocks, "energy": {**blocks["energy"], "k": p["k"] * np.sum(p["mass"])}}

    report = check_jacobian(motion, spoilt, TREE)
    assert report.wrong == {"energy by k"}
    flat = check_jacobian(
        lambda p: np.array([p["a"] * p["b"], p["b"] ** 2]), lambda p: [[p["b"], p["a"]], [0, p["b"]]], {"a": 2.0, "b": 3.0}
    )
    assert flat.wrong == {"jacobian by b"}
    assert flat.findings[1].entries[0].index == (1,)


TRACE, FAST, BACK, MEETING = 7.89e-10, 1.1e7, 1.13e3, 1.13e9


def chemistry(y):
    a, b, c, d = TRACE * y[0], FAST * y[0] * y[2], MEETING * y[1] * y[2], BACK * y[3]
    return np.array([-a - b, a - c, a - b - c + d, b - d])


def chemistry_jac(y):
    a, b, c = (TRACE, 0, 0, 0), (FAST * y[2], 0, FAST * y[0], 0), (0, MEETING * y[2], MEETING * y[1], 0)
    a, b, c, d = (np.array(each) for each in (a, b, c, (0, 0, 0, BACK)))
    return np.array([-a - b, a - c, a - b - c + d, b - d])


FEED = np.array([1.76e-3, 0, 0, 0])


def test_a_trace_beside_what_is_very_fast_is_judged():
    assert check_jacobian(chemistry, chemistry_jac, FEED).verdict is Verdict.CORRECT


@pytest.mark.parametrize("factor", [0, 2, -1])
@pytest.mark.parametrize("row", [0, 1, 2])
def test_a_wrong_entry_of_1e_9_beside_entries_of_1e4_is_named(row, factor):
    def wrong(y):
        matrix = chemistry_jac(y)
        matrix[row, 0] *= factor
        return matrix

    finding = check_jacobian(chemistry, wrong, FEED).findings[0]
    assert (finding.verdict, [entry.index for entry in finding.entries]) == (Verdict.WRONG, [(row, 0)])


LATE = np.arange(33) * 10.0


def two_decays(p):
    return p["b1"] + p["b2"] * np.exp(-LATE * p["b4"]) + p["b3"] * np.exp(-LATE * p["b5"])


def two_decays_jac(p):
    e, g = np.exp(-LATE * p["b4"]), np.exp(-LATE * p["b5"])
    return {"b1": np.ones(33), "b2": e, "b3": g, "b4": -p["b2"] * LATE * e, "b5": -p["b3"] * LATE * g}


START = {"b1": 50.0, "b2": 150.0, "b3": -100.0, "b4": 1.0, "b5": 2.0}  # NIST's MGH17


def test_a_column_that_hardly_contributes_is_judged_in_its_own_units():
    assert check_jacobian(two_decays, two_decays_jac, START).verdict is Verdict.CORRECT
    report = check_jacobian(two_decays, lambda p: (j := two_decays_jac(p)) | {"b5": 1.01 * j["b5"]}, START)
    assert report.wrong == {"jacobian by b5"}


def test_all_rows_of_a_single_column_are_no_cause():
    def without_times(p):
        return two_decays_jac(p) | {"b4": -p["b2"] * np.exp(-LATE * p["b4"])}

    report = check_jacobian(two_decays, without_times, START | {"b4": 0.01, "b5": 0.02})
    assert report.wrong == {"jacobian by b4"}
    assert "rows" not in {each.cause for each in report.diagnoses}


def test_a_kink_in_one_row_leaves_the_others_judged():
    def bent(p):
        return np.r_[exponentials(p)[:20], abs(p[0] - FIT[0]) + p[1], exponentials(p)[20:]]

    def jac(p):
        row = np.zeros((1, p.size))
        row[0, :2] = 1
        return np.vstack([exponentials_jac(p)[:20], row, exponentials_jac(p)[20:]])

    report = check_jacobian(bent, jac, FIT)
    assert report.verdict is Verdict.NONSMOOTH
    assert report.findings[0].reason.startswith("row 20: a kink")
    spoilt = check_jacobian(bent, changed(jac, at_index(lambda x: 2 * x, 60, 3)), FIT)
    assert [entry.index for entry in spoilt.findings[0].entries] == [(60, 3)]


def test_a_row_with_a_large_offset_does_not_blur_the_others():
    def hidden(p):
        return exponentials(p) + 1e9 * (np.arange(80) == 20)

    assert check_jacobian(hidden, exponentials_jac, FIT).verdict is Verdict.CORRECT
    report = check_jacobian(hidden, changed(exponentials_jac, at_index(lambda x: x * (1 + 1e-4), 60, 3)), FIT)
    assert [entry.index for entry in report.findings[0].entries] == [(60, 3)]


def test_what_is_no_number_is_wrong_where_it_stands():
    report = report_of("exponentials", at_index(lambda x: np.nan, 17, 3))
    assert report.verdict is Verdict.WRONG
    assert report.findings[0].entries[0].index == (17, 3)
    assert report.diagnoses[0].cause == "non-finite"
    undefined = check_jacobian(np.log, lambda x: np.diag(1 / x), np.array([1.0, -1, 2]))
    assert (undefined.verdict, undefined.findings[0].reason) == (Verdict.UNRESOLVED, "row 1 of f is nan here")


def test_what_changes_from_call_to_call_is_told():
    draws = np.random.default_rng(0)
    noisy = check_jacobian(lambda x: x + draws.standard_normal(3), lambda x: np.eye(3), np.ones(3))
    assert noisy.verdict is Verdict.UNRESOLVED
    assert check_jacobian(lambda x: 1 * x, lambda x: np.eye(3) * draws.random(), np.ones(3)).verdict is Verdict.WRONG


def test_a_declared_structure_is_checked_with_the_matrix_and_alone():
    f, jac, at = SYSTEMS["brusselator"]
    pattern = dense(jac(at)) != 0
    less = pattern.copy()
    less[3, 5], less[10, 50] = False, True
    for given in (jac, None):
        assert check_jacobian(f, given, at, sparsity=sparse.csr_matrix(pattern)).verdict is Verdict.CORRECT
        report = check_jacobian(f, given, at, sparsity=less)
        assert report.wrong == {"sparsity"}
        assert [entry.index for entry in report.findings[-1].entries] == [(3, 5)]
        assert report.diagnoses[0].cause == "outside-pattern"
    assert report.evaluations < 800


def test_bounds_are_kept():
    low, high = np.array([0.0, 0, 1e-3, 2]), np.array([1, np.inf, 5, 2])
    t = np.linspace(0, 3, 20)

    def f(x):
        assert np.all((low <= x) & (x <= high))
        return np.sqrt(x[0] + 0.1) * np.exp(-x[1] * t) + np.log(x[2]) * t * x[3]

    def jac(x):
        assert np.all((low <= x) & (x <= high))
        e, r = np.exp(-x[1] * t), np.sqrt(x[0] + 0.1)
        return np.stack([e / (2 * r), -t * r * e, t * x[3] / x[2], np.log(x[2]) * t], 1)

    at = np.array([0, 0, 0.7, 2])
    report = check_jacobian(f, jac, at, bounds=(low, high))
    assert (report.verdict, report.unchecked) == (Verdict.CORRECT, ("x[3]",))
    spoilt = check_jacobian(f, changed(jac, at_index(lambda x: 1.01 * x, 3, 1)), at, bounds=(low, high))
    assert [entry.index for entry in spoilt.findings[0].entries] == [(3, 1)]


def test_what_only_the_given_dtype_gets_wrong_has_its_cause():
    def jac(x):
        return np.diag(np.cos(x)) * (1.5 if x.dtype == np.float32 else 1)

    at = np.linspace(0.3, 1, 4, dtype=np.float32)
    report = check_jacobian(np.sin, jac, at)
    assert (report.verdict, report.diagnoses[0].cause) == (Verdict.WRONG, "given-dtype")
    assert check_jacobian(np.sin, lambda x: np.diag(np.cos(x)), at).verdict is Verdict.CORRECT


def test_arguments_are_handed_on():
    assert check_jacobian(lambda x, a: a * np.sin(x), lambda x, a: a * np.diag(np.cos(x)), np.ones(3), args=(2.0,))
    assert not check_jacobian(lambda x, a: a * np.sin(x), lambda x, a: np.diag(np.cos(x)), np.ones(3), args=(2.0,))


def five(x):
    return np.ones((5, 3)) @ x


BAD = [
    (np.ones((3, 5)), r"jac returned shape \(3, 5\), expected \(5, 3\): it is the transposed one"),
    (sparse.csr_array(np.ones((3, 5))), r"shape \(3, 5\), expected \(5, 3\): it is the transposed one"),
    (np.ones(15), r"shape \(15,\), expected \(5, 3\): it is flattened"),
    (np.ones((4, 3)), r"shape \(4, 3\), expected \(5, 3\): 1 row short"),
    (np.ones((5, 4)), r"shape \(5, 4\), expected \(5, 3\): 1 column too many"),
    (np.ones((5, 3), complex), "jac returned complex128, expected a matrix of real numbers"),
    (3.0, r"jac returned shape \(\), expected \(5, 3\)"),
    (None, "jac returned None, expected a matrix"),
]


@pytest.mark.parametrize(("returned", "said"), BAD)
def test_what_is_no_such_matrix_is_one_line(returned, said):
    with pytest.raises(DataError, match=said) as refused:
        check_jacobian(five, lambda x: returned, np.ones(3))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("f", "jac", "options", "said"),
    [
        (
            five,
            "2-point",
            {},
            "jac: expected a function or a matrix, got '2-point': finite differences leave nothing to check",
        ),
        (five, None, {}, "there is nothing to check"),
        (five, np.ones((5, 3)), {"sparsity": np.ones((3, 5))}, r"sparsity has shape \(3, 5\), expected \(5, 3\)"),
        (lambda x: np.arange(3), np.eye(3), {}, "f returned an array of int64, expected a floating array"),
        (lambda x: x * 1j, np.eye(3), {}, "f returned complex128"),
    ],
)
def test_what_cannot_be_asked_is_one_line(f, jac, options, said):
    with pytest.raises(DataError, match=said):
        check_jacobian(f, jac, np.ones(3), **options)


def test_a_report_is_rendered_and_reproduced(tmp_path):
    report = gradcheck.check_jacobian(np.sin, np.eye(3), np.linspace(1, 2, 3))
    assert "jacobian of 3 rows and 3 columns" in str(report)
    report.reproducer(tmp_path / "again.py")
    assert "gradcheck.check_jacobian" in (tmp_path / "again.py").read_text()
