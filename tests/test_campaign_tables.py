"""Cases of any layers as a campaign keeps them: they come back as they were, and what is none is refused."""

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given

from gradcheck import MSE, Case, Conv2d, DescriptionError, Embedding, Flatten, Network, Residual, Sequential, Tanh
from gradcheck.campaign import tables
from gradcheck.campaign.report.words import outline
from gradcheck.campaign.results.groups import features
from gradcheck.strategies import cases, composed_networks

ROW = {"type": "tanh"}
DECODER = msgspec.json.Decoder(tables.Table)


def read(table):
    found = DECODER.decode(json.dumps(table))
    tables.check(found)
    return found


def table(layers, **fields):
    return {"inputs": [2], "layers": layers, "loss": {"type": "mse"}, "case": {}, **fields}


def nested(deep):
    return {"type": "sequential", "layers": [nested(deep - 1)]} if deep else ROW


@given(cases(networks=composed_networks()))
def test_a_case_of_any_layers_comes_back_as_it_was(case):
    written = tables.to_table(case)
    assert tables.to_case(read(written)) == case
    assert features(written) >= {tables.kind_of(written["loss"]), *tables.kinds_of(written)}
    assert "\n" not in outline(written)


def test_layers_in_blocks_count_like_others():
    network = Network((1, 4, 4), (Residual((Sequential((Conv2d(1, 1), Tanh())),)), Flatten()), MSE())
    written = tables.to_table(Case(network))
    assert tables.kinds_of(written) == ["residual", "sequential", "conv2d", "tanh", "flatten"]
    assert {"conv2d", "tanh", "residual"} <= features(written)


@pytest.mark.parametrize(
    "layers",
    [
        [nested(4)],
        [{"type": "sequential", "layers": [3]}],
        [{"type": "sequential", "layers": [{"units": 3}]}],
        [{"type": "sequential", "layers": 3}],
        [{"type": "sequential", "layers": "tanh"}],
        [{"type": "tied", "layer": 3}],
        [{"type": "tied", "layer": {}}],
        [{"type": "tied", "layer": [ROW]}],
        [{"type": {"type": "tanh"}}],
        [[ROW]],
    ],
    ids=str,
)
def test_what_is_no_row_of_layers_is_refused(layers):
    with pytest.raises(msgspec.ValidationError):
        read(table(layers))


def test_the_neighbours_are_read():
    """The twin."""
    assert read(table([nested(3)]))
    assert read(table([{"type": "tied", "layer": ROW, "parameters": {"weight": "0.weight"}}]))


@pytest.mark.parametrize(("rank", "good"), [(1, True), (4, True), (5, False)])
def test_arrays_are_nested_so_deep_and_no_deeper(rank, good):
    data = {"inputs": np.zeros((1,) * rank).tolist(), "targets": [0]}
    written = table([ROW], case={"data": data})
    if good:
        assert read(written)["case"]["data"] == data
    else:
        with pytest.raises(msgspec.ValidationError):
            read(written)


def test_a_case_that_is_too_large_inside_of_a_block_is_refused():
    network = Network((100,), (Embedding(9, 100), Sequential((Tanh(), Tanh()))), MSE())
    assert tables.to_case(tables.to_table(Case(network, samples=20)))
    with pytest.raises(DescriptionError, match=r"^it takes 1,203,900 numbers, which is more than 1,000,000$"):
        tables.to_case(tables.to_table(Case(network, samples=30)))
