"""Kernels at sizes, strides, dtypes and values that are drawn: each fault that only some of them show is found, and small."""

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
from gradcheck import adapters
from gradcheck.errors import DescriptionError, GradientMismatch
from gradcheck.strategies import sizes, tensors

BLOCK = 8
QUICK = settings(max_examples=1, deadline=None, suppress_health_check=list(HealthCheck))


def seen(strategy, examples=400):
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
        ("offset", (7, 1), 1),
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
    for layout, gaps in (("offset", 1), ("padded", 15), ("sliced", 28), ("transposed", 0)):
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
    x = find(tensors("rows columns", dtypes=["float32", "bfloat16"]), lambda x: x.shape[1] > 4, settings=settings(database=None))
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
