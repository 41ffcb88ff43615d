"""`gradcheck.compare`: honest NumPy in float32 is correct, whichever way it is written; planted faults are wrong."""

import ctypes
import shutil
import subprocess
from functools import partial

import numpy as np
import pytest
from scipy import special

import gradcheck
from gradcheck.errors import CallFailed, DataError, DescriptionError


def drawn(seed=0, dtype=np.float32, **shapes):
    random = np.random.default_rng(seed)
    return {name: random.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


# Each of these is a reference, written for clarity, and a candidate, written for speed, with the point that they take.
def layer_norm(at):
    x, gain, dy = np.asarray(at["x"]), at["gain"], at["dy"]
    centred = x - x.mean(axis=1, keepdims=True)
    sigma = np.sqrt(np.var(x, axis=1, keepdims=True) + 1e-5)
    scaled = centred / sigma
    g = dy * gain
    dx = (g - g.mean(1, keepdims=True) - scaled * (g * scaled).mean(1, keepdims=True)) / sigma
    return scaled * gain, dx, (dy * scaled).sum(0)


def fused_layer_norm(at):
    x, gain, dy = at["x"], at["gain"], at["dy"]
    n = x.shape[1]
    mean = x @ np.full(n, 1 / n, x.dtype)
    centred = x - mean[:, None]
    rstd = 1 / np.sqrt(np.einsum("ij,ij->i", centred, centred) / x.dtype.type(n) + x.dtype.type(1e-5))
    scaled = centred * rstd[:, None]
    g = dy * gain
    inner = np.einsum("ij,ij->i", g, scaled) / n
    dx = rstd[:, None] * (g - g.mean(1)[:, None] - scaled * inner.astype(x.dtype)[:, None])
    return scaled * gain, dx, np.einsum("ij,ij->j", dy, scaled)


def cross_entropy(at):
    logits, labels = at["logits"], at["labels"]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    gradient = p.copy()
    gradient[rows, labels] -= 1
    return -np.mean(np.log(p[rows, labels])), {"logits": gradient / len(labels)}


def stable_cross_entropy(at):
    logits, labels = at["logits"], at["labels"]
    top = logits.max(1, keepdims=True)
    lse = top + np.log(np.exp(logits - top).sum(1, keepdims=True))
    hot = np.eye(logits.shape[1], dtype=logits.dtype)[labels]
    value = (lse[:, 0] - (logits * hot).sum(1)).mean()
    return value, {"logits": (np.exp(logits - lse) - hot) / logits.dtype.type(len(labels))}


def convolution(at):
    x, w = at["x"], at["w"]
    rows, columns = x.shape[0] - w.shape[0] + 1, x.shape[1] - w.shape[1] + 1
    out = np.zeros((rows, columns))
    for i in range(rows):
        for j in range(columns):
            out[i, j] = np.sum(x[i : i + w.shape[0], j : j + w.shape[1]] * w)
    return out


def convolution_as_product(at):
    x, w = at["x"], at["w"]
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape)
    return windows.reshape(*windows.shape[:2], -1) @ w.ravel()


def attention(at):
    q, k, v = at["q"], at["k"], at["v"]
    scores = q @ k.T / np.sqrt(q.shape[1])
    scores = np.where(np.tril(np.ones(scores.shape, bool)), scores, -np.inf)
    return special.softmax(scores, axis=-1) @ v


def online_attention(at):
    q, k, v = at["q"], at["k"], at["v"]
    out = np.empty_like(q)
    for i, row in enumerate(q):
        top, total, sums = np.float32(-np.inf), np.float32(0), np.zeros_like(row)
        for j in range(i + 1):
            score = row @ k[j] / q.dtype.type(np.sqrt(q.shape[1]))
            higher = max(top, score)
            total = total * np.exp(top - higher) + np.exp(score - higher)
            sums = sums * np.exp(top - higher) + np.exp(score - higher) * v[j]
            top = higher
        out[i] = sums / total
    return out


def logistic_regression(at):
    w, x, y = at["w"], at["x"], at["y"]
    margins = y * (x @ w)
    value = np.log1p(np.exp(-margins)).mean() + 0.05 * np.linalg.norm(w) ** 2
    return value, -(y / (1 + np.exp(margins))) @ x / len(y) + 0.1 * w


def fused_logistic_regression(at):
    w, x, y = at["w"], at["x"], at["y"]
    margins = y * np.dot(x, w)
    value = np.logaddexp(0, -margins).sum() / np.float32(len(y)) + np.float32(0.05) * (w * w).sum()
    return value, x.T @ (-y * special.expit(-margins)) / np.float32(len(y)) + np.float32(0.1) * w


