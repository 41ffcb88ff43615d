"""Every rule of the tape by itself, and networks of all layers on it: gradients, rounding, kinks, names."""

import operator

import numpy as np
import pytest

from gradcheck.foundation.arithmetic import COMPLEX_STEP, precision
from gradcheck.network import layers as ly
from gradcheck.network.analysis import passes, rules_arithmetic, rules_choosing, rules_functions, rules_moving
from gradcheck.network.analysis.calculus import MANY, SAFETY
from gradcheck.network.analysis.nodes import RULES, Node
from gradcheck.network.analysis.tape import SHAKEN, Rule, Tape
from gradcheck.network.reference.meaning import entrywise
from gradcheck.network.reference.primitives import largest, softmax, windows

assert passes.KNOWN  # the rules have been entered

WINDOWS = {"kernel": 2, "stride": 1, "padding": 1, "dilation": 2}
KEEP = np.tri(4, dtype=bool)

# For each rule functions of arrays of these shapes, written as the meaning of a layer is.
EXAMPLES = {
    np.add: [(lambda x, y: x + y, (3, 4), (4,)), (lambda x: x + 0.3, (2, 1, 3))],
    np.subtract: [(lambda x, y: x - y, (2, 1, 3), (4, 1)), (lambda x: 1 - x, (3,))],
    np.negative: [(lambda x: -x, (3, 2))],
    np.multiply: [(lambda x, y: x * y, (3, 4), (3, 1)), (lambda x: x * x, (5,)), (lambda x: x**2 * 0.7, (5,))],
    np.divide: [(lambda x, y: x / y, (3, 4), (1, 4)), (lambda x: 2 / x, (2, 3))],
    np.matmul: [(lambda x, y: x @ y, (3, 4), (4, 2)), (lambda x, y: x @ y.mT, (2, 3, 4), (5, 4))],
    np.sum: [(lambda x: x.sum(axis=(0, -1)), (3, 4, 2)), (lambda x: x.mean(axis=1, keepdims=True), (3, 5)), (np.sum, (4,))],
    np.sqrt: [(np.sqrt, (3, 4))],
    np.reshape: [(lambda x: x.reshape(2, -1), (3, 4)), (lambda x: np.reshape(x, (6,)), (3, 2))],
    np.transpose: [(lambda x: x.transpose(2, 0, 1), (2, 3, 4)), (lambda x: np.swapaxes(x.T, 0, 1), (2, 3))],
    np.broadcast_to: [(lambda x: np.broadcast_to(x, (3, 2, 4)), (2, 1))],
    np.concatenate: [(lambda x, y: np.concatenate([x, y, 0.7 * x], axis=-1), (2, 3), (2, 1))],
    operator.getitem: [(lambda x: x[:, [0, 2, 0]], (3, 4)), (lambda x: x[..., 1:, None], (2, 3))],
    windows: [(lambda x: windows(x, **WINDOWS), (2, 1, 4, 3))],
    largest: [(largest, (4, 3))],
    softmax: [(softmax, (3, 4)), (lambda x: softmax(x, keep=KEEP), (2, 4, 4))],
    np.where: [
        (lambda x, y: np.where(np.real(x) > 0, x, 0.7 * y), (3, 4), (4,)),
        (lambda x: np.where(~(np.real(x) > 0), 0, x), (5,)),
    ],
    entrywise: [(lambda x, at=at: entrywise(x, layer=at), (3, 4)) for at in (ly.Tanh(), ly.GELU(), ly.ELU(0.5), ly.SiLU())],
    "unary": [(np.exp, (3, 4)), (lambda x: (x + 4) ** 1.5, (3,)), (np.arctan, (4,))],
}
CASES = [(rule, *example) for rule, examples in EXAMPLES.items() for example in examples]
DOMAINS = {
    np.sqrt: lambda x: 0.3 + np.abs(x),
    np.divide: lambda x: 0.3 + np.abs(x),
    softmax: lambda x: x - 1.8,  # so that the logarithm of the sum of exponentials is small
}
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: getattr(case[0], "__name__", str(case[0])))


