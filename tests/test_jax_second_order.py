"""``order=2``: the derivative of JAX's gradient, by arguments and cotangents, in both modes over reverse mode."""

import numpy as np
import pytest

from gradcheck import Verdict, check_jax

jax = pytest.importorskip("jax")
jnp, lax = jax.numpy, jax.lax

stop = lax.stop_gradient

X = np.random.default_rng(0).normal(size=3)
OVER = {"reverse over reverse", "forward over reverse"}


def sine(backward):
    f = jax.custom_vjp(jnp.sin)
    f.defvjp(lambda x: (jnp.sin(x), x), lambda x, c: (backward(x, c),))
    return f


def slope(by_x):
    """c cos(x), with a backward pass of its own."""
    f = jax.custom_vjp(lambda x, c: c * jnp.cos(x))
    f.defvjp(lambda x, c: (c * jnp.cos(x), (x, c)), lambda s, d: (d * by_x(*s), d * jnp.cos(s[0])))
    return f


def second(f, *args, **options):
    """What is found of the second derivative, by backend and block; the first one is what it is."""
    report = check_jax(f, *args, order=2, contract=False, **options)
    return report, {(each.backend, each.name): each for each in report.findings if each.backend in OVER}


RIGHT = {
    "plain": lambda x, c: c * jnp.cos(x),
    "its own backward pass": slope(lambda x, c: -c * jnp.sin(x)),
    "of the output": lambda x, c: c * jnp.sqrt(1 - jnp.sin(x) ** 2) * jnp.sign(jnp.cos(x)),
    "a stop where nothing flows": lambda x, c: c * jnp.cos(x) + 0 * lax.stop_gradient(x),
    "a loop": lambda x, c: c * lax.scan(lambda h, _: (h + jnp.cos(x) / 4, None), jnp.zeros_like(x), None, 4)[0],
}


@pytest.mark.parametrize("backward", RIGHT.values(), ids=RIGHT)
def test_right_second_derivatives_are_correct(backward):
    report, found = second(sine(backward), X)
    assert report.verdict is Verdict.CORRECT, str(report)
    there = {"reverse over reverse"} if "the gradient of sin has no forward mode" in report.notes else OVER
    assert (there == OVER) == (not isinstance(backward, jax.custom_vjp))
    assert set(found) == {(backend, name) for backend in there for name in ("args.0", "cotangent")}


HIDDEN = {
    "the slope": (lambda x, c: c * lax.stop_gradient(jnp.cos(x)), "args.0", {"hides-second-order"}),
    "in a loop": (
        lambda x, c: c * lax.scan(lambda h, _: (h + lax.stop_gradient(jnp.cos(x)), None), 0 * x, None, 1)[0],
        "args.0",
        {"hides-second-order"},
    ),
    "a part": (lambda x, c: c * (1 - 2 * jnp.sin(x / 2) * stop(jnp.sin(x / 2))), "args.0", {"hides-second-order"}),
    "the cotangent": (lambda x, c: lax.stop_gradient(c) * jnp.cos(x), "cotangent", {"hides-second-order"}),
    "no residuals' gradient": (slope(lambda x, c: jnp.zeros_like(x)), "args.0", {"zero"}),
}  # fmt: skip


@pytest.mark.parametrize(("backward", "block", "causes"), HIDDEN.values(), ids=HIDDEN)
def test_a_hidden_second_derivative_is_found_with_its_cause(backward, block, causes):
    report, found = second(sine(backward), X)
    wrong = {where for where, finding in found.items() if finding.verdict is Verdict.WRONG}
    assert {name for _, name in wrong} == {block}, str(report)
    assert ("reverse over reverse", block) in wrong
    assert {each.cause for each in report.diagnoses if each.backend == "reverse over reverse"} == causes, str(report)
    assert check_jax(sine(backward), X, contract=False).verdict is Verdict.CORRECT


WRONG = {
    "a factor": (lambda x, c: -1.2 * c * jnp.sin(x), "factor"),
    "a sign": (lambda x, c: c * jnp.sin(x), "sign"),
    "one entry": (lambda x, c: -(c * jnp.sin(x)).at[1].multiply(3.0), "single-entry"),
    "clipped": (lambda x, c: jnp.clip(-c * jnp.sin(x), -0.25, 0.25), None),
}


@pytest.mark.parametrize(("by_x", "cause"), WRONG.values(), ids=WRONG)
def test_a_wrong_second_derivative_is_found_where_the_first_is_right(by_x, cause):
    report, found = second(sine(slope(by_x)), X, modes="reverse")
    assert {name for (_, name), each in found.items() if each.verdict is Verdict.WRONG} == {"args.0"}, str(report)
    assert cause is None or report.diagnoses[0].cause == cause
    assert all(each.backend == "reverse over reverse" for each in report.diagnoses)


def test_where_the_first_derivative_is_wrong_the_second_says_so():
    report, found = second(sine(lambda x, c: 1.1 * c * jnp.cos(x)), X)
    assert report.wrong == {"args.0"}
    said = "the first derivative is wrong in args.0, which it is the derivative of"
    assert {each.reason for each in found.values()} == {said}
    assert f"second order: {said}" in report.notes


@pytest.mark.parametrize(
    ("backward", "says"),
    [
        (lambda x, c: c * jnp.asarray([float(each) for each in jnp.cos(x)]), "ConcretizationTypeError"),
        (
            lambda x, c: c * jax.pure_callback(lambda x: np.cos(x), jax.ShapeDtypeStruct(x.shape, x.dtype), x),
            "Pure callbacks do not support JVP",
        ),
    ],
)
def test_a_second_derivative_that_is_refused_is_said_and_nobody_is_accused(backward, says):
    report, found = second(sine(backward), X)
    assert report.verdict is Verdict.UNRESOLVED
    assert not report.wrong
    assert {str(each.verdict) for each in found.values()} == {"unsupported", "unresolved"}
    assert all(says in found[backend, "args.0"].reason for backend in OVER)


def test_several_outputs_have_a_cotangent_each():
    def f(p, x):
        return {"y": jnp.tanh(x @ p["w"]), "norm": jnp.sum(p["w"] ** 4)}

    report, found = second(f, {"w": X[:, None] * X}, X.astype("float32"), modes="reverse")
    assert report.verdict is Verdict.CORRECT, str(report)
    assert {name for _, name in found} == {"args.0.w", "args.1", "cotangent.y", "cotangent.norm"}


def test_a_function_that_insists_on_float32_is_judged_there():
    def strict(x):
        assert x.dtype == jnp.float32
        return sine(lambda x, c: c * jnp.cos(x))(x)

    report, found = second(strict, X.astype("float32"), modes="reverse")
    assert report.verdict is Verdict.CORRECT, str(report)
    assert len(found) == 2


def test_a_forward_rule_has_second_derivatives_as_well():
    def with_rule(rule):
        f = jax.custom_jvp(jnp.sin)
        f.defjvp(lambda point, tangent: (f(*point), rule(*point) * tangent[0]))
        return f

    assert second(with_rule(jnp.cos), X)[0].verdict is Verdict.CORRECT
    report, _ = second(with_rule(lambda x: lax.stop_gradient(jnp.cos(x))), X)
    assert {(each.backend, each.cause) for each in report.diagnoses} == {(over, "hides-second-order") for over in OVER}
