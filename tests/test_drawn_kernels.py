# ruff: noqa: F722, F821 (axes in annotations are no code)
"""Kernels at sizes, strides, dtypes and values that are drawn: each fault that only some of them show is found, small."""

import math
from types import SimpleNamespace

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from jaxtyping import Bool, Float, Int

import gradcheck
from gradcheck.adapters.doors import drawn
from gradcheck.errors import DescriptionError, GradientMismatch
from gradcheck.strategies import sizes, tensors

BLOCK = 8
QUICK = settings(max_examples=1, deadline=None, suppress_health_check=list(HealthCheck))


def seen(strategy, examples=250):
    """What is drawn, in one run that is the same every time."""
    drawn = []

    @settings(max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def run(value):
        drawn.append(value)

    run()
    return drawn


@pytest.mark.parametrize("block", [8, 128])
def test_sizes_lie_on_both_sides_of_every_boundary(block):
    drawn = set(seen(sizes(block)))
    assert {1, block - 1, block, block + 1, 2 * block - 1, 2 * block, 2 * block + 1} <= drawn
    assert {1, 2, 3, 4, 5, 7, 8, 9} <= drawn
    assert min(drawn) == 1
    assert max(drawn) == 2 * block + 1


def test_sizes_are_primes_and_sizes_beside_no_boundary_too():
    drawn = set(seen(sizes([64, 128])))
    assert {61, 127, 113, 251} & drawn
    assert len(drawn) > 60


@pytest.mark.parametrize(("least_wrong", "found"), [(1, 1), (9, 9), (100, 100), (129, 129), (200, 200)])
def test_a_size_shrinks_to_the_smallest(least_wrong, found):
    quiet = settings(max_examples=500, database=None, derandomize=True)
    assert find(sizes(128), lambda size: size >= least_wrong, settings=quiet) == found


def test_bounds_of_sizes_hold():
    assert set(seen(sizes(4, at_least=3, at_most=6))) == {3, 4, 5, 6}
    assert 0 in seen(sizes(4, at_least=0))


def strided(layout, shape=(5, 7), library="torch"):
    return seen(tensors(shape, layouts=layout, library=library), 1)[0]


@pytest.mark.parametrize("library", ["torch", "numpy"])
@pytest.mark.parametrize(
    ("layout", "strides", "offset"),
    [
        ("contiguous", (7, 1), 0),
        ("shifted", (7, 1), 1),
        ("transposed", (1, 5), 0),
        ("padded", (10, 1), 0),
        ("sliced", (14, 2), 0),
        ("expanded", (0, 1), 0),
    ],
)
def test_strides_are_what_they_are_called(layout, strides, offset, library):
    x = strided(layout, library=library)
    if library == "torch":
        assert (x.stride(), x.storage_offset()) == (strides, offset)
        assert x.isfinite().all()
    else:
        assert tuple(stride // x.itemsize for stride in x.strides) == strides
        assert np.isfinite(x).all()
    assert tuple(x.shape) == (5, 7)


def test_what_lies_between_the_entries_is_no_number():
    for layout, gaps in (("shifted", 1), ("padded", 15), ("sliced", 28), ("transposed", 0)):
        stored = torch.as_strided(x := strided(layout), (x.untyped_storage().size() // 4,), (1,), 0)
        assert stored.isnan().sum() >= gaps - 3, layout
        assert (stored.isnan().sum() == 0) == (gaps == 0)


VALUES = {
    "gaussian": lambda x: 0.7 < x.std() < 1.4,
    "tiny": lambda x: x.abs().max() < 1e-3,
    "offset": lambda x: x.mean() > 900,
    "saturated": lambda x: 20 < x.std() < 42,
    "ties": lambda x: set(x.unique().tolist()) <= {-2, -1, 0, 1, 2},
    "rows": lambda x: (x == x[:, :1]).all() and len(x.unique()) == 20,
    "zeros": lambda x: (x == 0).all(),
}


@pytest.mark.parametrize("values", VALUES)
def test_values_are_what_they_are_called(values):
    for x in seen(tensors((20, 30), values=values), 5):
        assert VALUES[values](x)


def test_heavy_tails_are_heavier_than_gaussian_ones():
    largest = [x.abs().max() for x in seen(tensors((40, 40), values="heavy"), 5)]
    assert np.median(largest) > 8


def test_one_name_is_one_size_in_all_tensors_of_a_test():
    both = st.tuples(tensors("rows columns"), tensors("columns"), tensors("2*columns+1 3"))
    drawn = seen(both, 60)
    assert all(x.shape[1] == len(w) and v.shape == (2 * len(w) + 1, 3) for x, w, v in drawn)
    assert len({x.shape for x, _, _ in drawn}) > 20


def test_sizes_of_tensors_may_be_given():
    given_sizes = {"rows": [2, 4], "columns": sizes(16)}
    assert {len(x) for x in seen(tensors("rows columns", sizes=given_sizes), 30)} == {2, 4}


def test_axes_may_be_several_or_nameless():
    drawn = seen(tensors("*batch rows _"), 60)
    assert {x.ndim for x in drawn} == {2, 3, 4}


def test_tensors_shrink_to_small_contiguous_gaussian_float32():
    x = find(
        tensors("rows columns", dtypes=["float32", "bfloat16"]), lambda x: x.shape[1] > 4, settings=settings(database=None)
    )
    assert x.shape == (1, 5)
    assert x.dtype == torch.float32
    assert x.is_contiguous()
    assert torch.equal(x, torch.from_numpy(np.random.default_rng(0).standard_normal((1, 5))).float())


def test_integers_lie_below_their_limit_and_masks_are_not_all_false():
    for labels in seen(tensors("rows", dtypes="int64", below="classes", sizes={"classes": 3}), 40):
        assert labels.dtype == torch.int64
        assert set(labels.tolist()) <= {0, 1, 2}
    assert all(mask.dtype == torch.bool for mask in seen(tensors("rows columns", dtypes=torch.bool), 10))


def test_a_gradient_is_required_where_it_is_asked_for_and_nothing_is_expanded_then():
    for x in seen(tensors("rows columns", requires_grad=True), 60):
        assert x.requires_grad
        assert x.is_leaf
        assert 0 not in x.stride()
    assert not seen(tensors(3), 1)[0].requires_grad


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"shape": "rows *+"}, "shape: expected names, numbers"),
        ({"shape": (3, 1.5)}, "shape: expected names and numbers of axes"),
        ({"shape": 3, "dtypes": "float23"}, "unknown dtype 'float23', did you mean 'float32'"),
        ({"shape": 3, "dtypes": ["float32", "int64"]}, "all floating or none"),
        ({"shape": 3, "values": "gausian"}, "unknown name 'gausian', did you mean 'gaussian'"),
        ({"shape": 3, "layouts": []}, "layouts: expected at least one name"),
        ({"shape": 3, "dtypes": "int64"}, "below: expected one limit of integers"),
        ({"shape": 3, "library": "numpy", "dtypes": "bfloat16"}, "library: expected 'torch', or 'numpy' without bfloat16"),
        ({"shape": "rows", "sizes": {"row": 3}}, "no axis is called 'row', did you mean 'rows'"),
        ({"shape": "rows", "sizes": {"rows": 0.5}}, "expected int >= 0, a sequence of them, or a strategy"),
    ],
)
def test_tensors_that_cannot_be_are_refused_at_once(options, sentence):
    with pytest.raises(InvalidArgument, match=sentence.replace("*", r"\*")):
        tensors(**options)