def played(case, arrays, g, dtype=np.float64, variances=(None, None), arithmetic=None):
    """The result of a case and the gradients at its arguments, each with its variance."""
    tape = Tape(Node, arithmetic, dtype=dtype, in_a_loop=False)
    leaves = {str(i): tape.leaf(x) for i, x in enumerate(arrays)}
    top = tape.leaf(g)
    for leaf in leaves.values():
        leaf.variance = None if variances[0] is None else np.full(leaf.shape, variances[0])
    result = case[1](*leaves.values())
    found = [(result.value, result.spread)]
    top.variance = None if variances[1] is None else np.full(g.shape, variances[1])
    return found + [(node.value, node.spread) for node in tape.gradients(result, top, leaves).values()]


def drawn(case, rng):
    """Arguments, and a gradient at the result; all of them numbers of float32."""
    within = DOMAINS.get(case[0], np.asarray)
    arrays = [within(rng.standard_normal(shape)).astype(np.float32).astype(float) for shape in case[2:]]
    return arrays, rng.standard_normal(case[1](*arrays).shape).astype(np.float32).astype(float)


def agrees(case):
    """Whether every entry of every gradient is that of a complex step through the function, on arrays."""
    arrays, g = drawn(case, np.random.default_rng(0))
    (result, _), *gradients = played(case, arrays, g)
    assert np.allclose(result, case[1](*arrays), rtol=1e-14)
    for which, (found, _) in enumerate(gradients):
        expected = np.empty(arrays[which].shape)
        for index in np.ndindex(expected.shape):
            moved = [x.astype(complex) for x in arrays]
            moved[which][index] += 1j * COMPLEX_STEP
            expected[index] = np.imag((g * case[1](*moved)).sum()) / COMPLEX_STEP
        if not np.allclose(found, expected, rtol=1e-12, atol=1e-14):
            return False
    return True


def test_every_rule_has_an_example():
    assert set(EXAMPLES) == set(RULES)
    rooms = {kind for module in passes.KNOWN for kind in vars(module).values() if isinstance(kind, type)}
    kinds = {kind for kind in rooms if issubclass(kind, Rule)} - {Rule, *(base for kind in rooms for base in kind.__bases__)}
    assert kinds <= {type(rule) for rule in RULES.values()} | {type(rule) for rule, *_ in BEHIND.values()}


@each_case
def test_every_rule_leads_back_as_the_complex_step_says(case):
    assert agrees(case)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: getattr(rule, "__name__", str(rule)))
def test_a_rule_that_leads_elsewhere_is_noticed(rule, monkeypatch):
    """The twin."""
    honest = RULES[rule].back

    def spoilt(node, g):
        return [None if x is None else x * 1.01 for x in honest(node, g)]

    monkeypatch.setattr(RULES[rule], "back", spoilt)
    assert not all(agrees((rule, *example)) for example in EXAMPLES[rule])


# The rules of the way back, and which lead to them.
BEHIND = {
    "slope": (rules_functions.SLOPE, entrywise, "unary"),
    "masked": (rules_choosing.MASKED, largest, np.where),
    "softmax_back": (rules_choosing.SOFTMAX_BACK, softmax),
    "place": (rules_moving.PLACE, operator.getitem),
    "fold": (rules_moving.FOLD, windows),
}
F32 = precision("float32")


def root(values):
    return np.sqrt(np.mean(np.square(values)))


def shaken(case, variance=1e4, times=150):
    """Errors of result and gradients in units of those predicted, where arguments and gradient are shaken."""
    rng = np.random.default_rng(1)
    arrays, g = drawn(case, rng)
    exact = played(case, arrays, g, variances=(variance, variance), arithmetic=F32)
    errors = [[] for _ in exact]
    for _ in range(times):
        noisy = [x + F32.u * variance**0.5 * rng.standard_normal(x.shape) for x in (*arrays, g)]
        for error, (value, _), (other, _) in zip(errors, exact, played(case, noisy[:-1], noisy[-1]), strict=True):
            error.append((other - value) / F32.u)
    return [root(error) / np.sqrt(np.mean(spread)) for error, (_, spread) in zip(errors, exact, strict=True)]


