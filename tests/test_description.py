"""Descriptions: data that evaluates back, hashes, goes through files both ways, and refuses what cannot be."""

import copy
import json
import pickle
import tomllib

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradcheck
from gradcheck import (
    ELU,
    GELU,
    MSE,
    Arctan,
    Case,
    CrossEntropy,
    Dense,
    Embedding,
    Given,
    Huber,
    LeakyReLU,
    Logistic,
    Network,
    Residual,
    Sequential,
    Tanh,
    Tied,
    load,
    save,
)
from gradcheck.errors import DataError, DescriptionError, OutputError
from gradcheck.network.layers import LAYERS, Activation
from gradcheck.network.losses import LOSSES
from gradcheck.strategies import cases, composed_networks

NAMES = {name: getattr(gradcheck, name) for name in gradcheck.__all__}
NETWORK = Network((2,), (Dense(3), Arctan(), Dense(1)), Logistic())
NAME = "expected a name of letters, digits and underscores"
BLOCK = b'{"type": "sequential", "layers": ['
DEEP = r"layers\[0\]\.layers.*: blocks in blocks 33 deep, at most 32 can be verified"
WRITTEN_OUT = Case(
    Network((1,), (Dense(1),), Logistic()),
    data=Given.of({"inputs": [[0.1], [1e-300]], "targets": [[1], [-1]]}),
    init=Given.of({"0.weight": np.float32([[0.1]]), "0.bias": [2]}),
)
TABLE = {"inputs": [2], "loss": "logistic", "layers": [{"type": "dense", "units": 1}]}


def nested(deep):
    """A layer in so many blocks."""
    return Sequential((nested(deep - 1),)) if deep else Tanh()


def tied(to="embedding.weight", own="weight", units=7):
    """Tokens out by the embedding's weight."""
    layers = {"embedding": Embedding(7, 3), "head": Tied(Dense(units, bias=False), {own: to})}
    return Network((4,), layers, CrossEntropy())


def from_file(folder, table):
    """What becomes of a table in a file, as the error it raises or the case it is."""
    path = folder / "net.json"
    path.write_text(json.dumps(table))
    return load(path)


def complaint(folder, **changes):
    with pytest.raises((DescriptionError, DataError)) as caught:
        from_file(folder, {**TABLE, **changes})
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(folder / "net.json"))
    return message.partition("net.json: ")[2]


CASES = cases() | cases(networks=composed_networks())
INPUTS = ((2,), (3, 2), (1, 4, 4))


@given(CASES)
def test_repr_evaluates_back_and_equal_descriptions_hash_alike(case):
    again = eval(repr(case), NAMES)
    assert again == case
    assert hash(again) == hash(case)
    assert {case: 1}[again] == 1


@given(CASES, st.sampled_from([".toml", ".json"]))
def test_a_case_comes_back_from_a_file_as_it_was(tmp_path_factory, case, suffix):
    path = tmp_path_factory.mktemp("cases") / f"case{suffix}"
    save(case, path)
    again = load(path)
    assert again == case
    assert all(np.array_equal(again.parameters[name], value) for name, value in case.parameters.items())
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip(again.batch, case.batch, strict=True))


def test_different_descriptions_differ():
    assert Network((2,), (Dense(3), Arctan(), Dense(1)), Huber()) != NETWORK
    assert Dense(3) != Dense(3, bias=False)
    assert Case(NETWORK) != Case(NETWORK, seed=1)
    assert len({Dense(3), Dense(3), Dense(4)}) == 2


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_each_layer_goes_through_a_file(tmp_path, name, suffix):
    inner = (GELU("tanh"), LeakyReLU(0.3))
    blocks = {"residual": Residual(inner), "sequential": Sequential(inner), "tied": Tied(Dense(2), {"weight": "0.weight"})}
    examples = {inputs: [blocks[name]] if name in blocks else LAYERS[name].examples(inputs) for inputs in INPUTS}
    for number, (inputs, layer) in enumerate((inputs, layer) for inputs, layers in examples.items() for layer in layers):
        before = [Dense(2, bias=False), Dense(inputs[-1])] if layer.vocabulary is None else []
        try:
            network = Network(inputs, (*before, layer), MSE())
        except DescriptionError:  # a tied weight of another shape
            assert name == "tied"
            continue
        save(network, tmp_path / f"{number}{suffix}")
        assert load(tmp_path / f"{number}{suffix}").network == network
    assert list(tmp_path.iterdir())


