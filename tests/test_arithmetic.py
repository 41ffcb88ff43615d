"""Arithmetic coarser than float32: correct gradients are never accused, wrong ones are found, and what is refused."""

import subprocess
import sys

import numpy as np
import pytest

import gradcheck
from gradcheck import Arctan, Case, Dense, Given, Logistic, Network, Tanh, Verdict
from gradcheck.errors import BackendError, DescriptionError
from gradcheck.foundation import arithmetic
from gradcheck.foundation.arithmetic import ARITHMETICS, LARGEST, precision, representable
from gradcheck.strategies import ACTIVATIONS, LOSSES

torch = pytest.importorskip("torch")

SMALL = {
    "two-moons": Case(Network((2,), (Dense(15), Arctan(), Dense(1), Arctan()), Logistic()), data="two-moons", samples=400),
    "wide": Case(Network((2,), (Dense(128), Tanh(), Dense(1)), Logistic()), "two-moons", 100, seed=5, init="he"),
    "classes": Case(Network((4,), (Dense(8), Tanh(), Dense(3)), gradcheck.CrossEntropy()), "random", 30, seed=3, init="he"),
}


def in_bfloat16(network, parameters, batch):
    return gradcheck.backend("torch", arithmetic="bfloat16").build(network).loss_and_gradients(parameters, batch)


def zeroed(gradient):
    """Of an ordinary entry: one of the block's RMS."""
    index = np.argmin(np.abs(np.abs(gradient) - np.sqrt(np.mean(gradient**2))))
    return np.where(np.arange(gradient.size).reshape(gradient.shape) == index, 0, gradient)


FAULTS = {
    "sign": lambda gradient, _: -gradient,
    "twice": lambda gradient, _: 2 * gradient,
    "half": lambda gradient, _: gradient / 2,
    "zeroed entry": lambda gradient, _: zeroed(gradient),
    "missing mean": lambda gradient, n: n * gradient,
}


def with_fault(fault, block):
    def faulty(network, parameters, batch):
        loss, gradients = in_bfloat16(network, parameters, batch)
        return loss, {**gradients, block: FAULTS[fault](gradients[block], len(batch.inputs)).astype(np.float32)}

    return faulty


def test_rounding_to_bfloat16_is_that_of_torch():
    rng = np.random.default_rng(0)
    array = (rng.standard_normal(10_000) * 10.0 ** rng.integers(-44, 38, 10_000)).astype(np.float32)
    array[:4] = [0.0, -0.0, 1 + 2**-8, 1 + 3 * 2**-8]  # ties go to even
    expected = torch.from_numpy(array).bfloat16().float().numpy()
    assert np.array_equal(representable(array, "bfloat16"), expected)
    assert representable(np.array([-1e300, 3.4e38]), "bfloat16").tolist() == [-LARGEST, LARGEST]
    assert representable(np.array([3, 4]), "bfloat16").dtype.kind == "i"


def test_every_arithmetic_has_its_constants_and_a_line_that_a_check_must_see():
    from gradcheck.verification.problem import SEEING

    assert set(SEEING) == set(ARITHMETICS)
    for name in ("float64", "float32"):  # half of the digits
        assert SEEING[name] == pytest.approx(100 * precision(name).u ** 0.5, rel=0.1)
    assert SEEING["tf32"] == SEEING["bfloat16"] == 0.5  # a factor of 1.5
    assert [precision(name).u for name in ARITHMETICS] == sorted(precision(name).u for name in ARITHMETICS)
    assert {str(representable(np.ones(1), name).dtype) for name in ARITHMETICS[1:]} == {"float32"}


@pytest.mark.parametrize("name", SMALL)
def test_small_ordinary_networks_are_correct_in_bfloat16(name):
    report = gradcheck.verify(SMALL[name], ["torch", in_bfloat16], arithmetic="bfloat16")
    assert report.verdict is Verdict.CORRECT, report
    assert max(finding.resolution for finding in report.findings) <= 0.5
    assert "bfloat16" in report.title


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", SMALL)
def test_planted_faults_are_found_in_bfloat16(name, fault):
    for block in ("0.weight", "2.weight"):
        report = gradcheck.verify(SMALL[name], ["torch", with_fault(fault, block)], arithmetic="bfloat16")
        assert report.wrong == {block}, report
        assert {finding.backend for finding in report.findings if finding.verdict is Verdict.WRONG} == {"faulty"}


def ordinary(rng):
    """Two or three layers of any activation, any loss, up to 200 samples of which many may be equal, scales up to 8."""
    layers = []
    for _ in range(rng.integers(1, 4)):
        layers += [Dense(int(rng.choice([1, 2, 6, 12]))), ACTIVATIONS[rng.integers(len(ACTIVATIONS))]]
    loss = LOSSES[rng.integers(len(LOSSES))]
    network = Network((int(rng.integers(1, 4)),), (*layers, Dense(int(rng.choice([1, 3])))), loss)
    n = int(rng.choice([5, 20, 60]))
    inputs = rng.choice([0.3, 1, 3]) * rng.standard_normal((n, *network.inputs))
    if rng.random() < 0.4:
        inputs = inputs[rng.integers(rng.choice([1, 3]), size=n)]
    shape = (n, *network.target_shape)
    targets = {
        "SIGNS": rng.choice([-1.0, 1.0], shape),
        "PROBABILITIES": rng.random(shape),
        "REALS": rng.standard_normal(shape),
        "CLASSES": rng.integers(0, network.shapes[-1][0], shape),
    }[loss.targets.name]
    init, scale, seed = str(rng.choice(["normal", "he"])), float(rng.choice([0.3, 1, 1, 3, 8])), int(rng.integers(1000))
    return Case(network, Given.of({"inputs": inputs, "targets": targets}), seed=seed, init=init, scale=scale)


