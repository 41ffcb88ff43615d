"""The contract of a JAX function with a ``custom_vjp``: what breaks it is found with its cause, its honest twin is correct.

Every fault here has the right gradient wherever differences look.
"""

import subprocess
import sys

import numpy as np
import pytest

from gradcheck import Verdict, check_jax

jax = pytest.importorskip("jax")
jnp, lax = jax.numpy, jax.lax
Unused = jax.custom_derivatives.SymbolicZero

numbers = np.random.default_rng(0)
X, W = numbers.standard_normal((3, 2)), numbers.standard_normal((2, 4))
SINGLE = W.astype("float32")


def holds(f, *args, **options):
    report = check_jax(f, *args, **options)
    assert report.verdict is Verdict.CORRECT, str(report)
    assert not [note for note in report.notes if "jax." in note or "asked" in note], report.notes


def breaks(cause, f, *args, says="", names=None, **options):
    """It is found, with this very cause and no other; and is correct where nobody asks."""
    report = check_jax(f, *args, **options)
    assert report.verdict is Verdict.WRONG, str(report)
    assert {diagnosis.cause for diagnosis in report.diagnoses} == {cause}, str(report)
    assert {diagnosis.name for diagnosis in report.diagnoses} == report.wrong
    assert {diagnosis.backend for diagnosis in report.diagnoses} == {"reverse"}
    assert names is None or report.wrong == names
    assert all(says in finding.reason for finding in report.findings if finding.name in report.wrong), str(report)
    assert "cause:" in str(report)
    assert "remedy:" in str(report)
    assert check_jax(f, *args, contract=False, **options).verdict is Verdict.CORRECT
    return report


def vjp(saved, c):
    """Of tanh(x w), the function of most tests."""
    x, w = saved
    d = c * (1 - jnp.tanh(x @ w) ** 2)
    return d @ w.T, x.T @ d


def affine(backward=vjp, forward=None, symbolic=False):
    """With another backward pass, or forward pass."""

    @jax.custom_vjp
    def affine(x, w):
        return jnp.tanh(x @ w)

    affine.defvjp(forward or (lambda x, w: (affine(x, w), (x, w))), backward, symbolic_zeros=symbolic)
    return affine


PLACES = {
    "alone": lambda f: (f, (X, W)),
    "deep inside": lambda f: (lambda p, y: jnp.exp(f(jnp.sin(p["x"][0]), 2 * y)).sum(), ({"x": [X]}, SINGLE)),
    "beside another output": lambda f: (lambda x, w: {"a": f(x, w), "b": [jnp.cos(x)]}, (X, W)),
}
everywhere = pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)


@everywhere
def test_an_honest_function_is_correct_wherever_it_stands(place):
    f, args = place(affine())
    holds(f, *args)


def branches(saved, c):
    """A value decides in Python."""
    gx, gw = vjp(saved, c)
    return (gx, gw) if jnp.sum(c) != 12345 else (0 * gx, gw)


def leaves_for_numpy(saved, c):
    x, w = (np.asarray(each) for each in saved)
    d = c * (1 - np.tanh(x @ w) ** 2)
    return d @ w.T, jnp.asarray(x.T) @ d


def traced_otherwise(saved, c):
    """Somebody's shortcut for what is traced."""
    gx, gw = vjp(saved, c)
    return gx, 2 * gw if isinstance(saved[0], jax.core.Tracer) else gw


@pytest.mark.parametrize(
    ("backward", "place"),
    [(branches, "alone"), (leaves_for_numpy, "deep inside"), (traced_otherwise, "beside another output")],
)
def test_a_backward_pass_that_cannot_be_traced_is_found_under_jit(backward, place):
    f, args = PLACES[place](affine(backward))
    breaks("under-jit", f, *args, says="under jax.jit the")


class Last:
    """What a trace finds of an earlier call."""

    value = None


def test_what_a_trace_keeps_of_another_call_is_found_under_jit():
    def forward(x, w):
        if not isinstance(x, jax.core.Tracer):
            Last.value = np.asarray(x)
        return jnp.tanh(x @ w), (x, w)

    def backward(saved, c):
        x, w = saved
        return vjp((Last.value if isinstance(x, jax.core.Tracer) else x, w), c)

    report = check_jax(affine(backward, forward), X, W)
    assert {(each.name, each.cause) for each in report.diagnoses} == {("args.0", "under-jit"), ("args.1", "under-jit")}


