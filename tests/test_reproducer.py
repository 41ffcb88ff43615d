"""`report.reproducer`: one file that asks again in a fresh process, and says when it is answered otherwise."""

import copy
import importlib
import pickle
import re
import subprocess
import sys
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

import gradcheck
from gradcheck import Case, Dense, Given, Logistic, Network, OutputError, Tanh
from gradcheck.foundation.moved import MOVED
from gradcheck.report.reproducer import pickles
from gradcheck.report.reproducer.source import Writer
from gradcheck.verdict.outcome import Recipe

FOLDER = Path(__file__).parent
SMALL = Network((2,), (Dense(3), Tanh(), Dense(1)), Logistic())
CASE = Case(SMALL, data="two-moons", samples=8)


def squares(p):
    return sum(np.sum(value * value) for value in p.values())


def doubled(p):
    return {name: 2 * value for name, value in p.items()}


def negated(p):
    return {name: -value for name, value in doubled(p).items()}


@dataclass
class Point:
    w: np.ndarray


class Model:
    """Two methods that may share what one of them leaves behind."""

    def loss(self, x):
        return float(x @ x)

    def gradient(self, x):
        return 2 * x


def flipped(network, parameters, batch):
    loss, gradients = gradcheck.backend("manual").build(network).loss_and_gradients(parameters, batch)
    return loss, {**gradients, "0.bias": -gradients["0.bias"]}


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """Where the package is installed and no checkout is on the path, a fresh process knows nothing of these tests."""
    origins = pickles._origins
    monkeypatch.setattr(pickles, "_origins", lambda top: () if top == "tests" else origins(top))


@pytest.fixture
def again(tmp_path):
    """Write the reproducer and run it as somebody else would: a fresh process in another folder."""
    path, elsewhere = tmp_path / "again.py", tmp_path / "elsewhere"
    elsewhere.mkdir()

    def again(report=None, change=None):
        if report is not None:
            report.reproducer(path)
        if change is not None:
            old, new = change
            assert old in path.read_text(encoding="utf-8")
            path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
        command = [sys.executable, "-P", str(path)]
        done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, timeout=100, check=False)
        return done, path.read_text(encoding="utf-8")

    return again


def assert_the_same(done, report):
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout == f"{report}\n"


def test_functions_of_a_module_at_a_dict_are_imported_and_the_file_can_be_read(again):
    report = gradcheck.check(rosen, rosen_der, np.array([1.3, 0.7, 0.1]), seed=3)
    done, text = again(report)
    assert_the_same(done, report)
    call = "        scipy.optimize.rosen,\n        scipy.optimize.rosen_der,\n        np.array([1.3, 0.7, 0.1]),\n"
    assert call + "        seed=3,\n    )" in text
    assert "pickle" not in text
    assert '("x", "claimed"): "correct",' in text


def test_a_function_of_a_test_module_travels_with_its_source_and_its_helpers(again):
    at = {"w": np.linspace(0.1, 1, 6, dtype=np.float32).reshape(2, 3), "b": 0.5}
    report = gradcheck.check(squares, negated, at=at)
    assert report.wrong == {"w", "b"}
    done, text = again(report)
    assert_the_same(done, report)
    assert "#     def negated(p):" in text
    assert re.search(r'"w": np.array\(\[\[0\.1\d+, .*dtype="float32"\), "b": 0\.5', text.replace("\n            ", " "))
    assert "`gradcheck.check` found: wrong.\n\nwrong: b, w\ncause: w: sign\n" in text


def test_lambdas_and_closures(again):
    factor = 1 + 1e-6
    report = gradcheck.check(lambda x: np.sum(np.sin(x)), lambda x: factor * np.cos(x), np.ones((2, 2)), accuracy=1e-9)
    assert report.verdict == "wrong"
    done, text = again(report)
    assert_the_same(done, report)
    assert "accuracy=1e-09" in text
    assert "# GRADIENT:\n" in text


