"""Further arguments, several ones, lists of numbers and whole numbers are taken as people mean them, with a note."""

import runpy

import numpy as np
import pytest

from gradcheck import DataError, GradcheckError, Verdict, check

DRAW = np.random.default_rng(0)
X, Y = DRAW.standard_normal((20, 3)), DRAW.standard_normal(20)
W = np.array([1.0, -0.5, 2.0])


def squares(w, data, targets):
    return np.mean((data @ w - targets) ** 2)


def squares_gradient(w, data, targets):
    return 2 * data.T @ (data @ w - targets) / len(targets)


def line(w, b):
    return np.mean((X @ w + b - Y) ** 2)


def line_gradient(w, b):
    r = 2 * (X @ w + b - Y) / len(Y)
    return X.T @ r, r.sum()


def rosenbrock(x):
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def rosenbrock_gradient(x):
    return [-2 * (1 - x[0]) - 400 * x[0] * (x[1] - x[0] ** 2), 200 * (x[1] - x[0] ** 2)]


def test_further_arguments_are_handed_on_and_named():
    report = check(squares, squares_gradient, W, args=(X, Y))
    assert report.verdict is Verdict.CORRECT
    assert report.notes == ("held as they are: data and targets, given by args",)
    assert report.unchecked == ("data", "targets")
    wrong = check(squares, lambda w, data, targets: data.T @ (data @ w - targets) / len(targets), W, args=(X, Y))
    assert [d.cause for d in wrong.diagnoses] == ["factor"]


def test_one_further_argument_needs_no_tuple():
    assert check(lambda x, a: np.sum(a * x**2), lambda x, a: 2 * a * x, W, args=3.0)


def test_one_function_that_returns_both_takes_them_too():
    assert check(value_and_gradient=lambda *p: (squares(*p), squares_gradient(*p)), at=W, args=(X, Y))
    assert check(None, None, W, 0.5, value_and_gradient=lambda w, b: (line(w, b), line_gradient(w, b)))


@pytest.mark.parametrize("returned", [tuple, list])
def test_several_arguments_are_blocks_by_their_names(returned):
    report = check(line, lambda w, b: returned(line_gradient(w, b)), W, 0.5)
    assert report.verdict is Verdict.CORRECT
    assert [finding.name for finding in report.findings] == ["w", "b"]
    assert check(line, lambda w, b: returned([line_gradient(w, b)[0], 0.9 * line_gradient(w, b)[1]]), W, 0.5).wrong == {"b"}


def test_several_arguments_may_be_nestings_and_have_further_ones_behind_them():
    def loss(net, b, data):
        return np.sum((data @ net["w"] + b) ** 2)

    def gradient(net, b, data):
        r = 2 * (data @ net["w"] + b)
        return {"w": data.T @ r}, r.sum()

    report = check(loss, gradient, {"w": W}, 0.5, args=(X,))
    assert [finding.name for finding in report.findings] == ["net.w", "b"]
    assert report.verdict is Verdict.CORRECT


def test_functions_that_name_no_arguments_have_numbers():
    report = check(lambda *p: sum(x**2 for x in p), lambda *p: np.array([2 * x for x in p]), 1.0, 2.0)
    assert [finding.name for finding in report.findings] == ["0", "1"]
    assert report.verdict is Verdict.CORRECT


def test_bounds_of_several_arguments_are_one_for_each():
    assert check(line, line_gradient, W, 0.0, bounds=((-5, 0), (5, None))).verdict is Verdict.CORRECT


NOTED = {
    "a list": ([1.0, 2.0], ["x: a list of numbers, handed on as an array"]),
    "a list of whole numbers": ([-1, 2], ["x: a list of numbers, handed on as an array"]),
    "an array of whole numbers": (np.array([-1, 2]), ["x: ndarray of int64, taken as floating"]),
}


@pytest.mark.parametrize("name", NOTED)
def test_lists_and_whole_numbers_become_floating_with_a_note(name):
    at, notes = NOTED[name]
    report = check(rosenbrock, rosenbrock_gradient, at)
    assert report.verdict is Verdict.CORRECT
    assert [note for note in report.notes if note.startswith("x:")] == notes
    assert not check(rosenbrock, lambda x: [2 * g for g in rosenbrock_gradient(x)], at)


def test_a_nested_list_is_a_matrix_and_a_whole_number_a_floating_one():
    assert check(lambda m: np.sum(m**3), lambda m: (3 * m**2).tolist(), [[1, 2], [3, 4]])
    assert check(lambda x: x**2, lambda x: 2 * x, 3).notes == ("x: int, 3, taken as floating",)
    report = check(lambda p: p["a"] ** 2 * p["b"], lambda p: {"a": 2 * p["a"] * p["b"], "b": p["a"] ** 2}, {"a": 2, "b": 3})
    assert report.verdict is Verdict.CORRECT
    assert len(report.findings) == 2


def test_whole_numbers_beside_floating_ones_stay_what_they_are():
    report = check(lambda w, n: sum(w[:n] ** 3), lambda w, n: ([3 * w[0] ** 2, 3 * w[1] ** 2, 0.0], None), W, 2)
    assert report.verdict is Verdict.CORRECT
    assert report.unchecked == ("n",)


GATHERED = {
    "a list": (W, lambda x: [2 * v for v in x]),
    "a tuple": (W[:2], lambda x: (2 * x[0], 2 * x[1])),
    "rows": (np.ones((2, 3)), lambda x: [2 * row for row in x]),
    "nested lists": (np.ones((2, 3)), lambda x: (2 * x).tolist()),
}


@pytest.mark.parametrize("name", GATHERED)
def test_a_gradient_of_lists_is_one_of_arrays(name):
    at, gradient = GATHERED[name]
    assert check(lambda x: np.sum(x**2), gradient, at)
    assert check(lambda p: np.sum(p["w"] ** 2), lambda p: {"w": gradient(p["w"])}, {"w": at})
    assert check(lambda x: np.sum(x**2), lambda x: gradient(x)[:1], at).findings[0].verdict is Verdict.WRONG


@pytest.mark.parametrize(
    ("gradient", "words"),
    [
        (lambda w, b: line_gradient(w, b)[0], "the gradient returned a value of type ndarray and shape (3,), expected"),
        (lambda w, b: line_gradient(w, b)[:1], "the gradient returned 1 of them, expected a tuple of one each for w and b"),
    ],
)
def test_a_gradient_for_one_of_several_arguments_is_refused(gradient, words):
    with pytest.raises(DataError) as refused:
        check(line, gradient, W, 0.5)
    assert str(refused.value).startswith(words)


def test_the_reproducer_asks_again_with_all_arguments(tmp_path):
    def doubled(w, b, data, targets):
        r = 2 * (data @ w + b - targets) / len(targets)
        return data.T @ r, 2 * r.sum()

    report = check(lambda w, b, data, targets: squares(w, data, targets - b), doubled, W, 0.5, args=(X, Y))
    report.reproducer(tmp_path / "again.py")
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(tmp_path / "again.py"), run_name="__main__")
    assert report.wrong == {"b"}
    assert ended.value.code == 0


def test_a_list_that_is_no_vector_stays_a_nesting():
    report = check(lambda p: np.sum(p[0] ** 2) + p[1], lambda p: [2 * p[0], 1.0], [W, 1.5])
    assert [finding.name for finding in report.findings] == ["0", "1"]
    with pytest.raises(GradcheckError, match="nothing to check"):
        check(lambda x: 1.0, lambda x: x, [])