# Kernels and their twins, judged by the real check unless a test says otherwise.


def plain_norm(x, weight):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * weight


def masked_norm(x, weight, tail=1.0):
    """In blocks of columns, the last of which is masked; its twin counts the masked entries of the last block, too."""
    columns = x.shape[-1]
    padded = math.ceil(columns / BLOCK) * BLOCK
    count = columns + (padded - columns) * (1 - tail)
    total = sum((part * part).sum(-1, keepdim=True) for part in x.split(BLOCK, -1))
    return x * torch.rsqrt(total / count + 1e-6) * weight


SHAPES = {"x": "rows columns", "weight": "columns"}
MILD = {"values": ["gaussian", "heavy", "ties"]}


def norm(function, **options):
    """A test of a norm."""
    options = {"shapes": SHAPES, "blocks": {"columns": BLOCK}, "contract": False, **MILD, **options}
    return gradcheck.kernels(reference=plain_norm, **options)(function)


@pytest.fixture
def quick(monkeypatch):
    """In the place of the check one that looks at the same outputs and gradients, by a tolerance: much faster."""

    def evaluated(function, args):
        leaves = [arg for arg in args if torch.is_tensor(arg) and arg.requires_grad]
        output = function(*args)
        ramp = torch.linspace(1, 2, output.numel(), dtype=output.dtype).reshape(output.shape)
        return output, *torch.autograd.grad(output, leaves, ramp, allow_unused=True)

    def check(kernel, *args, reference, seed, accuracy, contract):
        pairs = zip(evaluated(kernel, args), evaluated(reference, args), strict=True)
        near = all(
            torch.allclose(a.float(), b.float(), rtol=0.05, atol=0.05 * float(b.detach().abs().max())) for a, b in pairs
        )
        return SimpleNamespace(verdict=gradcheck.Verdict.CORRECT if near else gradcheck.Verdict.WRONG)

    monkeypatch.setattr(drawn, "check_torch", check)