@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_goes_through_a_file(tmp_path, name):
    network = Network((2,), (Dense(1),), LOSSES[name]())
    save(network, tmp_path / "net.toml")
    assert load(tmp_path / "net.toml").network == network


def test_fields_that_are_no_default_go_through_a_file(tmp_path):
    layers = (Dense(3, bias=False), LeakyReLU(0.3), ELU(0.5), GELU("tanh"))
    case = Case(Network((2,), layers, Huber(0.1), weight_decay=0.25), samples=3, seed=2**70, init="he", scale=0.1)
    save(case, tmp_path / "net.toml")
    assert load(tmp_path / "net.toml") == case


def test_what_is_written_is_toml_and_json_that_others_read(tmp_path):
    for suffix, parse in ((".toml", tomllib.loads), (".json", json.loads)):
        save(WRITTEN_OUT, tmp_path / f"net{suffix}")
        table = parse((tmp_path / f"net{suffix}").read_text())
        assert table["layers"] == [{"type": "dense", "units": 1, "bias": True}]
        assert table["case"]["data"]["inputs"] == [[0.1], [1e-300]]


def test_layers_and_losses_may_stand_as_bare_names(tmp_path):
    case = from_file(tmp_path, {**TABLE, "layers": [{"type": "dense", "units": 1}, "arctan"], "loss": {"type": "logistic"}})
    assert case.network == Network((2,), (Dense(1), Arctan()), Logistic())


def test_a_layer_in_as_many_blocks_as_are_allowed_and_one_tied_as_it_should_be_are_taken(tmp_path):
    """The twin of what is refused; and its names go through a file."""
    for number, network in enumerate((Network((2,), (nested(32),), MSE()), tied())):
        save(network, tmp_path / f"{number}.toml")
        assert load(tmp_path / f"{number}.toml").network == network
    assert tied().parameter_shapes == {"embedding.weight": (7, 3)}
    assert tomllib.loads((tmp_path / "1.toml").read_text())["layers"][1]["name"] == "head"


def test_a_byte_order_mark_is_no_error(tmp_path):
    (tmp_path / "net.json").write_text(json.dumps(TABLE), encoding="utf-8-sig")
    assert load(tmp_path / "net.json").network.inputs == (2,)


def test_a_data_file_is_beside_the_description_wherever_one_reads_and_saves_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "my data.csv").write_text("a,b,y\n1,2,1\n3,4,-1\n")
    case = from_file(tmp_path / "sub", {**TABLE, "case": {"data": "my data.csv"}})
    save(load("sub/net.json"), "sub/copy.toml")
    save(load("sub/net.json"), "elsewhere.toml")
    for path in ("sub/copy.toml", "elsewhere.toml", tmp_path / "sub/copy.toml"):
        assert np.array_equal(load(path).batch.inputs, case.batch.inputs)
    assert tomllib.loads((tmp_path / "sub/copy.toml").read_text())["case"]["data"] == "my data.csv"


