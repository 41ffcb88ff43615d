"""`check_jax(kernel, ..., reference=plain)`: kernels at their own precision, and the noise they are judged by."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from jax import lax  # noqa: E402

import gradcheck  # noqa: E402
from gradcheck.adapters.jax.noise import Interpreter  # noqa: E402
from gradcheck.comparison.levels import finest  # noqa: E402
from gradcheck.comparison.noise import Choices, Noise  # noqa: E402
from gradcheck.errors import CallFailed, DataError  # noqa: E402


def drawn(*shapes, dtype=jnp.float32, seed=0):
    random = np.random.default_rng(seed)
    return [jnp.asarray(random.standard_normal(shape), dtype) for shape in shapes]


# Traces of all kinds of primitives, for which nothing but JAX says what is right.
def attention(q, k, v):
    scores = jnp.where(jnp.tril(jnp.ones((len(q), len(k)), bool)), q @ k.T / jnp.sqrt(q.shape[1]), -jnp.inf)
    return jax.nn.softmax(scores, axis=-1) @ v


def convolved(image, kernel):
    out = lax.conv_general_dilated(image[None, None], kernel[None, None], (1, 1), "SAME")
    pooled = lax.reduce_window(jax.nn.relu(out), -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    return pooled, jnp.mean(pooled)


def scanned(x, w):
    def step(carry, row):
        carry = jnp.tanh(w @ carry + row)
        return carry, carry.sum()

    return lax.scan(step, jnp.zeros(w.shape[0]), x)


def branching(x):
    x = lax.cond(x.sum() > 0, jnp.sin, jnp.cos, x)
    return lax.fori_loop(0, 3, lambda _, y: y * 1.1 + x, x)


def indexed(x, table):
    rows = table[jnp.asarray([0, 2, 2, 1])]
    top, _ = lax.top_k(x, 3)
    return rows.sum(0), top, jnp.sort(x)[::2], jnp.cumsum(x), x.at[jnp.asarray([1, 1, 3])].add(2.5 * x[:3])


def solved(a, b):
    spd = a @ a.T + jnp.eye(len(a))
    return jnp.linalg.solve(spd, b), jnp.linalg.slogdet(spd)[1]


@jax.custom_jvp
def softplus(x):
    return jnp.log1p(jnp.exp(x))


softplus.defjvp(lambda primals, tangents: (softplus(*primals), tangents[0] * jax.nn.sigmoid(primals[0])))


@jax.jit
def nested(x):
    return jax.checkpoint(lambda y: jax.nn.gelu(softplus(y)) ** 3 / (1 + y * y))(x), jnp.linalg.norm(x), jnp.prod(x[:3])


TRACES = {
    attention: [(6, 4), (6, 4), (6, 4)],
    convolved: [(8, 8), (3, 3)],
    scanned: [(5, 4), (4, 4)],
    branching: [(6,)],
    indexed: [(7,), (3, 4)],
    solved: [(4, 4), (4,)],
    nested: [(9,)],
}


@pytest.mark.parametrize("function", TRACES, ids=lambda function: function.__name__)
def test_without_noise_a_trace_is_what_it_is_and_with_noise_it_is_off_by_little(function):
    with jax.enable_x64(True):
        args = drawn(*TRACES[function], dtype=jnp.float64)

        def both(*args):
            outputs, pull = jax.vjp(function, *args)
            return outputs, pull(jax.tree.map(jnp.cos, outputs))

        trace = jax.make_jaxpr(both)(*args)
        expected = jax.tree.leaves(jax.jit(both)(*args))
        quiet = Choices()
        found = Interpreter(Noise(), quiet).closed(trace, map(np.asarray, args))
        replayed = Choices(quiet.made)
        noisy = Interpreter(Noise(finest("float32"), 1), replayed).closed(trace, map(np.asarray, args))
    for mine, theirs, off in zip(found, expected, noisy, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-11, atol=1e-12)
        assert np.abs(off - np.asarray(theirs)).max() < 1e-3
    assert sum(bool((off != np.asarray(theirs)).any()) for off, theirs in zip(noisy, expected, strict=True)) > 1
    assert replayed.ended() == 0


def test_what_a_reference_makes_narrower_stays_as_wide_as_it_is():
    def narrow(x):
        return lax.scan(lambda c, row: (c + row, None), jnp.zeros(3, jnp.float32), x.astype(jnp.float32))[0].astype(
            jnp.bfloat16
        )

    with jax.enable_x64(True):
        (x,) = drawn((4, 3), dtype=jnp.float64)
        found = Interpreter(Noise(), Choices()).closed(jax.make_jaxpr(narrow)(x), [np.asarray(x)])
    np.testing.assert_allclose(found[0], np.asarray(x).sum(0), rtol=1e-14)


def test_choices_fall_as_they_do_without_noise_unless_they_are_free():
    def relu_and_largest(x):
        return jnp.where(x > 0, x, 100.0), jnp.argmax(x), lax.top_k(x, 2)[1], jnp.argsort(x), jnp.floor(x)

    x = np.array([1e-9, -1e-9, 2.0, 2.0 + 1e-9, 1.0 - 1e-9])
    with jax.enable_x64(True):
        trace = jax.make_jaxpr(relu_and_largest)(x)
        quiet = Choices()
        expected = Interpreter(Noise(), quiet).closed(trace, [x])
        coarse, moved = finest("float32").louder(100.0), x + 1e-6 * np.random.default_rng(0).standard_normal(5)
        held, free = Choices(quiet.made), Choices(quiet.made, free=True)
        found = Interpreter(Noise(coarse, 2), held).closed(trace, [moved])
        other = Interpreter(Noise(coarse, 2), free).closed(trace, [moved])
    assert [array.tolist() for array in found[1:]] == [array.tolist() for array in expected[1:]]
    assert (found[0] > 50).tolist() == (expected[0] > 50).tolist()
    assert held.ended() > 0
    assert free.ended() > 0
    assert any((mine != theirs).any() for mine, theirs in zip(other[1:], expected[1:], strict=True))


def test_a_pooled_gradient_goes_where_it_goes_without_noise():
    def pooled(x):
        return lax.reduce_window(x, -jnp.inf, lax.max, (2,), (2,), "VALID")

    x = np.array([1.0, 1.0 + 1e-12, 3.0, 2.0])
    with jax.enable_x64(True):
        trace = jax.make_jaxpr(lambda x: jax.vjp(pooled, x)[1](jnp.ones(2))[0])(x)
        quiet = Choices()
        expected = Interpreter(Noise(), quiet).closed(trace, [x])[0]
        held, free = Choices(quiet.made), Choices(quiet.made, free=True)
        moved = x + np.array([1e-9, 0, 0, 0])
        found = Interpreter(Noise(finest("float32"), 0), held).closed(trace, [moved])[0]
        other = Interpreter(Noise(finest("float32"), 0), free).closed(trace, [moved])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(other > 0.5, [True, False, True, False])
    assert held.ended() > 0
    assert free.ended() > 0


# Kernels: written by hand, in float32 inside whatever they are given, and what they are to be.
def layer_norm(x, gain):
    centred = x - x.mean(-1, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * gain


def layer_norm_kernel(forget=1.0, entry=0.0, sign=1.0, cotangent=lambda dy: dy):
    def forward(x, gain):
        wide = x.astype(jnp.float32)
        centred = wide - wide.mean(-1, keepdims=True)
        rstd = lax.rsqrt((centred * centred).mean(-1, keepdims=True) + 1e-5)
        scaled = centred * rstd
        return (scaled * gain.astype(jnp.float32)).astype(x.dtype), (scaled, rstd, gain)

    def backward(kept, dy):
        scaled, rstd, gain = kept
        dy = cotangent(dy.astype(jnp.float32))
        inner = dy * gain.astype(jnp.float32)
        dx = rstd * (inner - inner.mean(-1, keepdims=True) - forget * scaled * (inner * scaled).mean(-1, keepdims=True))
        dx = dx.at[1, 2].multiply(1 + entry)
        return dx.astype(gain.dtype), (sign * dy * scaled).sum(0).astype(gain.dtype)

    @jax.custom_vjp
    def kernel(x, gain):
        return forward(x, gain)[0]

    kernel.defvjp(forward, backward)
    return kernel


def cross_entropy(logits, labels):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1).mean()


def cross_entropy_kernel(scale=1.0, tail=0):
    def forward(logits, labels):
        wide = logits.astype(jnp.float32)
        top = wide.max(1, keepdims=True)
        exponentials = jnp.exp(wide - top)
        total = exponentials[:, : wide.shape[1] - tail].sum(1, keepdims=True)
        picked = jnp.take_along_axis(wide, labels[:, None], 1)
        return (jnp.log(total) + top - picked).mean().astype(logits.dtype), (exponentials / total, labels, logits)

    def backward(kept, dy):
        p, labels, logits = kept
        gradient = (p - jax.nn.one_hot(labels, p.shape[1])) * (dy.astype(jnp.float32) * scale / len(labels))
        return gradient.astype(logits.dtype), None

    @jax.custom_vjp
    def kernel(logits, labels):
        return forward(logits, labels)[0]

    kernel.defvjp(forward, backward)
    return kernel


LABELS = jnp.asarray(np.random.default_rng(5).integers(0, 9, 12))
FAULTS = {
    "term left out": ({"forget": 0.0}, "args.0"),
    "factor": ({"forget": 0.97}, "args.0"),
    "sign": ({"sign": -1.0}, "args.1"),
    "cotangent ignored": ({"cotangent": jnp.ones_like}, "args.1"),
}


FORMATS = (jnp.float32, jnp.bfloat16, pytest.param(jnp.float16, marks=pytest.mark.slow))


@pytest.mark.parametrize("dtype", FORMATS, ids=lambda dtype: dtype.__name__)
def test_honest_kernels_are_correct_in_every_format(dtype):
    args = drawn((6, 33), (33,), dtype=dtype)
    report = gradcheck.check_jax(layer_norm_kernel(), *args, reference=layer_norm, contract=False)
    assert report.verdict == "correct", str(report)
    assert [finding.name for finding in report.findings] == ["output", "args.0", "args.1"]
    (logits,) = drawn((12, 9), dtype=dtype)
    report = gradcheck.check_jax(cross_entropy_kernel(), logits, LABELS, reference=cross_entropy, contract=False)
    assert report.verdict == "correct", str(report)
    assert "args.1" in report.unchecked


@pytest.mark.parametrize(
    ("fault", "block", "dtype"),
    [(*fault, jnp.float32) for fault in FAULTS.values()] + [(*FAULTS["term left out"], jnp.bfloat16)],
    ids=[*FAULTS, "term left out of bfloat16"],
)
def test_faults_of_a_backward_pass_are_wrong_in_every_format(fault, block, dtype):
    args = drawn((6, 33), (33,), dtype=dtype)
    report = gradcheck.check_jax(layer_norm_kernel(**fault), *args, reference=layer_norm, contract=False)
    assert block in report.wrong, str(report)
    assert "output" not in report.wrong


def test_a_compiled_kernel_is_judged_and_asked_about_its_contract():
    def forward(x):
        return jnp.tanh(x), jnp.tanh(x)

    def kernel_of(factor):
        kernel = jax.custom_vjp(jnp.tanh)
        kernel.defvjp(forward, lambda y, dy: (dy * (factor - y * y),))
        return jax.jit(kernel)

    (x,) = drawn((5,))
    assert gradcheck.check_jax(kernel_of(1.0), x, reference=jnp.tanh).verdict == "correct"
    assert gradcheck.check_jax(kernel_of(1.001), x, reference=jnp.tanh).wrong == {"args.0"}


def test_one_entry_off_by_one_in_ten_thousand_is_wrong_in_float32():
    args = drawn((6, 33), (33,))
    report = gradcheck.check_jax(layer_norm_kernel(entry=1e-4), *args, reference=layer_norm, diagnose=False, contract=False)
    assert report.wrong == {"args.0"}
    assert report.findings[1].worst_index == (1, 2)


def test_a_number_has_a_random_cotangent_too_and_the_tail_of_a_sum_is_missed():
    (logits,) = drawn((12, 9))
    scaled = gradcheck.check_jax(cross_entropy_kernel(1.001), logits, LABELS, reference=cross_entropy, contract=False)
    assert scaled.wrong == {"args.0"}
    short = gradcheck.check_jax(cross_entropy_kernel(tail=1), logits, LABELS, reference=cross_entropy, contract=False)
    assert short.wrong == {"args.0", "output"}


def test_outputs_of_a_nesting_have_names_and_nothing_is_left_changed():
    def two(x):
        return {"a": jnp.sin(x), "b": (x * x).sum()}

    x = np.linspace(-1, 1, 5, dtype=np.float32)
    before = jax.config.jax_enable_x64
    report = gradcheck.check_jax(two, x, reference=two)
    assert report.verdict == "correct"
    assert {finding.name for finding in report.findings} == {"output.a", "output.b", "args.0"}
    assert jax.config.jax_enable_x64 == before
    assert jnp.asarray(1.0).dtype == jnp.float32


def test_float64_is_judged_in_float64():
    def off(x):
        return jnp.sin(x) * (1 + 1e-11)

    x = np.linspace(-1, 1, 50)
    assert gradcheck.check_jax(lambda x: jnp.sin(x / 3 + 2 * x / 3), x, reference=jnp.sin).verdict == "correct"
    assert gradcheck.check_jax(off, x, reference=jnp.sin).verdict == "wrong"


def test_a_reference_that_cannot_be_asked_is_one_sentence():
    (x,) = drawn((4,))
    with pytest.raises(DataError, match=r"returns output.0 and output.1, the kernel output"):
        gradcheck.check_jax(jnp.sin, x, reference=lambda x: (x, x))
    with pytest.raises(DataError, match=r"reference: output has shape \(3,\)"):
        gradcheck.check_jax(jnp.sin, x, reference=lambda x: x[1:])
    with pytest.raises(CallFailed, match="ZeroDivisionError"):
        gradcheck.check_jax(jnp.sin, x, reference=lambda x: x * (1 // 0))
    with pytest.raises(DataError, match="modes"):
        gradcheck.check_jax(jnp.sin, x, reference=jnp.sin, modes=("forward",))
