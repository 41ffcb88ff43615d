"""JAX as people use it: keywords and static arguments, modules, keys, functions that insist on float32, loops, modes."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest

import gradcheck
from gradcheck import Verdict, check_jax

jax = pytest.importorskip("jax")
jnp, lax, Partial = jax.numpy, jax.lax, jax.tree_util.Partial

X = np.random.default_rng(0).normal(size=3).astype("float32")
KEY = jax.random.key(0)


def sine(factor=1.0):
    """With this factor on its gradient."""
    f = jax.custom_vjp(jnp.sin)
    f.defvjp(lambda x: (jnp.sin(x), x), lambda x, c: (factor * c * jnp.cos(x),))
    return f


@partial(jax.tree_util.register_dataclass, data_fields=["w", "act"], meta_fields=["power"])
@dataclass
class Layer:
    w: Any
    act: Any
    power: int = 2


@dataclass
class Plain:
    """In no registry."""

    w: Any
    name: str = "sine"


def with_static_numbers(f):
    @partial(jax.jit, static_argnums=1, static_argnames=("kind",))
    def static(x, n, *, kind):
        assert isinstance(n, int)
        return f(x) ** n if kind == "power" else x

    return static


def asserts_float32(f):
    def strict(x):
        assert x.dtype == jnp.float32
        return f(x)

    return strict


HABITS = {
    "keywords": (lambda f: lambda x, s, mask: jnp.where(mask, f(s) * x, 0), (X,), {"s": X, "mask": X > 0}, "kwargs.s"),
    "static arguments": (with_static_numbers, (X, 3), {"kind": "power"}, "args.0"),
    "a registered dataclass": (lambda f: lambda p, x: f(p.w) ** p.power * x, (Layer(X, None), X), {}, "args.0.w"),
    "a plain dataclass": (lambda f: lambda p, x: f(p.w) * x if p.name == "sine" else x, (Plain(X), X), {}, "args.0.w"),
    "Partial": (lambda f: lambda p, x: p(x), lambda f: (Partial(lambda w, x: f(w) * x, X), X), {}, "args.0.0.0"),
    "switches": (lambda f: lambda x, *s: f(x) if s == (jnp.cos, "a", None) else x, (X, jnp.cos, "a", None), {}, "args.0"),
    "its own dtype": (lambda f: lambda x, dtype: f(x).astype(dtype), (X,), {"dtype": jnp.float32}, "args.0"),
    "a key": (lambda f: lambda x, key: f(x) * jax.random.normal(key, (3,)), (X, KEY), {}, "args.0"),
    "insists": (asserts_float32, (X,), {}, "args.0"),
    "no mixing": (lambda f: lambda x: f(lax.add(x, jnp.ones(3, jnp.float32))), (X,), {}, "args.0"),
    "a silent cast": (lambda f: lambda x: f(x.astype(jnp.float32)), (X,), {}, "args.0"),
    "bfloat16": (lambda f: f, (jnp.asarray(X, "bfloat16"),), {}, "args.0"),
    "transformed": (lambda f: jax.checkpoint(lambda x: lax.cond(x[0] > 9, jnp.cos, jax.vmap(f), x)), (X,), {}, "args.0"),
    "a gradient inside": (lambda f: lambda x: jax.grad(lambda y: jnp.sum(y**3))(x) * f(x), (X,), {}, "args.0"),
}  # fmt: skip


@pytest.mark.parametrize(("around", "args", "kwargs", "block"), HABITS.values(), ids=HABITS)
def test_a_mistake_is_found_in_every_habit_and_the_right_twin_is_correct(around, args, kwargs, block):
    for factor, wrong in ((1.0, set()), (1.25, {block})):
        f = sine(factor)
        report = check_jax(around(f), *(args(f) if callable(args) else args), modes="reverse", contract=False, **kwargs)
        assert report.wrong == wrong, str(report)
        assert report.verdict is (Verdict.WRONG if wrong else Verdict.CORRECT), str(report)


def test_what_is_handed_on_is_named():
    report = check_jax(lambda x, n, key, old: x**n, X, 2, KEY, jax.random.PRNGKey(0), modes="reverse")
    assert report.unchecked == ("args.1", "args.2", "args.3")


def test_a_function_that_insists_on_float32_is_judged_there_and_says_why():
    report = check_jax(asserts_float32(jnp.sin), X, modes="reverse")
    assert any("judged in float32, as given: in float64 strict raised AssertionError" in note for note in report.notes)
    with pytest.raises(gradcheck.CallFailed, match=r"dtype='float64'"):
        check_jax(asserts_float32(jnp.sin), X, dtype="float64")


def test_a_function_that_counts_in_32_bits_is_judged_under_the_setting_of_its_user():
    """Under 64 bits its counter has another dtype in every step."""

    def counting(x):
        return lax.scan(lambda carry, row: ((carry[0] + 1, carry[1] * row), None), (jnp.int32(0), x[0]), x)[0][1]

    def refuses_wide_counters(x):
        assert jnp.asarray(1).dtype == jnp.int32
        return counting(x)

    report = check_jax(refuses_wide_counters, X, modes="reverse")
    assert report.verdict is Verdict.CORRECT, str(report)
    assert not jax.config.read("jax_enable_x64")


def unbounded(factor):
    """Differentiable in forward mode alone."""
    f = jax.custom_jvp(jnp.sin)
    f.defjvp(lambda point, tangent: (jnp.sin(*point), factor * jnp.cos(*point) * tangent[0]))
    return lambda x, n: lax.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, f(c[1])), (0, x))[1]


def test_a_loop_without_reverse_mode_is_judged_in_forward_mode_with_a_note():
    report = check_jax(unbounded(1.0), X, 3)
    assert report.verdict is Verdict.CORRECT
    assert {finding.backend for finding in report.findings} == {"forward"}
    assert any("has no reverse mode, and is judged in forward mode alone" in note for note in report.notes)
    assert check_jax(unbounded(1.1), X, 3).wrong == {"args.0"}


@pytest.mark.parametrize(
    ("f", "options", "error", "sentence"),
    [
        (unbounded(1.0), {"modes": "reverse"}, gradcheck.DataError, r'<lambda> has no reverse mode: modes=("forward",)'),
        (
            unbounded(1.0),
            {"order": 2},
            gradcheck.DataError,
            "<lambda> has no reverse mode: order=2 is the derivative of that",
        ),
        (lambda x, n: sine()(x), {"modes": "forward"}, gradcheck.DataError, "<lambda> has no forward mode"),
        (
            jnp.power,
            {"modes": ("sideways",)},
            gradcheck.DataError,
            "modes: expected some of reverse, forward, got 'sideways'",
        ),
        (jnp.power, {"order": 3}, gradcheck.DescriptionError, "order: expected 1 or 2, got 3"),
        (jnp.power, {"order": "2"}, gradcheck.DescriptionError, "order: expected 1 or 2, got '2'"),
        (
            jnp.power,
            {"order": 2, "modes": "forward"},
            gradcheck.DataError,
            "order: the second derivative is that of reverse",
        ),
        (
            jnp.power,
            {"order": 2, "reference": jnp.power},
            gradcheck.DataError,
            "order: expected 1 where there is a reference",
        ),
        (lambda x, n: x, {"nonsense": 1}, gradcheck.CallFailed, "<lambda> raised TypeError"),
        (
            lambda x, n: jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), x),
            {},
            gradcheck.CallFailed,
            "<lambda> raised ValueError: Pure callbacks do not support JVP",
        ),
    ],
)
def test_bad_input_is_one_sentence(f, options, error, sentence):
    with pytest.raises(error) as raised:
        check_jax(f, X, 3, **options)
    assert str(raised.value).startswith(sentence)
    assert "\n" not in str(raised.value)


def test_a_stopped_gradient_is_named_as_the_cause():
    report = check_jax(lambda x: jnp.sum(x * lax.stop_gradient(x)), X, modes="reverse")
    assert report.wrong == {"args.0"}
    assert report.diagnoses[0].cause == "path-lost"
    assert "stop_gradient cuts it off" in str(report)
    wrong_besides = check_jax(lambda x: jnp.sum(sine(1.1)(x) * lax.stop_gradient(x)), X, contract=False)
    assert "path-lost" not in {diagnosis.cause for diagnosis in wrong_besides.diagnoses}


def slow(f):
    """A loop that JAX would compile at every call, which counts the calls."""
    calls = []

    def looped(w, x):
        calls.append(w)
        return lax.scan(lambda h, row: (f(w @ h + row), None), jnp.zeros(3, x.dtype), x)[0]

    return looped, calls


@pytest.mark.parametrize(("factor", "wrong"), [(1.0, set()), (1.1, {"args.0", "args.1"})])
def test_a_function_is_compiled_once_and_judged_alike(factor, wrong):
    f, calls = slow(sine(factor))
    report = check_jax(
        f, np.eye(3, dtype="float32") / 2, np.stack([X, 2 * X]), modes="reverse", contract=False, diagnose=False
    )
    assert report.wrong == wrong, str(report)
    assert len(calls) < 15 < report.evaluations


def test_what_is_another_function_when_traced_is_never_compiled():
    @jax.custom_vjp
    def f(x):
        return lax.fori_loop(0, 2, lambda _, y: jnp.sin(y), x)

    def backward(x, c):
        gradient = c * jnp.cos(jnp.sin(x)) * jnp.cos(x)
        return (2 * gradient if isinstance(x, jax.core.Tracer) else gradient,)

    f.defvjp(lambda x: (f(x), x), backward)
    report = check_jax(f, X)
    assert {diagnosis.cause for diagnosis in report.diagnoses} == {"under-jit"}, str(report)

    def decided_by_values(x):
        return lax.fori_loop(0, 2, lambda _, y: jnp.sin(y), x if x[0] > -9 else 2 * x)

    assert check_jax(decided_by_values, X, modes="reverse").verdict is Verdict.CORRECT


def test_numbers_that_numpy_draws_are_no_constants_of_a_compilation():
    rng, calls = np.random.default_rng(0), []

    def noisy(x):
        calls.append(x)
        return jnp.sum(x**2) + rng.normal()

    report = check_jax(noisy, X, modes="reverse", max_evaluations=60)
    assert report.verdict is not Verdict.CORRECT
    assert len(calls) > report.evaluations
    fixed = rng.normal()
    assert check_jax(lambda x: jnp.sum(x**2) + fixed, X, modes="reverse").verdict is Verdict.CORRECT


class TestEquinox:
    @pytest.fixture(autouse=True)
    def _equinox(self):
        self.eqx = pytest.importorskip("equinox")

    @pytest.mark.parametrize(("factor", "wrong"), [(1.0, set()), (1.1, {"args.0.layers.0.weight", "args.0.layers.0.bias"})])
    def test_a_module_with_functions_and_numbers_in_it(self, factor, wrong):
        nn, keys = self.eqx.nn, jax.random.split(KEY)
        model = nn.Sequential(
            [nn.Linear(3, 4, key=keys[0]), nn.Lambda(sine(factor)), nn.Dropout(0.5), nn.Linear(4, 1, key=keys[1])]
        )
        loss = self.eqx.filter_jit(lambda m, x, key: jnp.sum(m(x, key=key) ** 2))
        report = check_jax(loss, model, X, KEY, modes="reverse", contract=False, diagnose=False)
        assert report.wrong - {"args.1"} == wrong, str(report)
        assert report.unchecked == ("args.0.layers.2.p", "args.2")

    def test_static_fields_none_flags_and_keys(self):
        class Own(self.eqx.Module):
            w: Any
            key: Any
            act: Any
            eps: float
            on: bool
            none: Any
            power: int = self.eqx.field(static=True)

        own = Own(X, KEY, jax.nn.softplus, 0.5, True, None, 3)
        report = check_jax(self.eqx.filter_jit(lambda m, x: m.act(m.w * x + m.eps) ** m.power if m.on else x), own, X)
        assert report.verdict is Verdict.CORRECT, str(report)
        assert report.unchecked == ("args.0.key", "args.0.eps")


class TestFlax:
    @pytest.fixture(autouse=True)
    def _flax(self):
        self.flax = pytest.importorskip("flax")

    @pytest.mark.slow
    def test_a_linen_model_with_statistics_and_dropout(self):
        nn = pytest.importorskip("flax.linen")

        class Net(nn.Module):
            factor: float = 1.0

            @nn.compact
            def __call__(self, x, *, train):
                x = sine(self.factor)(nn.Dense(4)(x))
                x = nn.BatchNorm(use_running_average=not train)(x)
                return nn.Dropout(0.5, deterministic=not train)(x)

        rows = np.random.default_rng(1).normal(size=(4, 3)).astype("float32")
        variables = Net().init(KEY, rows, train=False)
        options = {"train": True, "mutable": ("batch_stats",), "rngs": {"dropout": KEY}}
        dense = "args.0.params.Dense_0"
        for factor, wrong in ((1.0, set()), (1.1, {f"{dense}.kernel", f"{dense}.bias", "args.1"})):
            apply = jax.jit(Net(factor).apply, static_argnames=("train", "mutable"))
            report = check_jax(apply, variables, rows, modes="reverse", contract=False, diagnose=False, **options)
            assert report.wrong == wrong, str(report)
            assert report.unchecked == ("kwargs.rngs.dropout",)
            assert wrong or report.verdict is Verdict.CORRECT

    def test_a_module_of_nnx_is_an_argument_or_is_merged(self):
        nnx = pytest.importorskip("flax.nnx")

        class Net(nnx.Module):
            def __init__(self, factor):
                self.first, self.act = nnx.Linear(3, 2, rngs=nnx.Rngs(0)), sine(factor)

            def __call__(self, x):
                return self.act(self.first(x))

        def loss(model, x):
            return jnp.sum(model(x) ** 2)

        assert check_jax(nnx.jit(loss), Net(1.0), X, modes="reverse", contract=False).verdict is Verdict.CORRECT
        graph, state = nnx.split(Net(1.1))
        merged = jax.jit(lambda state, x: loss(nnx.merge(graph, state), x))
        report = check_jax(merged, state, X, modes="reverse", contract=False, diagnose=False)
        assert {name.removesuffix(".value") for name in report.wrong} >= {"args.0.first.kernel", "args.0.first.bias"}


def test_a_loss_of_optax():
    optax = pytest.importorskip("optax")
    logits, labels = np.stack([X, 2 * X]), np.array([0, 2])
    loss = jax.jit(optax.softmax_cross_entropy_with_integer_labels)
    report = check_jax(loss, logits, labels, modes="reverse")
    assert report.verdict is Verdict.CORRECT, str(report)
    assert report.unchecked == ("args.1",)