def recurrent(at):
    x, w, u = at["x"], at["w"], at["u"]
    states = [np.zeros(u.shape[0])]
    for step in x:
        states.append(np.tanh(w @ step + u @ states[-1]))
    back, dw, du = np.ones(u.shape[0]), np.zeros_like(w), np.zeros_like(u)
    for t in reversed(range(len(x))):
        local = back * (1 - states[t + 1] ** 2)
        dw += np.outer(local, x[t])
        du += np.outer(local, states[t])
        back = u.T @ local
    return states[-1], {"w": dw, "u": du}


def recurrent_at_once(at):
    x, w, u = at["x"], at["w"], at["u"]
    inputs, states = x @ w.T, np.zeros((len(x) + 1, u.shape[0]), x.dtype)
    for t in range(len(x)):
        states[t + 1] = np.tanh(inputs[t] + u @ states[t])
    back, local = np.ones(u.shape[0], x.dtype), np.empty_like(states[1:])
    for t in range(len(x) - 1, -1, -1):
        local[t] = back * (1 - states[t + 1]) * (1 + states[t + 1])
        back = local[t] @ u
    return states[-1], {"w": local.T @ x, "u": local.T @ states[:-1]}


def distances(at):
    x, centres = at["x"], at["centres"]
    squared = ((x[:, None, :] - centres[None]) ** 2).sum(-1)
    nearest = squared.argmin(1)
    sums = np.zeros_like(centres)
    np.add.at(sums, nearest, x)
    return squared.min(1).mean(), 2 * (np.bincount(nearest, minlength=len(centres))[:, None] * centres - sums) / len(x)


def fused_distances(at):
    x, centres = at["x"], at["centres"]
    squared = np.stack([np.einsum("ij,ij->i", x - c, x - c) for c in centres], 1)
    hot = (squared == squared.min(1, keepdims=True)).astype(x.dtype)
    gradient = 2 * (hot.sum(0)[:, None] * centres - hot.T @ x) / np.float32(len(x))
    return (squared * hot).sum() / np.float32(len(x)), gradient


def relu_network(at):
    x, a, b = at["x"], at["a"], at["b"]
    hidden = np.maximum(x @ a, 0)
    error = hidden @ b - 1
    back = np.outer(error, b) * (hidden > 0)
    return 0.5 * np.sum(error**2), {"a": x.T @ back, "b": hidden.T @ error}


def relu_by_sample(at):
    x, a, b = at["x"], at["a"], at["b"]
    value, da, db = x.dtype.type(0), np.zeros_like(a), np.zeros_like(b)
    for row in x:
        hidden = row @ a
        hidden *= hidden > 0
        error = hidden @ b - 1
        value += error * error / 2
        da += np.outer(row, error * b * (hidden > 0))
        db += error * hidden
    return value, {"a": da, "b": db}


def gelu(x):
    return x * 0.5 * (1 + special.erf(x / np.sqrt(2)))


def gelu_by_ndtr(x):
    return x * special.ndtr(x)


def log_determinant(a):
    spd = a @ a.T + np.eye(len(a))
    return np.log(np.linalg.det(spd)), 2 * np.linalg.inv(spd) @ a


def log_determinant_by_cholesky(a):
    spd = a @ a.T + np.eye(len(a), dtype=a.dtype)
    return 2 * np.log(np.diag(np.linalg.cholesky(spd))).sum(), 2 * np.linalg.solve(spd, a)


def cumulated(x):
    return np.cumsum(np.log1p(x * x))[::-1], np.diff(x), np.convolve(x, x[:5], "valid"), np.std(x)


def cumulated_in_a_loop(x):
    total, sums = x.dtype.type(0), []
    for entry in x:
        total += np.log1p(entry * entry)
        sums.append(total)
    filtered = np.array([x[i : i + 5] @ x[4::-1] for i in range(len(x) - 4)])
    return np.array(sums[::-1]), x[1:] - x[:-1], filtered, np.sqrt(((x - x.mean()) ** 2).mean())


def pooled(x):
    tiles = x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2)
    return tiles.max(axis=(1, 3)), np.sort(x, axis=1)[:, -3:] * 3.1, np.clip(x, -1, 1) * x


def pooled_by_hand(x):
    tiles = np.maximum(np.maximum(x[::2, ::2], x[1::2, ::2]), np.maximum(x[::2, 1::2], x[1::2, 1::2]))
    top = np.take_along_axis(x, np.argsort(x, axis=1)[:, -3:], 1)
    return tiles, top * np.float32(3.1), np.minimum(np.maximum(x, -1), 1) * x