def test_the_twin_without_the_fault_exits_with_1_and_one_line_that_says_so(again):
    report = gradcheck.check(rosen, partial(rosen_der), 2 * np.ones(2))
    done, _ = again(report, change=('"correct"', '"wrong"'))
    assert done.returncode == 1
    assert done.stderr == "x of claimed: expected wrong, got correct\n"
    assert "verdict: correct" in done.stdout


def test_what_two_methods_share_they_share_again(again):
    model = Model()
    report = gradcheck.check(model.loss, model.gradient, np.ones(3))
    change = ("EXPECTED = {", "assert LOSS.__self__ is GRADIENT.__self__\n\nEXPECTED = {")
    assert_the_same(again(report, change)[0], report)


@pytest.mark.parametrize(
    "at",
    [
        Point(np.ones(2)),
        [np.array([1.0, -0.0]), (np.float32(0.1), 2.5), {"a": np.float16([1, 2])}],
        {"large": np.random.default_rng(0).standard_normal((30, 20)), "turned": np.asfortranarray(np.ones((2, 3)))},
        (np.array(0.1), np.arange(3), "text", None, True, np.arange(3.0).astype(">f8"), np.longdouble(0.1)),
        {"x": np.ones(2), "names": np.array(["a", "b"]), "objects": np.array([None, 1], dtype=object)},
        {1: np.ones(1), ("a", 2): np.ones(1), 'it\'s "quoted"': np.ones(1), "b\\n": {}, "é": []},
    ],
    ids=range(6),
)
def test_points_come_back_as_they_were(tmp_path, at):
    def none(x):
        return 0.0

    report = gradcheck.check(none, lambda x: x, at)
    path = tmp_path / "point.py"
    report.reproducer(path)
    namespace = {"__name__": "again"}
    taken = []
    code = path.read_text(encoding="utf-8").replace("gradcheck.check(", "taken.append(gradcheck.check.__wrapped__) or keep(")
    namespace |= {"taken": taken, "keep": lambda *args, **kwargs: taken.append(args) or report}
    with pytest.raises(SystemExit):
        exec(compile(code, str(path), "exec"), namespace)
    assert_equal(taken[1][2], at)


@pytest.mark.parametrize("value", [float("nan"), np.float32("-inf"), np.array([np.nan, 1, -np.inf]), 1e-320, 2 - 3j])
def test_numbers_that_have_no_literal_are_written_all_the_same(value):
    assert_equal(eval(Writer().expression(value, "at"), {"np": np}), value)


def assert_equal(one, other):
    """Types, dtypes, bits and order in memory."""
    assert type(one).__name__ == type(other).__name__
    if isinstance(other, np.ndarray | np.generic):
        assert (one.dtype, one.flags.f_contiguous) == (other.dtype, other.flags.f_contiguous)
        assert str(one.tolist()) == str(other.tolist())  # with the sign of zero
    elif isinstance(other, dict):
        assert list(one) == list(other)
        for name in other:
            assert_equal(one[name], other[name])
    elif isinstance(other, list | tuple):
        for each, twin in zip(one, other, strict=True):
            assert_equal(each, twin)
    elif isinstance(other, Point):
        assert_equal(one.w, other.w)
    else:
        assert repr(one) == repr(other)


def test_verify_of_registered_names_reads_like_the_call(again):
    report = gradcheck.verify(CASE, ["manual", "autograd"], seed=1)
    done, text = again(report)
    assert_the_same(done, report)
    assert "from gradcheck import Case, Dense, Logistic, Network, Tanh\n" in text
    assert '["manual", "autograd"],\n        seed=1,' in text
    assert max(map(len, text.splitlines())) <= 125


def test_verify_of_a_function_and_its_twin(again):
    case = Case(
        SMALL,
        data=Given.of({"inputs": [[0.1, 0.2], [1.0, -1.0]], "targets": [[1.0], [-1.0]]}),
        dtype="float32",
    )
    report = gradcheck.verify(case, ["manual", flipped])
    assert report.wrong == {"0.bias"}
    done, text = again(report)
    assert_the_same(done, report)
    assert "cause: 0.bias: sign" in text
    done, _ = again(change=('["manual", BACKENDS_1]', '["manual"]'))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "0.bias of flipped: expected wrong, got None" in done.stderr