def configuration_of(error):
    (found,) = (line for line in str(error.value).splitlines() if line.startswith("configuration: "))
    return eval(found.removeprefix("configuration: "))


def failing(test, **others):
    """The configuration that a test fails with."""
    with pytest.raises(GradientMismatch) as error:
        test(**others)
    return configuration_of(error)


def test_a_right_kernel_passes_at_all_that_is_drawn():
    norm(masked_norm, dtypes=["float32", "bfloat16"], examples=3)()


def test_a_masked_tail_is_found_and_shrinks_to_the_smallest_shape():
    """The twin; judged by the real check."""
    wrong = norm(lambda x, weight: masked_norm(x, weight, tail=0.0))
    with pytest.raises(GradientMismatch) as error:
        wrong()
    found = configuration_of(error)
    assert found == {
        "rows": 1,
        "columns": 1,
        "x": "float32 contiguous gaussian 0",
        "weight": "float32 contiguous gaussian 0",
    }
    assert "verdict: wrong" in str(error.value)
    assert "at({'rows': 1" in str(error.value)
    assert wrong.at(found).wrong


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("most", [1, BLOCK, BLOCK + 3, 2 * BLOCK])
def test_a_fault_beyond_some_size_shrinks_to_the_size_behind_it(most):
    wrong = norm(lambda x, weight: plain_norm(x, weight) * (1 + (x.shape[1] > most)), examples=40)
    found = failing(wrong)
    assert found["columns"] == most + 1
    assert found["rows"] == 1


def of_strides(x, weight):
    """Reads memory as if it were contiguous."""
    flat = torch.as_strided(x, x.shape, (x.shape[1], 1))
    return plain_norm(flat, weight)


@pytest.mark.usefixtures("quick")
def test_a_kernel_that_is_wrong_for_transposed_inputs_is_found():
    found = failing(norm(of_strides, layouts=["contiguous", "transposed"]))
    assert "transposed" in found["x"]
    assert (found["rows"], found["columns"]) == (2, 2)
    norm(of_strides, layouts="contiguous")()


def test_the_check_itself_sees_the_strides():
    wrong = norm(of_strides)
    assert wrong.at({"rows": 2, "columns": 2, "x": "transposed"}).wrong
    assert wrong.at({"rows": 2, "columns": 2})


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("fault", "word"),
    [
        (lambda x: x.dtype == torch.bfloat16, "bfloat16"),
        (lambda x: x.storage_offset() > 0, "shifted"),
        (lambda x: x.stride(1) == 2, "sliced"),
        (lambda x: len(x) > 1 and x.stride(0) > x.shape[1] and x.stride(1) == 1, "padded"),
        (lambda x: (x == x.round()).all() and 0 < x.abs().max() < 3, "ties"),
        (lambda x: x.mean() > 100, "offset"),
        (lambda x: 20 < x.abs().median() < 90, "saturated"),
        (lambda x: (x == 0).all(), "zeros"),
    ],
)
def test_what_only_one_dtype_layout_or_sort_of_values_shows_is_found_and_named(fault, word):
    def kernel(x, weight):
        wrong = bool(fault(x.detach()))
        return plain_norm(x, weight) + wrong * (1 + 3 * x.abs().max())

    wrong = norm(kernel, dtypes=["float32", "bfloat16"], values=None, examples=150)
    assert word in failing(wrong)["x"].split()


@pytest.mark.usefixtures("quick")
def test_without_the_fault_the_same_passes():
    """The twin of those above."""
    norm(lambda x, weight: plain_norm(x, weight), dtypes=["float32", "bfloat16"], values=None, examples=60)()


@pytest.mark.usefixtures("quick")
def test_a_failure_is_the_same_every_time_and_can_be_tried_alone():
    wrong = norm(lambda x, weight: plain_norm(x, weight) * (1 + (x.shape[1] > 3)))
    assert (found := failing(wrong)) == failing(wrong)
    assert wrong.at(found).verdict is gradcheck.Verdict.WRONG
    assert wrong.at({"rows": 1, "columns": 3}).verdict is gradcheck.Verdict.CORRECT