def test_no_correct_gradient_is_accused_in_bfloat16():
    """5,000 of `strategies.cases` and of these were looked at when FEWER was chosen."""
    rng = np.random.default_rng(0)
    verdicts = set()
    for _ in range(150):
        report = gradcheck.verify(ordinary(rng), ["torch"], arithmetic="bfloat16")
        assert report.verdict is not Verdict.WRONG, report
        verdicts.add(report.verdict)
    assert {Verdict.CORRECT, Verdict.UNRESOLVED} <= verdicts


def test_with_bounds_ten_times_tighter_correct_ones_would_be_accused(monkeypatch):
    """The twin."""
    monkeypatch.setattr(arithmetic, "FEWER", 60.0)
    rng = np.random.default_rng(0)
    reports = (gradcheck.verify(ordinary(rng), ["torch"], arithmetic="bfloat16") for _ in range(150))
    assert any(report.verdict is Verdict.WRONG for report in reports)


def test_what_bfloat16_cannot_tell_is_unresolved():
    layers = [layer for _ in range(12) for layer in (Dense(20), Arctan())]
    report = gradcheck.verify(Case(Network((4,), (*layers, Dense(1)), Logistic())), ["torch"], arithmetic="bfloat16")
    assert report.verdict is Verdict.UNRESOLVED
    assert any("would go unseen" in finding.reason for finding in report.findings)


def test_a_gradient_in_bfloat16_that_is_judged_in_float32_is_wrong():
    """The twin of all of this: the arithmetic in which a build is judged is the one that was asked for."""
    assert gradcheck.verify(SMALL["wide"], [in_bfloat16], arithmetic="float32").verdict is Verdict.WRONG


@pytest.mark.parametrize("asked", ["float32", "float64"])
def test_a_case_may_be_judged_in_another_dtype_than_its_own(asked):
    seen = set()

    def build(network, parameters, batch):
        seen.update(str(array.dtype) for array in (*parameters.values(), *batch))
        return gradcheck.backend("manual").build(network).loss_and_gradients(parameters, batch)

    report = gradcheck.verify(SMALL["wide"], ["manual", "torch", build], arithmetic=asked)
    assert report.verdict is Verdict.CORRECT, report
    assert seen == {asked}


def test_gradients_come_back_in_the_dtype_of_the_parameters():
    case = SMALL["wide"]
    for dtype in ("float32", "float64"):
        parameters = {name: value.astype(dtype) for name, value in case.parameters.items()}
        _, found = in_bfloat16(case.network, parameters, case.batch.astype(dtype))
        assert {(name, g.shape, str(g.dtype)) for name, g in found.items()} == {
            (name, value.shape, dtype) for name, value in parameters.items()
        }
        assert all(np.array_equal(representable(g, "bfloat16"), g) for g in found.values())


def test_what_cannot_be_told_is_refused_in_one_line():
    case = SMALL["wide"]
    with pytest.raises(BackendError, match=r"^backend 'manual' takes no arithmetic, got 'bfloat16'$"):
        gradcheck.verify(case, arithmetic="bfloat16")
    with pytest.raises(BackendError, match=r"^backend 'in_bfloat16' takes no device, got 'cpu'$"):
        gradcheck.verify(case, [in_bfloat16], device="cpu")
    with pytest.raises(BackendError, match=r"^backend 'autograd' takes no device, got 'cuda'$"):
        gradcheck.backend("autograd", device="cuda")
    with pytest.raises(DescriptionError, match=r"^unknown arithmetic 'bfloat', did you mean 'bfloat16'\?"):
        gradcheck.verify(case, ["torch"], arithmetic="bfloat")


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "gradcheck", "verify", *arguments], capture_output=True, text=True)


def test_the_command_line_has_a_device_and_an_arithmetic():
    good = run("--backend", "torch", "--device", "cpu", "--arithmetic", "bfloat16")
    assert (good.returncode, good.stderr) == (0, "")
    assert "400 samples of two-moons, bfloat16" in good.stdout
    bad = run("--backend", "torch", "--device", "cuda:63")
    assert bad.returncode == 2
    assert bad.stderr.startswith("gradcheck: torch sees no device 'cuda:63'; it sees cpu")
    assert bad.stderr.count("\n") == 1


def test_a_report_in_bfloat16_reproduces(tmp_path):
    path = tmp_path / "again.py"
    gradcheck.verify(SMALL["two-moons"], ["torch"], arithmetic="bfloat16").reproducer(path)
    assert "bfloat16" in path.read_text()
    assert subprocess.run([sys.executable, str(path)], capture_output=True).returncode == 0