def rounded(case, times=40):
    """The same of arguments without error, where all is computed in float32."""
    rng = np.random.default_rng(2)
    errors, predicted = [[], [], []], [[], [], []]
    for _ in range(times):
        arrays, g = drawn(case, rng)
        both = zip(played(case, arrays, g, arithmetic=F32), played(case, arrays, g, dtype=np.float32), strict=True)
        for i, ((value, spread), (other, _)) in enumerate(both):
            errors[i].append(root((other.astype(float) - value) / F32.u))
            predicted[i].append(np.sqrt(np.mean(spread)))
    return [(root(error), root(bound)) for error, bound in zip(errors, predicted, strict=True) if error]


def foreseen(case):
    """Whether errors are as large as predicted: what is handed on within a factor of 3, rounding up to that and no tenth."""
    within = all(1 / 3 < ratio < 3 for ratio in shaken(case))
    return within and all(bound / 10 <= error <= bound and (error == 0) == (bound == 0) for error, bound in rounded(case))


@each_case
def test_rounding_is_as_large_as_predicted(case):
    assert foreseen(case)


TWINS = [(f"{getattr(key, '__name__', key)}", rule, [key]) for key, rule in RULES.items()]
TWINS += [(name, rule, keys) for name, (rule, *keys) in BEHIND.items()]


@pytest.mark.parametrize("factor", [100, 0.01])
@pytest.mark.parametrize("which", ["spread", "own"])
@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin[0])
def test_another_prediction_is_noticed(twin, which, factor, monkeypatch):
    """The twin: ten times as large in the root, or a tenth."""
    name, rule, keys = twin
    honest, made = getattr(rule, which), []

    def spoilt(node):
        made.append(honest(node))
        return made[-1] if made[-1] is None else factor * made[-1]

    monkeypatch.setattr(rule, which, spoilt)
    seen = [foreseen((key, *example)) for key in keys for example in EXAMPLES[key]]
    assert not all(seen) or all(each is None for each in made) or (name, which) == ("softmax_back", "own")


def softmax_in_parts(rng):
    """Errors of softmax from a rounded logarithm of the sum, and of its way back from exact arguments, as predicted."""
    x, g = (5.0 * rng.standard_normal((200, 6)).astype(np.float32).astype(float) + at for at in (60, 0))
    tape = Tape(Node, F32)
    node = softmax(tape.leaf(x))
    total = np.log(np.exp(x).sum(axis=-1, keepdims=True)).astype(np.float32)
    again = np.exp(x - total) - node.value
    y = node.value.astype(np.float32)
    back = tape.do(rules_choosing.SOFTMAX_BACK, (tape.leaf(g), tape.leaf(y)), {})
    narrow = rules_choosing.SOFTMAX_BACK.value(g.astype(np.float32), y)
    pairs = ((again, RULES[softmax].recomputed(node)), (narrow - back.value, back.variance))
    return [root(error) / F32.u / np.sqrt(np.mean(variance)) for error, variance in pairs]


def test_softmax_is_also_predicted_where_it_is_computed_anew(monkeypatch):
    assert all(0.1 < ratio < 1 for ratio in softmax_in_parts(np.random.default_rng(0)))
    monkeypatch.setattr(RULES[softmax], "recomputed", RULES[softmax].own)
    own = rules_choosing.SOFTMAX_BACK.own
    monkeypatch.setattr(rules_choosing.SOFTMAX_BACK, "own", lambda node: own(node) / 100)
    assert all(ratio > 1 for ratio in softmax_in_parts(np.random.default_rng(0)))  # the twin


ROWED = {
    "add": (lambda x, y: x + y, (3, 4), (4,)),
    "subtract": (lambda x, y: x - y, (3, 4), (4,)),
    "negative": (lambda x: -x, (4,)),
    "multiply": (lambda x, y: x * y, (3, 4), (3, 1)),
    "divide": (lambda x: x / np.array([2.0, -3.0]), (3, 2)),
    "matmul": (lambda x, y: x @ y, (3, 4), (4, 2)),
    "sum": (lambda x: x.sum(axis=0), (3, 4)),
    "softmax": (lambda g: g.tape.do(rules_choosing.SOFTMAX_BACK, (g, np.array([[0.2, 0.5, 0.3]])), {}), (4, 3)),
}


