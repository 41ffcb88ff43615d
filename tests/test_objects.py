"""What people hand in: containers by whichever registry knows their class, and what functions bring along."""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import numpy as np
import optree
import pytest

import gradcheck
from gradcheck import Verdict, check
from gradcheck.foundation.objects.captured import captured, within
from gradcheck.foundation.objects.pytree import take_apart

AT = np.array([1.0, 2.0, 3.0])


def norm(p):
    return float(np.sum(p.w**2))


class Pair(NamedTuple):
    w: Any
    n: int


@dataclasses.dataclass
class Plain:
    w: Any
    n: int = 2


@dataclasses.dataclass(frozen=True)
class Derived:
    w: Any
    size: int = dataclasses.field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "size", len(self.w))


@dataclasses.dataclass
class Demanding:
    w: Any
    start: dataclasses.InitVar[float]

    def __post_init__(self, start):
        self.w = self.w + start


class Optree:
    def __init__(self, w, n=2):
        self.w, self.n = w, n


optree.register_pytree_node(
    Optree, lambda p: ((p.w,), p.n, ("w",)), lambda n, c: Optree(*c, n), namespace=optree.registry.__GLOBAL_NAMESPACE
)


class Torch(Optree):
    pass


class Jax(Optree):
    pass


def registered(kind):
    """A class of the caller's own, known to one library."""
    if kind is Torch:
        pytest.importorskip("torch")
        import torch.utils._pytree as library

        if Torch not in library.SUPPORTED_NODES:
            library.register_pytree_node(Torch, lambda p: ([p.w], p.n), lambda c, n: Torch(*c, n))
    if kind is Jax:
        jax = pytest.importorskip("jax")
        if not jax.tree_util.all_leaves([Jax(1.0)]):
            return kind
        jax.tree_util.register_pytree_with_keys(
            Jax, lambda p: (((jax.tree_util.GetAttrKey("w"), p.w),), p.n), lambda n, c: Jax(*c, n)
        )
    return kind


@pytest.mark.parametrize("kind", [Plain, Pair, Optree, Torch, Jax, Derived], ids=lambda kind: kind.__name__)
def test_a_class_that_any_registry_knows_is_taken_apart_and_put_together(kind):
    registered(kind)
    at = kind(AT) if kind is Derived else kind(AT, 2)
    tree = take_apart(at)
    (name,) = tree.arrays
    again = tree.rebuild({name: AT + 1})
    assert type(again) is kind
    np.testing.assert_array_equal(again.w, AT + 1)
    assert vars(again)["n"] == 2 if kind not in (Derived, Pair) else True
    make = functools.partial(kind) if kind is Derived else lambda w: kind(w, 2)
    assert check(norm, lambda p: make(2 * p.w), at).verdict is Verdict.CORRECT
    assert check(norm, lambda p: make(2.01 * p.w), at).wrong == {name}


def test_which_registry_knows_a_class_is_asked_each_time():
    jax = pytest.importorskip("jax")

    class Late(Optree):
        pass

    with pytest.raises(gradcheck.DataError, match=r"^at: x is a Late, in which w .ndarray of float64. is moved by nobody"):
        check(norm, lambda p: Late(2 * p.w), Late(AT))
    jax.tree_util.register_pytree_node(Late, lambda p: ((p.w,), p.n), lambda n, c: Late(*c, n))
    assert check(norm, lambda p: Late(2 * p.w), Late(AT)).verdict is Verdict.CORRECT


def test_what_cannot_be_built_again_is_one_line():
    with pytest.raises(
        gradcheck.GradcheckError, match="building the point again from its leaves raised ValueError"
    ) as raised:
        check(norm, lambda p: p, Demanding(AT, 1.0))
    assert "\n" not in str(raised.value)