BACKEND = """
import gradcheck

def mine(network, parameters, batch):
    loss, gradients = gradcheck.backend("manual").build(network).loss_and_gradients(parameters, batch)
    return loss, {**gradients, "0.weight": 2 * gradients["0.weight"]}
"""


def test_relative_paths_of_backends_and_data_become_absolute(again, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(BACKEND)
    np.savez("data.npz", inputs=np.ones((3, 2)), targets=np.ones((3, 1)))
    report = gradcheck.verify(Case(SMALL, data="data.npz"), ["mine.py:mine"])
    assert report.wrong == {"0.weight"}
    done, _ = again(report)
    assert done.returncode == 0, done.stderr
    Path("mine.py").write_text(BACKEND.replace("2 *", "1 *"))
    done, _ = again()
    assert (done.returncode, done.stderr) == (1, "0.weight of mine: expected wrong, got correct\n")
    Path("data.npz").unlink()
    done, _ = again()
    assert done.returncode == 1
    assert re.fullmatch("no report: .*data.npz.*\n", done.stderr)


LAYER = """
import numpy as np
import gradcheck
from gradcheck.network import reference

class Sine(gradcheck.Activation, frozen=True):
    "sin(z)"

gradcheck.register_layer("sine_of_a_file", Sine)

@reference.apply.register
def _(layer: Sine, parameters, z):
    return np.sin(z)

def network_of_it(network, parameters, batch):
    x, y, w = batch.inputs, batch.targets, parameters["0.weight"]
    z = x @ w.T
    d = np.sin(z) - y
    return np.mean(d**2), {"0.weight": (2 * d / d.size * np.cos(z)).T @ x}
"""


def test_a_layer_of_a_file_is_registered_again(again, tmp_path):
    (tmp_path / "sine.py").write_text(LAYER)
    build = gradcheck.backend(f"{tmp_path}/sine.py:network_of_it").function
    case = Case(Network((3,), (Dense(2, bias=False), sys.modules[build.__module__].Sine()), gradcheck.MSE()))
    report = gradcheck.verify(case, [build])
    assert report.verdict == "correct"
    done, text = again(report)
    assert_the_same(done, report)
    assert "sine.py:Sine" in text


def test_a_layer_that_no_process_can_import_is_refused(tmp_path):
    class Own(gradcheck.Activation, frozen=True):
        """Of a function: its registration cannot be repeated."""

    gradcheck.register_layer("own_of_a_test", Own)
    report = gradcheck.verify(CASE, ["manual"])
    call = report.recipe.call._replace(args=(Case(Network((2,), (Own(), Dense(1)), Logistic())),))
    report = msgspec.structs.replace(report, recipe=Recipe(call))
    with pytest.raises(OutputError, match=r"^case: Own is defined in .*test_reproducer, which cannot be imported again"):
        report.reproducer(tmp_path / "none.py")


def test_torch_modules_and_functions(again):
    torch = pytest.importorskip("torch")

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)

        def forward(self, x, scale=1.0):
            return scale * torch.tanh(self.first(x)) @ self.second.weight.T.detach() + self.second.bias

    class Third(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, cotangent):
            return cotangent * 3.001 * ctx.saved_tensors[0] ** 2

    report = gradcheck.check_torch(Net(), torch.ones(2, 3), scale=2.0)
    assert report.wrong == {"second.weight"}
    done, text = again(report)
    assert_the_same(done, report)
    assert "class Net(torch.nn.Module):" in text
    assert "scale=2.0" in text
    report = gradcheck.check_torch(Third.apply, torch.linspace(1, 2, 4, requires_grad=True))
    assert report.wrong == {"args.0"}
    done, text = again(report)
    assert_the_same(done, report)
    assert "class Third(torch.autograd.Function):" in text
    assert ", torch 2" in text