def mixture(at):
    x, mean, log_scale = at["x"], at["mean"], at["log_scale"]
    z = (x[:, None] - mean) / np.exp(log_scale)
    return special.logsumexp(-0.5 * z**2 - log_scale, axis=1)


def mixture_by_shift(at):
    x, mean, log_scale = at["x"], at["mean"], at["log_scale"]
    z = (x[:, None] - mean) * np.exp(-log_scale)
    terms = -0.5 * z * z - log_scale
    top = terms.max(1)
    return top + np.log(np.exp(terms - top[:, None]).sum(1))


def rms_norm_scan(x):
    return x / np.sqrt(np.mean(np.square(x), -1, keepdims=True) + 1e-6), np.linalg.norm(x, axis=0), np.trace(x[:5, :5])


def rms_norm_by_einsum(x):
    rms = np.einsum("ij,ij->i", x, x) / np.float32(x.shape[1])
    norms = np.sqrt((x * x).sum(0))
    return x * (1 / np.sqrt(rms + np.float32(1e-6)))[:, None], norms, sum(x[i, i] for i in range(5))


LABELS = np.random.default_rng(3).integers(0, 12, 20)
SIGNS = np.random.default_rng(4).choice([-1, 1], 40)
WAYS = [
    (layer_norm, fused_layer_norm, drawn(x=(12, 33), gain=33, dy=(12, 33))),
    (cross_entropy, stable_cross_entropy, {**drawn(logits=(20, 12)), "labels": LABELS}),
    (convolution, convolution_as_product, drawn(x=(12, 11), w=(3, 4))),
    (attention, online_attention, drawn(q=(9, 8), k=(9, 8), v=(9, 8))),
    (logistic_regression, fused_logistic_regression, {**drawn(w=7, x=(40, 7)), "y": SIGNS.astype(np.float32)}),
    (recurrent, recurrent_at_once, drawn(x=(8, 5), w=(6, 5), u=(6, 6))),
    (distances, fused_distances, drawn(x=(40, 5), centres=(6, 5))),
    (relu_network, relu_by_sample, drawn(x=(15, 6), a=(6, 9), b=9)),
    (gelu, gelu_by_ndtr, drawn(x=200)["x"]),
    (log_determinant, log_determinant_by_cholesky, drawn(a=(8, 8))["a"]),
    (cumulated, cumulated_in_a_loop, drawn(x=50)["x"]),
    (pooled, pooled_by_hand, drawn(x=(8, 10))["x"]),
    (mixture, mixture_by_shift, drawn(x=30, mean=4, log_scale=4)),
    (rms_norm_scan, rms_norm_by_einsum, drawn(x=(10, 24))["x"]),
]


@pytest.mark.parametrize(("one", "other", "at"), WAYS, ids=lambda way: getattr(way, "__name__", ""))
def test_two_honest_ways_are_each_other(one, other, at):
    report = gradcheck.compare(other, one, at)
    assert report.verdict == "correct", str(report)
    assert max(finding.resolution for finding in report.findings) < 5e-5


SLOW_AS_REFERENCES = ("online_attention", "cumulated_in_a_loop", "relu_by_sample")


@pytest.mark.parametrize(
    ("one", "other", "at"),
    [way for way in WAYS if way[1].__name__ not in SLOW_AS_REFERENCES],
    ids=lambda way: getattr(way, "__name__", ""),
)
def test_what_is_written_for_speed_is_as_good_a_reference(one, other, at):
    assert gradcheck.compare(one, other, at).verdict == "correct"


def one_entry(arrays):
    flat = max(arrays, key=np.size).reshape(-1)
    flat[np.argmax(np.abs(flat))] *= np.float32(1 + 1e-4)


def sign(arrays):
    arrays[-1][...] *= -1


def factor(arrays):
    arrays[-1][...] *= np.float32(1.0003)


def dropped(arrays):
    arrays[-1].reshape(-1)[-1] = 0


def leaves_of(found):
    parts = found if isinstance(found, tuple) else (found,)
    return [leaf for part in parts for leaf in (part.values() if isinstance(part, dict) else [part])]


