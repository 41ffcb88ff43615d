"""Autograd as people use it: any nesting, keyword arguments, what stays what it is; complex numbers by its convention."""

from dataclasses import dataclass
from typing import Any

import autograd.numpy as anp
import numpy as np
import optree
import pytest
from autograd import grad
from autograd.builtins import dict as box_of_dict
from autograd.builtins import list as box_of_list
from autograd.builtins import tuple as box_of_tuple
from autograd.extend import defvjp, primitive

import gradcheck
from gradcheck import Verdict, check_autograd

X = np.random.default_rng(0).normal(size=3)
Z = X + 1j * X[::-1]


@dataclass
class Layer:
    w: Any
    b: Any
    power: int = 2


class Registered:
    def __init__(self, w):
        self.w = w


optree.register_pytree_node(
    Registered,
    lambda node: ((node.w,), None, ("w",)),
    lambda _, parts: Registered(*parts),
    namespace="gradcheck",
)


def cube(factor=3):
    f = primitive(lambda x: x**3)
    defvjp(f, lambda _, x: lambda g: g * factor * x**2)
    return f


def product(factor=1.0):
    f = primitive(lambda x, y: x * y)
    defvjp(f, lambda _, x, y: lambda g: factor * g * y, lambda _, x, y: lambda g: g * x)
    return f


HABITS = {  # of a primitive: the function, its arguments, and which of them it is wrong in
    "keywords": (lambda f: lambda x, scale, mask=None: f(scale) * mask * x, (X,), {"scale": X, "mask": X}, "kwargs.scale"),
    "dict, list": (lambda f: lambda p: {"a": f(p["a"][1]), "b": (p["b"], [X])}, ({"a": [X, X], "b": X},), {}, "args.0.a.1"),
    "a tuple": (lambda f: lambda p: f(p[0]) * p[1], ((X, X),), {}, "args.0.0"),
    "a dataclass": (lambda f: lambda p: f(p.w) + p.b**p.power, (Layer(X, X),), {}, "args.0.w"),
    "a dataclass out of it": (lambda f: lambda x: Layer(f(x), anp.sin(x)), (X,), {}, "args.0"),
    "a registered class": (lambda f: lambda p: f(p.w), (Registered(X),), {}, "args.0.w"),
    "indices": (lambda f: lambda x, i, n: f(x[i]) * n, (X, np.array([0, 2]), 2), {}, "args.0"),
    "a number": (lambda f: lambda x, s: f(s) * anp.sum(x), (X, 1.5), {}, "args.1"),
    "nothing": (lambda f: lambda x, none: f(x).sum() + anp.sum(none), (X, np.zeros((0, 2))), {}, "args.0"),
    "switches": (lambda f: lambda x, *s: f(x) if s == ("f", True, None) else x, (X, "f", True, None), {}, "args.0"),
    "a box of a tuple": (lambda f: lambda x: box_of_tuple((f(x), anp.sin(x))), (X,), {}, "args.0"),
    "a box of a dict": (lambda f: lambda x: box_of_dict({"a": f(x), "b": box_of_list([anp.sin(x)])}), (X,), {}, "args.0"),
    "an array of entries": (lambda f: lambda x: anp.array([[f(x)[0], x[1]], [x[2], x[0]]]), (X,), {}, "args.0"),
    "float32": (lambda f: f, (X.astype("float32"),), {}, "args.0"),
}  # fmt: skip


@pytest.mark.parametrize(("around", "args", "kwargs", "block"), HABITS.values(), ids=HABITS)
def test_a_mistake_is_found_in_every_nesting_and_the_right_twin_is_correct(around, args, kwargs, block):
    report = check_autograd(around(cube()), *args, **kwargs)
    assert report.verdict is Verdict.CORRECT, str(report)
    report = check_autograd(around(cube(2)), *args, **kwargs)
    assert report.wrong == {block}, str(report)


def test_what_is_handed_on_is_named_and_what_is_not_used_is_noted():
    report = check_autograd(lambda x, y, n: x**n, X, X, 2)
    assert report.unchecked == ("args.2",)
    assert "args.1: the loss does not depend on it" in report.notes


def test_a_second_derivative_inside_is_judged():
    assert check_autograd(grad(lambda x: anp.sum(anp.sin(x) * x)), X)
    assert not check_autograd(lambda x: grad(lambda y: anp.sum(anp.sin(y)))(x) * cube(2)(x), X)


COMPLEX = {
    "a square": (lambda z: z * z, lambda z: lambda g: 2 * z * g, lambda z: lambda g: np.conj(2 * z * g)),
    "a length": (
        lambda z: np.sum(np.abs(z) ** 2),
        lambda z: lambda g: 2 * np.conj(z) * g,
        lambda z: lambda g: 2 * z * g,
    ),
}


@pytest.mark.parametrize(("f", "right", "conjugated"), COMPLEX.values(), ids=COMPLEX)
def test_complex_numbers_have_the_convention_of_autograd_and_a_conjugate_too_many_is_named(f, right, conjugated):
    def primitive_with(vjp):
        own = primitive(f)
        defvjp(own, lambda _, z: vjp(z))
        return lambda z, x: own(anp.sin(z)) * x

    report = check_autograd(primitive_with(right), Z, X)
    assert report.verdict is Verdict.CORRECT, str(report)
    assert any("args.0 is complex" in note for note in report.notes)
    report = check_autograd(lambda z: primitive_with(conjugated)(z, 1.0), np.arcsin(Z))
    assert report.wrong == {"args.0"}
    # behind the sine the conjugate of the whole is not what it is of the square alone
    own = primitive(f)
    defvjp(own, lambda _, z: conjugated(z))
    assert [diagnosis.cause for diagnosis in check_autograd(own, Z).diagnoses] == ["conjugated"]


@pytest.mark.parametrize("f", [anp.abs, anp.sin, lambda z: anp.real(z) ** 2 * anp.imag(z), lambda z: anp.exp(z) / z])
@pytest.mark.parametrize("z", [Z, 1 + 2j, Z.astype("complex64")])
def test_complex_functions_of_autograd_are_correct(f, z):
    report = check_autograd(f, z)
    assert report.verdict is Verdict.CORRECT, str(report)


@pytest.mark.parametrize(
    ("f", "args", "kwargs", "sentence"),
    [
        (lambda x: x, (X,), {"nonsense": 1}, "<lambda> raised TypeError"),
        (lambda p: p, (object(),), {}, "<lambda>: nothing to check"),
        (lambda p: 1, (X,), {}, "<lambda> returned no floating array, but a value of type int"),
    ],
)
def test_bad_input_is_one_sentence(f, args, kwargs, sentence):
    with pytest.raises(gradcheck.GradcheckError) as raised:
        check_autograd(f, *args, **kwargs)
    assert str(raised.value).startswith(sentence)
    assert "\n" not in str(raised.value)