class Matrix(np.matrix):
    pass


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_an_array_is_handed_on_in_the_class_that_it_has():
    """The twin is a plain array, whose product is another one."""

    def f(x):
        return float(np.sum(np.asarray(x * x)))

    square = np.array([[1.0, 2.0], [3.0, 4.0]])

    def product(x):
        x = np.asarray(x)
        ones = np.ones((2, 2))
        return ones @ x.T + x.T @ ones

    assert check(f, product, square.view(Matrix)).verdict is Verdict.CORRECT
    assert check(f, product, square).wrong == {"x"}
    assert check(f, lambda x: 2 * np.asarray(x), square).verdict is Verdict.CORRECT


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ({"w": AT, "z": AT * 1j}, "at: z is ndarray of complex128: only real arrays are moved"),
        ({"w": AT, "z": 1j}, "at: z is complex, 1j: only real arrays are moved"),
        ({"w": AT, "o": [object(), Optree]}, ""),
        ({"w": AT, "s": "text", "n": None, "f": len, "b": True}, ""),
        ({"w": AT, "o": np.array([None, 1], dtype=object)}, ""),
        ({"w": AT, "o": np.array([None, 1.5], dtype=object)}, "at: o is ndarray of object: expected a floating"),
        ({"w": AT, "r": np.zeros(2, [("a", float)])}, "at: r is ndarray of "),
        ({"w": AT, "g": iter([AT])}, "at: g is a list_iterator, which can be read only once: hand in a list"),
        ({"w": AT, "s": {1.5}}, "at: s is a set, in which 0 (float, 1.5) is moved by nobody"),
        ({"w": AT, "s": {1, 2}}, ""),
    ],
)
def test_whatever_holds_numbers_is_moved_named_or_refused_by_name(at, said):
    if not said:
        assert check(lambda p: float(np.sum(p["w"] ** 2)), lambda p: {"w": 2 * p["w"]}, at).verdict is Verdict.CORRECT
        return
    with pytest.raises(gradcheck.DataError) as raised:
        check(lambda p: float(np.sum(p["w"] ** 2)), lambda p: {"w": 2 * p["w"]}, at)
    assert str(raised.value).startswith(said)


@pytest.mark.parametrize("whole", [0, 3, np.arange(2), np.array([True, False]), np.int8(1)])
def test_whole_numbers_are_named_and_may_not_be_claimed_for(whole):
    at, f = {"w": AT, "i": whole}, lambda p: float(np.sum(p["w"] ** 2))
    for nothing in ({}, {"i": None}, {"i": np.zeros_like(whole)}, {"i": 0.0 * whole}, {"i": whole}):
        report = check(f, lambda p, nothing=nothing: {"w": 2 * p["w"], **nothing}, at)
        assert report.verdict is Verdict.CORRECT
        assert report.unchecked == ("i",)
        assert any(note.startswith("i: ") for note in report.notes)
        assert "not looked at: i" in str(report)
        assert "not looked at: i" in report.to_html()
    with pytest.raises(gradcheck.DataError, match=r"^at: i is .*is not moved.*the gradient has a claim for it"):
        check(f, lambda p: {"w": 2 * p["w"], "i": 1.5 + 0 * whole}, at)


def test_a_claim_for_no_leaf_is_wrong_whatever_it_is():
    for stray in (1.5, 2, AT, np.arange(3)):
        assert check(lambda p: p["w"] ** 2, lambda p, s=stray: {"w": 2 * p["w"], "v": s}, {"w": 1.5}).wrong == {"v"}
    assert not check(lambda p: p["w"] ** 2, lambda p: {"w": 2 * p["w"], "v": None, "s": "text"}, {"w": 1.5}).wrong


# What functions bring along.

TABLE = {"data": AT}


def test_variables_that_a_function_reads_are_found_by_name():
    own, other = AT, AT + 1

    def helper(x):
        return x * TABLE["data"]

    def f(x, scale=AT):
        return [helper(y * other) for y in (x,)], lambda: own

    found = captured(f)
    assert found["own"] is own
    assert found["other"] is other
    assert found["scale"] is AT
    assert found["TABLE"] is TABLE
    assert "math" not in captured(math.sin)
    assert captured(functools.partial(f, scale=other))["scale"] is other


class Model:
    def __init__(self):
        self.layers = [Optree(AT), {"bias": AT + 1}]

    def loss(self, x):
        return float(np.sum(x * self.layers[0].w))


def test_arrays_are_found_within_objects_by_their_path_each_once():
    model = Model()
    found = dict(within(captured(model.loss)["Model"], "model", lambda part: isinstance(part, np.ndarray)))
    assert found.keys() == {"model.layers.0.w", "model.layers.1.bias"}
    model.layers.append(model)
    assert len(list(within(model, "", lambda part: isinstance(part, np.ndarray)))) == 2


class Proxy:
    def __getattribute__(self, name):
        raise RuntimeError("working outside of a context")


def test_a_proxy_that_answers_no_question_is_left_alone():
    proxy, data = Proxy(), AT + 1
    holder = [proxy, data]
    report = check(lambda x: float(np.sum(x * holder[1])) + 0 * len([proxy]), lambda x: holder[1], AT)
    assert report.verdict is Verdict.CORRECT
    assert report.unchecked == ("holder",)


def test_what_a_loss_brings_along_is_named_and_what_the_point_holds_is_not():
    data, own = AT + 1, AT.copy()
    report = check(lambda x: float(np.sum(x * data)), lambda x: data, AT)
    assert report.unchecked == ("data",)
    assert "held as they are: data, which the loss brings along" in report.notes
    assert check(lambda x: float(np.sum(x * own[1:2])), lambda x: own, own).unchecked == ()