@pytest.mark.parametrize("fault", [one_entry, sign, factor, dropped], ids=lambda fault: fault.__name__)
def test_planted_faults_are_wrong_in_all_of_them(fault):
    for one, other, at in WAYS:

        def faulty(point, honest=other):
            found = honest(point)
            arrays = [np.array(leaf) for leaf in leaves_of(found)]
            fault(arrays)
            renewed = iter(arrays)
            parts = found if isinstance(found, tuple) else (found,)
            new = tuple(
                {name: next(renewed) for name in part} if isinstance(part, dict) else next(renewed) for part in parts
            )
            return new if isinstance(found, tuple) else new[0]

        report = gradcheck.compare(faulty, one, at, diagnose=False)
        assert report.verdict == "wrong", f"{one.__name__}: {report}"
        assert len(report.wrong) == 1


def test_float16_and_float64_are_judged_at_their_own_precision():
    for dtype, small in ((np.float16, 3e-2), (np.float64, 1e-11)):
        at = drawn(x=30, mean=4, log_scale=4, dtype=dtype)
        assert gradcheck.compare(mixture_by_shift, mixture, at).verdict == "correct"
        x = drawn(x=(6, 8), dtype=dtype)["x"]

        def off(x, small=small):
            return x.dtype.type(1 + small) * np.tanh(x)

        assert gradcheck.compare(off, np.tanh, x).verdict == "wrong"


def test_float16_with_float32_inside_and_without_is_correct():
    def softmax(x):
        return np.exp(x) / np.exp(x).sum(-1, keepdims=True)

    def fused(x):
        return softmax(x.astype(np.float32)).astype(np.float16)

    x = drawn(x=(6, 40), dtype=np.float16)["x"]
    assert gradcheck.compare(fused, softmax, x).verdict == "correct"
    assert gradcheck.compare(softmax, softmax, x).verdict == "correct"
    assert gradcheck.compare(lambda x: fused(x * np.float16(1.05)), softmax, x).verdict == "wrong"


def test_what_has_another_structure_is_wrong_in_one_sentence():
    x = drawn(x=4)["x"]
    missing = gradcheck.compare(lambda x: (x,), lambda x: (x * 1.5, x), x)
    assert missing.wrong == {"output.1", "output.0"}
    assert missing.findings[1].reason == "is missing"
    shaped = gradcheck.compare(lambda x: x[1:], lambda x: x, x)
    assert shaped.findings[0].reason == "has shape (3,), expected (4,)"
    besides = gradcheck.compare(lambda x: {"a": x, "b": x}, lambda x: {"a": x}, x)
    assert besides.verdict == "correct"
    assert besides.unchecked == ("output.b",)


def test_blocks_of_a_value_and_gradients_have_the_names_of_the_point():
    def value_and_gradients(at):
        return (at["w"] ** 2).sum(), {"w": 2 * at["w"]}

    report = gradcheck.compare(value_and_gradients, value_and_gradients, {"w": drawn(w=3)["w"], "n": 4})
    assert [finding.name for finding in report.findings] == ["value", "w"]
    assert report.unchecked == ("n",)


def test_numbers_of_python_follow_the_arrays():
    def scaled(at):
        return at["x"] * at["rate"] / 3

    at = {"x": drawn(x=20)["x"], "rate": 0.1}
    assert gradcheck.compare(lambda at: at["x"] * (at["rate"] / 3), scaled, at).verdict == "correct"
    assert gradcheck.compare(lambda at: at["x"] * (at["rate"] / 3 + 1e-6), scaled, at).verdict == "wrong"


def test_an_approximation_on_purpose_is_inexact_within_its_accuracy():
    def approximate(x):
        return np.exp(x) * np.float32(1 + 1e-4)

    x = drawn(x=30)["x"]
    assert gradcheck.compare(approximate, np.exp, x).verdict == "wrong"
    assert gradcheck.compare(approximate, np.exp, x, accuracy=1e-3).verdict == "inexact"


def test_a_choice_within_rounding_is_no_error():
    def largest(x):
        return (x == x.max()).astype(x.dtype) * 2.5

    x = np.array([1.0, 3.0, 2.0], np.float32)
    assert gradcheck.compare(lambda x: 2.5 * np.eye(3, dtype=x.dtype)[np.argmax(x)], largest, x).verdict == "correct"
    assert gradcheck.compare(lambda x: 2.5 * np.eye(3, dtype=x.dtype)[np.argmin(x)], largest, x).verdict == "wrong"
    near = np.array([1.0, 3.0, np.nextafter(np.float32(3), np.float32(0))], np.float32)
    turned = gradcheck.compare(lambda x: 2.5 * np.eye(3, dtype=x.dtype)[2], largest, near)
    assert turned.verdict == "nonsmooth", str(turned)