@pytest.mark.parametrize(("given", "place"), [(True, "alone"), (False, "alone"), (True, "deep inside")])
def test_a_backward_pass_that_mixes_what_is_batched_is_found(given, place):
    def backward(saved, c):
        return vjp((saved[0], mixed(saved[1])) if not given else saved, mixed(c) if given else c)

    @jax.custom_batching.custom_vmap
    def mixed(x):
        return x

    @mixed.def_vmap
    def mixed_rule(size, batched, x):
        return jnp.flip(x, 0), True

    f, args = PLACES[place](affine(backward))
    breaks("vmap", f, *args, says="at once, through jax.vmap, the gradient is off")


def test_a_backward_pass_that_cannot_be_batched_is_found():
    def backward(saved, c):
        x, w = saved
        shape = jax.ShapeDtypeStruct(c.shape, c.dtype)
        d = jax.pure_callback(lambda x, w, c: c * (1 - np.tanh(x @ w) ** 2), shape, x, w, c, vmap_method=method)
        return d @ w.T, x.T @ d

    method = "sequential"
    holds(affine(backward), X, W)
    method = None
    breaks("vmap", affine(backward), X, W, says="through jax.vmap, the backward pass raised")


def looks_at_perturbed(wrongly):
    """The gradient that is asked for, or the other one."""

    def forward(x, w):
        return jnp.tanh(x.value @ w.value), (x.value, w.value, x.perturbed or None, w.perturbed or None)

    def backward(saved, c):
        gx, gw = vjp(saved[:2], c)
        x, w = saved[2:]
        return gx if x else None, gw if (x if wrongly else w) else None

    return affine(backward, forward, symbolic=True)


@everywhere
def test_a_backward_pass_that_asks_for_the_wrong_argument_is_found(place):
    holds(*flat(place(looks_at_perturbed(False))))
    report = breaks("needs-input-grad", *flat(place(looks_at_perturbed(True))), says="requires a gradient")
    assert report.wrong == {"args.1"}


def flat(found):
    f, args = found
    return f, *args


def waves(backward, symbolic=True):
    """Sine and cosine, either of which may be unused."""

    @jax.custom_vjp
    def waves(x):
        return jnp.sin(x), jnp.cos(x)

    def forward(x):
        x = x.value if symbolic else x
        return (jnp.sin(x), jnp.cos(x)), x

    waves.defvjp(forward, backward, symbolic_zeros=symbolic)
    return waves


def careful(x, c):
    found = jnp.zeros_like(x)
    found = found if isinstance(c[0], Unused) else found + c[0] * jnp.cos(x)
    return (found if isinstance(c[1], Unused) else found - c[1] * jnp.sin(x),)


def careless(x, c):
    return (c[0] * jnp.cos(x) - c[1] * jnp.sin(x),)


def forgetful(x, c):
    return (jnp.zeros_like(x),) if any(isinstance(each, Unused) for each in c) else careless(x, c)


OUTPUTS = {
    "alone": lambda f: f,
    "deep inside, with three others": lambda f: lambda x: {"both": f(jnp.sin(x)), "others": [x, 2 * x, -x]},
}


@pytest.mark.parametrize("around", OUTPUTS.values(), ids=OUTPUTS)
def test_a_backward_pass_that_cannot_do_without_one_of_its_cotangents_is_found(around):
    holds(around(waves(careful)), X)
    holds(around(waves(careless, symbolic=False)), X)
    breaks("symbolic-zeros", around(waves(forgetful)), X, says="alone the gradient is off")
    breaks("symbolic-zeros", around(waves(careless)), X, says="alone the backward pass raised TypeError")


def test_a_backward_pass_that_does_not_add_up_is_found():
    def backward(x, c):
        (gradient,) = careless(x, c)
        return (jnp.where(jnp.any(c[0] != 0) & jnp.any(c[1] != 0), gradient, 2 * gradient),)

    breaks("cotangent-layout", waves(backward, symbolic=False), X, says="added up over the outputs")


def test_a_backward_pass_that_is_not_zero_for_nothing_is_found():
    def backward(saved, c):
        gx, gw = vjp(saved, c)
        return gx, jnp.where(jnp.any(c != 0), gw, 1.0)

    breaks("cotangent-layout", affine(backward), X, W, says="with a cotangent of zeros", names={"args.1"})


@everywhere
def test_state_beside_the_residuals_is_found(place):
    class State:
        saved = None

    def forward(x, w):
        State.saved = x, w
        return jnp.tanh(x @ w), None

    f, args = place(affine(lambda _, c: vjp(State.saved, c), forward))
    breaks("shared-state", f, *args, says="after a forward pass at another point the gradient")


def test_a_stack_of_states_is_found():
    stack = []

    def forward(x, w):
        stack.append((x, w))
        return jnp.tanh(x @ w), None

    report = check_jax(affine(lambda _, c: vjp(stack[-1], c), forward), X, W)
    assert {diagnosis.cause for diagnosis in report.diagnoses} == {"shared-state"}