@pytest.mark.parametrize("name", ROWED)
def test_what_kinks_leave_open_in_arguments_is_left_open_in_the_result(name):
    """However arguments lie between their ends; of a product of two, in a product of sums, once for each."""
    function, *shapes = ROWED[name]
    rng, tape = np.random.default_rng(0), Tape(Node, F32)
    tape.gradients(None, None, {})  # from here on it is the way back
    leaves = [tape.leaf(rng.standard_normal(shape)) for shape in shapes]
    pairs = [leaves] if name != "matmul" else [leaves[:1], leaves[1:]]
    for moved in pairs:
        for leaf in leaves:
            leaf.rows = np.abs(rng.standard_normal((3, *leaf.shape))) if any(leaf is each for each in moved) else None
        node = function(*leaves)
        assert node.rows is not None
        far = np.zeros(2)
        for _ in range(200):
            ends = [rng.choice([-1.0, 1.0], leaf.shape) for leaf in leaves]
            other = [
                leaf.value if leaf.rows is None else leaf.value + np.where(end < 0, -leaf.rows[1], leaf.rows[2])
                for leaf, end in zip(leaves, ends, strict=True)
            ]
            change = function(*map(tape.leaf, other)).value - node.value
            assert (-node.rows[1] - 1e-12 <= change).all()
            assert (change <= node.rows[2] + 1e-12).all()
            far = np.maximum(far, [(-change / node.rows[1]).max(), (change / node.rows[2]).max()])
        assert far.min() > 0.3  # the twin: they are not left open without end


@pytest.mark.parametrize("reach", [1e-4, 0.01, 0.5, 0.9])
def test_where_rounding_carries_an_argument_far_a_bound_covers_the_result_there(reach):
    functions = {
        (lambda x: 1 / x): 1.0,
        np.sqrt: 1.0,
        (lambda x: np.sqrt(x + 0.0)): 0.05,
        np.exp: 0.0,
        (lambda x: entrywise(x, layer=ly.Tanh())): 3.0,
        (lambda x: entrywise(x, layer=ly.ReLU())): -0.00005,
        (lambda x: softmax(np.concatenate([x, 5.0 + 0 * x], axis=-1))): 0.0,
    }
    for function, at in functions.items():
        tape = Tape(Node, F32)
        leaf = tape.leaf(np.full((1, 1), at))
        leaf.variance = np.full((1, 1), (reach / (SAFETY * F32.u)) ** 2)
        bound = SAFETY * F32.u * np.sqrt(function(leaf).variance)
        for side in (-reach, reach):
            with np.errstate(invalid="ignore"):  # no root
                there, here = (function(Tape(Node).leaf(np.full((1, 1), at + by))).value for by in (side, 0.0))
            assert (np.abs(np.nan_to_num(there) - here) <= 1.0001 * bound).all()


def test_softmax_that_is_computed_anew_counts_from_the_way_back_on():
    tape = Tape(Node, F32)
    leaf = tape.leaf(np.array([[30.0, 31.0]]))
    node = softmax(leaf)
    before = node.variance
    tape.gradients(node, tape.leaf(np.ones((1, 2))), {"x": leaf})
    assert RULES[softmax].recomputed(node).min() > before.max()
    np.testing.assert_allclose(node.variance, before + RULES[softmax].recomputed(node))


def test_a_constant_is_rounded_unless_float32_has_it():
    tape = Tape(Node, F32)
    assert tape.constant(0.1).variance == pytest.approx(0.01)
    assert tape.constant(0.5).variance is None
    assert tape.constant(np.arange(3)).variance is None