def test_jax_custom_vjp(again):
    jax = pytest.importorskip("jax")

    @jax.custom_vjp
    def norm(x):
        return jax.numpy.sqrt(jax.numpy.sum(x * x))

    norm.defvjp(lambda x: (norm(x), (x, norm(x))), lambda saved, c: (1.01 * c * saved[0] / saved[1],))
    report = gradcheck.check_jax(jax.jit(norm), np.arange(1.0, 4.0))
    assert report.wrong == {"args.0"}
    done, _ = again(report)
    assert done.returncode == 0, done.stderr
    assert "verdict: wrong" in done.stdout


def test_autograd_primitives_keep_their_rules(again):
    anp = pytest.importorskip("autograd.numpy")
    extend = pytest.importorskip("autograd.extend")

    @extend.primitive
    def inner(x):
        return np.sin(x)

    @extend.primitive
    def outer(x):
        return np.sin(x)

    extend.defvjp(inner, lambda ans, x: lambda g: g * np.cos(x))
    extend.defvjp(outer, lambda ans, x: lambda g: 1.01 * g * anp.sqrt(1 - inner(x) ** 2))
    report = gradcheck.check_autograd(lambda x: anp.sum(outer(x) * x), np.array([0.5, 1.0]))
    assert report.wrong == {"args.0"}
    done, text = again(report)
    assert_the_same(done, report)
    assert "primitive_vjps.update(RULES)" in text


def test_scipy_objectives(again):
    report = gradcheck.check_scipy(lambda x, a: (a * x @ x, 2 * a * x), [1.0, 2.0], jac=True, args=(np.ones(2),))
    done, text = again(report)
    assert_the_same(done, report)
    assert "jac=True" in text


def test_the_outermost_call_is_the_recipe(again):
    matrix = np.arange(6.0).reshape(2, 3)
    f, jvp, vjp = lambda x: matrix @ x, lambda x, v: matrix @ v, lambda x, c: matrix.T @ c
    reports = {
        "check_vjp": gradcheck.check_vjp(f, vjp, np.ones(3)),
        "check_jvp": gradcheck.check_jvp(f, jvp, np.ones(3)),
        "check_adjoint": gradcheck.check_adjoint(f, jvp, vjp, np.ones(3)),
        "check_hvp": gradcheck.check_hvp(lambda x: x, lambda x, v: v, np.ones(3), loss=lambda x: x @ x / 2),
        "check_scipy": gradcheck.check_scipy(rosen, np.ones(3), rosen_der),
    }
    assert {name: report.recipe.function for name, report in reports.items()} == {name: name for name in reports}
    assert_the_same(again(reports["check_hvp"])[0], reports["check_hvp"])


def test_the_fixture_reports_the_public_function(gradcheck, again):
    report = gradcheck.vjp(lambda x: 2 * x, lambda x, c: 2 * c, np.ones(2))
    assert report.recipe.function == "check_vjp"
    assert_the_same(again(report)[0], report)


def test_a_recipe_is_no_part_of_what_was_found():
    one, other = (gradcheck.check(rosen, rosen_der, np.ones(2)) for _ in range(2))
    assert one == other
    assert "recipe" not in repr(one)
    assert "recipe" not in one.to_json()


@pytest.mark.parametrize(
    ("report", "sentence"),
    [
        (lambda: gradcheck.Report(title="", findings=()), "no check returned this report"),
        (lambda: gradcheck.check(rosen, rosen_der, np.ones(2)).labelled("mine"), "no check returned this report"),
        (
            lambda: gradcheck.check(rosen, partial(lambda lock, x: rosen_der(x), threading.Lock()), np.ones(2)),
            "^gradient: cannot be pickled: Typ",
        ),
        (lambda: gradcheck.verify(CASE, iter(["manual"])), "^backends: cannot be reproduced: an iterator is used up"),
    ],
)
def test_what_cannot_be_reproduced_is_said_in_one_line_and_nothing_is_written(tmp_path, report, sentence):
    with pytest.raises(OutputError, match=sentence) as caught:
        report().reproducer(tmp_path / "none.py")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_cannot_be_written_is_said_in_one_line(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        gradcheck.check(rosen, rosen_der, np.ones(2)).reproducer(tmp_path / "none" / "again.py")


def command(folder, *arguments):
    line = [sys.executable, "-m", "gradcheck", *arguments]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=100, check=False)