def test_a_forward_pass_that_cannot_be_traced_is_a_note_that_names_the_transformation():
    @jax.custom_vjp
    def f(x):
        return jnp.sin(x) if float(x[0, 0]) != 12345 else x

    f.defvjp(lambda x: (f(x), x), lambda x, c: (c * jnp.cos(x),))
    report = check_jax(f, X)
    assert report.verdict is Verdict.CORRECT
    notes = " ".join(report.notes)
    assert "under jax.jit it is refused: it raised ConcretizationTypeError" in notes
    assert "through jax.vmap, it is refused: it raised" in notes


def test_a_forward_pass_that_gives_something_else_under_jit_is_a_note():
    @jax.custom_vjp
    def f(x):
        return jnp.sin(x) + isinstance(x, jax.core.Tracer)

    f.defvjp(lambda x: (f(x), x), lambda x, c: (c * jnp.cos(x),))
    report = check_jax(f, X)
    assert report.verdict is Verdict.CORRECT
    assert "under jax.jit the output is another" in report.notes


def test_what_is_wrong_by_its_numbers_keeps_its_own_cause():
    report = check_jax(affine(lambda saved, c: vjp(saved, 2 * c)), X, W)
    assert {diagnosis.cause for diagnosis in report.diagnoses} == {"factor"}


def test_forward_mode_alone_and_functions_without_custom_vjp_are_not_asked(monkeypatch):
    def never(*_):
        raise AssertionError

    monkeypatch.setattr("gradcheck.adapters.jax.functions.asked_about", never)
    holds(jnp.sin, X)
    holds(affine(), X, W, contract=False)
    with pytest.raises(AssertionError):
        check_jax(affine(), X, W)


def scan(x, w):
    return lax.scan(lambda carry, row: (carry + affine()(row[None], w).sum(), row), 0.0, x)[0]


@jax.custom_vjp
def clipped(x):
    return x


clipped.defvjp(lambda x: (x, None), lambda _, c: (jnp.clip(c, -100, 100),))


def safe_root(x):
    return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0) + clipped(x)


def powers(n):
    f = jax.custom_vjp(lambda n, x: x**n, nondiff_argnums=(0,))
    f.defvjp(lambda n, x: (f(n, x), x), lambda n, x, c: (c * n * x ** (n - 1),))
    return lambda x: f(n, x)


def beside_a_key(key, x, n):
    return jax.random.bits(key) % 2 + affine()(x, jnp.eye(2)) * n


def in_bfloat16(x, w):
    """Rounds on its way, and otherwise under jit."""
    return affine()(x.astype("bfloat16"), w.astype("bfloat16")).astype(x.dtype)


HONEST = {
    "in a scan": (scan, (X[:2], W)),
    "under checkpoint": (jax.checkpoint(affine()), (X, W)),
    "jitted": (jax.jit(affine()), (X, W)),
    "batched": (jax.vmap(affine(), in_axes=(0, None)), (np.stack([X, 2 * X]), W)),
    "in another": (lambda x, w: affine()(jnp.tanh(affine()(x, w)), W.T), (X, W)),
    "clips its cotangent": (clipped, (X,)),
    "beside where": (safe_root, (X,)),
    "with a number that is no argument": (powers(3), (X,)),
    "a closure": ((lambda scale: lambda x: affine()(scale * x, jnp.asarray(W)))(2.0), (X,)),
    "beside a key and a number": (beside_a_key, (jax.random.key(0), X, 2)),
    "float32 only": (lambda x, w: affine()(x.astype("float32"), w.astype("float32")), (X, W)),
}


@pytest.mark.parametrize(("f", "args"), HONEST.values(), ids=HONEST)
def test_honest_functions_keep_their_contract(f, args):
    assert check_jax(f, *args).verdict is Verdict.CORRECT


def test_in_the_dtype_that_is_asked_for():
    x, w = (jnp.asarray(each, dtype="float32") for each in (X, W))
    assert not check_jax(in_bfloat16, x, w).wrong
    report = check_jax(affine(branches), x, w, dtype="as given")
    assert {diagnosis.cause for diagnosis in report.diagnoses} == {"under-jit"}


def test_pytorch_is_not_imported():
    code = (
        "import sys, jax, numpy as np, gradcheck\n"
        "f = jax.custom_vjp(lambda x: x * x)\n"
        "f.defvjp(lambda x: (f(x), x), lambda x, c: (2 * x * c,))\n"
        "print(gradcheck.check_jax(f, np.ones(2)).verdict, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["correct", "False"]
