"""NumPy under noise: it is off as a level has it, its choices are replayed, and else it is an ndarray."""

import threading

import numpy as np
import pytest
from scipy import special

from gradcheck.comparison.levels import every_operation, finest
from gradcheck.comparison.noise import Choices, Noise
from gradcheck.comparison.shaken.arrays import ShakenArray, shaken
from gradcheck.comparison.shaken.made import MadeShaken
from gradcheck.comparison.shaken.running import NAMES, Run, during

LEVEL = finest("float32")
U = LEVEL.unit
X = np.random.default_rng(0).standard_normal((6, 7)) + 3.0
V = np.random.default_rng(1).standard_normal(7) - 2.0
INDEX = np.array([0, 1, 1, 2, 2, 2])


def run(function, *arrays, level=None, seed=0, before=None, free=False):
    """What a function returns of arrays under noise, and its choices."""
    one = Run(Noise(level, seed), Choices(before, free=free))
    with MadeShaken(), during(one):
        found = function(*(shaken(np.array(array)) for array in arrays))
    return found, one.choices


def buffered(x):
    out = np.zeros((2, 3))
    for i in range(2):
        for j in range(3):
            out[i, j] = x[i, j] * x[j, i]
    out += 1.5
    return out * 2


def added_at(x):
    out = np.zeros((3, x.shape[1]))
    np.add.at(out, INDEX, x)
    return out


def in_place(x):
    y = x.copy()
    y *= 1.1
    y[1:, ::2] -= x[:-1, ::2]
    np.exp(y, out=y)
    return y


def aliased_number(x):
    total = x[0, 0]
    first = total
    total += x[0, 1]
    return first * 1.5 + total


# One operation of each kind; the second number is how many roundoffs the largest error may be, about, and at least a tenth.
OPERATIONS = {
    "product": (lambda x, v: x * v, 1),
    "exp": (lambda x, v: np.exp(-x), 1),
    "special": (lambda x, v: special.gammaln(x * x + 1), 60),
    "sum": (lambda x, v: x.sum(1), 3),
    "np.sum": (lambda x, v: np.sum(x, axis=(0, 1)), 6),
    "mean": (lambda x, v: np.mean(x, 0, keepdims=True), 4),
    "var": (lambda x, v: np.var(x, axis=1), 20),
    "std": (lambda x, v: x.std(), 20),
    "norm": (lambda x, v: np.linalg.norm(x, axis=1), 8),
    "matmul": (lambda x, v: x @ v, 8),
    "dot": (lambda x, v: x.dot(v), 8),
    "inner": (lambda x, v: np.inner(x, v), 8),
    "einsum": (lambda x, v: np.einsum("ij,j->i", x, v), 8),
    "tensordot": (lambda x, v: np.tensordot(x, v, 1), 8),
    "outer": (lambda x, v: np.outer(v, v), 1),
    "cumsum": (lambda x, v: np.cumsum(x, 1), 6),
    "method cumsum": (lambda x, v: x.cumsum(0), 6),
    "reduceat": (lambda x, v: np.add.reduceat(x, [0, 3], axis=1), 6),
    "add.at": (lambda x, v: added_at(x), 6),
    "prod": (lambda x, v: np.prod(x, 1), 6),
    "convolve": (lambda x, v: np.convolve(x[0] * 1.0, -v), 8),
    "trace": (lambda x, v: np.trace(x), 6),
    "average": (lambda x, v: np.average(x, axis=1, weights=-v), 10),
    "solve": (lambda x, v: np.linalg.solve(x[:, :6] @ x[:, :6].T + 20 * np.eye(6), x[:, 0]), 300),
    "logaddexp": (lambda x, v: np.logaddexp.reduce(x, axis=1), 6),
    "logsumexp": (lambda x, v: special.logsumexp(x, axis=1), 12),
    "builtin sum": (lambda x, v: sum(entry * entry for entry in v), 12),
    "asarray": (lambda x, v: np.asarray(x, dtype=np.float32) * 3, 1),
    "array of numbers": (lambda x, v: np.array([entry * 1.5 for entry in v]) * 2.5, 3),
    "astype": (lambda x, v: x.astype(np.float32) * 3, 1),
    "buffer": (lambda x, v: buffered(x), 6),
    "in place": (lambda x, v: in_place(x), 40),
    "number": (lambda x, v: aliased_number(x), 6),
    "where": (lambda x, v: np.where(x > 3, x * 2.1, 5.0), 1),
    "interpolated": (lambda x, v: np.interp(x[0], np.arange(9.0), np.arange(9.0) ** 2), 30),
    "median": (lambda x, v: np.median(x * 1.1, axis=1), 3),
}


@pytest.mark.parametrize(("function", "times"), OPERATIONS.values(), ids=OPERATIONS)
def test_operations_are_off_as_the_level_has_it(function, times):
    plain = np.asarray(function(X.copy(), V.copy()), np.float64)
    quiet, choices = run(function, X, V)
    np.testing.assert_allclose(np.asarray(quiet), plain, rtol=1e-6 if "float32" in str(plain.dtype) else 2e-7)
    assert isinstance(quiet, ShakenArray)
    errors = []
    for seed in range(4):
        found, replayed = run(function, X, V, level=LEVEL, seed=seed, before=choices.made)
        errors.append(np.max(np.abs(np.asarray(found) / np.asarray(quiet) - 1)))
        assert replayed.ended() == 0
    assert 0.1 * U < max(errors) < times * U