def test_both_commands_write_it_beside_the_table(tmp_path):
    (tmp_path / "mine.py").write_text(BACKEND + "\ndef f(x):\n    return (x * x).sum()\n\ndef g(x):\n    return 3 * x\n")
    (tmp_path / "elsewhere").mkdir()

    def again(name):
        line = [sys.executable, f"../{name}"]
        found = subprocess.run(line, cwd=tmp_path / "elsewhere", capture_output=True, text=True, check=False)
        assert found.returncode == 0
        return found.stdout.split()

    done = command(tmp_path, "check", "mine.py:f", "mine.py:g", "--shape", "2", "--reproduce", "one.py")
    assert done.returncode == 1
    assert again("one.py") == done.stdout.split()
    assert "/mine.py:f" in (tmp_path / "one.py").read_text()
    done = command(tmp_path, "verify", "--backend", "mine.py:mine", "--backend", "manual", "--reproduce", "two.py")
    assert done.returncode == 1
    assert again("two.py") == done.stdout.split()


def test_a_command_that_cannot_write_it_exits_with_2_and_one_line(tmp_path):
    done = command(
        tmp_path, "check", "scipy.optimize:rosen", "scipy.optimize:rosen_der", "--shape", "2", "--reproduce", "no/a.py"
    )
    assert done.returncode == 2
    assert re.fullmatch("gradcheck: no/a.py: cannot be written: .*\n", done.stderr)


MINE = """
def build(network, parameters, batch):
    from gradcheck_backends import manual

    loss, gradients = manual.build(network).loss_and_gradients(parameters, batch)
    gradients["0.weight"][1, 0] *= {factor}
    return loss, gradients
"""


@pytest.mark.parametrize(("factor", "code"), [(1.5, 0), (1.0, 1)])
def test_a_file_that_was_written_before_modules_had_rooms_still_runs(tmp_path, factor, code):
    """Kept from version 0.1: it imports `gradcheck.locate`. The twin: where the fault is mended it says so."""
    (tmp_path / "mine.py").write_text(MINE.format(factor=factor))
    kept = (FOLDER / "kept" / "reproducer_0_1.txt").read_text().replace("FOLDER", str(tmp_path))
    (tmp_path / "again.py").write_text(kept)
    done = subprocess.run([sys.executable, "again.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert ("0.weight of build: expected wrong, got correct" in done.stderr) == bool(code)


def test_modules_and_pickles_are_found_under_their_former_names():
    for former, home in MOVED.items():
        assert importlib.import_module(f"gradcheck.{former}") is importlib.import_module(f"gradcheck.{home}")
    assert pickle.loads(b"cgradcheck.protocol\nBatch\n.") is gradcheck.Batch
    assert importlib.import_module("gradcheck.foundation.loading").__spec__.name == "gradcheck.foundation.loading"
    with pytest.raises(ModuleNotFoundError, match=r"gradcheck\.nowhere"):
        importlib.import_module("gradcheck.nowhere")


def test_a_recipe_goes_with_every_copy_but_not_into_another_process(tmp_path):
    report = gradcheck.check(rosen, rosen_der, np.ones(2))
    for same in (msgspec.structs.replace(report, title="mine"), copy.copy(report), copy.deepcopy(report)):
        same.reproducer(tmp_path / "again.py")
        assert "gradcheck.check(" in (tmp_path / "again.py").read_text()
    with pytest.raises(OutputError, match="no check returned this report"):
        pickle.loads(pickle.dumps(report)).reproducer(tmp_path / "none.py")