# A loss that ignores its argument.


def test_a_loss_that_reads_the_array_itself_is_followed_and_the_array_is_what_it_was():
    p = {"W": AT.copy()}
    for factor, verdict in ((2.0, Verdict.CORRECT), (2.001, Verdict.WRONG)):
        report = check(lambda _: float(np.sum(p["W"] ** 2)), lambda _, f=factor: f * p["W"], p["W"])
        assert report.verdict is verdict
        assert any("moved in place" in note for note in report.notes)
        np.testing.assert_array_equal(p["W"], AT)


def test_an_array_moved_in_place_is_what_it_was_after_an_exception_too():
    p, calls = {"W": AT.copy()}, []

    def loss(_):
        calls.append(1)
        if len(calls) > 30:
            raise MemoryError
        return float(np.sum(p["W"] ** 2))

    with pytest.raises(gradcheck.CallFailed):
        check(loss, lambda _: 2 * p["W"], p["W"])
    np.testing.assert_array_equal(p["W"], AT)


def test_one_block_of_several_may_be_read_from_a_closure():
    p = {"w": AT.copy(), "b": AT + 1}

    def f(q):
        return float(np.sum(q["w"] * p["b"]))

    assert check(f, lambda q: {"w": p["b"], "b": q["w"]}, p).verdict is Verdict.CORRECT
    assert check(f, lambda q: {"w": p["b"], "b": 1.1 * q["w"]}, p).wrong == {"b"}


def test_a_function_of_nothing_is_refused_with_what_to_write_and_a_flat_one_is_judged():
    with pytest.raises(gradcheck.DataError, match=r"does not depend on what it is given \(x\).*write it as a function"):
        check(lambda _: float(np.sum(AT**2)), lambda x: 2 * x, AT.copy())
    flat = check(lambda x: float(np.sum(np.maximum(x, 0))), lambda x: 0 * x + 1, -AT)
    assert flat.wrong == {"x"}
    dead = check(lambda x: float(np.sum(np.maximum(x, 0))), lambda x: 0 * x, -AT)
    assert dead.verdict is Verdict.CORRECT
    idle = check(lambda x: 3.0, lambda x: 0 * x, AT)
    assert idle.notes == ("x: the loss does not depend on it",)
    part = check(lambda p: float(np.sum(p["w"] ** 2)), lambda p: {"w": 2 * p["w"], "b": p["b"]}, {"w": AT, "b": AT})
    assert part.wrong == {"b"}
    assert "b: the loss does not depend on it" in part.notes


# Beside the point.


@pytest.mark.parametrize(
    "error", [AssertionError, RuntimeError, KeyError, ValueError, ZeroDivisionError, type("Own", (Exception,), {})]
)
def test_whatever_is_raised_beside_the_point_is_the_edge_of_the_domain(error):
    def f(x):
        if np.any(x > 3.01):
            raise error("outside")
        return float(np.sum(x**3))

    report = check(f, lambda x: 3 * x**2, AT)
    assert report.verdict is Verdict.CORRECT
    assert any(note.startswith(f"beside the point f raised {error.__name__} (") for note in report.notes)
    assert check(f, lambda x: 3.001 * x**2, AT).wrong == {"x"}
    with pytest.raises(gradcheck.CallFailed, match=f"^f raised {error.__name__}: "):
        check(f, lambda x: 3 * x**2, AT + 1)


def test_a_loss_that_is_no_number_beside_the_point_has_no_value_there():
    def f(x):
        return float(np.sum(x)) if x[0] <= 1.0 else (x - 1j)[0]

    report = check(f, np.ones_like, AT)
    assert report.verdict is Verdict.CORRECT
    assert any(note.startswith("beside the point f returned") for note in report.notes)


def test_a_gradient_that_raises_beside_the_point_is_judged_where_it_does_not():
    def g(x):
        if not np.array_equal(x, AT):
            raise RuntimeError("only here")
        return 3 * x**2

    assert check(lambda x: float(np.sum(x**3)), g, AT).verdict is Verdict.CORRECT
    assert check(lambda x: float(np.sum(x**3)), lambda x: 1.01 * g(x), AT).wrong == {"x"}


def test_no_memory_is_no_edge():
    def f(x):
        if x[0] != 1.0:
            raise MemoryError
        return float(np.sum(x**3))

    with pytest.raises(gradcheck.CallFailed, match="MemoryError"):
        check(f, lambda x: 3 * x**2, AT)