def test_an_absolute_case_is_the_same_in_another_folder(tmp_path, monkeypatch):
    """And the twin: as it was, its data are looked for where they are not."""
    (tmp_path / "points.csv").write_text("x,y\n0.5,1\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    case = Case(Network((1,), (Dense(1),), Logistic()), data="points.csv", init="he", seed=3)
    absolute, expected = case.absolute(), case.batch
    assert absolute == msgspec.structs.replace(case, data=str(tmp_path / "points.csv"))
    monkeypatch.chdir("elsewhere")
    assert np.array_equal(absolute.batch.inputs, expected.inputs)
    assert np.array_equal(absolute.batch.targets, expected.targets)
    with pytest.raises(DataError, match=r"points\.csv: No such file"):
        _ = case.batch


@pytest.mark.parametrize("case", [Case(NETWORK, "two-moons"), WRITTEN_OUT, Case(NETWORK, "/data/points.npz")], ids=repr)
def test_a_case_that_names_no_file_of_a_folder_is_absolute_already(case):
    assert case.absolute() == case


def test_descriptions_are_immutable_and_can_be_copied():
    with pytest.raises(AttributeError):
        NETWORK.layers[0].units = 4
    assert copy.deepcopy(WRITTEN_OUT) == pickle.loads(pickle.dumps(WRITTEN_OUT)) == WRITTEN_OUT


@pytest.mark.parametrize(
    "make",
    [
        lambda: Dense(0),
        lambda: Dense(units=0),
        lambda: msgspec.structs.replace(Dense(1), units=0),
        lambda: eval("Dense(units=0)", NAMES),
    ],
)
def test_a_width_of_0_is_refused_however_the_layer_is_made(make):
    with pytest.raises(DescriptionError, match=r"^units: expected int >= 1, got 0$"):
        make()


def test_a_width_of_0_is_refused_in_a_file_of_either_kind(tmp_path):
    layers = [{"type": "dense", "units": 1}, {"type": "dense", "units": 0}]
    assert complaint(tmp_path, layers=layers) == "layers[1].units: expected int >= 1, got 0"
    (tmp_path / "net.toml").write_text('inputs=[2]\nloss="mse"\nlayers=[{type="dense", units=0}]')
    with pytest.raises(DescriptionError, match=r"net\.toml: layers\[0\]\.units: expected int >= 1, got 0$"):
        load(tmp_path / "net.toml")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dense(2.5), "units: expected int, got 2.5"),
        (lambda: Dense(True), "units: expected int, got True"),
        (lambda: Dense("3"), "units: expected int, got '3'"),
        (lambda: LeakyReLU(float("nan")), "slope: expected a finite number, got nan"),
        (lambda: ELU(-1.0), "alpha: expected float >= 0.0, got -1.0"),
        (lambda: GELU("tan"), "approximate: expected one of 'none', 'tanh', got 'tan'"),
        (lambda: Huber(0.0), "delta: expected float > 0.0, got 0.0"),
        (lambda: Network((0,), (), MSE()), "inputs[0]: expected int >= 1, got 0"),
        (lambda: Network(2, (), MSE()), "inputs: expected array, got 2"),
        (lambda: Network((2,), (Arctan(), Dense), MSE()), f"layers[1]: expected a layer, got {Dense!r}"),
        (
            lambda: Network((), (Dense(1),), MSE()),
            "layers[0]: expected an input of rank 1 or more for dense, got a single number",
        ),
        (lambda: Network((2,), (Tanh(), Embedding(3, 2)), MSE()), "layers[1]: takes indices, and can only come first"),
        (lambda: Network((2,), (Tanh(),), MSE(), names=("a.b",)), f"names[0]: {NAME}, got 'a.b'"),
        (lambda: Sequential((Tanh(),), ("a\n",)), f"names[0]: {NAME}, got 'a\\n'"),
        (lambda: Sequential((Tanh(), Tanh()), ("a", "a")), "names[1]: a second layer called 'a'"),
        (lambda: Sequential((Tanh(),), ("a", "b")), "names: 2 names for 1 layers"),
        (lambda: nested(33), "layers: blocks in blocks 33 deep, at most 32 can be verified"),
        (
            lambda: tied("embeding.weight"),
            "layers[1].weight: no parameter 'embeding.weight' to tie to, did you mean 'embedding.weight'?",
        ),
        (lambda: tied(units=6), "layers[1].weight: tied to 'embedding.weight' of shape (7, 3), but has shape (6, 3)"),
        (lambda: tied(own="weigth"), "layers[1].parameters.weigth: the layer has no such parameter, did you mean 'weight'?"),
        (lambda: Network((2,), (), "mse"), "loss: expected a loss, got 'mse'"),
        (lambda: Network((2,), (), MSE(), weight_decay=float("inf")), "weight_decay: expected a finite number, got inf"),
        (lambda: Case(NETWORK, samples=0), "samples: expected int >= 1, got 0"),
        (lambda: Case(NETWORK, samples=1.5), "samples: expected int, got 1.5"),
        (lambda: Case(NETWORK, seed=-1), "seed: expected int >= 0, got -1"),
        (lambda: Case(NETWORK, dtype="float16"), "dtype: expected one of 'float64', 'float32', got 'float16'"),
        (lambda: Case(NETWORK, init="hee"), "init: unknown init 'hee', did you mean 'he'?"),
        (lambda: Case(NETWORK, data=3), "data: expected str or table, got 3"),
        (lambda: Case(NETWORK, init=Given.of({})), "init.0.weight: missing"),
        (lambda: Given((("a", 1), ("a", 2))), "a: given twice"),
        (lambda: Given.of({"a": [[1], [1, 2]]}), "a: expected an array, got rows of different lengths"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_is_refused_in_python_with_path_and_value(make, message):
    with pytest.raises(DescriptionError) as caught:
        make()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"layers": [{"type": "dens", "units": 1}]}, "layers[0].type: unknown layer 'dens', did you mean 'dense'?"),
        ({"layers": [{"type": "dense", "unit": 1}]}, "layers[0].unit: unknown key, did you mean 'units'?"),
        ({"layers": ["dense"]}, "layers[0].units: missing"),
        ({"layers": [3]}, "layers[0]: expected a table with a key 'type', got 3"),
        ({"layers": "dense"}, "layers: expected array, got 'dense'"),
        ({"layers": "x" * 10**4}, f"layers: expected array, got '{'x' * 76}..."),
        ({"layers": [{"name": "a.b", "type": "tanh"}]}, f"layers[0].name: {NAME}, got 'a.b'"),
        ({"layers": [{"name": 3, "type": "tanh"}]}, f"layers[0].name: {NAME}, got 3"),
        ({"layers": ["tanh", {"type": "residual"}]}, "layers[1].layers: missing"),
        (
            {"layers": [{"type": "residual", "layers": ["tanh", {"type": "dense", "unit": 2}]}]},
            "layers[0].layers[1].unit: unknown key, did you mean 'units'?",
        ),
        (
            {"layers": [{"type": "residual", "layers": ["tanh", {"type": "dense", "units": 3}]}]},
            "layers[0].layers: expected an output of the shape of the input, (2,), got (3,)",
        ),
        (
            {"layers": [{"type": "tied", "layer": {"type": "dens"}, "parameters": {}}]},
            "layers[0].layer.type: unknown layer 'dens', did you mean 'dense'?",
        ),
        (
            {"inputs": [1, 4, 4], "layers": [{"type": "conv2d", "channels": 2, "kernel": 7, "padding": 1}]},
            "layers[0].kernel: 7 is larger than the image, 4 high with a padding of 1",
        ),
        (
            {"inputs": [4, 6], "layers": [{"type": "attention", "heads": 4}]},
            "layers[0].heads: 4 heads do not divide the width, 6",
        ),
        ({"inputs": [0, 6], "layers": ["attention"]}, "inputs[0]: expected int >= 1, got 0"),
        ({"loss": "logstic"}, "loss.type: unknown loss 'logstic', did you mean 'logistic'?"),
        ({"loss": {"type": "huber", "delta": -1}}, "loss.delta: expected float > 0.0, got -1"),
        ({"layer": []}, "layer: unknown key, did you mean 'layers'?"),
        ({"case": 1}, "case: expected a table, got 1"),
        ({"case": {"sample": 1}}, "case.sample: unknown key, did you mean 'samples'?"),
        ({"case": {"samples": 0}}, "case.samples: expected int >= 1, got 0"),
        ({"case": {"dtype": "float16"}}, "case.dtype: expected one of 'float64', 'float32', got 'float16'"),
        ({"case": {"network": {}}}, "case.network: unknown key"),
        ({"case": {"init": {"0.weight": [[1, 2]]}}}, "case.init.0.bias: missing"),
        (
            {"case": {"init": {"0.weight": [[1]], "0.bias": [1]}}},
            "case.init.0.weight: expected shape (1, 2), got (1, 1)",
        ),
        (
            {"case": {"init": {"0.weight": [[1, 2]], "0.bias": [1], "1.bias": [1]}}},
            "case.init.1.bias: unknown array, did you mean '0.bias'?",
        ),
        (
            {"case": {"init": {"0.weight": [["a", "b"]], "0.bias": [1]}}},
            "init: 0.weight has dtype <U1, expected real numbers",
        ),
        (
            {"case": {"init": {"0.weight": [[1, 1e300]], "0.bias": [1]}, "dtype": "float32"}},
            "init: 0.weight[0, 1] is 1e+300, expected a finite float32",
        ),
        ({"case": {"data": {"inputs": [[1, 2]]}}}, "case.data.targets: missing"),
        (
            {"case": {"data": {"inputs": [[1, 2], [3]], "targets": [1, 1]}}},
            "case.data.inputs: expected an array, got rows of different lengths",
        ),
        ({"case": {"data": {"inputs": [[1, 2]], "targets": [0]}}}, "data: targets[0, 0] is 0, Logistic expects -1 or +1"),
        ({"case": {"data": {"inputs": [[1, 2]], "targets": [1]}, "samples": 2}}, "data: 1 samples, 2 were asked for"),
    ],
)
def test_what_cannot_be_is_refused_in_a_file_with_path_value_and_nearest_name(tmp_path, changes, sentence):
    assert complaint(tmp_path, **changes) == sentence


