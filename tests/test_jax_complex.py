"""Complex numbers in JAX, by its convention: dL/dx - i dL/dy of a real loss L; a conjugate too many or too few is found."""

import numpy as np
import pytest

from gradcheck import Verdict, check_jax

jax = pytest.importorskip("jax")
jnp = jax.numpy

X = np.random.default_rng(0).normal(size=3)
Z = (X + 1j * X[::-1]).astype("complex64")


def custom(f, backward):
    own = jax.custom_vjp(f)
    own.defvjp(lambda z: (f(z), z), lambda z, c: (backward(z, c),))
    return own


def length(z):
    return jnp.sum(jnp.abs(z) ** 2)


SQUARE = (lambda z: z * z, lambda z, c: 2 * z * c)
LENGTH = (length, lambda z, c: 2 * c * jnp.conj(z))
HALF = (length, lambda z, c: c * jnp.conj(z))
REAL = (lambda z: z.real**2 * z.imag, lambda z, c: c * (2 * z.real * z.imag - 1j * z.real**2))
NORM = (jnp.abs, lambda z, c: c * jnp.conj(z) / jnp.abs(z))
WITH = (lambda z: z * jnp.conj(z), lambda z, c: 2 * c.real * jnp.conj(z))
RIGHT = {"square": SQUARE, "length": LENGTH, "parts": REAL, "norm": NORM, "its conjugate": WITH}


@pytest.mark.parametrize(("f", "backward"), RIGHT.values(), ids=RIGHT)
def test_the_convention_of_jax_is_correct_and_its_conjugate_is_named(f, backward):
    report = check_jax(custom(f, backward), Z, contract=False)
    assert report.verdict is Verdict.CORRECT, str(report)
    assert "args.0 is complex: its last axis has the real and the imaginary part" in report.notes
    report = check_jax(custom(f, lambda z, c: jnp.conj(backward(z, c))), Z, contract=False)
    assert report.wrong == {"args.0"}
    assert {diagnosis.cause for diagnosis in report.diagnoses} == {"conjugated"}, str(report)


MISTAKES = {
    "the argument is conjugated": (SQUARE[0], lambda z, c: 2 * jnp.conj(z) * c),
    "the cotangent is conjugated": (SQUARE[0], lambda z, c: 2 * z * jnp.conj(c)),
    "half, as Wirtinger has it": HALF,
    "the real part alone": (length, lambda z, c: c * 2 * z.real + 0j),
    "the cotangent's real part alone": (SQUARE[0], lambda z, c: 2 * z * c.real),
    "times i": (SQUARE[0], lambda z, c: 2j * z * c),
    "one sign": (REAL[0], lambda z, c: c * (2 * z.real * z.imag + 1j * z.real**2)),
}


@pytest.mark.parametrize(("f", "backward"), MISTAKES.values(), ids=MISTAKES)
def test_other_mistakes_with_complex_numbers_are_found(f, backward):
    assert check_jax(custom(f, backward), Z, contract=False, diagnose=False).wrong == {"args.0"}


def test_the_contract_is_asked_of_complex_numbers_too():
    assert check_jax(custom(*SQUARE), Z).verdict is Verdict.CORRECT
    report = check_jax(custom(SQUARE[0], lambda z, c: 2 * z * c if c[0] != 9 else c), Z)
    assert {diagnosis.cause for diagnosis in report.diagnoses} == {"under-jit"}


ORDINARY = {
    "holomorphic": (lambda z: jnp.sin(z) * z, Z),
    "a number": (jnp.abs, 1 + 2j),
    "complex inside, real outside": (lambda x: jnp.abs(jnp.fft.rfft(x)) ** 2, X),
    "beside a real one": (lambda p: {"y": p["a"] * p["b"], "z": p["a"].real}, {"a": Z, "b": X}),
}


@pytest.mark.parametrize(("f", "at"), ORDINARY.values(), ids=ORDINARY)
def test_functions_of_jax_are_correct_in_both_modes(f, at):
    report = check_jax(f, at)
    assert report.verdict is Verdict.CORRECT, str(report)
    assert {finding.backend for finding in report.findings} == {"reverse", "forward"}


def test_a_forward_rule_that_conjugates_is_found_in_both_modes():
    def with_rule(rule):
        own = jax.custom_jvp(SQUARE[0])
        own.defjvp(lambda point, tangent: (own(*point), rule(*point, *tangent)))
        return own

    assert check_jax(with_rule(lambda z, t: 2 * z * t), Z).verdict is Verdict.CORRECT
    report = check_jax(with_rule(lambda z, t: 2 * jnp.conj(z) * t), Z, diagnose=False)
    assert {finding.backend for finding in report.findings if finding.verdict is Verdict.WRONG} == {"reverse", "forward"}


def test_the_second_derivative_by_complex_numbers():
    assert check_jax(custom(*SQUARE), Z, order=2, contract=False).verdict is Verdict.CORRECT
    own = custom(SQUARE[0], lambda z, c: 2 * jax.lax.stop_gradient(z) * c)
    report = check_jax(own, Z, order=2, modes="reverse", contract=False)
    assert {(each.name, each.cause, each.backend) for each in report.diagnoses} == {
        ("args.0", "hides-second-order", "reverse over reverse")
    }