C = """
void softmax(const float *x, float *out, int n, int last) {
    float top = x[0], total = 0;
    for (int i = 1; i < n; i++) if (x[i] > top) top = x[i];
    for (int i = 0; i < n; i++) { out[i] = __builtin_expf(x[i] - top); if (i < last) total += out[i]; }
    for (int i = 0; i < n; i++) out[i] /= total;
}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_a_function_of_c_is_called_with_plain_arrays(tmp_path):
    (tmp_path / "softmax.c").write_text(C)
    library = tmp_path / "softmax.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", tmp_path / "softmax.c", "-o", library, "-lm"], check=True)
    compiled = ctypes.CDLL(str(library)).softmax
    pointer = np.ctypeslib.ndpointer(np.float32, flags="C_CONTIGUOUS")
    compiled.argtypes, compiled.restype = [pointer, pointer, ctypes.c_int, ctypes.c_int], None

    def softmax(x, last=0):
        out = np.empty_like(x)
        compiled(x, out, len(x), len(x) - last)
        return out

    x = drawn(x=65)["x"]
    assert gradcheck.compare(softmax, special.softmax, x).verdict == "correct"
    assert gradcheck.compare(partial(softmax, last=1), special.softmax, x).verdict == "wrong"


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_reference_that_leaves_numpy_is_one_operation_and_that_is_said():
    def through_lists(x):
        return np.array([[float(entry) * 3 for entry in row] for row in x.tolist()])

    report = gradcheck.compare(lambda x: x * 3, through_lists, drawn(x=(3, 4))["x"])
    assert report.verdict == "correct"
    x = np.matrix(drawn(x=(3, 3))["x"])
    matrix = gradcheck.compare(lambda m: m * m, lambda m: m * m, x)
    assert matrix.verdict == "correct"
    assert any("judged as one" in note for note in matrix.notes)
    assert gradcheck.compare(lambda m: m * m, lambda m: np.multiply(m, m), x).verdict == "wrong"


def test_a_reference_that_knows_no_float64_is_asked_in_float32():
    def narrow(x):
        if x.dtype != np.float32:
            raise TypeError("float32 only")
        return np.exp(x) / np.exp(x).sum()

    def stable(x, drop=0):
        e = np.exp(x - x.max())
        return e / e[drop:].sum()

    x = drawn(x=30)["x"]
    report = gradcheck.compare(stable, narrow, x)
    assert report.verdict == "correct"
    assert any("no float64 path" in note for note in report.notes)
    assert gradcheck.compare(partial(stable, drop=1), narrow, x).verdict == "wrong"


def test_arrays_of_jax_are_taken_and_returned():
    jnp = pytest.importorskip("jax.numpy")
    x = jnp.asarray(drawn(x=(4, 5))["x"])
    assert gradcheck.compare(lambda x: jnp.tanh(x), np.tanh, x).verdict == "correct"
    assert gradcheck.compare(lambda x: jnp.tanh(x).at[0, 0].add(1e-4), np.tanh, x).verdict == "wrong"
    half = x.astype(jnp.bfloat16)
    assert gradcheck.compare(lambda x: jnp.tanh(x), np.tanh, half).verdict == "correct"
    assert gradcheck.compare(lambda x: jnp.tanh(x * 1.1), np.tanh, half).verdict == "wrong"


def test_arguments_are_copies_and_stay_what_they_are():
    def careless(x):
        x *= 2
        return x

    x = drawn(x=5)["x"]
    before = x.copy()
    assert gradcheck.compare(careless, lambda x: 2 * x, x).verdict == "correct"
    np.testing.assert_array_equal(x, before)


def test_what_cannot_be_asked_is_one_sentence():
    x = drawn(x=5)["x"]
    with pytest.raises(DescriptionError, match=r"reference: expected a function, got 3"):
        gradcheck.compare(np.exp, 3, x)
    with pytest.raises(DataError, match=r"at: nothing to check"):
        gradcheck.compare(np.exp, np.exp, 3)
    with pytest.raises(DataError, match=r"returned no floating array"):
        gradcheck.compare(np.exp, lambda x: None, x)
    with pytest.raises(CallFailed, match=r"broken raised ZeroDivisionError"):
        gradcheck.compare(np.exp, broken, x)
    with pytest.raises(CallFailed, match=r"broken raised ZeroDivisionError"):
        gradcheck.compare(broken, np.exp, x)


def broken(x):
    return x * (1 // 0)


def test_the_fixture_asserts(gradcheck):
    from gradcheck.errors import GradientMismatch

    x = drawn(x=5)["x"]
    assert gradcheck.compare(lambda x: x + x, lambda x: 2 * x, x)
    with pytest.raises(GradientMismatch):
        gradcheck.compare(lambda x: x + x, lambda x: 3 * x, x)