@pytest.mark.usefixtures("quick")
def test_configurations_that_are_given_are_tried_first_in_as_few_words_as_are_meant():
    tried = []

    def kernel(x, weight):
        tried.append((tuple(x.shape), x.dtype, x.stride()))
        return plain_norm(x, weight)

    norm(kernel, configurations=[{"rows": 2, "columns": 1000, "x": "bfloat16 transposed"}], examples=1)()
    assert tried[0] == ((2, 1000), torch.bfloat16, (1, 2))


def test_the_report_of_a_configuration_writes_a_reproducer(tmp_path):
    wrong = norm(lambda x, weight: masked_norm(x, weight, tail=0.0))
    wrong.at({"rows": 2, "columns": 3, "x": "transposed"}).reproducer(tmp_path / "wrong.py")
    assert "check_torch" in (tmp_path / "wrong.py").read_text()


def plain_attention(q, k, v, causal, heads, scale=1.0):
    scores = scale * q @ k.transpose(-1, -2)
    if causal:
        scores = scores + torch.full(scores.shape[-2:], -torch.inf).triu(1).to(scores.dtype)
    return torch.softmax(scores, -1) @ v


@pytest.mark.usefixtures("quick")
def test_other_arguments_are_drawn_and_sizes_are_handed_on_by_name():
    drawn = []

    def kernel(q, k, v, causal, window, heads):
        drawn.append((causal, window, heads, tuple(q.shape)))
        return plain_attention(q, k, v, causal, heads) * (1 + (window > 2 and causal))

    test = gradcheck.kernels(
        reference=plain_attention,
        shapes=dict.fromkeys(("q", "k", "v"), "*batch heads tokens 4"),
        sizes={"heads": [1, 2]},
        arguments={"causal": st.booleans(), "window": lambda tokens: st.integers(1, tokens)},
        examples=60,
    )(kernel)
    found = failing(test)
    assert found["causal"] is True
    assert found["window"] == found["tokens"] == 3
    assert found["batch"] == ()
    assert all(1 <= window <= shape[-2] and heads == shape[-3] for _, window, heads, shape in drawn)


@pytest.mark.usefixtures("quick")
def test_indices_masks_and_constants_are_tensors_too():
    def plain(logits, labels, mask, bias):
        losses = torch.nn.functional.cross_entropy(logits + bias, labels, reduction="none")
        return torch.where(mask, losses, torch.zeros(()))

    seen_by_kernel = []

    def kernel(logits, labels, mask, bias):
        seen_by_kernel.append((labels.dtype, mask.dtype, bias.requires_grad, logits.requires_grad))
        return plain(logits, labels, mask, bias)

    shapes = {"logits": "rows classes", "labels": "rows", "mask": "rows", "bias": "classes"}
    options = {"constants": "bias", "masks": ["mask"], "indices": {"labels": "classes"}}
    gradcheck.kernels(reference=plain, shapes=shapes, **options)(kernel)()
    assert set(seen_by_kernel) == {(torch.int64, torch.bool, False, True)}


@pytest.mark.usefixtures("quick")
def test_annotations_of_jaxtyping_say_shapes_and_dtypes():
    drawn = []

    @gradcheck.kernels(reference=lambda x, labels, keep: x * 2 + keep + labels[:, None], indices={"labels": 5})
    def test(
        x: Float[torch.Tensor, "rows columns"], labels: Int[torch.Tensor, "rows"], keep: Bool[torch.Tensor, "rows columns"]
    ):
        drawn.append((x.shape == keep.shape, len(labels) == len(x), labels.dtype, keep.dtype))
        return x * 2 + keep + labels[:, None]

    test()
    assert set(drawn) == {(True, True, torch.int64, torch.bool)}


@pytest.mark.usefixtures("quick")
def test_annotations_that_are_text_are_read_and_shapes_overrule_them():
    def kernel(x: "Float[torch.Tensor, 'rows columns']", y: "Unknown"):
        assert x.shape[1] == 4
        return x + y

    gradcheck.kernels(reference=lambda x, y: x + y, shapes={"x": "rows 4", "y": "4"}, examples=5)(kernel)()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("block", [4, 16])
@gradcheck.kernels(reference=plain_norm, shapes=SHAPES, examples=5)
def test_a_drawn_test_is_parametrized_and_takes_fixtures(x, weight, block, tmp_path):
    assert block in (4, 16)
    assert tmp_path.is_dir()
    return plain_norm(x, weight)


class TestMethods:
    @pytest.mark.usefixtures("quick")
    @gradcheck.kernels(reference=plain_norm, shapes=SHAPES, examples=5)
    def test_a_method_is_a_drawn_test(self, x, weight):
        assert isinstance(self, TestMethods)
        return plain_norm(x, weight)