def test_the_table_that_the_refused_ones_vary_is_good(tmp_path):
    assert from_file(tmp_path, TABLE).network == Network((2,), (Dense(1),), Logistic())
    init = {"0.weight": [[1, 2]], "0.bias": [1]}
    data = {"inputs": [[1, 2], [3, 4]], "targets": [1, -1]}
    case = from_file(tmp_path, {**TABLE, "case": {"init": init, "data": data, "samples": 1}})
    assert case.batch.inputs.tolist() == [[1, 2]]
    assert case.parameters["0.weight"].tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("net.toml", b"inputs = [2\nloss = 3", r"Unclosed array \(at line 2, column 1\)"),
        ("net.toml", b"inputs = [2]\ninputs = [3]\n", r"Cannot overwrite a value .*line 2.*"),
        ("net.toml", b"# \xff", r"'utf-8' codec can't decode byte 0xff in position 2.*"),
        ("net.json", b'{"inputs": [2]', r"Expecting ',' delimiter: line 1 column 15.*"),
        ("net.json", b'{"inputs": [2], "inputs": [3]}', r"key 'inputs' stands twice in one table"),
        ("net.json", b'{"inputs": [2], "loss": "mse", "layers": [NaN]}', r"layers\[0\]: expected a table .*, got nan"),
        ("net.json", b"[" * 100_000, r"nested too deeply"),
        ("net.json", b'{"inputs": [2], "loss": "mse", "layers": [' + BLOCK * 40 + b'"tanh"' + b"]}" * 40 + b"]}", DEEP),
        (
            "net.json",
            b'{"inputs": [2], "loss": "mse", "layers": [' + BLOCK * 900 + b'"tanh"' + b"]}" * 900 + b"]}",
            "nested .*",
        ),
        (
            "net.toml",
            b"inputs = [2]\nloss = 'mse'\nlayers = [" + b"{a = [" * 5000 + b"]}" * 5000 + b"]",
            r"nested too deeply",
        ),
        ("net.json", b"[]", r"expected a table, got \[\]"),
        ("net.yaml", b"inputs: 2", r"expected a file ending in \.toml or \.json"),
        ("net.json", None, r"No such file or directory"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_is_no_description_is_refused_in_one_line(tmp_path, name, content, sentence):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DescriptionError, match=rf"{name}: {sentence}$") as caught:
        load(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_description(tmp_path):
    (tmp_path / "net.toml").mkdir()
    with pytest.raises(DescriptionError, match=r"net\.toml: \w+"):
        load(tmp_path / "net.toml")


def test_saving_overwrites_nothing(tmp_path):
    path = tmp_path / "net.toml"
    path.write_text("mine")
    with pytest.raises(OutputError, match=r"net\.toml: exists already$"):
        save(NETWORK, path)
    assert path.read_text() == "mine"


@pytest.mark.parametrize("name", ["net.yaml", "no/net.toml"])
def test_saving_where_one_cannot_is_refused_and_leaves_nothing(tmp_path, name):
    with pytest.raises(OutputError, match=name):
        save(NETWORK, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_layer_that_nobody_registered_cannot_be_saved(tmp_path):
    class Mine(Activation, frozen=True):
        pass

    with pytest.raises(DescriptionError, match="Mine is not registered, known: dense, "):
        save(Network((2,), (Mine(),), MSE()), tmp_path / "net.toml")
    assert not list(tmp_path.iterdir())


def test_parameters_beyond_memory_are_refused_with_their_number():
    case = Case(Network((2,), (Dense(10**14), Dense(1)), Logistic()))
    with pytest.raises(DescriptionError, match=r"^layers: 400,000,000,000,001 parameters need about "):
        _ = case.parameters


def test_a_scale_beyond_the_dtype_is_refused_when_drawn():
    with pytest.raises(DataError, match=r"^scale 1e\+300: 0\.weight\[0, 0\] is .*, expected a finite float32$"):
        _ = Case(NETWORK, scale=1e300, dtype="float32").parameters
    assert np.isfinite(Case(NETWORK, scale=1e300).parameters["0.weight"]).all()


def test_numbers_of_numpy_are_numbers():
    assert gradcheck.Dense(np.int64(3)) == gradcheck.Dense(3)
    assert type(gradcheck.ELU(np.float32(0.5)).alpha) is float
    with pytest.raises(gradcheck.DescriptionError, match="units"):
        gradcheck.Dense(np.float64(3.5))