EXACT = {
    "reshape": lambda x: x.reshape(7, 6).T[::2].copy(),
    "stacked": lambda x: np.concatenate([np.stack([x, x]), np.zeros((1, 6, 7))]),
    "sorted": lambda x: np.sort(x, axis=1),
    "rolled": lambda x: np.roll(np.pad(x, 1), 2),
    "larger": lambda x: np.maximum(x, 3.0),
    "largest": lambda x: x.max(axis=(0, 1)),
    "clipped": lambda x: np.clip(x, 2.5, 3.5),
    "absolute": lambda x: np.abs(-x),
    "picked": lambda x: np.take_along_axis(x, np.argsort(x, 1), 1)[np.arange(6), x.argmax(1)],
    "masked": lambda x: x[x > 3],
    "negative": lambda x: -x,
    "diagonal": lambda x: np.diag(np.tril(x[:6, :6])),
    "zeros": lambda x: x * 0.0,
    "summed of one": lambda x: x[:, :1].sum(1) * 0,
}


@pytest.mark.parametrize("function", EXACT.values(), ids=EXACT)
def test_copies_choices_and_zeros_are_exact(function):
    found, _ = run(function, X, level=LEVEL)
    assert isinstance(found, ShakenArray)
    np.testing.assert_array_equal(np.asarray(found), function(X.copy()))


NEAR = np.array([1.0, 1.0 + 1e-9, -1e-9, 2.0 - 1e-9])
CHOICES = {
    "compared": lambda x: x > 1,
    "argmax": lambda x: np.argmax(x[:2]),
    "argsort": lambda x: x.argsort(),
    "sign": lambda x: np.sign(x),
    "floor": lambda x: np.floor(x),
    "rounded to whole numbers": lambda x: x.astype(int),
    "searched": lambda x: np.searchsorted([1.0, 2.0], x),
    "numbers compared": lambda x: x[0] < x[1],
    "branch": lambda x: np.asarray(3.0 if x[0] >= x[1] else 4.0),
    "nonzero": lambda x: np.flatnonzero(x > 1),
    "unique": lambda x: np.unique(x, return_inverse=True)[1],
}


@pytest.mark.parametrize("function", CHOICES.values(), ids=CHOICES)
def test_choices_are_replayed_and_counted_unless_they_are_free(function):
    quiet, choices = run(function, NEAR)
    flipped = 0
    for seed in range(6):
        moved = NEAR + 1e-6 * np.random.default_rng(seed).standard_normal(4)
        held, replayed = run(function, moved, level=LEVEL, seed=seed, before=choices.made)
        other, free = run(function, moved, level=LEVEL, seed=seed, before=choices.made, free=True)
        np.testing.assert_array_equal(np.asarray(held), np.asarray(quiet))
        assert (free.ended() > 0) == (replayed.ended() > 0)
        flipped += np.shape(other) != np.shape(quiet) or bool(np.any(np.asarray(other) != np.asarray(quiet)))
    assert flipped > 0


def test_another_path_is_a_flip():
    def ragged(x):
        return x[0] > 0 if float(x[0]) > 0 else (x > 0, x > 1)

    _, choices = run(ragged, np.array([1e-9, 1.0]))
    _, other = run(ragged, np.array([-1e-9, 1.0]), before=choices.made)
    assert other.ended() > 0


def test_one_seed_is_one_noise_whatever_becomes_of_choices():
    def two(x):
        picked = x[x > 1.0]
        return picked.sum() * 0, x * 1.5

    _, choices = run(two, NEAR)
    held = run(two, NEAR, level=LEVEL, seed=3, before=choices.made)[0][1]
    other = run(two, NEAR - np.array([0, 1e-8, 0, 0]), level=LEVEL, seed=3, before=choices.made, free=True)[0][1]
    np.testing.assert_allclose(np.asarray(held), np.asarray(other), rtol=1e-7, atol=1e-7)
    assert abs((held[3] - other[3]).item()) < 1e-15
    assert (held != run(two, NEAR, level=LEVEL, seed=4)[0][1]).any()


def test_a_coarse_format_overflows_and_its_sums_are_finer_than_its_results():
    every = every_operation("float16")
    assert np.isinf(np.asarray(run(lambda x: x * 1e5, np.ones(3), level=every)[0])).all()
    errors = np.abs(np.asarray(run(lambda x: x.cumsum(), np.ones(50), level=every)[0]) / np.arange(1, 51) - 1)
    assert errors.max() < 1.1 * every.unit


def test_it_is_an_array_where_nothing_runs_and_numpy_is_what_it_was():
    own = {name: getattr(np, name) for name in NAMES}
    found, _ = run(lambda x: x + 1, X, level=LEVEL)
    assert all(getattr(np, name) is function for name, function in own.items())
    np.testing.assert_array_equal(found * 2, np.asarray(found) * 2)
    with pytest.raises(ZeroDivisionError):
        run(lambda x: 1 // 0, X)
    assert all(getattr(np, name) is function for name, function in own.items())


def test_other_threads_make_plain_arrays_meanwhile():
    made = []

    def asks(x):
        thread = threading.Thread(target=lambda: made.append(np.zeros(3)))
        thread.start()
        thread.join()
        return np.zeros(3)

    assert type(run(asks, X)[0]) is ShakenArray
    assert type(made[0]) is np.ndarray