@pytest.mark.usefixtures("quick")
def test_what_is_put_around_a_drawn_test_holds_inside():
    tried = []

    def kernel(x, weight):
        tried.append(tuple(x.shape))
        return plain_norm(x, weight)

    hypothesis.example(configuration={"rows": 77, "columns": 5, "x": "", "weight": ""})(norm(kernel, examples=1))()
    assert tried[0] == (77, 5)


def test_a_test_that_decides_nothing_fails_with_one_sentence(monkeypatch):
    verdicts = iter(["unresolved", "correct", "unresolved", "nonsmooth"] * 20)
    monkeypatch.setattr(drawn, "check_torch", lambda *_, **__: SimpleNamespace(verdict=gradcheck.Verdict(next(verdicts))))
    with pytest.raises(
        GradientMismatch, match=r"nothing was decided in 15 of 20 configurations \(10 unresolved, 5 nonsmooth\)"
    ):
        norm(masked_norm)()


def test_a_test_that_decides_half_passes(monkeypatch):
    verdicts = iter(["unresolved", "correct"] * 20)
    monkeypatch.setattr(drawn, "check_torch", lambda *_, **__: SimpleNamespace(verdict=gradcheck.Verdict(next(verdicts))))
    norm(masked_norm)()


@pytest.mark.usefixtures("quick")
def test_a_kernel_that_raises_names_the_configuration():
    def kernel(x, weight):
        if x.shape[1] > 4:
            raise ValueError("too wide")
        return plain_norm(x, weight)

    with pytest.raises(ValueError, match="too wide") as error:
        norm(kernel)()
    assert any(note.startswith("configuration: {'rows': 1, 'columns': 5") for note in error.value.__notes__)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"shapes": {"y": "rows"}}, "shapes: the function has no parameter called 'y'"),
        ({"shapes": None}, "shapes: expected the shape of at least one tensor"),
        ({"shapes": "rows columns"}, "shapes: expected a dict by name, got 'rows columns'"),
        ({"shapes": {"x": "rows 2*column", "weight": "columns"}}, "x: no axis is called 'column', did you mean 'columns'"),
        ({"shapes": {"x": "rows weight", "weight": "rows"}}, "'weight' is a tensor and an axis"),
        ({"blocks": {"colums": 8}}, "blocks: no axis is called 'colums', did you mean 'columns'"),
        ({"blocks": {"columns": 0}}, "block=0 must be an integer of at least 1"),
        ({"sizes": {"columns": "many"}}, "expected int >= 0, a sequence of them, or a strategy, got 'many'"),
        ({"dtypes": ["float32", "bf16"]}, "dtypes: unknown dtype 'bf16', did you mean 'bfloat16'"),
        ({"dtypes": {"y": "float32"}}, "dtypes: no shape is given for 'y'"),
        ({"arguments": {"causal": st.booleans()}}, "arguments: the function has no parameter called 'causal'"),
        ({"shapes": {"x": "rows columns"}, "arguments": {"weight": 3}}, "expected a strategy, or a function of sizes"),
        ({"shapes": {"x": "rows"}, "arguments": {"weight": lambda column: column}}, "no axis is called 'column'"),
        ({"constants": ["x", "weight"]}, "nothing requires a gradient: 'x, weight' are constants"),
        ({"masks": "y"}, "masks: no shape is given for 'y'"),
        ({"dtypes": {"x": "int64"}}, "x: integers below what?"),
        ({"indices": {"x": "colums"}}, "x: no axis is called 'colums', did you mean 'columns'"),
        ({"values": "normal"}, "values: unknown name 'normal'"),
        ({"layouts": ["strided"]}, "layouts: unknown name 'strided', did you mean 'sliced'"),
        ({"examples": 0}, "examples: expected int >= 1, got 0"),
        ({"accuracy": -1}, "accuracy: expected a finite float >= 0, got -1"),
        ({"reference": 3}, "reference: expected a function, got 3"),
        ({"configurations": [{"rows": 3}]}, "configurations[0]: expected a value for 'columns'"),
        ({"configurations": [{"row": 3}]}, "configurations[0]: nothing is called 'row', did you mean 'rows'"),
        (
            {"configurations": [{"rows": 3, "columns": 3, "x": "float"}]},
            "expected words as in 'float32 contiguous gaussian 0'",
        ),
        ({"configurations": ["x"]}, "configurations: expected dictionaries in a list"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line_when_it_decorates(options, sentence):
    def kernel(x, weight):
        return plain_norm(x, weight)

    with pytest.raises(DescriptionError) as error:
        gradcheck.kernels(**{"reference": plain_norm, "shapes": SHAPES, **options})(kernel)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
