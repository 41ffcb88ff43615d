"""`gradcheck check`: functions from files and modules at a point; bad input gets one line and exit code 2."""

import json
import subprocess
import sys

import numpy as np
import pytest

FUNCTIONS = """
import numpy as np

WEIGHTS = np.random.standard_normal(6)  # drawn once: loss and gradient must share the module

def loss(x):
    return np.sum(WEIGHTS * np.sin(x.ravel()))

def gradient(x):
    return (WEIGHTS * np.cos(x.ravel())).reshape(x.shape)

def broken(x):
    g = gradient(x)
    g[1, 2] *= 1.1
    return g

def both(x):
    return loss(x), gradient(x)

def loss_of_dict(p):
    return np.sum(p["a"] ** 2) * p["b"].sum()

def gradient_of_dict(p):
    return {"a": 2 * p["a"] * p["b"].sum(), "b": np.full_like(p["b"], np.sum(p["a"] ** 2))}

def raising(x):
    raise RuntimeError("no\\n luck")

def relu(x):
    return np.maximum(x, 0).sum()

def relu_gradient(x):
    return (x > 0) * 1.0

number = 3
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.py").write_text(FUNCTIONS)
    np.save(tmp_path / "point.npy", np.arange(6.0).reshape(2, 3))
    np.savez(tmp_path / "dict.npz", a=np.arange(3.0), b=np.ones(2))
    np.savez(tmp_path / "one.npz", np.arange(6.0).reshape(2, 3))
    np.save(tmp_path / "zero.npy", np.zeros(3))
    return tmp_path


def run(folder, *arguments):
    command = [sys.executable, "-m", "gradcheck", "check", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "arguments",
    [
        ("mine.py:loss", "mine.py:gradient", "--shape", "2,3"),
        ("mine.py:loss", "mine.py:gradient", "--at", "point.npy"),
        ("mine.py:loss", "mine.py:gradient", "--at", "one.npz"),
        ("mine.py:both", "--at", "point.npy"),
        ("mine.py:loss_of_dict", "mine.py:gradient_of_dict", "--at", "dict.npz"),
        ("scipy.optimize:rosen", "scipy.optimize:rosen_der", "--shape", "5"),
    ],
)
def test_a_correct_gradient_exits_with_0_however_it_is_named(folder, arguments):
    done = run(folder, *arguments)
    assert done.returncode == 0, done.stderr
    assert "verdict: correct" in done.stdout


def test_a_wrong_entry_exits_with_1_and_is_named_in_table_and_json(folder):
    done = run(folder, "mine.py:loss", "mine.py:broken", "--shape", "2,3", "--json", "report.json")
    assert done.returncode == 1
    assert "[1, 2]" in done.stdout
    report = json.loads((folder / "report.json").read_text())
    assert report["wrong"] == ["x"]
    assert report["findings"][0]["worst_index"] == [1, 2]


def test_a_kink_exits_with_3_and_with_1_if_asked(folder):
    arguments = ("mine.py:relu", "mine.py:relu_gradient", "--at", "zero.npy")
    assert run(folder, *arguments).returncode == 3
    assert run(folder, *arguments, "--fail-on", "nonsmooth").returncode == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("mine.py:loss",), "expected one of --at and --shape"),
        (("mine.py:loss", "mine.py:gradeint", "--shape", "3"), "no attribute 'gradeint', did you mean 'gradient'?"),
        (("mine.py:loss", "other.py:g", "--shape", "3"), "gradient 'other.py:g': other.py: no such file"),
        (("nowhere:f", "nowhere:g", "--shape", "3"), "loss 'nowhere:f': no module called 'nowhere'"),
        (("mine.py:loss", "mine.py:number", "--shape", "3"), "gradient: expected a function"),
        (("mine.py:loss", "mine.py:gradient", "--shape", "3,x"), "--shape: expected sizes >= 1 separated by commas, got"),
        (("mine.py:loss", "mine.py:gradient", "--at", "none.npz"), "none.npz: No such file or directory"),
        (("mine.py:loss", "mine.py:gradient", "--at", "mine.py"), "mine.py: expected an .npy or .npz file"),
        (("mine.py:loss", "mine.py:raising", "--shape", "2,3"), "raising raised RuntimeError: no luck (mine.py:"),
        (("mine.py:gradient", "mine.py:gradient", "--shape", "2,3"), "gradient returned an array of shape (2, 3)"),
        (("mine.py:loss", "--shape", "2,3"), "loss: expected a pair (value, gradient)"),
        (("a:b", "a:b", "a:b", "--shape", "3"), "expected a loss and a gradient, got 3 functions"),
    ],
)
def test_bad_input_is_answered_with_one_line_and_exit_code_2(folder, arguments, sentence):
    done = run(folder, *arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