def test_underflow_and_overflow_are_foreseen():
    """Builds square what they compute on the way up, not on the way back."""
    tape = Tape(Node, F32)
    small, large = tape.leaf(np.full(2, 1e-40)), tape.leaf(np.full(2, 1e15))
    assert (np.sqrt((small * 0.5).variance) >= F32.underflow).all()
    assert np.isfinite((large * 1.0).variance).all()
    assert np.isinf((large * large).variance).all()
    tape.gradients(None, None, {})
    assert np.isfinite((large * large).variance).all()
    assert np.isinf((large * (large * large)).variance).all()


def test_sums_are_charged_as_loops_do_them_where_loops_do():
    n = 120
    for loop, squares, sums in ((True, 1 + n / 6, 1 + n / 3), (False, 1, 1)):
        tape = Tape(Node, F32, in_a_loop=loop)
        assert tape.leaf(np.full(n, 2.0)).sum().variance == pytest.approx(4 * n * squares + (2 * n) ** 2 * sums)
    x = np.ones((1, 8192))
    assert (tape.leaf(x) @ tape.leaf(x.T)).variance == pytest.approx(8192 / MANY * (8192 + 8192.0**2))
    equal = tape.leaf(np.full(3000, 0.1)).sum()
    error = float(np.cumsum(np.full(3000, 0.1, np.float32))[-1]) - 3000 * float(np.float32(0.1))
    assert SAFETY * F32.u * np.sqrt(equal.variance) > 3.9 * abs(error) > 0


def test_padding_has_no_error():
    tape = Tape(Node, F32)
    leaf = tape.leaf(np.ones((1, 1, 2, 2)))
    leaf.variance = np.ones(leaf.shape)
    node = windows(leaf, kernel=2, stride=1, padding=1, dilation=1, fill=-np.inf)
    np.testing.assert_array_equal(node.variance, np.isfinite(node.value))


def test_a_rival_within_rounding_is_near_and_only_an_equal_one_is_exact():
    tape = Tape(Node, F32)
    leaf = tape.leaf(np.array([[1.0, 1.0 + 2.0**-25, 0.0], [1.0, 1.0, 0.0], [1.0, 2.0, 0.0]]))
    leaf.variance = np.ones(leaf.shape)
    largest(leaf)
    (choice,) = tape.choices
    np.testing.assert_array_equal(choice.near, [[True, True, False], [True, True, False], [False] * 3])
    np.testing.assert_array_equal(choice.exact, [[False] * 3, [True, True, False], [False] * 3])


def test_sums_that_are_shaken_move_by_roots_of_their_own_rounding_and_others_do_not():
    for terms, roots in ((2, 1.0), (300, rules_arithmetic.ROOTS)):
        x = np.arange(1.0, 3 * terms + 1).reshape(terms, 3)
        still = Tape(Node, F32)
        total = still.leaf(x).sum(axis=0)
        moved = Tape(Node, shaken=still.shared).leaf(x).sum(axis=0)
        assert np.abs(moved.value - total.value) == pytest.approx(roots * SHAKEN * np.sqrt(total.own), rel=1e-6)
        assert np.array_equal(Tape(Node).leaf(x).sum(axis=0).value, total.value)
        assert np.array_equal((Tape(Node, shaken=[]).leaf(x) * 2.0).value, x * 2)


def test_what_arrays_have_and_records_have_not_is_said_by_name():
    leaf = Tape(Node).leaf(np.ones(3))
    with pytest.raises(AttributeError, match=r"knows no array\.std; it knows add, .*where"):
        leaf.std()
    assert not hasattr(leaf, "clip")
    assert leaf.sum().value == 3


def test_a_softmax_that_is_computed_anew_may_be_off_by_a_factor_where_scores_are_large():
    def recomputed(*scores):
        node = softmax(Tape(Node, F32).leaf(np.array([scores])))
        with np.errstate(all="ignore"):
            return np.sqrt(node.rule.recomputed(node))[0]

    assert recomputed(5.0, 4.0) == pytest.approx(np.array([0.731, 0.269]) * 5.313, rel=1e-3)
    large = F32.u * recomputed(3e8, 0.0)
    assert np.exp(F32.u * 3e8) < large[0] < np.inf
    assert large[1] == 0
    assert recomputed(1e12, 0.0)[0] == np.inf
